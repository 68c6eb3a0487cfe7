//! Rules of one media playlist.
use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::text::{Attributes, Content, Line, decimal_float, decimal_integer};

/// How a segment is enciphered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentKey {
    /// Address of the key.
    pub uri: String,
    /// The IV, given or taken from the sequence number.
    pub iv: u128,
    /// Whether the playlist gives it.
    pub explicit: bool,
}

/// One segment.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaSegment {
    /// Its address.
    pub uri: String,
    /// Length of play in seconds.
    pub duration: f64,
    /// Its number.
    pub sequence: u64,
    /// How it is enciphered; `None` in the clear.
    pub key: Option<SegmentKey>,
    /// Address of its header.
    pub map: Option<String>,
    /// The line of its address.
    pub line: usize,
}

/// What a media playlist says.
#[derive(Debug, Clone, Default)]
pub struct MediaPlaylist {
    /// `EXT-X-VERSION`, 1 when missing.
    pub version: u64,
    /// `EXT-X-TARGETDURATION`.
    pub target_duration: Option<u64>,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity_sequence: u64,
    /// `EVENT` or `VOD`.
    pub kind: Option<String>,
    /// Whether `EXT-X-ENDLIST` stands in it.
    pub ended: bool,
    /// Whether it lists I-frames only.
    pub iframes_only: bool,
    /// Whether every segment can be decoded by itself.
    pub independent: bool,
    /// The segments.
    pub segments: Vec<MediaSegment>,
}

