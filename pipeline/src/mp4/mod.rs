//! Reading and rewriting the fragmented MP4 that the muxer makes: codec strings, timing, keyframes, I-frame resources, and
//! downloads joined from segments. Every reader takes untrusted bytes: it never panics, never reads past what it was given,
//! and bounds what it allocates.
mod boxes;
mod fragment;
mod iframe;
mod init;
mod join;
mod sample_entry;

pub use boxes::Mp4Error;
pub use fragment::{Fragment, Sample, read_fragment, segment_info};
pub use iframe::{IFRAME_OVERHEAD, iframe_fragment, iframe_prefix};
pub use init::{Init, InitTrack, TrackKind, read_init};
pub use join::{Join, JoinPiece, JoinSource, JoinTrack};
