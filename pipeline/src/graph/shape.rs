//! What every picture goes through after decoding: one frame per pair of fields, a steady rate, the right size, upright,
//! 8-bit BT.709.

use std::sync::{Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExt, GObjectExtManualGst, ObjectExt, PadExt, PadExtManual};
use gstreamer_video as gst_video;

use super::elements::{caps_filter, make, set_if_present};
use super::tone_map::ToneMap;
use crate::failure::{Failure, FailureCode};
use crate::tracks::{DynamicRange, FrameRate, Rotation};

/// Frames a second of a slide show: its last picture stands so long that it would be missed.
const SLOW_RATE: f64 = 2.0;
/// More than this is a damaged time, not a slide.
const LONGEST_PICTURE: gst::ClockTime = gst::ClockTime::from_seconds(600);

/// Refuses pictures with more pixels than this.
pub(super) fn check_size(caps: &gst::Caps, most: u64) -> Result<(), Failure> {
    let structure = caps.structure(0).ok_or_else(|| Failure::internal("no caps"))?;
    let side =
        |name: &str| structure.get::<i32>(name).ok().and_then(|side| u64::try_from(side).ok()).unwrap_or(0);
    if side("width") * side("height") > most {
        return Err(Failure::new(FailureCode::TooLargePicture));
    }
    Ok(())
}

