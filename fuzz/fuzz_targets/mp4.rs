//! Fragmented MP4: a header and a segment of any bytes are read, cut and joined, or refused.
#![no_main]

#[path = "../../tests/parsers/media.rs"]
#[allow(dead_code, reason = "each target is one of these")]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::read_movie(bytes));
