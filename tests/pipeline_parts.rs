//! A video made in parts, each by a worker of its own that begins in the middle of the source: put together, it is what one
//! worker makes, but for the bits of its pictures.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use pipeline::Sidecar;
use pipeline::tracks::{RenditionId, SegmentInfo};
use pipeline::transcode::{Preset, Share, divisible};
use pipeline_support::{Clips, Outcome, decoded_frames, keyframe_times, process, run, test_inputs};

type Segments = BTreeMap<RenditionId, Vec<(SegmentInfo, Bytes)>>;

/// Most that the bits of two segments around a seam may differ from those that one worker spends there.
const SEAM_PERCENT: f64 = 10.0;

fn part(clip: &Path, first: u64, end: Option<u64>) -> Outcome {
    process(clip, |spec| {
        spec.preset = Preset::Veryfast;
        spec.share = Share::Pictures { end };
        spec.resume = spec.rungs.iter().map(|rung| (rung.id, first)).collect();
    })
}

/// Makes the pictures in parts and the rest beside, and puts all of it together.
fn in_parts(clip: &Path, cuts: &[u64]) -> Outcome {
    let mut whole = process(clip, |spec| spec.share = Share::Beside);
    assert!(!whole.report().damaged, "{:?}", whole.report());
    assert!(
        whole.made.segments.keys().all(|id| matches!(id, RenditionId::Audio(_))),
        "pictures are not made"
    );
    let ends = cuts.iter().skip(1).map(|end| Some(*end)).chain([None]);
    for (first, end) in cuts.iter().zip(ends) {
        let made = part(clip, *first, end);
        assert!(!made.report().damaged, "{first} to {end:?}: {:?}", made.report());
        assert!(made.made.sidecars.is_empty(), "{:?}", made.made.sidecars);
        for (id, segments) in made.made.segments {
            assert!(matches!(id, RenditionId::Video(_)), "{id}");
            let header = made.made.headers[&id].clone();
            let known = whole.made.headers.entry(id).or_insert_with(|| header.clone());
            assert_eq!(*known, header, "{id}: the parts have one header");
            whole.made.segments.entry(id).or_default().extend(segments);
        }
    }
    whole
}

fn times(segments: &[(SegmentInfo, Bytes)]) -> Vec<(u64, u64, u64)> {
    segments.iter().map(|(info, _)| (info.sequence, info.start_us, info.duration_us)).collect()
}

/// When each picture is shown, in order.
fn shown_times(path: &str) -> Vec<String> {
    let arguments =
        ["-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", path];
    let told = run("ffprobe", &arguments);
    let times = told.lines().map(|line| line.trim_end_matches(',').to_owned());
    times.filter(|time| !time.is_empty()).collect()
}

/// Bytes of the segments on both sides of a seam.
#[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
fn around(segments: &Segments, id: RenditionId, seam: u64) -> f64 {
    let near = |(info, _): &&(SegmentInfo, Bytes)| info.sequence + 1 == seam || info.sequence == seam;
    segments[&id].iter().filter(near).map(|(_, bytes)| bytes.len() as f64).sum()
}

#[test]
fn parts_make_what_one_worker_makes() {
    let clips = Clips::new();
    // Keyframes of the source far from those that are made, and pictures that depend on later ones.
    for (name, size, rate, noise) in
        [("steady.mp4", "640x360", "25", 12), ("broken.mov", "426x240", "30000/1001", 4)]
    {
        let coding =
            format!("-vf noise=alls={noise}:allf=t -c:v libx264 -preset ultrafast -bf 2 -g 190 -c:a aac");
        let clip = clips.make(name, &format!("{} {coding}", test_inputs(size, rate, 28)));
        let whole = process(&clip, |spec| {
            spec.preset = Preset::Veryfast;
            let found = divisible(spec).unwrap();
            assert!((7..=8).contains(&found.segments), "{found:?}");
        });
        let cuts = [0, 2, 5];
        let parts = in_parts(&clip, &cuts);
        assert_eq!(parts.made.headers, whole.made.headers, "{name}");
        for (id, segments) in &whole.made.segments {
            assert_eq!(times(&parts.made.segments[id]), times(segments), "{name}: {id}");
        }
        for rung in whole.made.segments.keys().filter(|id| matches!(id, RenditionId::Video(_))) {
            let file = parts.write(&rung.to_string(), &clips.path("parts.mp4"));
            let known = whole.write(&rung.to_string(), &clips.path("whole.mp4"));
            assert_eq!(decoded_frames(&file), decoded_frames(&known), "{name}: {rung}");
            assert_eq!(shown_times(&file), shown_times(&known), "{name}: {rung}");
            assert_eq!(keyframe_times(&file), keyframe_times(&known), "{name}: {rung}");
            for seam in &cuts[1..] {
                let made = around(&parts.made.segments, *rung, *seam);
                let one = around(&whole.made.segments, *rung, *seam);
                let percent = (made / one - 1.0) * 100.0;
                println!("{name}: {rung} at segment {seam}: {percent:+.1} %");
                assert!(percent.abs() <= SEAM_PERCENT, "{name}: {rung} at segment {seam}: {percent:+.1} %");
            }
        }
        let kinds = |outcome: &Outcome| {
            let mut kinds: Vec<String> =
                outcome.made.sidecars.iter().map(|(kind, _)| format!("{kind:?}")).collect();
            kinds.sort();
            kinds.dedup();
            kinds
        };
        assert_eq!(kinds(&parts), kinds(&whole), "{name}");
        assert!(kinds(&parts).contains(&format!("{:?}", Sidecar::Storyboard)));
    }
}

/// A part of a source that breaks off has what there is of it; where there is nothing left, it has nothing.
#[test]
fn a_part_behind_the_end_of_what_is_there_makes_nothing() {
    let clips = Clips::new();
    let coding = "-c:v libx264 -preset ultrafast -g 190 -c:a aac -movflags +faststart";
    let clip = clips.make("cut.mp4", &format!("{} {coding}", test_inputs("426x240", "25", 32)));
    let length = std::fs::metadata(&clip).unwrap().len();
    std::fs::File::options().write(true).open(&clip).unwrap().set_len(length / 2).unwrap();
    let front = part(&clip, 0, Some(3));
    assert_eq!(front.made.segments[&RenditionId::Video(240)].len(), 3, "{:?}", front.end);
    let middle = part(&clip, 3, Some(6));
    assert!(middle.report().damaged && middle.made.segments[&RenditionId::Video(240)].len() < 3);
    let back = part(&clip, 6, None);
    assert!(back.report().damaged && back.made.segments.is_empty(), "{:?}", back.end);
}
