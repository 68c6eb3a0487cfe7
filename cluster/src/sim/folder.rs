//! One folder of a disk as a disk of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Capacity, Disk, DiskFile};

/// A folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl Folder {
    /// The folder `root` at the top of `disk`, which is made if missing and durable there.
    pub(super) fn open(disk: Arc<dyn Disk>, root: &str) -> io::Result<Arc<Self>> {
        let root = PathBuf::from(root);
        disk.make_dir(&root)?;
        disk.sync_dir(Path::new(""))?;
        Ok(Arc::new(Self { disk, root }))
    }

    fn at(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for Folder {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(&self.at(path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.at(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(&self.at(from), &self.at(to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(&self.at(path))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.make_dir(&self.at(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(&self.at(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(&self.at(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(&self.at(path))
    }

    fn capacity(&self) -> io::Result<Capacity> {
        self.disk.capacity()
    }
}
