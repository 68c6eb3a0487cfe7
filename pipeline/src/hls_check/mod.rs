//! Our own checker of the HLS rules (RFC 8216bis), for tests and for a live node: what the playlists say, whether it agrees
//! with the bytes they point at, and whether a reload may follow what was there before.
//!
//! It shares no code with the playlist writer, so that a mistake there is not a mistake here.
mod media;
mod multivariant;
mod presentation;
mod reload;
mod text;

use std::fmt;

pub use media::{MediaPlaylist, MediaSegment, SegmentKey};
pub use multivariant::{MediaTag, MultivariantPlaylist, Variant};
pub use presentation::{Presentation, Resource, check_presentation};
pub use reload::check_reload;

/// Largest playlist that is read.
pub const MAX_PLAYLIST_BYTES: usize = 16 * 1024 * 1024;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Short, stable name of the rule.
    pub rule: &'static str,
    /// The line it is broken on, from 1; 0 when it is the whole playlist.
    pub line: usize,
    /// What is wrong.
    pub detail: String,
}

impl Violation {
    fn new(rule: &'static str, line: usize, detail: impl Into<String>) -> Self {
        Self { rule, line, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}: {}", self.line, self.rule, self.detail)
    }
}

/// A playlist that was read, whatever is wrong with it.
#[derive(Debug, Clone)]
pub enum Playlist {
    /// A list of variants.
    Multivariant(MultivariantPlaylist),
    /// A list of segments.
    Media(MediaPlaylist),
}

/// Checks one playlist by itself. Empty when it breaks no rule.
#[must_use]
pub fn check(playlist: &str) -> Vec<Violation> {
    read(playlist).1
}

/// Reads a playlist as far as it can be, with all that is wrong with it by itself.
#[must_use]
pub fn read(playlist: &str) -> (Playlist, Vec<Violation>) {
    let mut found = Vec::new();
    if playlist.len() > MAX_PLAYLIST_BYTES {
        found.push(Violation::new("size", 0, "the playlist is too large to be read"));
        return (Playlist::Media(MediaPlaylist::default()), found);
    }
    let lines = text::lines(playlist, &mut found);
    let is_multivariant = lines.iter().any(|line| {
        matches!(
            &line.content,
            text::Content::Tag { name: "EXT-X-STREAM-INF" | "EXT-X-MEDIA" | "EXT-X-I-FRAME-STREAM-INF", .. }
        )
    });
    let read = if is_multivariant {
        Playlist::Multivariant(multivariant::read(&lines, &mut found))
    } else {
        Playlist::Media(media::read(&lines, &mut found))
    };
    (read, found)
}
