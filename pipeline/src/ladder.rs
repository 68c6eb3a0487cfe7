//! The ladder: which video rungs are made of a source. Pure: the same track always gives the same rungs.
//!
//! A rung is named after the 16:9 box its picture fits in (turned for portrait), as people say "720p" of a wide film whose
//! picture is 1280x536. The top rung is the source's own size up to 1080; below it come the standard boxes that are
//! clearly smaller.
use serde::{Deserialize, Serialize};

use crate::tracks::{DynamicRange, FrameRate, Probe, RenditionId, Rotation, VideoTrack};

/// The standard boxes, by the length of their short side.
const BOXES: [u32; 5] = [1080, 720, 480, 360, 240];
/// Most frames a second that a rung keeps.
const MAX_FRAME_RATE: u32 = 60;
/// What is taken for a source that names no believable rate.
const DEFAULT_FRAME_RATE: u32 = 30;
/// A variable source that claims more than this names its clock, not its pictures.
const BELIEVABLE_VARIABLE_RATE: f64 = 120.0;
/// The encoder takes no smaller side.
const MIN_SIDE: u64 = 16;
/// Longest segment of a source that is passed through: it must still round to `playlist::TARGET_DURATION_S`.
pub(crate) const LONGEST_SEGMENT_MS: u32 = 6_400;
/// Longest distance between keyframes with which a source may be passed through: a segment of one group, and a little room.
pub const MAX_PASS_THROUGH_KEYFRAME_MS: u32 = 6_000;
/// A source may need this many times the bits that its rung would be encoded with.
const PASS_THROUGH_BITRATE_TIMES: u64 = 3;
/// Containers that say when a picture is decoded, whose times are known to come out right, and that tell whole pictures from
/// cut ones. Matroska says only when one is shown; a transport stream loses packets without a word, and the damage would be
/// passed on.
const PASS_THROUGH_CONTAINERS: [&str; 1] = ["mp4"];

/// Bits a second in thousands that suit a picture of so many pixels at 30 frames a second with x264 `veryfast`.
const BITRATES: [(u64, u64); 7] = [
    (0, 60),
    (256 * 144, 180),
    (426 * 240, 400),
    (640 * 360, 700),
    (854 * 480, 1_200),
    (1_280 * 720, 2_800),
    (1_920 * 1_080, 5_000),
];

/// One video rendition to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Its name, after its box: `v720`.
    pub id: RenditionId,
    /// Width of the upright picture with square pixels; even.
    pub width: u32,
    /// Height of the upright picture with square pixels; even.
    pub height: u32,
    /// Frames a second to make.
    pub frame_rate: FrameRate,
    /// Target bits a second, in thousands.
    pub bitrate_kbps: u32,
    /// Bits a second that no two seconds may exceed, in thousands.
    pub max_bitrate_kbps: u32,
}

/// The rungs to make of `track`, largest first; never empty, never larger than the source as shown
/// (save that no side is under 16 pixels, which H.264 encoders do not take).
#[must_use]
pub fn choose(track: &VideoTrack) -> Vec<Rung> {
    let shown = shown_size(track);
    let frame_rate = frame_rate(track);
    let own = box_of(shown).min(BOXES[0]);
    let smaller = BOXES.into_iter().filter(|side| side * 5 <= own * 4);
    std::iter::once(own).chain(smaller).map(|side| rung(shown, side, frame_rate)).collect()
}

/// Whether the pictures of this source can be kept as the top rung as they are: H.264 that every player decodes, upright,
/// square, progressive, standard range, within the top box, at a rate and with bits that suit its rung, with keyframes close
/// enough together. Judged from the first packets: a transcode still gives up when the rest is otherwise.
#[must_use]
pub fn may_pass_through(probe: &Probe) -> bool {
    PASS_THROUGH_CONTAINERS.contains(&probe.container.as_str()) && probe.video.first().is_some_and(is_fit)
}

