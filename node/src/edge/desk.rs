//! What a node answers edges. An edge gets what a viewer in front of it may have, ciphertext of what it is to keep warm,
//! and nothing else: no State, no cluster key, no data key.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::Cluster;
use cluster::actor::{Actor, ActorKind};
use cluster::command::{BlobKind, EdgeCommand};
use cluster::id::{AssetId, NodeId};
use cluster::keyring::PublicKey;
use cluster::net::{Message, Serve, Service};
use cluster::state::{Asset, State};
use pipeline::playlist::subtitle_window;

use super::ask::{
    Admission, Denial, Edition, Introduction, PIECE, Question, RECONCILED_AT_ONCE, Reply, Right, ViewRight,
    WarmFiles, WarmList, read,
};
use super::recent::Recent;
use crate::asset_store::StoreError;
use crate::media::Media;
use crate::play::files::{self, File};
use crate::play::outage::OutageError;
use crate::play::presentation::names;
use crate::play::serve::Guide;
use crate::play::view::{self, Presented, ViewClaims, ViewError};

/// Assets of one thing that is kept warm, at most: those with the lowest ids.
const WARM_ASSETS: usize = 20_000;

/// Answers edges on this node.
#[derive(Debug, Clone)]
pub struct Desk {
    media: Media,
    recent: Recent,
}

impl Desk {
    /// Answers from now on.
    pub fn open(media: Media) {
        let cluster = media.store.cluster().clone();
        let recent = Recent::default();
        cluster.spawn(recent.clone().listen(cluster.clone()));
        let desk = Arc::new(Self { media, recent });
        cluster.services().register(Service::Edge, desk.clone());
        cluster.services().register(Service::EdgeBytes, desk);
    }

    fn cluster(&self) -> &Cluster {
        self.media.store.cluster()
    }

    async fn answer(&self, from: NodeId, question: Question) -> (Reply, Bytes) {
        let plain = |reply| (reply, Bytes::new());
        match question {
            Question::Introduce(edge) => plain(self.introduced(from, edge).await),
            Question::Report(report) => {
                let state = self.cluster().state();
                self.media.edges.note(from, report, |edge| state.edge(edge).is_some());
                let places = self.cluster().whereabouts().into_iter();
                let nodes = places.map(|place| (place.node, place.cluster_address, place.public_address));
                plain(Reply::Noted { nodes: nodes.collect() })
            }
            Question::Follow { since } => {
                let (mark, touched) = self.recent.since(since).await;
                let (leads, now_ms) = (self.cluster().has_leader(), self.cluster().now_ms());
                plain(Reply::Followed { mark, leads, now_ms, touched })
            }
            Question::Reconcile { assets } => {
                let state = self.cluster().state();
                let gone = assets.into_iter().take(RECONCILED_AT_ONCE);
                let gone = gone.filter(|(asset, index)| !state.may_keep_at_edge(*asset, *index));
                let gone = gone.map(|(asset, _)| asset).collect();
                plain(Reply::Reconciled { gone, index: state.last_applied() })
            }
            Question::Authorise(right) => plain(self.authorise(&right).await),
            Question::Key { right, period, recipient } => plain(self.key(&right, period, recipient)),
            Question::File { right, file, offset } => self.file(from, &right, &file, offset).await,
            Question::WarmList => self.warm_list(from),
            Question::WarmFiles { asset } => self.warm_files(from, asset).await,
            Question::Authorities { shown } => plain(self.authorities(from, shown).await),
        }
    }

    async fn introduced(&self, from: NodeId, edge: Introduction) -> Reply {
        let Introduction { incarnation, public_address, version, .. } = edge;
        let report = EdgeCommand::Report { edge: from, public_address, version, incarnation };
        let actor = Actor::system(self.cluster().node_id());
        if let Err(error) = self.cluster().propose(actor, report.into()).await {
            return Reply::Failed(error.to_string());
        }
        let cluster = self.cluster();
        let public = cluster.certify_edge_host(from, &edge.public_request);
        let own = edge.node_request.map(|request| cluster.certify_edge(from, &request)).transpose();
        match (public, own) {
            (Ok(public_certificate), Ok(node_certificate)) => {
                Reply::Introduced { public_certificate, node_certificate }
            }
            (Err(error), _) | (_, Err(error)) => Reply::Failed(error.to_string()),
        }
    }

    async fn authorities(&self, from: NodeId, shown: Option<[u8; 32]>) -> Reply {
        match self.cluster().authorities_for_edge(from, shown).await {
            Ok(Some(trusted)) => Reply::Authorities(trusted),
            Ok(None) => Reply::Failed("there is no authority".to_owned()),
            Err(error) => Reply::Failed(error.to_string()),
        }
    }

