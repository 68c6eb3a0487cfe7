//! Pictures: decoded once, made upright and even, scaled from rung to rung, encoded on each.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::{ElementExtManual, GObjectExtManualGst, ObjectExt, PadExtManual};

use super::Work;
use super::catalog::{decoder_for, is_raw, parser_of};
use super::demux::Track;
use super::elements::{
    caps_filter, chain, link_pad, make, packet_queue, running_time, set_if_present, short_queue, source_pad,
    wake, when_caps_known,
};
use super::grid::Grid;
use super::output::{self, Packing};
use crate::failure::{Failure, FailureCode};
use crate::ladder::Rung;
use crate::tracks::{FrameRate, Rotation};

/// Builds everything from a video track to its renditions.
pub(crate) fn attach(track: &Track, work: &Arc<Work>) -> Result<(), Failure> {
    let mut elements = vec![packet_queue()?];
    if let Some(parser) = parser_of(&track.caps) {
        elements.push(make(parser)?);
    }
    if !is_raw(&track.caps) {
        elements.push(decoder(&track.caps)?);
    }
    chain(&work.pipeline, &elements)?;
    let last = elements.last().ok_or_else(|| Failure::internal("no elements"))?;
    let (shared, alarm) = (work.clone(), work.alarm.clone());
    when_caps_known(&source_pad(last)?, move |pad, caps| {
        alarm.check(attach_decoded(pad, &caps, &shared));
    });
    wake(&elements)?;
    link_pad(&track.pad, &elements[0])
}

fn decoder(caps: &gst::Caps) -> Result<gst::Element, Failure> {
    let factory = decoder_for(caps).ok_or_else(|| Failure::new(FailureCode::NoPlayableTracks))?;
    let decoder = factory.create().build().map_err(|_| Failure::internal("making a decoder"))?;
    // More frame threads would each hold frames of the full size; the encoders need the cores anyway.
    set_if_present(&decoder, "max-threads", "2");
    Ok(decoder)
}

/// Builds what follows the decoder, once the size and kind of its pictures are known.
fn attach_decoded(pad: &gst::Pad, caps: &gst::Caps, work: &Arc<Work>) -> Result<(), Failure> {
    let top = *work.spec.rungs.first().ok_or_else(|| Failure::internal("no rungs"))?;
    check_size(caps, work.spec.limits.pixels)?;
    let mut elements = vec![short_queue(3)?];
    if is_interlaced(caps) {
        elements.extend(deinterlacer()?);
    }
    elements.push(make("videorate")?);
    elements.push(caps_filter(&rate_caps(top.frame_rate))?);
    let grid_of_times = elements.len() - 1;
    let rotation = work.rotation();
    elements.extend(scaler(top, rotation)?);
    elements.extend(flipper(rotation)?);
    chain(&work.pipeline, &elements)?;
    let grid = Grid::of(top.frame_rate);
    let first = work.first_video_sequence();
    skip_before(&source_pad(&elements[grid_of_times])?, grid.start_of(first));
    let last = elements.last().ok_or_else(|| Failure::internal("no elements"))?.clone();
    attach_rungs(last, first, work, &mut elements)?;
    wake(&elements)?;
    link_pad(pad, &elements[0])
}

fn check_size(caps: &gst::Caps, most: u64) -> Result<(), Failure> {
    let structure = caps.structure(0).ok_or_else(|| Failure::internal("no caps"))?;
    let side =
        |name: &str| structure.get::<i32>(name).ok().and_then(|side| u64::try_from(side).ok()).unwrap_or(0);
    if side("width") * side("height") > most {
        return Err(Failure::new(FailureCode::TooLargePicture));
    }
    Ok(())
}

fn is_interlaced(caps: &gst::Caps) -> bool {
    let mode = caps.structure(0).and_then(|structure| structure.get::<&str>("interlace-mode").ok());
    mode.is_some_and(|mode| mode != "progressive")
}

/// One picture for each pair of fields: the frame rate stays.
fn deinterlacer() -> Result<Vec<gst::Element>, Failure> {
    let deinterlace = make("deinterlace")?;
    set_if_present(&deinterlace, "mode", "auto");
    set_if_present(&deinterlace, "fields", "top");
    set_if_present(&deinterlace, "method", "yadif");
    let caps = gst::Caps::builder("video/x-raw").field("format", gst::List::new(["I420", "Y42B"])).build();
    Ok(vec![make("videoconvert")?, caps_filter(&caps)?, deinterlace])
}

