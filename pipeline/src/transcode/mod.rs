//! Transcoding: what to make of a source, and the actor that sees it through.

mod actor;
mod division;
mod spec;
mod supervise;

pub use actor::{Cancel, Transcode, TranscodeHandle};
pub use division::{Divisible, divisible};
pub use spec::{Limits, Patience, Preset, RenditionReport, Report, Share, TranscodeSpec, Unpassable};
pub use supervise::TranscodeEnd;
