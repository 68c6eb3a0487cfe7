//! Frames of the `.open` file: the epochs a Blob has had and the marks its owner made, appended in order.

use serde::{Deserialize, Serialize};

use super::cipher::BlobKeys;
use super::{FormatError, MAX_MARK, Mark, take};
use crate::keyring::{AeadKey, SEAL_OVERHEAD};

const MAGIC: [u8; 4] = *b"MKF1";
const FIELDS: usize = 4 + 8 + 8 + 4;
const MAX_BODY: usize = MAX_MARK + 64;

/// The most bytes a frame takes.
pub const MAX_FRAME: usize = FIELDS + MAX_BODY + SEAL_OVERHEAD;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrameBody {
    /// A writer epoch begins: from this record on, records are sealed by it.
    Epoch {
        /// The first record of the epoch.
        first_record: u64,
    },
    /// A mark of the owner.
    Mark(Mark),
}

/// One frame, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The epoch that wrote it; for an epoch frame, the epoch that begins.
    pub epoch: u64,
    /// Its place in the file, from 0.
    pub number: u64,
    /// What it says.
    pub body: FrameBody,
}

/// Seals one frame.
///
/// # Errors
/// [`FormatError::TooLong`] for a mark beyond [`MAX_MARK`].
pub fn seal_frame(keys: &BlobKeys, frame: &Frame) -> Result<Vec<u8>, FormatError> {
    let body = postcard::to_allocvec(&frame.body).map_err(|_| FormatError::Damaged("frame"))?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= MAX_BODY);
    let length = length.ok_or(FormatError::TooLong("mark"))?;
    let mut sealed = Vec::with_capacity(FIELDS + body.len() + SEAL_OVERHEAD);
    sealed.extend_from_slice(&MAGIC);
    sealed.extend_from_slice(&frame.epoch.to_be_bytes());
    sealed.extend_from_slice(&frame.number.to_be_bytes());
    sealed.extend_from_slice(&length.to_be_bytes());
    let context = keys.name().context(b"fram", &[&sealed]);
    let body = keys.small(b"fram", frame.epoch)?.seal(&context, &body)?;
    sealed.extend_from_slice(&body);
    Ok(sealed)
}

/// Reads frames one after the other from the bytes of the frames area.
#[derive(Debug)]
pub struct FrameReader<'a> {
    keys: &'a BlobKeys,
    bytes: &'a [u8],
    position: usize,
    number: u64,
    key: Option<(u64, AeadKey)>,
}

impl<'a> FrameReader<'a> {
    /// A reader at the first frame.
    #[must_use]
    pub fn new(keys: &'a BlobKeys, bytes: &'a [u8]) -> Self {
        Self { keys, bytes, position: 0, number: 0, key: None }
    }

    /// Where the next frame begins: the end of the last good one.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many frames were read.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.number
    }

    /// The next frame. The reader moves on only after a good one.
    ///
    /// # Errors
    /// [`FormatError::Damaged`] where no whole, unchanged frame with the right number begins, at the end too.
    pub fn read(&mut self) -> Result<Frame, FormatError> {
        const DAMAGED: FormatError = FormatError::Damaged("frame");
        let start = self.bytes.get(self.position..).ok_or(DAMAGED)?;
        let mut rest = start;
        if take::<4>(&mut rest).ok_or(DAMAGED)? != MAGIC {
            return Err(DAMAGED);
        }
        let epoch = u64::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?);
        let number = u64::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?);
        let length = u32::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?) as usize;
        if number != self.number || length > MAX_BODY {
            return Err(DAMAGED);
        }
        let sealed = rest.get(..length + SEAL_OVERHEAD).ok_or(DAMAGED)?;
        let context = self.keys.name().context(b"fram", &[&start[..FIELDS]]);
        let body = self.key(epoch)?.open(&context, sealed).map_err(|_| DAMAGED)?;
        let (body, left) = postcard::take_from_bytes::<FrameBody>(&body).map_err(|_| DAMAGED)?;
        if !left.is_empty() {
            return Err(DAMAGED);
        }
        self.position += FIELDS + length + SEAL_OVERHEAD;
        self.number += 1;
        Ok(Frame { epoch, number, body })
    }

    fn key(&mut self, epoch: u64) -> Result<&AeadKey, FormatError> {
        if self.key.as_ref().is_none_or(|(held, _)| *held != epoch) {
            self.key = Some((epoch, self.keys.small(b"fram", epoch)?));
        }
        self.key.as_ref().map(|(_, key)| key).ok_or(FormatError::Damaged("frame"))
    }
}
