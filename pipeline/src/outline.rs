//! What the outermost structure of a file says before any decoder sees it: defects that nothing can be made of, and small
//! lies that can be put right. Pure, and bounded whatever the bytes are.

use std::io;

/// Top-level boxes that are looked at. The index of a sound file is among the first few.
const MOST_BOXES: u32 = 1_000;
/// Longest header of a box: size, kind and size of 64 bits.
const BOX_HEADER: usize = 16;

/// Why nothing can be made of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// An MP4 with media and without the index that says where what is.
    IndexMissing,
    /// An MP4 whose index goes on past the end of the file.
    IndexCut,
    /// Pieces of a fragmented MP4 without the header they belong to.
    HeaderMissing,
}

impl Defect {
    /// What happened and what to do about it, for a person.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::IndexMissing => {
                "The index at the end of this file is missing, as after a recording or a copy that was interrupted; \
                 copy or export it again."
            }
            Self::IndexCut => {
                "The index of this file is cut off, as after a recording or a copy that was interrupted; copy or \
                 export it again."
            }
            Self::HeaderMissing => {
                "This is a piece of a stream without its header; upload the whole recording."
            }
        }
    }

    /// Whether the file need not even be tried. Readers make do with a cut index now and then.
    #[must_use]
    pub fn is_final(self) -> bool {
        self != Self::IndexCut
    }
}

/// Walks the top-level boxes of an MP4 of this length. `read` fills a buffer from an offset on and says how many bytes it
/// got; its errors are passed on.
pub fn defect_of_movie(
    length: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
) -> io::Result<Option<Defect>> {
    let (mut at, mut media, mut pieces) = (0, false, false);
    for _ in 0..MOST_BOXES {
        let mut header = [0; BOX_HEADER];
        let count = read(at, &mut header)?;
        let Some((kind, size)) = box_header(&header[..count.min(BOX_HEADER)], length - at) else { break };
        match &kind {
            b"moov" => return Ok((size > length - at).then_some(Defect::IndexCut)),
            b"mdat" => media = true,
            b"moof" => pieces = true,
            _ => {}
        }
        match at.checked_add(size) {
            Some(next) if next < length => at = next,
            _ => break,
        }
    }
    Ok(if pieces { Some(Defect::HeaderMissing) } else { media.then_some(Defect::IndexMissing) })
}

/// Kind and whole size of a box; `None` where no box can be.
fn box_header(bytes: &[u8], rest: u64) -> Option<([u8; 4], u64)> {
    let kind: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    let short = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let (least, size) = match short {
        0 => (8, rest),
        1 => (16, u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?)),
        size => (8, u64::from(size)),
    };
    (size >= least).then_some((kind, size))
}

/// Bytes that stand in for those of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where they start.
    pub offset: u64,
    /// What is read there.
    pub bytes: Vec<u8>,
}

const ASF_HEADER: [u8; 16] =
    [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c];
/// Where the header of an ASF file says how many objects it holds, and where they begin.
const ASF_COUNT: usize = 24;
const ASF_OBJECTS: usize = 30;
const ASF_OBJECT_HEADER: usize = 24;

/// Some writers count one object more than their ASF header holds, and readers that believe them refuse the file. What is to
/// be read in place of the count, from the front of the file; `None` for a header that is sound, or broken beyond that.
#[must_use]
pub fn mended_asf_header(front: &[u8]) -> Option<Patch> {
    if !front.starts_with(&ASF_HEADER) {
        return None;
    }
    let size = usize::try_from(little_endian_u64(front, 16)?).ok()?;
    let header = front.get(..size)?;
    let said = u32::from_le_bytes(header.get(ASF_COUNT..ASF_COUNT + 4)?.try_into().ok()?);
    let (mut at, mut found) = (ASF_OBJECTS, 0_u32);
    while at < header.len() {
        let object = usize::try_from(little_endian_u64(header, at.checked_add(16)?)?).ok()?;
        if object < ASF_OBJECT_HEADER {
            return None;
        }
        at = at.checked_add(object)?;
        found += 1;
    }
    let wrong = at == header.len() && found < said && found > 0;
    wrong.then(|| Patch { offset: ASF_COUNT as u64, bytes: found.to_le_bytes().to_vec() })
}

