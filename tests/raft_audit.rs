//! The audit log: it takes each record once, answers questions, and notices whatever was done to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster::actor::Actor;
use cluster::audit::{AuditError, AuditFilter, AuditLog, Flaw, Verdict};
use cluster::audit_record::{AuditRecord, ChainHead};
use cluster::disk::{RealDisk, StopFlag};
use cluster::id::NodeId;
use cluster::keyring::AeadKey;
use tempfile::TempDir;

const RECORDS: u64 = 20;

fn key() -> Arc<AeadKey> {
    Arc::new(AeadKey::new(&[3; 32]).unwrap())
}

fn open(dir: &Path) -> AuditLog {
    AuditLog::open(Arc::new(RealDisk::open(dir).unwrap()), key(), StopFlag::new()).unwrap()
}

fn records(count: u64) -> (Vec<AuditRecord>, ChainHead) {
    let mut head = ChainHead::default();
    let record = |number: u64| AuditRecord {
        sequence: 0,
        time_ms: 1_000 + number,
        actor: Actor::system(NodeId(number % 2)),
        action: if number.is_multiple_of(5) { "session.refused" } else { "asset.trash" }.to_owned(),
        target: format!("asset:{number}"),
        application: None,
        result: "ok".to_owned(),
        details: BTreeMap::new(),
        previous_hash: [0; 32],
        hash: [0; 32],
    };
    let records = (0..count).map(|number| head.advance(record(number))).collect();
    (records, head)
}

struct Written {
    dir: TempDir,
    records: Vec<AuditRecord>,
    head: ChainHead,
}

impl Written {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (records, head) = records(RECORDS);
        let log = open(dir.path());
        log.append(&records).unwrap();
        assert_eq!(log.sync().await.unwrap(), RECORDS);
        assert_eq!(log.verify(head).await.unwrap(), Verdict::Intact { records: RECORDS });
        Self { dir, records, head }
    }

    fn segment(&self) -> PathBuf {
        self.dir.path().join(format!("{:020}.audit", 1))
    }

    /// Where each record's frame begins, and the end.
    fn frames(&self) -> Vec<usize> {
        let content = fs::read(self.segment()).unwrap();
        let mut at = vec![8];
        while at[at.len() - 1] < content.len() {
            let start = at[at.len() - 1];
            let length = u32::from_be_bytes(content[start..start + 4].try_into().unwrap());
            at.push(start + 16 + usize::try_from(length).unwrap());
        }
        assert_eq!(at.len() as u64, RECORDS + 1);
        at
    }

    fn tamper(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = fs::read(self.segment()).unwrap();
        change(&mut content);
        fs::write(self.segment(), content).unwrap();
    }

    async fn found(&self) -> Verdict {
        open(self.dir.path()).verify(self.head).await.unwrap()
    }
}

fn broken(sequence: u64, flaw: Flaw) -> Verdict {
    Verdict::Broken { sequence, flaw }
}

#[tokio::test]
async fn a_changed_byte_is_found_at_its_record() {
    let written = Written::new().await;
    let frames = written.frames();
    written.tamper(|content| content[frames[6] + 30] ^= 1);
    assert_eq!(written.found().await, broken(7, Flaw::Damaged));
}

#[tokio::test]
async fn a_removed_record_is_missed() {
    let written = Written::new().await;
    let frames = written.frames();
    written.tamper(|content| drop(content.drain(frames[4]..frames[5])));
    assert_eq!(written.found().await, broken(5, Flaw::Missing));
}

#[tokio::test]
async fn two_records_that_changed_places_are_found() {
    let written = Written::new().await;
    let frames = written.frames();
    written.tamper(|content| content[frames[2]..frames[4]].rotate_left(frames[3] - frames[2]));
    assert_eq!(written.found().await, broken(3, Flaw::Missing));
}

#[tokio::test]
async fn a_cut_end_is_missed_because_state_knows_the_head() {
    let written = Written::new().await;
    let frames = written.frames();
    written.tamper(|content| content.truncate(frames[15]));
    assert_eq!(written.found().await, broken(16, Flaw::CutOff));
    fs::remove_file(written.segment()).unwrap();
    assert_eq!(written.found().await, broken(1, Flaw::CutOff));
}

