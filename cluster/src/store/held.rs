//! Copies that another node writes: the same files as those of a writer here, put down without a key.
//!
//! A writer elsewhere says what goes where; this side holds to three rules. An epoch lower than the highest it was told
//! of is refused, after a restart too. What is acknowledged is durable. A copy is sealed only when its bytes have the
//! hash that its trailer names.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::paths::ROOT;
use super::recover::read_some;
use super::running_hash::RunningHash;
use super::{BlobError, Blobs, Inner, Paths, blocking};
use crate::blob::{BlobKind, BlobName, FormatError, TRAILER_LENGTH, read_trailer, slot_at, slot_stamp};
use crate::disk::DiskFile;

/// The most bytes one read of a copy gives.
pub const MAX_HELD_READ: u32 = 18 * 65_552;
/// Bytes read at a time to hash a copy.
const HASHED_AT_ONCE: usize = 1024 * 1024;
const FENCE_MAGIC: [u8; 8] = *b"MKFENCE1";

/// Which file of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldFile {
    /// The records: of an open Blob, or the whole of a sealed one.
    Records,
    /// Tails and frames of an open Blob.
    Open,
}

/// What a node has of a Blob, as far as it can say without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// Nothing.
    Absent,
    /// An open copy.
    Open {
        /// Epoch and sequence of both tail slots.
        slots: [(u64, u64); 2],
        /// Bytes of the file of tails and frames.
        open_length: u64,
        /// Bytes of the data file.
        data_length: u64,
    },
    /// A sealed copy.
    Sealed {
        /// Bytes of the file.
        file_length: u64,
        /// The epoch that sealed it.
        epoch: u64,
        /// The hash its trailer names.
        hash: [u8; 32],
    },
}

/// One write to a copy; the bytes come beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldWrite {
    /// Sealed records, or what follows them at the end, at this offset of the data file.
    Data {
        /// Where.
        offset: u64,
        /// How many bytes.
        length: u32,
    },
    /// Frames at this offset of the frames area.
    Frames {
        /// Where.
        offset: u64,
        /// How many bytes.
        length: u32,
    },
    /// All before it is made durable, then this tail slot, which is made durable, too.
    Barrier {
        /// The barrier's number.
        sequence: u64,
        /// Bytes of the slot.
        length: u32,
    },
    /// The copy is complete: it is hashed, made durable and gets its final name.
    Seal {
        /// The hash that State is told.
        hash: [u8; 32],
        /// Where the trailer goes.
        offset: u64,
        /// Bytes of the trailer.
        length: u32,
    },
}

/// The beginning of a copy, or of its next part under a new writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// What the Blob is.
    pub kind: BlobKind,
    /// The writer's epoch.
    pub epoch: u64,
    /// Full records that stay; what follows them is cut off.
    pub keep_records: u64,
    /// The number of the tail slot that comes beside this, before the frames.
    pub sequence: u64,
    /// Bytes of that slot.
    pub slot_length: u32,
}

/// A copy that is being written by another node.
#[derive(Default)]
pub(super) struct Lane {
    /// The lowest epoch that may write, once it was read from disk.
    pub(super) fence: Option<u64>,
    pub(super) writing: Option<Written>,
}

/// What a writer has begun here. Gone after a restart: it begins again then.
pub(super) struct Written {
    pub(super) epoch: u64,
    pub(super) data: Arc<dyn DiskFile>,
    pub(super) open: Arc<dyn DiskFile>,
    pub(super) frames_dirty: bool,
    /// The hash of the bytes so far, as long as there is one without reading them again.
    pub(super) hash: Option<RunningHash>,
}

/// The copies that are being written by other nodes.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<BlobName, Arc<Mutex<Lane>>>>,
}

impl Lanes {
    pub(super) fn of(&self, name: BlobName) -> Arc<Mutex<Lane>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= 256 {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || locked(lane).writing.is_some());
        }
        Arc::clone(lanes.entry(name).or_default())
    }

    /// Ends what others write to those copies: their files are not what they were. A writer that goes on hears that it is over,
    /// and begins again. To be called by whoever holds no lane.
    pub(super) fn end(&self, which: impl Fn(BlobName) -> bool) {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Vec<_> =
            lanes.iter().filter(|(name, _)| which(**name)).map(|(_, lane)| Arc::clone(lane)).collect();
        drop(lanes);
        ended.iter().for_each(|lane| locked(lane).writing = None);
    }
}

