//! Everything that moves media through this node, made once and shared: uploads, jobs, playback, downloads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cluster::Cluster;
use cluster::id::AssetId;
use tokio::sync::{OwnedMutexGuard, Semaphore};

use crate::asset_store::AssetStore;
use crate::download::Downloads;
use crate::edge::Contacts;
use crate::ingest::uploads::Uploads;
use crate::ingest::{CheckedRoom, SmallRoom, tend};
use crate::jobs::{Jobs, collect, early};
use crate::live::Live;
use crate::play::{Journal, JournalError, Library, Outage, TokenKeys};

/// The media side of a running node: `web::Data<Media>`.
#[derive(Debug, Clone)]
pub struct Media {
    /// Blobs and the Commands about them.
    pub store: AssetStore,
    /// Uploads that run.
    pub uploads: Uploads,
    /// Room for pieces whose checksum is being checked.
    pub checked: CheckedRoom,
    /// Room for small files that come in one request.
    pub small: SmallRoom,
    /// Transcodes that wait and run.
    pub jobs: Jobs,
    /// What can be watched, read from Blobs and kept hot.
    pub library: Library,
    /// Keys of View and download tokens.
    pub tokens: TokenKeys,
    /// Watching while nobody leads the cluster.
    pub outage: Outage,
    /// Download links in use.
    pub downloads: Downloads,
    /// Edges, as this node hears of them.
    pub edges: Contacts,
    /// One change of an asset's manifest at a time.
    pub locks: AssetLocks,
    /// New uploads whose fronts are followed.
    fronts: Arc<Semaphore>,
}

/// So many new uploads are followed at once, to begin the work on them early; each keeps its files open.
const FRONTS: usize = 64;

impl Media {
    /// Makes it, with room for so many bytes of ciphertext in memory, and starts its workers on an arbiter of their own.
    /// Needs a running actix system.
    ///
    /// # Errors
    /// When the journal of view starts cannot be read.
    pub fn start(cluster: Cluster, live: Arc<Live>, shelf_bytes: usize) -> Result<Self, JournalError> {
        let path = cluster.config().dir.join("offline-views");
        let journal = Journal::open(path, cluster.storage_key().clone())?;
        let store = AssetStore::new(cluster.clone());
        let locks = AssetLocks::default();
        let media = Self {
            uploads: Uploads::new(store.clone()),
            checked: CheckedRoom::default(),
            small: SmallRoom::default(),
            jobs: Jobs::new(store.clone(), locks.clone(), live),
            library: Library::new(store.clone(), shelf_bytes),
            outage: Outage::new(cluster.clone(), journal),
            tokens: TokenKeys::new(cluster),
            downloads: Downloads::default(),
            edges: Contacts::default(),
            fronts: Arc::new(Semaphore::new(FRONTS)),
            locks,
            store,
        };
        let arbiter = actix_rt::Arbiter::new();
        arbiter.spawn(media.jobs.clone().run());
        arbiter.spawn(tend(media.uploads.clone()));
        arbiter.spawn(media.outage.clone().listen());
        arbiter.spawn(collect::collect(media.store.clone(), media.library.clone()));
        Ok(media)
    }

    /// Follows the front of a new upload, to begin the work on it before it is complete. Where too many are followed, the
    /// work on this one begins at its end.
    pub fn watch_front(&self, asset: AssetId) {
        let Ok(place) = self.fronts.clone().try_acquire_owned() else { return };
        let watching = early::watch_front(self.store.clone(), self.jobs.clone(), asset);
        tokio::spawn(async move {
            watching.await;
            drop(place);
        });
    }

    /// Stops what runs; all of it goes on at the next start.
    pub fn stop(&self) {
        self.jobs.stop();
    }
}

/// A lock for each asset that is being changed.
#[derive(Debug, Clone, Default)]
pub struct AssetLocks {
    locks: Arc<Mutex<HashMap<AssetId, Weak<tokio::sync::Mutex<()>>>>>,
}

impl AssetLocks {
    /// Waits for the asset's lock.
    pub async fn lock(&self, asset: AssetId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            let known = locks.get(&asset).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let fresh = Arc::default();
                locks.insert(asset, Arc::downgrade(&fresh));
                fresh
            })
        };
        lock.lock_owned().await
    }
}
