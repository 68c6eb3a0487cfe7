//! How a streaming thread stops the whole graph with a typed reason.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::ElementExt;

use crate::failure::Failure;

/// Holds the first failure raised and wakes whoever watches the bus.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Alarm {
    pub(crate) fn new(pipeline: &gst::Pipeline) -> Self {
        use gst::glib::object::ObjectExt;
        Self { pipeline: pipeline.downgrade(), failure: Arc::default() }
    }

    /// Notes why the work cannot go on; only the first reason counts.
    pub(crate) fn raise(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        if let Some(pipeline) = self.pipeline.upgrade() {
            let message = gst::message::Application::new(gst::Structure::new_empty("alarm"));
            // Refused only while the bus is being torn down, when nobody needs to be woken.
            let _ = pipeline.post_message(message);
        }
    }

    /// Ends the work before the end of the source: everything that was wanted of it is made.
    pub(crate) fn end(&self) {
        if let Some(pipeline) = self.pipeline.upgrade() {
            // Put where the pipeline's own word would come; it would wait for tracks that nobody reads any more.
            let ended = gst::message::Eos::builder().src(&pipeline).build();
            // Refused only while the bus is being torn down, when nobody needs to be woken.
            let _ = pipeline.bus().map(|bus| bus.post(ended));
        }
    }

    /// Raises the error of a step that failed.
    pub(crate) fn check(&self, done: Result<(), Failure>) {
        if let Err(failure) = done {
            self.raise(failure);
        }
    }

    /// The reason, if one was raised.
    pub(crate) fn raised(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
