//! The HLS playlist writer (RFC 8216bis): pure functions from renditions and segment marks to text.
//!
//! Every URI is relative, so the same text serves a session path and a capability path:
//!
//! ```text
//! main.m3u8                   multivariant playlist
//! v720/index.m3u8             media playlist        v720/init.mp4   v720/0.m4s, v720/1.m4s, ...
//! v720/iframes.m3u8           I-frame playlist      v720/0.iframe.m4s, ...
//! a0/index.m3u8               audio, alike
//! subs/s0/index.m3u8          subtitles             subs/s0/0.vtt, ...
//! key/0                       the AES-128 key of content period 0
//! ```
mod bandwidth;
mod iframes;
mod language;
mod media;
mod multivariant;
mod subtitles;

pub use bandwidth::{expected, measure, measure_iframes};
pub use iframes::iframes;
pub use language::language_tag;
pub use media::{Growth, TARGET_DURATION_S, media};
pub use multivariant::{Multivariant, multivariant};
pub use subtitles::{SUBTITLE_SEGMENT_US, subtitle_window, subtitles};

/// The version that fMP4 with every tag we write needs.
const VERSION: u32 = 7;

/// What may stand between quotes: no quote, no line end, no control character, not empty and not too long.
fn plain(text: &str) -> String {
    const LONGEST: usize = 120;
    let clean: String = text
        .chars()
        .filter(|character| !character.is_control())
        .map(|character| if character == '"' { '\'' } else { character })
        .take(LONGEST)
        .collect();
    let trimmed = clean.trim();
    if trimmed.is_empty() { "-".to_owned() } else { trimmed.to_owned() }
}

/// Microseconds as decimal seconds.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}
