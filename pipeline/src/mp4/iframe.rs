//! I-frame resources: a fragment that holds a segment's first keyframe alone (`playlist::iframes` says why).
use super::boxes::{Mp4Error, boxed, full_box};
use super::fragment::read_fragment;
use super::init::Init;
use crate::encrypt::BLOCK;
use crate::tracks::SegmentMark;

/// Bytes of an I-frame resource besides the picture itself.
pub const IFRAME_OVERHEAD: u64 = 112;
/// `sample_depends_on` says "on no other"; the sample is a sync sample.
const SYNC_SAMPLE: u32 = 0x0200_0000;

/// How much of the front of a segment's ciphertext holds its first keyframe: whole blocks. `None` without a keyframe.
#[must_use]
pub fn iframe_prefix(segment: &SegmentMark) -> Option<u64> {
    let keyframe = segment.keyframes.first()?;
    let plain = u64::from(keyframe.offset) + u64::from(keyframe.length);
    Some(plain.next_multiple_of(BLOCK as u64).min(segment.length))
}

/// Makes the plain I-frame resource from the deciphered front of a segment. The picture is shown for as long as the whole
/// segment lasts.
pub fn iframe_fragment(prefix: &[u8], init: &Init) -> Result<Vec<u8>, Mp4Error> {
    let track = init.only_track()?;
    let fragment = read_fragment(prefix, track)?;
    let keyframe =
        fragment.samples.iter().find(|sample| sample.keyframe).ok_or(Mp4Error::Missing("keyframe"))?;
    let start = usize::try_from(keyframe.offset).map_err(|_| Mp4Error::Cut)?;
    let end = start.checked_add(keyframe.size as usize).ok_or(Mp4Error::Cut)?;
    let picture = prefix.get(start..end).ok_or(Mp4Error::Cut)?;
    let duration: u64 = fragment.samples.iter().map(|sample| u64::from(sample.duration)).sum();
    let duration = u32::try_from(duration).unwrap_or(u32::MAX);

    let mfhd = full_box(b"mfhd", 0, 0, &[&1u32.to_be_bytes()]);
    let tfhd = full_box(b"tfhd", 0, 0x02_0000, &[&fragment.track.to_be_bytes()]);
    let tfdt = full_box(b"tfdt", 1, 0, &[&keyframe.decode_time.to_be_bytes()]);
    let data_offset = u32::try_from(IFRAME_OVERHEAD).unwrap_or(u32::MAX);
    let words = [
        1,
        data_offset,
        duration,
        keyframe.size,
        SYNC_SAMPLE,
        u32::from_be_bytes(keyframe.composition_offset.to_be_bytes()),
    ];
    let run: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let trun = full_box(b"trun", 1, 0xf01, &[&run]);
    let traf = boxed(b"traf", &[&tfhd, &tfdt, &trun]);
    let mut resource = boxed(b"moof", &[&mfhd, &traf]);
    resource.reserve_exact(8 + picture.len() + BLOCK);
    resource.extend_from_slice(&boxed(b"mdat", &[picture]));
    Ok(resource)
}
