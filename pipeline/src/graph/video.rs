//! Pictures: decoded once, made upright and even, scaled from rung to rung, encoded on each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{
    ElementExt, ElementExtManual, GObjectExtManualGst, ObjectExt, PadExt, PadExtManual,
};
use gstreamer_video as gst_video;

use super::catalog::{decoder_for, is_raw, parser_of};
use super::cuts::{Cuts, SourceCuts};
use super::demux::Track;
use super::elements::{
    caps_filter, chain, link_pad, make, packet_queue, running_time, set_if_present, short_queue, source_pad,
    wake, when_caps_known,
};
use super::grid::Grid;
use super::output::{self, Packing};
use super::shape::{self, Shaping};
use super::{Health, Work, leaps, pass_through, pictures};
use crate::failure::{Failure, FailureCode};
use crate::ladder::Rung;

/// What x264 calls infinite.
const ENDLESS_GROUP: u32 = 1 << 30;

/// Pictures lie on the grid but for rounding: one that is so near to a line lies on it.
const NEAR: gst::ClockTime = gst::ClockTime::from_useconds(500);

/// Builds everything from a video track to its renditions.
pub(crate) fn attach(track: &Track, work: &Arc<Work>) -> Result<(), Failure> {
    let mut elements = vec![packet_queue()?];
    if let Some(parser) = parser_of(&track.caps) {
        elements.push(make(parser)?);
    }
    chain(&work.pipeline, &elements)?;
    let mut last = elements[elements.len() - 1].clone();
    if let Some(cuts) = &work.passing {
        let (own, decoded) = pass_through::attach(&last, cuts, work)?;
        elements.extend(own);
        last = decoded;
    }
    if !is_raw(&track.caps) {
        let decoder = decoder(&track.caps, &work.health)?;
        chain(&work.pipeline, std::slice::from_ref(&decoder))?;
        last.link(&decoder).map_err(|_| Failure::internal("linking a decoder"))?;
        elements.push(decoder.clone());
        last = decoder;
    }
    let (shared, alarm) = (work.clone(), work.alarm.clone());
    let pictures = source_pad(&last)?;
    let held = hold_end(&work.pipeline, &pictures)?;
    when_caps_known(&pictures, move |pad, caps| {
        alarm.check(attach_decoded(pad, &caps, &shared));
        release_end(&held);
    });
    wake(&elements)?;
    work.enter(&track.pad, &elements[0])
}

/// Keeps the pipeline from ending before there is anything behind the decoder. It ends when all of its sinks have ended, and
/// a subtitle track alone may do so before the first picture is decoded. A decoder that ends without a picture lets go too.
pub(super) fn hold_end(pipeline: &gst::Pipeline, pictures: &gst::Pad) -> Result<gst::Pad, Failure> {
    let holder = make("fakesink")?;
    holder.set_property("sync", false);
    holder.set_property("async", false);
    chain(pipeline, std::slice::from_ref(&holder))?;
    let held = holder.static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
    wake(&[holder])?;
    let ending = held.clone();
    pictures.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            release_end(&ending);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(held)
}

/// Once the branch stands, its own sinks say when it ends. Doing it again changes nothing.
pub(super) fn release_end(held: &gst::Pad) {
    held.send_event(gst::event::StreamStart::new("held"));
    held.send_event(gst::event::Eos::new());
}

fn decoder(caps: &gst::Caps, health: &Arc<Health>) -> Result<gst::Element, Failure> {
    let factory = decoder_for(caps).ok_or_else(|| Failure::new(FailureCode::NoPlayableTracks))?;
    let decoder = factory.create().build().map_err(|_| Failure::internal("making a decoder"))?;
    // More frame threads would each hold frames of the full size; the encoders need the cores anyway.
    let threads =
        if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) > 2 { "2" } else { "1" };
    set_if_present(&decoder, "max-threads", threads);
    watch_health(&decoder, health)?;
    Ok(decoder)
}

