//! What a holder has of a Blob, read with the key: which of several copies is furthest, what two have in common, and how
//! one is brought to where another is.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::content::{Content, Parts};
use super::progress::{Progress, Published};
use super::recover::{Found, read_open, read_sealed};
use super::{Beginning, BlobError, BlobReader, BlobWriter, Blobs, blocking};
use crate::blob::cipher::BlobKeys;
use crate::blob::{
    BlobKind, BlobName, FRAMES_AT, FormatError, FrameBody, FrameReader, RECORD, Tail, record_at, seal_tail,
};
use crate::disk::DiskFile;
use crate::keyring::DataKey;

/// What a holder has of a Blob.
#[derive(Debug)]
pub enum Face {
    /// Nothing.
    Absent,
    /// An open copy.
    Open(Box<OpenFace>),
    /// A sealed one.
    Sealed {
        /// The epoch that sealed it.
        epoch: u64,
        /// Its hash.
        hash: [u8; 32],
        /// Bytes of the file.
        file_length: u64,
    },
}

/// An open copy: what it acknowledges, its epochs and marks.
#[derive(Debug)]
pub struct OpenFace {
    keys: BlobKeys,
    key: DataKey,
    found: Found,
}

impl Face {
    /// Which copy is further: all that was acknowledged is in the one of the highest rank among any two holders of three.
    /// A writer makes its first tail on a holder only when that holder has all that the writer began with.
    ///
    /// What one epoch wrote only grows, so of two copies of it the longer one has all of the other, marks too. The number of
    /// the barrier says that of whole copies alone: one that was left on its way ([`OpenFace::beginning`]) has a part of the
    /// bytes beside the number of a barrier that its source has made, maybe for nobody but itself.
    #[must_use]
    pub fn rank(&self) -> (u64, u64, u64) {
        match self {
            Self::Absent => (0, 0, 0),
            Self::Open(open) => {
                let tail = &open.found.tail;
                (tail.epoch, tail.length(), tail.sequence)
            }
            Self::Sealed { epoch, file_length, .. } => (*epoch, u64::MAX, *file_length),
        }
    }

    /// Reads the file of tails and frames as another node sent it.
    ///
    /// # Errors
    /// [`BlobError::Damaged`].
    pub fn open(name: BlobName, key: &DataKey, file: Bytes) -> Result<Self, BlobError> {
        let keys = BlobKeys::new(key.clone(), name);
        let file = Pieces { length: file.len() as u64, pieces: vec![(0, file)] };
        let found = read_open(&keys, &file)?;
        Ok(Self::Open(Box::new(OpenFace { keys, key: key.clone(), found })))
    }

    /// Full records that stay in this copy when it is brought to `target`.
    #[must_use]
    pub fn records_in_common(&self, target: &OpenFace) -> u64 {
        match self {
            Self::Open(open) => {
                let (one, two) = (&open.found, &target.found);
                one.epochs.differ_from(&two.epochs).min(one.tail.records).min(two.tail.records)
            }
            _ => 0,
        }
    }
}

impl OpenFace {
    /// What a writer on this node, that has written nothing yet, stands at.
    pub(crate) async fn of_writer(writer: &BlobWriter) -> Result<Self, BlobError> {
        let content = Arc::clone(writer.content());
        blocking(move || {
            let key = content.data_key.clone();
            let keys = BlobKeys::new(key.clone(), content.name());
            let open = content.store.disk.open(&content.paths.open);
            let found = read_open(&keys, open.map_err(|error| BlobError::from_io(&error))?.as_ref())?;
            Ok(Self { keys, key, found })
        })
        .await
    }

