//! Rules between playlists, and between playlists and the bytes they name.
use std::collections::{BTreeMap, BTreeSet};

use super::multivariant::is_video;
use super::{MediaPlaylist, MultivariantPlaylist, Playlist, Variant, Violation, read};
use crate::mp4;

/// What was found at an address.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The text of a playlist.
    Playlist(&'a str),
    /// The bytes of a header.
    Header(&'a [u8]),
    /// The length of a segment as sent.
    Segment(u64),
}

/// A whole presentation: the multivariant playlist, and everything that it names, by address relative to it (`..` already
/// taken out).
#[derive(Debug, Clone, Default)]
pub struct Presentation<'a> {
    /// The text of the multivariant playlist.
    pub multivariant: &'a str,
    /// The rest.
    pub resources: BTreeMap<String, Resource<'a>>,
}

/// Checks every playlist by itself, and what they and their segments say of one another.
#[must_use]
pub fn check_presentation(presentation: &Presentation<'_>) -> Vec<Violation> {
    let (playlist, mut found) = read(presentation.multivariant);
    let Playlist::Multivariant(multivariant) = playlist else {
        found.push(Violation::new("multivariant", 0, "this is no multivariant playlist"));
        return found;
    };
    let mut check = Check { presentation, found, media: BTreeMap::new() };
    let renditions = multivariant.media.iter().filter_map(|media| media.uri.as_ref());
    for uri in multivariant.variants.iter().map(|variant| &variant.uri).chain(renditions) {
        check.load(uri);
    }
    check.ivs();
    for variant in &multivariant.variants {
        check.variant(variant, &multivariant);
    }
    check.same_state();
    check.found
}

struct Check<'a> {
    presentation: &'a Presentation<'a>,
    found: Vec<Violation>,
    media: BTreeMap<String, MediaPlaylist>,
}

/// Bits a second.
#[derive(Clone, Copy, Default)]
struct Rate {
    peak: f64,
    average: f64,
}

