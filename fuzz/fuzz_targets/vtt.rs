//! WebVTT: any bytes are read or refused, and what is written reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline::vtt::{Document, Markup};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(document) = Document::parse(bytes, Markup::Drop) {
        let again = Document::parse(document.to_string().as_bytes(), Markup::Refuse);
        assert_eq!(again, Ok(document));
    }
});
