//! Transcoding: what to make of a source, and the actor that sees it through.

mod actor;
mod spec;
mod supervise;

pub use actor::{Cancel, Transcode, TranscodeHandle};
pub use spec::{Limits, Patience, Preset, RenditionReport, Report, TranscodeSpec, Unpassable};
pub use supervise::TranscodeEnd;
