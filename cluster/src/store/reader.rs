//! Reading by range: whole records are read and verified, and only then a byte of them leaves.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};

use super::content::Content;
use super::progress::{Growth, Progress, Published};
use super::{BlobError, MAX_READ, blocking};
use crate::blob::{BlobKind, BlobName, RECORD, SEALED_RECORD, record_at};
use crate::keyring::TAG_LENGTH;

/// Records read from the disk at a time: with what they are opened into, they fit into a core's own cache.
const READ_TOGETHER: u64 = 4;
/// The same past the disk's cache, where nothing is read ahead.
const READ_ONCE_TOGETHER: u64 = 8;

/// Says whether bytes from a file of a Blob are what was written, and what is in them.
pub type Check = Arc<dyn Fn(&[u8]) -> Result<Bytes, BlobError> + Send + Sync>;

/// The copies of a Blob that are not read from this node's disk.
#[async_trait]
pub trait OtherCopies: fmt::Debug + Send + Sync {
    /// Reads `length` bytes at `offset` of the file of records from one copy after the other, until `check` is content
    /// with what came. Gives what `check` made of it.
    ///
    /// # Errors
    /// That of the last copy, when none is sound.
    async fn read(&self, name: BlobName, offset: u64, length: u32, check: Check) -> Result<Bytes, BlobError>;

    /// Tells that the copy on this node's disk is damaged or lost.
    fn damaged(&self, name: BlobName);
}

/// A reader of one Blob. Cheap to clone; sees the Blob grow.
#[derive(Clone)]
pub struct BlobReader {
    content: Arc<Content>,
    others: Option<Arc<dyn OtherCopies>>,
}

impl BlobReader {
    pub(super) fn new(content: Arc<Content>) -> Self {
        Self { content, others: None }
    }

    /// The same, that goes on with `others` where this node's copy cannot be read.
    pub(crate) fn with_others(self, others: Arc<dyn OtherCopies>) -> Self {
        Self { others: Some(others), ..self }
    }

    /// Whether a writer on this node makes it grow.
    pub(crate) fn is_written_here(&self) -> bool {
        self.content.is_written_here()
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
        self.read_upto(offset, u64::from(length.min(MAX_READ))).await
    }

