//! Damaged, lying and enormous files: played as far as they go, or refused with a reason, in bounded memory.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::tracks::TrackKind;
use pipeline::transcode::TranscodeEnd;
use pipeline::{FailureCode, Source};
use pipeline_support::{
    Clips, FileSource, Keeper, decoded_audio_seconds, decoded_frames, probe, process, spec, test_inputs,
    transcode,
};

const CODING: &str = "-c:v libx264 -preset ultrafast -g 25 -c:a aac";

fn clip(clips: &Clips, name: &str, extra: &str) -> Vec<u8> {
    std::fs::read(clips.make(name, &format!("{} {CODING} {extra}", test_inputs("320x240", "25", 4)))).unwrap()
}

/// Whatever the bytes are, there is an answer: something playable, or a typed reason.
fn answer(bytes: Vec<u8>) -> Result<(usize, bool), FailureCode> {
    let source = Arc::new(Bytes::from(bytes));
    let found = probe(source.clone()).map_err(|failure| failure.code)?;
    let keeper = Keeper::default();
    match transcode(spec(&found), source, keeper.clone()) {
        TranscodeEnd::Done(report) => Ok((keeper.0.lock().unwrap().segments.len(), report.damaged)),
        TranscodeEnd::Failed(failure) => Err(failure.code),
        TranscodeEnd::Cancelled | TranscodeEnd::Unpassable(_) => panic!("nobody cancelled or passed through"),
    }
}

/// A file of which some bytes cannot be had, for as long as nobody answers.
struct Unanswered {
    file: Arc<FileSource>,
    from: u64,
}

#[async_trait]
impl Source for Unanswered {
    async fn length(&self) -> Option<u64> {
        self.file.length().await
    }

    async fn read(&self, offset: u64, length: u32) -> io::Result<Bytes> {
        if offset + u64::from(length) > self.from {
            return Err(io::Error::other("no node answers"));
        }
        self.file.read(offset, length).await
    }
}

#[test]
fn bytes_that_cannot_be_had_are_no_end_of_the_film() {
    let clips = Clips::new();
    for name in ["long.mp4", "long.mkv"] {
        let coding = format!("{CODING} -qp 8 -movflags +faststart");
        let path = clips.make(name, &format!("{} {coding}", test_inputs("320x240", "25", 14)));
        let whole = process(&path, |_| {});
        let file = FileSource::open(&path);
        let from = std::fs::metadata(&path).unwrap().len() * 2 / 3;
        assert!(from > 1_000_000, "{name}: {from} bytes are read at once");
        let keeper = Keeper::default();
        let source = Arc::new(Unanswered { file: file.clone(), from });
        let TranscodeEnd::Failed(failure) = transcode(spec(&whole.probe), source, keeper.clone()) else {
            panic!("{name}: it is not whole");
        };
        assert_eq!(failure.code, FailureCode::SourceUnreadable, "{name}");
        // What was made is whole, so that the rest can follow once the bytes are there.
        let made = keeper.0.lock().unwrap().clone();
        for (id, segments) in made.segments.iter().filter(|(id, _)| id.to_string().starts_with('v')) {
            let durations: Vec<u64> = segments.iter().map(|(info, _)| info.duration_us).collect();
            assert!(
                whole.durations_us(&id.to_string()).starts_with(&durations),
                "{name} {id}: {durations:?}"
            );
        }
    }
}

#[test]
fn a_file_cut_short_plays_as_far_as_it_goes_or_says_why_not() {
    let clips = Clips::new();
    let index_last = clip(&clips, "last.mp4", "");
    let index_first = clip(&clips, "first.mp4", "-movflags +faststart");
    let matroska = clip(&clips, "whole.mkv", "");
    let transport = clip(&clips, "whole.ts", "");
    let cut = |bytes: &[u8], percent: usize| bytes[..bytes.len() * percent / 100].to_vec();
    assert_eq!(answer(cut(&index_last, 90)), Err(FailureCode::Damaged));
    let answer_first = answer(cut(&index_first, 40));
    assert_eq!(answer_first, Ok((2, true)));
    assert_eq!(answer(cut(&matroska, 40)), Ok((2, true)));
    assert!(matches!(answer(cut(&transport, 60)), Ok((2, _))));
}

