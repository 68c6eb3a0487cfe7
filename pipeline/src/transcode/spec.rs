//! What a transcode is asked for and what it reports at its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ladder::Rung;
use crate::tracks::{LeftOut, Probe, RenditionId};

/// How hard x264 tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// For tests and very slow machines.
    Ultrafast,
    /// What nodes use.
    #[default]
    Veryfast,
    /// Better pictures for more time.
    Medium,
}

impl Preset {
    /// As x264 names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Veryfast => "veryfast",
            Self::Medium => "medium",
        }
    }
}

/// What we refuse rather than try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most pixels of a picture, width times height.
    pub pixels: u64,
    /// Most tracks of a source, of all kinds together.
    pub tracks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pixels: 8192 * 4352, tracks: 64 }
    }
}

/// How long the supervisor waits before it takes a worker for hung, and how often it starts a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// Longest silence of a worker that waits for nothing.
    pub silence: Duration,
    /// Longest time without any result and without a new part of the source being read.
    pub fruitless: Duration,
    /// How often a worker that died or hung is started again.
    pub restarts: u32,
    /// The pause before the first new start; it doubles each time.
    pub back_off: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(60),
            fruitless: Duration::from_secs(300),
            restarts: 3,
            back_off: Duration::from_millis(500),
        }
    }
}

/// How much of a source one transcode makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// All of it.
    #[default]
    Whole,
    /// All but the video renditions, which others make.
    Beside,
    /// The video renditions alone, from where they are to be resumed.
    Pictures {
        /// The first segment that is not wanted any more; `None` goes to the end of the source.
        end: Option<u64>,
    },
}

/// One transcode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranscodeSpec {
    /// What [`crate::probe::probe`] said about the source.
    pub probe: Probe,
    /// The video renditions, highest first; empty for a source without pictures.
    pub rungs: Vec<Rung>,
    /// Whether the highest rung is the source's own H.264: what [`crate::ladder::may_pass_through`] said of the probe. Settled
    /// once for a source: a transcode that goes on must have it as the one that began.
    pub pass_through: bool,
    /// For each rendition the first sequence that is not stored yet; absent means 0.
    pub resume: Vec<(RenditionId, u64)>,
    /// How much of it this transcode makes.
    pub share: Share,
    /// How hard x264 tries.
    pub preset: Preset,
    /// What is refused.
    pub limits: Limits,
    /// When the supervisor loses patience.
    pub patience: Patience,
}

impl TranscodeSpec {
    /// A whole transcode with everything at its default, all rungs encoded.
    #[must_use]
    pub fn new(probe: Probe, rungs: Vec<Rung>) -> Self {
        Self {
            probe,
            rungs,
            pass_through: false,
            resume: Vec::new(),
            share: Share::default(),
            preset: Preset::default(),
            limits: Limits::default(),
            patience: Patience::default(),
        }
    }

    /// The first segment that is not wanted, for a transcode that ends before its source does.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        match self.share {
            Share::Pictures { end } => end,
            Share::Whole | Share::Beside => None,
        }
    }

    /// The first sequence of a rendition that is not stored yet.
    #[must_use]
    pub fn next_sequence(&self, rendition: RenditionId) -> u64 {
        let found = self.resume.iter().find(|(id, _)| *id == rendition);
        found.map_or(0, |(_, next)| *next)
    }

    /// Notes that a segment is stored, so that a restart goes on after it.
    pub fn note_stored(&mut self, rendition: RenditionId, sequence: u64) {
        match self.resume.iter_mut().find(|(id, _)| *id == rendition) {
            Some((_, next)) => *next = (*next).max(sequence + 1),
            None => self.resume.push((rendition, sequence + 1)),
        }
    }
}

/// Why a source that seemed fit to be passed through is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Unpassable {
    /// Two keyframes are too far apart for a segment between them.
    #[error("two keyframes are too far apart")]
    RareKeyframes,
    /// Its first picture is no keyframe.
    #[error("the first picture is no keyframe")]
    NoKeyframeFirst,
    /// Its first picture comes late.
    #[error("the first picture comes late")]
    StartsLate,
    /// Pictures have no time, the same time, or one that the container cuts away.
    #[error("the times of the pictures cannot be kept")]
    BadTimes,
    /// The size or another parameter of the pictures changes on the way.
    #[error("the pictures change their format")]
    FormatChanged,
    /// Parts of it cannot be decoded.
    #[error("parts of it cannot be decoded")]
    Damaged,
}

/// What one rendition came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionReport {
    /// Which one.
    pub id: RenditionId,
    /// Segments, those of earlier tries included.
    pub segments: u64,
    /// Where its last segment ends, in microseconds.
    pub end_us: u64,
    /// Whether it is the source's own stream.
    pub passed_through: bool,
}

/// How a transcode that ran to its end went. A clean end does not mean clean media: look at `damaged`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The renditions.
    pub renditions: Vec<RenditionReport>,
    /// Where the longest one ends, in milliseconds.
    pub duration_ms: u64,
    /// Errors the decoders reported.
    pub decode_errors: u32,
    /// Whether parts of the source could not be decoded, or it is shorter than it claims.
    pub damaged: bool,
    /// Worker processes used up before this one.
    pub restarts: u32,
    /// Pictures that the last worker decoded for the rungs.
    pub decoded_pictures: u64,
    /// Tracks that the probe took for sound and of which nothing could be made.
    pub left_out: Vec<LeftOut>,
}
