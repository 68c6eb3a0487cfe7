//! The parsers of media: what comes in uploaded files and captions. Shared by the tests and the fuzz targets.

use std::collections::BTreeMap;

use pipeline::hls_check::{Presentation, check, check_presentation, check_reload};
use pipeline::mp4::{Join, JoinTrack, iframe_fragment, read_fragment, read_init, segment_info};
use pipeline::outline::{defect_of_movie, mended_asf_header};
use pipeline::streamable;
use pipeline::vtt::{Document, Markup};

/// WebVTT: any bytes are read or refused, and what is written reads back the same.
pub fn read_captions(bytes: &[u8]) {
    if let Ok(document) = Document::parse(bytes, Markup::Drop) {
        let again = Document::parse(document.to_string().as_bytes(), Markup::Refuse);
        assert_eq!(again, Ok(document), "what is written reads back the same");
    }
}

/// The playlist checker: any text is judged, alone and as a reload of another.
pub fn read_playlist(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (before, after) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let _ = check(&text);
    let _ = check_reload(before, after);
    let _ = check_presentation(&Presentation { multivariant: &text, resources: BTreeMap::new() });
}

/// Fragmented MP4 is read, cut and joined, or refused. Header and first fragment are told apart by the damaged bytes themselves.
pub fn read_movie(bytes: &[u8]) {
    let cut =
        bytes.windows(4).position(|kind| kind == b"moof").map_or(bytes.len(), |at| at.saturating_sub(4));
    let (header, segment) = bytes.split_at(cut);
    let Ok(init) = read_init(header) else { return };
    let _ = Join::plan(&[JoinTrack { init: header, segments: &[] }]);
    for track in &init.tracks {
        let _ = read_fragment(segment, track);
    }
    let _ = segment_info(segment, &init, 0);
    let _ = iframe_fragment(segment, &init);
}

/// The outline of an uploaded file of any kind.
pub fn look_at_outline(bytes: &[u8]) {
    let read = |offset: u64, buffer: &mut [u8]| {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    };
    assert!(defect_of_movie(bytes.len() as u64, read).is_ok(), "only reading may fail");
    let _ = (mended_asf_header(bytes), streamable(bytes));
}