    /// Reads all of `length` bytes at `offset` in one piece, however long it is. Every byte was verified.
    ///
    /// # Errors
    /// As [`BlobReader::read`]; [`BlobError::Io`] when the Blob has fewer durable bytes.
    pub async fn read_span(&self, offset: u64, length: u64) -> Result<Bytes, BlobError> {
        let first = self.read_upto(offset, length).await?;
        if first.len() as u64 == length {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(within(length)?);
        whole.extend_from_slice(&first);
        while (whole.len() as u64) < length {
            let done = whole.len() as u64;
            let more = self.read_upto(offset + done, length - done).await?;
            if more.is_empty() {
                return Err(BlobError::Io("the Blob is shorter than its index says".to_owned()));
            }
            whole.extend_from_slice(&more);
        }
        Ok(whole.freeze())
    }

    /// Reads at most `length` bytes: all of them from this node's disk, as much as one answer holds from others.
    async fn read_upto(&self, offset: u64, length: u64) -> Result<Bytes, BlobError> {
        let content = Arc::clone(&self.content);
        let Some(others) = &self.others else {
            return blocking(move || read_blocking(&content, offset, length)).await;
        };
        if !content.elsewhere {
            match read_here(&content, offset, length).await {
                Err(BlobError::Corrupt { .. } | BlobError::Damaged(_) | BlobError::Io(_)) => {
                    others.damaged(content.name());
                }
                // Set aside, or given to other nodes: whoever reads it goes on from there.
                Err(BlobError::NotFound) if self.is_sealed() => {}
                read => return read,
            }
        }
        read_elsewhere(content, others.as_ref(), offset, length).await
    }

    /// Whether these files were removed or replaced here: a reader asked for now may find others.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.content.published.borrow().removed
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

/// Reads and verifies at most `length` bytes.
pub(super) fn read_blocking(content: &Content, offset: u64, length: u64) -> Result<Bytes, BlobError> {
    let published = content.published.borrow().clone();
    if published.removed {
        return Err(BlobError::NotFound);
    }
    let end = offset.saturating_add(length).min(published.progress.length);
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

/// Reads from the files here, or from those that have come in their place.
async fn read_here(content: &Arc<Content>, offset: u64, length: u64) -> Result<Bytes, BlobError> {
    let content = Arc::clone(content);
    blocking(move || match read_blocking(&content, offset, length) {
        Err(BlobError::NotFound) if content.published.borrow().progress.sealed => {
            let newer = content.store.content(content.name(), content.data_key.clone())?;
            read_blocking(&newer, offset, length)
        }
        read => read,
    })
    .await
}

/// Reads and verifies from the copies on other nodes.
async fn read_elsewhere(
    content: Arc<Content>,
    others: &dyn OtherCopies,
    offset: u64,
    length: u64,
) -> Result<Bytes, BlobError> {
    let published = content.published.borrow().clone();
    // What is sealed is the same everywhere; an open one may have become another under its next writer.
    if published.removed && !published.progress.sealed {
        return Err(BlobError::NotFound);
    }
    let end = offset.saturating_add(length.min(u64::from(MAX_READ))).min(published.progress.length);
    if offset >= end {
        return Ok(Bytes::new());
    }
    let boundary = if published.tail.is_some() { published.records * RECORD as u64 } else { u64::MAX };
    let mut bytes = Bytes::new();
    if offset < boundary {
        let name = content.name();
        let end = end.min(boundary);
        let span = Span::of(&published, offset, end)?;
        let (at, total) = (span.at, u32::try_from(span.total).unwrap_or(u32::MAX));
        let known = published.clone();
        let check: Check = Arc::new(move |sealed| {
            let mut bytes = Vec::with_capacity(within(end - offset)?);
            open_span(&content, &known, &span, offset..end, sealed, &mut bytes)?;
            Ok(bytes.into())
        });
        bytes = others.read(name, at, total, check).await?;
    }
    let Some(tail) = published.tail.as_ref().filter(|_| end > boundary) else { return Ok(bytes) };
    let tail = tail.slice(within(offset.saturating_sub(boundary))?..within(end - boundary)?);
    Ok(if bytes.is_empty() { tail } else { [bytes, tail].concat().into() })
}

/// A position that is known to be small.
fn within(position: u64) -> Result<usize, BlobError> {
    usize::try_from(position).map_err(|_| BlobError::Io("a position does not fit".to_owned()))
}

/// Records that hold a range, and where they lie in the file.
struct Span {
    first: u64,
    last: u64,
    at: u64,
    total: usize,
}

impl Span {
    fn of(published: &Published, offset: u64, end: u64) -> Result<Self, BlobError> {
        let record = RECORD as u64;
        let (first, last) = (offset / record, (end - 1) / record);
        let total = within(last - first)? * SEALED_RECORD + sealed_length(published, last)?;
        Ok(Self { first, last, at: record_at(first), total })
    }
}

/// Bytes of a record in the file.
fn sealed_length(published: &Published, number: u64) -> Result<usize, BlobError> {
    let plain = published.progress.length - number * RECORD as u64;
    if number < published.records { Ok(SEALED_RECORD) } else { Ok(within(plain)? + TAG_LENGTH) }
}

/// The bytes `offset..end`, all of them in records of the file. A few records at a time go through one small buffer, so
/// that what is read is still in the processor's cache when it is opened.
fn from_records(
    content: &Content,
    published: &Published,
    offset: u64,
    end: u64,
) -> Result<Vec<u8>, BlobError> {
    let mut bytes = Vec::with_capacity(within(end - offset)?);
    let mut sealed = Vec::new();
    let mut next = offset;
    let once = content.is_read_once(end - offset, published.progress.length);
    let together = if once { READ_ONCE_TOGETHER } else { READ_TOGETHER };
    while next < end {
        let upto = end.min((next / RECORD as u64 + together) * RECORD as u64);
        let span = Span::of(published, next, upto)?;
        sealed.resize(span.total, 0);
        let (at, sealed_here) = (span.at, sealed.as_mut_slice());
        let data = &content.data;
        let file_read = if once { data.read_once_at(at, sealed_here) } else { data.read_at(at, sealed_here) };
        let there = file_read.map_err(|error| BlobError::from_io(&error))?;
        open_span(content, published, &span, next..upto, &sealed[..there], &mut bytes)?;
        next = upto;
    }
    Ok(bytes)
}

/// Opens the records of a span, each of them verified, and appends the `wanted` bytes of them.
fn open_span(
    content: &Content,
    published: &Published,
    span: &Span,
    wanted: Range<u64>,
    file_bytes: &[u8],
    bytes: &mut Vec<u8>,
) -> Result<(), BlobError> {
    let record = RECORD as u64;
    let mut scratch = Vec::new();
    for number in span.first..=span.last {
        let at = within(number - span.first)? * SEALED_RECORD;
        let corrupt = || BlobError::Corrupt { record: number };
        let sealed = file_bytes.get(at..at + sealed_length(published, number)?).ok_or_else(corrupt)?;
        let epoch = published.epochs.of_record(number).ok_or_else(corrupt)?;
        let cipher = content.keys.records(epoch)?;
        let is_last = number >= published.records;
        let start = number * record;
        let (from, to) = (wanted.start.max(start), wanted.end.min(start + record));
        let length = within(to - from)?;
        let opened = if length + TAG_LENGTH == sealed.len() {
            let before = bytes.len();
            bytes.resize(before + length, 0);
            cipher.open(number, is_last, sealed, &mut bytes[before..])
        } else {
            scratch.resize(sealed.len() - TAG_LENGTH, 0);
            let opened = cipher.open(number, is_last, sealed, &mut scratch);
            bytes.extend_from_slice(&scratch[within(from - start)?..within(to - start)?]);
            opened
        };
        opened.map_err(|_| {
            tracing::error!(blob = ?content.name(), record = number, "a record is damaged");
            corrupt()
        })?;
    }
    Ok(())
}
