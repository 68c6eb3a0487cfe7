//! The multivariant playlist: what renditions there are, what they need, and how they belong together.
use std::collections::BTreeSet;
use std::fmt::Write;

use super::{VERSION, language_tag, plain};
use crate::tracks::{AudioRendition, Bandwidth, RenditionId, SubtitleRendition, VideoRendition};

/// The heaviest variant that is still listed first: players that do not measure beforehand start with the first one.
const START_BANDWIDTH: u64 = 3_000_000;

/// Everything a multivariant playlist names. Renditions with no segment yet must be left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Multivariant<'a> {
    /// Video rungs, in any order.
    pub video: &'a [VideoRendition],
    /// Audio tracks, in the order of the source.
    pub audio: &'a [AudioRendition],
    /// Subtitles and captions.
    pub subtitles: &'a [SubtitleRendition],
    /// Where the content steering manifest is, when there are several places to play from. This playlist's own is the
    /// pathway `.`, as RFC 8216bis calls the one that has no name.
    pub steering: Option<&'a str>,
}

/// Writes the multivariant playlist. An asset without video has its default audio track as the one variant.
#[must_use]
pub fn multivariant(asset: &Multivariant<'_>) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let groups = Groups {
        audio: asset.audio.len() > 1 || (!asset.video.is_empty() && !asset.audio.is_empty()),
        subtitles: !asset.subtitles.is_empty(),
        named: asset.steering.is_some(),
    };
    if groups.audio {
        audio_group(&mut text, asset.audio, asset.video.is_empty(), groups);
    }
    subtitle_group(&mut text, asset.subtitles, groups);
    if let Some(manifest) = asset.steering {
        let _ = writeln!(text, "#EXT-X-CONTENT-STEERING:SERVER-URI=\"{}\",PATHWAY-ID=\".\"", plain(manifest));
    }
    if asset.video.is_empty() {
        audio_variant(&mut text, asset.audio, groups);
    }
    let sound = Sound::of(asset.audio);
    let ordered = start_first(asset.video);
    for video in &ordered {
        variant(&mut text, video, &sound, groups);
    }
    for video in ordered.iter().filter(|video| video.iframe_bandwidth.peak > 0) {
        iframe_variant(&mut text, video);
    }
    text
}

#[derive(Clone, Copy)]
struct Groups {
    audio: bool,
    subtitles: bool,
    /// Variants and renditions have names that stay, by which a steering manifest speaks of them.
    named: bool,
}

impl Groups {
    fn attributes(self) -> String {
        let audio = if self.audio { ",AUDIO=\"audio\"" } else { "" };
        let subtitles = if self.subtitles { ",SUBTITLES=\"subs\"" } else { "" };
        format!(",CLOSED-CAPTIONS=NONE{audio}{subtitles}")
    }

    fn variant_name(self, id: RenditionId) -> String {
        if self.named { format!(",STABLE-VARIANT-ID=\"{id}\"") } else { String::new() }
    }

    fn rendition_name(self, id: &str) -> String {
        if self.named { format!(",STABLE-RENDITION-ID=\"{id}\"") } else { String::new() }
    }
}

/// What the audio group adds to every variant.
struct Sound {
    codecs: BTreeSet<String>,
    heaviest: Bandwidth,
}

impl Sound {
    fn of(audio: &[AudioRendition]) -> Self {
        Self {
            codecs: audio.iter().map(|track| track.codecs.clone()).collect(),
            heaviest: Bandwidth {
                peak: audio.iter().map(|track| track.bandwidth.peak).max().unwrap_or(0),
                average: audio.iter().map(|track| track.bandwidth.average).max().unwrap_or(0),
            },
        }
    }
}

/// Heaviest first, but for the heaviest one that a slow line can start with, which leads.
fn start_first(video: &[VideoRendition]) -> Vec<&VideoRendition> {
    let mut ordered: Vec<_> = video.iter().collect();
    ordered.sort_by_key(|rendition| std::cmp::Reverse((rendition.bandwidth.peak, rendition.id)));
    let start = ordered
        .iter()
        .position(|rendition| rendition.bandwidth.peak <= START_BANDWIDTH)
        .unwrap_or(ordered.len().saturating_sub(1));
    if start < ordered.len() {
        ordered[..=start].rotate_right(1);
    }
    ordered
}

