//! What this node has acknowledged: a tiny file, synced by itself after everything it speaks of.
//!
//! Two slots of 4 KiB are written in turn, so a torn write spoils only news that nobody was told yet. A log that comes
//! up short of the watermark has lost acknowledged entries, and the node must not act as if it had not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile, files};
use crate::persist::{self, Persist};
use crate::raft::types::{LogId, Vote};

/// Where it lies in the log's folder.
const NAME: &str = "watermark";
const SLOT: usize = 4096;
const PREFIX: usize = 4 + 2;

/// What was acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Counts the writes; the higher slot is the newer.
    pub count: u64,
    /// The newest vote given.
    pub vote: Option<Vote>,
    /// The newest record that is durable.
    pub last: Option<LogId>,
    /// Everything up to here is cut from the log.
    pub purged: Option<LogId>,
    /// Voters in force, by which a loss is judged.
    pub voters: u32,
}

impl Persist for Watermark {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// What was found in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There is no file.
    Absent,
    /// The newest good slot.
    Good(Watermark),
    /// A file without a good slot.
    Damaged,
}

/// Reads the watermark without opening it for writing.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read(disk: &dyn Disk) -> io::Result<Found> {
    let Some(content) = files::read_if_present(disk, Path::new(NAME))? else { return Ok(Found::Absent) };
    let newest = content.chunks(SLOT).filter_map(decode_slot).max_by_key(|watermark| watermark.count);
    Ok(newest.map_or(Found::Damaged, Found::Good))
}

/// The file, open for writing.
#[derive(Debug)]
pub struct WatermarkFile {
    file: Arc<dyn DiskFile>,
    current: Watermark,
}

impl WatermarkFile {
    /// Opens the file, making it if needed, and puts `current` in both slots.
    ///
    /// # Errors
    /// When the file cannot be made, written or synced.
    pub fn create(disk: &dyn Disk, current: Watermark) -> io::Result<Self> {
        let file = match disk.open(Path::new(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(Path::new(NAME))?,
            other => other?,
        };
        let mut watermark = Self { file, current };
        watermark.write(current)?;
        watermark.write(watermark.current)?;
        disk.sync_dir(Path::new(""))?;
        Ok(watermark)
    }

    /// What was last written.
    #[must_use]
    pub fn current(&self) -> Watermark {
        self.current
    }

    /// Writes and syncs `next`, numbering it.
    ///
    /// # Errors
    /// When the write or the sync fails; what is on disk is then unknown and the node must stop.
    pub fn write(&mut self, mut next: Watermark) -> io::Result<()> {
        next.count = self.current.count + 1;
        let slot = encode_slot(&next)?;
        let offset = (next.count % 2) * SLOT as u64;
        self.file.write_at(offset, &slot)?;
        self.file.sync_data()?;
        self.current = next;
        Ok(())
    }
}

fn encode_slot(watermark: &Watermark) -> io::Result<Vec<u8>> {
    let body = persist::encode(watermark).map_err(io::Error::other)?;
    let length = u16::try_from(body.len()).map_err(io::Error::other)?;
    let mut slot = Vec::with_capacity(SLOT);
    slot.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    slot.extend_from_slice(&length.to_be_bytes());
    slot.extend_from_slice(&body);
    slot.resize(SLOT, 0);
    Ok(slot)
}

fn decode_slot(slot: &[u8]) -> Option<Watermark> {
    let (prefix, rest) = slot.split_at_checked(PREFIX)?;
    let length = u16::from_be_bytes([prefix[4], prefix[5]]);
    let body = rest.get(..usize::from(length))?;
    let checksum = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
    if length == 0 || crc32c::crc32c(body) != checksum {
        return None;
    }
    persist::decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_torn_slot_leaves_the_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let path = dir.path().join(NAME);
        assert_eq!(read(&disk).unwrap(), Found::Absent);
        let mut file = WatermarkFile::create(&disk, Watermark::default()).unwrap();
        file.write(Watermark { voters: 1, ..Watermark::default() }).unwrap();
        let before = file.current();
        file.write(Watermark { voters: 3, ..Watermark::default() }).unwrap();
        assert_eq!(read(&disk).unwrap(), Found::Good(file.current()));

        let mut bytes = std::fs::read(&path).unwrap();
        let torn = usize::try_from(file.current().count % 2).unwrap() * SLOT + PREFIX + 1;
        bytes[torn] ^= 0xFF;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&disk).unwrap(), Found::Good(before));

        std::fs::write(&path, vec![0; 2 * SLOT]).unwrap();
        assert_eq!(read(&disk).unwrap(), Found::Damaged);
    }
}
