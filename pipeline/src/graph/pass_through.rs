//! The top rung as the source's own packets: watched, cut at its keyframes, packed, never decoded.
//!
//! Whether the source is fit was judged from its first packets (`ladder::may_pass_through`). Here every packet is looked at,
//! and the first one that breaks a promise ends the work with the reason: it is then done again, all rungs encoded.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{ElementExtManual, PadExtManual};

use super::Work;
use super::cuts::{Cuts, SourceCuts};
use super::elements::{
    caps_filter, chain, link_pad, make, packet_queue, running_time, short_queue, source_pad,
};
use super::h264::Framing;
use super::output::{self, Packing};
use crate::failure::Failure;
use crate::transcode::Unpassable;

/// Adds the branch of the source's own packets behind `parser`, and returns its elements and the one that what decodes is to be
/// linked to.
pub(super) fn attach(
    parser: &gst::Element,
    cuts: &Arc<SourceCuts>,
    work: &Arc<Work>,
) -> Result<(Vec<gst::Element>, gst::Element), Failure> {
    let top = *work.spec.rungs.first().ok_or_else(|| Failure::internal("no rungs"))?;
    let coded =
        gst::Caps::builder("video/x-h264").field("stream-format", "avc").field("alignment", "au").build();
    // What decodes may lag behind by as much as the queue holds: the source's own packets need not wait for it.
    let mut elements = vec![caps_filter(&coded)?, make("tee")?, packet_queue()?];
    chain(&work.pipeline, &elements)?;
    parser.link(&elements[0]).map_err(|_| Failure::internal("linking a parser"))?;
    watch(&source_pad(&elements[0])?, cuts, work);
    let own = vec![short_queue(16)?];
    chain(&work.pipeline, &own)?;
    let pad =
        elements[1].request_pad_simple("src_%u").ok_or_else(|| Failure::internal("a tee without pads"))?;
    link_pad(&pad, &own[0])?;
    let packing = Packing {
        id: top.id,
        // Made again from its start like sound, so that every packet has the same time: it costs next to nothing.
        first: 0,
        wanted: work.spec.next_sequence(top.id),
        cuts: Cuts::Source(cuts.clone()),
        passed_through: true,
    };
    let output = output::attach(&work.pipeline, &own[own.len() - 1], packing, &work.outputs)?;
    let decoded = elements[2].clone();
    elements.extend(own);
    elements.extend(output);
    Ok((elements, decoded))
}

/// What must not change from one packet to the next.
#[derive(Debug, Default)]
struct Watched {
    framing: Option<Framing>,
    format: Option<(i32, i32, Vec<u8>)>,
}

/// Looks at every packet before it goes either way, and marks those as keyframes at which decoding can start, and only those.
fn watch(pad: &gst::Pad, cuts: &Arc<SourceCuts>, work: &Arc<Work>) {
    let (cuts, work) = (cuts.clone(), Arc::downgrade(work));
    let watched = Mutex::new(Watched::default());
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let Some(work) = work.upgrade() else { return gst::PadProbeReturn::Ok };
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        let checked = match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                packet(pad, buffer, &watched, &cuts).and_then(|()| work.sound_so_far())
            }
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(event) => format(event.caps(), &mut watched),
                _ => Ok(()),
            },
            _ => Ok(()),
        };
        match checked {
            Ok(()) => gst::PadProbeReturn::Ok,
            Err(reason) => {
                work.refuse(reason);
                gst::PadProbeReturn::Drop
            }
        }
    });
}

fn packet(
    pad: &gst::Pad,
    buffer: &mut gst::Buffer,
    watched: &Watched,
    cuts: &SourceCuts,
) -> Result<(), Unpassable> {
    let framing = watched.framing.ok_or(Unpassable::FormatChanged)?;
    // Outside of the segment lies what the container's edit list cuts away: a decoder would, a muxer cannot.
    let time = running_time(pad, buffer).ok_or(Unpassable::BadTimes)?;
    let is_keyframe = {
        let map = buffer.map_readable().map_err(|_| Unpassable::Damaged)?;
        framing.is_idr(&map)
    };
    if is_keyframe { cuts.keyframe(time) } else { cuts.picture(time) }?;
    if buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) == is_keyframe {
        let buffer = buffer.make_mut();
        if is_keyframe {
            buffer.unset_flags(gst::BufferFlags::DELTA_UNIT);
        } else {
            buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
    }
    Ok(())
}

/// One header holds for the whole rendition.
fn format(caps: &gst::CapsRef, watched: &mut Watched) -> Result<(), Unpassable> {
    let structure = caps.structure(0).ok_or(Unpassable::FormatChanged)?;
    let side = |name: &str| structure.get::<i32>(name).map_err(|_| Unpassable::FormatChanged);
    let config = structure.get::<gst::Buffer>("codec_data").map_err(|_| Unpassable::FormatChanged)?;
    let config = config.map_readable().map_err(|_| Unpassable::FormatChanged)?.to_vec();
    let now = (side("width")?, side("height")?, config);
    watched.framing = Framing::of(caps);
    match watched.format.replace(now.clone()) {
        Some(before) if before != now => Err(Unpassable::FormatChanged),
        _ => Ok(()),
    }
}
