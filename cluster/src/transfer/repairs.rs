//! What was noticed to be damaged or missing, until the worker that repairs comes to it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::blob::BlobName;
use crate::id::AssetId;

/// The most that is remembered: what is beyond it is found again by the daily comparison.
const MOST: usize = 100_000;
/// Damage is worth a look for this long.
const RECENT: Duration = Duration::from_secs(24 * 3600);

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
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    found: u64,
    beyond_repair: u64,
    last: Option<Instant>,
}

/// Damaged copies on this node, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// So many.
    pub found: u64,
    /// Those of which there was no other copy.
    pub beyond_repair: u64,
    /// The newest was found within a day.
    pub is_recent: bool,
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
        let mut history = self.history();
        history.found += 1;
        history.last = Some(Instant::now());
        drop(history);
        add(&self.inner.damaged, name);
        self.inner.noted.notify_one();
    }

    /// A copy of which there is no other is damaged.
    pub fn beyond_repair(&self) {
        self.history().beyond_repair += 1;
    }

    /// What was found damaged so far.
    #[must_use]
    pub fn damage(&self) -> Damage {
        let history = self.history();
        Damage {
            found: history.found,
            beyond_repair: history.beyond_repair,
            is_recent: history.last.is_some_and(|last| last.elapsed() < RECENT),
        }
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.inner.history.lock().unwrap_or_else(PoisonError::into_inner)
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