fn rate_caps(rate: FrameRate) -> gst::Caps {
    gst::Caps::builder("video/x-raw").field("framerate", fraction(rate)).build()
}

fn fraction(rate: FrameRate) -> gst::Fraction {
    let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    gst::Fraction::new(side(rate.numerator), side(rate.denominator))
}

/// Plain 8-bit BT.709 pictures of this size with square pixels.
fn picture_caps(width: u32, height: u32) -> gst::Caps {
    let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", side(width))
        .field("height", side(height))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("colorimetry", "bt709")
        .build()
}

fn scaler(rung: Rung, rotation: Rotation) -> Result<Vec<gst::Element>, Failure> {
    let (width, height) =
        if rotation.swaps_sides() { (rung.height, rung.width) } else { (rung.width, rung.height) };
    let scale = make("videoconvertscale")?;
    scale.set_property("add-borders", false);
    Ok(vec![scale, caps_filter(&picture_caps(width, height))?])
}

fn flipper(rotation: Rotation) -> Result<Vec<gst::Element>, Failure> {
    let direction = match rotation {
        Rotation::None => return Ok(Vec::new()),
        Rotation::Right => "90r",
        Rotation::Half => "180",
        Rotation::Left => "90l",
    };
    let flip = make("videoflip")?;
    flip.set_property_from_str("video-direction", direction);
    Ok(vec![flip])
}

/// Drops the pictures of segments that exist already. They were decoded, but the dear part is encoding.
fn skip_before(pad: &gst::Pad, start: gst::ClockTime) {
    if start.is_zero() {
        return;
    }
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let early =
            info.buffer().and_then(|buffer| running_time(pad, buffer)).is_some_and(|time| time < start);
        if early { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
    });
}

/// The cascade: each rung is scaled from the one above, which is cheaper than scaling each from the source.
fn attach_rungs(
    top: gst::Element,
    first: u64,
    work: &Arc<Work>,
    elements: &mut Vec<gst::Element>,
) -> Result<(), Failure> {
    let mut above = top;
    let rungs = &work.spec.rungs;
    for (position, rung) in rungs.iter().enumerate() {
        if position > 0 {
            let mut scale = vec![short_queue(2)?];
            scale.extend(scaler(*rung, Rotation::None)?);
            chain(&work.pipeline, &scale)?;
            above.link(&scale[0]).map_err(|_| Failure::internal("linking rungs"))?;
            above = scale[scale.len() - 1].clone();
            elements.extend(scale);
        }
        if position + 1 < rungs.len() {
            let tee = make("tee")?;
            chain(&work.pipeline, &[tee.clone()])?;
            above.link(&tee).map_err(|_| Failure::internal("linking rungs"))?;
            above = tee.clone();
            elements.push(tee);
        }
        elements.extend(attach_encoder(&above, *rung, first, work)?);
    }
    Ok(())
}

fn attach_encoder(
    above: &gst::Element,
    rung: Rung,
    first: u64,
    work: &Arc<Work>,
) -> Result<Vec<gst::Element>, Failure> {
    let grid = Grid::of(rung.frame_rate);
    let coded = gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("profile", "high")
        .build();
    let mut elements = vec![short_queue(2)?, encoder(rung, grid, work)?, caps_filter(&coded)?];
    chain(&work.pipeline, &elements)?;
    above.link(&elements[0]).map_err(|_| Failure::internal("linking an encoder"))?;
    let packing =
        Packing { id: rung.id, first, wanted: work.spec.next_sequence(rung.id), grid, passed_through: false };
    let output = output::attach(&work.pipeline, &elements[elements.len() - 1], packing, &work.outputs)?;
    elements.extend(output);
    Ok(elements)
}

fn encoder(rung: Rung, grid: Grid, work: &Arc<Work>) -> Result<gst::Element, Failure> {
    let encoder = make("x264enc")?;
    let (bitrate, peak) = (rung.bitrate_kbps.clamp(1, 2_048_000), rung.max_bitrate_kbps.clamp(1, 2_048_000));
    let group = u32::try_from(grid.frames_per_group()).unwrap_or(u32::MAX);
    encoder.set_property_from_str("speed-preset", work.spec.preset.as_str());
    encoder.set_property("bitrate", bitrate);
    encoder.set_property("key-int-max", group);
    encoder.set_property("threads", 2u32);
    let options =
        format!("scenecut=0:min-keyint={group}:vbv-maxrate={peak}:vbv-bufsize={}", peak.saturating_mul(2));
    encoder.set_property("option-string", options);
    Ok(encoder)
}