    /// The asset of a View that may go on now.
    fn admitted(&self, right: &ViewRight) -> Result<(Arc<State>, Arc<Asset>, ViewClaims), Denial> {
        let (cluster, media) = (self.cluster(), &self.media);
        let state = cluster.state();
        let claims: ViewClaims = media.tokens.verify(&right.token).map_err(|_| Denial::NotValid)?;
        let presented = Presented::InPath { address: right.address };
        view::check(&claims, &state, cluster.now_ms(), presented).map_err(denial)?;
        let asset = state.asset(claims.asset).cloned().ok_or(Denial::NotFound)?;
        let grace_ms = || grace_ms(&state, &asset);
        media.outage.may_go_on(claims.started_ms, grace_ms).map_err(|error| match error {
            OutageError::GraceOver => Denial::GraceOver,
            _ => Denial::NoNewView,
        })?;
        Ok((state, asset, claims))
    }

    async fn authorise(&self, right: &ViewRight) -> Reply {
        let (state, asset, claims) = match self.admitted(right) {
            Ok(admitted) => admitted,
            Err(denial) => return Reply::Denied(denial),
        };
        match self.edition(&asset).await {
            Ok(edition) => Reply::Admitted(Box::new(Admission {
                application: asset.application,
                grace_ms: grace_ms(&state, &asset),
                until_ms: until_ms(&state, &asset, &claims, self.cluster().now_ms()),
                index: state.last_applied(),
                edition,
                claims,
            })),
            Err(error) => failed(&error),
        }
    }

    async fn edition(&self, asset: &Asset) -> Result<Edition, StoreError> {
        let manifest = self.media.library.manifest(asset).await?;
        let plays = |kind| matches!(kind, BlobKind::Rendition | BlobKind::Audio);
        let renditions = match &manifest {
            Some(manifest) => {
                let video =
                    manifest.video.iter().map(|track| (track.rendition.id.to_string(), track.stored.blob));
                let audio =
                    manifest.audio.iter().map(|track| (track.rendition.id.to_string(), track.stored.blob));
                video.chain(audio).collect()
            }
            None => {
                let growing = asset.blobs.iter().filter(|blob| plays(blob.kind));
                growing.map(|blob| (blob.label.clone(), blob.id)).collect()
            }
        };
        let named = asset.manifest.filter(|_| manifest.is_some()).map(|named| named.blob);
        Ok(Edition { manifest: named, renditions })
    }

    fn key(&self, right: &ViewRight, period: u32, recipient: [u8; 32]) -> Reply {
        let asset = match self.admitted(right) {
            Ok((_, asset, _)) => asset,
            Err(denial) => return Reply::Denied(denial),
        };
        // One key for the whole of an uploaded video.
        if period != 0 {
            return Reply::Denied(Denial::NotFound);
        }
        let sealed = self.media.store.key(&asset).and_then(|key| {
            let key = key.content_key(period)?;
            Ok(PublicKey::from_bytes(recipient).seal_content_key(asset.id, period, &key)?)
        });
        match sealed {
            Ok(sealed) => Reply::Key { sealed },
            Err(error) => failed(&error),
        }
    }

    async fn file(&self, from: NodeId, right: &Right, file: &str, offset: u64) -> (Reply, Bytes) {
        let (asset, viewer) = match right {
            Right::View(view) => match self.admitted(view) {
                Ok((_, asset, claims)) => (asset, Some((view, claims))),
                Err(denial) => return (Reply::Denied(denial), Bytes::new()),
            },
            Right::Warm(asset) => match self.to_be_warm(from, *asset) {
                Some(asset) => (asset, None),
                None => return (Reply::Denied(Denial::NotFound), Bytes::new()),
            },
        };
        // A key is asked for as a key, and then it is sealed.
        let Some(file) = File::parse(file).filter(|file| !matches!(file, File::Key(_))) else {
            return (Reply::Denied(Denial::NotFound), Bytes::new());
        };
        match self.load(from, &asset, viewer, &file).await {
            Ok(Some(body)) => piece(&body, offset),
            Ok(None) => (Reply::Denied(Denial::NotFound), Bytes::new()),
            Err(error) => (failed(&error), Bytes::new()),
        }
    }

    async fn load(
        &self,
        from: NodeId,
        asset: &Arc<Asset>,
        viewer: Option<(&ViewRight, ViewClaims)>,
        file: &File,
    ) -> Result<Option<Bytes>, StoreError> {
        let media = &self.media;
        let mut steered = false;
        if let (Some((right, claims)), File::Main | File::Steering) = (viewer, file) {
            let guide = Guide::at_edge(media, &claims, right.address, from);
            steered = guide.has_choice();
            if *file == File::Steering {
                let names = names(&media.library, asset).await?;
                return Ok(steered.then(|| guide.manifest(&right.token, &names).to_json()));
            }
        }
        files::load(&media.library, &media.store, asset, file, steered).await
    }

    fn to_be_warm(&self, edge: NodeId, asset: AssetId) -> Option<Arc<Asset>> {
        let state = self.cluster().state();
        state.asset(asset).filter(|asset| state.is_warm_at(edge, asset)).cloned()
    }