impl Check<'_> {
    fn report(&mut self, rule: &'static str, line: usize, detail: String) {
        self.found.push(Violation::new(rule, line, detail));
    }

    fn load(&mut self, uri: &str) {
        if self.media.contains_key(uri) {
            return;
        }
        let Some(Resource::Playlist(text)) = self.presentation.resources.get(uri) else {
            self.report("missing_playlist", 0, format!("{uri} is not there"));
            return;
        };
        let (playlist, found) = read(text);
        self.found.extend(
            found
                .into_iter()
                .map(|violation| Violation { detail: format!("{uri}: {}", violation.detail), ..violation }),
        );
        match playlist {
            Playlist::Media(media) => {
                self.media.insert(uri.to_owned(), media);
            }
            Playlist::Multivariant(_) => {
                self.report("missing_playlist", 0, format!("{uri} is not a media playlist"));
            }
        }
    }

    /// No two resources of the presentation share a key and an IV.
    fn ivs(&mut self) {
        let mut used: BTreeMap<(String, u128), String> = BTreeMap::new();
        let mut twice = Vec::new();
        for (playlist, media) in &self.media {
            for segment in &media.segments {
                let Some(key) = &segment.key else { continue };
                let address = join(playlist, &segment.uri);
                let before = used.insert((join(playlist, &key.uri), key.iv), address.clone());
                if before.is_some_and(|before| before != address) {
                    twice.push((segment.line, format!("{address} has the key and IV of another segment")));
                }
            }
        }
        for (line, detail) in twice {
            self.report("iv_unique", line, detail);
        }
    }

    fn variant(&mut self, variant: &Variant, all: &MultivariantPlaylist) {
        let Some(media) = self.media.get(&variant.uri).cloned() else { return };
        if media.iframes_only != variant.iframes {
            let detail = format!("{} lists I-frames only: {}", variant.uri, media.iframes_only);
            self.report("iframes_only", variant.line, detail);
        }
        let mut codecs = self.codecs(&variant.uri, &media);
        let mut rate = self.rate(&variant.uri, &media);
        let mut heaviest = Rate::default();
        for tag in
            all.media.iter().filter(|tag| tag.kind == "AUDIO" && variant.audio.as_ref() == Some(&tag.group))
        {
            let Some(uri) = &tag.uri else { continue };
            let Some(audio) = self.media.get(uri).cloned() else { continue };
            codecs.extend(self.codecs(uri, &audio));
            let own = self.rate(uri, &audio);
            heaviest.peak = heaviest.peak.max(own.peak);
            heaviest.average = heaviest.average.max(own.average);
        }
        rate.peak += heaviest.peak;
        rate.average += heaviest.average;
        self.compare(variant, &codecs, rate);
    }

    fn compare(&mut self, variant: &Variant, codecs: &BTreeSet<String>, rate: Rate) {
        let announced: BTreeSet<_> = variant.codecs.iter().cloned().collect();
        if *codecs != announced && !codecs.is_empty() {
            let detail = format!("CODECS says {announced:?}, the headers say {codecs:?}");
            self.report("codecs", variant.line, detail);
        }
        // One bit of rounding.
        if rate.peak > variant.bandwidth as f64 + 1.0 {
            let detail =
                format!("{}: BANDWIDTH {} but the peak is {:.0}", variant.uri, variant.bandwidth, rate.peak);
            self.report("bandwidth_peak", variant.line, detail);
        }
        if let Some(average) = variant.average_bandwidth
            && rate.average > average as f64 * 1.01 + 1.0
        {
            let detail =
                format!("{}: AVERAGE-BANDWIDTH {average} but it is {:.0}", variant.uri, rate.average);
            self.report("bandwidth_average", variant.line, detail);
        }
        if let Some((width, height)) = variant.resolution
            && let Some(size) = self.size(&variant.uri)
            && size != (width, height)
        {
            let detail = format!("RESOLUTION {width}x{height}, the header says {}x{}", size.0, size.1);
            self.report("resolution", variant.line, detail);
        }
    }

    fn headers(&mut self, uri: &str, media: &MediaPlaylist) -> Vec<mp4::Init> {
        let maps: BTreeSet<_> = media.segments.iter().filter_map(|segment| segment.map.as_ref()).collect();
        let mut headers = Vec::new();
        for map in maps {
            let address = join(uri, map);
            match self.presentation.resources.get(&address) {
                Some(Resource::Header(bytes)) => match mp4::read_init(bytes) {
                    Ok(header) => headers.push(header),
                    Err(error) => self.report("header", 0, format!("{address}: {error}")),
                },
                _ => self.report("header", 0, format!("{address} is not there")),
            }
        }
        headers
    }

    fn codecs(&mut self, uri: &str, media: &MediaPlaylist) -> BTreeSet<String> {
        let headers = self.headers(uri, media);
        headers.into_iter().flat_map(|header| header.tracks).map(|track| track.codec).collect()
    }

    fn size(&mut self, uri: &str) -> Option<(u64, u64)> {
        let media = self.media.get(uri)?.clone();
        let headers = self.headers(uri, &media);
        let track =
            headers.into_iter().flat_map(|header| header.tracks).find(|track| is_video(&track.codec))?;
        Some((u64::from(track.size.0), u64::from(track.size.1)))
    }

    /// Peak over single segments of at least half a target duration, average over all.
    fn rate(&mut self, uri: &str, media: &MediaPlaylist) -> Rate {
        let mut rate = Rate::default();
        let (mut bits, mut seconds) = (0.0, 0.0);
        let half = media.target_duration.unwrap_or(0) as f64 / 2.0;
        let mut missing = Vec::new();
        for segment in &media.segments {
            let address = join(uri, &segment.uri);
            let Some(Resource::Segment(length)) = self.presentation.resources.get(&address) else {
                missing.push((segment.line, address));
                continue;
            };
            let own = *length as f64 * 8.0;
            bits += own;
            seconds += segment.duration;
            if segment.duration >= half && segment.duration > 0.0 {
                rate.peak = rate.peak.max(own / segment.duration);
            }
        }
        for (line, address) in missing {
            self.report("missing_segment", line, format!("{address} is not there"));
        }
        if seconds > 0.0 {
            rate.average = bits / seconds;
        }
        rate
    }

    /// Renditions end together or grow together, and last about as long.
    fn same_state(&mut self) {
        let ordinary =
            || self.media.iter().filter(|(_, media)| !media.iframes_only && !media.segments.is_empty());
        let lengths: Vec<(f64, u64)> = ordinary()
            .filter(|(_, media)| media.ended)
            .map(|(_, media)| {
                (
                    media.segments.iter().map(|segment| segment.duration).sum(),
                    media.target_duration.unwrap_or(0),
                )
            })
            .collect();
        let longest = lengths.iter().map(|(length, _)| *length).fold(0.0, f64::max);
        let target = lengths.iter().map(|(_, target)| *target).max().unwrap_or(0) as f64;
        if lengths.iter().any(|(length, _)| longest - length > 2.0 * target.max(1.0)) {
            self.report(
                "same_length",
                0,
                "ended renditions differ by more than two target durations".to_owned(),
            );
        }
    }
}

/// The address `uri` has when it stands in the playlist at `base`; both relative.
fn join(base: &str, uri: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in uri.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
