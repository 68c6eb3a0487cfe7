//! Going on in the middle of a source: what a transcode that goes on has still to encode is decoded from the last keyframe
//! before it, not from the start.
//!
//! The source is then read twice at a time. One reading runs from the start as ever: sound and text are made whole again,
//! which is cheap, and of the pictures a few keyframes are decoded for poster and storyboard. The other reading is moved
//! ahead and carries pictures only. Their times stay those of the whole source: what a demuxer says after it was moved is
//! compared with what it said before, and where the two do not agree the work begins again and decodes everything.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::PadExtManual;

use super::catalog::{Container, Kind};
use super::cuts::Cuts;
use super::demux::{self, Track};
use super::grid::Grid;
use super::{Alarm, Branches, Work, video};
use crate::failure::Failure;
use crate::ladder::Rung;
use crate::source_element::SourceReader;
use crate::transcode::{Share, TranscodeSpec};

/// Containers with an index that says where keyframes are, and whose first picture lies on the grid. Matroska rounds times to
/// milliseconds, which may put the groups of one run a frame beside those of another.
const INDEXED: [&str; 1] = ["mp4"];

/// Segments that a part encodes before its first one, and throws away: by then the encoder's rate control stands about where
/// it would stand, had it come from the start of the source.
const SETTLING: u64 = 1;

/// When the first picture is shown that has still to be encoded, for a source in which that can be looked up. One that is
/// passed through is cut where its own keyframes are, which only reading tells; and without a length the storyboard's
/// pictures could not be told beforehand.
pub(super) fn first_needed(
    spec: &TranscodeSpec,
    reader: &SourceReader,
    container: Container,
) -> Option<gst::ClockTime> {
    let top = spec.rungs.first().filter(|_| !spec.pass_through && spec.probe.duration_ms.is_some())?;
    let sequence = first_encoded(spec, &spec.rungs);
    let is_indexed =
        can_begin_in_the_middle(container.name) && reader.length().is_some() && spec.share != Share::Beside;
    let start = Cuts::Grid(Grid::of(top.frame_rate)).start_of(sequence)?;
    Some(start).filter(|start| is_indexed && !start.is_zero())
}

/// Whether work on a source in this container can begin in its middle.
pub(crate) fn can_begin_in_the_middle(container: &str) -> bool {
    INDEXED.contains(&container)
}

/// The first segment that is encoded, whether it is wanted or not.
pub(super) fn first_encoded(spec: &TranscodeSpec, rungs: &[Rung]) -> u64 {
    let wanted = rungs.iter().map(|rung| spec.next_sequence(rung.id)).min().unwrap_or(0);
    match spec.share {
        Share::Pictures { .. } => wanted.saturating_sub(SETTLING),
        Share::Whole | Share::Beside => wanted,
    }
}

/// Opens the source a second time, for its pictures from the last keyframe before `start` on.
pub(super) fn open_ahead(
    work: &Arc<Work>,
    reader: &Arc<SourceReader>,
    container: Container,
    branches: &Branches,
    start: gst::ClockTime,
) -> Result<(), Failure> {
    let builder = work.clone();
    let attach = move |track: Track| {
        if builder.is_shown(&track) {
            move_ahead(&track, start, &builder);
            video::attach(&track, &builder)
        } else {
            demux::discard(&builder.pipeline, &track.pad)
        }
    };
    let most = work.spec.limits.tracks;
    demux::open(&work.pipeline, reader, container, most, &work.alarm, branches, attach).map(drop)
}

/// How far the move of one track is.
#[derive(Debug, Default)]
enum Move {
    /// Nothing was said about its times yet.
    #[default]
    Before,
    /// It was asked for; these were the times.
    Asked(gst::FormattedSegment<gst::ClockTime>),
    /// What comes now comes from the new place.
    Flushed(gst::FormattedSegment<gst::ClockTime>),
    /// And its times were found to be right.
    Checked(gst::FormattedSegment<gst::ClockTime>),
    /// And so was the time of its first packet.
    Done,
}

