//! A planted fault: a disk that says it has synced the files of some folder, and has not.

use std::io;
use std::path::Path;

use super::layer::SyncRule;
use crate::disk::{Disk, DiskFile};

/// Syncs everything but the files of one folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgetful(pub(super) &'static str);

impl SyncRule for Forgetful {
    fn sync_data(&self, path: &Path, file: &dyn DiskFile) -> io::Result<()> {
        if path.starts_with(self.0) { Ok(()) } else { file.sync_data() }
    }

    fn sync_dir(&self, path: &Path, disk: &dyn Disk) -> io::Result<()> {
        disk.sync_dir(path)
    }
}
