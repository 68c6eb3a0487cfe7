//! Inside the worker: lets the first packets of every track go by and looks at them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{ElementExt, ElementExtManual, ObjectExt, PadExtManual};

use super::describe::describe;
use super::facts::{Facts, TrackFacts};
use crate::failure::{Failure, FailureCode};
use crate::graph::catalog::{Kind, parser_of};
use crate::graph::demux::{self, Track};
use crate::graph::elements::{chain, link_pad, make, packet_queue, wake};
use crate::graph::{Alarm, watch};
use crate::source_element::SourceReader;
use crate::tracks::Probe;
use crate::transcode::Limits;

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
    let pipeline = gst::Pipeline::new();
    let alarm = Alarm::new(&pipeline);
    let shared = Shared { pipeline: pipeline.clone(), facts: Arc::default(), pads: Arc::default() };
    shared.facts().growing = reader.length().is_none();
    let watcher = shared.clone();
    let most_tracks = Limits::default().tracks;
    let demuxer = demux::open(&pipeline, reader, container, most_tracks, &alarm, move |track| {
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
    let ending = watch::run(&pipeline, &alarm, || {})?;
    for (pad, track) in shared.pads().iter().zip(&mut shared.facts().tracks) {
        take_tags(pad, track);
    }
    let duration =
        pipeline.query_duration::<gst::ClockTime>().or_else(|| demuxer.query_duration::<gst::ClockTime>());
    let probe = describe(&shared.facts(), container.name, duration, reader.length().is_none());
    if probe.video.is_empty() && probe.audio.is_empty() {
        return Err(ending.failure.unwrap_or_else(|| Failure::new(FailureCode::NoPlayableTracks)));
    }
    Ok(probe)
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
