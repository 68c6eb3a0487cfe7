//! The checker finds each kind of mistake, and only that one; and survives whatever it is given.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::collections::BTreeMap;

use pipeline::hls_check::{Presentation, Resource, check, check_presentation, check_reload};
use proptest::prelude::{any, proptest};

const MEDIA: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n\
#EXT-X-MAP:URI=\"init.mp4\"\n\
#EXT-X-KEY:METHOD=AES-128,URI=\"../key/0\",IV=0x00000000000000000000000000000001\n#EXTINF:4.0,\n0.m4s\n\
#EXT-X-KEY:METHOD=AES-128,URI=\"../key/0\",IV=0x00000000000000000000000000000002\n#EXTINF:4.4,\n1.m4s\n#EXT-X-ENDLIST\n";

const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-VERSION:7\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,URI=\"a0/index.m3u8\"\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=NO,AUTOSELECT=YES,URI=\"a1/index.m3u8\"\n\
#EXT-X-STREAM-INF:BANDWIDTH=900,AVERAGE-BANDWIDTH=800,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO=\"audio\"\n\
v360/index.m3u8\n\
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90,CODECS=\"avc1.64001f\",RESOLUTION=640x360,URI=\"v360/iframes.m3u8\"\n";

fn rules(text: &str) -> Vec<&'static str> {
    let mut rules: Vec<_> = check(text).into_iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

fn changed(good: &str, from: &str, to: &str) -> String {
    assert!(good.contains(from), "{from}");
    good.replace(from, to)
}

#[test]
fn good_playlists_pass() {
    assert_eq!(check(MEDIA), vec![]);
    assert_eq!(check(MULTIVARIANT), vec![]);
}

#[test]
fn every_rule_of_a_media_playlist_is_found_broken() {
    for (from, to, rule) in [
        ("#EXTM3U\n", "\n", "extm3u"),
        ("#EXTM3U", "\u{feff}#EXTM3U", "byte_order_mark"),
        ("VERSION:7", "VERSION:5", "version"),
        ("VERSION:7\n", "VERSION:7\n#EXT-X-VERSION:7\n", "once"),
        ("#EXT-X-TARGETDURATION:4\n", "", "required_tag"),
        ("TARGETDURATION:4", "TARGETDURATION:four", "tag_form"),
        ("4.4,", "4.6,", "target_duration"),
        ("#EXTINF:4.4,\n", "", "extinf"),
        ("4.4,", "4.4", "extinf"),
        ("4.4,", "-4.4,", "extinf"),
        ("TYPE:VOD", "TYPE:LIVE", "tag_form"),
        ("#EXT-X-ENDLIST\n", "", "vod_end"),
        ("0002\n", "0001\n", "iv_unique"),
        ("IV=0x00000000000000000000000000000002", "IV=0x2", "iv_form"),
        ("AES-128,URI=\"../key/0\",IV=0x00000000000000000000000000000002", "AES-128", "required_attribute"),
        ("METHOD=AES-128", "METHOD=NONE", "key"),
        ("METHOD=AES-128", "METHOD=ROT13", "attribute_form"),
        ("URI=\"../key/0\"", "URI=../key/0", "attribute_form"),
        ("URI=\"init.mp4\"", "URI=\"init.mp4", "attribute_list"),
        ("URI=\"init.mp4\"", "URI=\"init.mp4\",URI=\"x\"", "attribute_list"),
        ("#EXTINF:4.0,", "#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:4.0,", "once"),
        ("1.m4s\n", "1.m4s \n", "white_space"),
        ("1.m4s\n", "1.m4s\u{7}\n", "control_character"),
        ("#EXT-X-ENDLIST", "#EXT-X-STREAMING\n#EXT-X-ENDLIST", "unknown_tag"),
    ] {
        let found = rules(&changed(MEDIA, from, to));
        assert!(found.contains(&rule), "{from:?} -> {to:?}: {found:?}");
    }
}

