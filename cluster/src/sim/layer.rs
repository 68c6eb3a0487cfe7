//! A disk over a disk: all goes through but syncs, about which a rule decides.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Capacity, Disk, DiskFile};

/// What becomes of a sync.
pub(super) trait SyncRule: fmt::Debug + Clone + Send + Sync + 'static {
    /// The data of the file that was opened at `path` is to be synced.
    fn sync_data(&self, path: &Path, file: &dyn DiskFile) -> io::Result<()>;

    /// A folder is.
    fn sync_dir(&self, path: &Path, disk: &dyn Disk) -> io::Result<()>;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Layer<R> {
    disk: Arc<dyn Disk>,
    rule: R,
}

#[derive(Debug)]
struct LayerFile<R> {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    rule: R,
}

impl<R: SyncRule> Layer<R> {
    pub(super) fn over(disk: Arc<dyn Disk>, rule: R) -> Self {
        Self { disk, rule }
    }

    fn wrap(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(LayerFile { file, path: path.to_owned(), rule: self.rule.clone() })
    }
}

impl<R: SyncRule> Disk for Layer<R> {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, self.disk.open(path)?))
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
        self.rule.sync_dir(path, &*self.disk)
    }

    fn capacity(&self) -> io::Result<Capacity> {
        self.disk.capacity()
    }
}

impl<R: SyncRule> DiskFile for LayerFile<R> {
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
        self.rule.sync_data(&self.path, &*self.file)
    }
}
