//! The log in sled, made durable by a barrier of our own.
//!
//! sled's `flush` ends in `sync_file_range`: no file size, no drive cache. So after it the `db` file is synced through a
//! second handle, and only then is anything acknowledged. sled may also panic or hang on damaged files: it is opened on a
//! thread of its own with a deadline, and every call is fenced by `catch_unwind`.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::LogError;
use super::content::{Change, Content};
use super::database::Database;
use super::files;
use crate::persist::{self, Persist};
use crate::raft::types::{LogId, Vote};

const RECORD: u8 = b'r';
const VOTE: &[u8] = b"m-vote";
const PURGED: &[u8] = b"m-purged";
const COMMITTED: &[u8] = b"m-committed";
/// How long making an empty database may take.
const CREATED_WITHIN: Duration = Duration::from_secs(60);
const CACHE: u64 = 8 * 1024 * 1024;

/// One sled database holding one log.
#[derive(Debug, Clone)]
pub struct LogTree {
    db: sled::Db,
    file: std::sync::Arc<File>,
}

impl Persist for Vote {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

impl Persist for LogId {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

impl LogTree {
    /// Makes a new database in `dir` (which must not hold one) with `content` in it, durable.
    ///
    /// # Errors
    /// [`LogError`] of the failing step.
    pub fn create(dir: &Path, content: &Content) -> Result<Self, LogError> {
        files::create_dir(dir)?;
        let folder = dir.to_owned();
        let tree = within(CREATED_WITHIN, move || Self::open_here(&folder))?;
        let mut batch = sled::Batch::default();
        content.vote.map_or(Ok(()), |vote| put(&mut batch, VOTE, &vote))?;
        content.purged.map_or(Ok(()), |purged| put(&mut batch, PURGED, &purged))?;
        content.committed.map_or(Ok(()), |committed| put(&mut batch, COMMITTED, &committed))?;
        for (index, record) in &content.records {
            batch.insert(key(*index).as_slice(), record.as_slice());
        }
        guarded(|| tree.db.apply_batch(batch).map_err(LogError::from))?;
        tree.barrier()?;
        tree.file.sync_all()?;
        files::sync_dir(dir)?;
        Ok(tree)
    }

    /// Opens the database in `dir` and reads all of it, giving up after `deadline`.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if sled refuses, panics, hangs, or holds a record that is not whole.
    pub fn open(dir: &Path, deadline: Duration) -> Result<(Self, Content), LogError> {
        let folder = dir.to_owned();
        within(deadline, move || {
            let tree = Self::open_here(&folder)?;
            let content = tree.read_all()?;
            Ok((tree, content))
        })
    }

