//! The log's database in a simulated world: a table in memory. The journal beside it is what survives, so the world
//! proves journal, watermark and recovery; sled has its own tests with the real thing.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::raft::log::LogError;
use crate::raft::log::content::{Change, Content};
use crate::raft::log::database::{Database, Databases, Held};

/// A table, gone when the node is.
#[derive(Debug)]
struct Table(Mutex<Content>);

/// Makes tables. After a start there is none, and the log is rebuilt from its journal.
#[derive(Debug, Default)]
pub(super) struct Tables;

impl Table {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for Table {
    fn write(&self, changes: &[Change]) -> Result<(), LogError> {
        changes.iter().try_for_each(|change| self.content().apply(change.clone()))
    }

    fn record(&self, index: u64) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.content().records.get(&index).cloned())
    }

    fn read_all(&self) -> Result<Content, LogError> {
        Ok(self.content().clone())
    }
}

impl Databases for Tables {
    fn current(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn newest(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn open(&self, number: u64, _: Duration) -> Result<Held, LogError> {
        Err(LogError::Damaged { what: format!("there is no table {number}") })
    }

    fn create(&self, _: u64, content: &Content) -> Result<Arc<dyn Database>, LogError> {
        Ok(Arc::new(Table(Mutex::new(content.clone()))))
    }

    fn remove(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn remove_others(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    /// What is gone with its node is behind in any case.
    fn may_lag(&self, _: u32) -> bool {
        false
    }
}