    /// Full records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.found.tail.records
    }

    /// The frames, and the number and bytes of the tail slot that acknowledges them.
    ///
    /// # Errors
    /// Only if the cipher is not available.
    pub fn end(&self) -> Result<(Bytes, u64, Bytes), BlobError> {
        let frames = Bytes::copy_from_slice(self.acknowledged_frames()?);
        Ok((frames, self.found.tail.sequence, seal_tail(&self.keys, &self.found.tail)?.into()))
    }

    fn acknowledged_frames(&self) -> Result<&[u8], BlobError> {
        let length = usize::try_from(self.found.tail.frames_length).unwrap_or(usize::MAX);
        self.found.frames.get(..length).ok_or_else(|| FormatError::Damaged("frame").into())
    }

    /// How a copy that has the first `records` records begins on its way here, for the writer of `epoch`: with the slot
    /// and frames that make those records, and what of the next one fits a tail, a whole Blob. All that was acknowledged
    /// before is in it, because nobody acknowledges more than a tail past what two copies have in common. `next` is the
    /// record after them, sealed; it is not asked for when there is none.
    ///
    /// # Errors
    /// [`BlobError::Corrupt`] when `next` is not that record.
    pub fn beginning(&self, epoch: u64, records: u64, next: &[u8]) -> Result<(Beginning, Bytes), BlobError> {
        let whole = &self.found.tail;
        let (tail, frames) = if records >= whole.records {
            (whole.clone(), self.acknowledged_frames()?)
        } else {
            self.cut(records, next)?
        };
        let slot = seal_tail(&self.keys, &tail)?;
        let beginning = Beginning {
            kind: self.found.kind,
            epoch,
            keep_records: tail.records,
            sequence: tail.sequence,
            slot_length: u32::try_from(slot.len()).map_err(|_| FormatError::TooLong("tail"))?,
        };
        Ok((beginning, [slot.as_slice(), frames].concat().into()))
    }

    fn cut(&self, records: u64, next: &[u8]) -> Result<(Tail, &[u8]), BlobError> {
        let corrupt = BlobError::Corrupt { record: records };
        let record_epoch = self.found.epochs.of_record(records).ok_or_else(|| corrupt.clone())?;
        let mut bytes = vec![0; RECORD];
        self.keys.records(record_epoch)?.open(records, false, next, &mut bytes).map_err(|_| corrupt)?;
        bytes.truncate(RECORD - 1);
        let length = records * RECORD as u64 + bytes.len() as u64;
        let frames = self.acknowledged_frames()?;
        let mut reader = FrameReader::new(&self.keys, frames);
        let (mut epoch, mut frames_length, mut count) = (0, 0, 0);
        while let Ok(frame) = reader.read() {
            match frame.body {
                FrameBody::Epoch { first_record } if first_record <= records => epoch = frame.epoch,
                FrameBody::Mark(mark) if mark.length <= length => {}
                _ => break,
            }
            (frames_length, count) = (reader.position(), reader.count());
        }
        let sequence = self.found.tail.sequence.saturating_sub(1);
        let frames_end = frames_length as u64;
        let tail = Tail { sequence, epoch, records, frames_length: frames_end, frames: count, bytes };
        Ok((tail, frames.get(..frames_length).unwrap_or_default()))
    }

    fn published(&self) -> Published {
        let found = &self.found;
        Published {
            progress: Progress { length: found.tail.length(), marks: found.marks.len(), sealed: false },
            records: found.tail.records,
            tail: Some(Bytes::copy_from_slice(&found.tail.bytes)),
            epochs: Arc::new(found.epochs.clone()),
            tickets: 0,
            removed: false,
        }
    }
}

impl Blobs {
    /// A Blob whose open copies are on other nodes, as the copy `face` shows it.
    pub(crate) fn open_elsewhere(&self, face: OpenFace) -> Away {
        let name = face.keys.name();
        let published = face.published();
        let OpenFace { key, found, .. } = face;
        let parts = Parts {
            kind: found.kind,
            data_key: key,
            data: Arc::new(Nowhere),
            open: None,
            published,
            marks: found.marks,
            sequence: found.tail.sequence,
            elsewhere: true,
        };
        Away { content: Arc::new(Content::new(Arc::clone(&self.inner), name, parts)) }
    }

