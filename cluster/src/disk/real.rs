//! The machine's disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::direct::{Buffers, Direct, read_all_at};
use super::{Capacity, Disk, DiskFile};

/// A folder of the machine's file system.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    buffers: Arc<Buffers>,
}

impl RealDisk {
    /// A disk rooted at `root`, which is made if missing, for its owner only, and durable in its parent folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let missing: Vec<_> = root.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        for parent in missing.into_iter().filter_map(Path::parent) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { root, buffers: Arc::default() })
    }

    fn file(&self, file: File) -> Arc<dyn DiskFile> {
        Arc::new(RealFile { file, direct: Direct::new(Arc::clone(&self.buffers)) })
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.root.join(path))?;
        Ok(self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.root.join(path))?;
        Ok(self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.root.join(path))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(self.root.join(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.root.join(path))?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_all()
    }

    fn capacity(&self) -> io::Result<Capacity> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(Capacity { total: stat.f_blocks * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    direct: Direct,
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_all_at(&self.file, buffer, offset)
    }

    fn read_once_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.direct.read_once_at(&self.file, buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.direct.write_all_at(&self.file, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn modified(&self) -> io::Result<Option<SystemTime>> {
        Ok(Some(self.file.metadata()?.modified()?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
