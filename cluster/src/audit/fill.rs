//! Records that are not held here because they were made before this node came: they are taken from another node, from the
//! newest down, each proved by the hash that the record after it carries.

use super::AuditError;
use super::log::AuditLog;
use super::segment::{self, Frames};
use crate::audit_record::{AuditRecord, ChainHead};
use crate::blocking::blocking;
use crate::disk::{Disk, files};
use crate::keyring::AeadKey;

/// Records that are not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// The hash that the last must have.
    pub hash: [u8; 32],
}

impl AuditLog {
    /// The newest gap before `head` (State's chain head) and after record `whole`, up to which nothing is missing.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn newest_gap(&self, whole: u64, head: ChainHead) -> Result<Option<Gap>, AuditError> {
        let (disk, key) = self.place();
        let found = blocking(move || newest_gap(&*disk, &key, whole, head)).await;
        found.map_err(|error| AuditError::Io(error.to_string()))?
    }

    /// Keeps `records`, which must be the end of `gap` in order. What does not follow is refused.
    ///
    /// # Errors
    /// [`AuditError::Damaged`] for records that are not those of the chain; the others when the disk fails.
    pub async fn fill(&self, gap: Gap, records: Vec<AuditRecord>) -> Result<(), AuditError> {
        let (disk, key) = self.place();
        let filled = blocking(move || fill(&*disk, &key, gap, &records)).await;
        filled.map_err(|error| AuditError::Io(error.to_string()))?
    }
}

/// From the newest segment down: where one does not begin where the one before ends, something is missing.
fn newest_gap(
    disk: &dyn Disk,
    key: &AeadKey,
    whole: u64,
    head: ChainHead,
) -> Result<Option<Gap>, AuditError> {
    // What must come next, going down: the record before this one, which must have that hash.
    let mut above = (head.sequence + 1, head.hash);
    for first in segment::list(disk)?.into_iter().rev() {
        if above.0 <= whole + 1 {
            return Ok(None);
        }
        let bytes = files::read_whole(&*disk.open(&segment::path(first))?)?;
        let mut held = Frames::of(&bytes).whole();
        let Some(oldest) = held.next() else { continue };
        let newest = held.last().map_or(oldest.sequence, |stored| stored.sequence);
        if newest + 1 < above.0 {
            return Ok(Some(Gap { first: (newest + 1).max(whole + 1), last: above.0 - 1, hash: above.1 }));
        }
        if oldest.sequence < above.0 {
            above = (oldest.sequence, oldest.open(key)?.previous_hash);
        }
    }
    let gap = Gap { first: whole + 1, last: above.0.saturating_sub(1), hash: above.1 };
    Ok((gap.first <= gap.last).then_some(gap))
}

fn fill(disk: &dyn Disk, key: &AeadKey, gap: Gap, records: &[AuditRecord]) -> Result<(), AuditError> {
    let foreign = || AuditError::Damaged("the records of another node do not follow".to_owned());
    let mut expected = (gap.last, gap.hash);
    for record in records.iter().rev() {
        let is_next = record.sequence == expected.0
            && record.sequence >= gap.first
            && record.hash == expected.1
            && record.hash == record.computed_hash();
        if !is_next {
            return Err(foreign());
        }
        expected = (record.sequence - 1, record.previous_hash);
    }
    let Some(first) = records.first() else { return Err(foreign()) };
    if segment::list(disk)?.contains(&first.sequence) {
        // What is left of a damaged segment is evidence, and stays.
        return Err(AuditError::Damaged(format!("the segment of record {} is in the way", first.sequence)));
    }
    let mut bytes = segment::start();
    for record in records {
        segment::push(&mut bytes, record, key)?;
    }
    files::write_atomically(disk, &segment::path(first.sequence), &bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::actor::Actor;
    use crate::audit::Verdict;
    use crate::disk::{RealDisk, StopFlag};
    use crate::id::NodeId;

    fn chain(count: u64) -> (Vec<AuditRecord>, ChainHead) {
        let mut head = ChainHead::default();
        let record = |number: u64| AuditRecord {
            sequence: 0,
            time_ms: number,
            actor: Actor::system(NodeId(1)),
            action: "test".to_owned(),
            target: String::new(),
            application: None,
            result: "ok".to_owned(),
            details: [("number".to_owned(), number.to_string())].into(),
            previous_hash: [0; 32],
            hash: [0; 32],
        };
        let records = (1..=count).map(|number| head.advance(record(number))).collect();
        (records, head)
    }

    #[tokio::test]
    async fn what_was_made_before_a_node_came_is_filled_in_from_above_and_nothing_foreign_is() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(folder.path().to_path_buf()).unwrap());
        let key = Arc::new(AeadKey::new(&[3; 32]).unwrap());
        let log = AuditLog::open(disk, key, StopFlag::new()).unwrap();
        let (records, head) = chain(30);
        log.resume_after(20);
        log.append(&records[20..]).unwrap();
        let gap = log.newest_gap(0, head).await.unwrap().unwrap();
        assert_eq!((gap.first, gap.last, gap.hash), (1, 20, records[19].hash));

        let mut forged = records[10..20].to_vec();
        forged[4].action = "another".to_owned();
        assert!(log.fill(gap, forged).await.is_err());
        assert!(log.fill(gap, records[9..19].to_vec()).await.is_err(), "not the end of the gap");
        log.fill(gap, records[10..20].to_vec()).await.unwrap();
        let gap = log.newest_gap(0, head).await.unwrap().unwrap();
        assert_eq!((gap.first, gap.last), (1, 10));
        log.fill(gap, records[..10].to_vec()).await.unwrap();
        assert_eq!(log.newest_gap(0, head).await.unwrap(), None);
        assert_eq!(log.verify(head).await.unwrap(), Verdict::Intact { records: 30 });
    }

    #[tokio::test]
    async fn a_log_that_holds_nothing_is_filled_down_from_the_head_of_state() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(folder.path().to_path_buf()).unwrap());
        let key = Arc::new(AeadKey::new(&[3; 32]).unwrap());
        let log = AuditLog::open(disk, key, StopFlag::new()).unwrap();
        let (records, head) = chain(5);
        log.resume_after(5);
        let gap = log.newest_gap(0, head).await.unwrap().unwrap();
        assert_eq!((gap.first, gap.last, gap.hash), (1, 5, head.hash));
        assert_eq!(log.newest_gap(5, head).await.unwrap(), None, "known to be whole");
        log.fill(gap, records).await.unwrap();
        assert_eq!(log.verify(head).await.unwrap(), Verdict::Intact { records: 5 });
    }
}
