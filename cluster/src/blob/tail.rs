//! A tail slot: what one barrier made durable, and the bytes past the last full record.
//!
//! The random nonce makes every sealing of a tail safe, the alternation of slots keeps the acknowledged one whole while
//! the next is written.

use super::cipher::BlobKeys;
use super::{FormatError, RECORD, SLOT_STRIDE, take};
use crate::keyring::SEAL_OVERHEAD;

/// The most bytes a slot takes.
pub const SLOT_LENGTH: usize = FIELDS + RECORD + SEAL_OVERHEAD;

const MAGIC: [u8; 4] = *b"MKT1";
const FIELDS: usize = 4 + 8 + 8 + 8 + 8 + 8 + 4;
const _: () = assert!(SLOT_LENGTH as u64 <= SLOT_STRIDE);

/// What a barrier acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Counts barriers from 1, across epochs.
    pub sequence: u64,
    /// The writer's epoch.
    pub epoch: u64,
    /// Full records that were durable before.
    pub records: u64,
    /// Bytes of frames that were durable before.
    pub frames_length: u64,
    /// How many frames those are.
    pub frames: u64,
    /// The bytes past the last full record: less than a record.
    pub bytes: Vec<u8>,
}

impl Tail {
    /// The Blob's length at this barrier.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.records * RECORD as u64 + self.bytes.len() as u64
    }
}

/// Seals a tail for its slot.
///
/// # Errors
/// [`FormatError::TooLong`] for a full record, which is never a tail.
pub fn seal_tail(keys: &BlobKeys, tail: &Tail) -> Result<Vec<u8>, FormatError> {
    let length = u32::try_from(tail.bytes.len()).ok().filter(|length| (*length as usize) < RECORD);
    let length = length.ok_or(FormatError::TooLong("tail"))?;
    let mut slot = Vec::with_capacity(FIELDS + SEAL_OVERHEAD + tail.bytes.len());
    slot.extend_from_slice(&MAGIC);
    for field in [tail.sequence, tail.epoch, tail.records, tail.frames_length, tail.frames] {
        slot.extend_from_slice(&field.to_be_bytes());
    }
    slot.extend_from_slice(&length.to_be_bytes());
    let context = keys.name().context(b"tail", &[&slot]);
    let sealed = keys.small(b"tail", tail.epoch)?.seal(&context, &tail.bytes)?;
    slot.extend_from_slice(&sealed);
    Ok(slot)
}

/// Epoch and sequence that a slot claims, readable without a key; zeros for an empty or torn one.
#[must_use]
pub fn slot_stamp(slot: &[u8]) -> (u64, u64) {
    let read = || {
        let mut rest = slot;
        let magic = take::<4>(&mut rest)?;
        let sequence = u64::from_be_bytes(take(&mut rest)?);
        let epoch = u64::from_be_bytes(take(&mut rest)?);
        (magic == MAGIC).then_some((epoch, sequence))
    };
    read().unwrap_or_default()
}

/// Opens a slot as read from disk (what follows the tail in the slot is ignored).
///
/// # Errors
/// [`FormatError::Damaged`] for an empty, torn or changed slot.
pub fn open_tail(keys: &BlobKeys, slot: &[u8]) -> Result<Tail, FormatError> {
    const DAMAGED: FormatError = FormatError::Damaged("tail");
    let mut rest = slot;
    if take::<4>(&mut rest).ok_or(DAMAGED)? != MAGIC {
        return Err(DAMAGED);
    }
    let mut fields = [0; 5];
    for field in &mut fields {
        *field = u64::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?);
    }
    let [sequence, epoch, records, frames_length, frames] = fields;
    let length = u32::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?) as usize;
    if length >= RECORD || records > u64::from(u32::MAX) || frames_length > i64::MAX as u64 {
        return Err(DAMAGED);
    }
    let sealed = rest.get(..length + SEAL_OVERHEAD).ok_or(DAMAGED)?;
    let context = keys.name().context(b"tail", &[&slot[..FIELDS]]);
    let bytes = keys.small(b"tail", epoch)?.open(&context, sealed).map_err(|_| DAMAGED)?;
    Ok(Tail { sequence, epoch, records, frames_length, frames, bytes: bytes.to_vec() })
}
