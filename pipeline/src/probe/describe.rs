//! Turns what was noticed into the words of a [`Probe`].

use gstreamer as gst;
use gstreamer_video as gst_video;

use super::facts::{Facts, Packet, TrackFacts};
use crate::graph::catalog::{Kind, codec_of, decoder_for, is_raw, is_text};
use crate::tracks::{
    AudioTrack, DynamicRange, FrameRate, LeftOut, LeftOutReason, Probe, Rotation, SubtitleTrack, TrackKind,
    VideoTrack,
};

/// Describes the whole source. Tracks that nobody could see or hear are left out, and named as such.
pub(super) fn describe(
    facts: &Facts,
    container: &str,
    duration: Option<gst::ClockTime>,
    growing: bool,
) -> Probe {
    let of_kind = |kind: Kind| facts.tracks.iter().filter(move |track| track.kind == kind);
    let is_fit = |track: &&TrackFacts| unfit(track).is_none();
    Probe {
        container: container.to_owned(),
        duration_ms: duration
            .map(|duration| duration.saturating_sub(time_before(facts, container)))
            .map(gst::ClockTime::mseconds)
            .filter(|milliseconds| *milliseconds > 0),
        video: of_kind(Kind::Video).filter(is_fit).map(video_track).collect(),
        audio: of_kind(Kind::Audio).filter(is_fit).map(audio_track).collect(),
        subtitles: of_kind(Kind::Subtitles).map(subtitle_track).collect(),
        streamable: growing,
        left_out: facts.tracks.iter().filter_map(left_out).collect(),
    }
}

fn left_out(facts: &TrackFacts) -> Option<LeftOut> {
    let kind = match facts.kind {
        Kind::Video => TrackKind::Video,
        Kind::Audio => TrackKind::Audio,
        Kind::Subtitles | Kind::Other => return None,
    };
    Some(LeftOut { kind, index: facts.index, codec: codec_of(best_caps(facts)), reason: unfit(facts)? })
}

/// Why nobody could see or hear this track, if so.
fn unfit(facts: &TrackFacts) -> Option<LeftOutReason> {
    if !is_raw(&facts.caps) && decoder_for(&facts.caps).is_none() {
        return Some(LeftOutReason::NoDecoder);
    }
    if facts.count == 0 {
        return Some(if facts.broken { LeftOutReason::Broken } else { LeftOutReason::EmptyTrack });
    }
    let no_picture = facts.kind == Kind::Video && positive(field(facts, "width")) == 0;
    no_picture.then_some(LeftOutReason::Broken)
}

/// Matroska counts its duration from time zero, even where the first packet comes long after.
fn time_before(facts: &Facts, container: &str) -> gst::ClockTime {
    let counted = matches!(container, "matroska" | "webm");
    let first = facts.tracks.iter().filter(|_| counted).filter_map(|track| track.first).min();
    first.unwrap_or_default()
}

fn best_caps(facts: &TrackFacts) -> &gst::CapsRef {
    facts.parsed.as_ref().unwrap_or(&facts.caps)
}

/// A field of the parsed caps, or else of the container's.
fn field<'facts, T>(facts: &'facts TrackFacts, name: &str) -> Option<T>
where
    T: gst::glib::value::FromValue<'facts>,
{
    let parsed = facts
        .parsed
        .as_ref()
        .and_then(|caps| caps.structure(0))
        .and_then(|structure| structure.get(name).ok());
    parsed.or_else(|| facts.caps.structure(0).and_then(|structure| structure.get(name).ok()))
}

fn positive(value: Option<i32>) -> u32 {
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

fn text_tag<'tags, T: gst::tags::Tag<'tags, TagType = &'tags str>>(
    facts: &'tags TrackFacts,
) -> Option<String> {
    let text = facts.tags.get::<T>()?.get().trim().to_owned();
    // Titles come from strangers: they are cut, and shown as text only.
    (!text.is_empty()).then(|| text.chars().take(200).collect())
}

