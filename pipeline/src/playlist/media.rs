//! The media playlist of one rendition.
use std::fmt::Write;

use super::{VERSION, seconds};
use crate::tracks::SegmentMark;

/// Announced for every rendition from its first segment on, so that it stays the same while the rendition grows:
/// segments are about 4 s, and cut at the first keyframe after that.
pub const TARGET_DURATION_S: u64 = 6;

/// Whether a rendition is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// More segments follow: an EVENT playlist that players reload, starting at the beginning.
    Growing,
    /// Complete: a VOD playlist with its end.
    Ended,
}

/// The media playlist over `segments`, which must be the rendition's segments from its first on, in order.
#[must_use]
pub fn media(segments: &[SegmentMark], growth: Growth) -> String {
    let mut text = head(segments, growth);
    text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    if growth == Growth::Growing {
        // Without it players join an unfinished playlist near its end, as if it were live.
        text.push_str("#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n");
    }
    // Before the first key: the header stays in the clear (it is sealed on disk and under TLS like everything else).
    text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
    for segment in segments {
        entry(&mut text, segment, &segment.iv, &format!("{}.m4s", segment.sequence));
    }
    end(&mut text, growth);
    text
}

pub(super) fn head(segments: &[SegmentMark], growth: Growth) -> String {
    // EXTINF is rounded to the nearest second before it is compared.
    let longest = segments.iter().map(|segment| (segment.duration_us + 500_000) / 1_000_000).max();
    let target = longest.unwrap_or(0).max(TARGET_DURATION_S);
    let first = segments.first().map_or(0, |segment| segment.sequence);
    let kind = match growth {
        Growth::Growing => "EVENT",
        Growth::Ended => "VOD",
    };
    format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-PLAYLIST-TYPE:{kind}\n"
    )
}

/// One segment with its own key tag, since every one has its own IV.
pub(super) fn entry(text: &mut String, segment: &SegmentMark, iv: &[u8; 16], uri: &str) {
    // Writing to a String does not fail.
    let _ = write!(text, "#EXT-X-KEY:METHOD=AES-128,URI=\"../key/{}\",IV=0x", segment.period);
    for byte in iv {
        let _ = write!(text, "{byte:02X}");
    }
    let _ = write!(text, "\n#EXTINF:{},\n{uri}\n", seconds(segment.duration_us));
}

pub(super) fn end(text: &mut String, growth: Growth) {
    if growth == Growth::Ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
}