/// Every byte of a track's packets is noise.
fn noise(kind: &str) -> String {
    format!("-bsf:{kind} noise=amount=1")
}

#[test]
fn a_broken_track_is_left_out_and_the_others_play_to_their_end() {
    let clips = Clips::new();
    for (name, codecs) in
        [("sound.mkv", "aac"), ("sound.mp4", "aac"), ("sound.mkv", "ac3"), ("sound.ts", "mp2")]
    {
        let coding =
            format!("{} -c:v libx264 -preset ultrafast -g 25 -c:a {codecs}", test_inputs("320x240", "25", 4));
        let outcome = process(&clips.make(name, &format!("{coding} {}", noise("a"))), |_| {});
        let left_out = [outcome.probe.left_out.clone(), outcome.report().left_out.clone()].concat();
        let kinds: Vec<_> = left_out.iter().map(|track| (track.kind, track.index)).collect();
        assert_eq!(kinds, [(TrackKind::Audio, 0)], "{name} {codecs}: {left_out:?}");
        // Matroska lets sound begin a hair before the pictures: that gap takes one more.
        let frames = decoded_frames(&outcome.write("v240", &clips.path("picture.mp4")));
        assert!((100..=101).contains(&frames), "{name} {codecs}: {frames}");
    }
    let two = "-f lavfi -i sine=frequency=880:sample_rate=48000:duration=4 -map 0 -map 1 -map 2";
    let coding = format!("{} {two} -c:v libx264 -preset ultrafast -c:a aac", test_inputs("320x240", "25", 4));
    let outcome = process(&clips.make("second.mkv", &format!("{coding} {}", noise("a:1"))), |_| {});
    let left_out = [outcome.probe.left_out.clone(), outcome.report().left_out.clone()].concat();
    assert_eq!(left_out.iter().map(|track| track.index).collect::<Vec<_>>(), [1], "{left_out:?}");
    assert!(decoded_audio_seconds(&outcome.write("a0", &clips.path("sound.mp4"))) > 3.9);
    let frames = decoded_frames(&outcome.write("v240", &clips.path("picture.mp4")));
    assert!((100..=101).contains(&frames), "{frames}");
}

#[test]
fn a_broken_picture_leaves_the_sound_and_a_file_with_nothing_sound_is_refused() {
    let clips = Clips::new();
    let coding = format!("{} -c:v mpeg4 -c:a aac", test_inputs("320x240", "25", 4));
    let outcome = process(&clips.make("picture.mkv", &format!("{coding} {}", noise("v"))), |_| {});
    let left_out = [outcome.probe.left_out.clone(), outcome.report().left_out.clone()].concat();
    let kinds: Vec<_> = left_out.iter().map(|track| track.kind).collect();
    assert_eq!(kinds, [TrackKind::Video], "{left_out:?}");
    assert!(decoded_audio_seconds(&outcome.write("a0", &clips.path("sound.mp4"))) > 3.9);

    let both = clips.make("both.mkv", &format!("{coding} {} {}", noise("v"), noise("a")));
    let answer = answer(std::fs::read(both).unwrap());
    assert!(matches!(answer, Err(FailureCode::Damaged | FailureCode::NoPlayableTracks)), "{answer:?}");
}

#[test]
fn pictures_are_refused_as_what_they_are() {
    let clips = Clips::new();
    let refused = |name: &str, arguments: &str| {
        let file =
            clips.make(name, &format!("-f lavfi -i testsrc2=size=320x180:rate=5:duration=1 {arguments}"));
        probe(FileSource::open(&file)).unwrap_err().code
    };
    assert_eq!(refused("moving.gif", ""), FailureCode::AnimatedPicture);
    for name in ["still.png", "still.jpg", "still.webp", "still.bmp", "still.tiff"] {
        assert_eq!(refused(name, "-frames:v 1"), FailureCode::StillPicture, "{name}");
    }
}

