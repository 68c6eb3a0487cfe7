//! Every parser of this crate that meets untrusted bytes, fed with good input damaged at random for a bounded time.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::process::Command;

#[path = "parsers/media.rs"]
mod media;
#[path = "parsers/mutation.rs"]
mod mutation;

const CAPTIONS: &[u8] = b"WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE nothing\n\n1\n00:00.500 --> 00:02.000 line:0 align:start\n\
<v Anna>Hello <i>you</i> &amp; <c.loud>me</c>\n\n01:00:00.000 --> 01:00:04.000\n<00:19.000>two\nlines\n";
const PLAYLIST: &[u8] =
    b"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PLAYLIST-TYPE:VOD\n\
#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"700@0\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"../key/0\",IV=0x00000000000000000000000000000001\n\
#EXTINF:4.0,\n#EXT-X-BYTERANGE:900@700\n0.m4s\n#EXT-X-DISCONTINUITY\n#EXTINF:4.4,\n1.m4s\n#EXT-X-ENDLIST\n";

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

#[test]
fn no_damaged_media_brings_a_parser_down() {
    mutation::survive(&[
        ("vtt", "captions", CAPTIONS.to_vec(), &media::read_captions),
        ("playlist", "playlist", PLAYLIST.to_vec(), &media::read_playlist),
        ("mp4", "movie", movie(), &media::read_movie),
        ("outline", "outline", movie(), &media::look_at_outline),
    ]);
}
