//! Going on without lost records is remembered on disk until it is put on record, however often the node is killed in
//! between.

use std::io;
use std::path::{Path, PathBuf};

use super::files;
use super::recovery::MissingRange;

/// Remembers that the operator accepted the loss of `missing`. Before anything is changed.
pub(super) fn remember(dir: &Path, missing: MissingRange) -> io::Result<()> {
    let last = missing.last.map(|last| last.to_string()).unwrap_or_default();
    files::write_atomically(&file(dir), format!("{} {last}\n", missing.first).as_bytes())
}

/// The loss that was accepted and is not on record yet.
pub(super) fn remembered(dir: &Path) -> io::Result<Option<MissingRange>> {
    let Some(content) = files::read_if_present(&file(dir))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&content).into_owned();
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    Ok(numbers.next().flatten().map(|first| MissingRange { first, last: numbers.next().flatten() }))
}

/// The accepted loss is on record.
///
/// # Errors
/// When the disk fails.
pub fn forget(dir: &Path) -> io::Result<()> {
    std::fs::remove_file(file(dir))?;
    files::sync_dir(dir)
}

fn file(dir: &Path) -> PathBuf {
    dir.join("accepted-loss")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(remembered(folder.path()).unwrap(), None);
        for last in [Some(15), None] {
            let missing = MissingRange { first: 12, last };
            remember(folder.path(), missing).unwrap();
            assert_eq!(remembered(folder.path()).unwrap(), Some(missing));
        }
        forget(folder.path()).unwrap();
        assert_eq!(remembered(folder.path()).unwrap(), None);
    }
}
