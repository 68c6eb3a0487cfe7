//! What people upload: many containers and codecs, each becoming whole renditions of the right length.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use pipeline::transcode::Preset;
use pipeline_support::{Clips, Outcome, decoded_audio_seconds, decoded_frames, process, stream_field};

const PICTURES: &str = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=3";
const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=3";

/// Both, coded by these arguments in this container, come out whole. Sources refer to later pictures, and so does what is made of
/// them: with the preset that nodes use.
fn comes_out_whole(cases: &[(&str, &str)]) {
    let clips = Clips::new();
    let wrong: Vec<String> =
        cases.iter().filter_map(|(name, coding)| complaint(&clips, name, coding)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn complaint(clips: &Clips, name: &str, coding: &str) -> Option<String> {
    let clip = clips.make(name, &format!("{PICTURES} {SOUND} {coding}"));
    let outcome = process(&clip, |spec| spec.preset = Preset::Veryfast);
    let pipeline::transcode::TranscodeEnd::Done(report) = &outcome.end else {
        return Some(format!("{name}: {:?}", outcome.end));
    };
    let frames = decoded_frames(&outcome.write("v240", &clips.path("picture.mp4")));
    let seconds = decoded_audio_seconds(&outcome.write("a0", &clips.path("sound.mp4")));
    let whole = (73..=78).contains(&frames) && (2.85..3.2).contains(&seconds) && !report.damaged;
    (!whole).then(|| format!("{name}: {frames} frames, {seconds} s of sound, {report:?} {:?}", outcome.probe))
}

#[test]
fn h264_in_every_container_comes_out_whole() {
    comes_out_whole(&[
        ("faststart.mp4", "-c:v libx264 -preset veryfast -bf 2 -c:a aac -movflags +faststart"),
        (
            "fragmented.mp4",
            "-c:v libx264 -preset veryfast -bf 2 -c:a aac -movflags +frag_keyframe+empty_moov",
        ),
        ("plain.mov", "-c:v libx264 -preset veryfast -bf 2 -c:a pcm_s16le"),
        ("plain.mkv", "-c:v libx264 -preset veryfast -bf 2 -c:a libopus"),
        ("plain.ts", "-c:v libx264 -preset veryfast -bf 2 -c:a aac"),
        ("plain.flv", "-c:v libx264 -preset veryfast -bf 2 -c:a aac"),
        ("plain.avi", "-c:v libx264 -preset veryfast -bf 2 -c:a mp3"),
    ]);
}

#[test]
fn newer_codecs_come_out_whole() {
    comes_out_whole(&[
        ("hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1 -c:a aac"),
        (
            "hevc10.mkv",
            "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le -c:a ac3",
        ),
        ("av1.mp4", "-c:v libsvtav1 -preset 12 -c:a aac"),
        ("av1.mkv", "-c:v libaom-av1 -cpu-used 8 -row-mt 1 -c:a libopus"),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
        ("vp8.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis"),
        ("h264-10bit.mkv", "-c:v libx264 -preset veryfast -bf 2 -pix_fmt yuv420p10le -c:a eac3"),
        ("h264-444.mkv", "-c:v libx264 -preset veryfast -bf 2 -pix_fmt yuv444p -c:a flac"),
    ]);
}

#[test]
fn older_and_studio_codecs_come_out_whole() {
    comes_out_whole(&[
        ("mpeg2.mpg", "-c:v mpeg2video -b:v 2M -c:a mp2"),
        ("mpeg2.ts", "-c:v mpeg2video -b:v 2M -c:a ac3"),
        ("mpeg4.avi", "-c:v mpeg4 -c:a mp3"),
        ("msmpeg4.avi", "-c:v msmpeg4 -c:a pcm_s16le"),
        ("wmv2.wmv", "-c:v wmv2 -c:a wmav2"),
        ("prores.mov", "-c:v prores -c:a pcm_s24le"),
        ("theora.ogv", "-c:v libtheora -c:a libvorbis"),
        ("sorenson.flv", "-c:v flv1 -ar 44100 -c:a mp3"),
        ("mjpeg.mov", "-c:v mjpeg -c:a pcm_s16le"),
        ("ffv1.mkv", "-c:v ffv1 -c:a flac"),
        ("dnxhd.mxf", "-s 1280x720 -c:v dnxhd -b:v 90M -pix_fmt yuv422p -c:a pcm_s16le"),
    ]);
}

#[test]
fn sound_alone_and_pictures_alone_come_out_alone() {
    let clips = Clips::new();
    for (name, coding) in [
        ("sound.mp3", "-c:a mp3"),
        ("sound.m4a", "-c:a aac"),
        ("sound.flac", "-c:a flac"),
        ("sound.wav", "-c:a pcm_s16le"),
        ("sound.ogg", "-c:a libvorbis"),
        ("sound.opus", "-c:a libopus"),
        ("sound.aac", "-c:a aac"),
    ] {
        let outcome = process(&clips.make(name, &format!("{SOUND} {coding}")), |_| {});
        assert!(outcome.probe.video.is_empty(), "{name}");
        let seconds = decoded_audio_seconds(&outcome.write("a0", &clips.path("sound.mp4")));
        assert!((2.9..3.2).contains(&seconds), "{name}: {seconds}");
    }
    let silent = process(
        &clips.make("silent.mp4", &format!("{PICTURES} -c:v libx264 -preset veryfast -bf 2")),
        |_| {},
    );
    assert!(silent.probe.audio.is_empty());
    assert_eq!(frames(&silent, &clips), 75);
}

fn frames(outcome: &Outcome, clips: &Clips) -> usize {
    decoded_frames(&outcome.write("v240", &clips.path("picture.mp4")))
}

#[test]
fn every_language_is_kept_and_surround_becomes_stereo() {
    let clips = Clips::new();
    let coding = "-f lavfi -i sine=frequency=880:sample_rate=44100:duration=3 -map 0:v -map 1:a -map 2:a -c:v libx264 -preset veryfast -bf 2 \
                  -c:a:0 ac3 -ac:a:0 6 -c:a:1 aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu";
    let outcome = process(&clips.make("two.mkv", &format!("{PICTURES} {SOUND} {coding}")), |_| {});
    let languages: Vec<_> =
        outcome.probe.audio.iter().map(|track| track.language.clone().unwrap_or_default()).collect();
    assert_eq!(languages, ["en", "de"]);
    assert_eq!(outcome.probe.audio[0].channels, 6);
    for id in ["a0", "a1"] {
        let file = outcome.write(id, &clips.path("sound.mp4"));
        assert_eq!(stream_field(&file, "a", "channels"), "2");
        assert_eq!(stream_field(&file, "a", "sample_rate"), "48000");
    }
}

/// Sound that begins before the pictures, by less than a frame and by much more, encoded as nodes do it: with pictures that
/// refer to later ones.
#[test]
fn pictures_that_begin_after_the_sound_come_out_whole() {
    let clips = Clips::new();
    let pictures = "-f lavfi -i testsrc=size=320x240:rate=25:duration=3";
    for (name, late, frames, coding) in [
        ("a-little.mkv", "0.023", 75..=77, "-c:v libx264 -pix_fmt yuv420p -c:a aac"),
        ("a-little.ts", "0.015", 75..=77, "-c:v libx264 -pix_fmt yuv420p -c:a aac"),
        ("frames.mkv", "1", 99..=101, "-c:v libx264 -pix_fmt yuv420p -c:a libopus"),
        ("frames.mp4", "0.41", 75..=87, "-c:v libx264 -pix_fmt yuv420p -c:a aac"),
    ] {
        let clip = clips.make(name, &format!("{SOUND} -itsoffset {late} {pictures} {coding}"));
        let outcome = process(&clip, |spec| spec.preset = Preset::Veryfast);
        let report = outcome.report();
        assert!(!report.damaged && report.left_out.is_empty(), "{name}: {report:?}");
        let picture = outcome.write("v240", &clips.path("picture.mp4"));
        let decoded = decoded_frames(&picture);
        assert!(frames.contains(&decoded), "{name}: {decoded} frames");
    }
}
