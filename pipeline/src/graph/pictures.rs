//! The poster and the storyboard: a few frames, taken as they pass before anything is skipped.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExtManual, PadExtManual};
use gstreamer_video as gst_video;
use gstreamer_video::VideoFrameExt;

use super::Work;
use super::catalog::{decoder_for, is_raw, parser_of};
use super::demux::{Track, discard};
use super::elements::{
    chain, link_pad, make, packet_queue, running_time, short_queue, source_pad, wake, when_caps_known,
};
use super::jpeg::{self, Picture};
use super::shape::{self, Shaping};
use super::video::{hold_end, release_end};
use crate::failure::{Failure, FailureCode};
use crate::sink::Sidecar;
use crate::vtt::{Storyboard, storyboard};

/// Most tiles of a sheet: ten rows of ten.
const MAX_TILES: usize = 100;
const COLUMNS: usize = 10;
/// Longest side of a tile in pixels.
const TILE_SIDE: u32 = 160;
/// Tiles lie at least this far apart.
const LEAST_INTERVAL_MS: u64 = 1_000;
/// Longest side of the poster in pixels.
const POSTER_SIDE: u32 = 1_280;
/// The poster is taken at a tenth of the play, but not later than this: it should be there soon.
const LATEST_POSTER_MS: u64 = 10_000;
/// Where it is taken while the length is unknown.
const EARLY_POSTER_MS: u64 = 2_000;

/// Frames kept so far.
#[derive(Debug)]
pub(crate) struct Gallery {
    state: Mutex<Kept>,
    tile: (usize, usize),
}

#[derive(Debug)]
struct Kept {
    interval_ms: u64,
    next_tile_ms: u64,
    poster_ms: u64,
    poster: Option<Picture>,
    poster_is_final: bool,
    tiles: Vec<Picture>,
    end_ms: u64,
}

