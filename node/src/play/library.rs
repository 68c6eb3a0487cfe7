//! What can be watched: manifests, plans and track indexes read from Blobs, kept while they are used, and the shelf of
//! ciphertext. Bounded in entries and bytes, so memory does not grow with viewers or with the number of videos.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use cluster::id::{AssetId, BlobId};
use cluster::state::Asset;
use cluster::store::BlobReader;
use pipeline::tracks::SegmentMark;

use crate::asset_store::{AssetStore, StoreError};
use crate::jobs::StoredTrack;
use crate::manifest::{Manifest, PLAN_LABEL, Plan};
use crate::shelf::{Shelf, ShelfKey};

/// Track indexes kept; one of a long film is some 100 KB.
const MOST_TRACKS: usize = 256;
/// Manifests and plans kept.
const MOST_MANIFESTS: usize = 128;

/// One rendition that can be watched, as far as it is stored.
#[derive(Debug)]
pub struct TrackIndex {
    /// Its Blob.
    pub blob: BlobId,
    reader: BlobReader,
    stored: tokio::sync::RwLock<Arc<StoredTrack>>,
}

impl TrackIndex {
    /// The reader of its Blob.
    pub fn reader(&self) -> &BlobReader {
        &self.reader
    }

    /// Header and segments, with what has come since anybody looked.
    pub async fn stored(&self) -> Result<Arc<StoredTrack>, StoreError> {
        let known = self.stored.read().await.clone();
        if known.marks() >= self.reader.progress().marks {
            return Ok(known);
        }
        let mut slot = self.stored.write().await;
        let mut track = StoredTrack::clone(&slot);
        track.read_on(&self.reader).await?;
        *slot = Arc::new(track);
        Ok(slot.clone())
    }

    /// One segment's mark, if it is stored.
    pub async fn segment(&self, sequence: u64) -> Result<Option<SegmentMark>, StoreError> {
        if let Some(segment) = self.stored.read().await.segment(sequence) {
            return Ok(Some(segment.clone()));
        }
        Ok(self.stored().await?.segment(sequence).cloned())
    }
}

/// Everything kept for viewers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Library {
    store: AssetStore,
    shelf: Shelf,
    tracks: Arc<Mutex<Kept<BlobId, Arc<TrackIndex>>>>,
    manifests: Arc<Mutex<Kept<BlobId, Arc<Manifest>>>>,
    plans: Arc<Mutex<Kept<BlobId, Arc<Plan>>>>,
}

impl Library {
    /// An empty one, with a shelf of so many bytes.
    pub fn new(store: AssetStore, shelf_bytes: usize) -> Self {
        Self {
            store,
            shelf: Shelf::new(shelf_bytes),
            tracks: Arc::new(Mutex::new(Kept::new(MOST_TRACKS))),
            manifests: Arc::new(Mutex::new(Kept::new(MOST_MANIFESTS))),
            plans: Arc::new(Mutex::new(Kept::new(MOST_MANIFESTS))),
        }
    }

    /// Bytes on the shelf.
    pub fn shelved_bytes(&self) -> usize {
        self.shelf.held()
    }

    /// The manifest in force, if there is one.
    pub async fn manifest(&self, asset: &Asset) -> Result<Option<Arc<Manifest>>, StoreError> {
        let Some(named) = asset.manifest else { return Ok(None) };
        if let Some(known) = locked(&self.manifests).get(named.blob) {
            return Ok(Some(known));
        }
        let Some(read) = self.store.manifest(asset).await?.map(Arc::new) else { return Ok(None) };
        locked(&self.manifests).put(named.blob, read.clone());
        Ok(Some(read))
    }

    /// The plan of an asset that is being worked on.
    pub async fn plan(&self, asset: &Asset) -> Result<Option<Arc<Plan>>, StoreError> {
        let sealed = asset.blobs.iter().find(|blob| blob.label == PLAN_LABEL && blob.sealed.is_some());
        let Some(record) = sealed else { return Ok(None) };
        if let Some(known) = locked(&self.plans).get(record.id) {
            return Ok(Some(known));
        }
        let Some(plan) = self.store.plan(asset).await?.map(Arc::new) else { return Ok(None) };
        locked(&self.plans).put(record.id, plan.clone());
        Ok(Some(plan))
    }

    /// The index of one rendition's Blob.
    pub async fn track(&self, asset: &Asset, blob: BlobId) -> Result<Arc<TrackIndex>, StoreError> {
        if let Some(known) = locked(&self.tracks).get(blob).filter(|known| !known.reader.is_gone()) {
            return Ok(known);
        }
        let reader = self.store.reader(asset, blob).await?;
        let stored = StoredTrack::read(&reader).await?;
        let stored = tokio::sync::RwLock::new(Arc::new(stored));
        let index = Arc::new(TrackIndex { blob, reader, stored });
        locked(&self.tracks).put(blob, index.clone());
        Ok(index)
    }

    /// The ciphertext of one segment, from the shelf or from the Blob.
    pub async fn ciphertext(&self, track: &TrackIndex, segment: &SegmentMark) -> Result<Bytes, StoreError> {
        let load = || async { Ok(track.reader.read_span(segment.offset, segment.length).await?) };
        if segment.length > self.shelf.largest_piece() as u64 {
            return load().await;
        }
        self.shelf.get(ShelfKey { blob: *track.blob.as_bytes(), offset: segment.offset }, load).await
    }

    /// A small Blob as a whole: a picture, captions.
    pub async fn small(&self, asset: &Asset, blob: BlobId, limit: u64) -> Result<Bytes, StoreError> {
        let load = || self.store.read_whole(asset, blob, limit);
        // Nothing else of such a Blob begins at its first byte.
        self.shelf.get(ShelfKey { blob: *blob.as_bytes(), offset: 0 }, load).await
    }

    /// Forgets all of a purged asset.
    pub fn forget_asset(&self, asset: AssetId) {
        let tracks = locked(&self.tracks).remove_if(|track| track.reader.name().asset == asset);
        let manifests = locked(&self.manifests).remove_if(|manifest| manifest.asset == asset);
        for blob in tracks.into_iter().chain(manifests) {
            self.shelf.forget_blob(*blob.as_bytes());
        }
    }

    /// Forgets a dropped Blob.
    pub fn forget_blob(&self, blob: BlobId) {
        locked(&self.tracks).remove(blob);
        locked(&self.manifests).remove(blob);
        locked(&self.plans).remove(blob);
        self.shelf.forget_blob(*blob.as_bytes());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A small map that forgets what was not used for longest.
#[derive(Debug)]
struct Kept<K, V> {
    entries: HashMap<K, (Instant, V)>,
    most: usize,
}

impl<K: std::hash::Hash + Eq + Copy, V: Clone> Kept<K, V> {
    fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), most }
    }

    fn get(&mut self, key: K) -> Option<V> {
        let (used, value) = self.entries.get_mut(&key)?;
        *used = Instant::now();
        Some(value.clone())
    }

    fn put(&mut self, key: K, value: V) {
        if self.entries.len() >= self.most {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            oldest.and_then(|key| self.entries.remove(&key));
        }
        self.entries.insert(key, (Instant::now(), value));
    }

    fn remove(&mut self, key: K) {
        self.entries.remove(&key);
    }

    fn remove_if(&mut self, unwanted: impl Fn(&V) -> bool) -> Vec<K> {
        let keys: Vec<K> =
            self.entries.iter().filter(|(_, (_, value))| unwanted(value)).map(|(key, _)| *key).collect();
        for key in &keys {
            self.entries.remove(key);
        }
        keys
    }
}
