//! The plugins a worker loads, by name, before it locks itself in. What is not listed here does not exist for it: no network
//! elements, no hardware, no file access.

use std::path::PathBuf;

use gstreamer as gst;

/// Without these no source is read.
const NEEDED_TO_READ: [&str; 7] =
    ["coreelements", "app", "typefindfunctions", "isomp4", "matroska", "videoparsersbad", "audioparsers"];

/// Without these nothing is made of it.
const NEEDED: [&str; 7] =
    ["libav", "x264", "videoconvertscale", "videorate", "audioconvert", "audioresample", "audiorate"];

/// Each of these adds a container; a machine without one refuses only the files that need it.
const WELCOME_TO_READ: [&str; 19] = [
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
    "opusparse",
    "subparse",
    "aiff",
    "auparse",
    "debug",
    "dv",
];

/// Each of these adds a codec or a nicety.
const WELCOME: [&str; 18] = [
    "deinterlace",
    "videofilter",
    "theora",
    "vorbis",
    "opus",
    "vpx",
    "aom",
    "dav1d",
    "jpeg",
    "png",
    "flac",
    "mpg123",
    "openh264",
    "lcms",
    "alaw",
    "mulaw",
    "level",
    "adpcmdec",
];

/// Which plugins a worker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugins {
    /// Those that take a source apart.
    ThatRead,
    /// Those that decode and make something of it, too.
    All,
}

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
pub(crate) fn load_plugins(which: Plugins) -> Result<(), PluginError> {
    gst::init()?;
    super::complaints::listen();
    let (mut needed, mut welcome) = (NEEDED_TO_READ.to_vec(), WELCOME_TO_READ.to_vec());
    if which == Plugins::All {
        gstfmp4::plugin_register_static()?;
        needed.extend(NEEDED);
        welcome.extend(WELCOME);
    }
    for name in needed {
        load(name).ok_or(PluginError::Missing(name))?;
    }
    for name in welcome {
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
