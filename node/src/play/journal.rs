//! View starts that could not be agreed on yet: kept in a sealed, synced file of this node, so that they are on record
//! before anything is watched, and follow into the audit log when there is a leader again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cluster::actor::Actor;
use cluster::command::AuditCommand;
use cluster::keyring::{KeyError, StorageKey};
use serde::{Deserialize, Serialize};

const PURPOSE: &str = "offline views";
/// Records kept at most; more Views are not begun.
const MOST: usize = 10_000;
/// Sealed bytes of one record; more is damage.
const LONGEST: usize = 16 * 1024;

/// One start of a View, as it will be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Whose.
    pub actor: Actor,
    /// What the audit log will say.
    pub record: AuditCommand,
}

/// Why a start could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed.
    #[error("the journal of view starts cannot be used")]
    Disk(#[from] io::Error),
    /// It could not be sealed or opened.
    #[error("a view start could not be sealed")]
    Seal(#[from] KeyError),
    /// It could not be written down.
    #[error("a view start could not be written down")]
    Encoding(#[from] postcard::Error),
    /// Too many wait.
    #[error("too many view starts wait to be recorded")]
    Full,
}

/// The file, and how many starts are in it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    key: StorageKey,
    waiting: Mutex<usize>,
}

impl Journal {
    /// The journal at `path`; what an earlier process left there waits.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(path: PathBuf, key: StorageKey) -> Result<Self, JournalError> {
        let journal = Self { path, key, waiting: Mutex::new(0) };
        let waiting = journal.read()?.len();
        *journal.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
        Ok(journal)
    }

    /// How many starts wait.
    pub fn waiting(&self) -> usize {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a start: durable when this returns.
    ///
    /// # Errors
    /// When it is not durable: then nothing may be watched.
    pub fn append(&self, start: &Start) -> Result<(), JournalError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if *waiting >= MOST {
            return Err(JournalError::Full);
        }
        let sealed = self.key.seal(PURPOSE, b"", &postcard::to_stdvec(start)?)?;
        let length = u32::try_from(sealed.len()).map_err(|_| JournalError::Full)?;
        let fresh = !self.path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        file.write_all(&[length.to_le_bytes().as_slice(), &sealed].concat())?;
        file.sync_all()?;
        if fresh {
            self.sync_folder()?;
        }
        *waiting += 1;
        Ok(())
    }

    /// Every start that waits, in order. What a power cut left half written was never acknowledged, and ends the list.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read(&self) -> Result<Vec<Start>, JournalError> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let (mut starts, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((start, after)) = self.first(rest) {
            starts.push(start);
            rest = after;
        }
        Ok(starts)
    }

    fn first<'a>(&self, bytes: &'a [u8]) -> Option<(Start, &'a [u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= LONGEST)?;
        let (sealed, rest) = rest.split_at_checked(length)?;
        let plain = self.key.open(PURPOSE, b"", sealed).ok()?;
        Some((postcard::from_bytes(&plain).ok()?, rest))
    }

    /// The first `count` have followed: forgets them, unless more came in meanwhile; then all of them are to be handed on
    /// once more, which the View's id in each tells. Gives whether nothing waits any more.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn followed(&self, count: usize) -> Result<bool, JournalError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if *waiting > count {
            return Ok(false);
        }
        self.forget()?;
        *waiting = 0;
        Ok(true)
    }

    fn forget(&self) -> Result<(), JournalError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.sync_folder()
    }

    fn sync_folder(&self) -> Result<(), JournalError> {
        let folder = self.path.parent().unwrap_or_else(|| std::path::Path::new("."));
        Ok(File::open(folder)?.sync_all()?)
    }
}
