//! A source becomes a ladder of aligned renditions, whatever it is made of.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use pipeline::transcode::Preset;
use pipeline_support::{
    Clips, Outcome, decoded_audio_seconds, decoded_frames, keyframe_times, process, stream_field, test_inputs,
};

#[test]
fn a_plain_clip_becomes_an_aligned_ladder_with_sound_apart() {
    let clips = Clips::new();
    let clip = clips.make(
        "plain.mp4",
        &format!("{} -c:v libx264 -preset ultrafast -g 250 -c:a aac", test_inputs("854x480", "30", 9)),
    );
    let outcome = process(&clip, |_| {});
    assert_eq!(outcome.probe.container, "mp4");
    assert!(!outcome.report().damaged, "{:?}", outcome.report());
    for (id, height) in [("v480", "480"), ("v360", "360"), ("v240", "240")] {
        let file = outcome.write(id, &clips.path(&format!("{id}.mp4")));
        assert_eq!(stream_field(&file, "v", "height"), height);
        assert_eq!(decoded_frames(&file), 270);
        assert_eq!(keyframe_times(&file), [0, 2000, 4000, 6000, 8000]);
        assert_eq!(outcome.durations_us(id), [4_000_000, 4_000_000, 1_000_000]);
    }
    let sound = outcome.write("a0", &clips.path("a0.mp4"));
    assert_eq!(outcome.durations_us("a0").len(), 3);
    let seconds = decoded_audio_seconds(&sound);
    assert!((8.95..9.1).contains(&seconds), "{seconds}");
    assert!(outcome.made.progress.iter().any(|progress| progress.percent > 30));
    told_its_encoder(
        &outcome,
        "v480",
        &["keyint=60", "scenecut=0", "rc=cbr", "vbv_maxrate=1200", "vbv_bufsize=1200"],
    );
    told_its_encoder(
        &outcome,
        "v240",
        &["keyint=60", "scenecut=0", "rc=cbr", "vbv_maxrate=400", "vbv_bufsize=400"],
    );
}

/// x264 writes into its first picture what it was told, whatever the one who told it believes.
fn told_its_encoder(outcome: &Outcome, id: &str, options: &[&str]) {
    let (_, first) = &outcome.made.segments[&id.parse().unwrap()][0];
    let text = String::from_utf8_lossy(first);
    let told = text.split("options: ").nth(1).expect("x264 names its options");
    let told: Vec<&str> = told.split('\0').next().unwrap().split(' ').collect();
    for option in options {
        assert!(told.contains(option), "{id}: no {option} in {told:?}");
    }
}

/// Structural similarity of a rendition to its source, scaled by ffmpeg, over all planes.
fn similarity(made: &str, source: &std::path::Path, size: &str) -> f64 {
    let graph = format!("[1:v]scale={size}:flags=bicubic[s];[0:v][s]ssim");
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "info", "-i", made, "-i", source.to_str().unwrap()])
        .args(["-filter_complex", &graph, "-f", "null", "-"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    told.split("All:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn every_rung_is_as_like_its_source_as_one_scaled_and_encoded_by_ffmpeg() {
    let clips = Clips::new();
    let clip = clips.make(
        "fine.mp4",
        &format!(
            "{} -c:v libx264 -preset ultrafast -qp 10 -g 250 -c:a aac",
            test_inputs("1280x720", "30", 4)
        ),
    );
    let outcome = process(&clip, |spec| spec.preset = Preset::Veryfast);
    for (id, size, kbps) in [("v480", "854:480", 1200), ("v360", "640:360", 700), ("v240", "426:240", 400)] {
        let made = similarity(&outcome.write(id, &clips.path("made.mp4")), &clip, size);
        let peer = clips.make(
            &format!("peer-{id}.mp4"),
            &format!(
                "-i {} -an -vf scale={size}:flags=bilinear -c:v libx264 -preset veryfast -g 60 -keyint_min 60 \
                 -sc_threshold 0 -b:v {kbps}k -maxrate {kbps}k -bufsize {kbps}k",
                clip.display()
            ),
        );
        let peer = similarity(peer.to_str().unwrap(), &clip, size);
        assert!(made >= peer - 0.002, "{id}: {made} against {peer}");
    }
}
