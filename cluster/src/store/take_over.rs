//! A new writer takes a Blob over: find the longest sound prefix, fence off the writers before, go on.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use super::content::{BarrierCount, Content, Hashes, Writing};
use super::recover::{Found, read_open, read_some, records_in, take_frame};
use super::{BlobError, BlobWriter};
use crate::blob::{
    FRAMES_AT, FormatError, Frame, FrameBody, FrameReader, Header, HeaderKind, RECORD, SEALED_RECORD, Tail,
    record_at, seal_frame, seal_tail, slot_at,
};

/// Takes the Blob over with `epoch`. Blocks.
pub(super) fn take_over(
    content: &Arc<Content>,
    mut barrier: OwnedMutexGuard<BarrierCount>,
    epoch: u64,
) -> Result<BlobWriter, BlobError> {
    content.store.running()?;
    // Before `writing` is held: whoever fences takes the two in the other order.
    content.store.begin_here(content.name(), epoch)?;
    let mut writing = content.writing();
    content.not_fenced(epoch)?;
    let published = content.published.borrow().clone();
    if published.removed {
        return Err(BlobError::NotFound);
    }
    if published.progress.sealed {
        return Err(BlobError::Sealed(content.sealed()?));
    }
    // The writer here has sealed the file and did not hear from the others in time; they have it by now.
    if let Some(end) = content.end.get() {
        super::sealing::publish(content, end);
        return Err(BlobError::Sealed(end.sealed));
    }
    content.store.room_to_write()?;
    let open = content.open_file()?;
    let mut found = read_open(&content.keys, open.as_ref())?;
    extend_records(content, &mut found)?;
    let (frames_length, frames) = extend_frames(content, &mut found);
    let have = found.epochs.newest();
    let first_record = found.tail.records;
    if !found.epochs.push(epoch, first_record) {
        return Err(BlobError::Fenced { have, got: epoch });
    }
    // From here on the writer before is over, whatever happens to this takeover.
    *writing = None;
    let tail = Tail { sequence: found.tail.sequence + 1, epoch, frames_length, frames, ..found.tail };
    let tail = persist(content, tail, first_record)?;
    barrier.0 = tail.sequence;
    drop(barrier);

    let epochs = Arc::new(found.epochs);
    let header = Header { name: content.name(), kind: content.kind }.encode(HeaderKind::Records);
    *writing = Some(Writing {
        cipher: content.keys.records(epoch)?,
        epochs: Arc::clone(&epochs),
        records: tail.records,
        tail: tail.bytes.clone(),
        frames_length: tail.frames_length,
        frames: tail.frames,
        frames_dirty: false,
        tickets: 0,
        hashes: (tail.records == 0).then(|| {
            let mut hashes = Hashes::new(content.kind, &header);
            hashes.add_plaintext(&tail.bytes);
            hashes
        }),
        buffer: Vec::new(),
        over: false,
        mirror: None,
    });
    let marks = found.marks.len();
    *content.marks_mut() = found.marks;
    content.publish(|published| {
        published.progress.length = tail.length();
        published.progress.marks = marks;
        published.records = tail.records;
        published.tail = Some(Bytes::from(tail.bytes));
        published.epochs = epochs;
        published.tickets = 0;
    });
    drop(writing);
    Ok(BlobWriter::new(Arc::clone(content), epoch))
}

/// Adds the sound records that were written after the last barrier: more than was acknowledged, and never less.
fn extend_records(content: &Content, found: &mut Found) -> Result<(), BlobError> {
    let length = content.data.len().map_err(|error| BlobError::from_io(&error))?;
    let there = records_in(length);
    if there < found.tail.records {
        return Err(BlobError::Corrupt { record: there });
    }
    let mut plaintext = vec![0; RECORD];
    while found.tail.records < there {
        let number = found.tail.records;
        let sealed = read_some(content.data.as_ref(), record_at(number), SEALED_RECORD)?;
        let cipher = content.keys.records(found.tail.epoch)?;
        if cipher.open(number, false, &sealed, &mut plaintext).is_err() {
            break;
        }
        if !plaintext.starts_with(&found.tail.bytes) {
            return Err(BlobError::Corrupt { record: number });
        }
        found.tail.records += 1;
        found.tail.bytes.clear();
    }
    Ok(())
}

/// Adds the sound frames that were written after the last barrier, as far as their bytes are there. Gives where the
/// good frames end and how many they are.
fn extend_frames(content: &Content, found: &mut Found) -> (u64, u64) {
    let mut reader = FrameReader::new(&content.keys, &found.frames);
    let (mut end, mut count) = (0, 0);
    while let Ok(frame) = reader.read() {
        let acknowledged = frame.number < found.tail.frames;
        if !acknowledged {
            let too_far = matches!(&frame.body, FrameBody::Mark(mark) if mark.length > found.tail.length());
            if too_far || !take_frame(&mut found.epochs, &mut found.marks, frame.epoch, frame.body) {
                break;
            }
        }
        (end, count) = (reader.position() as u64, reader.count());
    }
    (end, count)
}

/// Makes what was found durable, then the new epoch, then the new tail: in this order.
fn persist(content: &Content, mut tail: Tail, first_record: u64) -> Result<Tail, BlobError> {
    let io = |error: std::io::Error| BlobError::from_io(&error);
    let store = &content.store;
    let open = content.open_file()?;
    content.data.set_len(record_at(tail.records)).map_err(io)?;
    store.synced("a Blob", content.data.sync_data())?;

    open.set_len(FRAMES_AT + tail.frames_length).map_err(io)?;
    let frame = Frame { epoch: tail.epoch, number: tail.frames, body: FrameBody::Epoch { first_record } };
    let frame = seal_frame(&content.keys, &frame)?;
    open.write_at(FRAMES_AT + tail.frames_length, &frame).map_err(io)?;
    store.synced("a Blob's epoch", open.sync_data())?;

    tail.frames_length += frame.len() as u64;
    tail.frames += 1;
    let slot: Vec<u8> = seal_tail(&content.keys, &tail)?;
    open.write_at(slot_at(tail.sequence), &slot).map_err(io)?;
    store.synced("a Blob's tail", open.sync_data())?;
    // A kill right after the creation may have left its names in memory only.
    store.synced("an asset's folder", store.disk.sync_dir(&content.paths.folder))?;
    if tail.bytes.len() < RECORD { Ok(tail) } else { Err(FormatError::TooLong("tail").into()) }
}
