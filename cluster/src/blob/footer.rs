//! The end of a sealed Blob: the sealed index (length, epochs, marks) and the trailer that finds it.

use serde::{Deserialize, Serialize};

use super::cipher::BlobKeys;
use super::{Epochs, FormatError, MAX_MARKS_TOTAL, Mark, RECORD, record_at, take};
use crate::keyring::{SEAL_OVERHEAD, TAG_LENGTH};
use crate::persist::{self, Persist};

/// Bytes of a trailer.
pub const TRAILER_LENGTH: usize = 64;

const MAGIC: [u8; 8] = *b"MKSEALED";
/// No index is longer: marks with their lengths, and far more epochs than a Blob ever has.
const MAX_FOOTER: u64 = (2 * MAX_MARKS_TOTAL) as u64;

/// The index of a sealed Blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Plaintext bytes.
    pub length: u64,
    /// Which epoch sealed which records.
    pub epochs: Epochs,
    /// The owner's marks, in order.
    pub marks: Vec<Mark>,
}

impl Persist for Footer {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

impl Footer {
    /// Full records before the last one.
    #[must_use]
    pub fn full_records(&self) -> u64 {
        self.length / RECORD as u64
    }

    /// Where the index must begin: right after the last record, which may be empty.
    #[must_use]
    pub fn position(&self) -> u64 {
        record_at(self.full_records()) + self.length % RECORD as u64 + TAG_LENGTH as u64
    }
}

/// The last bytes of a sealed Blob, readable without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// The epoch under which the index is sealed.
    pub epoch: u64,
    /// Bytes of the sealed index.
    pub footer_length: u64,
    /// BLAKE3 of everything before the trailer.
    pub hash: [u8; 32],
}

impl Trailer {
    /// The 64 bytes of this trailer.
    #[must_use]
    pub fn encode(&self) -> [u8; TRAILER_LENGTH] {
        let mut bytes = [0; TRAILER_LENGTH];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.footer_length.to_be_bytes());
        bytes[24..56].copy_from_slice(&self.hash);
        let checksum = crc32c::crc32c(&bytes[..56]);
        bytes[56..60].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// Where the index begins in a file of `file_length` bytes.
    ///
    /// # Errors
    /// [`FormatError::Damaged`] if it cannot fit.
    pub fn footer_at(&self, file_length: u64) -> Result<u64, FormatError> {
        let fits = self.footer_length >= SEAL_OVERHEAD as u64 && self.footer_length <= MAX_FOOTER;
        let before = file_length.checked_sub(TRAILER_LENGTH as u64).filter(|_| fits);
        let at = before.and_then(|before| before.checked_sub(self.footer_length));
        at.ok_or(FormatError::Damaged("trailer"))
    }
}

/// Decodes a trailer.
///
/// # Errors
/// [`FormatError::Damaged`].
pub fn read_trailer(bytes: &[u8]) -> Result<Trailer, FormatError> {
    const DAMAGED: FormatError = FormatError::Damaged("trailer");
    let whole: &[u8; TRAILER_LENGTH] = bytes.try_into().map_err(|_| DAMAGED)?;
    let mut rest = whole.as_slice();
    let magic = take::<8>(&mut rest).ok_or(DAMAGED)?;
    let epoch = u64::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?);
    let footer_length = u64::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?);
    let hash = take::<32>(&mut rest).ok_or(DAMAGED)?;
    let checksum = u32::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?);
    if magic != MAGIC || checksum != crc32c::crc32c(&whole[..56]) || rest != [0; 4] {
        return Err(DAMAGED);
    }
    Ok(Trailer { epoch, footer_length, hash })
}

/// Seals the index under the sealing writer's epoch.
///
/// # Errors
/// [`FormatError::TooLong`] when there are more marks than allowed.
pub fn seal_footer(keys: &BlobKeys, epoch: u64, footer: &Footer) -> Result<Vec<u8>, FormatError> {
    let body = persist::encode(footer).map_err(|_| FormatError::Damaged("index"))?;
    if body.len() as u64 + SEAL_OVERHEAD as u64 > MAX_FOOTER {
        return Err(FormatError::TooLong("index"));
    }
    let context = keys.name().context(b"indx", &[&epoch.to_be_bytes(), &footer.position().to_be_bytes()]);
    Ok(keys.small(b"indx", epoch)?.seal(&context, &body)?)
}

/// Opens the index found at `position` and checks that it belongs there.
///
/// # Errors
/// [`FormatError::Damaged`].
pub fn open_footer(keys: &BlobKeys, epoch: u64, position: u64, sealed: &[u8]) -> Result<Footer, FormatError> {
    const DAMAGED: FormatError = FormatError::Damaged("index");
    let context = keys.name().context(b"indx", &[&epoch.to_be_bytes(), &position.to_be_bytes()]);
    let body = keys.small(b"indx", epoch)?.open(&context, sealed).map_err(|_| DAMAGED)?;
    let footer: Footer = persist::decode(&body).map_err(|_| DAMAGED)?;
    let in_order = footer.marks.is_sorted_by_key(|mark| mark.length);
    let inside = footer.marks.last().is_none_or(|mark| mark.length <= footer.length);
    let bounded = footer.length <= RECORD as u64 * u64::from(u32::MAX);
    if bounded && footer.position() == position && footer.epochs.is_sound() && in_order && inside {
        Ok(footer)
    } else {
        Err(DAMAGED)
    }
}
