//! A download of one video rendition and its audio as one MP4, made on the fly from their segments.
//!
//! The result is a *fragmented* MP4 with a segment index in front, not a progressive one: a progressive `moov` needs the
//! size of every sample, which only the segments themselves know, so it would have to read (and decipher) all of them
//! before the first byte leaves, and hold tables that grow with the video. The index needs the segment marks alone. So the
//! total length is known at once, any byte range can be served (a part of it costs one segment), and memory is one segment
//! however long the video. Rewriting a segment changes numbers in place and never its length.
use std::ops::Range;

use super::boxes::{Fields, Mp4Error, boxed, boxes, find, full_box, optional};
use super::fragment::scale;
use super::init::{read_init, track_id_at};
use crate::tracks::SegmentMark;

/// Most entries one index can have.
const MAX_INDEX_ENTRIES: usize = u16::MAX as usize;
/// Most tracks of one download.
const MAX_TRACKS: usize = 8;
/// "Starts with a keyframe", for every entry.
const STARTS_WITH_KEYFRAME: u32 = 0x9000_0000;

/// One rendition to put in: the first is the one that the index follows, so video comes before audio.
#[derive(Debug, Clone, Copy)]
pub struct JoinTrack<'a> {
    /// Its clear header.
    pub init: &'a [u8],
    /// All its segments, in order.
    pub segments: &'a [SegmentMark],
}

/// Where the bytes of a piece come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinSource {
    /// [`Join::header`].
    Header,
    /// A segment, deciphered and passed through [`Join::rewrite`].
    Segment {
        /// Index among the tracks given.
        track: usize,
        /// Index among the track's segments.
        index: usize,
    },
}

/// A run of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinPiece {
    /// Where it starts in the file.
    pub at: u64,
    /// Its length.
    pub length: u64,
    /// Where its bytes come from.
    pub source: JoinSource,
    number: u32,
}

/// The plan of one joined file.
#[derive(Debug, Clone)]
pub struct Join {
    header: Vec<u8>,
    pieces: Vec<JoinPiece>,
    length: u64,
}

impl Join {
    /// Plans the file. Reads the headers; needs nothing of the segments but their marks.
    pub fn plan(tracks: &[JoinTrack<'_>]) -> Result<Self, Mp4Error> {
        if tracks.is_empty() || tracks.len() > MAX_TRACKS {
            return Err(Mp4Error::Unsupported("number of tracks"));
        }
        let groups = interleave(tracks);
        let mut header = header(tracks)?;
        header.extend_from_slice(&index(tracks, &groups)?);
        let mut at = header.len() as u64;
        let mut pieces = vec![JoinPiece { at: 0, length: at, source: JoinSource::Header, number: 0 }];
        for (track, index) in groups.into_iter().flatten() {
            let length = tracks[track].segments[index].plain_length;
            let number = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
            pieces.push(JoinPiece { at, length, source: JoinSource::Segment { track, index }, number });
            at = at.checked_add(length).ok_or(Mp4Error::Bad("segment length"))?;
        }
        Ok(Self { header, pieces, length: at })
    }

    /// Length of the whole file.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The first piece's bytes.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The pieces that overlap `range`, in order. What lies outside of the range is the caller's to cut off.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = JoinPiece> + '_ {
        let first = self.pieces.partition_point(|piece| piece.at + piece.length <= range.start);
        let end = range.end.min(self.length);
        self.pieces[first..].iter().copied().take_while(move |piece| piece.at < end)
    }

    /// Makes the plain bytes of a segment fit its place in the file, without changing their length.
    pub fn rewrite(&self, piece: &JoinPiece, plain: &mut [u8]) -> Result<(), Mp4Error> {
        let JoinSource::Segment { track, .. } = piece.source else {
            return Err(Mp4Error::Unsupported("piece"));
        };
        if plain.len() as u64 != piece.length {
            return Err(Mp4Error::Bad("segment length"));
        }
        let numbers = numbers_in(plain)?;
        for (count, at) in numbers.sequences.into_iter().enumerate() {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            put(plain, at, piece.number.saturating_mul(256).saturating_add(count))?;
        }
        for at in numbers.tracks {
            put(plain, at, track_number(track))?;
        }
        for at in numbers.own_indexes {
            // It spoke of this segment as a file of its own.
            put(plain, at, u32::from_be_bytes(*b"free"))?;
        }
        Ok(())
    }
}