/// Spells out the colours of pictures whose source does not name them: BT.601 for small ones, BT.709 for large ones, as
/// players take them. Left open, `videorate` would fill in whatever the end of the graph wants, and nothing be converted.
/// Names the rate, too, where nothing else makes it steady.
pub(super) fn name_caps(first: &gst::Element, rate: Option<FrameRate>) -> Result<(), Failure> {
    let pad = first.static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let named = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(event)) => named(event.caps(), rate),
            _ => None,
        };
        if let Some(caps) = named {
            info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// The caps with their colours and this rate named; `None` when there is nothing to name.
fn named(caps: &gst::CapsRef, rate: Option<FrameRate>) -> Option<gst::Caps> {
    let colors = if caps.structure(0)?.has_field("colorimetry") {
        None
    } else {
        Some(gst_video::VideoInfo::from_caps(caps).ok()?.colorimetry().to_string())
    };
    if colors.is_none() && rate.is_none() {
        return None;
    }
    let mut caps = caps.to_owned();
    let open = caps.make_mut();
    if let Some(colors) = colors {
        open.set("colorimetry", colors);
    }
    if let Some(rate) = rate {
        open.set("framerate", fraction(rate));
    }
    Some(caps)
}

/// Elements that give frames of a steady rate, deinterlaced where needed.
pub(super) fn steady(caps: &gst::Caps, rate: FrameRate) -> Result<Vec<gst::Element>, Failure> {
    let mut elements = Vec::new();
    let mode = caps.structure(0).and_then(|structure| structure.get::<&str>("interlace-mode").ok());
    if mode.is_some_and(|mode| mode != "progressive") {
        elements.extend(deinterlacer()?);
    }
    let videorate = make("videorate")?;
    if rate.as_f64() <= SLOW_RATE {
        show_last_picture_to_its_end(&videorate, rate)?;
    }
    hold_back_a_false_start(&videorate)?;
    elements.push(videorate);
    let steady = gst::Caps::builder("video/x-raw").field("framerate", fraction(rate)).build();
    elements.push(caps_filter(&steady)?);
    Ok(elements)
}

/// Where the first picture comes later than the sound, `videorate` (1.22) passes it on at its own time, and then begins again at
/// the start, with the same picture. Times that go back are the end of an encoder that reorders pictures. So the first one
/// waits for the second, and is left out when that is earlier.
fn hold_back_a_false_start(videorate: &gst::Element) -> Result<(), Failure> {
    let source = videorate.static_pad("src").ok_or_else(|| Failure::internal("no source pad"))?;
    let first = Mutex::new(Start::Ahead);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    source.add_probe(kinds, move |pad, info| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        let is_end = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        let next = info.buffer().map(|buffer| buffer.pts());
        match std::mem::replace(&mut *first, Start::Over) {
            Start::Ahead if next.is_some() => {
                *first = info.buffer().cloned().map_or(Start::Ahead, Start::Held);
                return gst::PadProbeReturn::Drop;
            }
            Start::Held(held) if is_end || next.is_some() => {
                drop(first);
                if next.is_none_or(|next| next > held.pts())
                    && let Some(peer) = pad.peer()
                {
                    // Refused only by a graph that is being torn down.
                    let _ = peer.chain(held);
                }
            }
            other => *first = other,
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Where the pictures of a steady rate stand.
enum Start {
    /// There was none.
    Ahead,
    /// The first waits for the second.
    Held(gst::Buffer),
    /// They run.
    Over,
}

/// `videorate` shows the last picture for one frame only, however long it is meant to stand: at the end it is given the same
/// picture once more, in time for the last frame.
fn show_last_picture_to_its_end(videorate: &gst::Element, rate: FrameRate) -> Result<(), Failure> {
    let sink = videorate.static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
    let frame = gst::ClockTime::from_seconds_f64(1.0 / rate.as_f64());
    let last = Mutex::new(None::<gst::Buffer>);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    sink.add_probe(kinds, move |pad, info| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = info.buffer() {
            *last = Some(buffer.to_owned());
        } else if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos)
            && let Some(repeated) = last.take().and_then(|buffer| repeated_at_its_end(buffer, frame))
        {
            drop(last);
            // Refused only by a graph that is being torn down.
            let _ = pad.chain(repeated);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// The picture again, for the last frame of its time; `None` when it stands no longer than a frame anyway.
fn repeated_at_its_end(mut picture: gst::Buffer, frame: gst::ClockTime) -> Option<gst::Buffer> {
    let (start, duration) = (picture.pts()?, picture.duration()?.min(LONGEST_PICTURE));
    let later = duration.checked_sub(frame).filter(|later| *later >= frame)?;
    let buffer = picture.make_mut();
    buffer.set_pts(start + later);
    buffer.set_duration(frame);
    Some(picture)
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

fn fraction(rate: FrameRate) -> gst::Fraction {
    gst::Fraction::new(side(rate.numerator), side(rate.denominator))
}

fn side(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// How decoded pictures must be changed to be shown.
#[derive(Debug, Clone)]
pub(super) struct Shaping {
    rotation: Rotation,
    range: DynamicRange,
    caps: gst::Caps,
}

impl Shaping {
    /// For pictures of these decoded caps.
    pub(super) fn of(caps: &gst::Caps, rotation: Rotation) -> Self {
        Self { rotation, range: range_of(caps), caps: caps.clone() }
    }

    /// Elements that bring the pictures to this shown size.
    pub(super) fn to(&self, (width, height): (u32, u32)) -> Result<Vec<gst::Element>, Failure> {
        let size = if self.rotation.swaps_sides() { (height, width) } else { (width, height) };
        let mut elements =
            if self.range == DynamicRange::Standard { scaled(size)? } else { self.tone_mapped(size)? };
        elements.extend(flipper(self.rotation)?);
        Ok(elements)
    }

    /// Scaled first, so that the tone curve is read for as few pixels as possible.
    fn tone_mapped(&self, size: (u32, u32)) -> Result<Vec<gst::Element>, Failure> {
        let colorimetry =
            self.caps.structure(0).and_then(|structure| structure.get::<String>("colorimetry").ok());
        let deep = sized("I420_10LE", size).field_if_some("colorimetry", colorimetry).build();
        let tone_map = ToneMap::of(self.range, &self.caps).upcast();
        Ok(vec![
            scale(size)?,
            caps_filter(&deep)?,
            tone_map,
            caps_filter(&sized("I420", size).field("colorimetry", "bt709").build())?,
        ])
    }
}

fn range_of(caps: &gst::Caps) -> DynamicRange {
    let name = caps.structure(0).and_then(|structure| structure.get::<&str>("colorimetry").ok());
    match name
        .and_then(|name| name.parse::<gst_video::VideoColorimetry>().ok())
        .map(|colors| colors.transfer())
    {
        Some(gst_video::VideoTransferFunction::Smpte2084) => DynamicRange::Pq,
        Some(gst_video::VideoTransferFunction::AribStdB67) => DynamicRange::Hlg,
        _ => DynamicRange::Standard,
    }
}

/// Elements that bring upright 8-bit or 10-bit pictures of standard range to this size.
pub(super) fn scaled(size: (u32, u32)) -> Result<Vec<gst::Element>, Failure> {
    Ok(vec![scale(size)?, caps_filter(&sized("I420", size).field("colorimetry", "bt709").build())?])
}

/// Rungs of more samples than this are scaled in the cheaper of two ways.
const LARGE: u64 = 640 * 360;

fn scale(size: (u32, u32)) -> Result<gst::Element, Failure> {
    let scale = make("videoconvertscale")?;
    // The rung has the picture's own shape, up to rounding to even sides.
    scale.set_property("add-borders", false);
    // By default two points are looked at for each sample made, whatever lies between them: fine lines flicker, and rungs
    // made of rungs get worse and worse. These look at all points under a sample. Large pictures are what scaling costs most
    // at, and lose nothing by a plain weighting; small ones, at the end of the cascade, keep their edges by a cubic one.
    let is_large = u64::from(size.0) * u64::from(size.1) > LARGE;
    scale.set_property_from_str("method", if is_large { "bilinear2" } else { "catrom" });
    scale.set_property_from_str("chroma-resampler", "cubic");
    Ok(scale)
}

fn sized(format: &str, (width, height): (u32, u32)) -> gst::caps::Builder<gst::caps::NoFeature> {
    gst::Caps::builder("video/x-raw")
        .field("format", format)
        .field("width", side(width))
        .field("height", side(height))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
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
