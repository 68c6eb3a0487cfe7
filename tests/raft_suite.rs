//! openraft's own checks of a store, run on ours.

use std::sync::Arc;
use std::time::Duration;

use cluster::audit::AuditLog;
use cluster::clock::SystemClock;
use cluster::disk::{RealDisk, StopFlag};
use cluster::keyring::AeadKey;
use cluster::raft::log::{LogOptions, LogPlace, LogStore, Opened, open};
use cluster::raft::machine::{Machine, Restored, Shown};
use cluster::raft::snapshot::SnapshotFolder;
use cluster::raft::time::ClusterTime;
use cluster::raft::types::{StorageError, TypeConfig};
use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

struct Fresh;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError> {
        let root = tempfile::tempdir().unwrap();
        let key = Arc::new(AeadKey::new(&[7; 32]).unwrap());
        let options = LogOptions {
            place: LogPlace::in_folder(&root.path().join("raft")).unwrap(),
            key: key.clone(),
            was_there: false,
            open_deadline: Duration::from_secs(60),
            snapshot: None,
            stop: StopFlag::new(),
            accept_loss: None,
        };
        let Opened::Whole { store, .. } = open(options).unwrap() else { panic!("a new log is whole") };
        let disk = |name| Arc::new(RealDisk::open(root.path().join(name)).unwrap());
        let folder = SnapshotFolder::open(disk("snapshots"), key.clone()).unwrap();
        let audit = AuditLog::open(disk("audit"), key, StopFlag::new()).unwrap();
        let restored = Restored::read(&folder).unwrap();
        let shown = Shown::new(restored, ClusterTime::start(Arc::new(SystemClock::new()), 0));
        Ok((root, store, Machine::new(shown, folder, audit)))
    }
}

#[test]
fn the_store_passes_every_check_of_openraft() {
    Suite::test_all(Fresh).unwrap();
}
