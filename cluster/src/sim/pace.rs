//! Disks whose syncs take time. A sync itself blocks and cannot wait for the world's clock, so what it took is owed, and
//! whoever ran the blocking work waits for it afterwards.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::chance::Chance;
use super::layer::SyncRule;
use crate::disk::{Disk, DiskFile};

thread_local! {
    static OWED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Waits for as long as the syncs took that ran since the last call.
pub async fn rest() {
    let owed = OWED.take();
    if !owed.is_zero() {
        tokio::time::sleep(owed).await;
    }
}

/// How slow the syncs of one node are.
#[derive(Debug, Clone)]
pub(super) struct SyncPace(Arc<Mutex<(Chance, u64)>>);

impl SyncPace {
    pub(super) fn new(chance: Chance) -> Self {
        Self(Arc::new(Mutex::new((chance, 1000))))
    }

    /// A sync takes up to `most_us` from now on.
    pub(super) fn set(&self, most_us: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = most_us;
    }

    pub(super) fn next(&self) -> Duration {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most_us = inner.1;
        Duration::from_micros(inner.0.between(50, most_us.max(50)))
    }

    fn owe(&self) {
        OWED.set(OWED.get() + self.next());
    }
}

impl SyncRule for SyncPace {
    fn sync_data(&self, _path: &Path, file: &dyn DiskFile) -> io::Result<()> {
        self.owe();
        file.sync_data()
    }

    fn sync_dir(&self, path: &Path, disk: &dyn Disk) -> io::Result<()> {
        self.owe();
        disk.sync_dir(path)
    }
}
