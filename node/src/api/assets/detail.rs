//! What an asset is made of: tracks of the source, renditions, captions, Blobs, and who holds them.

use actix_web::{HttpResponse, web};
use cluster::id::AssetId;
use cluster::permission::{Action, Target};
use cluster::state::{Asset, State};
use data_encoding::HEXLOWER;
use pipeline::tracks::{LeftOut, Probe};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::api::body::ok;
use crate::api::jobs::JobView;
use crate::app::App;
use crate::manifest::{Manifest, SealedRef, TextTrack};
use crate::media::Media;
use crate::problem::{Problem, ProblemBody};
use crate::sidecars::{is_poster_chosen, loose_captions};

/// A track of the uploaded file.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct TrackView {
    /// `video`, `audio` or `subtitles`.
    pub kind: String,
    /// Its codec.
    pub codec: String,
    /// Its language, when the file says.
    pub language: Option<String>,
    /// Its title, when the file has one.
    pub title: Option<String>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// Audio channels.
    pub channels: Option<u32>,
}

/// A track of picture or sound that is not played.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LeftOutView {
    /// `video` or `audio`.
    pub kind: String,
    /// Its number among the tracks of its kind, from 1.
    pub number: u32,
    /// Its codec.
    pub codec: String,
    /// Why: `no_decoder`, `empty_track` or `broken`.
    pub reason_code: String,
    /// The same in one sentence.
    pub reason: String,
}

impl LeftOutView {
    fn of(track: &LeftOut) -> Self {
        Self {
            kind: track.kind.as_str().to_owned(),
            number: track.index + 1,
            codec: track.codec.clone(),
            reason_code: track.reason.as_str().to_owned(),
            reason: track.reason.sentence().to_owned(),
        }
    }
}

/// Something a player can choose.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RenditionView {
    /// Its name, such as `v720`.
    pub id: String,
    /// `video` or `audio`.
    pub kind: String,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Most frames a second.
    pub frame_rate: Option<f64>,
    /// RFC 6381 codecs.
    pub codecs: String,
    /// Most bits a second.
    pub bandwidth: u64,
    /// Bits a second on average.
    pub average_bandwidth: u64,
    /// Its language, when known.
    pub language: Option<String>,
    /// Bytes kept.
    pub size: u64,
}

/// Text to show over the picture.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CaptionView {
    /// What they are asked for by: the language of those people put in, `s0` and so on for those found in the file.
    pub id: String,
    /// The language it is addressed by.
    pub language: String,
    /// What players call it.
    pub label: String,
    /// Somebody uploaded it; otherwise it was found in the file.
    pub uploaded: bool,
}

/// A sealed file of the asset.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BlobView {
    /// Its id.
    pub id: String,
    /// What it holds.
    #[schema(value_type = String)]
    pub kind: cluster::command::BlobKind,
    /// Plaintext bytes.
    pub length: u64,
    /// Hash over the ciphertext.
    pub hash: String,
}

/// A node that keeps the asset.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HolderView {
    /// Its number.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
}

/// What an asset is made of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DetailView {
    /// The container of the uploaded file, once known.
    pub container: Option<String>,
    /// Its tracks.
    pub tracks: Vec<TrackView>,
    /// Those of them that are not played, with the reason.
    pub left_out: Vec<LeftOutView>,
    /// What players can choose.
    pub renditions: Vec<RenditionView>,
    /// Captions.
    pub captions: Vec<CaptionView>,
    /// Somebody chose the picture that stands for it; otherwise it was found while processing.
    pub poster_chosen: bool,
    /// Sealed files.
    pub blobs: Vec<BlobView>,
    /// Who keeps it.
    pub holders: Vec<HolderView>,
    /// The newest job on it.
    pub job: Option<JobView>,
    /// SHA-256 of the uploaded file.
    pub sha256: Option<String>,
    /// The cluster key its data key is wrapped by.
    pub key_epoch: u32,
    /// Parts of the uploaded file could not be decoded.
    pub damaged: bool,
}

/// What an asset is made of. For those who see every asset of the application.
#[utoipa::path(get, path = "/assets/{id}/detail", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = DetailView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn asset_detail(
    app: web::Data<App>,
    media: web::Data<Media>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeAssetDetail, Target::Asset(*id))?;
    let asset = state.asset(*id).ok_or_else(Problem::not_found)?;
    let manifest = media.library.manifest(asset).await?;
    let probe = match &manifest {
        Some(manifest) => Some(manifest.probe.clone()),
        None => media.library.plan(asset).await?.map(|plan| plan.probe.clone()),
    };
    let job = asset.job.and_then(|job| state.job(job));
    ok(&DetailView {
        container: probe.as_ref().map(|probe| probe.container.clone()),
        tracks: probe.as_ref().map(tracks).unwrap_or_default(),
        left_out: left_out(manifest.as_deref(), probe.as_ref()),
        renditions: manifest.as_deref().map(renditions).unwrap_or_default(),
        captions: match manifest.as_deref() {
            Some(manifest) => captions(manifest),
            None => loose_captions(asset).map(|track| caption(&track, true)).collect(),
        },
        poster_chosen: is_poster_chosen(asset, manifest.as_deref()),
        blobs: blobs(asset, manifest.as_deref()),
        holders: holders(&state, *id),
        job: job.map(|job| JobView::of(&state, job, app.live.progress(*id))),
        sha256: asset.sha256.map(|hash| HEXLOWER.encode(&hash)),
        key_epoch: asset.key_epoch,
        damaged: manifest.is_some_and(|manifest| manifest.damaged),
    })
}