fn track_number(track: usize) -> u32 {
    u32::try_from(track + 1).unwrap_or(u32::MAX)
}

fn put(bytes: &mut [u8], at: usize, value: u32) -> Result<(), Mp4Error> {
    bytes.get_mut(at..at + 4).ok_or(Mp4Error::Cut)?.copy_from_slice(&value.to_be_bytes());
    Ok(())
}

/// Where the numbers to change stand in a segment.
struct Numbers {
    sequences: Vec<usize>,
    tracks: Vec<usize>,
    own_indexes: Vec<usize>,
}

fn numbers_in(segment: &[u8]) -> Result<Numbers, Mp4Error> {
    let mut numbers = Numbers { sequences: Vec::new(), tracks: Vec::new(), own_indexes: Vec::new() };
    for found in boxes(segment) {
        let moof = found?;
        if &moof.kind == b"sidx" {
            numbers.own_indexes.push(moof.start + 4);
        }
        if &moof.kind != b"moof" {
            continue;
        }
        for child in boxes(moof.payload) {
            let child = child?;
            if &child.kind == b"mfhd" {
                numbers.sequences.push(moof.body + child.body + 4);
            } else if &child.kind == b"traf" {
                let tfhd = find(child.payload, "tfhd")?;
                numbers.tracks.push(moof.body + child.body + tfhd.body + 4);
            }
        }
    }
    Ok(numbers)
}

