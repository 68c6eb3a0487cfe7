//! Every parser of this crate that meets untrusted bytes, fed with good input damaged at random for a bounded time. A round
//! that fails names its target and its seed; `MEDIAKEEP_MUTATION_SEED` starts there again. `just test-long` goes on for
//! minutes (`MEDIAKEEP_MUTATION_SECONDS`).
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use pipeline::hls_check::{Presentation, check, check_presentation, check_reload};
use pipeline::mp4::{Join, JoinTrack, iframe_fragment, read_fragment, read_init, segment_info};
use pipeline::outline::{defect_of_movie, mended_asf_header};
use pipeline::streamable;
use pipeline::vtt::{Document, Markup};

const CAPTIONS: &[u8] = b"WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE nothing\n\n1\n00:00.500 --> 00:02.000 line:0 align:start\n\
<v Anna>Hello <i>you</i> &amp; <c.loud>me</c>\n\n01:00:00.000 --> 01:00:04.000\n<00:19.000>two\nlines\n";
const PLAYLIST: &[u8] =
    b"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PLAYLIST-TYPE:VOD\n\
#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"700@0\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"../key/0\",IV=0x00000000000000000000000000000001\n\
#EXTINF:4.0,\n#EXT-X-BYTERANGE:900@700\n0.m4s\n#EXT-X-DISCONTINUITY\n#EXTINF:4.4,\n1.m4s\n#EXT-X-ENDLIST\n";

type Target = (&'static str, Vec<u8>, fn(&[u8]));

/// A fragmented MP4 of one second with pictures and sound.
fn movie() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("movie.mp4");
    let arguments = "-nostdin -v error -f lavfi -i testsrc2=size=64x64:rate=25:duration=1 -f lavfi -i sine=duration=1 \
                     -c:v libx264 -preset ultrafast -g 12 -c:a aac -movflags +frag_keyframe+empty_moov+default_base_moof";
    let status = Command::new("ffmpeg").args(arguments.split_whitespace()).arg(&path).status().unwrap();
    assert!(status.success(), "ffmpeg must be installed");
    std::fs::read(path).unwrap()
}

fn read_captions(bytes: &[u8]) {
    if let Ok(document) = Document::parse(bytes, Markup::Drop) {
        let again = Document::parse(document.to_string().as_bytes(), Markup::Refuse);
        assert_eq!(again, Ok(document), "what is written reads back the same");
    }
}

fn read_playlist(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (before, after) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let _ = check(&text);
    let _ = check_reload(before, after);
    let _ = check_presentation(&Presentation { multivariant: &text, resources: BTreeMap::new() });
}

/// Header and first fragment are told apart by the damaged bytes themselves.
fn read_movie(bytes: &[u8]) {
    let cut =
        bytes.windows(4).position(|kind| kind == b"moof").map_or(bytes.len(), |at| at.saturating_sub(4));
    let (header, segment) = bytes.split_at(cut);
    let Ok(init) = read_init(header) else { return };
    let _ = Join::plan(&[JoinTrack { init: header, segments: &[] }]);
    for track in &init.tracks {
        let _ = read_fragment(segment, track);
    }
    let _ = segment_info(segment, &init, 0);
    let _ = iframe_fragment(segment, &init);
}

fn look_at_outline(bytes: &[u8]) {
    let read = |offset: u64, buffer: &mut [u8]| {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    };
    defect_of_movie(bytes.len() as u64, read).unwrap();
    let _ = (mended_asf_header(bytes), streamable(bytes));
}

/// Random numbers that are the same for the same seed (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// Flips, numbers at their limits, cuts, repeated and removed runs: one to eight of them.
fn damaged(good: &[u8], noise: &mut Noise) -> Vec<u8> {
    const LIMITS: [u32; 6] = [0, 1, 7, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    let mut bytes = good.to_vec();
    for _ in 0..=noise.below(8) {
        let at = noise.below(bytes.len());
        let end = (at + 1 + noise.below(40)).min(bytes.len());
        match noise.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << noise.below(8),
            1 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&LIMITS[noise.below(LIMITS.len())].to_be_bytes());
            }
            2 => bytes.truncate(at.max(8)),
            3 if at < end => drop(bytes.drain(at..end)),
            4 if at < end => {
                let run = bytes[at..end].to_vec();
                bytes.splice(at..at, run);
            }
            _ if !bytes.is_empty() => bytes[at] = u8::try_from(noise.below(256)).unwrap(),
            _ => {}
        }
    }
    bytes
}

fn number_from(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect(variable))
}

#[test]
fn no_damaged_input_brings_a_parser_down() {
    let targets: [Target; 4] = [
        ("captions", CAPTIONS.to_vec(), read_captions),
        ("playlist", PLAYLIST.to_vec(), read_playlist),
        ("movie", movie(), read_movie),
        ("outline", movie(), look_at_outline),
    ];
    let first = number_from("MEDIAKEEP_MUTATION_SEED", 1);
    let end = Instant::now() + Duration::from_secs(number_from("MEDIAKEEP_MUTATION_SECONDS", 5));
    let mut rounds = 0;
    for seed in first.. {
        for (name, good, target) in &targets {
            let input = damaged(good, &mut Noise(seed));
            let began = Instant::now();
            let survived = catch_unwind(AssertUnwindSafe(|| target(&input)));
            assert!(survived.is_ok(), "{name} fell at seed {seed}");
            assert!(began.elapsed() < Duration::from_secs(5), "{name} took too long at seed {seed}");
        }
        rounds += 1;
        if Instant::now() > end {
            break;
        }
    }
    println!("{rounds} rounds from seed {first}");
    assert!(rounds > 50, "only {rounds} rounds: something is slow");
}
