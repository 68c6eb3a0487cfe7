//! Text subtitles of the source, collected and cleaned into WebVTT.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::Cast;

use super::Work;
use super::catalog::is_text;
use super::demux::{Track, discard};
use super::elements::{chain, make, packet_queue, wake};
use crate::failure::Failure;
use crate::sink::Sidecar;
use crate::vtt::{Document, MAX_BYTES, MAX_CUES, Markup};

/// How long a text without an end is shown.
const OPEN_CUE: gst::ClockTime = gst::ClockTime::from_seconds(4);

/// The cues of one track so far.
#[derive(Debug, Default)]
pub(crate) struct Cues {
    cues: Vec<(u64, u64, String)>,
    bytes: usize,
    markup: bool,
    /// The packets are WebVTT cues, perhaps with their identifier and settings before the words.
    webvtt: bool,
}

impl Cues {
    fn add(&mut self, start: gst::ClockTime, duration: gst::ClockTime, text: &str) {
        // A blank line would end the cue.
        let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let text = lines.join("\n").replace("-->", "→");
        self.bytes += text.len() + 40;
        if !text.is_empty() && self.bytes < MAX_BYTES && self.cues.len() < MAX_CUES {
            self.cues.push((start.mseconds(), (start + duration).mseconds(), text));
        }
    }

    /// The clean document; `None` when nothing is ever shown.
    fn document(&self) -> Option<String> {
        let clean =
            if self.markup { Document::parse(self.rough().as_bytes(), Markup::Drop).ok() } else { None };
        let document = clean.unwrap_or_else(|| Document::from_plain(self.cues.iter().cloned()));
        (!document.cues().is_empty()).then(|| document.to_string())
    }

    /// The cues as they came, for the strict reader to clean.
    fn rough(&self) -> String {
        let mut text = String::from("WEBVTT\n");
        for (start, end, words) in &self.cues {
            // Writing to a String does not fail.
            let _ = write!(text, "\n{} --> {}\n{words}\n", stamp(*start), stamp(*end));
        }
        text
    }
}

fn stamp(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// All subtitle tracks of one transcode.
#[derive(Debug, Default)]
pub(crate) struct Subtitles(Mutex<Vec<(u32, Arc<Mutex<Cues>>)>>);

impl Subtitles {
    /// The sidecars: one for each track that shows anything.
    pub(crate) fn finish(&self) -> Vec<(Sidecar, Vec<u8>)> {
        let tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let document = |(track, cues): &(u32, Arc<Mutex<Cues>>)| {
            let text = cues.lock().unwrap_or_else(PoisonError::into_inner).document()?;
            Some((Sidecar::Subtitles { track: *track }, text.into_bytes()))
        };
        tracks.iter().filter_map(document).collect()
    }
}

/// Builds everything from a subtitle track to its cues; picture subtitles are let go.
pub(crate) fn attach(track: &Track, work: &Arc<Work>) -> Result<(), Failure> {
    let name = track.caps.structure(0).map_or("", |structure| structure.name().as_str()).to_owned();
    let parser = match name.as_str() {
        "text/x-raw" => None,
        // What the Matroska reader does not know by name; where it is text at all, it is WebVTT.
        "application/x-subtitle-unknown" => None,
        "application/x-ssa" | "application/x-ass" => Some("ssaparse"),
        _ if name.starts_with("application/x-subtitle") => Some("subparse"),
        _ => return discard(&work.pipeline, &track.pad),
    };
    if !is_text(&track.caps) {
        return discard(&work.pipeline, &track.pad);
    }
    let webvtt = name == "application/x-subtitle-unknown";
    let cues = Arc::new(Mutex::new(Cues { markup: webvtt, webvtt, ..Cues::default() }));
    let mut elements = vec![packet_queue()?];
    if let Some(parser) = parser {
        elements.push(make(parser)?);
    }
    let sink = gstreamer_app::AppSink::builder().sync(false).async_(false).build();
    sink.set_callbacks(callbacks(cues.clone()));
    elements.push(sink.upcast());
    chain(&work.pipeline, &elements)?;
    work.subtitles.0.lock().unwrap_or_else(PoisonError::into_inner).push((track.index, cues));
    wake(&elements)?;
    work.enter(&track.pad, &elements[0])
}

fn callbacks(cues: Arc<Mutex<Cues>>) -> gstreamer_app::AppSinkCallbacks {
    gstreamer_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            note(&sample, &mut cues.lock().unwrap_or_else(PoisonError::into_inner));
            Ok(gst::FlowSuccess::Ok)
        })
        .build()
}

fn note(sample: &gst::Sample, cues: &mut Cues) -> Option<()> {
    let format = sample.caps()?.structure(0)?.get::<&str>("format").ok();
    cues.markup |= format == Some("pango-markup");
    let buffer = sample.buffer()?;
    let start = sample.segment()?.downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?)?;
    let map = buffer.map_readable().ok()?;
    let text =
        if cues.webvtt { webvtt_words(&map)? } else { String::from_utf8_lossy(&map).replace('\0', "") };
    cues.add(start, buffer.duration().unwrap_or(OPEN_CUE), &text);
    Some(())
}

/// The words of a WebVTT cue in Matroska. One way to store it puts identifier and settings on two lines before them, the
/// other does not; what is no text is something else altogether.
fn webvtt_words(packet: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(packet).ok().filter(|text| !text.contains('\0'))?;
    let mut lines = text.splitn(3, '\n');
    let (_, settings, words) = (lines.next()?, lines.next(), lines.next());
    let are_settings = |line: &str| line.split_whitespace().all(|setting| setting.contains(':'));
    match (settings, words) {
        (Some(settings), Some(words)) if are_settings(settings) => Some(words.to_owned()),
        _ => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_that_players_know_is_kept_and_the_rest_dropped() {
        let mut cues = Cues { markup: true, ..Cues::default() };
        cues.add(
            gst::ClockTime::from_seconds(1),
            gst::ClockTime::from_seconds(2),
            "<i>Hello</i> <span foreground=\"red\">you</span>",
        );
        assert_eq!(cues.document().unwrap(), "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n<i>Hello</i> you\n");
    }

    #[test]
    fn a_webvtt_cue_in_matroska_loses_what_stands_before_its_words() {
        let words = |packet: &str| webvtt_words(packet.as_bytes()).unwrap();
        assert_eq!(words("\n\nhello <i>world</i>"), "hello <i>world</i>");
        assert_eq!(words("7\nline:0 align:start\nhello\nworld"), "hello\nworld");
        assert_eq!(words("hello\nworld"), "hello\nworld");
        assert_eq!(webvtt_words(&[0xff, 0xd8, 0]), None, "a picture is no text");
    }

    #[test]
    fn words_that_look_like_markup_are_only_words_in_plain_text() {
        let mut cues = Cues::default();
        cues.add(gst::ClockTime::ZERO, gst::ClockTime::from_seconds(1), "a < b\n\n00:00 --> x");
        let document = cues.document().unwrap();
        assert!(document.contains("a &lt; b\n00:00 "), "{document}");
        assert!(Document::parse(document.as_bytes(), Markup::Refuse).is_ok());
    }
}
