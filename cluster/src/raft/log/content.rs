//! What a log holds, apart from how it is kept: the common tongue of sled, journal and recovery.

use std::collections::BTreeMap;

use super::LogError;
use super::record;
use super::watermark::Watermark;
use crate::raft::types::{LogId, Vote};

/// A change to the log, as the writer task carries it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A vote was given.
    Vote(Vote),
    /// Records follow the last one.
    Append(Vec<(LogId, Vec<u8>)>),
    /// Records from this index on never were.
    Truncate(u64),
    /// Records up to here are no longer needed.
    Purge(LogId),
    /// Everything up to here is agreed. A hint: losing it costs a little time at the next start.
    Committed(LogId),
}

impl Change {
    /// Whether records leave the log by it.
    pub(super) fn cuts(&self) -> bool {
        matches!(self, Self::Truncate(_) | Self::Purge(_))
    }

    /// The newest record it adds.
    pub(super) fn last(&self) -> Option<LogId> {
        match self {
            Self::Append(records) => records.last().map(|(log_id, _)| *log_id),
            _ => None,
        }
    }

    /// Bytes of the records it adds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(records) => records.iter().map(|(_, record)| record.len()).sum(),
            _ => 0,
        }
    }
}

/// The whole log in memory: how recovery compares and copies what it found. Records are as stored, sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The newest vote given.
    pub vote: Option<Vote>,
    /// The newest record known to be agreed.
    pub committed: Option<LogId>,
    /// Everything up to here is cut.
    pub purged: Option<LogId>,
    /// The records, by index.
    pub records: BTreeMap<u64, Vec<u8>>,
    /// The newest record.
    pub last: Option<LogId>,
}

impl Content {
    /// Carries out one change.
    ///
    /// # Errors
    /// [`LogError::Damaged`] where the change does not fit what is there.
    pub fn apply(&mut self, change: Change) -> Result<(), LogError> {
        match change {
            Change::Vote(vote) => self.vote = Some(vote),
            Change::Committed(committed) => self.committed = Some(committed),
            Change::Append(records) => {
                for (log_id, bytes) in records {
                    self.push(log_id, bytes)?;
                }
            }
            Change::Truncate(from) => {
                self.records.split_off(&from);
                self.last = self.newest()?;
            }
            Change::Purge(upto) => {
                self.records = self.records.split_off(&(upto.index + 1));
                self.purged = self.purged.max(Some(upto));
                self.last = self.newest()?;
            }
        }
        Ok(())
    }

    /// What makes this of `earlier`, where that is a beginning of it.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Vec<Change>> {
        let begins_alike = earlier.purged == self.purged
            && earlier.records.iter().all(|(index, record)| self.records.get(index) == Some(record));
        if !begins_alike {
            return None;
        }
        let mut changes: Vec<Change> = self.vote.map(Change::Vote).into_iter().collect();
        let from = earlier.next_index();
        let records = self
            .records
            .range(from..)
            .map(|(_, record)| Some((record::position(record).ok()?, record.clone())));
        let records: Vec<_> = records.collect::<Option<_>>()?;
        if !records.is_empty() {
            changes.push(Change::Append(records));
        }
        changes.extend(self.committed.map(Change::Committed));
        Some(changes)
    }

    fn push(&mut self, log_id: LogId, bytes: Vec<u8>) -> Result<(), LogError> {
        if let Some(last) = self.last
            && log_id.index != last.index + 1
        {
            return Err(LogError::Damaged {
                what: format!("record {} follows {}", log_id.index, last.index),
            });
        }
        self.records.insert(log_id.index, bytes);
        self.last = Some(log_id);
        Ok(())
    }

    /// The newest record by what is there: the last kept one, or the last cut one.
    fn newest(&self) -> Result<Option<LogId>, LogError> {
        match self.records.last_key_value() {
            Some((_, bytes)) => record::position(bytes).map(Some),
            None => Ok(self.purged),
        }
    }

    /// Checks that every record is whole and stands where it says, without a hole, and sets `last`.
    ///
    /// # Errors
    /// [`LogError::Damaged`] naming the first that does not.
    pub fn check(&mut self) -> Result<(), LogError> {
        let mut expected = self.purged.map(|purged| purged.index + 1);
        for (index, bytes) in &self.records {
            let found = record::position(bytes)?.index;
            if found != *index || expected.is_some_and(|expected| expected != *index) {
                let missing = expected.unwrap_or(*index);
                return Err(LogError::Damaged { what: format!("log record {missing} is missing") });
            }
            expected = Some(index + 1);
        }
        self.last = self.newest()?;
        Ok(())
    }

    /// Does it hold all that was acknowledged?
    #[must_use]
    pub fn reaches(&self, watermark: &Watermark) -> bool {
        self.last >= watermark.last && self.vote >= watermark.vote && self.purged >= watermark.purged
    }

    /// The first index held, or the next to be written.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }
}
