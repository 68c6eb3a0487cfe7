//! What is noticed about each track while its first packets go by.

use gstreamer as gst;

use crate::graph::catalog::Kind;
use crate::graph::h264::Framing;
use crate::ladder::MAX_PASS_THROUGH_KEYFRAME_MS;

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
    /// Of the packets in `packets`.
    pub(super) packet_bytes: u64,
    pub(super) ended: bool,
    /// It could not be read to its end.
    pub(super) broken: bool,
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
            packet_bytes: 0,
            ended: false,
            broken: false,
        }
    }

    fn is_settled(&self, growing: bool) -> bool {
        let needed = match self.kind {
            Kind::Video if growing => FIRST_VIDEO_PACKETS,
            Kind::Video => VIDEO_PACKETS,
            Kind::Audio => AUDIO_PACKETS,
            Kind::Subtitles | Kind::Other => return true,
        };
        self.ended || (self.parsed.is_some() && self.count >= needed && self.shows_its_groups())
    }

    /// Whether enough was seen to say how far apart keyframes are, or that they are too far apart to be passed through.
    fn shows_its_groups(&self) -> bool {
        let framing = self.parsed.as_ref().and_then(|caps| Framing::of(caps));
        framing.is_none()
            || self.packets.len() >= VIDEO_PACKETS
            || self.packets.iter().filter(|packet| packet.keyframe).count() > 1
            || self.span() > gst::ClockTime::from_mseconds(MAX_PASS_THROUGH_KEYFRAME_MS.into())
    }

    /// From the first to the last of the packets seen.
    pub(super) fn span(&self) -> gst::ClockTime {
        let times = || self.packets.iter().map(|packet| packet.time);
        times().max().zip(times().min()).map_or(gst::ClockTime::ZERO, |(last, first)| last - first)
    }

    /// For H.264 the parser's word is not enough.
    fn is_keyframe(&self, buffer: &gst::BufferRef) -> bool {
        let framing = self.parsed.as_ref().and_then(|caps| Framing::of(caps));
        match (framing, buffer.map_readable()) {
            (Some(framing), Ok(unit)) => framing.is_idr(&unit),
            _ => !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        }
    }

    pub(super) fn see(&mut self, buffer: &gst::BufferRef) {
        self.count += 1;
        self.bytes += buffer.size() as u64;
        self.first = [self.first, buffer.pts()].into_iter().flatten().min();
        if self.kind == Kind::Video
            && self.packets.len() < VIDEO_PACKETS
            && let Some(time) = buffer.pts().or(buffer.dts())
        {
            let keyframe = self.is_keyframe(buffer);
            self.packet_bytes += buffer.size() as u64;
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
