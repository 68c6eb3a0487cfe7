//! A real presentation, from ffmpeg's segments through our marks, cipher, playlists and I-frame resources to a folder that
//! our checker finds nothing wrong with and that ffmpeg plays; and one download joined from it.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipeline::encrypt::{decrypt_prefix, decrypt_segment, encrypt_segment};
use pipeline::hls_check::{Presentation, Resource, check_presentation};
use pipeline::mp4::{
    Init, Join, JoinSource, JoinTrack, iframe_fragment, iframe_prefix, read_fragment, read_init, segment_info,
};
use pipeline::playlist::{Growth, Multivariant, iframes, measure, measure_iframes, media, multivariant};
use pipeline::tracks::{AudioRendition, FrameRate, RenditionId, SegmentMark, VideoRendition};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

const KEY: [u8; 16] = *b"0123456789abcdef";
const FRAMES: usize = 225;

/// One rendition as a node would hold it.
struct Rendition {
    header: Vec<u8>,
    init: Init,
    marks: Vec<SegmentMark>,
    ciphertext: Vec<Vec<u8>>,
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("ffmpeg must be installed");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{command:?}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn ffmpeg(arguments: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(arguments.split_whitespace());
    command
}

/// Nine seconds of moving picture or tone as plain fMP4 segments of four.
fn make(folder: &Path, input: &str, codec: &str) -> Rendition {
    fs::create_dir_all(folder).unwrap();
    let hls = "-t 9 -f hls -hls_time 4 -hls_segment_type fmp4 -hls_list_size 0 -hls_segment_filename";
    let mut command = ffmpeg(&format!("-f lavfi -i {input} {codec} {hls}"));
    command.arg(folder.join("%d.m4s")).arg(folder.join("plain.m3u8"));
    run(&mut command);
    let header = fs::read(folder.join("init.mp4")).unwrap();
    let init = read_init(&header).unwrap();
    let mut rendition = Rendition { header, init, marks: Vec::new(), ciphertext: Vec::new() };
    let mut offset = rendition.header.len() as u64;
    for sequence in 0..3u8 {
        let plain = fs::read(folder.join(format!("{sequence}.m4s"))).unwrap();
        let info = segment_info(&plain, &rendition.init, u64::from(sequence)).unwrap();
        // Any two differ, here and between renditions.
        let iv = |kind: u8| {
            [kind ^ init_byte(&rendition.init), sequence + 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]
        };
        let (iv, iframe_iv) = (iv(0), iv(128));
        let ciphertext = encrypt_segment(&KEY, &iv, plain.clone()).to_vec();
        rendition.marks.push(SegmentMark {
            sequence: info.sequence,
            offset,
            length: ciphertext.len() as u64,
            plain_length: plain.len() as u64,
            start_us: info.start_us,
            duration_us: info.duration_us,
            iv,
            iframe_iv,
            period: 0,
            keyframes: info.keyframes,
        });
        offset += ciphertext.len() as u64;
        rendition.ciphertext.push(ciphertext);
    }
    rendition
}

fn init_byte(init: &Init) -> u8 {
    if init.tracks[0].codec.starts_with("avc1") { 1 } else { 2 }
}

fn renditions(folder: &Path) -> (Rendition, Rendition) {
    let picture = "-c:v libx264 -preset veryfast -bf 2 -pix_fmt yuv420p -g 100 -sc_threshold 0 -b:v 400k";
    (
        make(&folder.join("v360"), "testsrc2=size=640x360:rate=25", picture),
        make(&folder.join("a0"), "sine=frequency=440:sample_rate=48000", "-c:a aac -b:a 96k -ac 2"),
    )
}

/// What the node would answer for every address, written to a folder; the addresses and sizes come back.
fn publish(folder: &Path, video: &Rendition, audio: &Rendition) -> (String, BTreeMap<String, Vec<u8>>) {
    let mut answers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, rendition) in [("v360", video), ("a0", audio)] {
        answers.insert(format!("{name}/index.m3u8"), media(&rendition.marks, Growth::Ended).into_bytes());
        answers.insert(format!("{name}/init.mp4"), rendition.header.clone());
        for (mark, ciphertext) in rendition.marks.iter().zip(&rendition.ciphertext) {
            answers.insert(format!("{name}/{}.m4s", mark.sequence), ciphertext.clone());
        }
    }
    answers.insert("v360/iframes.m3u8".into(), iframes(&video.marks, Growth::Ended).into_bytes());
    for (mark, ciphertext) in video.marks.iter().zip(&video.ciphertext) {
        let prefix = ciphertext[..usize::try_from(iframe_prefix(mark).unwrap()).unwrap()].to_vec();
        let resource = iframe_fragment(&decrypt_prefix(&KEY, &mark.iv, prefix), &video.init).unwrap();
        let sealed = encrypt_segment(&KEY, &mark.iframe_iv, resource);
        answers.insert(format!("v360/{}.iframe.m4s", mark.sequence), sealed.to_vec());
    }
    answers.insert("key/0".into(), KEY.to_vec());
    let main = multivariant(&Multivariant {
        steering: None,
        video: &[VideoRendition {
            id: RenditionId::Video(360),
            width: 640,
            height: 360,
            frame_rate: FrameRate::whole(25),
            codecs: video.init.codecs(),
            bandwidth: measure(&video.marks),
            iframe_bandwidth: measure_iframes(&video.marks),
        }],
        audio: &[AudioRendition {
            id: RenditionId::Audio(0),
            language: Some("en".into()),
            name: "English".into(),
            default: true,
            channels: 2,
            codecs: audio.init.codecs(),
            bandwidth: measure(&audio.marks),
        }],
        subtitles: &[],
    });
    for (address, bytes) in &answers {
        let path = folder.join(address);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::write(folder.join("main.m3u8"), &main).unwrap();
    (main, answers)
}

/// Pictures and sound samples that decode without any complaint.
fn decoded(file: &Path, before_input: &str) -> (usize, f64) {
    let hash = |map: &str| {
        let mut command = ffmpeg(before_input);
        command.arg("-i").arg(file).args(["-map", map, "-f", "framemd5", "-"]);
        let text = run(&mut command);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    let samples: f64 =
        hash("0:a?").iter().filter_map(|line| line.split(',').nth(3)?.trim().parse::<f64>().ok()).sum();
    (hash("0:v").len(), samples / 48_000.0)
}

#[test]
fn a_presentation_is_right_by_the_rules_and_plays() {
    let plain = tempfile::tempdir().unwrap();
    let published = tempfile::tempdir().unwrap();
    let (video, audio) = renditions(plain.path());
    assert_eq!((video.init.codecs().len(), audio.init.codecs().as_str()), (11, "mp4a.40.2"));
    assert_eq!(video.marks.iter().map(|mark| mark.duration_us).sum::<u64>(), 9_000_000);

    let (main, answers) = publish(published.path(), &video, &audio);
    let texts: BTreeMap<_, _> = answers
        .iter()
        .filter(|(address, _)| address.ends_with(".m3u8"))
        .map(|(address, bytes)| (address.clone(), String::from_utf8(bytes.clone()).unwrap()))
        .collect();
    let mut resources: BTreeMap<String, Resource<'_>> =
        texts.iter().map(|(address, text)| (address.clone(), Resource::Playlist(text))).collect();
    for (address, bytes) in &answers {
        if address.ends_with(".m4s") {
            resources.insert(address.clone(), Resource::Segment(bytes.len() as u64));
        } else if address.ends_with(".mp4") {
            resources.insert(address.clone(), Resource::Header(bytes));
        }
    }
    assert_eq!(check_presentation(&Presentation { multivariant: &main, resources }), vec![]);

    let (frames, seconds) = decoded(&published.path().join("main.m3u8"), "-allowed_extensions ALL");
    assert_eq!(frames, FRAMES);
    assert!((8.9..9.2).contains(&seconds), "{seconds} s of sound");
    let (keyframes, _) = decoded(&published.path().join("v360/iframes.m3u8"), "-allowed_extensions ALL");
    assert_eq!(keyframes, 3, "one picture for every segment");
}

/// The joined file, piece by piece, as a download would be made.
fn bytes_of(join: &Join, tracks: &[&Rendition], from: u64, until: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in join.pieces(from..until) {
        let whole = match piece.source {
            JoinSource::Header => join.header().to_vec(),
            JoinSource::Segment { track, index } => {
                let (mark, ciphertext) =
                    (&tracks[track].marks[index], tracks[track].ciphertext[index].clone());
                let mut plain = decrypt_segment(&KEY, &mark.iv, ciphertext).unwrap();
                join.rewrite(&piece, &mut plain).unwrap();
                plain
            }
        };
        let cut = |at: u64| usize::try_from(at.clamp(piece.at, piece.at + piece.length) - piece.at).unwrap();
        bytes.extend_from_slice(&whole[cut(from)..cut(until)]);
    }
    bytes
}

fn joined(folder: &Path) -> (Join, Rendition, Rendition) {
    let (video, audio) = renditions(folder);
    let join = Join::plan(&[
        JoinTrack { init: &video.header, segments: &video.marks },
        JoinTrack { init: &audio.header, segments: &audio.marks },
    ])
    .unwrap();
    (join, video, audio)
}

#[test]
fn a_joined_download_plays_seeks_and_serves_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let (join, video, audio) = joined(folder.path());
    let tracks = [&video, &audio];
    let whole = bytes_of(&join, &tracks, 0, u64::MAX);
    assert_eq!(whole.len() as u64, join.length());
    for (from, until) in [(0, 1), (700, 90_000), (join.length() - 1, join.length()), (50_000, 50_000)] {
        let range = usize::try_from(from).unwrap()..usize::try_from(until).unwrap();
        assert_eq!(bytes_of(&join, &tracks, from, until), whole[range]);
    }
    assert_eq!(bytes_of(&join, &tracks, join.length(), u64::MAX), Vec::<u8>::new());

    let file = folder.path().join("joined.mp4");
    fs::write(&file, &whole).unwrap();
    let (frames, seconds) = decoded(&file, "");
    assert_eq!(frames, FRAMES);
    assert!((8.9..9.2).contains(&seconds), "{seconds} s of sound");
    let (later, sound) = decoded(&file, "-ss 5");
    // ffmpeg may repeat a picture or two to fill the gap between the seek point and the first whole picture.
    assert!((99..=103).contains(&later), "{later} pictures in the four seconds after the fifth");
    assert!((3.8..4.2).contains(&sound), "{sound} s of sound after a seek");
    let length = run(Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(&file));
    assert!((8.9..9.2).contains(&length.trim().parse::<f64>().unwrap()), "{length}");
}

fn fixture() -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let rendition = make(&folder.path().join("v"), "testsrc2=size=64x48:rate=10", "-c:v libx264 -g 20");
    fs::write(folder.path().join("header"), &rendition.header).unwrap();
    (folder.path().to_owned(), folder)
}

#[test]
fn damaged_mp4_is_refused_or_read_but_never_kills() {
    let (folder, _kept) = fixture();
    let header = fs::read(folder.join("header")).unwrap();
    let segment = fs::read(folder.join("v/0.m4s")).unwrap();
    let init = read_init(&header).unwrap();
    for length in 0..header.len() {
        assert!(read_init(&header[..length]).is_err(), "a header cut at {length} is no header");
    }
    proptest!(ProptestConfig::with_cases(2_000), |(at in any::<prop::sample::Index>(), byte: u8, fragment: bool)| {
        let mut bytes = if fragment { segment.clone() } else { header.clone() };
        // The front is where the structure is.
        let at = at.index(bytes.len().min(1_200));
        bytes[at] = byte;
        if fragment {
            let _ = read_fragment(&bytes, &init.tracks[0]);
            let _ = segment_info(&bytes, &init, 0);
            let _ = iframe_fragment(&bytes, &init);
            let _ = iframe_fragment(&bytes[..at], &init);
        } else {
            let _ = read_init(&bytes);
            let _ = Join::plan(&[JoinTrack { init: &bytes, segments: &[] }]);
        }
    });
}
