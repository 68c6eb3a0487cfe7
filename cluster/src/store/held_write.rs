//! The writes of a writer elsewhere, put down in the same files and in the same order as a writer's here.

use std::io::ErrorKind;

use bytes::Bytes;

use super::held::{Beginning, HeldWrite, Report, Written, io, locked, verified};
use super::running_hash::RunningHash;
use super::{BlobError, Inner, Paths};
use crate::blob::{
    BlobName, FRAMES_AT, FormatError, HEADER_LENGTH, Header, HeaderKind, SLOT_LENGTH, record_at, slot_at,
};

impl Inner {
    pub(super) fn held_begin(
        &self,
        name: BlobName,
        beginning: Beginning,
        bytes: &Bytes,
    ) -> Result<(), BlobError> {
        self.running()?;
        self.room_to_write()?;
        let lane = self.lanes.of(name);
        let mut lane = locked(&lane);
        let (have, epoch) = (self.fence(name, &mut lane)?, beginning.epoch);
        if epoch < have {
            return Err(BlobError::Fenced { have, got: epoch });
        }
        if epoch > have && epoch > 1 {
            self.write_fence(name, epoch)?;
        }
        lane.fence = Some(epoch);
        let slot_length = beginning.slot_length as usize;
        if slot_length > SLOT_LENGTH || slot_length > bytes.len() {
            return Err(FormatError::TooLong("tail").into());
        }
        let (slot, frames) = bytes.split_at(slot_length);
        self.forget(name);
        lane.writing = Some(self.begin_files(name, &beginning, slot, frames)?);
        Ok(())
    }

