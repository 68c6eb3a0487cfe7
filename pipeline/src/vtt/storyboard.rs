//! The WebVTT file that says which part of the storyboard sheet belongs to which time.
use std::fmt::Write;

use super::timing::Stamp;

/// How a storyboard sheet is laid out: equal tiles, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storyboard {
    /// Tiles in the sheet.
    pub tiles: u32,
    /// Tiles in a row.
    pub columns: u32,
    /// Width of a tile in pixels.
    pub tile_width: u32,
    /// Height of a tile in pixels.
    pub tile_height: u32,
    /// Time between two tiles.
    pub interval_ms: u64,
    /// Length of play; the last tile lasts until then.
    pub duration_ms: u64,
}

/// Writes the file. `sheet` is the sheet's address relative to it.
#[must_use]
pub fn storyboard(layout: &Storyboard, sheet: &str) -> String {
    let columns = layout.columns.max(1);
    let interval = layout.interval_ms.max(1);
    let mut text = String::from("WEBVTT\n");
    for tile in 0..layout.tiles {
        let start = u64::from(tile) * interval;
        let next = start + interval;
        let end = if tile + 1 == layout.tiles { next.max(layout.duration_ms) } else { next };
        let (x, y) = (
            (tile % columns).saturating_mul(layout.tile_width),
            (tile / columns).saturating_mul(layout.tile_height),
        );
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n{} --> {}\n{sheet}#xywh={x},{y},{},{}\n",
            Stamp(start),
            Stamp(end),
            layout.tile_width,
            layout.tile_height
        );
    }
    text
}