#[test]
fn every_rule_of_a_multivariant_playlist_is_found_broken() {
    for (from, to, rule) in [
        ("BANDWIDTH=900,", "BANDWIDTH=700,", "bandwidth"),
        ("BANDWIDTH=900,AVERAGE-BANDWIDTH=800", "AVERAGE-BANDWIDTH=800", "required_attribute"),
        ("CODECS=\"avc1.64001f,mp4a.40.2\",", "", "required_attribute"),
        ("RESOLUTION=640x360,FRAME", "FRAME", "required_attribute"),
        ("RESOLUTION=640x360,FRAME", "RESOLUTION=640,FRAME", "attribute_form"),
        (",FRAME-RATE=25.000", "", "required_attribute"),
        ("AUDIO=\"audio\"\n", "AUDIO=\"sound\"\n", "group_reference"),
        (",AUDIO=\"audio\"\n", "\n", "group_reference"),
        ("NAME=\"Deutsch\"", "NAME=\"English\"", "name_unique"),
        ("DEFAULT=NO", "DEFAULT=YES", "one_default"),
        ("DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO", "autoselect"),
        ("LANGUAGE=\"de\"", "LANGUAGE=\"Deutsch oder so\"", "language"),
        ("v360/index.m3u8\n", "", "stream_uri"),
        (",URI=\"v360/iframes.m3u8\"", "", "required_attribute"),
        ("BANDWIDTH=90,", "BANDWIDTH=90,AUDIO=\"audio\",", "iframe_attribute"),
    ] {
        let found = rules(&changed(MULTIVARIANT, from, to));
        assert!(found.contains(&rule), "{from:?} -> {to:?}: {found:?}");
    }
}

#[test]
fn a_reload_may_not_rewrite_the_past() {
    let growing = MEDIA.replace("VOD", "EVENT").replace("#EXT-X-ENDLIST\n", "");
    assert_eq!(check_reload(&growing, &MEDIA.replace("VOD", "EVENT")), vec![]);
    for (from, to, rule) in [
        ("TARGETDURATION:4", "TARGETDURATION:5", "target_duration_changed"),
        ("MEDIA-SEQUENCE:0", "MEDIA-SEQUENCE:1", "segment_removed"),
        ("0.m4s", "zero.m4s", "segment_changed"),
        ("0002\n", "0003\n", "segment_changed"),
        ("#EXTINF:4.4,\n1.m4s\n", "", "segment_removed"),
    ] {
        let found: Vec<_> =
            check_reload(&growing, &changed(&growing, from, to)).into_iter().map(|v| v.rule).collect();
        assert!(found.contains(&rule), "{from:?} -> {to:?}: {found:?}");
    }
    assert_eq!(check_reload(MEDIA, &growing)[0].rule, "end_removed");
    let backwards = check_reload(&growing.replace("SEQUENCE:0", "SEQUENCE:3"), &growing);
    assert_eq!(backwards[0].rule, "sequence_backwards");
}

#[test]
fn what_is_missing_or_heavier_than_announced_is_found() {
    let media = MEDIA.to_owned();
    let mut resources: BTreeMap<String, Resource<'_>> = BTreeMap::new();
    for folder in ["v360", "a0"] {
        resources.insert(format!("{folder}/index.m3u8"), Resource::Playlist(&media));
        resources.insert(format!("{folder}/0.m4s"), Resource::Segment(400));
        resources.insert(format!("{folder}/1.m4s"), Resource::Segment(500));
    }
    let found = check_presentation(&Presentation { multivariant: MULTIVARIANT, resources });
    let rules: std::collections::BTreeSet<_> = found.iter().map(|violation| violation.rule).collect();
    let wanted = ["bandwidth_average", "bandwidth_peak", "header", "iv_unique", "missing_playlist"];
    assert_eq!(rules.into_iter().collect::<Vec<_>>(), wanted, "{found:?}");
}

proptest! {
    #[test]
    fn any_text_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_damage_is_survived(at in 0usize..700, byte: u8, cut in 0usize..700, multivariant: bool) {
        let mut bytes = if multivariant { MULTIVARIANT } else { MEDIA }.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let damaged = String::from_utf8_lossy(&bytes).into_owned();
        let cut: String = damaged.chars().take(cut).collect();
        let _ = check(&damaged);
        let _ = check(&cut);
        let _ = check_reload(&damaged, &cut);
        let _ = check_presentation(&Presentation { multivariant: &damaged, resources: BTreeMap::new() });
    }
}
