//! Counts what libav complains about. Its decoders hide damage as well as they can and pass no error on; their log is the only
//! place where it shows. The texts themselves are dropped: they may name the media.

use std::sync::atomic::{AtomicU32, Ordering};

use gstreamer as gst;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Starts to count, and keeps GStreamer's log from being written anywhere.
pub(super) fn listen() {
    gst::log::remove_default_log_function();
    gst::log::set_active(true);
    gst::log::set_threshold_for_name("libav", gst::DebugLevel::Error);
    gst::log::add_log_function(|category, level, _, _, _, _, _| {
        if level == gst::DebugLevel::Error && category.name() == "libav" {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Complaints so far.
pub(super) fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}