fn is_fit(track: &VideoTrack) -> bool {
    let profile = track.profile.as_deref().unwrap_or_default();
    let level: f32 = track.level.as_deref().and_then(|level| level.parse().ok()).unwrap_or(f32::MAX);
    let plain_h264 = track.codec == "h264"
        && ["constrained-baseline", "baseline", "main", "high", "progressive-high", "constrained-high"]
            .contains(&profile)
        && level <= 4.2
        && track.bit_depth == 8
        && track.chroma == "4:2:0"
        && !track.interlaced
        && track.dynamic_range == DynamicRange::Standard;
    let as_shown = track.rotation == Rotation::None
        && track.pixel_aspect.0 == track.pixel_aspect.1
        && track.width.is_multiple_of(2)
        && track.height.is_multiple_of(2)
        && u64::from(track.width.min(track.height)) >= MIN_SIDE
        && box_of(shown_size(track)) <= BOXES[0];
    let timing = track.frame_rate.is_none_or(|rate| rate.as_f64() <= f64::from(MAX_FRAME_RATE))
        && track.keyframe_interval_ms.is_some_and(|longest| longest <= MAX_PASS_THROUGH_KEYFRAME_MS);
    let most_bits = choose(track)
        .first()
        .map_or(0, |top| u64::from(top.bitrate_kbps) * 1000 * PASS_THROUGH_BITRATE_TIMES);
    let light = track.bitrate.is_some_and(|bits| bits <= most_bits);
    plain_h264 && as_shown && timing && light
}

/// Upright size in square pixels: the height is kept and the width carries the pixel aspect.
fn shown_size(track: &VideoTrack) -> (u64, u64) {
    let (horizontal, vertical) = match track.pixel_aspect {
        (0, _) | (_, 0) => (1, 1),
        // What is stretched more than eightfold is a damaged header, not a picture.
        (h, v) if u64::from(h) > 8 * u64::from(v) || u64::from(v) > 8 * u64::from(h) => (1, 1),
        (h, v) => (u64::from(h), u64::from(v)),
    };
    let width = (u64::from(track.width.max(1)) * horizontal + vertical / 2) / vertical;
    let height = u64::from(track.height.max(1));
    let width = width.max(1);
    if track.rotation.swaps_sides() { (height, width) } else { (width, height) }
}

/// Short side of the smallest 16:9 box the picture fits in, at least 2.
fn box_of((width, height): (u64, u64)) -> u32 {
    let (long, short) = (width.max(height), width.min(height));
    let side = short.max((long * 9 + 8) / 16);
    u32::try_from(side).unwrap_or(u32::MAX).max(2)
}

fn rung(shown: (u64, u64), side: u32, frame_rate: FrameRate) -> Rung {
    let (width, height) = fit(shown, u64::from(side));
    let bitrate = bitrate_kbps(u64::from(width) * u64::from(height), frame_rate);
    Rung {
        id: RenditionId::Video(u16::try_from(side).unwrap_or(u16::MAX)),
        width,
        height,
        frame_rate,
        bitrate_kbps: bitrate,
        max_bitrate_kbps: bitrate + bitrate / 2,
    }
}

/// Scales `shown` down into the box of that short side, keeping its shape, to even sides.
fn fit((width, height): (u64, u64), side: u64) -> (u32, u32) {
    let long_limit = (side * 16 + 9) / 18 * 2;
    let (long, short) = (width.max(height), width.min(height));
    // The scale is limit / length for whichever side fills the box first, and never above 1.
    let (limit, length) = if long * side > short * long_limit { (long_limit, long) } else { (side, short) };
    let (limit, length) = if limit >= length { (1, 1) } else { (limit, length) };
    (even(width * limit, length, width), even(height * limit, length, height))
}

/// `numerator / denominator` to the nearest even number, not above `most` and not under the encoder's least.
fn even(numerator: u64, denominator: u64, most: u64) -> u32 {
    let nearest = (numerator + denominator) / (2 * denominator) * 2;
    let side = nearest.min(most / 2 * 2).max(MIN_SIDE);
    u32::try_from(side).unwrap_or(u32::MAX - 1)
}

/// The source's rate; above 60 every n-th frame of it, so that motion stays even.
fn frame_rate(track: &VideoTrack) -> FrameRate {
    let Some(rate) = track.frame_rate.filter(|rate| rate.numerator > 0 && rate.denominator > 0) else {
        return FrameRate::whole(DEFAULT_FRAME_RATE);
    };
    if track.variable_frame_rate && rate.as_f64() > BELIEVABLE_VARIABLE_RATE {
        return FrameRate::whole(DEFAULT_FRAME_RATE);
    }
    let (numerator, denominator) = (u64::from(rate.numerator), u64::from(rate.denominator));
    if numerator < denominator {
        // Slower than one picture a second would make segments of no bounded length.
        return FrameRate::whole(1);
    }
    let every = numerator.div_ceil(u64::from(MAX_FRAME_RATE) * denominator).max(1);
    reduced(numerator, denominator * every)
}

