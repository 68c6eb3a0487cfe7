//! Where renditions are cut: on the grid, or, when the top rung is the source's own stream, at keyframes of the source.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;

use super::grid::Grid;
use crate::ladder::LONGEST_SEGMENT_MS;
use crate::transcode::Unpassable;

/// Where one rendition is cut.
#[derive(Debug, Clone)]
pub(crate) enum Cuts {
    /// At equal distances, known from the start.
    Grid(Grid),
    /// Where the source can be cut, known as it is read.
    Source(Arc<SourceCuts>),
}

impl Cuts {
    /// When the segment of this number starts; `None` while the source has not been read that far.
    pub(crate) fn start_of(&self, sequence: u64) -> Option<gst::ClockTime> {
        match self {
            Self::Grid(grid) => Some(grid.start_of(sequence)),
            Self::Source(cuts) => cuts.start_of(sequence),
        }
    }
}

/// A segment is cut at the first keyframe after this, unless the keyframes are far apart.
const USUAL_SEGMENT_MS: u64 = 4_000;
/// The first picture must be there by then: players skip no larger hole of their own accord.
const LATEST_START: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// Encoded rungs follow only keyframes that are at least this far from the one before, save where a segment starts: a source
/// of nothing but keyframes would cost them their quality.
const LEAST_GROUP: gst::ClockTime = gst::ClockTime::from_mseconds(1_000);
/// Times that differ by less are the same: containers round to a millisecond.
const SAME_TIME: gst::ClockTime = gst::ClockTime::from_useconds(1_500);

/// The keyframes of the source as its packets go by, and the cuts made of them. A pure function of the source and of `least`,
/// so that a transcode that begins again cuts at the same times.
#[derive(Debug)]
pub(crate) struct SourceCuts {
    least: gst::ClockTime,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    last_keyframe: Option<gst::ClockTime>,
    /// Where segments start.
    cuts: Vec<gst::ClockTime>,
    /// Where encoded rungs have keyframes: the cuts, and keyframes between them.
    followed: Vec<gst::ClockTime>,
}

impl SourceCuts {
    /// For a source whose keyframes were found to stand at most this far apart.
    pub(crate) fn new(keyframe_interval_ms: u32) -> Arc<Self> {
        // A cut is made at the first keyframe after `least`, so that no segment is longer than `least` and one group.
        let room = u64::from(LONGEST_SEGMENT_MS).saturating_sub(keyframe_interval_ms.into());
        let least = gst::ClockTime::from_mseconds(room.min(USUAL_SEGMENT_MS));
        Arc::new(Self { least, seen: Mutex::default() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the next keyframe, in order of decoding.
    pub(crate) fn keyframe(&self, time: gst::ClockTime) -> Result<(), Unpassable> {
        let mut seen = self.seen();
        if seen.last_keyframe.is_some_and(|last| time <= last) {
            return Err(Unpassable::BadTimes);
        }
        seen.last_keyframe = Some(time);
        let (Some(&cut), Some(&followed)) = (seen.cuts.last(), seen.followed.last()) else {
            if time > LATEST_START {
                return Err(Unpassable::StartsLate);
            }
            seen.cuts.push(time);
            seen.followed.push(time);
            return Ok(());
        };
        within_a_segment(cut, time)?;
        let is_cut = time + SAME_TIME >= cut + self.least;
        if is_cut {
            seen.cuts.push(time);
        }
        if is_cut || time >= followed + LEAST_GROUP {
            seen.followed.push(time);
        }
        Ok(())
    }

    /// Takes note of a picture that is no keyframe.
    pub(crate) fn picture(&self, time: gst::ClockTime) -> Result<(), Unpassable> {
        let cut = self.seen().cuts.last().copied().ok_or(Unpassable::NoKeyframeFirst)?;
        within_a_segment(cut, time)
    }

    /// When the segment of this number starts, once that is known.
    pub(crate) fn start_of(&self, sequence: u64) -> Option<gst::ClockTime> {
        self.seen().cuts.get(usize::try_from(sequence).ok()?).copied()
    }

    /// Whether the picture shown at `time` is to be a keyframe; `passed` counts the keyframes that were.
    pub(crate) fn is_followed(&self, passed: &mut usize, time: gst::ClockTime) -> bool {
        let seen = self.seen();
        let reached = seen.followed[*passed..].iter().take_while(|keyframe| time + SAME_TIME >= **keyframe);
        let reached = reached.count();
        *passed += reached;
        reached > 0
    }
}

fn within_a_segment(cut: gst::ClockTime, time: gst::ClockTime) -> Result<(), Unpassable> {
    if time > cut + gst::ClockTime::from_mseconds(LONGEST_SEGMENT_MS.into()) {
        return Err(Unpassable::RareKeyframes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts_of(interval_ms: u32, keyframes_ms: &[u64]) -> Vec<u64> {
        let cuts = SourceCuts::new(interval_ms);
        for keyframe in keyframes_ms {
            cuts.keyframe(gst::ClockTime::from_mseconds(*keyframe)).unwrap();
        }
        (0..).map_while(|sequence| cuts.start_of(sequence)).map(gst::ClockTime::mseconds).collect()
    }

    #[test]
    fn segments_start_at_the_first_keyframe_after_four_seconds() {
        assert_eq!(cuts_of(2_000, &[0, 2_000, 4_000, 6_000, 8_000]), [0, 4_000, 8_000]);
        assert_eq!(cuts_of(2_400, &[0, 2_400, 4_800, 7_200, 9_600]), [0, 4_800, 9_600]);
        // A container that rounds to milliseconds.
        assert_eq!(cuts_of(2_002, &[33, 2_035, 4_032, 6_039]), [33, 4_032]);
    }

    #[test]
    fn rare_keyframes_make_segments_of_their_own_distance() {
        assert_eq!(cuts_of(5_000, &[0, 5_000, 10_000]), [0, 5_000, 10_000]);
        assert_eq!(cuts_of(3_000, &[0, 3_000, 6_000, 9_000, 12_000]), [0, 6_000, 12_000]);
        assert_eq!(cuts_of(6_000, &[0, 300, 6_000, 12_000]), [0, 6_000, 12_000]);
    }

    #[test]
    fn what_makes_a_source_unfit_is_told_apart() {
        let at = gst::ClockTime::from_mseconds;
        let cuts = SourceCuts::new(2_000);
        assert_eq!(cuts.picture(at(0)), Err(Unpassable::NoKeyframeFirst));
        assert_eq!(cuts.keyframe(at(101)), Err(Unpassable::StartsLate));
        let cuts = SourceCuts::new(2_000);
        cuts.keyframe(at(0)).unwrap();
        cuts.picture(at(6_400)).unwrap();
        assert_eq!(cuts.picture(at(6_401)), Err(Unpassable::RareKeyframes));
        assert_eq!(cuts.keyframe(at(6_401)), Err(Unpassable::RareKeyframes));
        let cuts = SourceCuts::new(2_000);
        cuts.keyframe(at(50)).unwrap();
        assert_eq!(cuts.keyframe(at(50)), Err(Unpassable::BadTimes));
    }

    #[test]
    fn encoded_rungs_follow_every_cut_but_not_every_keyframe() {
        let at = gst::ClockTime::from_mseconds;
        let cuts = SourceCuts::new(40);
        let followed: Vec<u64> = {
            let mut passed = 0;
            let follow = |time: &u64| {
                cuts.keyframe(at(*time)).unwrap();
                cuts.is_followed(&mut passed, at(*time))
            };
            (0..250).map(|number| number * 40).filter(follow).collect()
        };
        assert_eq!(followed, [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000]);
    }
}
