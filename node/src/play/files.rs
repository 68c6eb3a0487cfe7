//! The files of a presentation: their names, strictly read, and their bytes.

use bytes::Bytes;
use cluster::state::Asset;
use pipeline::encrypt::{decrypt_prefix, encrypt_segment};
use pipeline::mp4::{iframe_fragment, iframe_prefix, read_init};
use pipeline::playlist::{iframes, media, subtitle_window, subtitles};
use pipeline::tracks::{RenditionId, SegmentMark};
use pipeline::vtt::{Document, MAX_BYTES, Markup};

use super::library::{Library, TrackIndex};
use super::presentation::{blob_of, growth, main_playlist};
use crate::asset_store::{AssetStore, StoreError};
use crate::manifest::Manifest;

/// A file below `/play/<view>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// `main.m3u8`
    Main,
    /// `steering.json`
    Steering,
    /// `key/<period>`
    Key(u32),
    /// `<rendition>/index.m3u8`
    Index(RenditionId),
    /// `<rendition>/iframes.m3u8`
    Iframes(RenditionId),
    /// `<rendition>/init.mp4`
    Init(RenditionId),
    /// `<rendition>/<n>.m4s`
    Segment(RenditionId, u64),
    /// `<rendition>/<n>.iframe.m4s`
    Iframe(RenditionId, u64),
    /// `subs/<id>/index.m3u8`
    Subtitles(String),
    /// `subs/<id>/<n>.vtt`
    SubtitleSegment(String, u64),
}

/// What sort of file, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A playlist.
    Playlist,
    /// Which node to play from.
    Steering,
    /// A key.
    Key,
    /// A header or ciphertext.
    Fragment,
    /// Subtitles.
    Text,
}

impl Kind {
    /// Its `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Playlist => "application/vnd.apple.mpegurl",
            // RFC 8216bis, section 7.3 says so.
            Self::Steering => "application/json",
            Self::Key => "application/octet-stream",
            Self::Fragment => "video/mp4",
            Self::Text => "text/vtt; charset=utf-8",
        }
    }

    /// Never changes, and is no secret.
    pub fn cacheable(self) -> bool {
        self == Self::Fragment
    }
}

impl File {
    /// Reads a path below the View; there is one spelling of each.
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["main.m3u8"] => Some(Self::Main),
            ["steering.json"] => Some(Self::Steering),
            ["key", period] => Some(Self::Key(u32::try_from(number(period)?).ok()?)),
            ["subs", id, "index.m3u8"] => Some(Self::Subtitles(subtitle_id(id)?)),
            ["subs", id, name] => {
                Some(Self::SubtitleSegment(subtitle_id(id)?, number(name.strip_suffix(".vtt")?)?))
            }
            [rendition, name] => Self::of_rendition(rendition.parse().ok()?, name),
            _ => None,
        }
    }

    fn of_rendition(rendition: RenditionId, name: &str) -> Option<Self> {
        match name {
            "index.m3u8" => return Some(Self::Index(rendition)),
            "iframes.m3u8" => return Some(Self::Iframes(rendition)),
            "init.mp4" => return Some(Self::Init(rendition)),
            _ => {}
        }
        let stem = name.strip_suffix(".m4s")?;
        match stem.strip_suffix(".iframe") {
            Some(stem) => Some(Self::Iframe(rendition, number(stem)?)),
            None => Some(Self::Segment(rendition, number(stem)?)),
        }
    }

    /// What sort of file.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Main | Self::Index(_) | Self::Iframes(_) | Self::Subtitles(_) => Kind::Playlist,
            Self::Steering => Kind::Steering,
            Self::Key(_) => Kind::Key,
            Self::Init(_) | Self::Segment(..) | Self::Iframe(..) => Kind::Fragment,
            Self::SubtitleSegment(..) => Kind::Text,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

fn subtitle_id(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(plain)).then(|| text.to_owned())
}

/// The file's bytes; `None` when there is no such file (yet). With `steered`, the main playlist names the manifest that
/// tells players where else they may go; that one is made for each viewer, by the caller.
pub async fn load(
    library: &Library,
    store: &AssetStore,
    asset: &Asset,
    file: &File,
    steered: bool,
) -> Result<Option<Bytes>, StoreError> {
    match file {
        File::Main => {
            let address = steered.then_some("steering.json");
            Ok(main_playlist(library, asset, address).await?.map(Bytes::from))
        }
        File::Steering => Ok(None),
        File::Key(period) => {
            // One key for the whole of an uploaded video.
            if *period != 0 {
                return Ok(None);
            }
            Ok(Some(Bytes::copy_from_slice(store.key(asset)?.content_key(*period)?.as_bytes())))
        }
        File::Index(rendition) | File::Iframes(rendition) | File::Init(rendition) => {
            let Some(track) = track(library, asset, *rendition).await? else { return Ok(None) };
            let stored = track.stored().await?;
            if stored.segments().is_empty() {
                return Ok(None);
            }
            let growth = growth(asset);
            Ok(match file {
                File::Init(_) => stored.init().cloned(),
                File::Iframes(RenditionId::Video(_)) => Some(iframes(stored.segments(), growth).into()),
                File::Iframes(_) => None,
                _ => Some(media(stored.segments(), growth).into()),
            })
        }
        File::Segment(rendition, sequence) => {
            let Some((track, segment)) = segment(library, asset, *rendition, *sequence).await? else {
                return Ok(None);
            };
            Ok(Some(library.ciphertext(&track, &segment).await?))
        }
        File::Iframe(rendition, sequence) => {
            let Some((track, segment)) = segment(library, asset, *rendition, *sequence).await? else {
                return Ok(None);
            };
            iframe(store, asset, &track, &segment).await
        }
        File::Subtitles(id) => subtitle_playlist(library, asset, id).await,
        File::SubtitleSegment(id, sequence) => subtitle_segment(library, asset, id, *sequence).await,
    }
}

