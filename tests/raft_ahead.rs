//! A log that answers before its disk has what it was given: when it does, when it waits, and what others wait for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::raft::log::{LogStore, Opened, open};
use cluster::raft::types::{LogEntry, LogId};
use openraft::storage::RaftLogStorageExt;
use openraft::{CommittedLeaderId, EntryPayload};
use tokio::time::Instant;

use crate::support::log_options;

/// A log in `dir` whose barriers take as many milliseconds as `takes_ms` says.
fn paced(dir: &Path, takes_ms: &Arc<AtomicU64>) -> LogStore {
    let takes_ms = takes_ms.clone();
    let mut options = log_options(dir);
    options.place.pace = Some(Arc::new(move || Duration::from_millis(takes_ms.load(Ordering::Relaxed))));
    let Opened::Whole { store, .. } = open(options).unwrap() else { panic!("a new log is whole") };
    store
}

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

/// Adds record `index`, and gives how long the answer took.
async fn append(log: &mut LogStore, index: u64) -> Duration {
    let began = Instant::now();
    log.blocking_append([LogEntry { log_id: log_id(index), payload: EntryPayload::Blank }]).await.unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_record_is_answered_ahead_and_whoever_speaks_of_it_waits() {
    let (dir, takes_ms) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(20)));
    let mut log = paced(dir.path(), &takes_ms);
    assert!(append(&mut log, 0).await >= Duration::from_millis(20), "nobody has said that they wait");

    let durable = log.answer_ahead();
    assert_eq!(append(&mut log, 1).await, Duration::ZERO);
    assert_eq!(durable.part_of(Some(log_id(1)), Duration::ZERO).await, Some(log_id(0)));
    let began = Instant::now();
    durable.reaches(Some(log_id(1))).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(20), "it is not on the disk before");

    assert_eq!(append(&mut log, 2).await, Duration::ZERO);
    assert!(append(&mut log, 3).await >= Duration::from_millis(20), "one before it is on its way still");
    assert_eq!(durable.part_of(Some(log_id(3)), Duration::ZERO).await, Some(log_id(3)));
    log.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_is_waited_for_until_it_is_fast_again() {
    let (dir, takes_ms) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(500)));
    let mut log = paced(dir.path(), &takes_ms);
    let durable = log.answer_ahead();
    assert_eq!(append(&mut log, 0).await, Duration::ZERO, "nothing is known of it yet");
    durable.reaches(Some(log_id(0))).await.unwrap();
    assert!(append(&mut log, 1).await >= Duration::from_millis(500));
    takes_ms.store(5, Ordering::Relaxed);
    assert!(append(&mut log, 2).await >= Duration::from_millis(5), "the last one was slow");
    assert_eq!(append(&mut log, 3).await, Duration::ZERO);
    log.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_closed_keeps_nobody_waiting() {
    let (dir, takes_ms) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(5)));
    let mut log = paced(dir.path(), &takes_ms);
    let durable = log.answer_ahead();
    append(&mut log, 0).await;
    log.close().await.unwrap();
    durable.reaches(Some(log_id(0))).await.unwrap();
    durable.reaches(Some(log_id(1))).await.unwrap_err();
}
