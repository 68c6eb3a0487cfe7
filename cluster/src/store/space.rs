//! How full the disk may get: uploads stop first, then all Blob writes, so that the log and deletions always have room.

use super::{BlobError, Inner};
use crate::blob::BlobKind;

/// At which share of free space writes are refused. A share alone would waste most of a large disk, so with [`enough`]
/// bytes free nothing is refused, whatever the share.
///
/// [`enough`]: Watermarks::enough
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// No new uploads below this many percent free.
    pub no_new_uploads: u8,
    /// No Blob writes at all below this many percent free.
    pub no_writes: u8,
    /// With this many bytes free, everything is allowed.
    pub enough: u64,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { no_new_uploads: 15, no_writes: 10, enough: 20 << 30 }
    }
}

/// What the free space allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Fine,
    /// No new uploads; those that run go on.
    NoNewUploads,
    /// No Blob writes.
    NoWrites,
}

/// The state of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes there are.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
    /// What that allows.
    pub level: Level,
}

impl Watermarks {
    fn level(self, total: u64, free: u64) -> Level {
        let below = |percent: u8| {
            free < self.enough && u128::from(free) * 100 < u128::from(total) * u128::from(percent)
        };
        if below(self.no_writes) {
            Level::NoWrites
        } else if below(self.no_new_uploads) {
            Level::NoNewUploads
        } else {
            Level::Fine
        }
    }
}

impl Inner {
    pub(super) fn space(&self) -> Result<Space, BlobError> {
        let capacity = self.capacity()?;
        let level = self.config.watermarks.level(capacity.total, capacity.free);
        Ok(Space { total: capacity.total, free: capacity.free, level })
    }

    /// Refuses a new Blob of `kind` when there is no room for it.
    pub(super) fn room_for_new(&self, kind: BlobKind) -> Result<(), BlobError> {
        let highest = if kind == BlobKind::Original { Level::Fine } else { Level::NoNewUploads };
        if self.space()?.level > highest { Err(BlobError::Full) } else { Ok(()) }
    }

    /// Refuses to write on when there is no room.
    pub(super) fn room_to_write(&self) -> Result<(), BlobError> {
        if self.space()?.level >= Level::NoWrites { Err(BlobError::Full) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_free_share() {
        let watermarks = Watermarks::default();
        let level = |free| watermarks.level(1000, free);
        assert_eq!(
            [level(1000), level(150), level(149), level(100), level(99), level(0)],
            [
                Level::Fine,
                Level::Fine,
                Level::NoNewUploads,
                Level::NoNewUploads,
                Level::NoWrites,
                Level::NoWrites
            ]
        );
        assert_eq!(watermarks.level(u64::MAX, u64::MAX), Level::Fine, "no overflow");
        let large = 1 << 43;
        assert_eq!(watermarks.level(large, 20 << 30), Level::Fine, "20 GiB are enough on any disk");
        assert_eq!(watermarks.level(large, (20 << 30) - 1), Level::NoWrites);
    }
}
