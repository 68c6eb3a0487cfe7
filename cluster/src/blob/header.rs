//! The first bytes of a Blob's files: what this is and whose, readable without a key.

use super::{BlobKind, BlobName, FORMAT_VERSION, FormatError, kind_from_byte, kind_to_byte, take};
use crate::id::{AssetId, BlobId};

/// Bytes of a header.
pub const HEADER_LENGTH: usize = 64;

/// Which file a header opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKind {
    /// `.data` and `.blob`: the records.
    Records,
    /// `.open`: tails and frames.
    Open,
}

impl HeaderKind {
    fn magic(self) -> [u8; 8] {
        match self {
            Self::Records => *b"MKBLOB\r\n",
            Self::Open => *b"MKOPEN\r\n",
        }
    }
}

/// A header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose file this is.
    pub name: BlobName,
    /// What the Blob is.
    pub kind: BlobKind,
}

impl Header {
    /// The 64 bytes of this header.
    #[must_use]
    pub fn encode(&self, file: HeaderKind) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..8].copy_from_slice(&file.magic());
        bytes[8] = FORMAT_VERSION;
        bytes[9] = kind_to_byte(self.kind);
        bytes[16..32].copy_from_slice(self.name.asset.as_bytes());
        bytes[32..48].copy_from_slice(self.name.blob.as_bytes());
        let checksum = crc32c::crc32c(&bytes[..48]);
        bytes[48..52].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// Decodes a header and checks that it is the one of `name`.
    ///
    /// # Errors
    /// [`FormatError`] says what does not fit.
    pub fn decode(bytes: &[u8], file: HeaderKind, name: BlobName) -> Result<Self, FormatError> {
        const DAMAGED: FormatError = FormatError::Damaged("header");
        let whole: &[u8; HEADER_LENGTH] = bytes.try_into().map_err(|_| DAMAGED)?;
        let mut rest = whole.as_slice();
        let magic = take::<8>(&mut rest).ok_or(DAMAGED)?;
        let [version, kind] = take::<2>(&mut rest).ok_or(DAMAGED)?;
        let reserved = take::<6>(&mut rest).ok_or(DAMAGED)?;
        let asset = AssetId(take(&mut rest).ok_or(DAMAGED)?);
        let blob = BlobId(take(&mut rest).ok_or(DAMAGED)?);
        let checksum = u32::from_be_bytes(take(&mut rest).ok_or(DAMAGED)?);
        if magic != file.magic() || checksum != crc32c::crc32c(&whole[..48]) {
            return Err(DAMAGED);
        }
        if version != FORMAT_VERSION {
            return Err(FormatError::UnknownVersion(version));
        }
        if reserved != [0; 6] || rest.iter().any(|byte| *byte != 0) {
            return Err(DAMAGED);
        }
        let kind = kind_from_byte(kind).ok_or(DAMAGED)?;
        let found = BlobName { asset, blob };
        if found == name { Ok(Self { name, kind }) } else { Err(FormatError::OtherBlob) }
    }
}