fn language(facts: &TrackFacts) -> Option<String> {
    text_tag::<gst::tags::LanguageCode>(facts).filter(|language| language != "und")
}

fn bitrate(facts: &TrackFacts) -> Option<u64> {
    let nominal = facts.tags.get::<gst::tags::NominalBitrate>().map(|tag| u64::from(tag.get()));
    nominal
        .or_else(|| facts.tags.get::<gst::tags::Bitrate>().map(|tag| u64::from(tag.get())))
        .filter(|bits| *bits > 0)
}

fn video_track(facts: &TrackFacts) -> VideoTrack {
    let (bit_depth, chroma) = samples(facts);
    let pixel_aspect = field::<gst::Fraction>(facts, "pixel-aspect-ratio").map_or((1, 1), |aspect| {
        (positive(Some(aspect.numer())).max(1), positive(Some(aspect.denom())).max(1))
    });
    let (frame_rate, variable_frame_rate) = timing(facts);
    VideoTrack {
        index: facts.index,
        codec: codec_of(best_caps(facts)),
        profile: field::<&str>(facts, "profile").map(str::to_owned),
        level: field::<&str>(facts, "level").map(str::to_owned),
        width: positive(field(facts, "width")),
        height: positive(field(facts, "height")),
        pixel_aspect,
        rotation: rotation(facts),
        frame_rate,
        variable_frame_rate,
        interlaced: field::<&str>(facts, "interlace-mode").is_some_and(|mode| mode != "progressive"),
        bit_depth,
        chroma,
        dynamic_range: dynamic_range(facts),
        bitrate: bitrate(facts).or_else(|| measured_bitrate(facts)),
        keyframe_interval_ms: keyframe_interval(&facts.packets),
    }
}

fn samples(facts: &TrackFacts) -> (u8, String) {
    let depth = field::<u32>(facts, "bit-depth-luma").and_then(|depth| u8::try_from(depth).ok());
    let chroma = field::<&str>(facts, "chroma-format").map(str::to_owned);
    let format = field::<&str>(facts, "format").and_then(|name| name.parse::<gst_video::VideoFormat>().ok());
    let info = format.map(gst_video::VideoFormatInfo::from_format);
    let raw_depth =
        info.and_then(|info| info.depth().first().copied()).and_then(|depth| u8::try_from(depth).ok());
    let deep_codec = codec_of(best_caps(facts)) == "prores";
    let fallback = if deep_codec { (10, "4:2:2") } else { (8, "4:2:0") };
    (depth.or(raw_depth).unwrap_or(fallback.0), chroma.unwrap_or_else(|| fallback.1.to_owned()))
}

fn dynamic_range(facts: &TrackFacts) -> DynamicRange {
    let colorimetry =
        field::<&str>(facts, "colorimetry").and_then(|name| name.parse::<gst_video::VideoColorimetry>().ok());
    match colorimetry.map(|colorimetry| colorimetry.transfer()) {
        Some(gst_video::VideoTransferFunction::Smpte2084) => DynamicRange::Pq,
        Some(gst_video::VideoTransferFunction::AribStdB67) => DynamicRange::Hlg,
        _ => DynamicRange::Standard,
    }
}

fn rotation(facts: &TrackFacts) -> Rotation {
    match facts.tags.get::<gst::tags::ImageOrientation>().map(|tag| tag.get().to_owned()).as_deref() {
        Some("rotate-90" | "flip-rotate-90") => Rotation::Right,
        Some("rotate-180" | "flip-rotate-180") => Rotation::Half,
        Some("rotate-270" | "flip-rotate-270") => Rotation::Left,
        _ => Rotation::None,
    }
}

fn measured_bitrate(facts: &TrackFacts) -> Option<u64> {
    let milliseconds = facts.span().mseconds();
    (milliseconds >= 500).then(|| facts.packet_bytes * 8000 / milliseconds)
}

