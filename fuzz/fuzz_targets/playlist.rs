//! The playlist checker: any text is judged, alone and as a reload of another.
#![no_main]

#[path = "../../tests/parsers/media.rs"]
#[allow(dead_code, reason = "each target is one of these")]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::read_playlist(bytes));
