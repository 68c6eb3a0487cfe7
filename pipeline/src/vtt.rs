//! WebVTT: a strict parser that keeps only what is harmless, for captions that people upload and subtitles found in sources.
//!
//! What comes out is built anew from parsed parts, never copied through: cue text has only the tags of the WebVTT
//! specification, settings only values that were understood, style and region blocks are gone. So no page that shows the
//! cues can be made to run or load anything by them.
mod cue_text;
mod storyboard;
#[cfg(test)]
mod tests;
mod timing;

use std::fmt;

pub use storyboard::{Storyboard, storyboard};

/// Longest text that is read: a caption file of many hours is far below it.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most cues of one document.
pub const MAX_CUES: usize = 50_000;
/// Longest text of one cue.
pub const MAX_CUE_BYTES: usize = 4 * 1024;

/// What is done with markup that WebVTT does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Refuse the document: for uploads, whose sender can be told.
    Refuse,
    /// Drop the tag, keep the words: for subtitles that come with a source.
    Drop,
}

/// Why a text is no WebVTT that we take. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VttError {
    /// It is not UTF-8.
    #[error("the captions are not UTF-8 text")]
    NotText,
    /// It does not begin with `WEBVTT`.
    #[error("the captions do not begin with WEBVTT")]
    NoHeader,
    /// Larger than [`MAX_BYTES`].
    #[error("the captions are larger than {} MiB", MAX_BYTES / 1024 / 1024)]
    TooLarge,
    /// More than [`MAX_CUES`].
    #[error("the captions have more than {MAX_CUES} cues")]
    TooManyCues,
    /// A cue's text is longer than [`MAX_CUE_BYTES`].
    #[error("line {line}: the text of one cue is too long")]
    CueTooLong {
        /// Where the cue's text begins.
        line: usize,
    },
    /// A timing line cannot be read, or ends before it starts.
    #[error("line {line}: the timing is wrong, expected for example 00:00:01.000 --> 00:00:04.000")]
    BadTiming {
        /// The timing line.
        line: usize,
    },
    /// A block is neither cue, note, style nor region.
    #[error("line {line}: this is not a cue")]
    NotACue {
        /// Its first line.
        line: usize,
    },
    /// Markup that is not WebVTT's, such as a script.
    #[error("line {line}: only the tags b, i, u, c, v, lang, ruby and rt may be used in a cue")]
    ForeignMarkup {
        /// Where the cue's text begins.
        line: usize,
    },
    /// There is no cue in it.
    #[error("the captions hold no cue")]
    Empty,
}

impl VttError {
    /// Stable code for the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotText | Self::NoHeader => "not_webvtt",
            Self::TooLarge | Self::TooManyCues | Self::CueTooLong { .. } => "captions_too_large",
            Self::BadTiming { .. } | Self::NotACue { .. } => "bad_webvtt",
            Self::ForeignMarkup { .. } => "captions_markup_refused",
            Self::Empty => "captions_empty",
        }
    }
}

/// One cue. Its text is clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears.
    pub start_ms: u64,
    /// When it disappears; later than `start_ms`.
    pub end_ms: u64,
    /// Placement settings that were understood, as written after the timing.
    pub settings: String,
    /// Text with WebVTT's own tags; no blank line, no `-->`.
    pub text: String,
}

/// A clean WebVTT document: cues in order of their start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    cues: Vec<Cue>,
}

