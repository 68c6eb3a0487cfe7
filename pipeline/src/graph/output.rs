//! The end of every rendition: cut on the grid, packed as CMAF, sent to the node.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExtManual, ObjectExt, PadExtManual};

use super::alarm::Alarm;
use super::cuts::Cuts;
use super::elements::{chain, make, running_time, source_pad};
use super::header::forget_time;
use crate::failure::{Failure, FailureCode};
use crate::mp4;
use crate::protocol::FromWorker;
use crate::sink::{Progress, Sidecar, Stage};
use crate::tracks::{Keyframe, RenditionId, SegmentInfo};
use crate::transcode::{RenditionReport, TranscodeSpec};
use crate::worker_process::Connection;

/// All renditions of one transcode.
#[derive(Debug)]
pub(crate) struct Outputs {
    connection: Arc<Connection>,
    alarm: Alarm,
    reports: Mutex<HashMap<RenditionId, RenditionReport>>,
    started: Instant,
    duration_us: u64,
    resumed_us: AtomicU64,
    /// Renditions that have not ended yet, where the work ends with them and not with the source.
    unended: Option<AtomicUsize>,
}

impl Outputs {
    pub(crate) fn new(spec: &TranscodeSpec, connection: &Arc<Connection>, alarm: Alarm) -> Arc<Self> {
        Arc::new(Self {
            connection: connection.clone(),
            alarm,
            reports: Mutex::default(),
            started: Instant::now(),
            duration_us: spec.probe.duration_ms.unwrap_or(0) * 1000,
            resumed_us: AtomicU64::new(0),
            unended: spec.end().map(|_| AtomicUsize::new(spec.rungs.len())),
        })
    }

    /// What each rendition came to.
    pub(crate) fn reports(&self) -> Vec<RenditionReport> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reports: Vec<_> = reports.values().copied().collect();
        reports.sort_by_key(|report| report.id);
        reports
    }

    pub(crate) fn sidecar(&self, kind: Sidecar, bytes: &[u8]) -> Result<(), Failure> {
        self.send(&FromWorker::Sidecar(kind), bytes)
    }

    fn send(&self, message: &FromWorker, body: &[u8]) -> Result<(), Failure> {
        self.connection.send(message, body).map_err(|_| Failure::internal("the node is gone"))
    }

    /// The work is as far as the rendition that is behind.
    fn progress(&self, stage: Stage) -> Progress {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let done_us = reports.values().map(|report| report.end_us).min().unwrap_or(0);
        let done_share = |us: u64| (us * 100).checked_div(self.duration_us).unwrap_or(0).min(99);
        let resumed = self.resumed_us.load(Ordering::Relaxed);
        let fresh_us = done_us.saturating_sub(resumed);
        let left_us = self.duration_us.saturating_sub(done_us);
        let spent_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Progress {
            percent: u8::try_from(done_share(done_us)).unwrap_or(99),
            eta_ms: (self.duration_us > 0)
                .then(|| spent_ms.saturating_mul(left_us).checked_div(fresh_us))
                .flatten(),
            done_ms: done_us / 1000,
            stage,
        }
    }

    /// Takes note that nothing more comes of one rendition.
    fn ended(&self) {
        if self.unended.as_ref().is_some_and(|unended| unended.fetch_sub(1, Ordering::Relaxed) == 1) {
            self.alarm.end();
        }
    }

    fn note(&self, id: RenditionId, info: &SegmentInfo, passed_through: bool) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let end_us = info.start_us + info.duration_us;
        reports.insert(id, RenditionReport { id, segments: info.sequence + 1, end_us, passed_through });
    }
}

/// One rendition to pack.
#[derive(Debug, Clone)]
pub(crate) struct Packing {
    /// Which.
    pub(crate) id: RenditionId,
    /// The sequence of the first segment that arrives here.
    pub(crate) first: u64,
    /// The first sequence that the node does not have yet.
    pub(crate) wanted: u64,
    /// Where to cut.
    pub(crate) cuts: Cuts,
    /// Whether it is the source's own stream.
    pub(crate) passed_through: bool,
}

/// Builds muxer and sink behind `last`, which delivers one coded stream.
pub(crate) fn attach(
    pipeline: &gst::Pipeline,
    last: &gst::Element,
    packing: Packing,
    outputs: &Arc<Outputs>,
) -> Result<Vec<gst::Element>, Failure> {
    outputs.reports.lock().unwrap_or_else(PoisonError::into_inner).insert(
        packing.id,
        RenditionReport {
            id: packing.id,
            segments: packing.first,
            end_us: 0,
            passed_through: packing.passed_through,
        },
    );
    let muxer = make("cmafmux")?;
    muxer.set_property("manual-split", true);
    let pad = source_pad(last)?;
    drop_tags(&pad);
    cut(&pad, packing.clone());
    let sink =
        gstreamer_app::AppSink::builder().sync(false).async_(false).buffer_list(true).max_buffers(2).build();
    sink.set_callbacks(callbacks(packing, outputs.clone()));
    let elements = vec![muxer, sink.upcast::<gst::Element>()];
    chain(pipeline, &elements)?;
    last.link(&elements[0]).map_err(|_| Failure::internal("linking a muxer"))?;
    Ok(elements)
}

