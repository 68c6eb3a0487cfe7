//! Making and linking elements with our typed failures.

use gstreamer as gst;
use gstreamer::prelude::{ElementExt, GObjectExtManualGst, GstBinExtManual, ObjectExt, PadExt, PadExtManual};

use crate::failure::Failure;

/// An element of the plugins the worker has loaded.
pub(crate) fn make(factory: &'static str) -> Result<gst::Element, Failure> {
    gst::ElementFactory::make(factory).build().map_err(|_| Failure::internal(factory))
}

/// A queue that holds at most this many buffers: one thread more, hardly any memory.
pub(crate) fn short_queue(buffers: u32) -> Result<gst::Element, Failure> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", buffers);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

/// A queue of packets, bounded by bytes alone: tracks of a badly interleaved file lie far apart.
pub(crate) fn packet_queue() -> Result<gst::Element, Failure> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-bytes", 4u32 << 20);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

/// Lets only these caps through.
pub(crate) fn caps_filter(caps: &gst::Caps) -> Result<gst::Element, Failure> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// Adds the elements to the pipeline and links them in a row.
pub(crate) fn chain(pipeline: &gst::Pipeline, elements: &[gst::Element]) -> Result<(), Failure> {
    pipeline.add_many(elements).map_err(|_| Failure::internal("adding elements"))?;
    gst::Element::link_many(elements).map_err(|_| Failure::internal("linking elements"))?;
    Ok(())
}

/// Brings elements added to a running pipeline to its state; the last one first, so that each finds its peer ready.
pub(crate) fn wake(elements: &[gst::Element]) -> Result<(), Failure> {
    for element in elements.iter().rev() {
        element.sync_state_with_parent().map_err(|_| Failure::internal("starting elements"))?;
    }
    Ok(())
}

/// Links a pad to an element's only sink pad.
pub(crate) fn link_pad(pad: &gst::Pad, element: &gst::Element) -> Result<(), Failure> {
    let sink = element.static_pad("sink").ok_or_else(|| Failure::internal("no sink pad"))?;
    pad.link(&sink).map(drop).map_err(|_| Failure::internal("linking a pad"))
}

/// An element's only source pad.
pub(crate) fn source_pad(element: &gst::Element) -> Result<gst::Pad, Failure> {
    element.static_pad("src").ok_or_else(|| Failure::internal("no source pad"))
}

/// Calls `then` once, when the pad's caps are known: now, or on the streaming thread that brings them, just before they pass.
/// Elements linked in that moment miss nothing.
pub(crate) fn when_caps_known(pad: &gst::Pad, then: impl FnOnce(&gst::Pad, gst::Caps) + Send + 'static) {
    if let Some(caps) = pad.current_caps() {
        then(pad, caps);
        return;
    }
    let then = std::sync::Mutex::new(Some(then));
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) else {
            return gst::PadProbeReturn::Ok;
        };
        let caps = event.caps_owned();
        let taken = then.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(then) = taken {
            then(pad, caps);
        }
        gst::PadProbeReturn::Remove
    });
}

/// When a buffer on this pad is to be shown, counted from the start of the media.
pub(crate) fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(buffer.pts()?)
}

/// Whether an element has a property, on this version of its plugin.
pub(crate) fn set_if_present(element: &gst::Element, name: &str, value: &str) {
    if element.find_property(name).is_some() {
        element.set_property_from_str(name, value);
    }
}
