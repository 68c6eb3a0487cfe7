//! The media playlist of one subtitle rendition: WebVTT in windows of a minute, cut from the whole text when asked for.
use std::fmt::Write;

use super::{VERSION, seconds};

/// Length of play of one subtitle segment.
pub const SUBTITLE_SEGMENT_US: u64 = 60_000_000;

/// The playlist of a subtitle rendition for an asset of that length of play. Always complete: subtitles are offered once
/// they are whole.
#[must_use]
pub fn subtitles(duration_us: u64) -> String {
    let duration_us = duration_us.max(1);
    let target = SUBTITLE_SEGMENT_US.min(duration_us).div_ceil(1_000_000);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    );
    for sequence in 0..duration_us.div_ceil(SUBTITLE_SEGMENT_US) {
        let length = SUBTITLE_SEGMENT_US.min(duration_us - sequence * SUBTITLE_SEGMENT_US);
        // Writing to a String does not fail.
        let _ = write!(text, "#EXTINF:{},\n{sequence}.vtt\n", seconds(length));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// The span of play, in milliseconds, that segment `sequence` of [`subtitles`] covers (see `vtt::Document::window`); `None`
/// past the end.
#[must_use]
pub fn subtitle_window(duration_us: u64, sequence: u64) -> Option<(u64, u64)> {
    let start = sequence.checked_mul(SUBTITLE_SEGMENT_US)?;
    let duration_us = duration_us.max(1);
    (start < duration_us).then(|| (start / 1_000, (start + SUBTITLE_SEGMENT_US) / 1_000))
}
