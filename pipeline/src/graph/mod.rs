//! The GStreamer graph inside a worker: from the node's bytes to finished segments.
//!
//! It is built by hand, track by track, as the demuxer finds them: no auto-plugging, so that only elements we chose run. No
//! branch waits for another (every sink is unsynchronised and prerolls nothing), so that no order of packets can lock it up.

mod alarm;
mod audio;
mod branches;
pub(crate) mod catalog;
mod complaints;
mod cuts;
pub(crate) mod demux;
pub(crate) mod elements;
mod grid;
pub(crate) mod h264;
mod header;
mod jpeg;
mod leaps;
mod output;
mod pass_through;
mod pictures;
mod plugins;
mod resume;
mod shape;
mod subtitles;
mod tone_curve;
mod tone_map;
mod video;
pub(crate) mod watch;
mod waveform;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gstreamer as gst;

pub(crate) use alarm::Alarm;
pub(crate) use branches::Branches;
pub use plugins::PluginError;
pub(crate) use plugins::load_plugins;
pub(crate) use resume::can_begin_in_the_middle;

use crate::failure::{Failure, FailureCode};
use crate::ladder::{MAX_PASS_THROUGH_KEYFRAME_MS, Rung};
use crate::sink::Sidecar;
use crate::source_element::SourceReader;
use crate::tracks::{LeftOut, LeftOutReason, RenditionId, Rotation, TrackKind};
use crate::transcode::{Report, Share, TranscodeSpec, Unpassable};
use crate::worker_process::Connection;
use catalog::Kind;
use cuts::{Cuts, SourceCuts};
use demux::Track;
pub(crate) use grid::Grid;
use output::Outputs;
use pictures::Gallery;
use subtitles::Subtitles;
use waveform::Waveform;

/// What all branches of one transcode share.
#[derive(Debug)]
struct Work {
    pipeline: gst::Pipeline,
    spec: TranscodeSpec,
    alarm: Alarm,
    outputs: Arc<Outputs>,
    /// The poster and the storyboard; sources without pictures have none.
    gallery: Option<Arc<Gallery>>,
    waveform: Arc<Waveform>,
    subtitles: Subtitles,
    health: Arc<Health>,
    entries: Mutex<Vec<gst::Pad>>,
    /// Where the source is cut, when its own stream is the top rung.
    passing: Option<Arc<SourceCuts>>,
    /// Why it cannot be the top rung after all.
    refusal: OnceLock<Unpassable>,
    /// When the first picture is shown that has still to be encoded, if decoding begins shortly before it.
    ahead: Option<gst::ClockTime>,
}

/// How a transcode ran to its end.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Everything that could be made is made.
    Done(Report),
    /// The source's own stream proved unfit for the top rung; everything is to be made again without.
    Unpassable(Unpassable),
}

/// What decoders got and gave.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Packets of pictures that went in.
    pub(crate) packets: AtomicU64,
    /// Pictures that came out.
    pub(crate) frames: AtomicU64,
    /// Pictures that came out broken.
    pub(crate) corrupt: AtomicU64,
    /// When the last thing decoded is shown or heard, in milliseconds. What is made may be longer: gaps are filled.
    pub(crate) reached_ms: AtomicU64,
    /// Complaints there were when the work ended, if that was before the end of the source.
    complaints_at_end: OnceLock<u32>,
}

