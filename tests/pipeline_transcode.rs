//! A source becomes a ladder of aligned renditions, whatever it is made of.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use pipeline_support::{
    Clips, decoded_audio_seconds, decoded_frames, keyframe_times, process, stream_field, test_inputs,
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
}