fn reduced(numerator: u64, denominator: u64) -> FrameRate {
    let divisor = greatest_common_divisor(numerator, denominator);
    match (u32::try_from(numerator / divisor), u32::try_from(denominator / divisor)) {
        (Ok(numerator), Ok(denominator)) => FrameRate { numerator, denominator },
        _ => FrameRate::whole(DEFAULT_FRAME_RATE),
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// By the table, straight between its points; half of it does not depend on the frame rate, since most of a picture is
/// there once whatever the rate.
fn bitrate_kbps(pixels: u64, frame_rate: FrameRate) -> u32 {
    let upper = BITRATES.iter().position(|(at, _)| *at >= pixels).unwrap_or(BITRATES.len() - 1).max(1);
    let ((low_pixels, low), (high_pixels, high)) = (BITRATES[upper - 1], BITRATES[upper]);
    let pixels = pixels.min(high_pixels);
    let at_thirty = low + (high - low) * (pixels - low_pixels) / (high_pixels - low_pixels);
    let (numerator, denominator) =
        (u64::from(frame_rate.numerator), u64::from(frame_rate.denominator.max(1)));
    let kbps = at_thirty / 2 + at_thirty * numerator / (60 * denominator);
    // Tens read better and encode alike.
    u32::try_from(kbps.div_ceil(10) * 10).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn track(width: u32, height: u32, rate: (u32, u32)) -> VideoTrack {
        VideoTrack {
            index: 0,
            codec: "h264".into(),
            profile: Some("high".into()),
            level: Some("4.1".into()),
            width,
            height,
            pixel_aspect: (1, 1),
            rotation: Rotation::None,
            frame_rate: FrameRate::new(rate.0, rate.1),
            variable_frame_rate: false,
            interlaced: false,
            bit_depth: 8,
            chroma: "4:2:0".into(),
            dynamic_range: DynamicRange::Standard,
            bitrate: None,
            keyframe_interval_ms: Some(2_000),
        }
    }

    fn sources() -> Vec<(&'static str, VideoTrack)> {
        let aspect =
            |width, height, pixel_aspect| VideoTrack { pixel_aspect, ..track(width, height, (25, 1)) };
        let turned = |rotation| VideoTrack { rotation, ..track(1920, 1080, (30, 1)) };
        vec![
            ("4k", track(3840, 2160, (30, 1))),
            ("1080p60", track(1920, 1080, (60, 1))),
            ("1080p23.976", track(1920, 1080, (24_000, 1001))),
            ("wide film", track(1920, 804, (24, 1))),
            ("ultra wide", track(3440, 1440, (30, 1))),
            ("portrait", track(1080, 1920, (30, 1))),
            ("phone, turned right", turned(Rotation::Right)),
            ("phone, upside down", turned(Rotation::Half)),
            ("PAL 16:9", aspect(720, 576, (64, 45))),
            ("HDV", aspect(1440, 1080, (4, 3))),
            ("NTSC 4:3", aspect(704, 480, (10, 11))),
            ("absurd aspect", aspect(640, 480, (1, 4000))),
            ("768p", track(1366, 768, (30, 1))),
            ("718 lines", track(1280, 718, (30, 1))),
            ("480x352", track(480, 352, (30_000, 1001))),
            ("odd", track(641, 361, (25, 1))),
            ("tiny", track(48, 144, (25, 1))),
            ("one pixel", track(1, 1, (25, 1))),
            ("ribbon", track(4096, 2, (25, 1))),
            ("square", track(1080, 1080, (30, 1))),
            ("120 fps", track(1280, 720, (120, 1))),
            ("119.88 fps", track(1280, 720, (120_000, 1001))),
            ("144 fps", track(1280, 720, (144, 1))),
            ("1 fps", track(320, 240, (1, 1))),
            ("a picture in ten seconds", track(320, 240, (1, 10))),
            ("no rate", track(320, 240, (0, 1))),
            ("variable, 1000 claimed", {
                VideoTrack { variable_frame_rate: true, ..track(1280, 720, (1000, 1)) }
            }),
        ]
    }

    #[test]
    fn the_table_is_as_blessed() {
        let mut table = String::new();
        for (name, source) in sources() {
            let _ = write!(table, "{name} ({}x{}):", source.width, source.height);
            for rung in choose(&source) {
                let (id, rate) = (rung.id, rung.frame_rate);
                let _ = write!(table, " {id}={}x{}@{rate}~{}k", rung.width, rung.height, rung.bitrate_kbps);
            }
            table.push('\n');
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/blessed/ladder.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &table).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), table, "run with BLESS=1 to accept");
    }

    #[test]
    fn only_what_every_player_decodes_passes_through() {
        let good = VideoTrack { bitrate: Some(12_000_000), ..track(1920, 1080, (30, 1)) };
        let of = |container: &str, video| Probe { container: container.into(), video, ..Probe::default() };
        let fits = |track: &VideoTrack| may_pass_through(&of("mp4", vec![track.clone()]));
        assert!(fits(&good));
        assert!(!may_pass_through(&of("mpegts", vec![good.clone()])), "it may hide damage");
        assert!(!may_pass_through(&of("matroska", vec![good.clone()])));
        assert!(!may_pass_through(&of("mp4", vec![])));
        type Change = fn(&mut VideoTrack);
        let changes: [(&str, Change); 16] = [
            ("codec", |t| t.codec = "h265".into()),
            ("profile", |t| t.profile = Some("high-4:4:4".into())),
            ("unknown profile", |t| t.profile = None),
            ("level", |t| t.level = Some("5.1".into())),
            ("unknown level", |t| t.level = None),
            ("depth", |t| t.bit_depth = 10),
            ("chroma", |t| t.chroma = "4:2:2".into()),
            ("interlaced", |t| t.interlaced = true),
            ("hdr", |t| t.dynamic_range = DynamicRange::Hlg),
            ("rotation", |t| t.rotation = Rotation::Right),
            ("aspect", |t| t.pixel_aspect = (4, 3)),
            ("size", |t| (t.width, t.height) = (2560, 1440)),
            ("rate", |t| t.frame_rate = FrameRate::new(120, 1)),
            ("rare keyframes", |t| t.keyframe_interval_ms = Some(6_001)),
            ("too many bits", |t| t.bitrate = Some(15_000_001)),
            ("unknown bits", |t| t.bitrate = None),
        ];
        for (what, change) in changes {
            let mut source = good.clone();
            change(&mut source);
            assert!(!fits(&source), "{what}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_rung_is_odd_upscaled_or_out_of_order(
            width in 1u32..9000, height in 1u32..9000, rate in 1u32..300, h in 1u32..9, v in 1u32..9, turn: bool,
        ) {
            let rotation = if turn { Rotation::Right } else { Rotation::None };
            let source = VideoTrack { pixel_aspect: (h, v), rotation, ..track(width, height, (rate, 1)) };
            let (shown_width, shown_height) = shown_size(&source);
            let rungs = choose(&source);
            assert!(!rungs.is_empty());
            for rung in &rungs {
                assert!(rung.width % 2 == 0 && rung.height % 2 == 0);
                assert!(u64::from(rung.width) <= shown_width.max(16) && u64::from(rung.height) <= shown_height.max(16));
                assert!(rung.frame_rate.as_f64() <= 60.0 && rung.frame_rate.as_f64() >= 1.0);
                assert!(rung.bitrate_kbps > 0 && rung.max_bitrate_kbps > rung.bitrate_kbps);
                // Within a pixel pair of the source's shape, where the encoder's least side allows.
                if rung.width > 16 && rung.height > 16 {
                    let ideal = shown_width as f64 * f64::from(rung.height) / shown_height as f64;
                    let slack = 2.0 + 2.0 * shown_width as f64 / shown_height as f64;
                    assert!((ideal - f64::from(rung.width)).abs() <= slack, "{rung:?} of {shown_width}x{shown_height}");
                }
            }
            assert!(rungs.windows(2).all(|pair| pair[0].id > pair[1].id && pair[0].bitrate_kbps >= pair[1].bitrate_kbps));
        }
    }
}
