//! Opens a source: finds out what container it is, takes it apart, and hands out its tracks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExt, GstBinExtManual, ObjectExt};

use super::alarm::Alarm;
use super::branches::Branches;
use super::catalog::{Container, Kind, container_of, kind_of, right_name};
use super::elements::{chain, link_pad, make, source_pad, wake, when_caps_known};
use crate::failure::{Failure, FailureCode};
use crate::outline::mended_asf_header;
use crate::source_element::{SourceElement, SourceReader};

/// What type finding looks at.
const HEAD: usize = 128 * 1024;

/// One track of the source, just found.
#[derive(Debug)]
pub(crate) struct Track {
    /// What it carries.
    pub(crate) kind: Kind,
    /// Its position among the tracks of its kind.
    pub(crate) index: u32,
    /// Where its packets come from.
    pub(crate) pad: gst::Pad,
    /// What the container says about it.
    pub(crate) caps: gst::Caps,
}

/// The container of a source, from its first bytes.
pub(crate) fn identify(reader: &SourceReader) -> Result<Container, Failure> {
    let mut head = vec![0; HEAD];
    let count = reader.read(0, &mut head).map_err(|_| Failure::new(FailureCode::SourceUnreadable))?;
    head.truncate(count);
    if head.is_empty() {
        return Err(Failure::new(FailureCode::Empty));
    }
    if let Some(patch) = mended_asf_header(&head) {
        reader.mend(patch);
    }
    let unsupported = || Failure::new(FailureCode::UnsupportedContainer);
    let (caps, _) =
        gstreamer_base::type_find_helper_for_data(None::<&gst::Object>, &head).map_err(|_| unsupported())?;
    match caps.structure(0).map(|structure| structure.name().as_str()) {
        Some("image/gif") => return Err(Failure::new(FailureCode::AnimatedPicture)),
        Some(name) if name.starts_with("image/") => return Err(Failure::new(FailureCode::StillPicture)),
        _ => {}
    }
    container_of(&caps).ok_or_else(unsupported)
}

/// Builds source and demuxer into the pipeline. `found` is called on a streaming thread for every track, once its caps are
/// known; what it returns as an error stops the work.
pub(crate) fn open(
    pipeline: &gst::Pipeline,
    reader: &Arc<SourceReader>,
    container: Container,
    most_tracks: u32,
    alarm: &Alarm,
    branches: &Branches,
    found: impl Fn(Track) -> Result<(), Failure> + Send + Sync + 'static,
) -> Result<gst::Element, Failure> {
    let source = SourceElement::reading(reader.clone()).upcast::<gst::Element>();
    let demuxer = make(container.element)?;
    chain(pipeline, &[source, demuxer.clone()])?;
    let numbering = Arc::new(Numbering { most_tracks, counts: Mutex::default() });
    let (alarm, found, weak_pipeline) = (alarm.clone(), Arc::new(found), pipeline.downgrade());
    let branches = branches.clone();
    let announce = move |pad: &gst::Pad| {
        let (numbering, alarm, found) = (numbering.clone(), alarm.clone(), found.clone());
        let branches = branches.clone();
        let pipeline = weak_pipeline.clone();
        when_caps_known(pad, move |pad, caps| {
            let named = pipeline.upgrade().and_then(|pipeline| named(&pipeline, pad, &caps));
            let (pad, caps) = named.unwrap_or_else(|| (pad.clone(), caps));
            let track = numbering.number(&pad, caps);
            alarm.check(track.and_then(|track| {
                branches.add(&track);
                found(track)
            }));
        });
    };
    match demuxer.static_pad("src") {
        Some(pad) => announce(&pad),
        None => {
            demuxer.connect_pad_added(move |_, pad| announce(pad));
        }
    }
    Ok(demuxer)
}

/// Puts an element behind pictures that the demuxer could not name, which gives them their right name. A machine without
/// that element leaves them unknown.
fn named(pipeline: &gst::Pipeline, pad: &gst::Pad, caps: &gst::Caps) -> Option<(gst::Pad, gst::Caps)> {
    let right = right_name(caps)?;
    let setter = make("capssetter").ok()?;
    setter.set_property("caps", &right);
    setter.set_property("join", false);
    setter.set_property("replace", true);
    chain(pipeline, std::slice::from_ref(&setter)).ok()?;
    wake(std::slice::from_ref(&setter)).ok()?;
    link_pad(pad, &setter).ok()?;
    Some((source_pad(&setter).ok()?, right))
}

struct Numbering {
    most_tracks: u32,
    counts: Mutex<HashMap<Kind, u32>>,
}

impl Numbering {
    fn number(&self, pad: &gst::Pad, caps: gst::Caps) -> Result<Track, Failure> {
        let kind = kind_of(&caps);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<u32>() >= self.most_tracks {
            return Err(Failure::new(FailureCode::TooManyTracks));
        }
        let count = counts.entry(kind).or_default();
        let index = *count;
        *count += 1;
        Ok(Track { kind, index, pad: pad.clone(), caps })
    }
}

/// Lets a track that nobody wants run into the void, so that it does not hold up the others.
pub(crate) fn discard(pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), Failure> {
    let sink = make("fakesink")?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    pipeline.add_many([&sink]).map_err(|_| Failure::internal("adding elements"))?;
    link_pad(pad, &sink)?;
    wake(&[sink])
}