    /// A sealed Blob on other nodes: `pieces` are its header, index and trailer with their places in the file.
    pub(crate) fn sealed_elsewhere(
        &self,
        name: BlobName,
        key: &DataKey,
        file_length: u64,
        pieces: Vec<(u64, Bytes)>,
    ) -> Result<Away, BlobError> {
        let keys = BlobKeys::new(key.clone(), name);
        let (footer, kind): (_, BlobKind) = read_sealed(&keys, &Pieces { length: file_length, pieces })?;
        let published = Published {
            progress: Progress { length: footer.length, marks: footer.marks.len(), sealed: true },
            records: footer.full_records(),
            tail: None,
            epochs: Arc::new(footer.epochs),
            tickets: 0,
            removed: false,
        };
        let parts = Parts {
            kind,
            data_key: key.clone(),
            data: Arc::new(Nowhere),
            open: None,
            published,
            marks: footer.marks,
            sequence: 0,
            elsewhere: true,
        };
        Ok(Away { content: Arc::new(Content::new(Arc::clone(&self.inner), name, parts)) })
    }
}

/// A Blob that is read from other nodes.
#[derive(Clone)]
pub(crate) struct Away {
    content: Arc<Content>,
}

/// The same, as long as somebody reads it.
pub(crate) struct WeakAway {
    content: std::sync::Weak<Content>,
}

impl Away {
    pub(crate) fn reader(&self) -> BlobReader {
        BlobReader::new(Arc::clone(&self.content))
    }

    pub(crate) fn weak(&self) -> WeakAway {
        WeakAway { content: Arc::downgrade(&self.content) }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.content.published.borrow().progress.sealed
    }

    /// Refuses a key that is not the one it was opened with.
    pub(crate) fn for_key(&self, key: &DataKey) -> Result<(), BlobError> {
        self.content.for_key(key)
    }

    /// Takes note that the Blob is as far as `newer`. It never goes back.
    pub(crate) fn advance(&self, newer: &Self) {
        let next = newer.content.published.borrow().clone();
        let marks = newer.content.marks().clone();
        let now = self.content.published.borrow().clone();
        let further = next.progress.sealed && !now.progress.sealed
            || next.progress.length > now.progress.length
            || next.progress.marks > now.progress.marks;
        if further && next.progress.length >= now.progress.length {
            *self.content.marks_mut() = marks;
            self.content.publish(|published| *published = next);
        }
    }

    /// The Blob is gone: whoever reads it hears so.
    pub(crate) fn end(&self) {
        self.content.publish(|published| published.removed = true);
    }
}

impl WeakAway {
    pub(crate) fn upgrade(&self) -> Option<Away> {
        self.content.upgrade().map(|content| Away { content })
    }

    pub(crate) fn is_read(&self) -> bool {
        self.content.strong_count() > 0
    }
}

/// Where the frames of an open file end that must be fetched, and where the records of one begin.
pub(crate) const OPEN_HEAD: u64 = FRAMES_AT;

/// Where record `number` lies.
pub(crate) fn place_of(number: u64) -> u64 {
    record_at(number)
}

/// The data file of a Blob that is not here.
#[derive(Debug)]
struct Nowhere;

fn not_here() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the file is on other nodes")
}

impl DiskFile for Nowhere {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Err(not_here())
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(not_here())
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(not_here())
    }
    fn len(&self) -> io::Result<u64> {
        Err(not_here())
    }
    fn sync_data(&self) -> io::Result<()> {
        Err(not_here())
    }
}

/// Pieces of a file that were fetched; what lies between them reads as zeros.
#[derive(Debug)]
struct Pieces {
    length: u64,
    pieces: Vec<(u64, Bytes)>,
}

impl DiskFile for Pieces {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.length.saturating_sub(offset).min(buffer.len() as u64);
        let there = usize::try_from(there).unwrap_or(buffer.len());
        buffer[..there].fill(0);
        for (start, bytes) in &self.pieces {
            let (from, to) = (offset.max(*start), (offset + there as u64).min(start + bytes.len() as u64));
            if let (Ok(at), Ok(skip), Some(length)) =
                (usize::try_from(from - offset), usize::try_from(from - start), to.checked_sub(from))
            {
                let length = usize::try_from(length).unwrap_or(0);
                buffer[at..at + length].copy_from_slice(&bytes[skip..skip + length]);
            }
        }
        Ok(there)
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(not_here())
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(not_here())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.length)
    }
    fn sync_data(&self) -> io::Result<()> {
        Err(not_here())
    }
}
