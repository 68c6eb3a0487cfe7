//! The outline of an uploaded file of any kind.
#![no_main]

#[path = "../../tests/parsers/media.rs"]
#[allow(dead_code, reason = "each target is one of these")]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::look_at_outline(bytes));