#[derive(Default)]
struct Reader {
    playlist: MediaPlaylist,
    seen: BTreeMap<String, usize>,
    needs: Vec<(u64, &'static str)>,
    key: Option<(String, Option<u128>)>,
    map: Option<String>,
    duration: Option<f64>,
}

/// Tags that may stand once only.
const ONCE: [&str; 8] = [
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-ENDLIST",
    "EXT-X-I-FRAMES-ONLY",
    "EXT-X-INDEPENDENT-SEGMENTS",
];

pub(super) fn read(lines: &[Line<'_>], found: &mut Vec<Violation>) -> MediaPlaylist {
    let mut reader =
        Reader { playlist: MediaPlaylist { version: 1, ..Default::default() }, ..Default::default() };
    for line in lines {
        match line.content {
            Content::Tag { name, value } => reader.tag(line.number, name, value, found),
            Content::Uri(uri) => reader.segment(line.number, uri, found),
        }
    }
    reader.finish(found)
}

impl Reader {
    fn tag(&mut self, line: usize, name: &str, value: &str, found: &mut Vec<Violation>) {
        if ONCE.contains(&name) && self.seen.insert(name.to_owned(), line).is_some() {
            found.push(Violation::new("once", line, format!("{name} stands twice")));
        }
        let number = |found: &mut Vec<Violation>| {
            decimal_integer(value).unwrap_or_else(|| {
                found.push(Violation::new("tag_form", line, format!("{name} needs a decimal integer")));
                0
            })
        };
        match name {
            "EXTM3U"
            | "EXT-X-START"
            | "EXT-X-PROGRAM-DATE-TIME"
            | "EXT-X-DISCONTINUITY"
            | "EXT-X-DATERANGE" => {}
            "EXT-X-VERSION" => self.playlist.version = number(found),
            "EXT-X-TARGETDURATION" => self.playlist.target_duration = Some(number(found)),
            "EXT-X-MEDIA-SEQUENCE" | "EXT-X-DISCONTINUITY-SEQUENCE" => {
                if !self.playlist.segments.is_empty() {
                    found.push(Violation::new(
                        "order",
                        line,
                        format!("{name} must stand before the first segment"),
                    ));
                }
                let number = number(found);
                if name == "EXT-X-MEDIA-SEQUENCE" {
                    self.playlist.media_sequence = number;
                } else {
                    self.playlist.discontinuity_sequence = number;
                }
            }
            "EXT-X-PLAYLIST-TYPE" => {
                if !["EVENT", "VOD"].contains(&value) {
                    found.push(Violation::new("tag_form", line, "EXT-X-PLAYLIST-TYPE is EVENT or VOD"));
                }
                self.playlist.kind = Some(value.to_owned());
            }
            "EXT-X-ENDLIST" => self.playlist.ended = true,
            "EXT-X-I-FRAMES-ONLY" => {
                self.playlist.iframes_only = true;
                self.needs.push((4, "EXT-X-I-FRAMES-ONLY"));
            }
            "EXT-X-INDEPENDENT-SEGMENTS" => self.playlist.independent = true,
            "EXT-X-BYTERANGE" => self.needs.push((4, "EXT-X-BYTERANGE")),
            "EXTINF" => self.extinf(line, value, found),
            "EXT-X-KEY" => self.key(line, value, found),
            "EXT-X-MAP" => self.map(line, value, found),
            _ => found.push(Violation::new(
                "unknown_tag",
                line,
                format!("{name} is not a tag of a media playlist"),
            )),
        }
    }

    fn extinf(&mut self, line: usize, value: &str, found: &mut Vec<Violation>) {
        let Some((duration, _)) = value.split_once(',') else {
            found.push(Violation::new("extinf", line, "EXTINF needs a comma after the duration"));
            return;
        };
        if duration.contains('.') {
            self.needs.push((3, "a fraction in EXTINF"));
        }
        match decimal_float(duration) {
            Some(seconds) => self.duration = Some(seconds),
            None => found.push(Violation::new("extinf", line, "EXTINF needs a decimal number of seconds")),
        }
    }

    fn key(&mut self, line: usize, value: &str, found: &mut Vec<Violation>) {
        let attributes = Attributes::read(line, "EXT-X-KEY", value, found);
        attributes.require("METHOD", found);
        let methods = ["NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"];
        let method = attributes.word("METHOD", &methods, found);
        if method == Some("NONE") {
            if attributes.has("URI") || attributes.has("IV") {
                found.push(Violation::new("key", line, "METHOD=NONE goes with no other attribute"));
            }
            self.key = None;
            return;
        }
        attributes.require("URI", found);
        let uri = attributes.quoted("URI", found).unwrap_or_default().to_owned();
        let mut iv = None;
        if attributes.has("IV") {
            self.needs.push((2, "IV"));
            iv = attributes.plain("IV", found).and_then(read_iv);
            if iv.is_none() {
                found.push(Violation::new("iv_form", line, "IV must be 0x and 32 hexadecimal digits"));
            }
        }
        if attributes.has("KEYFORMAT") || attributes.has("KEYFORMATVERSIONS") {
            self.needs.push((5, "KEYFORMAT"));
        }
        self.key = Some((uri, iv));
    }

    fn map(&mut self, line: usize, value: &str, found: &mut Vec<Violation>) {
        let attributes = Attributes::read(line, "EXT-X-MAP", value, found);
        attributes.require("URI", found);
        self.map = attributes.quoted("URI", found).map(str::to_owned);
        if matches!(&self.key, Some((_, None))) {
            found.push(Violation::new("map_iv", line, "a header under a key needs an explicit IV"));
        }
        let least = if self.playlist.iframes_only { 5 } else { 6 };
        self.needs.push((least, "EXT-X-MAP"));
    }

    fn segment(&mut self, line: usize, uri: &str, found: &mut Vec<Violation>) {
        let duration = self.duration.take().unwrap_or_else(|| {
            found.push(Violation::new("extinf", line, "a segment needs EXTINF before it"));
            0.0
        });
        let sequence = self.playlist.media_sequence.saturating_add(self.playlist.segments.len() as u64);
        let key = self.key.clone().map(|(uri, iv)| SegmentKey {
            uri,
            iv: iv.unwrap_or(u128::from(sequence)),
            explicit: iv.is_some(),
        });
        let map = self.map.clone();
        self.playlist.segments.push(MediaSegment { uri: uri.to_owned(), duration, sequence, key, map, line });
    }

    fn finish(mut self, found: &mut Vec<Violation>) -> MediaPlaylist {
        for (least, what) in &self.needs {
            if self.playlist.version < *least {
                let detail = format!("{what} needs EXT-X-VERSION {least}, not {}", self.playlist.version);
                found.push(Violation::new("version", 0, detail));
                break;
            }
        }
        if self.duration.take().is_some() {
            found.push(Violation::new("extinf", 0, "the last EXTINF has no segment"));
        }
        self.check_target_duration(found);
        self.check_keys(found);
        if self.playlist.kind.as_deref() == Some("VOD") && !self.playlist.ended {
            found.push(Violation::new("vod_end", 0, "a VOD playlist must have EXT-X-ENDLIST"));
        }
        self.playlist
    }

    fn check_target_duration(&self, found: &mut Vec<Violation>) {
        let Some(target) = self.playlist.target_duration else {
            found.push(Violation::new("required_tag", 0, "EXT-X-TARGETDURATION is missing"));
            return;
        };
        for segment in &self.playlist.segments {
            if segment.duration.round() > target as f64 {
                let detail = format!("{} s is more than the target duration of {target} s", segment.duration);
                found.push(Violation::new("target_duration", segment.line, detail));
            }
        }
    }

    fn check_keys(&self, found: &mut Vec<Violation>) {
        let mut used: BTreeSet<(&str, u128)> = BTreeSet::new();
        for segment in &self.playlist.segments {
            let Some(key) = &segment.key else { continue };
            if !used.insert((&key.uri, key.iv)) {
                found.push(Violation::new(
                    "iv_unique",
                    segment.line,
                    "the same key and IV as a segment before it",
                ));
            }
        }
    }
}

fn read_iv(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let form = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if form { u128::from_str_radix(digits, 16).ok() } else { None }
}
