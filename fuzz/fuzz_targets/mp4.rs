//! Fragmented MP4: a header and a segment of any bytes are read, cut and joined, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline::mp4::{Join, JoinTrack, iframe_fragment, read_fragment, read_init, segment_info};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (header, segment) = input;
    let Ok(init) = read_init(header) else { return };
    let _ = Join::plan(&[JoinTrack { init: header, segments: &[] }]);
    for track in &init.tracks {
        let _ = read_fragment(segment, track);
    }
    let _ = segment_info(segment, &init, 0);
    let _ = iframe_fragment(segment, &init);
});
