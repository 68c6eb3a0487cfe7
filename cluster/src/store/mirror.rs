//! Where else a writer's files go: other nodes hold the same bytes.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use super::BlobError;

/// One write to the files of a Blob, as it was done here.
#[derive(Debug, Clone)]
pub enum FileWrite {
    /// At this offset of the data file.
    Data {
        /// Where.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// At this offset of the frames area.
    Frames {
        /// Where.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// All before this durable, then this tail slot.
    Barrier {
        /// Its number.
        sequence: u64,
        /// The slot.
        slot: Bytes,
    },
    /// The trailer; then the file is complete and has this hash.
    Seal {
        /// Where the trailer goes.
        offset: u64,
        /// The trailer.
        trailer: Bytes,
        /// The hash.
        hash: [u8; 32],
    },
}

/// Sends a writer's files to other nodes, in order and without waiting.
#[async_trait]
pub trait Mirror: Debug + Send + Sync {
    /// Takes the next write. Gives its number.
    fn push(&self, write: FileWrite) -> u64;

    /// Waits until not too much is on its way.
    ///
    /// # Errors
    /// [`BlobError::TooFewCopies`] when too few nodes are left.
    async fn room(&self) -> Result<(), BlobError>;

    /// Waits until the write `number`, a barrier or the sealing, is durable on as many nodes as it must be, this one
    /// counted where it is a holder.
    ///
    /// # Errors
    /// [`BlobError::TooFewCopies`] when too few nodes are left, [`BlobError::Fenced`] when another writer has come.
    async fn settled(&self, number: u64) -> Result<(), BlobError>;
}
