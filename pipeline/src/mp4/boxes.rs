//! ISO BMFF boxes: walking them and writing them.

/// The bytes are not the MP4 they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mp4Error {
    /// A box or field goes past the end of what holds it.
    #[error("the MP4 data is cut off")]
    Cut,
    /// A needed box is not there.
    #[error("the MP4 data has no {0} box")]
    Missing(&'static str),
    /// A field has a value that cannot be.
    #[error("the MP4 data has a bad {0}")]
    Bad(&'static str),
    /// Well formed, but not what our muxer writes.
    #[error("the MP4 data uses an unsupported {0}")]
    Unsupported(&'static str),
}

/// Four-character code of a box.
pub(super) type Kind = [u8; 4];

/// One box: where it stands in what was walked, and its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) kind: Kind,
    /// Offset of the header.
    pub(super) start: usize,
    /// Offset of the payload.
    pub(super) body: usize,
    pub(super) payload: &'a [u8],
}

/// Walks the boxes that fill `bytes`; ends after the first error.
#[derive(Debug, Clone)]
pub(super) struct Boxes<'a> {
    bytes: &'a [u8],
    at: usize,
    cut_allowed: bool,
}

/// The boxes of `bytes`, which must hold whole boxes only.
pub(super) fn boxes(bytes: &[u8]) -> Boxes<'_> {
    Boxes { bytes, at: 0, cut_allowed: false }
}

/// The boxes of the front part of a file: the last one may be cut short, and its payload is then what there is of it.
pub(super) fn boxes_of_prefix(bytes: &[u8]) -> Boxes<'_> {
    Boxes { bytes, at: 0, cut_allowed: true }
}

impl<'a> Boxes<'a> {
    fn read(&mut self) -> Result<Found<'a>, Mp4Error> {
        let start = self.at;
        let mut fields = Fields::new(&self.bytes[start..]);
        let short = fields.u32()?;
        let kind = fields.array::<4>()?;
        let (header, size) = match short {
            0 => (8, self.bytes.len() - start),
            1 => (16, usize::try_from(fields.u64()?).map_err(|_| Mp4Error::Cut)?),
            size => (8, size as usize),
        };
        if size < header {
            return Err(Mp4Error::Bad("box size"));
        }
        let whole_end = start.checked_add(size).ok_or(Mp4Error::Cut)?;
        if whole_end > self.bytes.len() && !self.cut_allowed {
            return Err(Mp4Error::Cut);
        }
        let end = whole_end.min(self.bytes.len());
        self.at = end;
        let body = start + header;
        Ok(Found { kind, start, body, payload: &self.bytes[body..end] })
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<Found<'a>, Mp4Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let found = self.read();
        if found.is_err() {
            self.at = self.bytes.len();
        }
        Some(found)
    }
}

/// The first box of that kind directly in `bytes`.
pub(super) fn find<'a>(bytes: &'a [u8], kind: &'static str) -> Result<Found<'a>, Mp4Error> {
    optional(bytes, kind)?.ok_or(Mp4Error::Missing(kind))
}

/// Like [`find`], for a box that may be missing.
pub(super) fn optional<'a>(bytes: &'a [u8], kind: &'static str) -> Result<Option<Found<'a>>, Mp4Error> {
    for found in boxes(bytes) {
        let found = found?;
        if found.kind == kind.as_bytes() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Reads big-endian fields from the front of a slice.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Mp4Error> {
        let end = self.at.checked_add(length).ok_or(Mp4Error::Cut)?;
        let taken = self.bytes.get(self.at..end).ok_or(Mp4Error::Cut)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Mp4Error> {
        self.take(N)?.try_into().map_err(|_| Mp4Error::Cut)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Mp4Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Mp4Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Mp4Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Mp4Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Version and flags of a full box.
    pub(super) fn version_and_flags(&mut self) -> Result<(u8, u32), Mp4Error> {
        let word = self.u32()?;
        Ok((word.to_be_bytes()[0], word & 0x00ff_ffff))
    }
}

/// A box around `payload`.
pub(super) fn boxed(kind: &[u8; 4], payload: &[&[u8]]) -> Vec<u8> {
    let length = 8 + payload.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    // Headers and fragments are far below 4 GiB: they are made from buffers that hold them whole.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(kind);
    for part in payload {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A full box: version and flags, then `payload`.
pub(super) fn full_box(kind: &[u8; 4], version: u8, flags: u32, payload: &[&[u8]]) -> Vec<u8> {
    let word = (u32::from(version) << 24 | flags & 0x00ff_ffff).to_be_bytes();
    let mut parts: Vec<&[u8]> = Vec::with_capacity(payload.len() + 1);
    parts.push(&word);
    parts.extend_from_slice(payload);
    boxed(kind, &parts)
}
