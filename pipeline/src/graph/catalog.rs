//! Which element reads which container and which parser prepares which codec.

use gstreamer as gst;

/// A container, or a bare stream of one codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its short name, as in a probe.
    pub(crate) name: &'static str,
    /// The element that takes it apart.
    pub(crate) element: &'static str,
}

const fn container(name: &'static str, element: &'static str) -> Option<Container> {
    Some(Container { name, element })
}

/// The container of these caps, found by type finding.
pub(crate) fn container_of(caps: &gst::CapsRef) -> Option<Container> {
    let structure = caps.structure(0)?;
    let version = structure.get::<i32>("mpegversion").unwrap_or(0);
    match structure.name().as_str() {
        "video/quicktime" | "audio/x-m4a" | "application/x-3gp" | "video/mj2" => container("mp4", "qtdemux"),
        "video/x-matroska" | "audio/x-matroska" | "video/x-matroska-3d" => {
            container("matroska", "matroskademux")
        }
        "video/webm" | "audio/webm" => container("webm", "matroskademux"),
        "video/mpegts" => container("mpegts", "tsdemux"),
        "video/mpeg" if structure.get("systemstream") == Ok(true) => container("mpegps", "mpegpsdemux"),
        "video/x-cdxa" => None,
        "video/mpeg" if version == 4 => container("mpeg4", "mpeg4videoparse"),
        "video/mpeg" => container("mpegvideo", "mpegvideoparse"),
        "video/x-msvideo" => container("avi", "avidemux"),
        "video/x-flv" => container("flv", "flvdemux"),
        "video/x-ms-asf" => container("asf", "asfdemux"),
        "application/ogg" | "video/ogg" | "audio/ogg" => container("ogg", "oggdemux"),
        "application/mxf" => container("mxf", "mxfdemux"),
        "video/x-ivf" => container("ivf", "ivfparse"),
        "application/x-yuv4mpeg" => container("y4m", "y4mdec"),
        "audio/x-wav" => container("wav", "wavparse"),
        "audio/x-au" => container("au", "auparse"),
        "video/x-dv" => container("dv", "dvdemux"),
        "audio/x-aiff" => container("aiff", "aiffparse"),
        "audio/mpeg" if version == 1 => container("mp3", "mpegaudioparse"),
        "audio/mpeg" => container("aac", "aacparse"),
        "application/x-id3" => container("mp3", "id3demux"),
        "audio/x-flac" => container("flac", "flacparse"),
        "audio/x-ac3" | "audio/ac3" | "audio/x-eac3" => container("ac3", "ac3parse"),
        "audio/x-dts" => container("dts", "dcaparse"),
        "audio/AMR" | "audio/x-amr-nb-sh" | "audio/x-amr-wb-sh" => container("amr", "amrparse"),
        "video/x-h264" => container("h264", "h264parse"),
        "video/x-h265" => container("h265", "h265parse"),
        _ => None,
    }
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, as text or pictures.
    Subtitles,
    /// Anything else: not shown, not kept.
    Other,
}

/// What a track of these caps carries.
pub(crate) fn kind_of(caps: &gst::CapsRef) -> Kind {
    let name = caps.structure(0).map_or("", |structure| structure.name().as_str());
    match name.split_once('/') {
        Some(("video", _)) | Some(("image", _)) => Kind::Video,
        Some(("audio", _)) => Kind::Audio,
        Some(("text", _)) | Some(("subpicture", _)) | Some(("subtitle", _)) => Kind::Subtitles,
        Some(("application", rest))
            if rest.starts_with("x-ssa") || rest.starts_with("x-ass") || rest.starts_with("x-subtitle") =>
        {
            Kind::Subtitles
        }
        _ => Kind::Other,
    }
}

