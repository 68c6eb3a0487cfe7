//! What a source holds and what is made of it: the value types that the prober, the ladder, the transcoder,
//! the playlist writer and the node share. Pure data; everything here can be stored and compared.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An exact, positive frame rate, such as 30000/1001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRate {
    /// Frames.
    pub numerator: u32,
    /// Per this many seconds; never 0.
    pub denominator: u32,
}

impl FrameRate {
    /// A rate of `numerator / denominator` frames a second; `None` unless both are positive.
    #[must_use]
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (numerator > 0 && denominator > 0).then_some(Self { numerator, denominator })
    }

    /// Whole frames a second; 0 is taken as 1.
    #[must_use]
    pub fn whole(frames: u32) -> Self {
        Self { numerator: frames.max(1), denominator: 1 }
    }

    /// Frames a second.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator.max(1))
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.numerator, self.denominator)
    }
}

/// How bright picture values are meant: standard range or one of the two HDR curves we tone-map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DynamicRange {
    /// BT.709-like.
    #[default]
    Standard,
    /// SMPTE ST 2084 (HDR10).
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

/// A clockwise rotation a player must apply to show the picture upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Upright as coded.
    #[default]
    None,
    /// 90 degrees clockwise.
    Right,
    /// 180 degrees.
    Half,
    /// 90 degrees counter-clockwise.
    Left,
}

impl Rotation {
    /// Whether width and height change places when the rotation is applied.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Right | Self::Left)
    }
}

/// One video track of a source, as coded (before rotation and pixel aspect are applied).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Position among the video tracks of the source.
    pub index: u32,
    /// Short codec name: `h264`, `h265`, `av1`, `vp9`, `mpeg2`, ...
    pub codec: String,
    /// Codec profile where known: `high`, `main-10`, ...
    pub profile: Option<String>,
    /// Codec level where known, as written: `4.1`.
    pub level: Option<String>,
    /// Coded width in pixels.
    pub width: u32,
    /// Coded height in pixels.
    pub height: u32,
    /// Pixel aspect ratio, width to height; (1, 1) when square or unknown.
    pub pixel_aspect: (u32, u32),
    /// The rotation to apply.
    pub rotation: Rotation,
    /// Nominal frame rate; `None` when the source names none (variable).
    pub frame_rate: Option<FrameRate>,
    /// Whether frame times are irregular.
    pub variable_frame_rate: bool,
    /// Whether the pictures are interlaced.
    pub interlaced: bool,
    /// Bits a sample.
    pub bit_depth: u8,
    /// Chroma format: `4:2:0`, `4:2:2`, `4:4:4`, `gray`.
    pub chroma: String,
    /// Brightness curve.
    pub dynamic_range: DynamicRange,
    /// Bits a second, when the container says so or it was measured.
    pub bitrate: Option<u64>,
    /// Longest distance between two keyframes seen, in milliseconds; `None` when not measured.
    pub keyframe_interval_ms: Option<u32>,
}

impl VideoTrack {
    /// Pixels of one picture.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// One audio track of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Position among the audio tracks of the source.
    pub index: u32,
    /// Short codec name: `aac`, `mp3`, `opus`, `ac3`, ...
    pub codec: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// BCP 47 or ISO 639 language tag; `None` when the source says nothing or `und`.
    pub language: Option<String>,
    /// The track's own title.
    pub title: Option<String>,
    /// Whether the source marks it as the default one.
    pub default: bool,
    /// Bits a second, when known.
    pub bitrate: Option<u64>,
}

/// One subtitle track of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubtitleTrack {
    /// Position among the subtitle tracks of the source.
    pub index: u32,
    /// Short format name: `subrip`, `webvtt`, `ass`, `mov_text`, `pgs`, ...
    pub codec: String,
    /// Whether it is text; picture subtitles are listed but not converted.
    pub text: bool,
    /// BCP 47 or ISO 639 language tag.
    pub language: Option<String>,
    /// The track's own title.
    pub title: Option<String>,
    /// Whether the source marks it as the default one.
    pub default: bool,
    /// Whether it only holds what must always be shown.
    pub forced: bool,
}

/// The kind of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl TrackKind {
    /// The stable name, as in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// Why nothing was made of a track. The names are stable: they are stored, shown by the API and translated by the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    /// No decoder for it.
    NoDecoder,
    /// The container lists it, but holds nothing of it.
    EmptyTrack,
    /// What the container holds of it cannot be decoded.
    Broken,
}

