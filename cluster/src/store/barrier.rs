//! The barrier: everything written so far becomes durable, then acknowledged, then readable, in this order.

use std::sync::Arc;

use bytes::Bytes;

use super::BlobError;
use super::content::{BarrierCount, Content};
use super::mirror::{FileWrite, Mirror};
use crate::blob::{Tail, seal_tail, slot_at};

/// What was written when a barrier began, and is durable here.
pub(super) struct Written {
    tail: Tail,
    marks: usize,
    tickets: u64,
    frames_dirty: bool,
    /// What waits until it is durable on enough other nodes, too.
    pub(super) waits: Option<(Arc<dyn Mirror>, u64)>,
}

/// What a barrier led to.
pub(super) enum Barrier {
    /// Nothing was left to do: the durable length.
    Nothing(u64),
    /// It is durable here and waits for other nodes.
    Waits(Written),
    /// It is done: the durable length.
    Done(u64),
}

/// Runs one barrier for the writer of `epoch` as far as this node goes. Blocks.
pub(super) fn run(content: &Content, count: &mut BarrierCount, epoch: u64) -> Result<Barrier, BlobError> {
    content.store.running()?;
    let sequence = count.0 + 1;
    let mut written = snapshot(content, epoch, sequence)?;
    let before = content.published.borrow().clone();
    if before.tickets == written.tickets {
        return Ok(Barrier::Nothing(before.progress.length));
    }
    let slot = seal_tail(&content.keys, &written.tail)?;
    // The others begin while this disk works.
    if let Some((mirror, ticket)) = &mut written.waits {
        *ticket = mirror.push(FileWrite::Barrier { sequence, slot: Bytes::from(slot.clone()) });
    }
    let records = written.tail.records > before.records;
    let durable = {
        let gate = content.gate();
        let fenced = BlobError::Fenced { have: *gate, got: epoch };
        if *gate > epoch { Err(fenced) } else { make_durable(content, &written, &slot, records) }
    };
    durable.inspect_err(|_| content.end_writer(epoch))?;
    count.0 = sequence;
    if written.waits.is_some() {
        Ok(Barrier::Waits(written))
    } else {
        Ok(Barrier::Done(publish(content, written)))
    }
}

/// Tells readers what is durable. Gives the durable length.
pub(super) fn publish(content: &Content, written: Written) -> u64 {
    let length = written.tail.length();
    content.publish(|published| {
        published.progress.length = length;
        published.progress.marks = written.marks;
        published.records = written.tail.records;
        published.tail = Some(Bytes::from(written.tail.bytes));
        published.tickets = written.tickets;
    });
    length
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
    let waits = state.mirror.clone().map(|mirror| (mirror, 0));
    Ok(Written { tail, marks: content.marks().len(), tickets: state.tickets, frames_dirty, waits })
}

/// Records and frames first; only when they are safe, the tail that acknowledges them.
fn make_durable(content: &Content, written: &Written, slot: &[u8], records: bool) -> Result<(), BlobError> {
    let open = content.open_file()?;
    if records {
        content.store.synced("a Blob", content.data.sync_data())?;
    }
    if written.frames_dirty {
        content.store.synced("a Blob's marks", open.sync_data())?;
    }
    open.write_at(slot_at(written.tail.sequence), slot).map_err(|error| BlobError::from_io(&error))?;
    content.store.synced("a Blob's tail", open.sync_data())
}
