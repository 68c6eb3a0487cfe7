//! Rules of one multivariant playlist.
use std::collections::BTreeSet;

use super::Violation;
use super::text::{Attributes, Content, Line, decimal_integer};

/// One variant, or one I-frame variant.
#[derive(Debug, Clone, Default)]
pub struct Variant {
    /// Address of its media playlist.
    pub uri: String,
    /// `BANDWIDTH`.
    pub bandwidth: u64,
    /// `AVERAGE-BANDWIDTH`.
    pub average_bandwidth: Option<u64>,
    /// `CODECS`, apart.
    pub codecs: Vec<String>,
    /// `RESOLUTION`.
    pub resolution: Option<(u64, u64)>,
    /// `FRAME-RATE`.
    pub frame_rate: Option<f64>,
    /// `AUDIO` group.
    pub audio: Option<String>,
    /// `SUBTITLES` group.
    pub subtitles: Option<String>,
    /// Whether it stands in `EXT-X-I-FRAME-STREAM-INF`.
    pub iframes: bool,
    /// The line of its tag.
    pub line: usize,
}

/// One `EXT-X-MEDIA`.
#[derive(Debug, Clone)]
pub struct MediaTag {
    /// `AUDIO`, `SUBTITLES`, ...
    pub kind: String,
    /// `GROUP-ID`.
    pub group: String,
    /// `NAME`.
    pub name: String,
    /// `LANGUAGE`.
    pub language: Option<String>,
    /// `DEFAULT`.
    pub default: bool,
    /// Address of its media playlist.
    pub uri: Option<String>,
    /// The line it stands on.
    pub line: usize,
}

/// What a multivariant playlist says.
#[derive(Debug, Clone, Default)]
pub struct MultivariantPlaylist {
    /// Variants and I-frame variants.
    pub variants: Vec<Variant>,
    /// Renditions in groups.
    pub media: Vec<MediaTag>,
}

