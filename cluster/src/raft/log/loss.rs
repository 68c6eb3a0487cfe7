//! Going on without lost records is remembered on disk until it is put on record, however often the node is killed in
//! between.

use std::io;
use std::path::Path;

use super::recovery::MissingRange;
use crate::disk::{Disk, files};

/// Where it lies in the log's folder.
const NAME: &str = "accepted-loss";

/// Remembers that the operator accepted the loss of `missing`. Before anything is changed.
pub(super) fn remember(disk: &dyn Disk, missing: MissingRange) -> io::Result<()> {
    let last = missing.last.map(|last| last.to_string()).unwrap_or_default();
    files::write_atomically(disk, Path::new(NAME), format!("{} {last}\n", missing.first).as_bytes())
}

/// The loss that was accepted and is not on record yet.
pub(super) fn remembered(disk: &dyn Disk) -> io::Result<Option<MissingRange>> {
    let Some(content) = files::read_if_present(disk, Path::new(NAME))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&content).into_owned();
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    Ok(numbers.next().flatten().map(|first| MissingRange { first, last: numbers.next().flatten() }))
}

/// The accepted loss is on record.
///
/// # Errors
/// When the disk fails.
pub fn forget(disk: &dyn Disk) -> io::Result<()> {
    files::remove_if_present(disk, Path::new(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn a_loss_is_remembered_until_it_is_forgotten() {
        let folder = SimulatedDisk::new(1 << 20);
        assert_eq!(remembered(&folder).unwrap(), None);
        for last in [Some(15), None] {
            let missing = MissingRange { first: 12, last };
            remember(&folder, missing).unwrap();
            assert_eq!(remembered(&folder).unwrap(), Some(missing));
        }
        forget(&folder).unwrap();
        assert_eq!(remembered(&folder).unwrap(), None);
    }
}
