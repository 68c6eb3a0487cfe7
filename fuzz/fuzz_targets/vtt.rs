//! WebVTT: any bytes are read or refused, and what is written reads back the same.
#![no_main]

#[path = "../../tests/parsers/media.rs"]
#[allow(dead_code, reason = "each target is one of these")]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::read_captions(bytes));
