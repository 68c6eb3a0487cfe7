//! What was noticed to be damaged or missing, until the worker that repairs comes to it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::blob::BlobName;
use crate::id::AssetId;

/// The most that is remembered: what is beyond it is found again by the daily comparison.
const MOST: usize = 100_000;

/// What is to be looked at. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Repairs {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    damaged: Mutex<BTreeSet<BlobName>>,
    assets: Mutex<BTreeSet<AssetId>>,
    noted: Notify,
}

fn add<T: Ord>(set: &Mutex<BTreeSet<T>>, one: T) {
    let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
    if set.len() < MOST {
        set.insert(one);
    }
}

impl Repairs {
    /// The copy here is not what was written.
    pub fn damaged(&self, name: BlobName) {
        add(&self.inner.damaged, name);
        self.inner.noted.notify_one();
    }

    /// Copies of an asset may be missing here.
    pub fn look_at(&self, asset: AssetId) {
        add(&self.inner.assets, asset);
        self.inner.noted.notify_one();
    }

    /// The damaged copies noted so far; they are not noted any more.
    #[must_use]
    pub fn take_damaged(&self) -> Vec<BlobName> {
        let mut damaged = self.inner.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *damaged).into_iter().collect()
    }

    /// At most `most` assets to look at; they are not noted any more.
    #[must_use]
    pub fn take_assets(&self, most: usize) -> Vec<AssetId> {
        let mut assets = self.inner.assets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<AssetId> = assets.iter().take(most).copied().collect();
        taken.iter().for_each(|asset| _ = assets.remove(asset));
        taken
    }

    /// How many assets wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.assets.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until something is noted.
    pub async fn noted(&self) {
        self.inner.noted.notified().await;
    }
}