impl Health {
    /// Notes how far what passes this pad reaches.
    fn watch_reach(health: &Arc<Self>, pad: &gst::Pad) {
        use gstreamer::prelude::PadExtManual;
        let health = health.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let end = info.buffer().and_then(|buffer| {
                let time = elements::running_time(pad, buffer)?;
                time.checked_add(buffer.duration().unwrap_or_default())
            });
            health.reached_ms.fetch_max(end.unwrap_or_default().mseconds(), Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }

    /// Packets that became no good picture. A few may always be missing at the start of an open group.
    /// With them what decoders complained of, and `warnings` of elements.
    fn errors(&self, warnings: u32) -> u32 {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        if let Some(complaints) = self.complaints_at_end.get() {
            // Some packets are still in the decoder, and what it says of the end is none of the source's fault.
            return u32::try_from(count(&self.corrupt)).unwrap_or(u32::MAX).saturating_add(*complaints);
        }
        let lost = count(&self.packets).saturating_sub(count(&self.frames));
        let lost = if lost > 4 { lost } else { 0 };
        let broken = u32::try_from(lost.max(count(&self.corrupt))).unwrap_or(u32::MAX);
        broken.saturating_add(warnings).saturating_add(complaints::count())
    }

    /// The work has all it wanted of the source: what is said from now on does not count.
    fn ends_before_its_source(&self) {
        self.complaints_at_end.get_or_init(complaints::count);
    }
}

impl Work {
    fn new(
        spec: &TranscodeSpec,
        connection: &Arc<Connection>,
        pipeline: &gst::Pipeline,
        alarm: &Alarm,
        ahead: Option<gst::ClockTime>,
    ) -> Arc<Self> {
        let size = spec.rungs.first().map(|top| (top.width, top.height));
        Arc::new(Self {
            pipeline: pipeline.clone(),
            spec: spec.clone(),
            alarm: alarm.clone(),
            outputs: Outputs::new(spec, connection, alarm.clone()),
            gallery: size
                .filter(|_| !matches!(spec.share, Share::Pictures { .. }))
                .map(|size| Gallery::new(size, spec.probe.duration_ms)),
            waveform: Arc::default(),
            subtitles: Subtitles::default(),
            health: Arc::default(),
            entries: Mutex::default(),
            passing: passing(spec),
            refusal: OnceLock::new(),
            ahead,
        })
    }

    /// The rotation of the track that is shown.
    fn rotation(&self) -> Rotation {
        self.spec.probe.video.first().map(|track| track.rotation).unwrap_or_default()
    }

    /// The rungs that are encoded.
    fn encoded_rungs(&self) -> &[Rung] {
        if self.spec.share == Share::Beside {
            return &[];
        }
        let passed = usize::from(self.passing.is_some());
        self.spec.rungs.get(passed..).unwrap_or_default()
    }

    /// Where rungs of this one's rate are cut.
    fn cuts(&self, rung: &Rung) -> Cuts {
        self.passing.clone().map_or_else(|| Cuts::Grid(Grid::of(rung.frame_rate)), Cuts::Source)
    }

    /// Ends the work: the source's own stream cannot be the top rung. The first reason counts.
    fn refuse(&self, reason: Unpassable) {
        self.refusal.get_or_init(|| reason);
        self.alarm.raise(Failure::internal("passing the source through"));
    }

    /// What decoders hide must not reach a player that has nothing else to show.
    fn sound_so_far(&self) -> Result<(), Unpassable> {
        let broken = self.health.corrupt.load(Ordering::Relaxed) > 0 || complaints::count() > FORGIVEN_ERRORS;
        if broken { Err(Unpassable::Damaged) } else { Ok(()) }
    }

    /// The first segment that the rungs encode.
    fn first_video_sequence(&self) -> u64 {
        resume::first_encoded(&self.spec, self.encoded_rungs())
    }

    /// Whether somebody else makes the sound, the text, the poster and the storyboard.
    fn is_pictures_alone(&self) -> bool {
        matches!(self.spec.share, Share::Pictures { .. })
    }

    /// Whether of the pictures that are shown only some are decoded here, for poster and storyboard.
    fn is_sparse(&self) -> bool {
        self.ahead.is_some() || self.spec.share == Share::Beside
    }

