//! The sealed format of a Blob: pure functions from and to bytes, no disk.
//!
//! A Blob is a run of plaintext bytes, cut into records of 64 KiB. Each record is sealed by AES-256-GCM in the STREAM
//! manner: under a subkey of the asset's data key that belongs to this Blob and one *writer epoch*, with the record's
//! number and a last-record flag in the nonce, bound to format version, asset, Blob, epoch and number. A writer epoch is
//! used by one writer in one lifetime and seals each record number once, so no key and nonce ever seal two plaintexts.
//!
//! On disk an open Blob is two files, a sealed one is one:
//!
//! ```text
//! <blob>.data   header | record 0 | record 1 | ...                        full records only
//! <blob>.open   header | tail slot A | tail slot B | frame 0 | frame 1 .. what was acknowledged; epochs and marks
//! <blob>.blob   header | record 0 | ... | last record | index | trailer   the data file, sealed in place and renamed
//! ```
//! The bytes past the last full record are the *tail*: sealed whole under a tail subkey with a random nonce, into the
//! slot that does not hold the last acknowledged one. A tail slot also says how many records and frames were durable
//! before it was written; that is what was acknowledged.

pub mod cipher;
mod footer;
mod frame;
mod header;
mod tail;

use serde::{Deserialize, Serialize};

use crate::id::{AssetId, BlobId};
use crate::keyring::KeyError;

pub use footer::{Footer, TRAILER_LENGTH, Trailer, open_footer, read_trailer, seal_footer};
pub use frame::{Frame, FrameBody, FrameReader, MAX_FRAME, seal_frame};
pub use header::{HEADER_LENGTH, Header, HeaderKind};
pub use tail::{SLOT_LENGTH, Tail, open_tail, seal_tail, slot_stamp};

/// Plaintext bytes of a full record.
pub const RECORD: usize = 64 * 1024;
/// Bytes of a full record on disk.
pub const SEALED_RECORD: usize = RECORD + crate::keyring::TAG_LENGTH;
/// The longest mark.
pub const MAX_MARK: usize = 4096;
/// The most bytes all marks of one Blob may have together.
pub const MAX_MARKS_TOTAL: usize = 64 * 1024 * 1024;
/// The format version written now.
pub const FORMAT_VERSION: u8 = 1;

/// Where the first tail slot lies in the `.open` file.
const SLOTS_AT: u64 = 4096;
/// From one slot to the next: a whole number of pages, so that a torn write of one never touches the other.
const SLOT_STRIDE: u64 = 17 * 4096;
/// Where the frames begin in the `.open` file.
pub const FRAMES_AT: u64 = SLOTS_AT + 2 * SLOT_STRIDE;

/// Where record `number` begins in the data file.
#[must_use]
pub fn record_at(number: u64) -> u64 {
    HEADER_LENGTH as u64 + number * SEALED_RECORD as u64
}

/// Where the slot of barrier `sequence` lies: they take turns.
#[must_use]
pub fn slot_at(sequence: u64) -> u64 {
    SLOTS_AT + sequence % 2 * SLOT_STRIDE
}

pub use crate::command::BlobKind;

/// The kinds in the order of their bytes on disk: only ever added to at the end.
const KINDS: [BlobKind; 10] = [
    BlobKind::Original,
    BlobKind::Rendition,
    BlobKind::Audio,
    BlobKind::Subtitles,
    BlobKind::Poster,
    BlobKind::Storyboard,
    BlobKind::Waveform,
    BlobKind::Manifest,
    BlobKind::Caption,
    BlobKind::Audit,
];

/// The kind's byte on disk, from 1.
fn kind_to_byte(kind: BlobKind) -> u8 {
    KINDS.iter().zip(1..).find(|(known, _)| **known == kind).map_or(0, |(_, byte)| byte)
}

fn kind_from_byte(byte: u8) -> Option<BlobKind> {
    KINDS.iter().zip(1..).find(|(_, number)| *number == byte).map(|(kind, _)| *kind)
}

/// Which Blob: bound into everything that is sealed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobName {
    /// The asset it belongs to.
    pub asset: AssetId,
    /// The Blob itself.
    pub blob: BlobId,
}

impl BlobName {
    /// The associated data of one sealed part: version, asset, Blob, then what the part adds.
    fn context(&self, part: &[u8; 4], rest: &[&[u8]]) -> Vec<u8> {
        let mut context = Vec::with_capacity(96);
        context.push(FORMAT_VERSION);
        context.extend_from_slice(part);
        context.extend_from_slice(self.asset.as_bytes());
        context.extend_from_slice(self.blob.as_bytes());
        for piece in rest {
            context.extend_from_slice(piece);
        }
        context
    }
}

/// Which epoch sealed which records: `(epoch, its first record)`, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epochs(Vec<(u64, u64)>);

impl Epochs {
    /// The epoch that sealed record `number`.
    #[must_use]
    pub fn of_record(&self, number: u64) -> Option<u64> {
        let after = self.0.partition_point(|(_, first)| *first <= number);
        self.0[..after].last().map(|(epoch, _)| *epoch)
    }

    /// The newest epoch; 0 when there is none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.0.last().map_or(0, |(epoch, _)| *epoch)
    }

    /// Adds the next epoch. `false`, and nothing changed, if it is not higher or would begin before the last one.
    #[must_use]
    pub fn push(&mut self, epoch: u64, first_record: u64) -> bool {
        let fits = self
            .0
            .last()
            .map_or(epoch > 0 && first_record == 0, |(last, first)| epoch > *last && first_record >= *first);
        if fits {
            self.0.push((epoch, first_record));
        }
        fits
    }

    /// The first record from which on two histories may differ; `u64::MAX` when they are the same.
    #[must_use]
    pub fn differ_from(&self, other: &Self) -> u64 {
        let same = self.0.iter().zip(&other.0).take_while(|(one, two)| one == two).count();
        let next = |epochs: &Self| epochs.0.get(same).map_or(u64::MAX, |(_, first)| *first);
        next(self).min(next(other))
    }

    /// The same, checked: for a list that was read.
    fn is_sound(&self) -> bool {
        let mut rebuilt = Self::default();
        !self.0.is_empty() && self.0.iter().all(|(epoch, first)| rebuilt.push(*epoch, *first))
    }
}

/// An opaque record of the owner, tied to a length of the Blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The Blob's length when the mark was made: all bytes before it were there.
    pub length: u64,
    /// The owner's bytes.
    pub bytes: bytes::Bytes,
}

/// A part of a Blob's files is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Wrong magic, checksum or shape.
    #[error("the {0} is damaged")]
    Damaged(&'static str),
    /// Written by a newer build.
    #[error("format version {0} is not known to this build")]
    UnknownVersion(u8),
    /// Belongs to another Blob.
    #[error("the file belongs to another Blob")]
    OtherBlob,
    /// Longer than allowed.
    #[error("the {0} is longer than allowed")]
    TooLong(&'static str),
    /// The cipher could not be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Takes `N` bytes off the front of `bytes`.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests;