/// The longest distance between keyframes seen; the part after the last one counts, since it is at least that long.
fn keyframe_interval(packets: &[Packet]) -> Option<u32> {
    let mut times: Vec<_> =
        packets.iter().filter(|packet| packet.keyframe).map(|packet| packet.time).collect();
    times.extend(packets.iter().map(|packet| packet.time).max());
    times.sort();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max()?;
    u32::try_from(longest.mseconds()).ok()
}

/// Frame rates that exist; a measured one within half a per cent is taken for its neighbour here.
const USUAL_RATES: [(u32, u32); 14] = [
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (120, 1),
    (15, 1),
    (12, 1),
    (10, 1),
    (5, 1),
];

/// The frame rate, and whether frames come irregularly.
fn timing(facts: &TrackFacts) -> (Option<FrameRate>, bool) {
    let said = field::<gst::Fraction>(facts, "framerate")
        .and_then(|rate| FrameRate::new(positive(Some(rate.numer())), positive(Some(rate.denom()))))
        .filter(|rate| rate.as_f64() <= 1000.0);
    let mut times: Vec<_> = facts.packets.iter().map(|packet| packet.time.nseconds()).collect();
    times.sort_unstable();
    times.dedup();
    let mut gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if gaps.len() < 4 {
        return (said, false);
    }
    let mean = gaps.iter().sum::<u64>() / gaps.len() as u64;
    gaps.sort_unstable();
    // Containers round to a millisecond, or worse; a varying rate shows in more than that.
    let tolerance = (mean / 8).max(2_000_000);
    let odd = gaps.iter().filter(|gap| gap.abs_diff(mean) > tolerance).count();
    let variable = odd * 50 > gaps.len();
    let measured = nearest_rate(mean);
    let agrees = |rate: &FrameRate| (rate.as_f64() * mean as f64 / 1e9 - 1.0).abs() < 0.02;
    let steady = said.filter(agrees).or(measured);
    if variable { (fastest(&gaps).or(said), true) } else { (steady, false) }
}

/// For irregular frames: the rate of the closest frames that are not a rare accident.
fn fastest(sorted_gaps: &[u64]) -> Option<FrameRate> {
    nearest_rate(*sorted_gaps.get(sorted_gaps.len() / 10)?)
}

fn nearest_rate(gap: u64) -> Option<FrameRate> {
    let frames = 1e9 / gap.max(1) as f64;
    let usual = USUAL_RATES
        .iter()
        .map(|(numerator, denominator)| FrameRate { numerator: *numerator, denominator: *denominator });
    let closest = usual.min_by(|a, b| (a.as_f64() - frames).abs().total_cmp(&(b.as_f64() - frames).abs()))?;
    if (closest.as_f64() / frames - 1.0).abs() < 0.005 {
        return Some(closest);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a few hundred thousand"
    )]
    let thousandths = (frames * 1000.0).round().clamp(1.0, 240_000.0) as u32;
    if thousandths >= 1000 {
        FrameRate::new((thousandths + 500) / 1000, 1)
    } else {
        FrameRate::new(thousandths, 1000)
    }
}

fn audio_track(facts: &TrackFacts) -> AudioTrack {
    AudioTrack {
        index: facts.index,
        codec: codec_of(best_caps(facts)),
        sample_rate: positive(field(facts, "rate")),
        channels: positive(field(facts, "channels")),
        language: language(facts),
        title: text_tag::<gst::tags::Title>(facts),
        default: facts.default,
        bitrate: bitrate(facts),
    }
}

fn subtitle_track(facts: &TrackFacts) -> SubtitleTrack {
    SubtitleTrack {
        index: facts.index,
        codec: codec_of(&facts.caps),
        text: is_text(&facts.caps),
        language: language(facts),
        title: text_tag::<gst::tags::Title>(facts),
        default: facts.default,
        forced: false,
    }
}
