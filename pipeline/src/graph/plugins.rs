//! The plugins a worker loads, by name, before it locks itself in. What is not listed here does not exist for it: no network
//! elements, no hardware, no file access.

use std::path::PathBuf;

use gstreamer as gst;

/// Without these nothing works.
const NEEDED: [&str; 14] = [
    "coreelements",
    "app",
    "typefindfunctions",
    "isomp4",
    "matroska",
    "videoparsersbad",
    "audioparsers",
    "libav",
    "x264",
    "videoconvertscale",
    "videorate",
    "audioconvert",
    "audioresample",
    "audiorate",
];

/// Each of these adds a container, a codec or a nicety; a machine without one refuses only the files that need it.
const WELCOME: [&str; 37] = [
    "mpegtsdemux",
    "mpegpsdemux",
    "avi",
    "flv",
    "asf",
    "ogg",
    "wavparse",
    "ivfparse",
    "mxf",
    "y4mdec",
    "id3demux",
    "apetag",
    "rawparse",
    "deinterlace",
    "videofilter",
    "theora",
    "vorbis",
    "opus",
    "opusparse",
    "vpx",
    "aom",
    "dav1d",
    "jpeg",
    "png",
    "flac",
    "mpg123",
    "subparse",
    "openh264",
    "lcms",
    "alaw",
    "mulaw",
    "aiff",
    "level",
    "adpcmdec",
    "auparse",
    "debug",
    "dv",
];

/// The worker cannot work on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {0}")]
    Start(#[from] gst::glib::Error),
    /// Our own elements cannot be registered.
    #[error("the packager cannot be registered: {0}")]
    Register(#[from] gst::glib::BoolError),
    /// A plugin is not installed.
    #[error("the GStreamer plugin {0} is not installed")]
    Missing(&'static str),
}

/// Starts GStreamer and loads the plugins.
pub(crate) fn load_plugins() -> Result<(), PluginError> {
    gst::init()?;
    super::complaints::listen();
    gstfmp4::plugin_register_static()?;
    for name in NEEDED {
        load(name).ok_or(PluginError::Missing(name))?;
    }
    for name in WELCOME {
        if load(name).is_none() {
            tracing::debug!(plugin = name, "not installed");
        }
    }
    Ok(())
}

fn load(name: &str) -> Option<gst::Plugin> {
    let file = format!("libgst{name}.so");
    let found = plugin_folders().into_iter().map(|folder| folder.join(&file)).find(|path| path.is_file())?;
    gst::Plugin::load_file(found).ok()
}

fn plugin_folders() -> [PathBuf; 3] {
    let machine = std::env::consts::ARCH;
    [
        format!("/usr/lib/{machine}-linux-gnu/gstreamer-1.0").into(),
        "/usr/lib64/gstreamer-1.0".into(),
        "/usr/lib/gstreamer-1.0".into(),
    ]
}
