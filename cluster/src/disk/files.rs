//! Whole small files on a [`Disk`]: put in place at once, read whole.

use std::io;
use std::path::Path;

use super::{Disk, DiskFile};

/// Puts a whole file in place at once: after a power cut there is the old content or the new, never a mix.
///
/// # Errors
/// When any step fails; the old content is still there then.
pub fn write_atomically(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    match disk.remove_file(&temporary) {
        // What an attempt that was cut off left.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = disk.create(&temporary)?;
    file.write_at(0, content)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("")))
}

/// Reads a file that may not be there.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_if_present(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match disk.open(path) {
        Ok(file) => read_whole(&*file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads all of an open file.
///
/// # Errors
/// When it cannot be read.
pub fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut content = vec![0; length];
    let read = file.read_at(0, &mut content)?;
    content.truncate(read);
    Ok(content)
}

/// Removes a file that may not be there, durably.
///
/// # Errors
/// When it is there and cannot be removed, or its folder not be synced.
pub fn remove_if_present(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Ok(()) => disk.sync_dir(path.parent().unwrap_or(Path::new(""))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
