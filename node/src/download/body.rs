//! The bytes of a download, as a stream of pieces: one piece in memory at a time, however long the file.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cluster::keyring::ContentKey;
use cluster::state::Asset;
use cluster::store::BlobReader;
use futures_util::stream::{self, BoxStream, StreamExt};
use pipeline::encrypt::decrypt_segment;
use pipeline::mp4::{Join, JoinPiece, JoinSource, JoinTrack};
use pipeline::tracks::RenditionId;

use crate::asset_store::{AssetStore, StoreError};
use crate::jobs::StoredTrack;
use crate::play::{Library, TrackIndex};

/// A file to be downloaded.
#[derive(Debug, Clone)]
pub enum Content {
    /// A Blob as it is.
    Whole(BlobReader),
    /// A rendition and its sound, joined.
    Joined(Arc<Joined>),
}

/// Everything to make any byte of a joined file.
#[derive(Debug)]
pub struct Joined {
    join: Join,
    tracks: Vec<(Arc<TrackIndex>, Arc<StoredTrack>)>,
    key: ContentKey,
}

impl Content {
    /// The upload.
    pub async fn original(store: &AssetStore, asset: &Asset) -> Result<Self, StoreError> {
        Ok(Self::Whole(store.reader(asset, asset.original).await?))
    }

    /// One rendition; a picture comes with the default sound. `None` when there is no such rendition.
    pub async fn rendition(
        store: &AssetStore,
        library: &Library,
        asset: &Asset,
        rendition: RenditionId,
    ) -> Result<Option<Self>, StoreError> {
        let Some(manifest) = library.manifest(asset).await? else { return Ok(None) };
        let Some(first) = crate::play::blob_of(asset, Some(&manifest), rendition) else { return Ok(None) };
        let mut blobs = vec![first];
        if matches!(rendition, RenditionId::Video(_)) {
            let sound = manifest.audio.iter();
            let default = sound.clone().find(|track| track.rendition.default).or(sound.clone().next());
            blobs.extend(default.map(|track| track.stored.blob));
        }
        let mut tracks = Vec::new();
        for blob in blobs {
            let track = library.track(asset, blob).await?;
            let stored = track.stored().await?;
            tracks.push((track, stored));
        }
        let planned: Vec<JoinTrack<'_>> = tracks
            .iter()
            .filter_map(|(_, stored)| {
                Some(JoinTrack { init: stored.init()?.as_ref(), segments: stored.segments() })
            })
            .collect();
        let Ok(join) = Join::plan(&planned) else { return Ok(None) };
        let key = store.key(asset)?.content_key(0)?;
        Ok(Some(Self::Joined(Arc::new(Joined { join, tracks, key }))))
    }

    /// Its length.
    pub fn length(&self) -> u64 {
        match self {
            Self::Whole(reader) => reader.length(),
            Self::Joined(joined) => joined.join.length(),
        }
    }

    /// The bytes of `range`.
    pub fn stream(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, StoreError>> {
        match self {
            Self::Whole(reader) => reader.stream(range).map(|piece| piece.map_err(StoreError::from)).boxed(),
            Self::Joined(joined) => {
                let pieces: Vec<JoinPiece> = joined.join.pieces(range.clone()).collect();
                stream::iter(pieces)
                    .then(move |piece| {
                        let (joined, range) = (joined.clone(), range.clone());
                        async move { joined.piece(piece, &range).await }
                    })
                    .boxed()
            }
        }
    }
}

impl Joined {
    /// The part of a piece that lies in `range`.
    async fn piece(&self, piece: JoinPiece, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let whole = match piece.source {
            JoinSource::Header => Bytes::copy_from_slice(self.join.header()),
            JoinSource::Segment { track, index } => self.segment(&piece, track, index).await?,
        };
        let within =
            |at: u64| usize::try_from(at.saturating_sub(piece.at)).unwrap_or(usize::MAX).min(whole.len());
        Ok(whole.slice(within(range.start)..within(range.end)))
    }

    async fn segment(&self, piece: &JoinPiece, track: usize, index: usize) -> Result<Bytes, StoreError> {
        let damaged =
            || StoreError::Blob(cluster::store::BlobError::Io("a segment cannot be joined".to_owned()));
        let (reader, stored) = self.tracks.get(track).ok_or_else(damaged)?;
        let mark = stored.segments().get(index).ok_or_else(damaged)?;
        let ciphertext = reader.reader().read_span(mark.offset, mark.length).await?;
        let plain = decrypt_segment(self.key.as_bytes(), &mark.iv, ciphertext.into());
        let mut plain = plain.map_err(|_| damaged())?;
        self.join.rewrite(piece, &mut plain).map_err(|_| damaged())?;
        Ok(plain.into())
    }
}
