//! One file of the audit log: sealed records one after another, each with its number and checksum.

use std::io;
use std::path::{Path, PathBuf};

use super::AuditError;
use crate::audit_record::AuditRecord;
use crate::disk::{Disk, files};
use crate::keyring::AeadKey;
use crate::persist::{self, Persist};

/// A segment takes no more records from this size on.
pub(super) const FULL: u64 = 1024 * 1024;
const MAGIC: &[u8; 8] = b"mkaudt01";
const PREFIX: usize = 4 + 4 + 8;
const RECORD_LIMIT: usize = 64 * 1024;

impl Persist for AuditRecord {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// The first bytes of every segment.
pub(super) fn start() -> Vec<u8> {
    MAGIC.to_vec()
}

/// The file whose first record has number `first`.
pub(super) fn path(first: u64) -> PathBuf {
    PathBuf::from(format!("{first:020}.audit"))
}

/// Moves a segment out of the way, so that its number is free. It is kept as evidence under a name that says `why`.
pub(super) fn set_aside(disk: &dyn Disk, first: u64, why: &str) -> io::Result<()> {
    free_name(disk, first, why)?.map_or(Ok(()), |to| disk.rename(&path(first), &to))
}

/// Keeps a copy of a segment that is about to be replaced by its beginning.
pub(super) fn keep_whole(disk: &dyn Disk, first: u64, why: &str, bytes: &[u8]) -> io::Result<()> {
    free_name(disk, first, why)?.map_or(Ok(()), |to| files::write_atomically(disk, &to, bytes))
}

fn free_name(disk: &dyn Disk, first: u64, why: &str) -> io::Result<Option<PathBuf>> {
    let from = path(first);
    let taken = disk.list(Path::new(""))?;
    let is_free = |path: &PathBuf| !taken.iter().any(|name| Path::new(name) == path);
    Ok((0_u32..).map(|count| from.with_extension(format!("{why}-{count}"))).find(is_free))
}

/// How much of a segment comes before the first record after number `sequence`.
pub(super) fn length_up_to(bytes: &[u8], sequence: u64) -> usize {
    let mut frames = Frames::of(bytes);
    loop {
        let at = bytes.len() - frames.rest.len();
        match frames.next() {
            Some(Frame::Whole(stored)) if stored.sequence > sequence => return at,
            Some(_) => {}
            None => return at,
        }
    }
}

/// The first numbers of all segments, in order.
pub(super) fn list(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    let names = disk.list(Path::new(""))?;
    let numbers = names.iter().filter_map(|name| name.strip_suffix(".audit")?.parse::<u64>().ok());
    let mut firsts: Vec<u64> = numbers.collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Appends `record` to `bytes`, sealed and framed.
pub(super) fn push(bytes: &mut Vec<u8>, record: &AuditRecord, key: &AeadKey) -> Result<(), AuditError> {
    let unencodable = |error: &dyn std::fmt::Display| AuditError::Unencodable(error.to_string());
    let plain = persist::encode(record).map_err(|error| unencodable(&error))?;
    let number = record.sequence.to_be_bytes();
    let sealed = key.seal(&number, &plain).map_err(|error| unencodable(&error))?;
    let length = u32::try_from(sealed.len()).map_err(|error| unencodable(&error))?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&checksum(&number, &sealed).to_be_bytes());
    bytes.extend_from_slice(&number);
    bytes.extend_from_slice(&sealed);
    Ok(())
}

/// One stored record, still sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) sequence: u64,
    sealed: &'a [u8],
}

impl Stored<'_> {
    pub(super) fn open(&self, key: &AeadKey) -> Result<AuditRecord, AuditError> {
        let damaged =
            |error: &dyn std::fmt::Display| AuditError::Damaged(format!("record {}: {error}", self.sequence));
        let plain = key.open(&self.sequence.to_be_bytes(), self.sealed).map_err(|error| damaged(&error))?;
        persist::decode(&plain).map_err(|error| damaged(&error))
    }
}

/// One frame of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frame<'a> {
    /// Whole.
    Whole(Stored<'a>),
    /// Not what was written. Where it ends is known from its length, so reading goes on after it.
    Damaged,
    /// Not what was written, and so that nothing after it can be made out.
    Unreadable,
}

/// One frame taken apart, nothing checked yet.
struct Parts<'a> {
    /// The checksum it carries.
    expected: u32,
    number: &'a [u8],
    sealed: &'a [u8],
    /// What follows the frame.
    after: &'a [u8],
}

/// Walks the frames of a segment.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        // Without the right start nothing in the file is ours: the rest then does not read as frames either.
        Self { rest: bytes.strip_prefix(MAGIC.as_slice()).unwrap_or(bytes) }
    }

    /// The whole ones.
    pub(super) fn whole(self) -> impl Iterator<Item = Stored<'a>> {
        self.filter_map(|frame| if let Frame::Whole(stored) = frame { Some(stored) } else { None })
    }

    /// The next frame's parts. `None` when they do not fit in what is there.
    fn split(&self) -> Option<Parts<'a>> {
        let (prefix, rest) = self.rest.split_at_checked(PREFIX)?;
        let (length, tail) = prefix.split_first_chunk::<4>()?;
        let (expected, number) = tail.split_first_chunk::<4>()?;
        let length =
            usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= RECORD_LIMIT)?;
        let (sealed, after) = rest.split_at_checked(length)?;
        Some(Parts { expected: u32::from_be_bytes(*expected), number, sealed, after })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(Parts { expected, number, sealed, after }) = self.split() else {
            self.rest = &[];
            return Some(Frame::Unreadable);
        };
        self.rest = after;
        let sequence = number.try_into().map(u64::from_be_bytes);
        match sequence {
            Ok(sequence) if checksum(number, sealed) == expected => {
                Some(Frame::Whole(Stored { sequence, sealed }))
            }
            _ => Some(Frame::Damaged),
        }
    }
}

fn checksum(number: &[u8], sealed: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(number), sealed)
}