impl Gallery {
    /// For pictures of this shown size and a source of this length.
    pub(crate) fn new(size: (u32, u32), duration_ms: Option<u64>) -> Arc<Self> {
        let spread = duration_ms.map_or(0, |duration| duration / MAX_TILES as u64);
        let poster_ms = duration_ms.map_or(EARLY_POSTER_MS, |duration| (duration / 10).min(LATEST_POSTER_MS));
        let (width, height) = fit(size, TILE_SIDE);
        Arc::new(Self {
            tile: (width as usize, height as usize),
            state: Mutex::new(Kept {
                interval_ms: spread.max(LEAST_INTERVAL_MS),
                next_tile_ms: 0,
                poster_ms,
                poster: None,
                poster_is_final: false,
                tiles: Vec::new(),
                end_ms: 0,
            }),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wants(&self, time_ms: u64) -> bool {
        let mut state = self.state();
        state.end_ms = state.end_ms.max(time_ms);
        time_ms >= state.next_tile_ms || (!state.poster_is_final && time_ms >= state.poster_ms)
    }

    /// Keeps what is needed of a frame; the poster, once it is the final one.
    fn keep(&self, time_ms: u64, picture: Picture) -> Option<Picture> {
        let mut state = self.state();
        // More than one when pictures are rare.
        while time_ms >= state.next_tile_ms {
            state.tiles.push(picture.shrunk(self.tile.0, self.tile.1));
            state.next_tile_ms += state.interval_ms;
            if state.tiles.len() > MAX_TILES {
                thin_out(&mut state);
            }
        }
        if state.poster_is_final {
            return None;
        }
        state.poster_is_final = time_ms >= state.poster_ms;
        if state.poster_is_final {
            return Some(picture);
        }
        state.poster.get_or_insert(picture);
        None
    }

    /// The sidecars that are left to make when the source has ended.
    pub(crate) fn finish(&self) -> Result<Vec<(Sidecar, Vec<u8>)>, Failure> {
        let state = self.state();
        let mut sidecars = Vec::new();
        if let Some(poster) = state.poster.as_ref().filter(|_| !state.poster_is_final) {
            sidecars.push((Sidecar::Poster, jpeg::encode(poster, 85)?));
        }
        if !state.tiles.is_empty() {
            sidecars.push((Sidecar::Storyboard, jpeg::encode(&self.sheet(&state.tiles), 70)?));
            sidecars.push((Sidecar::StoryboardVtt, self.index(&state).into_bytes()));
        }
        Ok(sidecars)
    }

    fn sheet(&self, tiles: &[Picture]) -> Picture {
        let (width, height) = self.tile;
        let columns = tiles.len().min(COLUMNS);
        let mut sheet = Picture::black(columns * width, tiles.len().div_ceil(columns) * height);
        for (number, tile) in tiles.iter().enumerate() {
            sheet.paste(tile, number % columns * width, number / columns * height);
        }
        sheet
    }

    fn index(&self, state: &Kept) -> String {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let layout = Storyboard {
            tiles: number(state.tiles.len()),
            columns: number(state.tiles.len().min(COLUMNS)),
            tile_width: number(self.tile.0),
            tile_height: number(self.tile.1),
            interval_ms: state.interval_ms,
            duration_ms: state.end_ms,
        };
        storyboard(&layout, "storyboard.jpg")
    }
}

/// Every second tile goes, the distance doubles: the sheet stays bounded however long the source turns out to be.
fn thin_out(state: &mut Kept) {
    let mut even = false;
    state.tiles.retain(|_| {
        even = !even;
        even
    });
    state.interval_ms *= 2;
    state.next_tile_ms = state.interval_ms * state.tiles.len() as u64;
}

/// The size shrunk so that no side is over `most`; both sides even.
fn fit((width, height): (u32, u32), most: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    let side = |length: u32| if longest > most { length * most / longest } else { length };
    ((side(width) / 2 * 2).max(16), (side(height) / 2 * 2).max(16))
}

/// Builds the branch that takes pictures behind `above`, a tee of frames as they were decoded.
pub(crate) fn attach(
    above: &gst::Element,
    work: &Arc<Work>,
    scaling: Scaling<'_>,
) -> Result<Vec<gst::Element>, Failure> {
    let Some(gallery) = work.gallery.clone() else {
        return Ok(Vec::new());
    };
    let top = work.spec.rungs.first().ok_or_else(|| Failure::internal("no rungs"))?;
    let mut elements = vec![short_queue(1)?];
    elements.extend(scaling(fit((top.width, top.height), POSTER_SIDE))?);
    let sink = gstreamer_app::AppSink::builder().sync(false).async_(false).max_buffers(1).build();
    sink.set_callbacks(callbacks(gallery.clone(), work.clone()));
    elements.push(sink.upcast());
    chain(&work.pipeline, &elements)?;
    let (pad, entry) = (source_pad_of_tee(above)?, elements[0].clone());
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let time = info.buffer().and_then(|buffer| running_time(pad, buffer));
        let wanted = time.is_some_and(|time| gallery.wants(time.mseconds()));
        if wanted { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
    });
    link_pad(&pad, &entry)?;
    Ok(elements)
}

/// Builds the branch that takes pictures from a track of which nothing else is wanted: only keyframes that fill a place are
/// decoded.
pub(crate) fn attach_sparse(track: &Track, work: &Arc<Work>) -> Result<(), Failure> {
    let Some(gallery) = work.gallery.clone() else {
        return discard(&work.pipeline, &track.pad);
    };
    let mut elements = vec![packet_queue()?];
    if let Some(parser) = parser_of(&track.caps) {
        elements.push(make(parser)?);
    }
    let packets = source_pad(&elements[elements.len() - 1])?;
    packets.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let is_wanted = info.buffer().is_some_and(|packet| {
            let time = running_time(pad, packet);
            let fills = time.is_some_and(|time| gallery.wants(time.mseconds()));
            fills && !packet.flags().contains(gst::BufferFlags::DELTA_UNIT)
        });
        if is_wanted { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
    });
    if !is_raw(&track.caps) {
        let factory = decoder_for(&track.caps).ok_or_else(|| Failure::new(FailureCode::NoPlayableTracks))?;
        elements.push(factory.create().build().map_err(|_| Failure::internal("making a decoder"))?);
    }
    chain(&work.pipeline, &elements)?;
    let decoded = source_pad(&elements[elements.len() - 1])?;
    let held = hold_end(&work.pipeline, &decoded)?;
    let (shared, alarm) = (work.clone(), work.alarm.clone());
    when_caps_known(&decoded, move |pad, caps| {
        alarm.check(attach_sink(pad, &caps, &shared));
        release_end(&held);
    });
    wake(&elements)?;
    work.enter(&track.pad, &elements[0])
}

fn attach_sink(pad: &gst::Pad, caps: &gst::Caps, work: &Arc<Work>) -> Result<(), Failure> {
    let Some(gallery) = work.gallery.clone() else { return Ok(()) };
    let top = work.spec.rungs.first().ok_or_else(|| Failure::internal("no rungs"))?;
    shape::check_size(caps, work.spec.limits.pixels)?;
    let mut elements = vec![short_queue(1)?];
    elements.extend(Shaping::of(caps, work.rotation()).to(fit((top.width, top.height), POSTER_SIDE))?);
    let sink = gstreamer_app::AppSink::builder().sync(false).async_(false).max_buffers(1).build();
    sink.set_callbacks(callbacks(gallery, work.clone()));
    elements.push(sink.upcast());
    chain(&work.pipeline, &elements)?;
    shape::name_caps(&elements[0], None)?;
    wake(&elements)?;
    link_pad(pad, &elements[0])
}

/// Makes the elements that bring decoded frames to a shown size.
pub(crate) type Scaling<'scaling> = &'scaling dyn Fn((u32, u32)) -> Result<Vec<gst::Element>, Failure>;

fn source_pad_of_tee(tee: &gst::Element) -> Result<gst::Pad, Failure> {
    tee.request_pad_simple("src_%u").ok_or_else(|| Failure::internal("a tee without pads"))
}

fn callbacks(gallery: Arc<Gallery>, work: Arc<Work>) -> gstreamer_app::AppSinkCallbacks {
    gstreamer_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let Some((time, picture)) = picture_of(&sample) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            if let Some(poster) = gallery.keep(time.mseconds(), picture) {
                let made =
                    jpeg::encode(&poster, 85).and_then(|bytes| work.outputs.sidecar(Sidecar::Poster, &bytes));
                work.alarm.check(made);
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build()
}

fn picture_of(sample: &gst::Sample) -> Option<(gst::ClockTime, Picture)> {
    let buffer = sample.buffer()?;
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let time = sample.segment()?.downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?)?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
    let (width, height) = (info.width() as usize, info.height() as usize);
    let mut samples = Vec::with_capacity(width * height * 3 / 2);
    for (plane, (_, plane_width, plane_height)) in Picture::planes(width, height).into_iter().enumerate() {
        let plane = u32::try_from(plane).ok()?;
        let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
        let data = frame.plane_data(plane).ok()?;
        for row in 0..plane_height {
            samples.extend_from_slice(data.get(row * stride..row * stride + plane_width)?);
        }
    }
    Some((time, Picture { width, height, samples }))
}
