//! Pictures are shown as they were meant: upright, in shape, in even motion, in the right light.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use std::path::Path;
use std::process::Command;

use pipeline::Sidecar;
use pipeline::tracks::DynamicRange;
use pipeline_support::{Clips, decoded_frames, process, rgb_at, run, stream_field};

const FAST: &str = "-c:v libx264 -preset ultrafast";

/// Red, green, blue and grey quarters.
const QUARTERS: &str = "color=red:s=160x120:r=25:d=1[a];color=lime:s=160x120:r=25:d=1[b];color=blue:s=160x120:r=25:d=1[c];\
                        color=gray:s=160x120:r=25:d=1[d];[a][b]hstack[t];[c][d]hstack[u];[t][u]vstack";

fn close(one: [u8; 3], other: [u8; 3], tolerance: u8) -> bool {
    one.into_iter().zip(other).all(|(one, other)| one.abs_diff(other) <= tolerance)
}

#[test]
fn a_turned_phone_clip_is_made_upright() {
    let clips = Clips::new();
    let flat = clips.path("flat.mp4");
    run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            QUARTERS,
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            flat.to_str().unwrap(),
        ],
    );
    let turned = clips.make("turned.mp4", &format!("-i {} -c copy -metadata:s:v rotate=90", flat.display()));
    let outcome = process(&turned, |_| {});
    assert!(outcome.probe.video[0].rotation.swaps_sides(), "{:?}", outcome.probe);
    let file = outcome.write("v240", &clips.path("upright.mp4"));
    assert_eq!([stream_field(&file, "v", "width"), stream_field(&file, "v", "height")], ["240", "320"]);
    // What ffmpeg shows of the source, it shows of the result.
    for (x, y) in [(40, 60), (200, 60), (40, 260), (200, 260)] {
        let (ours, theirs) = (rgb_at(&file, "0.5", x, y), rgb_at(turned.to_str().unwrap(), "0.5", x, y));
        assert!(close(ours, theirs, 12), "{x},{y}: {ours:?} {theirs:?}");
    }
}

#[test]
fn odd_portrait_and_stretched_pictures_keep_their_shape() {
    let clips = Clips::new();
    for (name, size, filter, shown) in [
        ("odd.mkv", "321x181", "null", ["320", "180"]),
        ("portrait.mp4", "180x320", "null", ["180", "320"]),
        ("stretched.mp4", "320x240", "setsar=4/3", ["426", "240"]),
    ] {
        let codec = if name == "odd.mkv" { "-c:v ffv1" } else { FAST };
        let clip = clips
            .make(name, &format!("-f lavfi -i testsrc2=size={size}:rate=25:duration=1 -vf {filter} {codec}"));
        let outcome = process(&clip, |_| {});
        let id = outcome.made.headers.keys().next_back().unwrap().to_string();
        let file = outcome.write(&id, &clips.path("shape.mp4"));
        assert_eq!([stream_field(&file, "v", "width"), stream_field(&file, "v", "height")], shown, "{name}");
        assert!(["1:1", "N/A"].contains(&stream_field(&file, "v", "sample_aspect_ratio").as_str()));
    }
}

#[test]
fn uneven_slow_and_interlaced_motion_becomes_even() {
    let clips = Clips::new();
    let uneven = clips.make(
        "uneven.mp4",
        &format!("-f lavfi -i testsrc2=size=320x240:rate=30:duration=3 -vf select=not(mod(n\\,3))+lt(n\\,30) -vsync vfr {FAST}"),
    );
    let outcome = process(&uneven, |_| {});
    assert!(outcome.probe.video[0].variable_frame_rate, "{:?}", outcome.probe);
    let file = outcome.write("v240", &clips.path("even.mp4"));
    let frames = decoded_frames(&file);
    assert!((86..=91).contains(&frames), "{frames}");

    let slow = clips.make("slow.mp4", &format!("-f lavfi -i testsrc2=size=320x240:rate=1:duration=9 {FAST}"));
    let outcome = process(&slow, |_| {});
    assert_eq!(outcome.durations_us("v240"), [4_000_000, 4_000_000, 1_000_000]);

    let woven = clips.make(
        "woven.ts",
        "-f lavfi -i testsrc2=size=320x240:rate=50:duration=2 -vf interlace -c:v mpeg2video -flags +ildct+ilme -b:v 4M",
    );
    let outcome = process(&woven, |_| {});
    assert!(outcome.probe.video[0].interlaced);
    let file = outcome.write("v240", &clips.path("smooth.mp4"));
    let frames = decoded_frames(&file);
    assert!((48..=52).contains(&frames), "{frames}");
    assert_eq!(stream_field(&file, "v", "field_order"), "progressive");
}

/// Patches of BT.2020 HDR colours, coded as 10-bit HEVC.
fn hdr_clip(clips: &Clips, name: &str, transfer: &str) -> std::path::PathBuf {
    let patches = "color=0x606060:s=80x240:r=10:d=1[a];color=0xA03030:s=80x240:r=10:d=1[b];color=0x309050:s=80x240:r=10:d=1[c];\
                   color=0xB0B0B0:s=80x240:r=10:d=1[d];[a][b][c][d]hstack=4,\
                   scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le";
    let path = clips.path(name);
    let parameters = format!(
        "log-level=none:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited:qp=4"
    );
    let arguments = [
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        patches,
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        &parameters,
        "-tag:v",
        "hvc1",
    ];
    run("ffmpeg", &[arguments.as_slice(), &[path.to_str().unwrap()]].concat());
    path
}

