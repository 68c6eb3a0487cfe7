//! The original as the pipeline reads it: by range, also while it still arrives.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cluster::blob::BlobName;
use cluster::store::{BlobError, BlobReader};
use pipeline::Source;

/// The original of one asset.
#[derive(Debug, Clone)]
pub struct OriginalSource {
    reader: BlobReader,
    trouble: Arc<Mutex<Option<BlobError>>>,
}

impl OriginalSource {
    /// Over a reader of the original's Blob.
    pub fn new(reader: BlobReader) -> Self {
        Self { reader, trouble: Arc::default() }
    }

    /// Which Blob it is.
    pub fn name(&self) -> BlobName {
        self.reader.name()
    }

    /// Why bytes could not be had the last time: the pipeline is told only that.
    pub fn trouble(&self) -> Option<BlobError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, error: BlobError) -> io::Error {
        let kind = match error {
            BlobError::NotFound => io::ErrorKind::NotFound,
            _ if error.is_damage() => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        let told = io::Error::new(kind, error.to_string());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        told
    }
}

#[async_trait]
impl Source for OriginalSource {
    async fn length(&self) -> Option<u64> {
        let progress = self.reader.progress();
        progress.sealed.then_some(progress.length)
    }

    async fn read(&self, offset: u64, length: u32) -> io::Result<Bytes> {
        let wanted = offset.saturating_add(u64::from(length));
        let mut growth = self.reader.watch_growth();
        let mut progress = growth.now();
        // What is asked for in full, or the end: a short answer would be taken for the end of the file.
        while !progress.sealed && progress.length < wanted {
            progress = growth.beyond(progress.length).await.map_err(|error| self.note(error))?;
        }
        let end = wanted.min(progress.length);
        if offset >= end {
            return Ok(Bytes::new());
        }
        self.reader.read_span(offset, end - offset).await.map_err(|error| self.note(error))
    }
}
