//! The playlist writer against blessed examples, each of which our own checker must find nothing wrong with.
//! `BLESS=1` accepts what is written now.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use pipeline::hls_check::{check, check_reload};
use pipeline::playlist::{
    Growth, Multivariant, expected, iframes, language_tag, measure, measure_iframes, media, multivariant,
    subtitle_window, subtitles,
};
use pipeline::tracks::{
    AudioRendition, Bandwidth, FrameRate, Keyframe, RenditionId, SegmentMark, SubtitleRendition,
    VideoRendition,
};

fn compare(name: &str, text: &str) {
    let path = format!("{}/../tests/blessed/playlists/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let blessed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, blessed, "{name}: run with BLESS=1 to accept");
    let violations = check(text);
    assert!(violations.is_empty(), "{name}: {violations:?}");
}

/// Marks of segments with these lengths of play, a keyframe in each.
fn segments(durations_us: &[u64]) -> Vec<SegmentMark> {
    let mut offset = 900;
    let mut start_us = 0;
    let mut marks = Vec::new();
    for (sequence, duration_us) in durations_us.iter().copied().enumerate() {
        let number = u8::try_from(sequence).unwrap();
        let length = 1_000_000 + 16_000 * sequence as u64;
        marks.push(SegmentMark {
            sequence: sequence as u64,
            offset,
            length,
            plain_length: length - 5,
            start_us,
            duration_us,
            iv: [number; 16],
            iframe_iv: [number | 0x80; 16],
            period: 0,
            keyframes: vec![Keyframe { offset: 600, length: 40_000, pts_us: start_us }],
        });
        offset += length;
        start_us += duration_us;
    }
    marks
}

fn video(side: u16, width: u32, height: u32, codecs: &str, peak: u64) -> VideoRendition {
    VideoRendition {
        id: RenditionId::Video(side),
        width,
        height,
        frame_rate: FrameRate { numerator: 30_000, denominator: 1001 },
        codecs: codecs.into(),
        bandwidth: Bandwidth { peak, average: peak * 4 / 5 },
        iframe_bandwidth: Bandwidth { peak: peak / 10, average: peak / 12 },
    }
}

fn audio(index: u16, language: Option<&str>, name: &str) -> AudioRendition {
    AudioRendition {
        id: RenditionId::Audio(index),
        language: language.map(str::to_owned),
        name: name.into(),
        default: index == 1,
        channels: 2,
        codecs: "mp4a.40.2".into(),
        bandwidth: Bandwidth { peak: 136_000, average: 129_000 },
    }
}

fn subtitle(id: &str, language: &str, name: &str, forced: bool) -> SubtitleRendition {
    SubtitleRendition {
        id: id.into(),
        language: Some(language.into()),
        name: name.into(),
        default: id == "en",
        forced,
    }
}

fn ladder() -> Vec<VideoRendition> {
    vec![
        video(1080, 1920, 1080, "avc1.640028", 6_100_000),
        video(720, 1280, 720, "avc1.64001f", 3_300_000),
        video(480, 854, 480, "avc1.64001f", 1_500_000),
        video(240, 426, 240, "avc1.640015", 500_000),
    ]
}

#[test]
fn a_film_with_languages_and_subtitles() {
    let film = Multivariant {
        steering: None,
        video: &ladder(),
        audio: &[
            audio(0, Some("eng"), "English"),
            audio(1, Some("deu"), "Deutsch"),
            audio(2, None, "English"),
        ],
        subtitles: &[
            subtitle("en", "en", "English", false),
            subtitle("s0", "ger", "Say \"hi\"\n", false),
            subtitle("s1", "de", "Deutsch (Schilder)", true),
        ],
    };
    compare("film.m3u8", &multivariant(&film));
}

#[test]
fn a_silent_clip() {
    compare("silent.m3u8", &multivariant(&Multivariant { video: &ladder()[2..], ..Default::default() }));
}

#[test]
fn a_recording_without_pictures() {
    let one = [audio(0, Some("en"), "English")];
    compare("audio.m3u8", &multivariant(&Multivariant { audio: &one, ..Default::default() }));
    let two = [audio(0, Some("en"), "English"), audio(1, Some("fr"), "Fran\u{e7}ais")];
    compare("audio_two_languages.m3u8", &multivariant(&Multivariant { audio: &two, ..Default::default() }));
}

#[test]
fn a_finished_rendition() {
    let marks = segments(&[4_004_000, 4_004_000, 1_134_466]);
    compare("vod.m3u8", &media(&marks, Growth::Ended));
    compare("vod_iframes.m3u8", &iframes(&marks, Growth::Ended));
}

#[test]
fn a_growing_rendition_only_ever_grows() {
    let marks = segments(&[4_004_000, 4_004_000, 6_400_000, 2_000_000]);
    compare("growing.m3u8", &media(&marks[..2], Growth::Growing));
    compare("growing_iframes.m3u8", &iframes(&marks[..2], Growth::Growing));
    for write in [media, iframes] {
        for length in 0..marks.len() {
            let (before, after) = (write(&marks[..length], Growth::Growing), write(&marks, Growth::Ended));
            assert_eq!(check_reload(&before, &after), vec![], "from {length} segments");
        }
    }
}

#[test]
fn a_segment_without_a_keyframe_lengthens_the_iframe_before_it() {
    let mut marks = segments(&[4_000_000, 3_000_000, 4_000_000]);
    marks[1].keyframes.clear();
    let text = iframes(&marks, Growth::Ended);
    assert!(text.contains("#EXTINF:7.000000,\n0.iframe.m4s\n") && !text.contains("1.iframe.m4s"), "{text}");
    assert_eq!(check(&text), vec![]);
}

#[test]
fn subtitles_in_windows_of_a_minute() {
    compare("subtitles.m3u8", &subtitles(150_500_000));
    assert_eq!(subtitle_window(150_500_000, 2), Some((120_000, 180_000)));
    assert_eq!(subtitle_window(150_500_000, 3), None);
    assert_eq!(check(&subtitles(1_500_000)), vec![]);
    assert_eq!(check(&subtitles(0)), vec![]);
}

#[test]
fn bandwidth_is_what_is_sent() {
    let mut marks = segments(&[4_000_000, 4_000_000, 100_000]);
    marks[2].length = 40_000;
    let measured = measure(&marks);
    assert_eq!(measured.peak, 2_032_000, "a tail of a tenth of a second does not count");
    assert_eq!(measured.average, (2_056_000u64 * 8 * 10).div_ceil(81));
    // 40,000 bytes of picture and 112 of boxes, padded to 40,128.
    assert_eq!(measure_iframes(&marks[..2]), Bandwidth { peak: 40_128 * 2, average: 40_128 * 2 });
    assert_eq!(expected(&[], 2_800, 4_200), Bandwidth { peak: 4_200_000, average: 2_800_000 });
    assert_eq!(expected(&marks, 10, 20), measured);
    assert_eq!(measure(&[]), Bandwidth::default());
}

#[test]
fn languages_are_the_shortest_tag() {
    for (text, tag) in
        [("eng", "en"), ("ger", "de"), ("deu", "de"), ("pt-BR", "pt-BR"), ("EN_us", "en-us"), ("gsw", "gsw")]
    {
        assert_eq!(language_tag(text).as_deref(), Some(tag));
    }
    for text in ["", "und", "x", "en\"", "deutsch1", "en-", "en-toolongsubtag"] {
        assert_eq!(language_tag(text), None, "{text}");
    }
}
