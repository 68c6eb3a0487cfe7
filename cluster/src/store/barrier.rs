//! The barrier: everything written so far becomes durable, then acknowledged, then readable, in this order.

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use super::BlobError;
use super::content::{BarrierCount, Content};
use crate::blob::{Tail, seal_tail, slot_at};

/// What was written when a barrier began.
struct Written {
    tail: Tail,
    marks: usize,
    tickets: u64,
    frames_dirty: bool,
}

/// Runs one barrier for the writer of `epoch`. Blocks. Gives the durable length.
pub(super) fn run(
    content: &Content,
    mut count: OwnedMutexGuard<BarrierCount>,
    epoch: u64,
) -> Result<u64, BlobError> {
    content.store.running()?;
    let sequence = count.0 + 1;
    let written = snapshot(content, epoch, sequence)?;
    let before = content.published.borrow().clone();
    if before.tickets == written.tickets {
        return Ok(before.progress.length);
    }
    let tail = &written.tail;
    make_durable(content, tail, tail.records > before.records, written.frames_dirty)
        .inspect_err(|_| content.end_writer(epoch))?;
    count.0 = sequence;
    let length = written.tail.length();
    content.publish(|published| {
        published.progress.length = length;
        published.progress.marks = written.marks;
        published.records = written.tail.records;
        published.tail = Some(Bytes::from(written.tail.bytes));
        published.tickets = written.tickets;
    });
    Ok(length)
}

fn snapshot(content: &Content, epoch: u64, sequence: u64) -> Result<Written, BlobError> {
    let mut writing = content.writing();
    let state = content.current(&mut writing, epoch)?;
    let tail = Tail {
        sequence,
        epoch,
        records: state.records,
        frames_length: state.frames_length,
        frames: state.frames,
        bytes: state.tail.clone(),
    };
    let frames_dirty = std::mem::take(&mut state.frames_dirty);
    Ok(Written { tail, marks: content.marks().len(), tickets: state.tickets, frames_dirty })
}

/// Records and frames first; only when they are safe, the tail that acknowledges them.
fn make_durable(content: &Content, tail: &Tail, records: bool, frames: bool) -> Result<(), BlobError> {
    let open = content.open_file()?;
    if records {
        content.store.synced("a Blob", content.data.sync_data())?;
    }
    if frames {
        content.store.synced("a Blob's marks", open.sync_data())?;
    }
    let slot = seal_tail(&content.keys, tail)?;
    open.write_at(slot_at(tail.sequence), &slot).map_err(|error| BlobError::from_io(&error))?;
    content.store.synced("a Blob's tail", open.sync_data())
}
