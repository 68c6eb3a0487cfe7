//! A source that is fit becomes the top rung as it is, and all other rungs are cut and have keyframes where it has.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use std::collections::BTreeMap;
use std::path::Path;

use pipeline::encrypt::encrypt_segment;
use pipeline::hls_check::{Presentation, Resource, check_presentation};
use pipeline::ladder::may_pass_through;
use pipeline::mp4::read_init;
use pipeline::playlist::{Growth, Multivariant, measure, measure_iframes, media, multivariant};
use pipeline::tracks::{AudioRendition, RenditionId, SegmentMark, VideoRendition};
use pipeline::transcode::{TranscodeEnd, TranscodeSpec, Unpassable};
use pipeline_support::{Clips, Outcome, decoded_frames, probe_file, process, run, test_inputs};

const CODING: &str = "-c:v libx264 -preset veryfast -crf 30 -c:a aac";

fn pass(spec: &mut TranscodeSpec) {
    spec.pass_through = may_pass_through(&spec.probe);
}

/// As if a transport stream were trusted, too: what is fit in it comes out right.
fn pass_stream(spec: &mut TranscodeSpec) {
    assert!(!may_pass_through(&spec.probe), "a transport stream may hide damage");
    spec.pass_through = true;
}

/// What every picture of a file decodes to.
fn pictures(path: &str) -> Vec<String> {
    let listed = run("ffmpeg", &["-v", "error", "-i", path, "-map", "0:v", "-f", "framemd5", "-"]);
    let pictures = listed.lines().filter(|line| !line.starts_with('#'));
    pictures.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// When the keyframes of a rendition are shown, in milliseconds, by its fragments. (ffprobe adds what the first pictures are
/// decoded ahead by.)
fn keyframes_of(outcome: &Outcome, id: RenditionId) -> Vec<u64> {
    let infos = outcome.made.segments[&id].iter().map(|(info, _)| info);
    infos.flat_map(|info| &info.keyframes).map(|keyframe| (keyframe.pts_us + 500) / 1000).collect()
}

/// The outcome's own pictures are the source's, and all rungs are cut and have keyframes at the same times.
fn assert_passed(outcome: &Outcome, source: &Path, clips: &Clips) {
    let name = source.display();
    assert!(!outcome.report().damaged, "{name}: {:?}", outcome.report());
    let top = *outcome.made.headers.keys().filter(|id| matches!(id, RenditionId::Video(_))).max().unwrap();
    for report in &outcome.report().renditions {
        assert_eq!(report.passed_through, report.id == top, "{name}: {report:?}");
    }
    let file = outcome.write(&top.to_string(), &clips.path("top.mp4"));
    assert_eq!(pictures(&file), pictures(source.to_str().unwrap()), "{name}");
    let keyframes = keyframes_of(outcome, top);
    assert!(keyframes[0] < 100, "{name}: {keyframes:?}");
    for id in outcome.made.headers.keys().filter(|id| matches!(id, RenditionId::Video(_)) && **id != top) {
        let rung = outcome.write(&id.to_string(), &clips.path("rung.mp4"));
        assert_eq!(decoded_frames(&rung), decoded_frames(&file), "{name} {id}");
        assert_eq!(keyframes_of(outcome, *id), keyframes, "{name} {id}");
        let times = |id: &RenditionId| {
            let infos = outcome.made.segments[id].iter().map(|(info, _)| info);
            let mut times: Vec<_> = infos.map(|info| (info.start_us, info.duration_us)).collect();
            // The last one ends with the rung's own last picture.
            times.last_mut().unwrap().1 /= 100_000;
            times
        };
        assert_eq!(times(id), times(&top), "{name} {id}");
    }
    for (info, _) in &outcome.made.segments[&top] {
        assert!(info.duration_us <= 6_450_000, "{name}: {info:?}");
    }
}

#[test]
fn every_fit_source_becomes_the_top_rung_as_it_is() {
    let clips = Clips::new();
    let inputs = test_inputs("640x360", "25", 10);
    let varying = "-vf select='not(mod(n\\,7)-3)+lt(mod(n\\,7)\\,3)' -vsync vfr";
    for (name, arguments, durations_ms) in [
        ("closed.mp4", format!("{inputs} {CODING} -g 50 -bf 3 -sc_threshold 0"), vec![4000, 4000, 2000]),
        ("plain.mp4", format!("{inputs} {CODING} -g 50 -bf 0 -profile:v baseline"), vec![4000, 4000, 2000]),
        ("stream.ts", format!("{inputs} {CODING} -g 50 -bf 2"), vec![4000, 4000, 2000]),
        ("rare.mp4", format!("{inputs} {CODING} -g 125 -sc_threshold 0"), vec![5000, 5000]),
        ("varying.mp4", format!("{inputs} {varying} {CODING} -g 30 -bf 2"), vec![]),
    ] {
        let clip = clips.make(name, &arguments);
        let outcome = process(&clip, if name.ends_with(".ts") { pass_stream } else { pass });
        assert_passed(&outcome, &clip, &clips);
        let cut: Vec<u64> = outcome.durations_us("v360").iter().map(|us| (us + 500) / 1000).collect();
        if !durations_ms.is_empty() {
            assert_eq!(cut, durations_ms, "{name}");
        }
        let sound: u64 = outcome.durations_us("a0").iter().sum();
        assert!(sound.abs_diff(10_000_000) < 100_000, "{name}: {sound}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "one story, told in order")]
fn five_rungs_of_a_large_source_make_a_presentation_that_is_right_by_the_rules() {
    let clips = Clips::new();
    let clip = clips.make(
        "large.mp4",
        &format!("{} {CODING} -g 60 -bf 2 -movflags +faststart", test_inputs("1920x1080", "30", 7)),
    );
    let outcome = process(&clip, pass);
    assert_passed(&outcome, &clip, &clips);
    assert_eq!(outcome.durations_us("v1080").len(), 2);
    let rungs = pipeline::ladder::choose(&outcome.probe.video[0]);
    assert_eq!(rungs.len(), 5);

    let mut texts = BTreeMap::new();
    let mut sizes = BTreeMap::new();
    let mut marks = BTreeMap::new();
    for (number, (id, segments)) in outcome.made.segments.iter().enumerate() {
        let of_track: Vec<_> = segments
            .iter()
            .map(|(info, plain)| {
                let mut iv = [7; 16];
                iv[..2]
                    .copy_from_slice(&[u8::try_from(number).unwrap(), u8::try_from(info.sequence).unwrap()]);
                let mut iframe_iv = iv;
                iframe_iv[2] = 8;
                let length = encrypt_segment(&[1; 16], &iv, plain.to_vec()).len() as u64;
                sizes.insert(format!("{id}/{}.m4s", info.sequence), length);
                SegmentMark {
                    sequence: info.sequence,
                    offset: 0,
                    length,
                    plain_length: plain.len() as u64,
                    start_us: info.start_us,
                    duration_us: info.duration_us,
                    iv,
                    iframe_iv,
                    period: 0,
                    keyframes: info.keyframes.clone(),
                }
            })
            .collect();
        let text = media(&of_track, Growth::Ended);
        assert!(text.contains("#EXT-X-TARGETDURATION:6\n"), "{text}");
        texts.insert(format!("{id}/index.m3u8"), text);
        marks.insert(*id, of_track);
    }
    let codecs = |id: RenditionId| read_init(&outcome.made.headers[&id]).unwrap().codecs();
    let video: Vec<_> = rungs
        .iter()
        .map(|rung| VideoRendition {
            id: rung.id,
            width: rung.width,
            height: rung.height,
            frame_rate: rung.frame_rate,
            codecs: codecs(rung.id),
            bandwidth: measure(&marks[&rung.id]),
            // I-frame playlists are made from the same marks and checked elsewhere.
            iframe_bandwidth: pipeline::tracks::Bandwidth::default(),
        })
        .collect();
    assert!(measure_iframes(&marks[&rungs[0].id]).peak > 0);
    let sound = RenditionId::Audio(0);
    let audio = [AudioRendition {
        id: sound,
        language: None,
        name: "Audio".into(),
        default: true,
        channels: 2,
        codecs: codecs(sound),
        bandwidth: measure(&marks[&sound]),
    }];
    let main = multivariant(&Multivariant { video: &video, audio: &audio, ..Default::default() });
    let mut resources: BTreeMap<String, Resource<'_>> =
        texts.iter().map(|(address, text)| (address.clone(), Resource::Playlist(text))).collect();
    resources.extend(sizes.iter().map(|(address, size)| (address.clone(), Resource::Segment(*size))));
    for (id, header) in &outcome.made.headers {
        resources.insert(format!("{id}/init.mp4"), Resource::Header(header));
    }
    assert_eq!(check_presentation(&Presentation { multivariant: &main, resources }), vec![], "{main}");
}

#[test]
fn what_players_or_segments_cannot_take_is_not_tried() {
    let clips = Clips::new();
    let inputs = test_inputs("320x180", "25", 12);
    for (name, coding) in [
        ("rare.mp4", "-c:v libx264 -preset veryfast -crf 30 -g 250 -sc_threshold 0"),
        ("open.mp4", "-c:v libx264 -preset veryfast -crf 30 -g 50 -bf 3 -x264-params open-gop=1"),
        ("deep.mp4", "-c:v libx264 -preset veryfast -crf 30 -g 50 -pix_fmt yuv420p10le"),
        ("full.mp4", "-c:v libx264 -preset veryfast -crf 30 -g 50 -pix_fmt yuv444p"),
        ("film.mkv", "-c:v libx264 -preset veryfast -crf 30 -g 50"),
        ("heavy.mp4", "-c:v libx264 -preset ultrafast -qp 1 -g 50"),
    ] {
        let clip = clips.make(name, &format!("{inputs} {coding} -c:a aac"));
        let probe = probe_file(&clip).unwrap();
        assert!(!may_pass_through(&probe), "{name}: {:?}", probe.video);
    }
}

/// The transcode gives the source up for this reason, and makes it when all rungs are encoded.
fn assert_given_up(clip: &Path, reason: Unpassable) {
    let stream = clip.extension().is_some_and(|extension| extension == "ts");
    let outcome = process(clip, |spec| {
        if stream {
            pass_stream(spec)
        } else {
            pass(spec)
        }
        assert!(spec.pass_through, "{}: {:?}", clip.display(), spec.probe);
    });
    assert_eq!(outcome.end, TranscodeEnd::Unpassable(reason), "{}", clip.display());
    let outcome = process(clip, |_| {});
    assert!(outcome.report().renditions.iter().all(|report| !report.passed_through));
}

#[test]
fn a_source_that_proves_unfit_on_the_way_is_given_up_with_the_reason() {
    let clips = Clips::new();
    let inputs = |seconds| test_inputs("320x180", "25", seconds);
    let keyframes = "-g 1000 -sc_threshold 0 -force_key_frames expr:lt(t,27)*gte(t,n_forced*2)";
    let late = clips.make("late.mp4", &format!("{} {CODING} {keyframes}", inputs(36)));
    assert_given_up(&late, Unpassable::RareKeyframes);

    let first = clips.make("first.ts", &format!("{} {CODING} -g 50", inputs(26)));
    let second = clips.make(
        "second.ts",
        &format!("{} {CODING} -g 50 -output_ts_offset 26", test_inputs("240x136", "25", 4)),
    );
    let changing = clips.path("changing.ts");
    std::fs::write(&changing, [std::fs::read(first).unwrap(), std::fs::read(second).unwrap()].concat())
        .unwrap();
    assert_given_up(&changing, Unpassable::FormatChanged);

    // Cut by an edit list in the middle of a group: the first pictures are decoded but never shown.
    let whole = clips.make("whole.mp4", &format!("{} {CODING} -g 50", inputs(8)));
    let path = clips.path("trimmed.mp4");
    run(
        "ffmpeg",
        &["-v", "error", "-ss", "1", "-i", whole.to_str().unwrap(), "-c", "copy", path.to_str().unwrap()],
    );
    assert_given_up(&path, Unpassable::BadTimes);
}
