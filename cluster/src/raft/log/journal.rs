//! A plain checksummed journal beside sled, the first to hold a record: it takes one write and one sync, where sled wakes a
//! dozen threads. While the cluster has no third voter to heal the log, sled follows in the same barrier and the two are
//! two copies; with more voters sled comes after.
//!
//! When the log is cut, the end of the journal that still counts is copied as it stands and put in place by a rename, so it
//! never grows past what the log holds. Room is made ahead of the frames, as zeros: a sync need not wait for the file
//! system to note a new length.

use std::collections::BTreeMap;
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
    /// Where the frame of each record begins.
    starts: BTreeMap<u64, u64>,
}

/// What a journal begins with, before its records.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Everything up to here is cut.
    pub purged: Option<LogId>,
    /// The newest vote given.
    pub vote: Option<Vote>,
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
        let mut bytes = Head { purged: content.purged, vote: content.vote }.bytes()?;
        let mut starts = BTreeMap::new();
        for (index, record) in &content.records {
            starts.insert(*index, bytes.len() as u64);
            push_frame(&mut bytes, &Frame::Record(record.clone()))?;
        }
        if let Some(committed) = content.committed {
            push_frame(&mut bytes, &Frame::Committed(committed))?;
        }
        Self::put(disk, &bytes, starts)
    }

    fn put(disk: &Arc<dyn Disk>, bytes: &[u8], starts: BTreeMap<u64, u64>) -> Result<Self, LogError> {
        files::write_atomically(&**disk, Path::new(NAME), bytes)?;
        let file = disk.open(Path::new(NAME))?;
        let length = bytes.len() as u64;
        Ok(Self { file, length, room: length, starts })
    }

    /// Appends `changes` and makes them durable.
    ///
    /// # Errors
    /// When the write or the sync fails; what is on disk is then unknown and the node must stop.
    pub fn append(&mut self, changes: &[Change]) -> Result<(), LogError> {
        let (start, mut bytes) = (self.length, Vec::new());
        for change in changes {
            self.push(start, &mut bytes, change)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let end = start + bytes.len() as u64;
        if end > self.room {
            bytes.resize(bytes.len() + AHEAD, 0);
        }
        self.file.write_at(start, &bytes)?;
        self.file.sync_data()?;
        self.length = end;
        self.room = self.room.max(start + bytes.len() as u64);
        Ok(())
    }

    /// Adds the frames of one change to `bytes`, which go to `start`.
    fn push(&mut self, start: u64, bytes: &mut Vec<u8>, change: &Change) -> Result<(), LogError> {
        match change {
            Change::Vote(vote) => push_frame(bytes, &Frame::Vote(*vote)),
            Change::Committed(committed) => push_frame(bytes, &Frame::Committed(*committed)),
            Change::Truncate(from) => {
                self.starts.split_off(from);
                push_frame(bytes, &Frame::Truncate(*from))
            }
            Change::Purge(upto) => {
                self.starts = self.starts.split_off(&(upto.index + 1));
                push_frame(bytes, &Frame::Purge(*upto))
            }
            Change::Append(records) => records.iter().try_for_each(|(log_id, record)| {
                self.starts.insert(log_id.index, start + bytes.len() as u64);
                push_frame(bytes, &Frame::Record(record.clone()))
            }),
        }
    }

    /// Lets go of the frames before the first record that is left. `head` is what they said besides records; what comes
    /// after that record is kept as it stands, so that nothing is read but the journal's own end.
    ///
    /// # Errors
    /// When any step fails; the journal before is still there then.
    pub fn cut(&mut self, disk: &Arc<dyn Disk>, head: Head) -> Result<(), LogError> {
        let from = self.starts.first_key_value().map_or(self.length, |(_, start)| *start);
        let mut bytes = head.bytes()?;
        let begins = bytes.len();
        let kept = usize::try_from(self.length - from).map_err(io::Error::other)?;
        bytes.resize(begins + kept, 0);
        let read = self.file.read_at(from, bytes.get_mut(begins..).unwrap_or_default())?;
        if read != kept {
            return Err(LogError::Damaged { what: format!("the journal ends {} bytes early", kept - read) });
        }
        let moved = |(index, start): (&u64, &u64)| (*index, start - from + begins as u64);
        let starts = self.starts.iter().map(moved).collect();
        *self = Self::put(disk, &bytes, starts)?;
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

impl Head {
    fn bytes(self) -> Result<Vec<u8>, LogError> {
        let mut bytes = MAGIC.to_vec();
        self.purged.map_or(Ok(()), |purged| push_frame(&mut bytes, &Frame::Purge(purged)))?;
        self.vote.map_or(Ok(()), |vote| push_frame(&mut bytes, &Frame::Vote(vote)))?;
        Ok(bytes)
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

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload};

    use super::*;
    use crate::disk::SimulatedDisk;
    use crate::keyring::AeadKey;
    use crate::raft::types::LogEntry;

    fn log_id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term, 1), index)
    }

    fn records(term: u64, range: std::ops::Range<u64>) -> Change {
        let key = AeadKey::new(&[5; 32]).unwrap();
        let record = |index| {
            let entry = LogEntry { log_id: log_id(term, index), payload: EntryPayload::Blank };
            (entry.log_id, record::encode(&entry, &key).unwrap())
        };
        Change::Append(range.map(record).collect())
    }

    /// A life with records taken back, votes in between and two cuts; what is read back is what was done, at every step.
    #[test]
    fn what_is_left_by_a_cut_says_what_the_whole_said() {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1 << 24));
        let (mut journal, mut content) =
            (Journal::rewrite(&disk, &Content::default()).unwrap(), Content::default());
        let life = [
            Change::Vote(Vote::new_committed(1, 1)),
            records(1, 0..10),
            Change::Committed(log_id(1, 5)),
            Change::Purge(log_id(1, 2)),
            Change::Truncate(7),
            Change::Vote(Vote::new_committed(2, 2)),
            records(2, 7..30),
            Change::Truncate(20),
            Change::Vote(Vote::new_committed(3, 1)),
            records(3, 20..25),
            Change::Committed(log_id(3, 22)),
            Change::Purge(log_id(3, 20)),
            records(3, 25..27),
            Change::Purge(log_id(3, 26)),
            records(3, 27..28),
        ];
        for change in life {
            let cut = matches!(change, Change::Purge(_));
            journal.append(std::slice::from_ref(&change)).unwrap();
            content.apply(change).unwrap();
            let before = journal.length;
            if cut {
                journal.cut(&disk, Head { purged: content.purged, vote: content.vote }).unwrap();
                assert!(journal.length < before, "it is shorter");
            }
            let replayed = replay(&*disk).unwrap().unwrap();
            assert_eq!((replayed.stopped, replayed.content.records), (None, content.records.clone()));
            assert_eq!(
                (replayed.content.vote, replayed.content.purged, replayed.content.last),
                (content.vote, content.purged, content.last)
            );
        }
    }
}
