//! What a viewer at an edge may have, and where it comes from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::ask::{Admission, Denial, Question, Reply, Right, ViewRight};
use super::cache::Name;
use super::{AskError, Edge, Gate, lock};
use crate::play::files::File;
use crate::play::outage::{OutageError, SILENT_AFTER, decide};
use crate::play::view::{Presented, ViewError, fits};
use crate::problem::Problem;
use crate::token::TokenError;

/// A viewer waits so long for an edge that is just joining its cluster again.
const GATE_WITHIN: Duration = Duration::from_secs(3);

impl Edge {
    /// The View of a token shown by a viewer at `address`, when it may go on now.
    pub(super) async fn admit(
        &self,
        token: &str,
        address: Option<IpAddr>,
    ) -> Result<(ViewRight, Arc<Admission>), Problem> {
        let mut gate = self.gate.subscribe();
        let opened = timeout(GATE_WITHIN, gate.wait_for(|gate| *gate == Gate::Open)).await;
        let silence = self.silence();
        let (Ok(Ok(_)), Some(silence)) = (opened, silence) else { return Err(joining()) };
        let right = ViewRight { token: token.to_owned(), address };
        let known = self.rights.get(&right);
        if let Some(known) = &known
            && !fits(&known.admission.claims, Presented::InPath { address })
        {
            return Err(ViewError::Misused.into());
        }
        let fresh = known.filter(|known| !known.stale && self.node.now_ms() < known.admission.until_ms);
        match fresh {
            Some(known) if silence < SILENT_AFTER => Ok((right, known.admission)),
            Some(known) => {
                decide(silence, false, Duration::from_millis(known.admission.grace_ms))?;
                Ok((right, known.admission))
            }
            // What has changed, or was never asked, cannot be known now.
            None if silence >= SILENT_AFTER => Err(OutageError::NoNewView.into()),
            None => {
                let admission = self.authorise(&right).await?;
                Ok((right, admission))
            }
        }
    }

    /// Asks the cluster whether a View may go on, and remembers the answer.
    pub(super) async fn authorise(&self, right: &ViewRight) -> Result<Arc<Admission>, Problem> {
        let changes = self.rights.changes();
        match self.ask(&Question::Authorise(right.clone())).await {
            Ok((Reply::Admitted(admission), _)) => {
                let admission = Arc::new(*admission);
                self.rights.put(right, admission.clone(), changes);
                Ok(admission)
            }
            Ok((Reply::Denied(denial), _)) => {
                self.rights.remove(right);
                Err(denied(denial))
            }
            Ok(_) => Err(Problem::internal("an answer to another question")),
            Err(error) => Err(away(error)),
        }
    }

    /// The key of one part of what a View watches.
    pub(super) async fn key(
        &self,
        right: &ViewRight,
        admission: &Admission,
        period: u32,
    ) -> Result<Bytes, Problem> {
        let asset = admission.claims.asset;
        if let Some(key) = lock(&self.keys).get(&(asset, period)) {
            return Ok(Bytes::copy_from_slice(&key.0));
        }
        let recipient = *self.pair.public().as_bytes();
        let question = Question::Key { right: right.clone(), period, recipient };
        match self.ask(&question).await.map_err(away)? {
            (Reply::Key { sealed }, _) => {
                let key = self.pair.open(asset, period, &sealed).map_err(Problem::internal)?;
                let given = Bytes::copy_from_slice(&key);
                self.keep_key(asset, period, key);
                Ok(given)
            }
            (Reply::Denied(denial), _) => Err(denied(denial)),
            _ => Err(Problem::internal("an answer to another question")),
        }
    }

    /// The bytes of a file that is no key.
    pub(super) async fn file(
        &self,
        right: &ViewRight,
        admission: &Admission,
        file: &File,
        path: &str,
    ) -> Result<Bytes, Problem> {
        let edition = &admission.edition;
        let blob = match file {
            File::Key(_) => return Err(Problem::not_found()),
            // Made for each viewer.
            File::Main | File::Steering => None,
            File::Init(rendition) | File::Segment(rendition, _) | File::Iframe(rendition, _) => {
                edition.blob(&rendition.to_string())
            }
            File::Index(_) | File::Iframes(_) | File::Subtitles(_) | File::SubtitleSegment(..) => {
                edition.manifest
            }
        };
        let by = Right::View(right.clone());
        let Some(blob) = blob else { return self.fetch(&by, path).await.map_err(Into::into) };
        let asset = admission.claims.asset;
        let fetch = || self.fetch(&by, path);
        let (bytes, found) = self.cache.get(asset, admission.index, Name::of(blob, path), fetch).await?;
        if file.kind().cacheable() {
            self.figures.given(found);
        }
        Ok(bytes)
    }

    /// Fetches a whole file, piece by piece, and holds it against its hash.
    pub(super) async fn fetch(&self, by: &Right, path: &str) -> Result<Bytes, FetchError> {
        let mut whole = BytesMut::new();
        let mut expected: Option<(u64, [u8; 32])> = None;
        let nonsense = |what: &str| FetchError::from(AskError::Nonsense(what.to_owned()));
        loop {
            let offset = whole.len() as u64;
            let question = Question::File { right: by.clone(), file: path.to_owned(), offset };
            let (reply, body) = self.ask(&question).await?;
            let (length, hash) = match reply {
                Reply::File { length, hash } => (length, hash),
                Reply::Denied(denial) => return Err(FetchError::Denied(denial)),
                _ => return Err(nonsense("to a question for a file")),
            };
            let first = hash.map(|hash| (length, hash));
            let (whole_length, hash) = match (expected, first) {
                (None, first) => first.ok_or_else(|| nonsense("a file without its hash"))?,
                (Some(known), _) => known,
            };
            expected = Some((whole_length, hash));
            if whole_length != length {
                return Err(nonsense("a file that changes"));
            }
            if offset == 0 && body.len() as u64 == length {
                // Small, or all of it: no copy.
                return self.checked(body, hash);
            }
            let ends = offset.saturating_add(body.len() as u64);
            if body.is_empty() || ends > length {
                return Err(nonsense("a file that is too long or short"));
            }
            whole.extend_from_slice(&body);
            if ends == length {
                return self.checked(whole.freeze(), hash);
            }
        }
    }

    fn checked(&self, bytes: Bytes, hash: [u8; 32]) -> Result<Bytes, FetchError> {
        self.figures.fetched(bytes.len());
        if cluster::authority::fingerprint(&bytes) == hash {
            return Ok(bytes);
        }
        Err(AskError::Nonsense("bytes that were changed on the way".to_owned()).into())
    }
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// It is not given.
    #[error("it is not given: {0:?}")]
    Denied(Denial),
    /// Nobody answered.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Denied(denial) => denied(denial),
            FetchError::Ask(error) => away(error),
        }
    }
}

/// What a viewer is told, as on a node of the cluster.
fn denied(denial: Denial) -> Problem {
    match denial {
        Denial::NotFound => Problem::not_found(),
        Denial::NotValid => ViewError::Token(TokenError::Forged).into(),
        Denial::Expired => ViewError::Expired.into(),
        Denial::Refused(refusal) => ViewError::Refused(refusal).into(),
        Denial::NoNewView => OutageError::NoNewView.into(),
        Denial::GraceOver => OutageError::GraceOver.into(),
    }
}

fn joining() -> Problem {
    Problem::unavailable("edge_joining", "This edge is just joining its cluster; try again in a moment.")
}

fn away(error: AskError) -> Problem {
    let detail = "This edge cannot reach its cluster for this; try again in a moment.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "cluster_away", detail).caused_by(error)
}