impl Document {
    /// Reads an untrusted text.
    pub fn parse(bytes: &[u8], markup: Markup) -> Result<Self, VttError> {
        if bytes.len() > MAX_BYTES {
            return Err(VttError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| VttError::NotText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
        let mut blocks = Blocks { lines: text.split('\n').enumerate() };
        let (_, head) = blocks.next().ok_or(VttError::NoHeader)?;
        let header = head[0];
        let rest = header.strip_prefix("WEBVTT").ok_or(VttError::NoHeader)?;
        if !text.starts_with("WEBVTT") || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
            return Err(VttError::NoHeader);
        }
        if let Some(at) = head.iter().position(|line| line.contains("-->")) {
            return Err(VttError::NotACue { line: at + 1 });
        }
        let mut cues = Vec::new();
        for (line, block) in blocks {
            if let Some(cue) = read_block(line, &block, markup)? {
                if cues.len() == MAX_CUES {
                    return Err(VttError::TooManyCues);
                }
                cues.push(cue);
            }
        }
        if cues.is_empty() {
            return Err(VttError::Empty);
        }
        cues.sort_by_key(|cue| cue.start_ms);
        Ok(Self { cues })
    }

    /// A document of these cues, whose text is plain words of unknown origin: it is escaped, and cut at
    /// [`MAX_CUE_BYTES`]. Cues that never show are left out, and so is what goes beyond [`MAX_CUES`].
    #[must_use]
    pub fn from_plain(cues: impl IntoIterator<Item = (u64, u64, String)>) -> Self {
        let mut cues: Vec<_> = cues
            .into_iter()
            .filter_map(|(start_ms, end_ms, text)| {
                let text = cue_text::escape(&text);
                let shown = end_ms > start_ms && !text.is_empty();
                shown.then_some(Cue { start_ms, end_ms, settings: String::new(), text })
            })
            .take(MAX_CUES)
            .collect();
        cues.sort_by_key(|cue: &Cue| cue.start_ms);
        Self { cues }
    }

    /// The cues, in order of their start.
    #[must_use]
    pub fn cues(&self) -> &[Cue] {
        &self.cues
    }

    /// What is shown between two times: the document of one subtitle segment. A cue that crosses an edge is in both
    /// neighbours, whole, as players expect.
    #[must_use]
    pub fn window(&self, from_ms: u64, until_ms: u64) -> Self {
        let shown = |cue: &&Cue| cue.start_ms < until_ms && cue.end_ms > from_ms;
        Self { cues: self.cues.iter().filter(shown).cloned().collect() }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WEBVTT\n")?;
        for cue in &self.cues {
            let (start, end) = (timing::Stamp(cue.start_ms), timing::Stamp(cue.end_ms));
            let gap = if cue.settings.is_empty() { "" } else { " " };
            write!(formatter, "\n{start} --> {end}{gap}{}\n{}\n", cue.settings, cue.text)?;
        }
        Ok(())
    }
}

/// Runs of lines between blank ones, with the number of their first line (from 1).
struct Blocks<'a, Lines: Iterator<Item = (usize, &'a str)>> {
    lines: Lines,
}

impl<'a, Lines: Iterator<Item = (usize, &'a str)>> Iterator for Blocks<'a, Lines> {
    type Item = (usize, Vec<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, line) = self.lines.by_ref().find(|(_, line)| !line.is_empty())?;
        let rest = self.lines.by_ref().map(|(_, line)| line).take_while(|line| !line.is_empty());
        Some((first + 1, std::iter::once(line).chain(rest).collect()))
    }
}

/// The cue of a block; `None` for notes, styles and regions, which are dropped.
fn read_block(line: usize, block: &[&str], markup: Markup) -> Result<Option<Cue>, VttError> {
    let timing_at = match block {
        [first, ..] if first.contains("-->") => 0,
        [_, second, ..] if second.contains("-->") => 1,
        [first, ..] if is_ignored(first) => return Ok(None),
        _ => return Err(VttError::NotACue { line }),
    };
    let bad_timing = || VttError::BadTiming { line: line + timing_at };
    let (start_ms, end_ms, settings) = timing::read(block[timing_at]).ok_or_else(bad_timing)?;
    let lines = &block[timing_at + 1..];
    let at = line + timing_at + 1;
    if lines.iter().map(|line| line.len() + 1).sum::<usize>() > MAX_CUE_BYTES {
        return Err(VttError::CueTooLong { line: at });
    }
    if lines.iter().any(|line| line.contains("-->")) {
        return Err(VttError::NotACue { line: at });
    }
    let text = cue_text::clean(&lines.join("\n"), markup).ok_or(VttError::ForeignMarkup { line: at })?;
    // A line that was nothing but a dropped tag would end the cue where it is read again.
    let text = text.split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    // What is escaped and closed is longer than what came.
    if text.len() >= MAX_CUE_BYTES {
        return Err(VttError::CueTooLong { line: at });
    }
    // An empty cue shows nothing and need not be kept.
    Ok((!text.trim().is_empty()).then_some(Cue { start_ms, end_ms, settings, text }))
}

fn is_ignored(first: &str) -> bool {
    ["NOTE", "STYLE", "REGION"].iter().any(|word| {
        first.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    })
}