/// The short codec name of these caps.
pub(crate) fn codec_of(caps: &gst::CapsRef) -> String {
    let Some(structure) = caps.structure(0) else {
        return "unknown".to_owned();
    };
    let version = structure.get::<i32>("mpegversion").unwrap_or(0);
    let known = match (structure.name().as_str(), version) {
        ("video/mpeg", 4) => "mpeg4",
        ("video/mpeg", 1) => "mpeg1",
        ("video/mpeg", _) => "mpeg2",
        ("audio/mpeg", 1) => match structure.get::<i32>("layer") {
            Ok(2) => "mp2",
            _ => "mp3",
        },
        ("audio/mpeg", _) => "aac",
        ("image/jpeg", _) => "mjpeg",
        ("audio/x-raw", _) => "pcm",
        ("text/x-raw", _) => "text",
        ("application/x-subtitle-vtt", _) => "webvtt",
        (name, _) => {
            let short = name.rsplit('/').next().unwrap_or(name);
            return short.trim_start_matches("x-").to_owned();
        }
    };
    known.to_owned()
}

/// Codecs that GStreamer's AVI reader does not know, by their four characters.
const UNKNOWN_IN_AVI: [(&[u8; 4], &str); 3] =
    [(b"VP90", "video/x-vp9"), (b"AV01", "video/x-av1"), (b"HEVC", "video/x-h265")];

/// The right name for pictures that the AVI reader could not name.
pub(crate) fn right_name(caps: &gst::CapsRef) -> Option<gst::Caps> {
    let structure = caps.structure(0).filter(|structure| structure.name() == "video/x-avi-unknown")?;
    let code = structure.get::<i32>("fourcc").ok()?.to_le_bytes();
    let (_, name) = UNKNOWN_IN_AVI.iter().find(|(known, _)| code.eq_ignore_ascii_case(*known))?;
    let mut right = structure.to_owned();
    right.set_name(*name);
    right.remove_field("fourcc");
    Some([right].into_iter().collect())
}

/// The parser that settles what the container left open; `None` where decoders take the packets as they are.
pub(crate) fn parser_of(caps: &gst::CapsRef) -> Option<&'static str> {
    let structure = caps.structure(0)?;
    let version = structure.get::<i32>("mpegversion").unwrap_or(0);
    match structure.name().as_str() {
        "video/x-h264" => Some("h264parse"),
        "video/x-h265" => Some("h265parse"),
        "video/x-av1" => Some("av1parse"),
        "video/x-vp9" => Some("vp9parse"),
        "video/mpeg" if version == 4 => Some("mpeg4videoparse"),
        "video/mpeg" => Some("mpegvideoparse"),
        "video/x-h263" => Some("h263parse"),
        "audio/mpeg" if version == 1 => Some("mpegaudioparse"),
        "audio/mpeg" => Some("aacparse"),
        "audio/x-ac3" | "audio/ac3" | "audio/x-eac3" => Some("ac3parse"),
        "audio/x-dts" => Some("dcaparse"),
        "audio/x-flac" => Some("flacparse"),
        "audio/x-opus" => Some("opusparse"),
        "application/x-ssa" | "application/x-ass" => Some("ssaparse"),
        _ => None,
    }
}

/// Decoders of every layer of MPEG audio. Containers rarely name the layer, and the decoders of a single layer rank alike.
const MPEG_AUDIO_DECODERS: [&str; 2] = ["mpg123audiodec", "avdec_mp3"];

/// The best decoder for these caps; `None` when there is none. Raw media needs none and is not asked about.
pub(crate) fn decoder_for(caps: &gst::Caps) -> Option<gst::ElementFactory> {
    use gst::prelude::PluginFeatureExtManual;
    if parser_of(caps) == Some("mpegaudioparse") {
        return MPEG_AUDIO_DECODERS.into_iter().find_map(gst::ElementFactory::find);
    }
    let kinds = gst::ElementFactoryType::DECODER
        | gst::ElementFactoryType::MEDIA_VIDEO
        | gst::ElementFactoryType::MEDIA_AUDIO;
    let factories = gst::ElementFactory::factories_with_type(kinds, gst::Rank::MARGINAL);
    let mut fitting: Vec<_> =
        factories.into_iter().filter(|factory| factory.can_sink_any_caps(caps)).collect();
    fitting.sort_by_key(|factory| std::cmp::Reverse(factory.rank()));
    fitting.into_iter().next()
}

/// Whether the caps are decoded media already.
pub(crate) fn is_raw(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|structure| structure.name().ends_with("/x-raw"))
}

/// Whether a subtitle track is text that becomes WebVTT.
pub(crate) fn is_text(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|structure| !structure.name().starts_with("subpicture/"))
}
