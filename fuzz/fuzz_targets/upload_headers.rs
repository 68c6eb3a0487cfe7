//! Headers of an upload.
#![no_main]

#[path = "../../tests/parsers/node.rs"]
#[allow(dead_code, reason = "each target is one of these")]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::read_upload_headers(bytes));