/// The same patches through ffmpeg's tone mapping. Colours that BT.709 does not have are cut off at its edge by way of 16-bit
/// RGB: left to itself, zscale does so with one processor's instructions and not with another's.
fn reference(clip: &Path, clips: &Clips) -> String {
    let path = clips.path("reference.mkv");
    let filter = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0,\
                  zscale=t=bt709,format=gbrp16le,zscale=m=bt709:r=tv,format=yuv420p";
    let path_text = path.to_str().unwrap();
    run(
        "ffmpeg",
        &["-v", "error", "-y", "-i", clip.to_str().unwrap(), "-vf", filter, "-c:v", "ffv1", path_text],
    );
    path_text.to_owned()
}

/// The code values in the middle of a patch.
fn code_at(path: &str, x: u32) -> [u8; 3] {
    let filter = format!("crop=2:2:{x}:120,format=yuv420p");
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-ss",
            "0.3",
            "-i",
            path,
            "-frames:v",
            "1",
            "-vf",
            &filter,
            "-f",
            "rawvideo",
            "-",
        ])
        .output()
        .unwrap();
    [output.stdout[0], output.stdout[4], output.stdout[5]]
}

#[test]
fn hdr_is_mapped_to_the_light_of_ordinary_screens() {
    let clips = Clips::new();
    for (name, transfer, range) in
        [("pq.mp4", "smpte2084", DynamicRange::Pq), ("hlg.mp4", "arib-std-b67", DynamicRange::Hlg)]
    {
        let clip = hdr_clip(&clips, name, transfer);
        let outcome = process(&clip, |_| {});
        assert_eq!(outcome.probe.video[0].dynamic_range, range, "{:?}", outcome.probe);
        assert_eq!(outcome.probe.video[0].bit_depth, 10);
        let file = outcome.write("v240", &clips.path("mapped.mp4"));
        assert_eq!(
            stream_field(&file, "v", "color_transfer,color_space,color_primaries,pix_fmt"),
            "yuv420p,bt709,bt709,bt709"
        );
        let wanted = reference(&clip, &clips);
        for x in [40, 120, 200, 280] {
            let (ours, theirs) = (code_at(&file, x), code_at(&wanted, x));
            assert!(close(ours, theirs, 8), "{name} at {x}: {ours:?}, ffmpeg {theirs:?}");
        }
    }
}

#[test]
fn poster_storyboard_waveform_and_subtitles_come_along() {
    let clips = Clips::new();
    std::fs::write(
        clips.path("words.srt"),
        "1\n00:00:00,500 --> 00:00:02,000\n<i>Hello</i> & welcome\n\n2\n00:00:02,500 --> 00:00:03,500\nBye\n",
    )
    .unwrap();
    let coding = format!(
        "-i {} -map 0:v -map 1:a -map 2:s {FAST} -c:a aac -metadata:s:s:0 language=deu",
        clips.path("words.srt").display()
    );
    let inputs = pipeline_support::test_inputs("640x360", "25", 4);
    for (name, subtitles) in [("words.mkv", "srt"), ("words.mp4", "mov_text"), ("ass.mkv", "ass")] {
        let outcome = process(&clips.make(name, &format!("{inputs} {coding} -c:s {subtitles}")), |_| {});
        assert!(!outcome.report().damaged);
        assert_eq!(outcome.probe.subtitles.len(), 1, "{name}");
        assert_eq!(outcome.probe.subtitles[0].language.as_deref(), Some("de"), "{name}");
        let get = |kind: Sidecar| {
            let found = outcome.made.sidecars.iter().find(|(made, _)| *made == kind);
            found.unwrap_or_else(|| panic!("{name}: no {kind:?}")).1.clone()
        };
        let words = String::from_utf8(get(Sidecar::Subtitles { track: 0 }).to_vec()).unwrap();
        // Matroska counts from the sound's lead-in, 21 ms before the pictures.
        assert!(
            words.starts_with("WEBVTT\n\n00:00:00.5") && words.contains(" --> 00:00:02.0"),
            "{name}: {words}"
        );
        assert!(
            words.contains("Hello") && words.contains("&amp; welcome") && words.contains("Bye"),
            "{name}: {words}"
        );

        std::fs::write(clips.path("poster.jpg"), get(Sidecar::Poster)).unwrap();
        let poster = clips.path("poster.jpg");
        assert_eq!(stream_field(poster.to_str().unwrap(), "v", "width,height"), "640,360");
        std::fs::write(clips.path("sheet.jpg"), get(Sidecar::Storyboard)).unwrap();
        let sheet = clips.path("sheet.jpg");
        let size = stream_field(sheet.to_str().unwrap(), "v", "width,height");
        assert!(["640,90", "800,90"].contains(&size.as_str()), "{name}: {size}");
        let index = String::from_utf8(get(Sidecar::StoryboardVtt).to_vec()).unwrap();
        assert!(index.contains("#xywh=480,0,160,90"), "{index}");
        let waveform: serde_json::Value = serde_json::from_slice(&get(Sidecar::Waveform)).unwrap();
        let peaks = waveform["peaks"].as_array().unwrap();
        assert!((78..=82).contains(&peaks.len()) && peaks[40].as_u64().unwrap() > 15, "{waveform}");
    }
}