pub(super) fn locked(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn io(error: std::io::Error) -> BlobError {
    BlobError::from_io(&error)
}

impl Blobs {
    /// How many copies writers elsewhere have begun, whose files are open for them.
    #[cfg(test)]
    pub(super) fn writers_elsewhere(&self) -> usize {
        let lanes = self.inner.lanes.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values().filter(|lane| locked(lane).writing.is_some()).count()
    }

    /// Refuses all epochs below `epoch` from now on, durably, and tells what is here.
    ///
    /// # Errors
    /// [`BlobError::Fenced`] when a higher one was promised already.
    pub async fn held_fence(&self, name: BlobName, epoch: u64) -> Result<Report, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.held_fence(name, epoch)).await
    }

    /// What is here of a Blob.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when it cannot be told.
    pub async fn held_report(&self, name: BlobName) -> Result<Report, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.held_report(name)).await
    }

    /// Reads a piece of a file as it is on disk: at most [`MAX_HELD_READ`] bytes, fewer at the end.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], or what the disk says.
    pub async fn held_read(
        &self,
        name: BlobName,
        file: HeldFile,
        offset: u64,
        length: u32,
    ) -> Result<Bytes, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let file = inner.held_file(name, file)?;
            let length = usize::try_from(length.min(MAX_HELD_READ)).unwrap_or(0);
            Ok(Bytes::from(read_some(file.as_ref(), offset, length)?))
        })
        .await
    }

    /// Begins, or begins again, a copy for the writer of an epoch. `slot_and_frames` is the tail slot and the frames
    /// that make what is kept a whole Blob: from now on the copy is that.
    ///
    /// # Errors
    /// [`BlobError::Fenced`], [`BlobError::Full`], [`BlobError::Failed`].
    pub async fn held_begin(
        &self,
        name: BlobName,
        beginning: Beginning,
        slot_and_frames: Bytes,
    ) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.held_begin(name, beginning, &slot_and_frames)).await
    }

    /// Carries out writes of the writer of `epoch` in their order. What a barrier covers is durable when this returns.
    ///
    /// # Errors
    /// [`BlobError::Fenced`]; [`BlobError::WriterOver`] when that writer has not begun here.
    pub async fn held_write(
        &self,
        name: BlobName,
        epoch: u64,
        writes: Vec<HeldWrite>,
        bytes: Bytes,
    ) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.held_write(name, epoch, &writes, bytes)).await
    }

    /// Bytes of a sealed copy's file.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] when there is none.
    pub async fn length_of(&self, name: BlobName) -> Result<u64, BlobError> {
        match self.held_report(name).await? {
            Report::Sealed { file_length, .. } => Ok(file_length),
            _ => Err(BlobError::NotFound),
        }
    }

    /// Whether the bytes of a sealed copy have the hash its trailer names; the hash.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when they have not.
    pub async fn held_verify(&self, name: BlobName) -> Result<[u8; 32], BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let file = inner.disk.open(&Paths::of(name).blob).map_err(io)?;
            verified(file.as_ref(), None)
        })
        .await
    }
}

impl Inner {
    fn held_fence(&self, name: BlobName, epoch: u64) -> Result<Report, BlobError> {
        self.running()?;
        let lane = self.lanes.of(name);
        let mut lane = locked(&lane);
        let have = self.fence(name, &mut lane)?;
        if epoch < have {
            return Err(BlobError::Fenced { have, got: epoch });
        }
        // A writer on this very node first: nothing of it may become durable after what is reported now.
        let content = self.opened().get(&name).and_then(std::sync::Weak::upgrade);
        let gate = content.as_deref().map(|content| content.close_gate(epoch));
        if epoch > have {
            self.write_fence(name, epoch)?;
            lane.fence = Some(epoch);
            lane.writing = lane.writing.take().filter(|written| written.epoch >= epoch);
        }
        let report = self.held_report(name);
        drop(gate);
        report
    }

    /// The lowest epoch that may write to the copy here.
    pub(super) fn fence(&self, name: BlobName, lane: &mut Lane) -> Result<u64, BlobError> {
        if let Some(fence) = lane.fence {
            return Ok(fence);
        }
        let promised = match self.disk.open(&Paths::of(name).fence) {
            Ok(file) => read_fence(&read_some(file.as_ref(), 0, 24)?)?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(io(error)),
        };
        // Whoever wrote here had that epoch.
        let written = match self.held_report(name) {
            Ok(Report::Open { slots, .. }) => slots[0].0.max(slots[1].0),
            Ok(Report::Sealed { epoch, .. }) => epoch,
            _ => 0,
        };
        let fence = promised.max(written);
        lane.fence = Some(fence);
        Ok(fence)
    }

    /// Notes that a writer of `epoch` begins on this node itself, whose files say so.
    ///
    /// # Errors
    /// [`BlobError::Fenced`] when a higher one was promised.
    pub(super) fn begin_here(&self, name: BlobName, epoch: u64) -> Result<(), BlobError> {
        let lane = self.lanes.of(name);
        let mut lane = locked(&lane);
        let have = self.fence(name, &mut lane)?;
        if epoch < have {
            return Err(BlobError::Fenced { have, got: epoch });
        }
        lane.fence = Some(epoch);
        lane.writing = None;
        Ok(())
    }

    pub(super) fn write_fence(&self, name: BlobName, epoch: u64) -> Result<(), BlobError> {
        let paths = Paths::of(name);
        self.make_folder(&paths)?;
        let _ = self.disk.remove_file(&paths.new_fence);
        let file = self.disk.create(&paths.new_fence).map_err(io)?;
        file.write_at(0, &fence_bytes(epoch)).map_err(io)?;
        self.synced("a Blob's fence", file.sync_data())?;
        self.disk.rename(&paths.new_fence, &paths.fence).map_err(io)?;
        self.synced("an asset's folder", self.disk.sync_dir(&paths.folder))?;
        self.unless_dropped(name)
    }

