//! Opens a source: finds out what container it is, takes it apart, and hands out its tracks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExt, GstBinExtManual};

use super::alarm::Alarm;
use super::catalog::{Container, Kind, container_of, kind_of};
use super::elements::{chain, link_pad, make, wake, when_caps_known};
use crate::failure::{Failure, FailureCode};
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
    let unsupported = || Failure::new(FailureCode::UnsupportedContainer);
    let (caps, _) =
        gstreamer_base::type_find_helper_for_data(None::<&gst::Object>, &head).map_err(|_| unsupported())?;
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
    found: impl Fn(Track) -> Result<(), Failure> + Send + Sync + 'static,
) -> Result<gst::Element, Failure> {
    let source = SourceElement::reading(reader.clone()).upcast::<gst::Element>();
    let demuxer = make(container.element)?;
    chain(pipeline, &[source, demuxer.clone()])?;
    let numbering = Arc::new(Numbering { most_tracks, counts: Mutex::default() });
    let (alarm, found) = (alarm.clone(), Arc::new(found));
    let announce = move |pad: &gst::Pad| {
        let (numbering, alarm, found) = (numbering.clone(), alarm.clone(), found.clone());
        when_caps_known(pad, move |pad, caps| {
            let track = numbering.number(pad, caps);
            alarm.check(track.and_then(|track| found(track)));
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
    use gstreamer::prelude::ObjectExt;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    pipeline.add_many([&sink]).map_err(|_| Failure::internal("adding elements"))?;
    link_pad(pad, &sink)?;
    wake(&[sink])
}
