//! Where the log's records lie, as the writer and recovery see it: one database after another, each made whole beside
//! the one before it. The real one is sled, in [`super::generation`].

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::LogError;
use super::content::{Change, Content};

/// Below this many voters nobody else can heal a damaged log, so the database is as durable as the journal beside it.
pub(super) const VOTERS_THAT_HEAL: u32 = 3;

/// One database holding one log. All calls block.
pub trait Database: Debug + Send + Sync {
    /// Writes `changes` in their order and makes them durable. What cuts the log comes without records.
    ///
    /// # Errors
    /// When the database or its disk fails; what is on disk is then unknown and the node must stop.
    fn write(&self, changes: &[Change]) -> Result<(), LogError>;

    /// The stored bytes of one record.
    ///
    /// # Errors
    /// When the database fails.
    fn record(&self, index: u64) -> Result<Option<Vec<u8>>, LogError>;

    /// Everything in it, checked.
    ///
    /// # Errors
    /// [`LogError::Damaged`] naming what is not whole.
    fn read_all(&self) -> Result<Content, LogError>;
}

/// A database and what it holds.
pub type Held = (Arc<dyn Database>, Content);

/// The databases of one log, by number. All calls block.
pub trait Databases: Debug + Send + Sync {
    /// The one in use.
    ///
    /// # Errors
    /// When the disk fails.
    fn current(&self) -> io::Result<Option<u64>>;

    /// The highest number there is, 0 for none.
    ///
    /// # Errors
    /// When the disk fails.
    fn newest(&self) -> io::Result<u64>;

    /// Opens one and reads all of it, giving up after `deadline`.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if it is not whole.
    fn open(&self, number: u64, deadline: Duration) -> Result<Held, LogError>;

    /// Makes a new one with `content` in it, durable, and then makes it the one in use.
    ///
    /// # Errors
    /// [`LogError`] of the failing step.
    fn create(&self, number: u64, content: &Content) -> Result<Arc<dyn Database>, LogError>;

    /// Removes one.
    ///
    /// # Errors
    /// When the disk fails.
    fn remove(&self, number: u64) -> io::Result<()>;

    /// Removes all but one.
    ///
    /// # Errors
    /// When the disk fails.
    fn remove_others(&self, keep: u64) -> io::Result<()>;

    /// Whether it may fall behind the journal while there are so many voters.
    fn may_lag(&self, voters: u32) -> bool {
        voters >= VOTERS_THAT_HEAL
    }
}