/// Decoders swallow errors: what they lose shows only in what comes out.
fn watch_health(decoder: &gst::Element, health: &Arc<Health>) -> Result<(), Failure> {
    let sink = decoder.static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
    let count = health.clone();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        // Packets without a time are headers.
        if info.buffer().is_some_and(|packet| packet.pts().or(packet.dts()).is_some()) {
            count.packets.fetch_add(1, Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    let count = health.clone();
    source_pad(decoder)?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        count.frames.fetch_add(1, Ordering::Relaxed);
        if info.buffer().is_some_and(|buffer| buffer.flags().contains(gst::BufferFlags::CORRUPTED)) {
            count.corrupt.fetch_add(1, Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Builds what follows the decoder, once the size and kind of its pictures are known.
fn attach_decoded(pad: &gst::Pad, caps: &gst::Caps, work: &Arc<Work>) -> Result<(), Failure> {
    let top = *work.spec.rungs.first().ok_or_else(|| Failure::internal("no rungs"))?;
    shape::check_size(caps, work.spec.limits.pixels)?;
    let shaping = Shaping::of(caps, work.rotation());
    let mut elements = vec![short_queue(3)?];
    if work.passing.is_none() {
        // Beside the source's own stream every picture keeps its time.
        elements.extend(shape::steady(caps, top.frame_rate)?);
    }
    let tee = make("tee")?;
    elements.push(tee.clone());
    chain(&work.pipeline, &elements)?;
    shape::name_caps(&elements[0], work.passing.is_some().then_some(top.frame_rate))?;
    leaps::drop_leaps(pad, work.spec.probe.duration_ms, &work.health);
    Health::watch_reach(&work.health, pad);
    if work.ahead.is_none() {
        elements.extend(pictures::attach(&tee, work, &|size| shaping.to(size))?);
    }
    let rungs = attach_rungs(&tee, &shaping, work)?;
    elements.extend(rungs);
    wake(&elements)?;
    link_pad(pad, &elements[0])
}

/// Drops the pictures of segments that exist already. They were decoded, but the dear part is encoding.
fn skip_before(pad: &gst::Pad, cuts: Cuts, first: u64) {
    if first == 0 {
        return;
    }
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let time = info.buffer().and_then(|buffer| running_time(pad, buffer));
        // Packets are read before their pictures: a start that is not known yet lies ahead.
        let early = time.is_some_and(|time| cuts.start_of(first).is_none_or(|start| time + NEAR < start));
        if early { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
    });
}

/// Ends the rungs, which hang on `entry`, before the first picture of a segment that is not wanted any more. Nothing that
/// comes later gets there, neither pictures nor words about them: a decoder that hears of the end complains.
fn end_before(entry: &gst::Pad, cuts: Cuts, end: u64, health: &Arc<Health>) -> Result<(), Failure> {
    let before = entry.peer().ok_or_else(|| Failure::internal("rungs without pictures"))?;
    let (has_ended, entry, health) = (AtomicBool::new(false), entry.clone(), health.clone());
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    before.add_probe(kinds, move |pad, info| {
        if has_ended.load(Ordering::Relaxed) {
            return gst::PadProbeReturn::Drop;
        }
        let time = info.buffer().and_then(|buffer| running_time(pad, buffer));
        let is_late = time.is_some_and(|time| cuts.start_of(end).is_some_and(|start| time + NEAR >= start));
        if !is_late {
            return gst::PadProbeReturn::Ok;
        }
        has_ended.store(true, Ordering::Relaxed);
        health.ends_before_its_source();
        // The work ends when the last rung has passed it on.
        entry.send_event(gst::event::Eos::new());
        gst::PadProbeReturn::Drop
    });
    Ok(())
}

/// The cascade: each rung is scaled from the one above, which is cheaper than scaling each from the source.
fn attach_rungs(
    tee: &gst::Element,
    shaping: &Shaping,
    work: &Arc<Work>,
) -> Result<Vec<gst::Element>, Failure> {
    let rungs = work.encoded_rungs();
    let first = work.first_video_sequence();
    let mut all = Vec::new();
    let mut above = tee.clone();
    for (position, rung) in rungs.iter().enumerate() {
        let size = (rung.width, rung.height);
        let mut row = if position == 0 {
            shaping.to(size)?
        } else {
            [vec![short_queue(2)?], shape::scaled(size)?].concat()
        };
        if position + 1 < rungs.len() {
            row.push(make("tee")?);
        }
        chain(&work.pipeline, &row)?;
        let entry = row[0].static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
        if position == 0 {
            skip_before(&entry, work.cuts(rung), first);
        }
        above.link(&row[0]).map_err(|_| Failure::internal("linking rungs"))?;
        if let Some(end) = work.spec.end().filter(|_| position == 0) {
            end_before(&entry, work.cuts(rung), end, &work.health)?;
        }
        above = row[row.len() - 1].clone();
        all.extend(row);
        all.extend(attach_encoder(&above, *rung, first, work)?);
    }
    Ok(all)
}

fn attach_encoder(
    above: &gst::Element,
    rung: Rung,
    first: u64,
    work: &Arc<Work>,
) -> Result<Vec<gst::Element>, Failure> {
    let coded = gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("profile", "high")
        .build();
    let mut elements = vec![short_queue(2)?, encoder(rung, work)?, caps_filter(&coded)?];
    chain(&work.pipeline, &elements)?;
    if let Some(cuts) = &work.passing {
        follow_keyframes(&elements[1], cuts)?;
    }
    above.link(&elements[0]).map_err(|_| Failure::internal("linking an encoder"))?;
    let packing = Packing {
        id: rung.id,
        first,
        wanted: work.spec.next_sequence(rung.id),
        cuts: work.cuts(&rung),
        passed_through: false,
    };
    let output = output::attach(&work.pipeline, &elements[elements.len() - 1], packing, &work.outputs)?;
    elements.extend(output);
    Ok(elements)
}

/// Makes the encoder's keyframes stand where the source's do.
fn follow_keyframes(encoder: &gst::Element, cuts: &Arc<SourceCuts>) -> Result<(), Failure> {
    let pad = encoder.static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
    let cuts = cuts.clone();
    let passed = Mutex::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let time = info.buffer().and_then(|buffer| running_time(pad, buffer));
        let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
        if time.is_some_and(|time| cuts.is_followed(&mut passed, time)) {
            // Meant for the next picture, which is this one.
            pad.send_event(gst_video::DownstreamForceKeyUnitEvent::builder().build());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn encoder(rung: Rung, work: &Arc<Work>) -> Result<gst::Element, Failure> {
    let encoder = make("x264enc")?;
    let bitrate = rung.bitrate_kbps.clamp(1, 2_048_000);
    let (group, least) = group(rung, work);
    encoder.set_property_from_str("speed-preset", work.spec.preset.as_str());
    encoder.set_property("bitrate", bitrate);
    encoder.set_property("vbv-buf-capacity", buffer_ms(rung));
    encoder.set_property("key-int-max", group);
    encoder.set_property("threads", threads(rung, work));
    encoder.set_property("option-string", format!("scenecut=0:min-keyint={least}"));
    Ok(encoder)
}

/// Span of the rate control's buffer. The element lets the buffer be filled at the target rate and at no other, whatever its
/// options say, so that two seconds hold at most two seconds of the target and the whole buffer: that is to be the peak.
fn buffer_ms(rung: Rung) -> u32 {
    let (target, peak) = (u64::from(rung.bitrate_kbps.max(1)), u64::from(rung.max_bitrate_kbps));
    let span_ms = 2_000 * peak.saturating_sub(target) / target;
    u32::try_from(span_ms).unwrap_or(u32::MAX).clamp(200, 10_000)
}

/// Frame threads of an encoder. The rungs are encoded beside each other, and each further thread costs some frames of memory
/// and some work: only where there are more processors than rungs, the largest rungs get more than one.
fn threads(rung: Rung, work: &Work) -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let is_top = work.encoded_rungs().first().is_some_and(|top| top.id == rung.id);
    let threads = if is_top { (processors / 2).min(4) } else { (processors / 4).min(2) };
    u32::try_from(threads).unwrap_or(1).max(1)
}

/// Frames from one keyframe to the next, at most and at least.
fn group(rung: Rung, work: &Work) -> (u32, u32) {
    if work.passing.is_some() {
        // Only where the source has one.
        return (ENDLESS_GROUP, 1);
    }
    let group = u32::try_from(Grid::of(rung.frame_rate).frames_per_group()).unwrap_or(u32::MAX);
    (group, group)
}
