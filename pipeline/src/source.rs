//! Where media comes from: bytes read by range, possibly while they still arrive.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;

/// Readable media bytes. The pipeline never sees a path or a file.
#[async_trait]
pub trait Source: Send + Sync {
    /// The whole length; `None` while it still grows.
    async fn length(&self) -> Option<u64>;

    /// Reads `length` bytes at `offset`, waiting for bytes that are still to arrive; fewer only at the end, and none past it.
    async fn read(&self, offset: u64, length: u32) -> io::Result<Bytes>;
}

/// A whole source in memory: small files and tests.
#[async_trait]
impl Source for Bytes {
    async fn length(&self) -> Option<u64> {
        Some(self.len() as u64)
    }

    async fn read(&self, offset: u64, length: u32) -> io::Result<Bytes> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let end = start.saturating_add(length as usize).min(self.len());
        Ok(self.slice(start..end))
    }
}