    /// The new file of tails and frames takes effect in one step; only then is what it does not need cut off.
    fn begin_files(
        &self,
        name: BlobName,
        beginning: &Beginning,
        slot: &[u8],
        frames: &[u8],
    ) -> Result<Written, BlobError> {
        let paths = Paths::of(name);
        self.make_folder(&paths)?;
        let header = Header { name, kind: beginning.kind };
        let records = header.encode(HeaderKind::Records);
        let data = match self.disk.open(&paths.data) {
            Ok(data) => data,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let data = self.disk.create(&paths.data).map_err(io)?;
                data.write_at(0, &records).map_err(io)?;
                data
            }
            Err(error) => return Err(io(error)),
        };
        if beginning.keep_records == 0 {
            data.write_at(0, &records).map_err(io)?;
        }
        if data.len().map_err(io)? < record_at(beginning.keep_records) {
            return Err(FormatError::Damaged("data file").into());
        }
        self.synced("a Blob", data.sync_data())?;
        let _ = self.disk.remove_file(&paths.new_open);
        let open = self.disk.create(&paths.new_open).map_err(io)?;
        open.write_at(0, &header.encode(HeaderKind::Open)).map_err(io)?;
        open.write_at(slot_at(beginning.sequence), slot).map_err(io)?;
        open.write_at(FRAMES_AT, frames).map_err(io)?;
        self.synced("a Blob's tail", open.sync_data())?;
        self.disk.rename(&paths.new_open, &paths.open).map_err(io)?;
        // A sealed copy that was never State's is over.
        let _ = self.disk.remove_file(&paths.blob);
        self.synced("an asset's folder", self.disk.sync_dir(&paths.folder))?;
        self.unless_dropped(name)?;
        data.set_len(record_at(beginning.keep_records)).map_err(io)?;
        let hash = (beginning.keep_records == 0).then(|| RunningHash::of(&records));
        Ok(Written { epoch: beginning.epoch, data, open, frames_dirty: false, hash })
    }

    pub(super) fn held_write(
        &self,
        name: BlobName,
        epoch: u64,
        writes: &[HeldWrite],
        bytes: Bytes,
    ) -> Result<(), BlobError> {
        self.running()?;
        let lane = self.lanes.of(name);
        let mut lane = locked(&lane);
        let have = self.fence(name, &mut lane)?;
        if epoch < have {
            return Err(BlobError::Fenced { have, got: epoch });
        }
        let Some(written) = lane.writing.as_mut().filter(|written| written.epoch == epoch) else {
            return self.already_sealed(name, writes);
        };
        if self.room_to_write().is_err() {
            lane.writing = None;
            return Err(BlobError::Full);
        }
        let mut bytes = bytes;
        let mut sealed = false;
        for write in writes {
            let outcome = match *write {
                HeldWrite::Data { offset, length } => {
                    cut(&mut bytes, length).and_then(|piece| written.data(offset, &piece))
                }
                HeldWrite::Frames { offset, length } => {
                    cut(&mut bytes, length).and_then(|piece| written.frames(offset, &piece))
                }
                HeldWrite::Barrier { sequence, length } => {
                    cut(&mut bytes, length).and_then(|slot| self.held_barrier(written, sequence, &slot))
                }
                HeldWrite::Seal { hash, offset, length } => cut(&mut bytes, length)
                    .and_then(|trailer| written.data.write_at(offset, &trailer).map_err(io))
                    .and_then(|()| self.held_seal(name, written, hash))
                    .inspect(|()| sealed = true),
            };
            if outcome.is_err() {
                lane.writing = None;
                return outcome;
            }
        }
        if sealed {
            lane.writing = None;
        }
        Ok(())
    }

    /// The answer to a sealing may have been lost: told again, it is done.
    fn already_sealed(&self, name: BlobName, writes: &[HeldWrite]) -> Result<(), BlobError> {
        let Some(HeldWrite::Seal { hash: wanted, .. }) = writes.last() else {
            return Err(BlobError::WriterOver);
        };
        match self.held_report(name)? {
            Report::Sealed { hash, .. } if hash == *wanted => Ok(()),
            _ => Err(BlobError::WriterOver),
        }
    }

    fn held_barrier(&self, written: &mut Written, sequence: u64, slot: &[u8]) -> Result<(), BlobError> {
        if slot.len() > SLOT_LENGTH {
            return Err(FormatError::TooLong("tail").into());
        }
        self.synced("a Blob", written.data.sync_data())?;
        if std::mem::take(&mut written.frames_dirty) {
            self.synced("a Blob's marks", written.open.sync_data())?;
        }
        written.open.write_at(slot_at(sequence), slot).map_err(io)?;
        self.synced("a Blob's tail", written.open.sync_data())
    }

    fn held_seal(&self, name: BlobName, written: &mut Written, wanted: [u8; 32]) -> Result<(), BlobError> {
        let paths = Paths::of(name);
        let found = verified(written.data.as_ref(), written.hash.take().map(RunningHash::known))?;
        if found != wanted {
            return Err(FormatError::Damaged("copy").into());
        }
        self.synced("a sealed Blob", written.data.sync_data())?;
        self.disk.rename(&paths.data, &paths.blob).map_err(io)?;
        self.synced("an asset's folder", self.disk.sync_dir(&paths.folder))?;
        self.forget(name);
        for path in [&paths.open, &paths.fence] {
            let _ = self.disk.remove_file(path);
        }
        Ok(())
    }
}

impl Written {
    fn data(&mut self, offset: u64, bytes: &Bytes) -> Result<(), BlobError> {
        if offset < HEADER_LENGTH as u64 {
            return Err(FormatError::Damaged("offset").into());
        }
        self.data.write_at(offset, bytes).map_err(io)?;
        self.hash = self.hash.take().and_then(|hash| hash.with(offset, bytes));
        Ok(())
    }

    fn frames(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BlobError> {
        self.frames_dirty = true;
        self.open.write_at(FRAMES_AT.saturating_add(offset), bytes).map_err(io)
    }
}

/// Takes the next `length` bytes.
fn cut(bytes: &mut Bytes, length: u32) -> Result<Bytes, BlobError> {
    let length = length as usize;
    if length > bytes.len() {
        return Err(FormatError::Damaged("message").into());
    }
    Ok(bytes.split_to(length))
}
