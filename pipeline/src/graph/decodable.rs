//! What the decoders of this machine take, told by a worker that has loaded them to those that only look at a source: loading
//! every decoder takes a worker longer than most looks.

use std::str::FromStr;

use gstreamer as gst;
use serde::{Deserialize, Serialize};

use super::catalog::{MPEG_AUDIO_DECODERS, decoders, parser_of};

/// What can be decoded, in words that go from process to process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decodable {
    /// The caps of all decoders together.
    caps: String,
    /// Every layer of MPEG audio.
    mpeg_audio: bool,
}

impl Decodable {
    /// Nothing can.
    pub(crate) fn nothing() -> Self {
        // As GStreamer writes caps that nothing has; it is not started in a process that is no worker.
        Self { caps: "EMPTY".to_owned(), mpeg_audio: false }
    }
}

/// What can be decoded, to be asked.
pub(crate) struct Decoders {
    caps: gst::Caps,
    mpeg_audio: bool,
}

impl Decoders {
    /// Of the decoders that are loaded here.
    pub(crate) fn loaded() -> Self {
        let mut caps = gst::Caps::new_empty();
        for factory in decoders() {
            let takes = factory.static_pad_templates();
            let takes = takes.iter().filter(|template| template.direction() == gst::PadDirection::Sink);
            takes.for_each(|template| caps.merge(template.caps()));
        }
        caps.simplify();
        let mpeg_audio =
            MPEG_AUDIO_DECODERS.into_iter().any(|name| gst::ElementFactory::find(name).is_some());
        Self { caps, mpeg_audio }
    }

    /// As another worker has told; `None` when these are no words of it.
    pub(crate) fn told(words: &Decodable) -> Option<Self> {
        Some(Self { caps: gst::Caps::from_str(&words.caps).ok()?, mpeg_audio: words.mpeg_audio })
    }

    pub(crate) fn words(&self) -> Decodable {
        Decodable { caps: self.caps.to_string(), mpeg_audio: self.mpeg_audio }
    }

    /// Whether there is a decoder for these caps. Raw media needs none and is not asked about.
    pub(crate) fn take(&self, caps: &gst::Caps) -> bool {
        if parser_of(caps) == Some("mpegaudioparse") {
            self.mpeg_audio
        } else {
            self.caps.can_intersect(caps)
        }
    }
}