    fn attach(self: &Arc<Self>, track: &Track) -> Result<(), Failure> {
        let probe = &self.spec.probe;
        match track.kind {
            Kind::Video if self.is_shown(track) && self.is_sparse() => pictures::attach_sparse(track, self),
            Kind::Video if self.is_shown(track) => video::attach(track, self),
            _ if self.is_pictures_alone() => demux::discard(&self.pipeline, &track.pad),
            Kind::Audio if probe.audio.iter().any(|audio| audio.index == track.index) => {
                audio::attach(track, self)
            }
            Kind::Subtitles => subtitles::attach(track, self),
            _ => demux::discard(&self.pipeline, &track.pad),
        }
    }

    /// Links a track to the first element of its branch, and remembers the way in.
    fn enter(&self, pad: &gst::Pad, first: &gst::Element) -> Result<(), Failure> {
        use gstreamer::prelude::ElementExt;
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).extend(first.static_pad("sink"));
        elements::link_pad(pad, first)
    }

    /// Tells every branch that nothing more will come, after the source broke off.
    fn drain(&self) {
        use gstreamer::prelude::PadExtManual;
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for entry in entries {
            // A branch that has ended already refuses, which is as good.
            entry.send_event(gst::event::Eos::new());
        }
    }

    fn send_sidecars(&self) -> Result<(), Failure> {
        let mut sidecars = self.subtitles.finish();
        sidecars.extend(self.waveform.finish().map(|bytes| (Sidecar::Waveform, bytes)));
        if let Some(gallery) = &self.gallery {
            sidecars.extend(gallery.finish()?);
        }
        sidecars.iter().try_for_each(|(kind, bytes)| self.outputs.sidecar(*kind, bytes))
    }
}

/// Runs a whole transcode; results go to the node as they are made.
pub(crate) fn transcode(
    spec: &TranscodeSpec,
    reader: &Arc<SourceReader>,
    connection: &Arc<Connection>,
) -> Result<Verdict, Failure> {
    let container = demux::identify(reader)?;
    let ahead = resume::first_needed(spec, reader, container);
    match transcode_from(ahead, container, spec, reader, connection) {
        Err(failure) if ahead.is_some() && failure == Failure::unmovable() => {
            transcode_from(None, container, spec, reader, connection)
        }
        outcome => outcome,
    }
}

fn transcode_from(
    ahead: Option<gst::ClockTime>,
    container: catalog::Container,
    spec: &TranscodeSpec,
    reader: &Arc<SourceReader>,
    connection: &Arc<Connection>,
) -> Result<Verdict, Failure> {
    let pipeline = gst::Pipeline::new();
    let alarm = Alarm::new(&pipeline);
    let work = Work::new(spec, connection, &pipeline, &alarm, ahead);
    let builder = work.clone();
    let branches = Branches::default();
    if ahead.is_none() || !work.is_pictures_alone() {
        let attach = move |track| builder.attach(&track);
        demux::open(&pipeline, reader, container, spec.limits.tracks, &alarm, &branches, attach)?;
    }
    if let Some(start) = ahead {
        resume::open_ahead(&work, reader, container, &branches, start)?;
    }
    let ending = watch::run(&pipeline, &alarm, &branches, reader, MOST_FRUITLESS, || work.drain());
    if let Some(reason) = work.refusal.get() {
        return Ok(Verdict::Unpassable(*reason));
    }
    if ending.as_ref().is_err_and(|failure| *failure == Failure::unmovable()) {
        stop(&pipeline);
    }
    let ending = ending?;
    let broke_off = ending.failure.is_some();
    let report = report(&work, ending)?;
    if work.passing.is_some()
        && (broke_off || report.decode_errors > FORGIVEN_ERRORS || work.sound_so_far().is_err())
    {
        return Ok(Verdict::Unpassable(Unpassable::Damaged));
    }
    if !work.is_pictures_alone() {
        work.send_sidecars()?;
    }
    Ok(Verdict::Done(report))
}