impl LeftOutReason {
    /// The stable name, as in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoDecoder => "no_decoder",
            Self::EmptyTrack => "empty_track",
            Self::Broken => "broken",
        }
    }

    /// What happened, in one plain sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoDecoder => "This server cannot decode this kind of track.",
            Self::EmptyTrack => "The file lists this track but holds nothing of it.",
            Self::Broken => "This track is damaged and could not be decoded.",
        }
    }
}

/// A track of a source of which nothing is made; the others are played without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it would be.
    pub kind: TrackKind,
    /// Position among the tracks of its kind.
    pub index: u32,
    /// Short codec name.
    pub codec: String,
    /// Why.
    pub reason: LeftOutReason,
}

/// What a source is, found without decoding all of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Probe {
    /// Short container name: `mp4`, `matroska`, `mpegts`, ...
    pub container: String,
    /// Length of play in milliseconds; `None` while unknown.
    pub duration_ms: Option<u64>,
    /// Video tracks, attached pictures left out.
    pub video: Vec<VideoTrack>,
    /// Audio tracks.
    pub audio: Vec<AudioTrack>,
    /// Subtitle tracks.
    pub subtitles: Vec<SubtitleTrack>,
    /// Whether it can be read from the front without its end (and so while it still arrives).
    pub streamable: bool,
    /// Tracks of picture or sound that cannot be played.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// Names one rendition of an asset in URLs, marks and the manifest: `v720`, `a0`, `s1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RenditionId {
    /// A video rung by the length of its short side in pixels.
    Video(u16),
    /// An audio track by its position in the source.
    Audio(u16),
    /// A subtitle track by its position in the source.
    Subtitles(u16),
}

impl fmt::Display for RenditionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Video(side) => write!(formatter, "v{side}"),
            Self::Audio(index) => write!(formatter, "a{index}"),
            Self::Subtitles(index) => write!(formatter, "s{index}"),
        }
    }
}

/// The text is not the name of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a rendition name: expected v, a or s and a number, such as v720")]
pub struct BadRenditionId;

impl FromStr for RenditionId {
    type Err = BadRenditionId;

    /// Strict: exactly what `Display` writes, so that one rendition has one URL.
    fn from_str(text: &str) -> Result<Self, BadRenditionId> {
        let digits = text.get(1..).ok_or(BadRenditionId)?;
        let canonical =
            digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        if !canonical {
            return Err(BadRenditionId);
        }
        let number: u16 = digits.parse().map_err(|_| BadRenditionId)?;
        match text.as_bytes().first() {
            Some(b'v') => Ok(Self::Video(number)),
            Some(b'a') => Ok(Self::Audio(number)),
            Some(b's') => Ok(Self::Subtitles(number)),
            _ => Err(BadRenditionId),
        }
    }
}

impl Serialize for RenditionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RenditionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One keyframe of a segment, in the plain CMAF fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyframe {
    /// Where its sample starts, in bytes from the start of the fragment.
    pub offset: u32,
    /// Length of its sample in bytes.
    pub length: u32,
    /// When it is shown, in microseconds from the start of the rendition.
    pub pts_us: u64,
}

/// What the muxer knows of one finished segment (a plain CMAF fragment).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentInfo {
    /// Position in the rendition, from 0.
    pub sequence: u64,
    /// First presentation time in microseconds from the start of the rendition.
    pub start_us: u64,
    /// Length of play in microseconds.
    pub duration_us: u64,
    /// Keyframes, in order; empty for audio and subtitles.
    pub keyframes: Vec<Keyframe>,
}

/// One stored segment: what stands beside its ciphertext in the rendition's Blob. Playlists and joined downloads are
/// made from these alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMark {
    /// Position in the rendition, from 0.
    pub sequence: u64,
    /// Where the ciphertext starts in the Blob.
    pub offset: u64,
    /// Length of the ciphertext.
    pub length: u64,
    /// Length of the plain fragment.
    pub plain_length: u64,
    /// First presentation time in microseconds from the start of the rendition.
    pub start_us: u64,
    /// Length of play in microseconds.
    pub duration_us: u64,
    /// The random IV the segment is encrypted with.
    pub iv: [u8; 16],
    /// The random IV of the segment's I-frame resource (see `playlist::iframes`); never equal to `iv`.
    pub iframe_iv: [u8; 16],
    /// Content key period the segment is encrypted under.
    pub period: u32,
    /// Keyframes of the plain fragment; empty for audio and subtitles.
    pub keyframes: Vec<Keyframe>,
}

/// A record tied to a length of a rendition's Blob. The first one is `Init`, all others follow in order of sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobMark {
    /// The clear fMP4 header: the Blob's first bytes.
    Init {
        /// Length of the header.
        length: u32,
    },
    /// One encrypted segment.
    Segment(SegmentMark),
}

