//! A node's disk as everything that must be durable sees it: few operations, all blocking, with durability said explicitly. The real one
//! is [`RealDisk`]; [`SimulatedDisk`] loses, tears and refuses things on demand.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

mod direct;
pub mod files;
mod real;
mod simulated;
mod stop;

pub use real::RealDisk;
pub use simulated::{SimulatedDisk, Survival};
pub use stop::StopFlag;

/// A folder tree on one disk. Paths are relative to its root. All calls block.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Creates a file that does not exist yet, readable and writable by its owner only.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file within its folder, replacing what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder; one that exists already is fine.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Makes creations, renames and removals in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// How much there is and how much is free.
    fn capacity(&self) -> io::Result<Capacity>;
}

/// One open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads into `buffer` from `offset`; gives how many bytes there were, less than asked only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// The same for what is not read again soon: a large read keeps out of the cache what is not in it.
    fn read_once_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_at(offset, buffer)
    }
    /// Writes all of `bytes` at `offset`. After an error any part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// The file's length.
    fn len(&self) -> io::Result<u64>;
    /// Whether nothing is in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// When it was last written to; `None` where the disk keeps no times.
    fn modified(&self) -> io::Result<Option<SystemTime>> {
        Ok(None)
    }
    /// Makes contents and length durable. An error means they may never be: it must not be tried again.
    fn sync_data(&self) -> io::Result<()>;
}

/// Bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// All there are.
    pub total: u64,
    /// Those a node may still fill.
    pub free: u64,
}