    pub(super) fn held_report(&self, name: BlobName) -> Result<Report, BlobError> {
        let paths = Paths::of(name);
        match self.disk.open(&paths.blob) {
            Ok(file) => {
                let file_length = file.len().map_err(io)?;
                let at =
                    file_length.checked_sub(TRAILER_LENGTH as u64).ok_or(FormatError::Damaged("trailer"))?;
                let trailer = read_trailer(&read_some(file.as_ref(), at, TRAILER_LENGTH)?)?;
                return Ok(Report::Sealed { file_length, epoch: trailer.epoch, hash: trailer.hash });
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
            Err(_) => {}
        }
        let open = match self.disk.open(&paths.open) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Report::Absent),
            other => other.map_err(io)?,
        };
        let data = self.disk.open(&paths.data).map_err(io)?;
        let slot = |parity| Ok::<_, BlobError>(slot_stamp(&read_some(open.as_ref(), slot_at(parity), 64)?));
        Ok(Report::Open {
            slots: [slot(0)?, slot(1)?],
            open_length: open.len().map_err(io)?,
            data_length: data.len().map_err(io)?,
        })
    }

    fn held_file(&self, name: BlobName, file: HeldFile) -> Result<Arc<dyn DiskFile>, BlobError> {
        let paths = Paths::of(name);
        match file {
            HeldFile::Open => self.disk.open(&paths.open).map_err(io),
            HeldFile::Records => match self.disk.open(&paths.blob) {
                Err(error) if error.kind() == ErrorKind::NotFound => self.disk.open(&paths.data).map_err(io),
                other => other.map_err(io),
            },
        }
    }
}

/// The hash of a sealed file, when its trailer names the same. `known` is the hash of its first bytes, when they were
/// hashed as they came; the trailer itself is not part of it.
pub(super) fn verified(
    file: &dyn DiskFile,
    known: Option<(u64, Box<blake3::Hasher>)>,
) -> Result<[u8; 32], BlobError> {
    let length = file.len().map_err(io)?;
    let end = length.checked_sub(TRAILER_LENGTH as u64).ok_or(FormatError::Damaged("trailer"))?;
    let trailer = read_trailer(&read_some(file, end, TRAILER_LENGTH)?)?;
    let (mut at, mut hasher) = known.filter(|(upto, _)| *upto <= end).unwrap_or_default();
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(HASHED_AT_ONCE);
        let piece = read_some(file, at, wanted)?;
        if piece.is_empty() {
            return Err(FormatError::Damaged("copy").into());
        }
        hasher.update(&piece);
        at += piece.len() as u64;
    }
    let hash = *hasher.finalize().as_bytes();
    if hash == trailer.hash { Ok(hash) } else { Err(FormatError::Damaged("copy").into()) }
}

fn fence_bytes(epoch: u64) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&FENCE_MAGIC);
    bytes[8..16].copy_from_slice(&epoch.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn read_fence(bytes: &[u8]) -> Result<u64, BlobError> {
    let number: Option<[u8; 8]> = bytes.get(8..16).and_then(|epoch| epoch.try_into().ok());
    let epoch = number.map(u64::from_be_bytes).filter(|epoch| fence_bytes(*epoch) == bytes);
    epoch.ok_or_else(|| FormatError::Damaged("fence").into())
}

/// Folders a copy needs.
impl Inner {
    pub(super) fn make_folder(&self, paths: &Paths) -> Result<(), BlobError> {
        // One at a time: whoever finds the folder there must be able to rely on its being durable.
        let gone = self.folders();
        if gone.contains(&paths.name.asset) || self.dropped().contains(&paths.name) {
            return Err(BlobError::NotFound);
        }
        if self.disk.list(&paths.folder).is_ok() {
            return Ok(());
        }
        self.disk.make_dir(&paths.folder).map_err(io)?;
        self.synced("the folder of Blobs", self.disk.sync_dir(ROOT.as_ref()))
    }

    /// Takes back what was made of a Blob that was dropped while it was made.
    pub(super) fn unless_dropped(&self, name: BlobName) -> Result<(), BlobError> {
        if !self.dropped().contains(&name) {
            return Ok(());
        }
        self.remove_blob(name)?;
        Err(BlobError::NotFound)
    }
}

impl Content {
    /// Ends the writer here if its epoch is lower than `epoch`. As long as the answer is held no barrier runs.
    pub(super) fn close_gate(&self, epoch: u64) -> MutexGuard<'_, u64> {
        let mut gate = self.gate();
        *gate = epoch.max(*gate);
        self.fence(epoch);
        if let Some(state) = self.writing().as_mut().filter(|state| state.cipher.epoch() < epoch) {
            state.over = true;
        }
        gate
    }
}