pub(super) fn read(lines: &[Line<'_>], found: &mut Vec<Violation>) -> MultivariantPlaylist {
    let mut playlist = MultivariantPlaylist::default();
    let mut waiting: Option<Variant> = None;
    let mut versions = 0;
    for line in lines {
        let number = line.number;
        if waiting.is_some() && !matches!(line.content, Content::Uri(_)) {
            found.push(Violation::new(
                "stream_uri",
                number,
                "EXT-X-STREAM-INF must be followed by its address",
            ));
            waiting = None;
        }
        match line.content {
            Content::Uri(uri) => match waiting.take() {
                Some(variant) => playlist.variants.push(Variant { uri: uri.to_owned(), ..variant }),
                None => {
                    found.push(Violation::new("stream_uri", number, "an address without EXT-X-STREAM-INF"))
                }
            },
            Content::Tag { name: "EXT-X-STREAM-INF", value } => {
                waiting = Some(variant(number, value, false, found));
            }
            Content::Tag { name: "EXT-X-I-FRAME-STREAM-INF", value } => {
                playlist.variants.push(variant(number, value, true, found));
            }
            Content::Tag { name: "EXT-X-MEDIA", value } => playlist.media.extend(media(number, value, found)),
            Content::Tag { name: "EXT-X-VERSION", value } => {
                versions += 1;
                if versions > 1 || decimal_integer(value).is_none() {
                    found.push(Violation::new("version", number, "EXT-X-VERSION stands once, with a number"));
                }
            }
            Content::Tag { name: "EXTM3U" | "EXT-X-INDEPENDENT-SEGMENTS" | "EXT-X-START", .. } => {}
            Content::Tag {
                name: "EXT-X-SESSION-KEY" | "EXT-X-SESSION-DATA" | "EXT-X-CONTENT-STEERING",
                ..
            } => {}
            Content::Tag { name, .. } => {
                let detail = format!("{name} is not a tag of a multivariant playlist");
                found.push(Violation::new("unknown_tag", number, detail));
            }
        }
    }
    if waiting.is_some() {
        found.push(Violation::new("stream_uri", 0, "the last EXT-X-STREAM-INF has no address"));
    }
    if !playlist.variants.iter().any(|variant| !variant.iframes) {
        found.push(Violation::new("required_tag", 0, "there is no variant"));
    }
    check_groups(&playlist, found);
    playlist
}

fn variant(line: usize, value: &str, iframes: bool, found: &mut Vec<Violation>) -> Variant {
    let tag = if iframes { "EXT-X-I-FRAME-STREAM-INF" } else { "EXT-X-STREAM-INF" };
    let attributes = Attributes::read(line, tag, value, found);
    attributes.require("BANDWIDTH", found);
    // The RFC says SHOULD; players choose wrongly without them.
    attributes.require("CODECS", found);
    if iframes {
        attributes.require("URI", found);
        for name in ["FRAME-RATE", "AUDIO", "SUBTITLES", "CLOSED-CAPTIONS"] {
            if attributes.has(name) {
                found.push(Violation::new(
                    "iframe_attribute",
                    line,
                    format!("{name} does not go with I-frames"),
                ));
            }
        }
    }
    let codecs = attributes.quoted("CODECS", found).unwrap_or_default();
    let bandwidth = attributes.integer("BANDWIDTH", found).unwrap_or(0);
    let average_bandwidth = attributes.integer("AVERAGE-BANDWIDTH", found);
    if bandwidth == 0 || average_bandwidth.is_some_and(|average| average > bandwidth) {
        found.push(Violation::new("bandwidth", line, "BANDWIDTH must be positive and not below the average"));
    }
    let resolution = attributes.plain("RESOLUTION", found).and_then(|text| {
        let sides = text
            .split_once('x')
            .and_then(|(width, height)| Some((decimal_integer(width)?, decimal_integer(height)?)));
        if sides.is_none() {
            found.push(Violation::new("attribute_form", line, "RESOLUTION is WIDTHxHEIGHT"));
        }
        sides
    });
    let variant = Variant {
        uri: if iframes {
            attributes.quoted("URI", found).unwrap_or_default().to_owned()
        } else {
            String::new()
        },
        bandwidth,
        average_bandwidth,
        codecs: codecs
            .split(',')
            .map(|codec| codec.trim().to_owned())
            .filter(|codec| !codec.is_empty())
            .collect(),
        resolution,
        frame_rate: attributes.float("FRAME-RATE", found),
        audio: attributes.quoted("AUDIO", found).map(str::to_owned),
        subtitles: attributes.quoted("SUBTITLES", found).map(str::to_owned),
        iframes,
        line,
    };
    let video = variant.codecs.iter().any(|codec| is_video(codec));
    if video && variant.resolution.is_none() {
        found.push(Violation::new("required_attribute", line, format!("{tag}: video needs RESOLUTION")));
    }
    if video && !iframes && variant.frame_rate.is_none() {
        found.push(Violation::new("required_attribute", line, format!("{tag}: video needs FRAME-RATE")));
    }
    variant
}

pub(super) fn is_video(codec: &str) -> bool {
    ["avc1", "avc3", "hvc1", "hev1", "av01", "vp09"].iter().any(|kind| codec.starts_with(kind))
}

fn media(line: usize, value: &str, found: &mut Vec<Violation>) -> Option<MediaTag> {
    let attributes = Attributes::read(line, "EXT-X-MEDIA", value, found);
    for name in ["TYPE", "GROUP-ID", "NAME"] {
        attributes.require(name, found);
    }
    let kinds = ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];
    let kind = attributes.word("TYPE", &kinds, found)?;
    let yes =
        |name: &str, found: &mut Vec<Violation>| attributes.word(name, &["YES", "NO"], found) == Some("YES");
    let default = yes("DEFAULT", found);
    let auto_select = yes("AUTOSELECT", found);
    if default && attributes.has("AUTOSELECT") && !auto_select {
        found.push(Violation::new("autoselect", line, "DEFAULT=YES with AUTOSELECT=NO"));
    }
    if attributes.has("FORCED") && kind != "SUBTITLES" {
        found.push(Violation::new("forced", line, "FORCED goes with subtitles only"));
    }
    if kind == "SUBTITLES" {
        attributes.require("URI", found);
    }
    if kind == "CLOSED-CAPTIONS" && attributes.has("URI") {
        found.push(Violation::new("closed_captions", line, "closed captions have no URI"));
    }
    let language = attributes.quoted("LANGUAGE", found).map(str::to_owned);
    if language.as_deref().is_some_and(|tag| !well_formed_language(tag)) {
        found.push(Violation::new("language", line, "LANGUAGE is no BCP 47 tag"));
    }
    Some(MediaTag {
        kind: kind.to_owned(),
        group: attributes.quoted("GROUP-ID", found)?.to_owned(),
        name: attributes.quoted("NAME", found)?.to_owned(),
        language,
        default,
        uri: attributes.quoted("URI", found).map(str::to_owned),
        line,
    })
}

fn well_formed_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=8).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn check_groups(playlist: &MultivariantPlaylist, found: &mut Vec<Violation>) {
    let mut names = BTreeSet::new();
    let mut defaults = BTreeSet::new();
    for media in &playlist.media {
        if !names.insert((&media.kind, &media.group, &media.name)) {
            found.push(Violation::new(
                "name_unique",
                media.line,
                format!("{:?} stands twice in a group", media.name),
            ));
        }
        if media.default && !defaults.insert((&media.kind, &media.group)) {
            found.push(Violation::new("one_default", media.line, "a group has at most one default"));
        }
    }
    for variant in &playlist.variants {
        for (kind, group) in [("AUDIO", &variant.audio), ("SUBTITLES", &variant.subtitles)] {
            let Some(group) = group else { continue };
            if !playlist.media.iter().any(|media| media.kind == kind && media.group == *group) {
                let detail = format!("there is no {kind} group {group:?}");
                found.push(Violation::new("group_reference", variant.line, detail));
            }
        }
    }
    for media in &playlist.media {
        let used = playlist.variants.iter().any(|variant| match media.kind.as_str() {
            "AUDIO" => variant.audio.as_ref() == Some(&media.group),
            "SUBTITLES" => variant.subtitles.as_ref() == Some(&media.group),
            _ => true,
        });
        if !used {
            found.push(Violation::new(
                "group_reference",
                media.line,
                format!("group {:?} is not used", media.group),
            ));
        }
    }
}