/// Ends all of a graph's threads, so that another one can be run.
fn stop(pipeline: &gst::Pipeline) {
    use gstreamer::prelude::ElementExt;
    // Refused only by a graph that has ended already.
    let _ = pipeline.set_state(gst::State::Null);
}

fn passing(spec: &TranscodeSpec) -> Option<Arc<SourceCuts>> {
    let track = spec.probe.video.first().filter(|_| spec.pass_through && !spec.rungs.is_empty())?;
    Some(SourceCuts::new(track.keyframe_interval_ms.unwrap_or(MAX_PASS_THROUGH_KEYFRAME_MS)))
}

/// Most processor time without a read or a result: decoding and encoding a segment of the largest pictures takes less.
const MOST_FRUITLESS: Duration = Duration::from_secs(120);

/// Sound media may draw a remark or two from a decoder.
const FORGIVEN_ERRORS: u32 = 2;

fn report(work: &Work, ending: watch::Ending) -> Result<Report, Failure> {
    let renditions = work.outputs.reports();
    let end_us = renditions.iter().map(|report| report.end_us).max().unwrap_or(0);
    let is_resumed = work.spec.resume.iter().any(|(_, next)| *next > 0);
    let is_partial = work.spec.share != Share::Whole;
    if end_us == 0 && !is_resumed && !is_partial {
        return Err(ending.failure.unwrap_or_else(|| Failure::new(FailureCode::Damaged)));
    }
    let made = |id| {
        work.spec.next_sequence(id) > 0
            || renditions.iter().any(|report| report.id == id && report.end_us > 0)
    };
    let missing = work.encoded_rungs().iter().any(|rung| !made(rung.id));
    let reached_ms = work.health.reached_ms.load(Ordering::Relaxed);
    // Containers round; half a second and two hundredths is more than rounding.
    let short = claimed_ms(&work.spec).is_some_and(|claimed| reached_ms + 500 + claimed / 50 < claimed);
    let decode_errors = work.health.errors(ending.warnings);
    let left_out = left_out(&work.spec, made);
    Ok(Report {
        renditions,
        duration_ms: end_us / 1000,
        decode_errors,
        damaged: ending.failure.is_some()
            || ending.broken_tracks
            || short
            || missing
            || decode_errors > FORGIVEN_ERRORS,
        restarts: 0,
        decoded_pictures: work.health.frames.load(Ordering::Relaxed),
        left_out,
    })
}

/// How far the source says that this work reaches.
fn claimed_ms(spec: &TranscodeSpec) -> Option<u64> {
    let claimed = spec.probe.duration_ms.filter(|_| spec.share != Share::Beside)?;
    let (Some(end), Some(top)) = (spec.end(), spec.rungs.first()) else { return Some(claimed) };
    Some(claimed.min(Grid::of(top.frame_rate).start_of(end).mseconds()))
}

/// The tracks that looked sound and became nothing.
fn left_out(spec: &TranscodeSpec, made: impl Fn(RenditionId) -> bool) -> Vec<LeftOut> {
    let broken = |kind, index, codec: &str| LeftOut {
        kind,
        index,
        codec: codec.to_owned(),
        reason: LeftOutReason::Broken,
    };
    // Of what others make, others speak.
    let (makes_pictures, makes_sound) = match spec.share {
        Share::Whole => (true, true),
        Share::Beside => (false, true),
        Share::Pictures { .. } => (true, false),
    };
    let is_blind = makes_pictures && !spec.rungs.iter().any(|rung| made(rung.id));
    let video = spec.probe.video.first().filter(|_| is_blind);
    let video = video.map(|track| broken(TrackKind::Video, track.index, &track.codec));
    let is_silent = |index: u32| u16::try_from(index).is_ok_and(|index| !made(RenditionId::Audio(index)));
    let audio = spec.probe.audio.iter().filter(|track| makes_sound && is_silent(track.index));
    let audio = audio.map(|track| broken(TrackKind::Audio, track.index, &track.codec));
    video.into_iter().chain(audio).collect()
}
