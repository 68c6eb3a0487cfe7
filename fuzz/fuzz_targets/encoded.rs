//! State, manifests, commands and entries.
#![no_main]

#[path = "../../tests/parsers/cluster.rs"]
#[allow(dead_code, reason = "each target is one of these")]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::read_encoded(bytes));