async fn track(
    library: &Library,
    asset: &Asset,
    rendition: RenditionId,
) -> Result<Option<std::sync::Arc<TrackIndex>>, StoreError> {
    let manifest = library.manifest(asset).await?;
    match blob_of(asset, manifest.as_deref(), rendition) {
        Some(blob) => Ok(Some(library.track(asset, blob).await?)),
        None => Ok(None),
    }
}

async fn segment(
    library: &Library,
    asset: &Asset,
    rendition: RenditionId,
    sequence: u64,
) -> Result<Option<(std::sync::Arc<TrackIndex>, SegmentMark)>, StoreError> {
    let Some(track) = track(library, asset, rendition).await? else { return Ok(None) };
    Ok(track.segment(sequence).await?.map(|segment| (track, segment)))
}

/// The first picture of a segment as a resource of its own: deciphered from the segment's front, built anew, and
/// enciphered with its own vector, the same every time.
async fn iframe(
    store: &AssetStore,
    asset: &Asset,
    track: &TrackIndex,
    segment: &SegmentMark,
) -> Result<Option<Bytes>, StoreError> {
    let Some(length) = iframe_prefix(segment) else { return Ok(None) };
    let stored = track.stored().await?;
    let Some(init) = stored.init().and_then(|bytes| read_init(bytes).ok()) else { return Ok(None) };
    let key = store.key(asset)?.content_key(segment.period)?;
    let front = track.reader().read_span(segment.offset, length).await?;
    let plain = decrypt_prefix(key.as_bytes(), &segment.iv, front.into());
    let Ok(fragment) = iframe_fragment(&plain, &init) else { return Ok(None) };
    Ok(Some(encrypt_segment(key.as_bytes(), &segment.iframe_iv, fragment)))
}

async fn subtitle_playlist(library: &Library, asset: &Asset, id: &str) -> Result<Option<Bytes>, StoreError> {
    let Some(manifest) = library.manifest(asset).await? else { return Ok(None) };
    let known = text_blob(&manifest, id).is_some();
    Ok(known.then(|| subtitles(manifest.duration_ms * 1000).into()))
}

async fn subtitle_segment(
    library: &Library,
    asset: &Asset,
    id: &str,
    sequence: u64,
) -> Result<Option<Bytes>, StoreError> {
    let Some(manifest) = library.manifest(asset).await? else { return Ok(None) };
    let Some(blob) = text_blob(&manifest, id) else { return Ok(None) };
    let Some((from_ms, until_ms)) = subtitle_window(manifest.duration_ms * 1000, sequence) else {
        return Ok(None);
    };
    let text = library.small(asset, blob, MAX_BYTES as u64).await?;
    // Clean when it was stored; what cannot be read is left out rather than passed through.
    let Ok(document) = Document::parse(&text, Markup::Drop) else { return Ok(None) };
    Ok(Some(document.window(from_ms, until_ms).to_string().into()))
}

fn text_blob(manifest: &Manifest, id: &str) -> Option<cluster::id::BlobId> {
    let mut all = manifest.captions.iter().chain(&manifest.subtitles);
    all.find(|track| track.rendition.id == id).map(|track| track.stored.blob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_one_spelling() {
        let v720 = RenditionId::Video(720);
        let cases = [
            ("main.m3u8", Some(File::Main)),
            ("steering.json", Some(File::Steering)),
            ("key/0", Some(File::Key(0))),
            ("v720/index.m3u8", Some(File::Index(v720))),
            ("v720/iframes.m3u8", Some(File::Iframes(v720))),
            ("v720/init.mp4", Some(File::Init(v720))),
            ("v720/0.m4s", Some(File::Segment(v720, 0))),
            ("v720/12.iframe.m4s", Some(File::Iframe(v720, 12))),
            ("subs/de/index.m3u8", Some(File::Subtitles("de".into()))),
            ("subs/s0/3.vtt", Some(File::SubtitleSegment("s0".into(), 3))),
            ("", None),
            ("/main.m3u8", None),
            ("main.m3u8/", None),
            ("v720/../key/0", None),
            ("v720/00.m4s", None),
            ("v720/+1.m4s", None),
            ("v720/99999999999999999999.m4s", None),
            ("v0720/0.m4s", None),
            ("key/00", None),
            ("key/-1", None),
            ("subs/../index.m3u8", None),
            ("subs//index.m3u8", None),
        ];
        for (path, file) in cases {
            assert_eq!(File::parse(path), file, "{path}");
        }
    }
}