/// Keeps what the source says about itself out of the renditions: titles are private, and a rotation has been applied.
fn drop_tags(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        match info.event().map(|event| event.type_()) {
            Some(gst::EventType::Tag) => gst::PadProbeReturn::Drop,
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// Tells the muxer to begin a new fragment before the first keyframe (or sound packet) at or after the start of each segment.
fn cut(pad: &gst::Pad, packing: Packing) {
    let next = AtomicU64::new(packing.first + 1);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else {
            return gst::PadProbeReturn::Ok;
        };
        if buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            return gst::PadProbeReturn::Ok;
        }
        let Some(time) = running_time(pad, buffer) else {
            return gst::PadProbeReturn::Ok;
        };
        // Half a packet of tolerance, at most 10 ms: a packet that starts a hair early belongs to the line.
        let tolerance = buffer.duration().unwrap_or_default().min(gst::ClockTime::from_mseconds(20)) / 2;
        let mut line = next.load(Ordering::Relaxed);
        let mut reached = false;
        while packing.cuts.start_of(line).is_some_and(|start| time + tolerance >= start) {
            line += 1;
            reached = true;
        }
        if reached {
            next.store(line, Ordering::Relaxed);
            let split = gst::Structure::builder("FMP4MuxSplitNow").field("chunk", false).build();
            pad.push_event(gst::event::CustomDownstream::new(split));
        }
        gst::PadProbeReturn::Ok
    });
}

fn callbacks(packing: Packing, outputs: Arc<Outputs>) -> gstreamer_app::AppSinkCallbacks {
    let mut sequence = packing.first;
    let mut header = None;
    let ending = outputs.clone();
    gstreamer_app::AppSinkCallbacks::builder()
        .eos(move |_| ending.ended())
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            match deliver(&sample, &packing, &mut sequence, &mut header, &outputs) {
                Ok(()) => Ok(gst::FlowSuccess::Ok),
                Err(failure) => {
                    outputs.alarm.raise(failure);
                    Err(gst::FlowError::Error)
                }
            }
        })
        .build()
}

/// What one sample of the muxer holds.
#[derive(Debug, Default)]
struct Packed {
    header: Vec<u8>,
    fragment: Vec<u8>,
    start: Option<gst::ClockTime>,
    duration: gst::ClockTime,
}

fn deliver(
    sample: &gst::Sample,
    packing: &Packing,
    sequence: &mut u64,
    header: &mut Option<mp4::Init>,
    outputs: &Outputs,
) -> Result<(), Failure> {
    let packed = unpack(sample)?;
    if !packed.header.is_empty() {
        *header = mp4::read_init(&packed.header).ok();
        outputs.send(&FromWorker::Init(packing.id), &packed.header)?;
    }
    let Some(start) = packed.start.filter(|_| !packed.fragment.is_empty()) else {
        return Ok(());
    };
    let (start, duration) = span(&packed, start, packing, *sequence);
    let info = SegmentInfo {
        sequence: *sequence,
        start_us: start.useconds(),
        duration_us: duration.useconds(),
        keyframes: keyframes(&packed.fragment, header.as_ref(), packing, *sequence),
    };
    *sequence += 1;
    outputs.note(packing.id, &info, packing.passed_through);
    if outputs.connection.is_source_lost() {
        // It may end where the bytes end, and would stand in the way of the whole segment.
        return Err(Failure::new(FailureCode::SourceUnreadable));
    }
    if info.sequence >= packing.wanted {
        outputs.send(&FromWorker::Segment(packing.id, info), &packed.fragment)?;
    }
    outputs.send(&FromWorker::Progress(outputs.progress(Stage::Encoding)), &[])
}

/// Start and length of play. Between cuts of the source both are the same on all rungs, whatever each one's order of decoding.
fn span(
    packed: &Packed,
    start: gst::ClockTime,
    packing: &Packing,
    sequence: u64,
) -> (gst::ClockTime, gst::ClockTime) {
    let Cuts::Source(cuts) = &packing.cuts else { return (start, packed.duration) };
    let start = cuts.start_of(sequence).unwrap_or(start);
    let end = cuts.start_of(sequence + 1);
    (start, end.map_or(packed.duration, |end| end.saturating_sub(start)))
}

fn unpack(sample: &gst::Sample) -> Result<Packed, Failure> {
    let mut packed = Packed::default();
    let list = sample.buffer_list_owned();
    let single = sample.buffer();
    let buffers = list.iter().flat_map(|list| list.iter()).chain(single);
    let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
    let shown = |buffer: &gst::BufferRef| segment.and_then(|segment| segment.to_running_time(buffer.pts()?));
    for buffer in buffers {
        let map = buffer.map_readable().map_err(|_| Failure::internal("reading a fragment"))?;
        if buffer.flags().contains(gst::BufferFlags::HEADER)
            && packed.fragment.is_empty()
            && map.get(4..8) == Some(b"ftyp")
        {
            packed.header.extend_from_slice(&map);
            continue;
        }
        packed.fragment.extend_from_slice(&map);
        if packed.start.is_none() {
            packed.start = shown(buffer);
            packed.duration = buffer.duration().unwrap_or_default();
        }
    }
    forget_time(&mut packed.header);
    Ok(packed)
}

/// Where the keyframes of a picture segment are, read from the fragment itself: the muxer does not say in its buffers.
fn keyframes(fragment: &[u8], header: Option<&mp4::Init>, packing: &Packing, sequence: u64) -> Vec<Keyframe> {
    let video = matches!(packing.id, RenditionId::Video(_));
    let info = header.filter(|_| video).and_then(|init| mp4::segment_info(fragment, init, sequence).ok());
    info.map(|info| info.keyframes).unwrap_or_default()
}