    fn open_here(dir: &Path) -> Result<Self, LogError> {
        let db = loop {
            // The flusher thread must stay on: it alone collects sled's dead segments.
            let config = sled::Config::new().path(dir).mode(sled::Mode::HighThroughput);
            match config.cache_capacity(CACHE).flush_every_ms(Some(500)).open() {
                // The node's own lock is ours, so this is an earlier life of this process letting go.
                Err(sled::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => break other?,
            }
        };
        let file = File::options().write(true).open(database_file(dir))?;
        Ok(Self { db, file: std::sync::Arc::new(file) })
    }

    fn add(&self, batch: &mut sled::Batch, change: &Change) -> Result<(), LogError> {
        match change {
            Change::Vote(vote) => put(batch, VOTE, vote)?,
            Change::Committed(committed) => put(batch, COMMITTED, committed)?,
            Change::Append(records) => {
                for (log_id, record) in records {
                    batch.insert(key(log_id.index).as_slice(), record.as_slice());
                }
            }
            Change::Truncate(from) => {
                for found in self.db.range(key(*from)..=key(u64::MAX)).keys() {
                    batch.remove(found?);
                }
            }
            Change::Purge(upto) => put(batch, PURGED, upto)?,
        }
        Ok(())
    }

    /// Key by key, in order. A power cut may leave the first few of them, and that is a log, too: each record stands by
    /// itself, and what counts on all of them has the journal. A batch of sled's would have a write of its own for its
    /// head, and each write wakes every thread of sled's pool.
    fn insert(&self, changes: &[Change]) -> Result<(), LogError> {
        let insert =
            |name: &[u8], bytes: sled::IVec| self.db.insert(name, bytes).map(drop).map_err(LogError::from);
        for change in changes {
            match change {
                Change::Vote(vote) => insert(VOTE, checked(vote)?.into())?,
                Change::Committed(committed) => insert(COMMITTED, checked(committed)?.into())?,
                Change::Append(records) => {
                    for (log_id, record) in records {
                        insert(&key(log_id.index), record.as_slice().into())?;
                    }
                }
                Change::Purge(upto) => insert(PURGED, checked(upto)?.into())?,
                Change::Truncate(_) => {}
            }
        }
        Ok(())
    }

    fn barrier(&self) -> Result<(), LogError> {
        guarded(|| self.db.flush().map(drop).map_err(LogError::from))?;
        self.file.sync_data().map_err(LogError::from)
    }

    fn get<T: Persist>(&self, name: &[u8]) -> Result<Option<T>, LogError> {
        let Some(bytes) = self.db.get(name)? else { return Ok(None) };
        let damaged = || LogError::Damaged {
            what: format!("{} does not have its checksum", String::from_utf8_lossy(name)),
        };
        let (checksum, body) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        persist::decode(body).map(Some).map_err(|error| LogError::Damaged { what: error.to_string() })
    }
}

impl Database for LogTree {
    fn write(&self, changes: &[Change]) -> Result<(), LogError> {
        let is_plain = |change: &Change| !matches!(change, Change::Truncate(_));
        guarded(|| {
            if changes.iter().all(is_plain) {
                return self.insert(changes);
            }
            let mut batch = sled::Batch::default();
            for change in changes {
                self.add(&mut batch, change)?;
            }
            self.db.apply_batch(batch).map_err(LogError::from)
        })?;
        self.barrier()
    }

    fn record(&self, index: u64) -> Result<Option<Vec<u8>>, LogError> {
        guarded(|| Ok(self.db.get(key(index))?.map(|bytes| bytes.to_vec())))
    }

    fn read_all(&self) -> Result<Content, LogError> {
        let mut content = Content {
            vote: self.get(VOTE)?,
            purged: self.get(PURGED)?,
            committed: self.get(COMMITTED)?,
            ..Content::default()
        };
        // What was cut stays in the database until the log moves to a fresh one: to remove it here would write as much again.
        let first = content.purged.map_or(0, |purged| purged.index + 1);
        for found in self.db.range(key(first)..=key(u64::MAX)) {
            let (name, record) = found?;
            content.records.insert(index_of(&name)?, record.to_vec());
        }
        content.check()?;
        Ok(content)
    }
}

fn database_file(dir: &Path) -> PathBuf {
    dir.join("db")
}

fn key(index: u64) -> [u8; 9] {
    let mut key = [RECORD; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

fn index_of(name: &[u8]) -> Result<u64, LogError> {
    let bytes = name.get(1..).and_then(|rest| <[u8; 8]>::try_from(rest).ok());
    bytes
        .map(u64::from_be_bytes)
        .ok_or_else(|| LogError::Damaged { what: "a key in sled is not ours".to_owned() })
}

fn put<T: Persist>(batch: &mut sled::Batch, name: &[u8], value: &T) -> Result<(), LogError> {
    batch.insert(name, checked(value)?);
    Ok(())
}

/// `value` behind its checksum.
fn checked<T: Persist>(value: &T) -> Result<Vec<u8>, LogError> {
    let body = persist::encode(value).map_err(|error| LogError::Unencodable(error.to_string()))?;
    let mut bytes = crc32c::crc32c(&body).to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Runs `work` on a thread of its own and waits at most `deadline`: sled waits for ever for a disk that failed under it.
fn within<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("log-open".to_owned()).spawn(move || {
        // Nobody listens any more once the deadline has passed; what was opened is then dropped here.
        drop(sender.send(guarded(work)));
    })?;
    receiver.recv_timeout(deadline).map_err(|_| LogError::Damaged {
        what: format!("sled did not open within {} s", deadline.as_secs()),
    })?
}

/// Runs a call into sled so that its panic is an error of ours.
fn guarded<T>(call: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(LogError::Damaged { what: format!("sled panicked: {said}") })
    })
}
