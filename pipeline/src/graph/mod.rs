//! The GStreamer graph inside a worker: from the node's bytes to finished segments.
//!
//! It is built by hand, track by track, as the demuxer finds them: no auto-plugging, so that only elements we chose run. No
//! branch waits for another (every sink is unsynchronised and prerolls nothing), so that no order of packets can lock it up.

mod alarm;
mod audio;
pub(crate) mod catalog;
pub(crate) mod demux;
pub(crate) mod elements;
mod grid;
mod output;
mod plugins;
mod video;
pub(crate) mod watch;

use std::sync::Arc;

use gstreamer as gst;

pub(crate) use alarm::Alarm;
pub use plugins::PluginError;
pub(crate) use plugins::load_plugins;

use crate::failure::{Failure, FailureCode};
use crate::source_element::SourceReader;
use crate::tracks::Rotation;
use crate::transcode::{Report, TranscodeSpec};
use crate::worker_process::Connection;
use catalog::Kind;
use demux::Track;
use output::Outputs;

/// What all branches of one transcode share.
#[derive(Debug)]
struct Work {
    pipeline: gst::Pipeline,
    spec: TranscodeSpec,
    alarm: Alarm,
    outputs: Arc<Outputs>,
}

impl Work {
    /// The rotation of the track that is shown.
    fn rotation(&self) -> Rotation {
        self.spec.probe.video.first().map(|track| track.rotation).unwrap_or_default()
    }

    /// The first sequence that some encoded rung still needs.
    fn first_video_sequence(&self) -> u64 {
        self.spec.rungs.iter().map(|rung| self.spec.next_sequence(rung.id)).min().unwrap_or(0)
    }

    fn wants(&self, track: &Track) -> bool {
        match track.kind {
            Kind::Video => {
                !self.spec.rungs.is_empty()
                    && self.spec.probe.video.first().is_some_and(|video| video.index == track.index)
            }
            Kind::Audio => self.spec.probe.audio.iter().any(|audio| audio.index == track.index),
            Kind::Subtitles | Kind::Other => false,
        }
    }

    fn attach(self: &Arc<Self>, track: &Track) -> Result<(), Failure> {
        if !self.wants(track) {
            return demux::discard(&self.pipeline, &track.pad);
        }
        match track.kind {
            Kind::Video => video::attach(track, self),
            Kind::Audio => audio::attach(track, self),
            Kind::Subtitles | Kind::Other => demux::discard(&self.pipeline, &track.pad),
        }
    }
}

/// Runs a whole transcode; results go to the node as they are made.
pub(crate) fn transcode(
    spec: &TranscodeSpec,
    reader: &Arc<SourceReader>,
    connection: &Arc<Connection>,
) -> Result<Report, Failure> {
    let container = demux::identify(reader)?;
    let pipeline = gst::Pipeline::new();
    let alarm = Alarm::new(&pipeline);
    let outputs = Outputs::new(spec, connection, alarm.clone());
    let work = Arc::new(Work {
        pipeline: pipeline.clone(),
        spec: spec.clone(),
        alarm: alarm.clone(),
        outputs: outputs.clone(),
    });
    demux::open(&pipeline, reader, container, spec.limits.tracks, &alarm, move |track| work.attach(&track))?;
    let ending = watch::run(&pipeline, &alarm)?;
    report(spec, &outputs, ending)
}

fn report(spec: &TranscodeSpec, outputs: &Outputs, ending: watch::Ending) -> Result<Report, Failure> {
    let renditions = outputs.reports();
    let end_us = renditions.iter().map(|report| report.end_us).max().unwrap_or(0);
    if end_us == 0 {
        return Err(ending.failure.unwrap_or_else(|| Failure::new(FailureCode::Damaged)));
    }
    let missing_video = spec
        .rungs
        .iter()
        .any(|rung| !renditions.iter().any(|report| report.id == rung.id && report.end_us > 0));
    let short = spec.probe.duration_ms.is_some_and(|claimed| end_us / 1000 + 1_000 + claimed / 50 < claimed);
    Ok(Report {
        renditions,
        duration_ms: end_us / 1000,
        decode_errors: ending.decode_errors,
        damaged: ending.failure.is_some() || short || missing_video || ending.decode_errors > 0,
        restarts: 0,
    })
}
