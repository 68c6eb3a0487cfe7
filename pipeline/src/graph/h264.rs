//! Tells the H.264 pictures at which decoding can start without anything from before: IDR pictures.
//!
//! `h264parse` also calls a picture a keyframe that merely holds intra slices, as open groups do. Behind such a one come
//! pictures that need what was before it, so no segment may start there.

use gstreamer as gst;

/// Slice of an IDR picture.
const IDR_SLICE: u8 = 5;

/// How the units of an access unit are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each is preceded by its length, in so many bytes.
    Lengths(usize),
    /// Each is preceded by a start code.
    StartCodes,
}

impl Framing {
    /// The framing these caps announce; `None` for caps that are not H.264, or announce none.
    pub(crate) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0).filter(|structure| structure.name() == "video/x-h264")?;
        match structure.get::<&str>("stream-format").ok()? {
            "byte-stream" => Some(Self::StartCodes),
            _ => {
                let config = structure.get::<gst::Buffer>("codec_data").ok()?;
                let config = config.map_readable().ok()?;
                Some(Self::Lengths(usize::from(config.get(4)? & 3) + 1))
            }
        }
    }

    /// Whether the access unit is an IDR picture.
    pub(crate) fn is_idr(self, unit: &[u8]) -> bool {
        match self {
            Self::Lengths(size) => by_lengths(unit, size),
            Self::StartCodes => {
                let is_idr = |window: &[u8]| window[..3] == [0, 0, 1] && window[3] & 0x1f == IDR_SLICE;
                unit.windows(4).any(is_idr)
            }
        }
    }
}

fn by_lengths(mut unit: &[u8], size: usize) -> bool {
    while let Some((length, rest)) = unit.split_at_checked(size) {
        let Some(first) = rest.first() else { return false };
        if first & 0x1f == IDR_SLICE {
            return true;
        }
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let Some(next) = rest.get(length..) else { return false };
        unit = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::Framing;

    #[test]
    fn only_idr_pictures_are_starts() {
        let with_lengths =
            |kinds: &[u8]| kinds.iter().flat_map(|kind| [0, 0, 0, 3, *kind, 0x65, 0x05]).collect::<Vec<u8>>();
        let lengths = Framing::Lengths(4);
        assert!(lengths.is_idr(&with_lengths(&[0x67, 0x68, 0x65])));
        assert!(!lengths.is_idr(&with_lengths(&[0x67, 0x06, 0x41])));
        let with_codes =
            |kinds: &[u8]| kinds.iter().flat_map(|kind| [0, 0, 1, *kind, 0x65, 0x05]).collect::<Vec<u8>>();
        assert!(Framing::StartCodes.is_idr(&with_codes(&[0x09, 0x67, 0x25])));
        assert!(!Framing::StartCodes.is_idr(&with_codes(&[0x09, 0x06, 0x01])));
    }

    #[test]
    fn cut_units_do_no_harm() {
        let unit = [0, 0, 0, 9, 0x41, 1, 2, 3];
        for length in 0..unit.len() {
            assert!(!Framing::Lengths(4).is_idr(&unit[..length]));
            assert!(!Framing::Lengths(2).is_idr(&unit[..length.min(4)]));
        }
    }
}
