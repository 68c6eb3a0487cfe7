//! The header of a fragmented MP4: its tracks, their codecs and their defaults.
use super::boxes::{Fields, Mp4Error, boxes, find, optional};
use super::sample_entry::codec_string;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    Other,
}

/// One track of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitTrack {
    /// Its number in this file.
    pub id: u32,
    /// What it carries.
    pub kind: TrackKind,
    /// Units a second of its times; never 0.
    pub timescale: u32,
    /// RFC 6381 codec string.
    pub codec: String,
    /// Coded size; (0, 0) unless video.
    pub size: (u16, u16),
    /// Where play starts on the track's own time line, from its edit list; 0 without one.
    pub edit_start: u64,
    /// What samples have unless they say otherwise.
    pub(super) defaults: Defaults,
}

/// `trex`: defaults for the samples of all fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

/// A header: `ftyp` and `moov` without samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Units a second of the movie's own times; never 0.
    pub timescale: u32,
    /// Its tracks, in order.
    pub tracks: Vec<InitTrack>,
}

impl Init {
    /// The `CODECS` value of a rendition with this header.
    #[must_use]
    pub fn codecs(&self) -> String {
        self.tracks.iter().map(|track| track.codec.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The one track of a rendition's header.
    pub fn only_track(&self) -> Result<&InitTrack, Mp4Error> {
        match self.tracks.as_slice() {
            [track] => Ok(track),
            _ => Err(Mp4Error::Unsupported("number of tracks")),
        }
    }
}

/// Most tracks that are looked at.
const MAX_TRACKS: usize = 16;

/// Reads the header of a fragmented MP4.
pub fn read_init(bytes: &[u8]) -> Result<Init, Mp4Error> {
    let moov = find(bytes, "moov")?.payload;
    let timescale = movie_timescale(find(moov, "mvhd")?.payload)?;
    let mut tracks = Vec::new();
    for found in boxes(moov) {
        let found = found?;
        if &found.kind == b"trak" {
            if tracks.len() == MAX_TRACKS {
                return Err(Mp4Error::Unsupported("number of tracks"));
            }
            tracks.push(read_track(found.payload)?);
        }
    }
    if let Some(mvex) = optional(moov, "mvex")? {
        for found in boxes(mvex.payload) {
            let found = found?;
            if &found.kind == b"trex" {
                set_defaults(&mut tracks, found.payload)?;
            }
        }
    }
    if tracks.is_empty() {
        return Err(Mp4Error::Missing("trak"));
    }
    Ok(Init { timescale, tracks })
}

fn movie_timescale(mvhd: &[u8]) -> Result<u32, Mp4Error> {
    timescale_of(mvhd)
}

/// `mvhd` and `mdhd` begin alike: creation and modification time, then the timescale.
fn timescale_of(header: &[u8]) -> Result<u32, Mp4Error> {
    let mut fields = Fields::new(header);
    let (version, _) = fields.version_and_flags()?;
    fields.take(if version == 1 { 16 } else { 8 })?;
    match fields.u32()? {
        0 => Err(Mp4Error::Bad("timescale")),
        timescale => Ok(timescale),
    }
}

/// Where the track number stands in the payload of `tkhd`.
pub(super) fn track_id_at(tkhd: &[u8]) -> Result<usize, Mp4Error> {
    let (version, _) = Fields::new(tkhd).version_and_flags()?;
    Ok(if version == 1 { 20 } else { 12 })
}

fn read_track(trak: &[u8]) -> Result<InitTrack, Mp4Error> {
    let tkhd = find(trak, "tkhd")?.payload;
    let mut fields = Fields::new(tkhd);
    fields.take(track_id_at(tkhd)?)?;
    let id = fields.u32()?;
    let mdia = find(trak, "mdia")?.payload;
    let timescale = timescale_of(find(mdia, "mdhd")?.payload)?;
    let mut handler = Fields::new(find(mdia, "hdlr")?.payload);
    handler.take(8)?;
    let kind = match &handler.array::<4>()? {
        b"vide" => TrackKind::Video,
        b"soun" => TrackKind::Audio,
        _ => TrackKind::Other,
    };
    let stbl = find(find(mdia, "minf")?.payload, "stbl")?.payload;
    let stsd = find(stbl, "stsd")?.payload;
    let entries = stsd.get(8..).ok_or(Mp4Error::Cut)?;
    let entry = boxes(entries).next().ok_or(Mp4Error::Missing("sample entry"))??;
    let mut size = (0, 0);
    if kind == TrackKind::Video {
        let mut fields = Fields::new(entry.payload);
        fields.take(24)?;
        size = (fields.u16()?, fields.u16()?);
    }
    let codec = codec_string(entry.kind, entry.payload)?;
    Ok(InitTrack {
        id,
        kind,
        timescale,
        codec,
        size,
        edit_start: edit_start(trak)?,
        defaults: Defaults::default(),
    })
}

/// Media time of the first edit that is not empty.
fn edit_start(trak: &[u8]) -> Result<u64, Mp4Error> {
    let Some(edts) = optional(trak, "edts")? else { return Ok(0) };
    let Some(elst) = optional(edts.payload, "elst")? else { return Ok(0) };
    let mut fields = Fields::new(elst.payload);
    let (version, _) = fields.version_and_flags()?;
    for _ in 0..fields.u32()? {
        let media_time = if version == 1 {
            fields.u64()?;
            i64::from_be_bytes(fields.array()?)
        } else {
            fields.u32()?;
            i64::from(i32::from_be_bytes(fields.array()?))
        };
        fields.u32()?;
        if let Ok(start) = u64::try_from(media_time) {
            return Ok(start);
        }
    }
    Ok(0)
}

fn set_defaults(tracks: &mut [InitTrack], trex: &[u8]) -> Result<(), Mp4Error> {
    let mut fields = Fields::new(trex);
    fields.version_and_flags()?;
    let id = fields.u32()?;
    fields.u32()?;
    let defaults = Defaults { duration: fields.u32()?, size: fields.u32()?, flags: fields.u32()? };
    for track in tracks.iter_mut().filter(|track| track.id == id) {
        track.defaults = defaults;
    }
    Ok(())
}
