//! What of a Blob is durable and so readable, and waiting for more of it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::BlobError;
use crate::blob::Epochs;

/// How far a Blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Durable bytes.
    pub length: u64,
    /// Durable marks.
    pub marks: usize,
    /// Whether it is sealed: nothing more will come.
    pub sealed: bool,
}

/// A Blob's durable part as readers see it.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) progress: Progress,
    /// Full records in the data file.
    pub(super) records: u64,
    /// Bytes past them, while they are not in a record of the data file.
    pub(super) tail: Option<Bytes>,
    pub(super) epochs: Arc<Epochs>,
    /// Barriers so far: what was queued before a barrier is durable after it.
    pub(super) tickets: u64,
    pub(super) removed: bool,
}

/// Follows the growth of a Blob.
#[derive(Debug, Clone)]
pub struct Growth {
    receiver: watch::Receiver<Published>,
}

impl Growth {
    pub(super) fn new(receiver: watch::Receiver<Published>) -> Self {
        Self { receiver }
    }

    /// How far the Blob is now.
    #[must_use]
    pub fn now(&mut self) -> Progress {
        self.receiver.borrow_and_update().progress
    }

    /// Waits for any change since the last look.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] when the Blob is removed, or nobody holds it open any more.
    pub async fn changed(&mut self) -> Result<Progress, BlobError> {
        self.receiver.changed().await.map_err(|_| BlobError::NotFound)?;
        let published = self.receiver.borrow_and_update();
        if published.removed { Err(BlobError::NotFound) } else { Ok(published.progress) }
    }

    /// Waits until the Blob is longer than `length`, or sealed.
    ///
    /// # Errors
    /// As [`Growth::changed`].
    pub async fn beyond(&mut self, length: u64) -> Result<Progress, BlobError> {
        let reached =
            |seen: &Published| seen.removed || seen.progress.sealed || seen.progress.length > length;
        let published = self.receiver.wait_for(reached).await.map_err(|_| BlobError::NotFound)?;
        if published.removed { Err(BlobError::NotFound) } else { Ok(published.progress) }
    }
}
