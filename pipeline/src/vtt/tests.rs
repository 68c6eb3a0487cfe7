//! What captions are taken, what is made of them, and what is refused.
use proptest::prelude::{any, proptest};

use super::*;

fn strict(text: &str) -> Result<Document, VttError> {
    Document::parse(text.as_bytes(), Markup::Refuse)
}

fn cue_text(text: &str) -> String {
    let document = format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n");
    Document::parse(document.as_bytes(), Markup::Drop).unwrap().cues()[0].text.clone()
}

#[test]
fn a_real_caption_file_reads_and_is_written_clean() {
    let source = "\u{feff}WEBVTT - Lesson 3\r\nKind: captions\r\n\r\nSTYLE\r\n::cue { background: url(//x) }\r\n\r\nNOTE a\r\nremark\r\n\r\n\
                  2\r\n00:00:05.500 --> 01:00:07.000 position:10%,line-left align:start evil:1 line:-1\r\n<v Ann>Later &amp; <b.loud>loud</b>\r\n\r\n\
                  intro\r\n00:01.000 --> 00:04.000\r\nFirst\r\nsecond line\r\n\r\n\r\n00:02.000 --> 00:03.000\r\n\r\n";
    let document = strict(source).unwrap();
    assert_eq!(
        document.to_string(),
        "WEBVTT\n\n00:00:01.000 --> 00:00:04.000\nFirst\nsecond line\n\n\
         00:00:05.500 --> 01:00:07.000 position:10%,line-left align:start line:-1\n<v Ann>Later &amp; <b.loud>loud</b></v>\n"
    );
    assert_eq!(strict(&document.to_string()), Ok(document), "what is written reads back the same");
}

#[test]
fn scripts_are_refused_in_uploads_and_dropped_from_sources() {
    for evil in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<iframe src=//x>",
        "</script>",
        "<B>",
        "<b/onclick=x>",
    ] {
        let text = format!("WEBVTT\n\n00:01.000 --> 00:02.000\nhello {evil}\n");
        assert_eq!(strict(&text), Err(VttError::ForeignMarkup { line: 4 }), "{evil}");
    }
    assert_eq!(cue_text("a <script>alert(1)</script> b"), "a alert(1) b");
    assert_eq!(cue_text("<font color=red>red</font>"), "red");
    assert_eq!(cue_text("<<script>x"), "x");
    assert_eq!(cue_text("1 < 2 & 3"), "1 &lt; 2 &amp; 3");
    assert_eq!(cue_text("<b onclick=x>y"), "<b>y</b>");
    assert_eq!(cue_text("<v A\"><i>z"), "<v A\"><i>z</i></v>");
    assert_eq!(cue_text("<b><i>x</b>y</i>"), "<b><i>x</i></b>y");
    assert_eq!(cue_text("one<00:00:01.500>two"), "one<00:00:01.500>two");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let cue = "00:01.000 --> 00:02.000\nhi\n";
    for (text, error) in [
        (String::new(), VttError::NoHeader),
        ("1\n00:00:01,000 --> 00:00:02,000\nSubRip\n".into(), VttError::NoHeader),
        ("WEBVTTX\n\n".into(), VttError::NoHeader),
        (format!("\nWEBVTT\n\n{cue}"), VttError::NoHeader),
        (format!("WEBVTT\n{cue}"), VttError::NotACue { line: 2 }),
        ("WEBVTT\n\n".into(), VttError::Empty),
        ("WEBVTT\n\n00:02.000 --> 00:01.000\nback\n".into(), VttError::BadTiming { line: 3 }),
        ("WEBVTT\n\nid\n00:61.000 --> 00:99.000\nx\n".into(), VttError::BadTiming { line: 4 }),
        ("WEBVTT\n\n00:01,000 --> 00:02,000\nx\n".into(), VttError::BadTiming { line: 3 }),
        (format!("WEBVTT\n\n{cue}\nstray words\n"), VttError::NotACue { line: 6 }),
        (format!("WEBVTT\n\n{cue}{cue}"), VttError::NotACue { line: 4 }),
    ] {
        assert_eq!(strict(&text), Err(error), "{text:?}");
    }
    assert_eq!(Document::parse(&[0xff, 0xfe], Markup::Drop), Err(VttError::NotText));
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(Document::parse(&vec![b'x'; MAX_BYTES + 1], Markup::Drop), Err(VttError::TooLarge));
    let long = format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n", "x".repeat(MAX_CUE_BYTES));
    assert_eq!(strict(&long), Err(VttError::CueTooLong { line: 4 }));
    let mut many = String::from("WEBVTT\n\n");
    for _ in 0..=MAX_CUES {
        many.push_str("00:01.000 --> 00:02.000\nx\n\n");
    }
    assert_eq!(strict(&many), Err(VttError::TooManyCues));
}

#[test]
fn a_window_has_the_cues_that_show_in_it() {
    let text =
        "WEBVTT\n\n00:01.000 --> 00:02.000\na\n\n00:59.000 --> 01:01.000\nb\n\n01:30.000 --> 01:31.000\nc\n";
    let document = strict(text).unwrap();
    let texts = |from, until| {
        document.window(from, until).cues().iter().map(|cue| cue.text.clone()).collect::<Vec<_>>().join("")
    };
    assert_eq!(texts(0, 60_000), "ab");
    assert_eq!(texts(60_000, 120_000), "bc");
    assert_eq!(texts(120_000, 180_000), "");
    assert_eq!(document.window(120_000, 180_000).to_string(), "WEBVTT\n");
}