    fn warm_list(&self, edge: NodeId) -> (Reply, Bytes) {
        let state = self.cluster().state();
        let list: WarmList = state
            .warm_of(edge)
            .map(|warm| {
                let assets = state.warm_assets(warm);
                let assets = assets.filter_map(|asset| Some((asset.id, asset.manifest.as_ref()?.blob)));
                (warm.id, assets.take(WARM_ASSETS).collect())
            })
            .collect();
        in_body(Reply::WarmList, &list)
    }

    async fn warm_files(&self, edge: NodeId, asset: AssetId) -> (Reply, Bytes) {
        let index = self.cluster().state().last_applied();
        let Some(asset) = self.to_be_warm(edge, asset) else {
            return (Reply::Denied(Denial::NotFound), Bytes::new());
        };
        match self.files_of(&asset).await {
            Ok((edition, files)) => in_body(Reply::WarmFiles, &WarmFiles { index, edition, files }),
            Err(error) => (failed(&error), Bytes::new()),
        }
    }

    async fn files_of(&self, asset: &Asset) -> Result<(Edition, Vec<(String, u64)>), StoreError> {
        let library = &self.media.library;
        let edition = self.edition(asset).await?;
        let mut files = Vec::new();
        for (name, blob) in &edition.renditions {
            let stored = library.track(asset, *blob).await?.stored().await?;
            files.push((format!("{name}/index.m3u8"), 0));
            files.push((format!("{name}/init.mp4"), stored.init().map_or(0, |init| init.len() as u64)));
            let segments = stored.segments().iter();
            files.extend(segments.map(|mark| (format!("{name}/{}.m4s", mark.sequence), mark.length)));
        }
        if let Some(manifest) = library.manifest(asset).await? {
            for track in manifest.captions.iter().chain(&manifest.subtitles) {
                let id = &track.rendition.id;
                files.push((format!("subs/{id}/index.m3u8"), 0));
                let windows = (0..)
                    .take_while(|number| subtitle_window(manifest.duration_ms * 1000, *number).is_some());
                files.extend(windows.map(|number| (format!("subs/{id}/{number}.vtt"), 0)));
            }
        }
        Ok((edition, files))
    }
}

#[async_trait]
impl Serve for Desk {
    async fn serve(&self, from: NodeId, message: Message) -> Result<Message, String> {
        let question: Question = read(&message.head)?;
        // Admitted by an Entry that has not come here yet: another node may know it.
        if self.cluster().state().edge(from).is_none() {
            return Err("this edge is not known here".to_owned());
        }
        let (reply, body) = self.answer(from, question).await;
        let head = postcard::to_stdvec(&reply).map_err(|error| error.to_string())?;
        Ok(Message { head: head.into(), body })
    }
}

fn grace_ms(state: &State, asset: &Asset) -> u64 {
    state.application(asset.application).map_or(0, |found| found.policy.offline_grace_ms)
}

/// Until when a View may go on if nothing changes: its own end, and that of the sign-in or key and of publishing.
fn until_ms(state: &State, asset: &Asset, claims: &ViewClaims, now_ms: u64) -> u64 {
    let credential = match claims.subject.who {
        ActorKind::User { session, .. } => state.session(session).map(|session| session.expires_ms),
        ActorKind::ApiKey(key) => state.api_key(key).and_then(|key| key.expires_ms),
        ActorKind::Anonymous | ActorKind::System(_) => None,
    };
    let published = asset.published.and_then(|window| window.until_ms);
    let ends = [Some(claims.expires_ms), credential, published];
    ends.into_iter().flatten().filter(|end| *end > now_ms).min().unwrap_or(claims.expires_ms)
}

fn denial(error: ViewError) -> Denial {
    match error {
        ViewError::Refused(refusal) => Denial::Refused(refusal),
        ViewError::Expired => Denial::Expired,
        ViewError::Missing | ViewError::Token(_) | ViewError::Misused => Denial::NotValid,
    }
}

fn failed(error: &dyn std::error::Error) -> Reply {
    tracing::warn!(%error, "an edge could not be answered");
    Reply::Failed(error.to_string())
}

fn piece(whole: &Bytes, offset: u64) -> (Reply, Bytes) {
    let length = whole.len() as u64;
    let end = offset.saturating_add(PIECE).min(length);
    let bounds = usize::try_from(offset.min(end)).ok().zip(usize::try_from(end).ok());
    let body = bounds.map_or_else(Bytes::new, |(start, end)| whole.slice(start..end));
    let hash = (offset == 0).then(|| cluster::authority::fingerprint(whole));
    (Reply::File { length, hash }, body)
}

fn in_body(reply: Reply, value: &impl serde::Serialize) -> (Reply, Bytes) {
    match postcard::to_stdvec(value) {
        Ok(bytes) => (reply, bytes.into()),
        Err(error) => (failed(&error), Bytes::new()),
    }
}
