//! Sound: decoded, mixed to stereo, gaps filled with silence, encoded as AAC in a rendition of its own.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::ObjectExt;

use super::catalog::{decoder_for, is_raw, parser_of};
use super::cuts::Cuts;
use super::demux::Track;
use super::elements::{caps_filter, chain, make, packet_queue, short_queue, source_pad, wake};
use super::grid::Grid;
use super::output::{self, Packing};
use super::{Health, Work, leaps};
use crate::failure::{Failure, FailureCode};
use crate::tracks::{FrameRate, RenditionId};

/// AAC at which stereo is transparent for nearly everybody.
const BITRATE: i32 = 128_000;
const SAMPLE_RATE: i32 = 48_000;
/// The grid of sources without pictures: plain 4 s.
const RATE_WITHOUT_PICTURES: FrameRate = FrameRate { numerator: 25, denominator: 1 };

/// Builds everything from an audio track to its rendition.
pub(crate) fn attach(track: &Track, work: &Arc<Work>) -> Result<(), Failure> {
    let mut elements = vec![packet_queue()?];
    if let Some(parser) = parser_of(&track.caps) {
        elements.push(make(parser)?);
    }
    if !is_raw(&track.caps) {
        let factory = decoder_for(&track.caps).ok_or_else(|| Failure::new(FailureCode::NoPlayableTracks))?;
        elements.push(factory.create().build().map_err(|_| Failure::internal("making a decoder"))?);
    }
    let mixed = elements.len() + MIXED;
    elements.extend(to_aac()?);
    chain(&work.pipeline, &elements)?;
    if work.spec.probe.audio.first().is_some_and(|audio| audio.index == track.index) {
        work.waveform.listen(&source_pad(&elements[mixed])?);
    }
    let decoded = source_pad(&elements[mixed - MIXED - 1])?;
    leaps::drop_leaps(&decoded, work.spec.probe.duration_ms, &work.health);
    Health::watch_reach(&work.health, &decoded);
    let id = RenditionId::Audio(u16::try_from(track.index).unwrap_or(u16::MAX));
    let rate = work.spec.rungs.first().map_or(RATE_WITHOUT_PICTURES, |rung| rung.frame_rate);
    // Sound is always made again from its start, so that its packets lie on the same samples after a crash: it costs little.
    let packing = Packing {
        id,
        first: 0,
        wanted: work.spec.next_sequence(id),
        cuts: Cuts::Grid(Grid::of(rate)),
        passed_through: false,
    };
    let output = output::attach(&work.pipeline, &elements[elements.len() - 1], packing, &work.outputs)?;
    elements.extend(output);
    wake(&elements)?;
    work.enter(&track.pad, &elements[0])
}

/// Which element of [`to_aac`] gives whole, mixed sound.
const MIXED: usize = 3;

fn to_aac() -> Result<Vec<gst::Element>, Failure> {
    let raw = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("rate", SAMPLE_RATE)
        .field("channels", 2i32)
        .build();
    let coded =
        gst::Caps::builder("audio/mpeg").field("mpegversion", 4i32).field("stream-format", "raw").build();
    let encoder = make("avenc_aac")?;
    encoder.set_property("bitrate", BITRATE);
    Ok(vec![
        make("audioconvert")?,
        make("audioresample")?,
        caps_filter(&raw)?,
        make("audiorate")?,
        short_queue(8)?,
        make("audioconvert")?,
        encoder,
        make("aacparse")?,
        caps_filter(&coded)?,
    ])
}
