//! Why a source could not be turned into something to watch, in words a person understands.

use serde::{Deserialize, Serialize};

use crate::outline::Defect;

/// The kind of a [`Failure`]. The codes are stable: they are stored, shown by the API and translated by the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The bytes are no media container that we read.
    UnsupportedContainer,
    /// The container holds no sound and no picture that we can decode.
    NoPlayableTracks,
    /// It is media, but broken before anything could be made of it.
    Damaged,
    /// There are no bytes.
    Empty,
    /// The picture has more pixels than the limit.
    TooLargePicture,
    /// The container lists more tracks than the limit.
    TooManyTracks,
    /// The worker died on it again and again.
    DecoderCrashed,
    /// The worker made no progress again and again.
    Stalled,
    /// Somebody asked to stop.
    Cancelled,
    /// The stored original could not be read.
    SourceUnreadable,
    /// The results could not be stored.
    StorageFailed,
    /// Our own fault.
    Internal,
    /// It is one picture, such as PNG or JPEG.
    StillPicture,
    /// It is an animated picture, such as GIF.
    AnimatedPicture,
}

impl FailureCode {
    /// The stable name, as in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedContainer => "unsupported_container",
            Self::NoPlayableTracks => "no_playable_tracks",
            Self::Damaged => "damaged",
            Self::Empty => "empty",
            Self::TooLargePicture => "too_large_picture",
            Self::TooManyTracks => "too_many_tracks",
            Self::DecoderCrashed => "decoder_crashed",
            Self::Stalled => "stalled",
            Self::Cancelled => "cancelled",
            Self::SourceUnreadable => "source_unreadable",
            Self::StorageFailed => "storage_failed",
            Self::Internal => "internal",
            Self::StillPicture => "still_picture",
            Self::AnimatedPicture => "animated_picture",
        }
    }

    /// What happened and what to do about it, in one plain sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::UnsupportedContainer => "This file is not a video or audio file that can be read here.",
            Self::NoPlayableTracks => "This file holds no picture and no sound that can be decoded.",
            Self::Damaged => "This file is damaged or incomplete; try to upload it again.",
            Self::Empty => "This file is empty.",
            Self::TooLargePicture => "The picture is larger than this server allows.",
            Self::TooManyTracks => "This file lists more tracks than this server allows.",
            Self::DecoderCrashed => "Decoding this file crashed repeatedly; it is probably damaged.",
            Self::Stalled => "Decoding this file stopped making progress; it is probably damaged.",
            Self::Cancelled => "Processing was cancelled.",
            Self::SourceUnreadable => "The stored original could not be read.",
            Self::StorageFailed => "The results could not be stored.",
            Self::Internal => "Processing failed because of a fault in the server.",
            Self::StillPicture => "This file is a picture; only video and audio files can be played here.",
            Self::AnimatedPicture => {
                "This file is an animated picture; save it as a video, for example as MP4, and upload that."
            }
        }
    }
}

/// A typed reason: what the API stores with a failed asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// The kind.
    pub code: FailureCode,
    /// One sentence a person understands. It never holds names or content of the source.
    pub reason: String,
}

impl Failure {
    /// The failure with the sentence of its code.
    #[must_use]
    pub fn new(code: FailureCode) -> Self {
        Self { code, reason: code.sentence().to_owned() }
    }

    /// The failure that this defect of the file explains.
    #[must_use]
    pub fn defective(defect: Defect) -> Self {
        Self { code: FailureCode::Damaged, reason: defect.sentence().to_owned() }
    }

    /// Nothing that anybody is shown: the source cannot be entered in the middle, and is to be decoded from its start.
    pub(crate) fn unmovable() -> Self {
        Self::internal("moving ahead")
    }

    /// An internal failure; `step` names what we were doing, for the one who mends it.
    #[must_use]
    pub fn internal(step: &str) -> Self {
        Self { code: FailureCode::Internal, reason: format!("{} ({step})", FailureCode::Internal.sentence()) }
    }
}

/// Why a probe gave no answer.
pub type ProbeFailure = Failure;
