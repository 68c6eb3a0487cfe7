//! Inside the worker: lets the first packets of every track go by and looks at them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::{ElementExt, ElementExtManual, ObjectExt, PadExt, PadExtManual};

use super::describe::describe;
use super::facts::{Facts, TrackFacts};
use crate::failure::{Failure, FailureCode};
use crate::graph::catalog::{Kind, parser_of};
use crate::graph::demux::{self, Track};
use crate::graph::elements::{chain, link_pad, make, packet_queue, wake};
use crate::graph::{Alarm, Branches, watch};
use crate::outline::{Defect, defect_of_movie};
use crate::source_element::SourceReader;
use crate::tracks::Probe;
use crate::transcode::Limits;

/// Most processor time without a read: nothing is decoded here, so every packet costs next to nothing.
const MOST_FRUITLESS: Duration = Duration::from_secs(4);

/// How often a duration is asked for that is estimated, and after how long again.
const ESTIMATES: u32 = 20;
const ESTIMATE_AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
struct Shared {
    pipeline: gst::Pipeline,
    facts: Arc<Mutex<Facts>>,
    pads: Arc<Mutex<Vec<gst::Pad>>>,
}

impl Shared {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The demuxer's pads, in the order of the tracks.
    fn pads(&self) -> MutexGuard<'_, Vec<gst::Pad>> {
        self.pads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every track that nothing more will come, after the source broke off.
    fn end_tracks(&self) {
        // Cloned, since the end passes through probes that take the other lock.
        let pads = self.pads().clone();
        for sink in pads.iter().filter_map(gst::Pad::peer) {
            // A track that has ended already refuses, which is as good.
            sink.send_event(gst::event::Eos::new());
        }
    }

    /// Ends the run when enough is known.
    fn stop_if_enough(&self) {
        if self.facts().are_enough() {
            // Refused only when the bus is gone and the run over.
            let _ = self.pipeline.post_message(gst::message::Eos::new());
        }
    }
}

/// What the source is.
pub(crate) fn examine(reader: &Arc<SourceReader>) -> Result<Probe, Failure> {
    let container = demux::identify(reader)?;
    let defect = defect(reader, container.name)?;
    if let Some(defect) = defect.filter(|defect| defect.is_final()) {
        return Err(Failure::defective(defect));
    }
    let pipeline = gst::Pipeline::new();
    let alarm = Alarm::new(&pipeline);
    let shared = Shared { pipeline: pipeline.clone(), facts: Arc::default(), pads: Arc::default() };
    shared.facts().growing = reader.length().is_none();
    let watcher = shared.clone();
    let limits = Limits::default();
    let branches = Branches::default();
    let demuxer =
        demux::open(&pipeline, reader, container, limits.tracks, &alarm, &branches, move |track| {
            watch_track(&track, &watcher)
        })?;
    if demuxer.static_pad("src").is_some() {
        shared.facts().complete = true;
    } else {
        let announced = shared.clone();
        demuxer.connect_no_more_pads(move |_| {
            announced.facts().complete = true;
            announced.stop_if_enough();
        });
    }
    let ending = watch::run(&pipeline, &alarm, &branches, reader, MOST_FRUITLESS, || shared.end_tracks())?;
    for (pad, track) in shared.pads().iter().zip(&mut shared.facts().tracks) {
        take_tags(pad, track);
        track.broken = branches.is_broken(track.kind, track.index);
    }
    let duration = duration_of(&pipeline, &demuxer, reader);
    let probe = describe(&shared.facts(), container.name, duration, reader.length().is_none());
    if probe.video.is_empty() && probe.audio.is_empty() {
        let failure = ending.failure.unwrap_or_else(|| Failure::new(FailureCode::NoPlayableTracks));
        let explained = defect.filter(|_| failure.code == FailureCode::Damaged).map(Failure::defective);
        return Err(explained.unwrap_or(failure));
    }
    if probe.video.first().is_some_and(|track| track.pixels() > limits.pixels) {
        return Err(Failure::new(FailureCode::TooLargePicture));
    }
    Ok(probe)
}

/// How long it takes. A bare stream is as long as its parser estimates, from packets that may still be on their way.
fn duration_of(
    pipeline: &gst::Pipeline,
    demuxer: &gst::Element,
    reader: &SourceReader,
) -> Option<gst::ClockTime> {
    let ask = || pipeline.query_duration().or_else(|| demuxer.query_duration::<gst::ClockTime>());
    let is_estimated = demuxer.static_pad("src").is_some() && reader.length().is_some();
    for _ in 0..if is_estimated { ESTIMATES } else { 0 } {
        if let Some(duration) = ask() {
            return Some(duration);
        }
        std::thread::sleep(ESTIMATE_AGAIN);
    }
    ask()
}

/// What the outermost structure has to say. A source that still grows has no end to judge.
fn defect(reader: &SourceReader, container: &str) -> Result<Option<Defect>, Failure> {
    let Some(length) = reader.length().filter(|_| container == "mp4") else { return Ok(None) };
    defect_of_movie(length, |offset, buffer| reader.read(offset, buffer))
        .map_err(|_| Failure::new(FailureCode::SourceUnreadable))
}

/// What a track says about itself may still be on its way through a queue: the demuxer's pad has it already.
fn take_tags(pad: &gst::Pad, facts: &mut TrackFacts) {
    let tags = (0..).map_while(|number| pad.sticky_event::<gst::event::Tag>(number));
    for event in tags {
        facts.tags = facts.tags.merge(event.tag(), gst::TagMergeMode::Keep);
    }
}

fn watch_track(track: &Track, shared: &Shared) -> Result<(), Failure> {
    let position = {
        // In this order everywhere.
        let (mut pads, mut facts) = (shared.pads(), shared.facts());
        pads.push(track.pad.clone());
        facts.tracks.push(TrackFacts::new(track.kind, track.index, track.caps.clone()));
        facts.tracks.len() - 1
    };
    let mut elements = vec![packet_queue()?];
    if let Some(parser) = parser_of(&track.caps).filter(|_| track.kind != Kind::Subtitles) {
        elements.push(make(parser)?);
    }
    let sink = make("fakesink")?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    elements.push(sink.clone());
    chain(&shared.pipeline, &elements)?;
    let pad = sink.static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
    let watcher = shared.clone();
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(facts) = watcher.facts().tracks.get_mut(position) {
            note(facts, info);
        }
        watcher.stop_if_enough();
        gst::PadProbeReturn::Ok
    });
    wake(&elements)?;
    link_pad(&track.pad, &elements[0])
}

fn note(facts: &mut TrackFacts, info: &gst::PadProbeInfo<'_>) {
    if let Some(buffer) = info.buffer() {
        facts.see(buffer);
        return;
    }
    match info.event().map(|event| event.view()) {
        Some(gst::EventView::Caps(event)) => facts.parsed = Some(event.caps_owned()),
        Some(gst::EventView::Tag(event)) => {
            facts.tags = facts.tags.merge(event.tag(), gst::TagMergeMode::Replace)
        }
        Some(gst::EventView::StreamStart(event)) => {
            facts.default |= event.stream_flags().contains(gst::StreamFlags::SELECT)
        }
        Some(gst::EventView::Eos(_)) => facts.ended = true,
        _ => {}
    }
}
