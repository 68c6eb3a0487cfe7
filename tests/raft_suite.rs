//! openraft's own checks of a store, run on ours.

use std::path::Path;
use std::sync::Arc;

use cluster::audit::AuditLog;
use cluster::clock::SystemClock;
use cluster::disk::{RealDisk, StopFlag};
use cluster::event::Event;
use cluster::keyring::AeadKey;
use cluster::raft::log::{Durable, LogOptions, LogStore, Opened, open};
use cluster::raft::machine::{Machine, Restored, Shown};
use cluster::raft::snapshot::SnapshotFolder;
use cluster::raft::time::ClusterTime;
use cluster::raft::types::{StorageError, TypeConfig};
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::support::log_options;

/// A store as it stands, or as a node runs it: answering before its disk has what it was given.
struct Fresh {
    ahead: bool,
}

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError> {
        let root = tempfile::tempdir().unwrap();
        let key = Arc::new(AeadKey::new(&[7; 32]).unwrap());
        let options = LogOptions { key: key.clone(), ..log_options(&root.path().join("raft")) };
        let Opened::Whole { store, .. } = open(options).unwrap() else { panic!("a new log is whole") };
        if self.ahead {
            // The machine here is given records that no log was given: it waits for none.
            drop(store.answer_ahead());
        }
        let (_, machine) = machine(root.path(), key);
        Ok((root, store, machine))
    }
}

/// A state machine whose files are in `root`, and what it shows.
fn machine(root: &Path, key: Arc<AeadKey>) -> (Arc<Shown>, Machine) {
    let disk = |name| Arc::new(RealDisk::open(root.join(name)).unwrap());
    let folder = SnapshotFolder::open(disk("snapshots"), key.clone()).unwrap();
    let audit = AuditLog::open(disk("audit"), key, StopFlag::new()).unwrap();
    let restored = Restored::read(&folder).unwrap();
    let shown = Shown::new(restored, ClusterTime::start(Arc::new(SystemClock::new()), 0));
    (shown.clone(), Machine::new(shown, folder, audit, Durable::everything()))
}

#[test]
fn the_store_passes_every_check_of_openraft() {
    Suite::test_all(Fresh { ahead: false }).unwrap();
}

#[test]
fn a_store_that_answers_ahead_passes_them_too() {
    Suite::test_all(Fresh { ahead: true }).unwrap();
}

#[tokio::test]
async fn whoever_follows_state_is_told_when_it_came_whole() {
    let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = Arc::new(AeadKey::new(&[7; 32]).unwrap());
    let (_, mut ahead) = machine(home.path(), key.clone());
    let (shown, mut behind) = machine(away.path(), key);
    let snapshot = ahead.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let mut events = shown.events.subscribe();
    behind.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Event::StateReplaced);
}
