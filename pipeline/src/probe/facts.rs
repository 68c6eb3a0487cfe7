//! What is noticed about each track while its first packets go by.

use gstreamer as gst;

use crate::graph::catalog::Kind;

/// Packets of a video track to see: enough to tell a steady frame rate from a varying one and to meet some keyframes.
const VIDEO_PACKETS: usize = 600;
/// The same while the source still arrives: whoever waits wants to see the first pictures soon.
const FIRST_VIDEO_PACKETS: usize = 60;
/// Packets of a sound track to see.
const AUDIO_PACKETS: usize = 3;
/// Bytes after which we stop waiting for a track that stays silent.
const ENOUGH_BYTES: u64 = 48 << 20;

/// One packet of a video track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    pub(super) time: gst::ClockTime,
    pub(super) keyframe: bool,
}

/// One track, as far as it is known.
#[derive(Debug)]
pub(super) struct TrackFacts {
    pub(super) kind: Kind,
    pub(super) index: u32,
    /// What the container says.
    pub(super) caps: gst::Caps,
    /// What the parser made of it.
    pub(super) parsed: Option<gst::Caps>,
    pub(super) tags: gst::TagList,
    pub(super) default: bool,
    pub(super) packets: Vec<Packet>,
    /// The earliest time of a packet seen.
    pub(super) first: Option<gst::ClockTime>,
    pub(super) count: usize,
    pub(super) bytes: u64,
    pub(super) ended: bool,
}

impl TrackFacts {
    pub(super) fn new(kind: Kind, index: u32, caps: gst::Caps) -> Self {
        Self {
            kind,
            index,
            caps,
            parsed: None,
            tags: gst::TagList::new(),
            default: false,
            packets: Vec::new(),
            first: None,
            count: 0,
            bytes: 0,
            ended: false,
        }
    }

    fn is_settled(&self, growing: bool) -> bool {
        let needed = match self.kind {
            Kind::Video if growing => FIRST_VIDEO_PACKETS,
            Kind::Video => VIDEO_PACKETS,
            Kind::Audio => AUDIO_PACKETS,
            Kind::Subtitles | Kind::Other => return true,
        };
        self.ended || (self.parsed.is_some() && self.count >= needed)
    }

    pub(super) fn see(&mut self, buffer: &gst::BufferRef) {
        self.count += 1;
        self.bytes += buffer.size() as u64;
        self.first = [self.first, buffer.pts()].into_iter().flatten().min();
        if self.kind == Kind::Video
            && self.packets.len() < VIDEO_PACKETS
            && let Some(time) = buffer.pts().or(buffer.dts())
        {
            let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            self.packets.push(Packet { time, keyframe });
        }
    }
}

/// The whole source, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) tracks: Vec<TrackFacts>,
    /// The demuxer has announced all of its tracks.
    pub(super) complete: bool,
    /// More of the source is still to arrive.
    pub(super) growing: bool,
}

impl Facts {
    /// Whether looking further would not tell more that matters.
    pub(super) fn are_enough(&self) -> bool {
        let bytes: u64 = self.tracks.iter().map(|track| track.bytes).sum();
        let settled =
            !self.tracks.is_empty() && self.tracks.iter().all(|track| track.is_settled(self.growing));
        (self.complete && settled)
            || (bytes > ENOUGH_BYTES && self.tracks.iter().any(|track| track.is_settled(self.growing)))
    }
}