fn little_endian_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atom(kind: &[u8; 4], length: u32) -> Vec<u8> {
        let mut bytes = (length + 8).to_be_bytes().to_vec();
        bytes.extend(kind);
        bytes.resize(bytes.len() + length as usize, 0);
        bytes
    }

    fn defect(bytes: &[u8]) -> Option<Defect> {
        let read = |offset: u64, buffer: &mut [u8]| {
            let from = usize::try_from(offset).unwrap().min(bytes.len());
            let count = buffer.len().min(bytes.len() - from);
            buffer[..count].copy_from_slice(&bytes[from..from + count]);
            Ok(count)
        };
        defect_of_movie(bytes.len() as u64, read).unwrap()
    }

    #[test]
    fn an_index_is_there_cut_or_missing() {
        let (head, index, media) = (atom(b"ftyp", 16), atom(b"moov", 90), atom(b"mdat", 200));
        assert_eq!(defect(&[&head[..], &media, &index].concat()), None);
        assert_eq!(defect(&[&head[..], &index, &media[..70]].concat()), None);
        assert_eq!(defect(&[&head[..], &media].concat()), Some(Defect::IndexMissing));
        assert_eq!(defect(&[&head[..], &media[..70]].concat()), Some(Defect::IndexMissing));
        assert_eq!(defect(&[&head[..], &media, &index[..50]].concat()), Some(Defect::IndexCut));
        assert_eq!(
            defect(&[&atom(b"styp", 8)[..], &atom(b"moof", 8), &media].concat()),
            Some(Defect::HeaderMissing)
        );
        assert_eq!(defect(&head), None, "the demuxer may say what it makes of that");
        assert_eq!(defect(b"no box at all, only words"), None);
    }

    #[test]
    fn a_recorder_that_died_leaves_media_of_no_stated_size() {
        let mut unfinished = atom(b"ftyp", 16);
        unfinished.extend([0, 0, 0, 0]);
        unfinished.extend(b"mdat");
        unfinished.extend([7; 400]);
        assert_eq!(defect(&unfinished), Some(Defect::IndexMissing));
    }

    fn asf(said: u32, objects: &[u64]) -> Vec<u8> {
        let size = ASF_OBJECTS as u64 + objects.iter().sum::<u64>();
        let mut bytes = ASF_HEADER.to_vec();
        bytes.extend(size.to_le_bytes());
        bytes.extend(said.to_le_bytes());
        bytes.extend([1, 2]);
        for object in objects {
            bytes.extend([9; 16]);
            bytes.extend(object.to_le_bytes());
            bytes.resize(bytes.len() + usize::try_from(*object).unwrap() - ASF_OBJECT_HEADER, 0);
        }
        bytes.extend([5; 100]);
        bytes
    }

    #[test]
    fn an_asf_header_that_counts_too_many_objects_is_put_right() {
        let patch = mended_asf_header(&asf(3, &[100, 60])).unwrap();
        assert_eq!(patch, Patch { offset: 24, bytes: vec![2, 0, 0, 0] });
        assert_eq!(mended_asf_header(&asf(2, &[100, 60])), None);
        assert_eq!(mended_asf_header(&asf(3, &[100, 60])[..120]), None, "the front must hold the header");
        assert_eq!(mended_asf_header(b"RIFF"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400), asf_like: bool) {
            let _ = defect(&bytes);
            let bytes = if asf_like { [&ASF_HEADER[..], &bytes].concat() } else { bytes };
            if let Some(patch) = mended_asf_header(&bytes) {
                prop_assert!(patch.offset + 4 <= bytes.len() as u64);
            }
        }
    }
}