/// By the manifest, or while there is none by what looking at the file told.
fn left_out(manifest: Option<&Manifest>, probe: Option<&Probe>) -> Vec<LeftOutView> {
    let known = manifest.map(|manifest| &manifest.left_out).or(probe.map(|probe| &probe.left_out));
    known.into_iter().flatten().map(LeftOutView::of).collect()
}

fn tracks(probe: &Probe) -> Vec<TrackView> {
    let video = probe.video.iter().map(|track| TrackView {
        kind: "video".to_owned(),
        codec: track.codec.clone(),
        width: Some(track.width),
        height: Some(track.height),
        frame_rate: track.frame_rate.map(|rate| rate.as_f64()),
        ..TrackView::default()
    });
    let audio = probe.audio.iter().map(|track| TrackView {
        kind: "audio".to_owned(),
        codec: track.codec.clone(),
        language: track.language.clone(),
        title: track.title.clone(),
        channels: Some(track.channels),
        ..TrackView::default()
    });
    let subtitles = probe.subtitles.iter().map(|track| TrackView {
        kind: "subtitles".to_owned(),
        codec: track.codec.clone(),
        language: track.language.clone(),
        title: track.title.clone(),
        ..TrackView::default()
    });
    video.chain(audio).chain(subtitles).collect()
}

fn renditions(manifest: &Manifest) -> Vec<RenditionView> {
    let video = manifest.video.iter().map(|track| RenditionView {
        id: track.rendition.id.to_string(),
        kind: "video".to_owned(),
        width: Some(track.rendition.width),
        height: Some(track.rendition.height),
        frame_rate: Some(track.rendition.frame_rate.as_f64()),
        codecs: track.rendition.codecs.clone(),
        bandwidth: track.rendition.bandwidth.peak,
        average_bandwidth: track.rendition.bandwidth.average,
        language: None,
        size: track.stored.length,
    });
    let audio = manifest.audio.iter().map(|track| RenditionView {
        id: track.rendition.id.to_string(),
        kind: "audio".to_owned(),
        codecs: track.rendition.codecs.clone(),
        bandwidth: track.rendition.bandwidth.peak,
        average_bandwidth: track.rendition.bandwidth.average,
        language: track.rendition.language.clone(),
        size: track.stored.length,
        ..RenditionView::default()
    });
    video.chain(audio).collect()
}

fn captions(manifest: &Manifest) -> Vec<CaptionView> {
    let found = manifest.subtitles.iter().map(|track| caption(track, false));
    found.chain(manifest.captions.iter().map(|track| caption(track, true))).collect()
}

fn caption(track: &TextTrack, uploaded: bool) -> CaptionView {
    CaptionView {
        id: track.rendition.id.clone(),
        language: if uploaded {
            track.rendition.id.clone()
        } else {
            track.rendition.language.clone().unwrap_or_else(|| track.rendition.id.clone())
        },
        label: track.rendition.name.clone(),
        uploaded,
    }
}

fn blobs(asset: &Asset, manifest: Option<&Manifest>) -> Vec<BlobView> {
    let known = asset.blobs.iter().filter_map(|blob| {
        let sealed = blob.sealed?;
        Some(SealedRef { blob: blob.id, kind: blob.kind, length: sealed.length, hash: sealed.hash })
    });
    let mut all: Vec<SealedRef> = known.collect();
    for stored in manifest.into_iter().flat_map(Manifest::stored) {
        if !all.iter().any(|known| known.blob == stored.blob) {
            all.push(stored);
        }
    }
    let view = |stored: &SealedRef| BlobView {
        id: stored.blob.to_string(),
        kind: stored.kind,
        length: stored.length,
        hash: HEXLOWER.encode(&stored.hash),
    };
    all.iter().map(view).collect()
}

/// The nodes that hold an asset; one that was removed holds nothing any more.
fn holders(state: &State, asset: AssetId) -> Vec<HolderView> {
    let view = |node: &std::sync::Arc<cluster::state::Node>| HolderView {
        node: node.id.to_string(),
        name: node.name.clone(),
        site: node.site.clone(),
    };
    state.holders(asset).iter().filter_map(|node| state.node(node)).map(view).collect()
}
