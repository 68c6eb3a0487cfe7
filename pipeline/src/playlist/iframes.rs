//! The I-frame playlist of one video rendition, for trick play and scrubbing.
//!
//! The usual I-frame playlist points at byte ranges of the ordinary segments. That cannot work here: a segment is one CBC
//! stream padded at its end, so a range out of its middle has neither its IV (the ciphertext block before it, which no tag
//! can name for a fragment that also needs its `moof`) nor padding, and players decipher a range as a resource of its own.
//! So each segment has one I-frame *resource* beside it, `N.iframe.m4s`: a small fragment that holds the segment's first
//! keyframe alone, enciphered whole under the same content key and an IV of its own. It is made on the fly when asked for:
//! the keyframe stands at the front of the segment, so only that prefix is read and deciphered (`mp4::iframe_fragment`).
//! It always comes out the same for the same segment, so one IV never meets two plaintexts.
use super::media::{Growth, end, entry, head};
use crate::tracks::SegmentMark;

/// The I-frame playlist over `segments`, the same marks as the media playlist's. Segments without a keyframe are left
/// out, and the one before lasts until the next that is listed, as the RFC asks of I-frame durations.
#[must_use]
pub fn iframes(segments: &[SegmentMark], growth: Growth) -> String {
    let mut listed: Vec<SegmentMark> = Vec::with_capacity(segments.len());
    for segment in segments {
        match listed.last_mut() {
            Some(previous) if segment.keyframes.is_empty() => previous.duration_us += segment.duration_us,
            None if segment.keyframes.is_empty() => {}
            _ => listed.push(segment.clone()),
        }
    }
    let mut text = head(&listed, growth);
    text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"init.mp4\"\n");
    for segment in &listed {
        entry(&mut text, segment, &segment.iframe_iv, &format!("{}.iframe.m4s", segment.sequence));
    }
    end(&mut text, growth);
    text
}
