//! The playlist checker: any text is judged, alone and as a reload of another.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use pipeline::hls_check::{Presentation, check, check_presentation, check_reload};

fuzz_target!(|text: &str| {
    let (before, after) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let _ = check(text);
    let _ = check_reload(before, after);
    let _ = check_presentation(&Presentation { multivariant: text, resources: BTreeMap::new() });
});