// Writing to a String does not fail, so the results of `write!` are dropped below.

fn variant(text: &mut String, video: &VideoRendition, sound: &Sound, groups: Groups) {
    let codecs = std::iter::once(video.codecs.as_str()).chain(sound.codecs.iter().map(String::as_str));
    let codecs = codecs.collect::<Vec<_>>().join(",");
    let _ = writeln!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{},FRAME-RATE={:.3},\
         VIDEO-RANGE=SDR{}{}\n{}/index.m3u8",
        (video.bandwidth.peak + sound.heaviest.peak).max(1),
        (video.bandwidth.average + sound.heaviest.average).max(1),
        plain(&codecs),
        video.width,
        video.height,
        video.frame_rate.as_f64(),
        groups.attributes(),
        groups.variant_name(video.id),
        video.id
    );
}

fn iframe_variant(text: &mut String, video: &VideoRendition) {
    let _ = writeln!(
        text,
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{},VIDEO-RANGE=SDR,\
         URI=\"{}/iframes.m3u8\"",
        video.iframe_bandwidth.peak,
        video.iframe_bandwidth.average,
        plain(&video.codecs),
        video.width,
        video.height,
        video.id
    );
}

fn audio_variant(text: &mut String, audio: &[AudioRendition], groups: Groups) {
    let Some(track) = audio.get(default_audio(audio)) else { return };
    let sound = Sound::of(audio);
    let _ = writeln!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"{}{}\n{}/index.m3u8",
        sound.heaviest.peak.max(1),
        sound.heaviest.average.max(1),
        plain(&sound.codecs.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
        groups.attributes(),
        groups.variant_name(track.id),
        track.id
    );
}

/// The audio track to start with: the one marked so, or the first.
fn default_audio(audio: &[AudioRendition]) -> usize {
    audio.iter().position(|track| track.default).unwrap_or(0)
}

fn audio_group(text: &mut String, audio: &[AudioRendition], default_is_the_variant: bool, groups: Groups) {
    let default = default_audio(audio);
    let names = unique(audio.iter().map(|track| track.name.as_str()));
    for (index, (track, name)) in audio.iter().zip(names).enumerate() {
        let _ = write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{name}\"");
        language(text, track.language.as_deref());
        let _ = write!(
            text,
            ",DEFAULT={},AUTOSELECT=YES,CHANNELS=\"{}\"",
            yes_no(index == default),
            track.channels.max(1)
        );
        text.push_str(&groups.rendition_name(&track.id.to_string()));
        if !(default_is_the_variant && index == default) {
            let _ = write!(text, ",URI=\"{}/index.m3u8\"", track.id);
        }
        text.push('\n');
    }
}

fn subtitle_group(text: &mut String, subtitles: &[SubtitleRendition], groups: Groups) {
    let default = subtitles.iter().position(|track| track.default);
    let names = unique(subtitles.iter().map(|track| track.name.as_str()));
    for (index, (track, name)) in subtitles.iter().zip(names).enumerate() {
        let _ = write!(text, "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"{name}\"");
        language(text, track.language.as_deref());
        let _ = writeln!(
            text,
            ",DEFAULT={},AUTOSELECT=YES,FORCED={}{},URI=\"subs/{}/index.m3u8\"",
            yes_no(default == Some(index)),
            yes_no(track.forced),
            groups.rendition_name(&path_part(&track.id)),
            path_part(&track.id)
        );
    }
}

fn language(text: &mut String, language: Option<&str>) {
    if let Some(tag) = language.and_then(language_tag) {
        let _ = write!(text, ",LANGUAGE=\"{tag}\"");
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "YES" } else { "NO" }
}

/// Keeps what needs no escaping in a path.
fn path_part(id: &str) -> String {
    id.chars().filter(|character| character.is_ascii_alphanumeric() || "-_".contains(*character)).collect()
}

/// The names, fit to stand between quotes and each different from those before it: two in one group may not be alike.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for name in names {
        let name = plain(name);
        let mut candidate = name.clone();
        let mut number = 2;
        while taken.contains(&candidate) {
            candidate = format!("{name} {number}");
            number += 1;
        }
        taken.push(candidate);
    }
    taken
}
