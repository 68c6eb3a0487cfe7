//! Reading a fragment: where its samples are, how long they last, and which are keyframes.
use super::boxes::{Fields, Found, Mp4Error, boxes, boxes_of_prefix, find, optional};
use super::init::{Defaults, Init, InitTrack, TrackKind};
use crate::tracks::{Keyframe, MAX_MARK_KEYFRAMES, SegmentInfo};

/// Most samples of one segment: minutes of video at 60 frames a second, or of audio.
const MAX_SAMPLES: usize = 100_000;
/// `sample_is_non_sync_sample` of the sample flags.
const NOT_SYNC: u32 = 0x0001_0000;

/// One sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Where it starts, from the start of the segment.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u32,
    /// How long it lasts, in units of the track.
    pub duration: u32,
    /// When it is decoded, in units of the track.
    pub decode_time: u64,
    /// How much later it is shown.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub keyframe: bool,
}

impl Sample {
    /// When it is shown, on the track's own time line.
    #[must_use]
    pub fn presentation_time(&self) -> u64 {
        self.decode_time.saturating_add_signed(i64::from(self.composition_offset))
    }
}

/// One segment of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Number of its track.
    pub track: u32,
    /// Its samples, in decode order.
    pub samples: Vec<Sample>,
}

/// Reads a whole segment, or the front of one that holds at least its (first) `moof`. Sample data need not be there.
/// A segment may hold several chunks (`moof` and `mdat` pairs) of the one track.
pub fn read_fragment(bytes: &[u8], track: &InitTrack) -> Result<Fragment, Mp4Error> {
    let mut fragment = Fragment { track: 0, samples: Vec::new() };
    for found in boxes_of_prefix(bytes) {
        let found = found?;
        if &found.kind == b"moof" {
            read_moof(&found, track.defaults, &mut fragment)?;
        }
    }
    if fragment.samples.is_empty() {
        return Err(Mp4Error::Missing("moof"));
    }
    Ok(fragment)
}

/// What the playlist and the Blob's mark need of a finished segment, from its bytes alone. Times are on the presentation
/// time line of the rendition, its edit list applied.
pub fn segment_info(bytes: &[u8], init: &Init, sequence: u64) -> Result<SegmentInfo, Mp4Error> {
    let track = init.only_track()?;
    let fragment = read_fragment(bytes, track)?;
    let to_us = |units: u64| scale(units, 1_000_000, u64::from(track.timescale));
    let shown = |sample: &Sample| sample.presentation_time().saturating_sub(track.edit_start);
    let start = fragment.samples.iter().map(shown).min().unwrap_or(0);
    let duration = fragment.samples.iter().map(|sample| u64::from(sample.duration)).sum();
    let mut keyframes = Vec::new();
    if track.kind == TrackKind::Video {
        for sample in fragment.samples.iter().filter(|sample| sample.keyframe).take(MAX_MARK_KEYFRAMES) {
            keyframes.push(Keyframe {
                offset: u32::try_from(sample.offset).map_err(|_| Mp4Error::Bad("sample offset"))?,
                length: sample.size,
                pts_us: to_us(shown(sample)),
            });
        }
    }
    Ok(SegmentInfo { sequence, start_us: to_us(start), duration_us: to_us(duration), keyframes })
}

