//! Where the results go: the node stores them as they are made.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::tracks::{RenditionId, SegmentInfo};

/// Takes what a transcode makes, in order within each rendition. When a call returns `Ok`, that part is stored and is not
/// made again after a crash.
#[async_trait]
pub trait Sink: Send {
    /// The clear fMP4 header of a rendition. Given again, with equal bytes, after a restart.
    async fn init(&mut self, rendition: RenditionId, bytes: Bytes) -> Result<(), SinkError>;

    /// The next plain CMAF fragment of a rendition. Sequences have no gaps.
    async fn segment(
        &mut self,
        rendition: RenditionId,
        info: SegmentInfo,
        bytes: Bytes,
    ) -> Result<(), SinkError>;

    /// Something beside the renditions. Given again after a restart: replace it.
    async fn sidecar(&mut self, kind: Sidecar, bytes: Bytes) -> Result<(), SinkError>;

    /// How far the work is.
    async fn progress(&mut self, progress: Progress) -> Result<(), SinkError>;
}

/// A thing made beside the renditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sidecar {
    /// A JPEG picture to stand for the video.
    Poster,
    /// A JPEG sheet of small pictures for seeking.
    Storyboard,
    /// WebVTT that says which part of the sheet belongs to which time.
    StoryboardVtt,
    /// JSON `{version, interval_ms, peaks: [0..255]}`.
    Waveform,
    /// WebVTT of one subtitle track of the source.
    Subtitles {
        /// Its position among the source's subtitle tracks.
        track: u32,
    },
}

/// How far a transcode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100; 0 while the length of the source is unknown.
    pub percent: u8,
    /// Estimated time left, once there is something to estimate from.
    pub eta_ms: Option<u64>,
    /// How much of the source is done, in milliseconds of play.
    pub done_ms: u64,
    /// What is going on.
    pub stage: Stage,
}

/// The step of a transcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The source is being opened.
    Opening,
    /// Renditions are being made.
    Encoding,
    /// Pictures and text beside the renditions are being made.
    Finishing,
}

/// The results could not be stored: the transcode stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the result could not be stored: {0}")]
pub struct SinkError(pub String);