#[test]
fn a_recording_without_its_index_is_refused_at_once_and_the_reason_says_so() {
    let clips = Clips::new();
    let whole = clip(&clips, "recording.mp4", "");
    let index = whole.windows(4).position(|name| name == b"moov").unwrap() - 4;
    let began = Instant::now();
    let failure = probe(Arc::new(Bytes::from(whole[..index].to_vec()))).unwrap_err();
    assert_eq!(failure.code, FailureCode::Damaged);
    assert!(failure.reason.contains("index at the end of this file is missing"), "{}", failure.reason);
    assert!(began.elapsed() < Duration::from_secs(15), "a look at the outermost boxes takes no time");
}

#[test]
fn a_picture_too_large_is_refused_before_it_is_decoded() {
    let clips = Clips::new();
    let bomb = clips.make(
        "bomb.mkv",
        "-f lavfi -i testsrc2=size=64x64:rate=1:duration=1 -vf scale=16384:8192 -frames:v 1 -c:v mjpeg -pix_fmt yuvj420p",
    );
    let failure = probe(FileSource::open(&bomb)).unwrap_err();
    assert_eq!(failure.code, FailureCode::TooLargePicture);
}

/// One time of a transport stream is set a day ahead: the gap must not be filled with a day of pictures.
#[test]
fn a_time_that_leaps_a_day_ahead_makes_no_day_of_pictures() {
    let clips = Clips::new();
    let mut bytes = clip(&clips, "leap.ts", "");
    let pictures: Vec<_> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, start)| start[..3] == [0, 0, 1] && start[3] == 0xe0)
        .map(|(at, _)| at)
        .collect();
    // PTS and DTS of one picture in the middle, each with its highest bit and a marker.
    let at = pictures[pictures.len() / 2] + 9;
    bytes[at] ^= 0x08;
    if bytes[at - 2] & 0xc0 == 0xc0 {
        bytes[at + 5] ^= 0x08;
    }
    let answer = answer(bytes);
    assert!(matches!(answer, Ok((2, _)) | Err(FailureCode::Damaged)), "{answer:?}");
}

#[test]
fn flipped_bytes_in_the_middle_are_noticed_and_survived() {
    let clips = Clips::new();
    for name in ["flipped.mp4", "flipped.mkv"] {
        let mut bytes = clip(&clips, name, "");
        let mut seed = 7_u64;
        for _ in 0..400 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = bytes.len() / 5 + usize::try_from(seed >> 33).unwrap() % (bytes.len() / 2);
            bytes[at] ^= 0x55;
        }
        let answer = answer(bytes);
        assert!(matches!(answer, Ok((_, true)) | Err(FailureCode::Damaged)), "{name}: {answer:?}");
    }
}

#[test]
fn a_film_of_twenty_gigabytes_with_its_index_last_is_read_where_it_matters() {
    let clips = Clips::new();
    let path = clips.make("huge.mp4", &format!("{} {CODING}", test_inputs("320x240", "25", 2)));
    // A hole of 20 GB between the head and the media: the index stands far behind it.
    let bytes = std::fs::read(&path).unwrap();
    let index = bytes.windows(4).position(|name| name == b"moov").unwrap() - 4;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let hole = 20_u64 << 30;
    let mut free = [0_u8; 16];
    free[3] = 1;
    free[4..8].copy_from_slice(b"free");
    free[8..].copy_from_slice(&hole.to_be_bytes());
    file.write_all_at(&free, index as u64).unwrap();
    file.write_all_at(&bytes[index..], index as u64 + hole).unwrap();
    assert!(File::open(&path).unwrap().metadata().unwrap().len() > hole);
    let source = FileSource::open(&path);
    let outcome = process(&path, |_| {});
    assert!(!outcome.report().damaged, "{:?}", outcome.report());
    let found = probe(source.clone()).unwrap();
    assert_eq!(found.video.len(), 1);
    let read = *source.most.lock().unwrap();
    assert!(read < 64 << 20, "{read} bytes read to look at it");
}