#[tokio::test]
async fn a_record_rewritten_by_somebody_with_the_key_breaks_the_chain() {
    let written = Written::new().await;
    let forged = tempfile::tempdir().unwrap();
    let mut records = written.records.clone();
    records[9].target = "asset:another".to_owned();
    open(forged.path()).append(&records).unwrap();
    assert_eq!(open(forged.path()).verify(written.head).await.unwrap(), broken(10, Flaw::Changed));

    // Rewriting everything after it as well still does not meet the head in State.
    let rewritten = tempfile::tempdir().unwrap();
    let mut head = ChainHead::default();
    let records: Vec<_> = records.into_iter().map(|record| head.advance(record)).collect();
    open(rewritten.path()).append(&records).unwrap();
    assert_eq!(open(rewritten.path()).verify(written.head).await.unwrap(), broken(RECORDS, Flaw::Changed));
}

#[tokio::test]
async fn records_come_once_and_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let (records, head) = records(RECORDS);
    let log = open(dir.path());
    log.append(&records[..10]).unwrap();
    log.append(&records[5..15]).unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.last(), 15);
    log.append(&records).unwrap();
    assert_eq!(log.verify(head).await.unwrap(), Verdict::Intact { records: RECORDS });

    let gap = tempfile::tempdir().unwrap();
    let stop = StopFlag::new();
    let disk = Arc::new(RealDisk::open(gap.path()).unwrap());
    let log = AuditLog::open(disk, key(), stop.clone()).unwrap();
    assert!(matches!(log.append(&records[3..]), Err(AuditError::Gap { last: 0, found: 4 })));
    assert!(stop.is_raised(), "no audit write, no change");
    assert!(log.append(&records).is_err(), "nothing more is taken after a failure");
}

#[tokio::test]
async fn a_torn_last_write_comes_again_and_is_no_flaw() {
    let written = Written::new().await;
    written.tamper(|content| content.truncate(content.len() - 3));
    let log = open(written.dir.path());
    assert_eq!(log.last(), RECORDS - 1);
    log.append(&written.records).unwrap();
    assert_eq!(log.verify(written.head).await.unwrap(), Verdict::Intact { records: RECORDS });
    let page = log.query(AuditFilter::default(), None, 100).await.unwrap();
    assert_eq!(page.records.len() as u64, RECORDS);
}

#[tokio::test]
async fn a_damaged_record_hides_no_other_and_stays_as_evidence() {
    let written = Written::new().await;
    let frames = written.frames();
    written.tamper(|content| content[frames[6] + 30] ^= 1);
    let before = fs::read(written.segment()).unwrap();

    let log = open(written.dir.path());
    let (more, head) = records(RECORDS + 5);
    log.append(&more).unwrap();
    assert_eq!(log.verify(head).await.unwrap(), broken(7, Flaw::Damaged));
    let page = log.query(AuditFilter::default(), None, 100).await.unwrap();
    let held: Vec<u64> = page.records.iter().rev().map(|record| record.sequence).collect();
    assert_eq!(held, (1..=RECORDS + 5).filter(|number| *number != 7).collect::<Vec<_>>());
    assert_eq!(fs::read(written.segment()).unwrap(), before);

    written.tamper(|content| content.fill(0));
    assert_eq!(open(written.dir.path()).verify(head).await.unwrap(), broken(1, Flaw::Damaged));
}

#[tokio::test]
async fn questions_are_answered_newest_first_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    // Enough for several segments.
    let (records, head) = records(8_000);
    let log = open(dir.path());
    for some in records.chunks(100) {
        log.append(some).unwrap();
    }
    assert!(fs::read_dir(dir.path()).unwrap().count() > 1, "one segment only");
    assert_eq!(log.verify(head).await.unwrap(), Verdict::Intact { records: 8_000 });

    let filter =
        AuditFilter { action: Some("session.".to_owned()), from_ms: Some(1_100), ..AuditFilter::default() };
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = log.query(filter.clone(), cursor, 500).await.unwrap();
        assert!(page.records.len() <= 500);
        found.extend(page.records);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = records.into_iter().rev().filter(|record| filter.wants(record)).collect();
    assert_eq!(found.len(), 1_580);
    assert_eq!(found, expected);
}