#[test]
fn plain_words_are_escaped_and_cut() {
    let long = "&".repeat(MAX_CUE_BYTES);
    let document = Document::from_plain([
        (2_000, 3_000, "<b>1 & 2</b>\n\n\nx --> y".to_owned()),
        (0, 1_000, long),
        (5_000, 5_000, "never".to_owned()),
    ]);
    assert_eq!(document.cues().len(), 2);
    assert!(document.cues()[0].text.len() <= MAX_CUE_BYTES && document.cues()[0].text.ends_with("&amp;"));
    assert_eq!(document.cues()[1].text, "&lt;b&gt;1 &amp; 2&lt;/b&gt;\nx --&gt; y");
    assert_eq!(strict(&document.to_string()), Ok(document));
}

#[test]
fn a_storyboard_names_every_tile() {
    let layout = Storyboard {
        tiles: 3,
        columns: 2,
        tile_width: 160,
        tile_height: 90,
        interval_ms: 2_000,
        duration_ms: 7_500,
    };
    assert_eq!(
        storyboard(&layout, "storyboard.jpg"),
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nstoryboard.jpg#xywh=0,0,160,90\n\n\
         00:00:02.000 --> 00:00:04.000\nstoryboard.jpg#xywh=160,0,160,90\n\n\
         00:00:04.000 --> 00:00:07.500\nstoryboard.jpg#xywh=0,90,160,90\n"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Document::parse(&bytes, Markup::Refuse);
        let mut text = b"WEBVTT\n\n00:01.000 --> 00:02.000\n".to_vec();
        text.extend_from_slice(&bytes);
        let _ = Document::parse(&text, Markup::Drop);
    }

    #[test]
    fn what_comes_out_is_clean_and_stays_as_it_is(
        text in "([<>&;/. \n:]|b|i|v|lang|script|style|amp|00:01\\.000|-->|x|\u{fc}){0,60}",
    ) {
        let source = format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n");
        if let Ok(document) = Document::parse(source.as_bytes(), Markup::Drop) {
            for cue in document.cues() {
                for (at, _) in cue.text.match_indices('<') {
                    let name: String = cue.text[at + 1..].trim_start_matches('/').chars().take_while(|c| !". >".contains(*c)).collect();
                    let known = ["b", "i", "u", "c", "v", "lang", "ruby", "rt"].contains(&name.as_str());
                    assert!(known || name.starts_with("00:01") , "{name} in {}", cue.text);
                }
            }
            assert_eq!(strict(&document.to_string()), Ok(document));
        }
    }
}

#[test]
fn escapes_in_the_name_of_a_voice_are_escaped_once() {
    let document = Document::parse(
        "WEBVTT\n\n00:01.000 --> 00:02.000\n<v A &lt;B&amp;C\u{7}>hi\n".as_bytes(),
        Markup::Drop,
    )
    .unwrap();
    assert!(document.to_string().contains("<v A &lt;B&amp;C>hi</v>"), "{document}");
    assert_eq!(Document::parse(document.to_string().as_bytes(), Markup::Refuse), Ok(document));
}

#[test]
fn a_line_that_was_only_foreign_markup_leaves_no_blank_line_that_would_end_the_cue() {
    for text in ["<font face=a>\nHello", "Hello\n<font>\nyou", "Hello\n</font>"] {
        let source = format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n\n00:03.000 --> 00:04.000\nnext\n");
        let document = Document::parse(source.as_bytes(), Markup::Drop).unwrap();
        assert_eq!(document.cues().len(), 2, "{text}");
        let again = Document::parse(document.to_string().as_bytes(), Markup::Refuse);
        assert_eq!(again.as_ref(), Ok(&document), "{text}");
    }
}

#[test]
fn a_cue_that_is_too_long_only_once_it_is_escaped_is_refused_at_once() {
    for (count, fits) in [(600, true), (1000, false)] {
        let text = format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n", "& ".repeat(count));
        match strict(&text) {
            Ok(document) => assert!(fits && strict(&document.to_string()) == Ok(document), "{count}"),
            refused => {
                assert!(!fits && refused == Err(VttError::CueTooLong { line: 4 }), "{count}: {refused:?}")
            }
        }
    }
}

#[test]
fn plain_words_that_were_cut_read_back() {
    let document = Document::from_plain([(1000, 2000, "x".repeat(MAX_CUE_BYTES + 10))]);
    assert_eq!(strict(&document.to_string()), Ok(document));
}

#[test]
fn the_end_of_a_tag_makes_no_arrow_of_the_dashes_before_it() {
    for text in
        ["<v Ann -- >Hello</v>", "<v Ann-\u{1}- >Hello</v>", "<b.-- x>Hello</b>", "<lang de-- >Hallo</lang>"]
    {
        let document = strict(&format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n")).unwrap();
        assert!(!document.cues()[0].text.contains("-->"), "{text}");
        assert_eq!(strict(&document.to_string()), Ok(document), "{text}");
    }
}
