//! Which sources can be made in parts, each by a worker of its own that begins in the middle of the source.

use crate::graph::{Grid, can_begin_in_the_middle};
use crate::tracks::Probe;

use super::TranscodeSpec;

/// The pictures of a source as equal segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divisible {
    /// How many there will be, as far as the source says how long it is.
    pub segments: u64,
    /// Length of play of one, in milliseconds.
    pub segment_ms: u64,
}

/// How the pictures of a source divide into segments that any worker can begin at. `None` when there is none to do: the
/// container has no index, its length is not known, or it is cut where its own keyframes are.
#[must_use]
pub fn divisible(spec: &TranscodeSpec) -> Option<Divisible> {
    let Probe { container, duration_ms, .. } = &spec.probe;
    let top = spec.rungs.first().filter(|_| !spec.pass_through)?;
    let duration_ms = (*duration_ms).filter(|_| can_begin_in_the_middle(container))?;
    let segment_ms = Grid::of(top.frame_rate).start_of(1).mseconds().max(1);
    Some(Divisible { segments: duration_ms.div_ceil(segment_ms), segment_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder;
    use crate::tracks::{DynamicRange, FrameRate, Rotation, VideoTrack};

    fn spec(container: &str, duration_ms: Option<u64>) -> TranscodeSpec {
        let video = VideoTrack {
            index: 0,
            codec: "h264".into(),
            profile: Some("high".into()),
            level: Some("4.1".into()),
            width: 1280,
            height: 720,
            pixel_aspect: (1, 1),
            rotation: Rotation::None,
            frame_rate: FrameRate::new(25, 1),
            variable_frame_rate: false,
            interlaced: false,
            bit_depth: 8,
            chroma: "4:2:0".into(),
            dynamic_range: DynamicRange::Standard,
            bitrate: None,
            keyframe_interval_ms: Some(2_000),
        };
        let rungs = ladder::choose(&video);
        let probe =
            Probe { container: container.into(), duration_ms, video: vec![video], ..Probe::default() };
        TranscodeSpec::new(probe, rungs)
    }

    #[test]
    fn what_has_an_index_and_a_length_divides_into_segments() {
        let whole = Divisible { segments: 75, segment_ms: 4_000 };
        assert_eq!(divisible(&spec("mp4", Some(300_000))), Some(whole));
        assert_eq!(divisible(&spec("mp4", Some(300_001))), Some(Divisible { segments: 76, ..whole }));
    }

    #[test]
    fn what_can_only_be_read_from_its_start_does_not() {
        assert_eq!(divisible(&spec("matroska", Some(300_000))), None);
        assert_eq!(divisible(&spec("mp4", None)), None);
        let passed = TranscodeSpec { pass_through: true, ..spec("mp4", Some(300_000)) };
        assert_eq!(divisible(&passed), None);
        let silent = TranscodeSpec { rungs: Vec::new(), ..spec("mp4", Some(300_000)) };
        assert_eq!(divisible(&silent), None);
    }
}
