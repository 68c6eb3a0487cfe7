//! A plain checksummed journal beside sled, the first to hold a record: it takes one write and one sync, where sled wakes a
//! dozen threads. While the cluster has no third voter to heal the log, sled follows in the same barrier and the two are
//! two copies; with more voters sled comes after.
//!
//! When the log is cut, the journal is written anew and put in place by a rename, so it never grows past what the log
//! holds. Room is made ahead of the frames, as zeros: a sync need not wait for the file system to note a new length.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::LogError;
use super::content::{Change, Content};
use super::record::{self, RECORD_LIMIT};
use crate::disk::{Disk, DiskFile, files};
use crate::persist::{self, Persist};
use crate::raft::types::{LogId, Vote};

/// Where it lies in the log's folder.
const NAME: &str = "journal";
const MAGIC: &[u8; 8] = b"mkjrnl01";
const PREFIX: usize = 4 + 4;
const FRAME_LIMIT: usize = RECORD_LIMIT + 1024;
/// Room made ahead at once, in bytes.
const AHEAD: usize = 64 * 1024;

/// One frame. Records are already sealed; the rest is not private.
#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    Vote(Vote),
    Record(Vec<u8>),
    Truncate(u64),
    Purge(LogId),
    Committed(LogId),
}

impl Persist for Frame {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    file: Arc<dyn DiskFile>,
    /// Where the next frame goes.
    length: u64,
    /// Where the room ends that was made for it.
    room: u64,
}

/// What was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The log as far as the frames are whole.
    pub content: Content,
    /// Why reading stopped before the end of the file, when it did: a torn last write, or damage.
    pub stopped: Option<String>,
}

impl Journal {
    /// Writes a journal that holds exactly `content`, in place of whatever was there.
    ///
    /// # Errors
    /// When any step fails; the old journal is still there then.
    pub fn rewrite(disk: &Arc<dyn Disk>, content: &Content) -> Result<Self, LogError> {
        let bytes = whole(content)?;
        files::write_atomically(&**disk, Path::new(NAME), &bytes)?;
        let file = disk.open(Path::new(NAME))?;
        let length = bytes.len() as u64;
        Ok(Self { file, length, room: length })
    }

    /// Appends `changes` and makes them durable.
    ///
    /// # Errors
    /// When the write or the sync fails; what is on disk is then unknown and the node must stop.
    pub fn append(&mut self, changes: &[Change]) -> Result<(), LogError> {
        let mut bytes = Vec::new();
        for change in changes {
            push_change(&mut bytes, change)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let (start, end) = (self.length, self.length + bytes.len() as u64);
        if end > self.room {
            bytes.resize(bytes.len() + AHEAD, 0);
        }
        self.file.write_at(start, &bytes)?;
        self.file.sync_data()?;
        self.length = end;
        self.room = self.room.max(start + bytes.len() as u64);
        Ok(())
    }

    /// Gives back the room that is not used.
    ///
    /// # Errors
    /// When the disk refuses. What is in the journal is not touched.
    pub fn trim(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.room = self.length;
        self.file.sync_data()
    }
}

/// Reads the journal as far as it is whole. `None` when there is none.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn replay(disk: &dyn Disk) -> io::Result<Option<Replayed>> {
    let Some(bytes) = files::read_if_present(disk, Path::new(NAME))? else { return Ok(None) };
    let mut content = Content::default();
    let Some(mut rest) = bytes.strip_prefix(MAGIC.as_slice()) else {
        return Ok(Some(Replayed { content, stopped: Some("not a journal".to_owned()) }));
    };
    while !is_room(rest) {
        let step = split_frame(rest).and_then(|(body, after)| {
            apply_frame(&mut content, body).map_err(|error| error.to_string())?;
            Ok(after)
        });
        match step {
            Ok(after) => rest = after,
            Err(reason) => {
                let at = bytes.len() - rest.len();
                return Ok(Some(Replayed { content, stopped: Some(format!("at byte {at}: {reason}")) }));
            }
        }
    }
    Ok(Some(Replayed { content, stopped: None }))
}

/// Nothing was written from here on.
fn is_room(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn whole(content: &Content) -> Result<Vec<u8>, LogError> {
    let mut bytes = MAGIC.to_vec();
    if let Some(purged) = content.purged {
        push_change(&mut bytes, &Change::Purge(purged))?;
    }
    if let Some(vote) = content.vote {
        push_change(&mut bytes, &Change::Vote(vote))?;
    }
    for record in content.records.values() {
        push_frame(&mut bytes, &Frame::Record(record.clone()))?;
    }
    if let Some(committed) = content.committed {
        push_change(&mut bytes, &Change::Committed(committed))?;
    }
    Ok(bytes)
}

fn push_change(bytes: &mut Vec<u8>, change: &Change) -> Result<(), LogError> {
    match change {
        Change::Vote(vote) => push_frame(bytes, &Frame::Vote(*vote)),
        Change::Truncate(from) => push_frame(bytes, &Frame::Truncate(*from)),
        Change::Purge(upto) => push_frame(bytes, &Frame::Purge(*upto)),
        Change::Committed(committed) => push_frame(bytes, &Frame::Committed(*committed)),
        Change::Append(records) => {
            records.iter().try_for_each(|(_, record)| push_frame(bytes, &Frame::Record(record.clone())))
        }
    }
}

fn push_frame(bytes: &mut Vec<u8>, frame: &Frame) -> Result<(), LogError> {
    let body = persist::encode(frame).map_err(|error| LogError::Unencodable(error.to_string()))?;
    let length = u32::try_from(body.len()).map_err(|_| LogError::TooLarge { length: body.len() })?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    Ok(())
}

fn split_frame(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (prefix, rest) = bytes.split_at_checked(PREFIX).ok_or("a frame is cut short")?;
    let number = |at: usize| u32::from_be_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]);
    let length = usize::try_from(number(0)).unwrap_or(usize::MAX);
    if length > FRAME_LIMIT {
        return Err("a frame has an impossible length".to_owned());
    }
    let (body, after) = rest.split_at_checked(length).ok_or("a frame is cut short")?;
    if crc32c::crc32c(body) != number(4) {
        return Err("a frame does not have its checksum".to_owned());
    }
    Ok((body, after))
}

fn apply_frame(content: &mut Content, body: &[u8]) -> Result<(), LogError> {
    let frame: Frame =
        persist::decode(body).map_err(|error| LogError::Damaged { what: error.to_string() })?;
    content.apply(match frame {
        Frame::Vote(vote) => Change::Vote(vote),
        Frame::Truncate(from) => Change::Truncate(from),
        Frame::Purge(upto) => Change::Purge(upto),
        Frame::Committed(committed) => Change::Committed(committed),
        Frame::Record(record) => Change::Append(vec![(record::position(&record)?, record)]),
    })
}