/// Has the track's demuxer go on at the last keyframe before `start`, and lets nothing pass from before.
fn move_ahead(track: &Track, start: gst::ClockTime, work: &Arc<Work>) {
    let (alarm, state) = (work.alarm.clone(), Arc::new(Mutex::new(Move::default())));
    hold_until_flushed(&track.pad, state.clone());
    let kinds =
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    track.pad.add_probe(kinds, move |pad, info| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => packet_passes(packet, start, &mut state),
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Segment(said) => {
                    let said = said.segment().clone();
                    segment_passes(event, &said, pad, (start, &alarm), &mut state)
                }
                gst::EventView::FlushStop(_) => {
                    *state = match std::mem::take(&mut *state) {
                        Move::Asked(before) => Move::Flushed(before),
                        other => other,
                    };
                    Ok(gst::PadProbeReturn::Ok)
                }
                _ => Ok(gst::PadProbeReturn::Ok),
            },
            _ => Ok(gst::PadProbeReturn::Ok),
        };
        passed.unwrap_or_else(|Unmovable| {
            alarm.raise(Failure::unmovable());
            gst::PadProbeReturn::Drop
        })
    });
}

/// Keeps the demuxer at its first packet: one that had read a short source to its end before it is moved would end the work.
/// The move flushes, which lets go of it.
fn hold_until_flushed(pad: &gst::Pad, state: Arc<Mutex<Move>>) {
    pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, move |_, _| {
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            Move::Before | Move::Asked(_) => gst::PadProbeReturn::Ok,
            Move::Flushed(_) | Move::Checked(_) | Move::Done => gst::PadProbeReturn::Remove,
        }
    });
}

/// The demuxer cannot be trusted to go on in the middle.
struct Unmovable;

fn packet_passes(
    packet: &gst::Buffer,
    start: gst::ClockTime,
    state: &mut Move,
) -> Result<gst::PadProbeReturn, Unmovable> {
    match state {
        Move::Done => Ok(gst::PadProbeReturn::Ok),
        Move::Before | Move::Asked(_) => Ok(gst::PadProbeReturn::Drop),
        Move::Flushed(_) => Err(Unmovable),
        Move::Checked(times) => {
            let time = packet.pts().and_then(|time| times.to_running_time(time)).ok_or(Unmovable)?;
            let is_start = time <= start && !packet.flags().contains(gst::BufferFlags::DELTA_UNIT);
            *state = Move::Done;
            if is_start { Ok(gst::PadProbeReturn::Ok) } else { Err(Unmovable) }
        }
    }
}

fn segment_passes(
    event: &mut gst::Event,
    said: &gst::Segment,
    pad: &gst::Pad,
    (start, alarm): (gst::ClockTime, &Alarm),
    state: &mut Move,
) -> Result<gst::PadProbeReturn, Unmovable> {
    let said = said.downcast_ref::<gst::ClockTime>().ok_or(Unmovable)?;
    match std::mem::take(state) {
        Move::Before => {
            let position = said.position_from_running_time(start).ok_or(Unmovable)?;
            let target = said.to_stream_time(position).ok_or(Unmovable)?;
            *state = Move::Asked(said.clone());
            ask(pad, target, alarm.clone())?;
            Ok(gst::PadProbeReturn::Ok)
        }
        // Said again before it was moved.
        Move::Asked(before) => {
            *state = Move::Asked(before);
            Ok(gst::PadProbeReturn::Ok)
        }
        Move::Flushed(before) => {
            let place = said.start().ok_or(Unmovable)?;
            let shown = said.to_stream_time(place);
            if shown.is_none() || before.to_stream_time(place) != shown {
                return Err(Unmovable);
            }
            // Times are counted from the start of the whole source, as if everything before had been read.
            *event = gst::event::Segment::builder(&before).seqnum(event.seqnum()).build();
            *state = Move::Checked(before);
            Ok(gst::PadProbeReturn::Ok)
        }
        // Times that change on the way, as an edit list has them.
        Move::Checked(_) | Move::Done => Err(Unmovable),
    }
}

/// Asks for the move from another thread: it takes the lock that the demuxer's own thread holds here.
fn ask(pad: &gst::Pad, target: gst::ClockTime, alarm: Alarm) -> Result<(), Unmovable> {
    let pad = pad.clone();
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
    let asked = std::thread::Builder::new().name("move".into()).spawn(move || {
        let seek = gst::event::Seek::new(
            1.0,
            flags,
            gst::SeekType::Set,
            target,
            gst::SeekType::None,
            gst::ClockTime::NONE,
        );
        if !pad.send_event(seek) {
            alarm.raise(Failure::unmovable());
        }
    });
    asked.map(drop).map_err(|_| Unmovable)
}

impl Work {
    /// Whether this track is the picture that is shown.
    pub(super) fn is_shown(&self, track: &Track) -> bool {
        track.kind == Kind::Video
            && !self.spec.rungs.is_empty()
            && self.spec.probe.video.first().is_some_and(|video| video.index == track.index)
    }
}