/// Version of the encoding of a [`BlobMark`]; its first byte.
const MARK_VERSION: u8 = 1;
/// Most keyframes a mark keeps, so that it stays under the 4 KiB a Blob allows.
pub const MAX_MARK_KEYFRAMES: usize = 128;

/// The bytes are not a mark that this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a readable segment mark")]
pub struct BadMark;

impl BlobMark {
    /// The bytes kept beside the Blob; at most 4 KiB, since no more than [`MAX_MARK_KEYFRAMES`] keyframes are written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bounded = self.clone();
        if let Self::Segment(segment) = &mut bounded {
            segment.keyframes.truncate(MAX_MARK_KEYFRAMES);
        }
        // Encoding plain data into a growing vector has no way to fail.
        postcard::to_extend(&bounded, vec![MARK_VERSION]).unwrap_or_default()
    }

    /// Reads what [`BlobMark::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadMark> {
        match bytes.split_first() {
            Some((&MARK_VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| BadMark),
            _ => Err(BadMark),
        }
    }
}

/// One finished or growing video rendition, as the playlists name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoRendition {
    /// Its name.
    pub id: RenditionId,
    /// Shown width in pixels.
    pub width: u32,
    /// Shown height in pixels.
    pub height: u32,
    /// Most frames a second.
    pub frame_rate: FrameRate,
    /// RFC 6381 codec string, read from the init segment.
    pub codecs: String,
    /// Measured, or expected while it grows.
    pub bandwidth: Bandwidth,
    /// Measured over its I-frame resources.
    pub iframe_bandwidth: Bandwidth,
}

/// One finished or growing audio rendition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioRendition {
    /// Its name.
    pub id: RenditionId,
    /// BCP 47 language, when known.
    pub language: Option<String>,
    /// Name to show; made unique within the group by the playlist writer.
    pub name: String,
    /// Whether a player should start with it.
    pub default: bool,
    /// Channels.
    pub channels: u32,
    /// RFC 6381 codec string, read from the init segment.
    pub codecs: String,
    /// Measured, or expected while it grows.
    pub bandwidth: Bandwidth,
}

/// One subtitle rendition (WebVTT).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubtitleRendition {
    /// Its name in URLs: `s0` for a track of the source, the language for an uploaded caption.
    pub id: String,
    /// BCP 47 language, when known.
    pub language: Option<String>,
    /// Name to show; made unique within the group by the playlist writer.
    pub name: String,
    /// Whether a player should show it unasked.
    pub default: bool,
    /// Whether it only holds what must always be shown.
    pub forced: bool,
}

/// Bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Of the heaviest segment.
    pub peak: u64,
    /// Over the whole rendition.
    pub average: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(keyframes: usize) -> BlobMark {
        let keyframe = Keyframe { offset: u32::MAX, length: u32::MAX, pts_us: u64::MAX };
        BlobMark::Segment(SegmentMark {
            sequence: u64::MAX,
            offset: u64::MAX,
            length: u64::MAX,
            plain_length: u64::MAX,
            start_us: u64::MAX,
            duration_us: u64::MAX,
            iv: [255; 16],
            iframe_iv: [254; 16],
            period: u32::MAX,
            keyframes: vec![keyframe; keyframes],
        })
    }

    #[test]
    fn a_mark_reads_back_as_written() {
        let init = BlobMark::Init { length: 812 };
        assert_eq!(BlobMark::decode(&init.encode()), Ok(init));
        assert_eq!(BlobMark::decode(&mark(2).encode()), Ok(mark(2)));
    }

    #[test]
    fn the_largest_mark_fits_a_blob_record() {
        assert!(mark(100_000).encode().len() <= 4096);
    }

    #[test]
    fn an_unknown_or_cut_mark_is_refused() {
        assert_eq!(BlobMark::decode(&[]), Err(BadMark));
        assert_eq!(BlobMark::decode(&[9, 0, 1]), Err(BadMark));
        let bytes = mark(1).encode();
        for length in 0..bytes.len() {
            assert_eq!(BlobMark::decode(&bytes[..length]), Err(BadMark));
        }
    }

    #[test]
    fn rendition_names_are_canonical() {
        for name in ["v1080", "v2", "a0", "s12"] {
            assert_eq!(name.parse::<RenditionId>().map(|id| id.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "v", "x1", "v01", "v+1", "v 1", "V1", "v70000", "v-1", "ü1"] {
            assert_eq!(name.parse::<RenditionId>(), Err(BadRenditionId), "{name}");
        }
    }
}
