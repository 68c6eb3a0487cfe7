//! Reading by range: whole records are read and verified, and only then a byte of them leaves.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::content::Content;
use super::progress::{Growth, Progress, Published};
use super::{BlobError, MAX_READ, blocking};
use crate::blob::{BlobKind, BlobName, RECORD, SEALED_RECORD, record_at};
use crate::keyring::TAG_LENGTH;

/// A reader of one Blob. Cheap to clone; sees the Blob grow.
#[derive(Clone)]
pub struct BlobReader {
    content: Arc<Content>,
}

impl BlobReader {
    pub(super) fn new(content: Arc<Content>) -> Self {
        Self { content }
    }

    /// Which Blob.
    #[must_use]
    pub fn name(&self) -> BlobName {
        self.content.name()
    }

    /// What the Blob is.
    #[must_use]
    pub fn kind(&self) -> BlobKind {
        self.content.kind
    }

    /// How far the Blob is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.content.published.borrow().progress
    }

    /// Durable bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.progress().length
    }

    /// Whether nothing more will come.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.progress().sealed
    }

    /// When this node last wrote to the Blob, by the file's own time: it outlives the process. `None` where the disk keeps
    /// no times.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn touched(&self) -> Result<Option<SystemTime>, BlobError> {
        let open = self.content.open.as_ref().map(|file| file.modified()).transpose();
        let failed = |error: std::io::Error| BlobError::from_io(&error);
        let open = open.map_err(failed)?.flatten();
        Ok(self.content.data.modified().map_err(failed)?.max(open))
    }

    /// The durable marks from number `from` on, each with the length it is tied to.
    #[must_use]
    pub fn marks(&self, from: usize) -> Vec<(u64, Bytes)> {
        marks_of(&self.content, from)
    }

    /// Reads `length` bytes at `offset`: at most [`MAX_READ`] and at most to the durable end, so fewer than asked may
    /// come, and none at the end. Every byte was verified.
    ///
    /// # Errors
    /// [`BlobError::Corrupt`] names the record that is not what was written.
    pub async fn read(&self, offset: u64, length: u32) -> Result<Bytes, BlobError> {
        let content = Arc::clone(&self.content);
        blocking(move || read_blocking(&content, offset, length)).await
    }

    /// The bytes of `range` (cut at the durable end) in pieces of at most [`MAX_READ`].
    pub fn stream(&self, range: Range<u64>) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + use<> {
        let reader = self.clone();
        stream::try_unfold(range, move |range| {
            let reader = reader.clone();
            async move {
                let wanted = range.end.saturating_sub(range.start).min(u64::from(MAX_READ));
                if wanted == 0 {
                    return Ok(None);
                }
                // To the next piece's boundary, so that no record is read twice.
                let to_boundary = u64::from(MAX_READ) - range.start % u64::from(MAX_READ);
                let wanted = u32::try_from(wanted.min(to_boundary)).unwrap_or(MAX_READ);
                let piece = reader.read(range.start, wanted).await?;
                let next = range.start + piece.len() as u64..range.end;
                Ok(if piece.is_empty() { None } else { Some((piece, next)) })
            }
        })
    }

    /// Follows the Blob's growth.
    #[must_use]
    pub fn watch_growth(&self) -> Growth {
        Growth::new(self.content.published.subscribe())
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BlobReader({:?}, {:?})", self.name(), self.progress())
    }
}

pub(super) fn marks_of(content: &Content, from: usize) -> Vec<(u64, Bytes)> {
    let durable = content.published.borrow().progress.marks;
    let marks = content.marks();
    let wanted = marks.get(from..durable.min(marks.len())).unwrap_or_default();
    wanted.iter().map(|mark| (mark.length, mark.bytes.clone())).collect()
}

/// Reads and verifies; gives at most [`MAX_READ`] bytes.
pub(super) fn read_blocking(content: &Content, offset: u64, length: u32) -> Result<Bytes, BlobError> {
    let published = content.published.borrow().clone();
    if published.removed {
        return Err(BlobError::NotFound);
    }
    let end = offset.saturating_add(u64::from(length.min(MAX_READ))).min(published.progress.length);
    if offset >= end {
        return Ok(Bytes::new());
    }
    let boundary = published.records * RECORD as u64;
    let Some(tail) = &published.tail else {
        return Ok(from_records(content, &published, offset, end)?.into());
    };
    if offset >= boundary {
        let (from, to) = (within(offset - boundary)?, within(end - boundary)?);
        return Ok(tail.slice(from..to));
    }
    let mut bytes = from_records(content, &published, offset, end.min(boundary))?;
    if end > boundary {
        bytes.extend_from_slice(&tail[..within(end - boundary)?]);
    }
    Ok(bytes.into())
}

/// A position that is known to be small.
fn within(position: u64) -> Result<usize, BlobError> {
    usize::try_from(position).map_err(|_| BlobError::Io("a position does not fit".to_owned()))
}

/// The bytes `offset..end`, all of them in records of the file: one read, then each record opened.
fn from_records(
    content: &Content,
    published: &Published,
    offset: u64,
    end: u64,
) -> Result<Vec<u8>, BlobError> {
    let record = RECORD as u64;
    let (first, last) = (offset / record, (end - 1) / record);
    let sealed_length = |number: u64| -> Result<usize, BlobError> {
        let plain = published.progress.length - number * record;
        if number < published.records { Ok(SEALED_RECORD) } else { Ok(within(plain)? + TAG_LENGTH) }
    };
    let total = within(last - first)? * SEALED_RECORD + sealed_length(last)?;
    let mut sealed = vec![0; total];
    let file_read = content.data.read_at(record_at(first), &mut sealed);
    let there = file_read.map_err(|error| BlobError::from_io(&error))?;

    let mut bytes = vec![0; within(end - offset)?];
    let mut scratch = Vec::new();
    for number in first..=last {
        let at = within(number - first)? * SEALED_RECORD;
        let corrupt = || BlobError::Corrupt { record: number };
        let sealed = sealed[..there].get(at..at + sealed_length(number)?).ok_or_else(corrupt)?;
        let epoch = published.epochs.of_record(number).ok_or_else(corrupt)?;
        let cipher = content.keys.records(epoch)?;
        let is_last = number >= published.records;
        let start = number * record;
        let (from, to) = (offset.max(start), end.min(start + record));
        let target = &mut bytes[within(from - offset)?..within(to - offset)?];
        let opened = if target.len() + TAG_LENGTH == sealed.len() {
            cipher.open(number, is_last, sealed, target)
        } else {
            scratch.resize(sealed.len() - TAG_LENGTH, 0);
            let opened = cipher.open(number, is_last, sealed, &mut scratch);
            target.copy_from_slice(&scratch[within(from - start)?..within(to - start)?]);
            opened
        };
        opened.map_err(|_| {
            tracing::error!(blob = ?content.name(), record = number, "a record is damaged");
            corrupt()
        })?;
    }
    Ok(bytes)
}
