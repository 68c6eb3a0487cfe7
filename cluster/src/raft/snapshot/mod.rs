//! Snapshots of State: sealed chunk files and a manifest that names them.
//!
//! ```text
//! snapshots/manifest         sealed: what it covers, who are members, and the list of chunks
//! snapshots/chunks/<name>    sealed: up to 256 KiB of State; named by a hash of the sealed bytes
//! snapshots/spare/           the same once more: the log behind a snapshot is gone, so one flipped bit must not cost State
//! ```
//! Every file is written beside, synced, renamed and its folder synced. The manifest is replaced last, so there is always
//! one whole snapshot; chunks that the new one shares with the old are not written again. A start mends what is whole in
//! one copy only.

mod chunker;
mod files;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

pub use files::SnapshotFolder;

use super::types::{LogId, StoredMembership, TypeConfig};
use crate::persist::Persist;

/// What a snapshot covers, as openraft names it.
pub type SnapshotMeta = openraft::SnapshotMeta<u64, openraft::EmptyNode>;
/// A snapshot as openraft hands it around.
pub type Snapshot = openraft::Snapshot<TypeConfig>;

/// SHA-256 of a chunk's plain bytes.
pub type ChunkHash = [u8; 32];

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk refused.
    #[error("the snapshot's disk failed: {0}")]
    Io(#[from] std::io::Error),
    /// Stored bytes are not what was written.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// State could not be written down: a fault in the program or no randomness.
    #[error("the snapshot could not be written down: {0}")]
    Unencodable(String),
}

/// One chunk of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    /// Of its plain bytes.
    pub hash: ChunkHash,
    /// Its plain length.
    pub length: u32,
    /// Of its sealed bytes: the file's name.
    pub name: [u8; 32],
}

/// Everything about one snapshot but the chunks themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The newest record applied.
    pub last: Option<LogId>,
    /// Members in force.
    pub membership: StoredMembership,
    /// How many Entries were applied.
    pub entries: u64,
    /// The chunks, in order.
    pub chunks: Vec<ChunkRef>,
}

impl Persist for Manifest {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

impl Manifest {
    /// As openraft names it.
    #[must_use]
    pub fn meta(&self) -> SnapshotMeta {
        let name = self
            .last
            .map_or_else(|| "empty".to_owned(), |last| format!("{}-{}", last.leader_id.term, last.index));
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone(), snapshot_id: name }
    }

    /// Plain bytes of State.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.length)).sum()
    }
}

/// Gives out chunks of a snapshot by their place: a folder here, or another node.
pub trait ChunkSource: Send + Sync + 'static {
    /// The plain bytes of one chunk, checked against its hash.
    ///
    /// # Errors
    /// When it cannot be read or is not what it should be.
    fn chunk(&self, chunk: &ChunkRef) -> Result<Vec<u8>, SnapshotError>;
}

/// A snapshot that can be read: what openraft passes from the machine to the network and back.
#[derive(Clone)]
pub struct SnapshotImage {
    /// What it holds. `None` while nothing was received yet.
    pub manifest: Option<Manifest>,
    /// Where the chunks are.
    pub source: Arc<dyn ChunkSource>,
}

impl fmt::Debug for SnapshotImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks = self.manifest.as_ref().map(|manifest| manifest.chunks.len());
        write!(formatter, "SnapshotImage(chunks: {chunks:?})")
    }
}

/// SHA-256.
#[must_use]
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}