/// Segments in file order, in groups that each start with one of the first track: what the other tracks play from then
/// until the next group stands with it.
fn interleave(tracks: &[JoinTrack<'_>]) -> Vec<Vec<(usize, usize)>> {
    let Some((first, others)) = tracks.split_first() else { return Vec::new() };
    let mut next = vec![0usize; others.len()];
    let mut groups = Vec::with_capacity(first.segments.len().max(1));
    for index in 0..first.segments.len().max(1) {
        let mut group = Vec::new();
        if index < first.segments.len() {
            group.push((0, index));
        }
        let until = first.segments.get(index + 1).map_or(u64::MAX, |segment| segment.start_us);
        for (other, track) in others.iter().enumerate() {
            while track.segments.get(next[other]).is_some_and(|segment| segment.start_us < until) {
                group.push((other + 1, next[other]));
                next[other] += 1;
            }
        }
        groups.push(group);
    }
    groups
}

/// One `sidx` for every track, all over the same groups: players look up each track in its own, in its own units.
fn index(tracks: &[JoinTrack<'_>], groups: &[Vec<(usize, usize)>]) -> Result<Vec<u8>, Mp4Error> {
    let spans = index_spans(tracks, groups);
    let count = u16::try_from(spans.len()).unwrap_or(u16::MAX);
    // Full box header, five fields and the entries: all the same length.
    let box_length = 12 + 28 + 12 * spans.len();
    let mut bytes = Vec::with_capacity(box_length * tracks.len());
    for (number, track) in tracks.iter().enumerate() {
        let timescale = read_init(track.init)?.only_track()?.timescale;
        let units = |us: u64| scale(us, u64::from(timescale), 1_000_000);
        let start_us = track.segments.first().map_or(0, |segment| segment.start_us);
        let to_first_segment = ((tracks.len() - 1 - number) * box_length) as u64;
        let mut entries = Vec::with_capacity(12 * spans.len());
        for span in &spans {
            // Ends are rounded, not lengths, so that no error adds up.
            let duration = units(span.end_us) - units(span.start_us);
            for word in [span.size, u32::try_from(duration).unwrap_or(u32::MAX), STARTS_WITH_KEYFRAME] {
                entries.extend_from_slice(&word.to_be_bytes());
            }
        }
        bytes.extend_from_slice(&full_box(
            b"sidx",
            1,
            0,
            &[
                &track_number(number).to_be_bytes(),
                &timescale.to_be_bytes(),
                &units(start_us).to_be_bytes(),
                &to_first_segment.to_be_bytes(),
                &[0, 0],
                &count.to_be_bytes(),
                &entries,
            ],
        ));
    }
    Ok(bytes)
}

/// What one index entry covers.
struct Span {
    size: u32,
    start_us: u64,
    end_us: u64,
}

/// The groups, or several of them together when there are more than an index can hold.
fn index_spans(tracks: &[JoinTrack<'_>], groups: &[Vec<(usize, usize)>]) -> Vec<Span> {
    let together = groups.len().div_ceil(MAX_INDEX_ENTRIES).max(1);
    let mut spans = Vec::new();
    let mut end_us = 0u64;
    for chunk in groups.chunks(together) {
        let start_us = end_us;
        let mut size = 0u64;
        for (track, index) in chunk.iter().flatten() {
            let segment = &tracks[*track].segments[*index];
            size = size.saturating_add(segment.plain_length);
            if *track == 0 {
                end_us = end_us.saturating_add(segment.duration_us);
            }
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX) & 0x7fff_ffff;
        spans.push(Span { size, start_us, end_us });
    }
    spans
}

/// `ftyp` and a `moov` that holds the tracks of all headers, numbered from 1.
fn header(tracks: &[JoinTrack<'_>]) -> Result<Vec<u8>, Mp4Error> {
    let timescale = read_init(tracks[0].init)?.timescale;
    let mut mvhd = find(find(tracks[0].init, "moov")?.payload, "mvhd")?.payload.to_vec();
    let next_track = mvhd.len().checked_sub(4).ok_or(Mp4Error::Cut)?;
    put(&mut mvhd, next_track, track_number(tracks.len()))?;

    let mut traks = Vec::new();
    let mut defaults = Vec::new();
    for (index, track) in tracks.iter().enumerate() {
        let init = read_init(track.init)?;
        init.only_track()?;
        let moov = find(track.init, "moov")?.payload;
        traks.extend_from_slice(&renumbered_trak(moov, track_number(index), init.timescale, timescale)?);
        defaults.extend_from_slice(&renumbered_trex(moov, track_number(index))?);
    }
    let longest_us = tracks
        .iter()
        .filter_map(|track| track.segments.last())
        .map(|last| last.start_us.saturating_add(last.duration_us))
        .max()
        .unwrap_or(0);
    let duration = scale(longest_us, u64::from(timescale), 1_000_000);
    let mehd = full_box(b"mehd", 1, 0, &[&duration.to_be_bytes()]);
    let mvex = boxed(b"mvex", &[&mehd, &defaults]);
    let mut bytes = boxed(b"ftyp", &[b"iso6", &512u32.to_be_bytes(), b"iso6isomiso5mp42avc1"]);
    bytes.extend_from_slice(&boxed(b"moov", &[&boxed(b"mvhd", &[&mvhd]), &traks, &mvex]));
    Ok(bytes)
}

fn renumbered_trak(moov: &[u8], number: u32, from: u32, to: u32) -> Result<Vec<u8>, Mp4Error> {
    let trak = find(moov, "trak")?;
    let mut payload = trak.payload.to_vec();
    let tkhd = find(trak.payload, "tkhd")?;
    put(&mut payload, tkhd.body + track_id_at(tkhd.payload)?, number)?;
    if from != to {
        rescale_edits(trak.payload, &mut payload, from, to)?;
    }
    Ok(boxed(b"trak", &[&payload]))
}

/// Edit durations count in units of the movie, which is now another one.
fn rescale_edits(trak: &[u8], copy: &mut [u8], from: u32, to: u32) -> Result<(), Mp4Error> {
    let Some(edts) = optional(trak, "edts")? else { return Ok(()) };
    let Some(elst) = optional(edts.payload, "elst")? else { return Ok(()) };
    let mut fields = Fields::new(elst.payload);
    let (version, _) = fields.version_and_flags()?;
    let count = fields.u32()?;
    for _ in 0..count {
        let at = edts.body + elst.body + fields.position();
        if version == 1 {
            let scaled = scale(fields.u64()?, u64::from(to), u64::from(from));
            copy.get_mut(at..at + 8).ok_or(Mp4Error::Cut)?.copy_from_slice(&scaled.to_be_bytes());
            fields.take(12)?;
        } else {
            let scaled = scale(u64::from(fields.u32()?), u64::from(to), u64::from(from));
            put(copy, at, u32::try_from(scaled).unwrap_or(u32::MAX))?;
            fields.take(8)?;
        }
    }
    Ok(())
}

fn renumbered_trex(moov: &[u8], number: u32) -> Result<Vec<u8>, Mp4Error> {
    let mvex = find(moov, "mvex")?;
    let mut trex = find(mvex.payload, "trex")?.payload.to_vec();
    put(&mut trex, 4, number)?;
    Ok(boxed(b"trex", &[&trex]))
}