/// `value * numerator / denominator`, rounded to nearest.
pub(super) fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    let denominator = u128::from(denominator.max(1));
    let scaled = (u128::from(value) * u128::from(numerator) + denominator / 2) / denominator;
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn read_moof(moof: &Found<'_>, defaults: Defaults, fragment: &mut Fragment) -> Result<(), Mp4Error> {
    let mut trafs = boxes(moof.payload).filter(|found| !matches!(found, Ok(found) if &found.kind != b"traf"));
    let traf = trafs.next().ok_or(Mp4Error::Missing("traf"))??;
    if trafs.next().is_some() {
        return Err(Mp4Error::Unsupported("number of tracks"));
    }
    let header = TrackFragment::read(find(traf.payload, "tfhd")?.payload, moof, defaults)?;
    if fragment.samples.is_empty() {
        fragment.track = header.track;
    } else if fragment.track != header.track {
        return Err(Mp4Error::Unsupported("number of tracks"));
    }
    let mut time = match optional(traf.payload, "tfdt")? {
        Some(tfdt) => decode_time(tfdt.payload)?,
        None => fragment.samples.last().map_or(0, |last| last.decode_time + u64::from(last.duration)),
    };
    let mut data = header.base;
    for found in boxes(traf.payload) {
        let found = found?;
        if &found.kind == b"trun" {
            read_run(found.payload, &header, &mut data, &mut time, &mut fragment.samples)?;
        }
    }
    Ok(())
}

/// `tfhd`, with the defaults of `trex` filled in.
struct TrackFragment {
    track: u32,
    base: u64,
    defaults: Defaults,
}

impl TrackFragment {
    fn read(tfhd: &[u8], moof: &Found<'_>, mut defaults: Defaults) -> Result<Self, Mp4Error> {
        let mut fields = Fields::new(tfhd);
        let (_, flags) = fields.version_and_flags()?;
        let track = fields.u32()?;
        if flags & 0x01 != 0 {
            // An absolute offset means the file it was written in, which is not the one it is read from.
            return Err(Mp4Error::Unsupported("base data offset"));
        }
        if flags & 0x02 != 0 {
            fields.u32()?;
        }
        for (flag, value) in
            [(0x08, &mut defaults.duration), (0x10, &mut defaults.size), (0x20, &mut defaults.flags)]
        {
            if flags & flag != 0 {
                *value = fields.u32()?;
            }
        }
        Ok(Self { track, base: moof.start as u64, defaults })
    }
}

fn decode_time(tfdt: &[u8]) -> Result<u64, Mp4Error> {
    let mut fields = Fields::new(tfdt);
    let (version, _) = fields.version_and_flags()?;
    if version == 1 { fields.u64() } else { Ok(u64::from(fields.u32()?)) }
}

fn read_run(
    trun: &[u8],
    header: &TrackFragment,
    data: &mut u64,
    time: &mut u64,
    samples: &mut Vec<Sample>,
) -> Result<(), Mp4Error> {
    let mut fields = Fields::new(trun);
    let (_, flags) = fields.version_and_flags()?;
    let count = fields.u32()? as usize;
    if samples.len() + count > MAX_SAMPLES {
        return Err(Mp4Error::Unsupported("number of samples"));
    }
    if flags & 0x01 != 0 {
        let offset = i32::from_be_bytes(fields.array()?);
        *data = header.base.checked_add_signed(i64::from(offset)).ok_or(Mp4Error::Bad("data offset"))?;
    }
    let mut first_flags = if flags & 0x04 != 0 { Some(fields.u32()?) } else { None };
    for _ in 0..count {
        let mut field = |flag: u32, default: u32| {
            if flags & flag == 0 { Ok(default) } else { fields.u32() }
        };
        let duration = field(0x100, header.defaults.duration)?;
        let size = field(0x200, header.defaults.size)?;
        let own_flags = field(0x400, header.defaults.flags)?;
        // Version 0 offsets are unsigned, but no encoder delays a picture by 2^31 units.
        let composition_offset = i32::from_be_bytes(field(0x800, 0)?.to_be_bytes());
        let sample_flags = first_flags.take().unwrap_or(own_flags);
        samples.push(Sample {
            offset: *data,
            size,
            duration,
            decode_time: *time,
            composition_offset,
            keyframe: sample_flags & NOT_SYNC == 0,
        });
        *data = data.checked_add(u64::from(size)).ok_or(Mp4Error::Bad("sample size"))?;
        *time = time.checked_add(u64::from(duration)).ok_or(Mp4Error::Bad("decode time"))?;
    }
    Ok(())
}
