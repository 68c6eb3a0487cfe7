//! Disks whose syncs take time. A sync itself blocks and cannot wait for the world's clock, so what it took is owed, and
//! whoever ran the blocking work waits for it afterwards.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::chance::Chance;
use crate::disk::{Capacity, Disk, DiskFile};

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

/// A disk with a pace.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) pace: SyncPace,
}

#[derive(Debug)]
struct PacedFile {
    file: Arc<dyn DiskFile>,
    pace: SyncPace,
}

impl Paced {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(PacedFile { file, pace: self.pace.clone() })
    }
}

impl Disk for Paced {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.make_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.pace.owe();
        self.disk.sync_dir(path)
    }

    fn capacity(&self) -> io::Result<Capacity> {
        self.disk.capacity()
    }
}

impl DiskFile for PacedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.pace.owe();
        self.file.sync_data()
    }
}
