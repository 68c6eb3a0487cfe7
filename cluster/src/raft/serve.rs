//! What consensus on this node answers the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use openraft::Raft;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::log::Durable;
use super::network::RaftHead;
use super::snapshot::{
    ChunkHash, ChunkRef, ChunkSource, Manifest, Snapshot, SnapshotError, SnapshotFolder, SnapshotImage, hash,
};
use super::types::{TypeConfig, Vote};
use crate::id::NodeId;
use crate::net::{Message, Serve, Service, Services};
use crate::persist::Persist;
use crate::state::State;

/// When the leader was heard last. Clones share it.
#[derive(Debug, Clone)]
pub struct HeardLeader {
    began: Instant,
    /// In ms after `began`, plus one; zero for never.
    last: Arc<AtomicU64>,
}

impl Default for HeardLeader {
    fn default() -> Self {
        Self { began: Instant::now(), last: Arc::default() }
    }
}

impl HeardLeader {
    fn note(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(now + 1, Ordering::Relaxed);
    }

    /// How long nothing was heard of a leader; none when none ever was.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(last)))
    }
}

/// Answers consensus of other nodes.
pub struct RaftService {
    raft: Raft<TypeConfig>,
    heard: HeardLeader,
    folder: SnapshotFolder,
    durable: Durable,
    /// Chunks of a snapshot that is being received, as they lie here. A broken transfer goes on where it ended.
    received: Mutex<HashMap<ChunkHash, ChunkRef>>,
    /// That State cannot be read is on record: it is offered again and again.
    told: AtomicBool,
}

impl fmt::Debug for RaftService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RaftService({:?})", self.folder)
    }
}

impl RaftService {
    /// Serves `raft` from now on, whose log is durable as far as `durable` says, and notes when its leader was heard.
    pub fn register(
        services: &Services,
        raft: Raft<TypeConfig>,
        folder: SnapshotFolder,
        durable: Durable,
    ) -> HeardLeader {
        let heard = HeardLeader::default();
        let serve = Arc::new(Self {
            raft,
            heard: heard.clone(),
            folder,
            durable,
            received: Mutex::default(),
            told: AtomicBool::default(),
        });
        services.register(Service::Raft, serve.clone());
        services.register(Service::Snapshot, serve);
        heard
    }

    fn received(&self) -> MutexGuard<'_, HashMap<ChunkHash, ChunkRef>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of the chunks that are not here yet.
    fn wanted(&self, manifest: &Manifest) -> Vec<u32> {
        let mut received = self.received();
        // What was received for an older snapshot and is not part of this one will be swept.
        received.retain(|hash, _| manifest.chunks.iter().any(|chunk| chunk.hash == *hash));
        let missing = manifest.chunks.iter().enumerate().filter(|(_, chunk)| {
            received.get(&chunk.hash).is_none_or(|kept| self.folder.chunk(kept).is_err())
        });
        missing.filter_map(|(number, _)| u32::try_from(number).ok()).collect()
    }

    /// Refuses State that this release cannot read, before any of it is taken: what is here stays as it is.
    fn must_read(&self, state_version: u8) -> Result<(), String> {
        let known = State::VERSION.saturating_sub(1)..=State::VERSION;
        if known.contains(&state_version) {
            return Ok(());
        }
        let refused = format!(
            "this node runs {}, which reads State in the versions {} and {}",
            env!("CARGO_PKG_VERSION"),
            known.start(),
            known.end()
        );
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                state_version,
                "this node cannot follow the others: {refused}; it keeps what it has, and follows once it is updated"
            );
        }
        Err(refused)
    }

    /// Answers once this node's disk has what the answer says that the node has.
    async fn append(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendEntriesResponse<u64>, String> {
        let claimed = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        let answered = self.raft.append_entries(request).await.map_err(|error| error.to_string())?;
        if !matches!(answered, AppendEntriesResponse::HigherVote(_)) {
            self.heard.note();
        }
        if matches!(answered, AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)) {
            self.durable.reaches(claimed).await.map_err(|error| error.to_string())?;
        }
        Ok(answered)
    }

    async fn keep(&self, expected: ChunkHash, body: Bytes) -> Result<(), String> {
        if hash(&body) != expected {
            return Err("the chunk does not have its hash".to_owned());
        }
        let folder = self.folder.clone();
        let kept = blocking(move || folder.receive(&body)).await?;
        self.received().insert(expected, kept);
        Ok(())
    }

    async fn install(&self, vote: Vote, manifest: Manifest) -> Result<impl Serialize + use<>, String> {
        let chunks = self.received().clone();
        let source = Arc::new(Received { folder: self.folder.clone(), chunks });
        let meta = manifest.meta();
        let snapshot = Box::new(SnapshotImage { manifest: Some(manifest), source });
        let installed = self.raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await;
        self.received().clear();
        installed.map_err(|error| error.to_string())
    }
}

/// A snapshot whose chunks have all arrived.
struct Received {
    folder: SnapshotFolder,
    chunks: HashMap<ChunkHash, ChunkRef>,
}

impl ChunkSource for Received {
    fn chunk(&self, chunk: &ChunkRef) -> Result<Vec<u8>, SnapshotError> {
        let kept = self.chunks.get(&chunk.hash);
        let kept = kept.ok_or_else(|| SnapshotError::Damaged("a chunk has not arrived".to_owned()))?;
        self.folder.chunk(kept)
    }
}

#[async_trait]
impl Serve for RaftService {
    async fn serve(&self, _from: NodeId, message: Message) -> Result<Message, String> {
        let head: RaftHead = decode(&message.head)?;
        let text = |error: &dyn fmt::Display| error.to_string();
        match head {
            RaftHead::Append => answer(&self.append(decode(&message.body)?).await?),
            RaftHead::Vote => {
                let request = decode(&message.body)?;
                answer(&self.raft.vote(request).await.map_err(|error| text(&error))?)
            }
            RaftHead::Offer => {
                let (_, manifest): (Vote, Manifest) = decode(&message.body)?;
                answer(&self.wanted(&manifest))
            }
            RaftHead::OfferOf { state_version } => {
                self.must_read(state_version)?;
                let (_, manifest): (Vote, Manifest) = decode(&message.body)?;
                answer(&self.wanted(&manifest))
            }
            RaftHead::Chunk(expected) => answer(&self.keep(expected, message.body).await?),
            RaftHead::Install => {
                let (vote, manifest) = decode(&message.body)?;
                answer(&self.install(vote, manifest).await?)
            }
        }
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|error| format!("not understood: {error}"))
}

fn answer(value: &impl Serialize) -> Result<Message, String> {
    let body = postcard::to_allocvec(value).map_err(|error| error.to_string())?;
    Ok(Message { head: Bytes::new(), body: body.into() })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, String> {
    let done = crate::blocking::blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}
