//! The grid of times at which every rendition is cut.

use gstreamer as gst;

use crate::tracks::FrameRate;

/// Keyframes stand this far apart, in whole frames nearest to it.
const KEYFRAME_SECONDS: f64 = 2.0;
/// Groups of pictures in a segment: 4 s.
const GROUPS_PER_SEGMENT: u64 = 2;

/// Equal segments of a whole number of frames, the same on all rungs and for all sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    rate: FrameRate,
    frames_per_group: u64,
}

impl Grid {
    /// The grid of pictures at this rate.
    pub(crate) fn of(rate: FrameRate) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few hundred at most, and positive"
        )]
        let frames_per_group = (rate.as_f64() * KEYFRAME_SECONDS).round().clamp(1.0, 1000.0) as u64;
        Self { rate, frames_per_group }
    }

    /// Frames from one keyframe to the next.
    pub(crate) fn frames_per_group(self) -> u64 {
        self.frames_per_group
    }

    /// When the segment of this number starts.
    pub(crate) fn start_of(self, sequence: u64) -> gst::ClockTime {
        let frames = u128::from(sequence) * u128::from(self.frames_per_group * GROUPS_PER_SEGMENT);
        let nanoseconds = frames * 1_000_000_000 * u128::from(self.rate.denominator)
            / u128::from(self.rate.numerator.max(1));
        gst::ClockTime::from_nseconds(u64::try_from(nanoseconds).unwrap_or(u64::MAX - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_rates_are_cut_every_four_seconds() {
        for frames in [1, 24, 25, 30, 50, 60] {
            let grid = Grid::of(FrameRate::whole(frames));
            assert_eq!(grid.start_of(900), gst::ClockTime::from_seconds(3600), "{frames}");
        }
    }

    #[test]
    fn broken_rates_are_cut_at_whole_frames_without_drift() {
        let grid = Grid::of(FrameRate { numerator: 30000, denominator: 1001 });
        assert_eq!(grid.frames_per_group(), 60);
        assert_eq!(grid.start_of(1000), gst::ClockTime::from_nseconds(4_004_000_000_000));
    }
}
