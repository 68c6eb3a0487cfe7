//! This node's Blobs: open, append, mark, seal, take over, read, remove.
//!
//! Who may write is decided by State (Commands open, take over and seal); this store holds to it: it persists the epoch
//! it was given before anything is sealed under it and refuses a lower or equal one. An append is acknowledged when it
//! is durable, and readable from then on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::blob::{BlobKind, BlobName, FormatError};
use crate::disk::{Capacity, Disk, StopFlag};
use crate::id::{AssetId, BlobId};
use crate::keyring::DataKey;

mod barrier;
mod content;
mod create;
pub(crate) mod face;
mod held;
mod held_write;
mod mirror;
mod part;
mod paths;
mod progress;
mod reader;
mod recover;
mod remembered;
mod remove;
mod running_hash;
mod sealing;
mod space;
mod take_over;
mod whole;
mod writer;

use content::Content;
use paths::Paths;
use remembered::Remembered;

pub use face::{Face, OpenFace};
pub use held::{Beginning, HeldFile, HeldWrite, MAX_HELD_READ, Report};
pub use mirror::{FileWrite, Mirror};
pub(crate) use part::PartCopy;
pub use progress::{Growth, Progress};
pub use reader::{BlobReader, Check, OtherCopies};
pub use remove::{StoredBlob, StoredState};
pub use sealing::Sealed;
pub use space::{Level, Space, Watermarks};
pub(crate) use whole::Whole;
pub use whole::{FIRST_EPOCH, LARGEST_WHOLE};
pub use writer::BlobWriter;

/// The most bytes one read gives.
pub const MAX_READ: u32 = 1024 * 1024;

/// So many Blobs and assets are remembered that are gone for good: far more than copies are ever on their way.
const GONE_KEPT: usize = 50_000;

/// Why something about a Blob could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The disk is full, or fuller than writes of this kind are allowed to make it. A writer that got this is over:
    /// when there is room, take the Blob over and go on from its durable length.
    #[error("the disk is too full")]
    Full,
    /// A record is not what was written. Nothing of it was handed out.
    #[error("record {record} is damaged")]
    Corrupt {
        /// Which record.
        record: u64,
    },
    /// Header, index, tail or frames of a Blob's files are not what was written.
    #[error("a file of the Blob cannot be read: {0}")]
    Damaged(#[from] FormatError),
    /// Another writer has a higher epoch.
    #[error("epoch {got} is fenced off by epoch {have}")]
    Fenced {
        /// The highest epoch this store has persisted.
        have: u64,
        /// The epoch that was refused.
        got: u64,
    },
    /// There is no such Blob here.
    #[error("there is no such Blob on this node")]
    NotFound,
    /// A Blob with this id is here already.
    #[error("the Blob exists already")]
    Exists,
    /// The Blob is sealed: nothing can be appended any more.
    #[error("the Blob is sealed")]
    Sealed(Sealed),
    /// The writer failed earlier, or its Blob was removed. Take the Blob over with a new epoch.
    #[error("the writer failed earlier and is over")]
    WriterOver,
    /// A mark longer than allowed, or too many of them.
    #[error("marks take more room than allowed")]
    TooManyMarks,
    /// A sync failed: what is on the disk is not known, and the node must stop.
    #[error("the disk failed and the node must stop: {0}")]
    Failed(String),
    /// Too few nodes have it, or can be reached, to promise anything. What was promised stays.
    #[error("only {have} of the {wanted} nodes that must have it can be reached")]
    TooFewCopies {
        /// How many there are.
        have: usize,
        /// How many there must be.
        wanted: usize,
    },
    /// Another node did not answer.
    #[error("{0}")]
    Unreachable(String),
    /// Any other failure of the disk.
    #[error("the disk failed: {0}")]
    Io(String),
}

impl BlobError {
    /// Whether what is stored is not what was written: trying again does not help, another copy does.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Damaged(_))
    }

    /// What a failed operation that promised nothing yet means: anything but a sync.
    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, NotFound, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full,
            NotFound => Self::NotFound,
            _ => Self::Io(error.to_string()),
        }
    }
}

/// How a store behaves.
#[derive(Debug, Clone, Default)]
pub struct BlobsConfig {
    /// When to refuse writes.
    pub watermarks: Watermarks,
}

/// This node's store of Blobs. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    stop: StopFlag,
    config: BlobsConfig,
    /// The Blobs somebody has open, so that a reader sees what a writer appends.
    opened: Mutex<HashMap<BlobName, Weak<Content>>>,
    /// Held while an asset's folder is made. The assets that are gone for good: nothing of them is made again.
    folders: Mutex<Remembered<AssetId>>,
    /// Blobs that were dropped lately: one may still be begun, or a copy of it be on its way here.
    dropped: Mutex<Remembered<BlobName>>,
    /// Blobs being created: only one caller may clear up after a creation that failed.
    creating: Mutex<HashSet<BlobName>>,
    /// Copies that other nodes write.
    lanes: held::Lanes,
}

impl Blobs {
    /// Opens the store on `disk` and clears away what interrupted creations and sealings left. Blocks.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(disk: Arc<dyn Disk>, stop: StopFlag, config: BlobsConfig) -> Result<Self, BlobError> {
        let blobs = Self {
            inner: Arc::new(Inner {
                disk,
                stop,
                config,
                opened: Mutex::default(),
                folders: Mutex::new(Remembered::new(GONE_KEPT)),
                dropped: Mutex::new(Remembered::new(GONE_KEPT)),
                creating: Mutex::default(),
                lanes: held::Lanes::default(),
            }),
        };
        blobs.inner.start()?;
        Ok(blobs)
    }

    /// Creates a Blob, after State granted `epoch` for it. Durable when this returns.
    ///
    /// # Errors
    /// [`BlobError::Exists`], [`BlobError::Full`] below the watermarks, [`BlobError::Failed`].
    pub async fn create(
        &self,
        asset: AssetId,
        blob: BlobId,
        kind: BlobKind,
        epoch: u64,
        key: &DataKey,
    ) -> Result<BlobWriter, BlobError> {
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        blocking(move || inner.create(BlobName { asset, blob }, kind, epoch, key)).await
    }

    /// Takes a Blob over, after State granted `epoch` for it: keeps the longest sound prefix that holds all that was
    /// acknowledged, fences off every lower epoch for good, and goes on from there.
    ///
    /// # Errors
    /// [`BlobError::Fenced`] for an epoch that is not higher than all before, [`BlobError::Sealed`] with what is needed
    /// to tell State so, [`BlobError::Corrupt`] when something acknowledged is gone.
    pub async fn take_over(
        &self,
        asset: AssetId,
        blob: BlobId,
        epoch: u64,
        key: &DataKey,
    ) -> Result<BlobWriter, BlobError> {
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        let name = BlobName { asset, blob };
        let content = blocking(move || inner.content(name, key)).await?;
        let barrier = Arc::clone(&content.barrier).lock_owned().await;
        blocking(move || take_over::take_over(&content, barrier, epoch)).await
    }

    /// A reader of a Blob, open or sealed. It sees what was acknowledged, and more as it grows.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], or why its files cannot be read.
    pub async fn reader(&self, asset: AssetId, blob: BlobId, key: &DataKey) -> Result<BlobReader, BlobError> {
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        let content = blocking(move || inner.content(BlobName { asset, blob }, key)).await?;
        Ok(BlobReader::new(content))
    }

    /// Removes all Blobs of an asset, durably. Readers and writers of them fail from now on. Nothing there is fine.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn remove(&self, asset: AssetId) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let removed = inner.remove_asset(asset);
            inner.lanes.end(|name| name.asset == asset);
            removed
        })
        .await
    }

    /// Removes all Blobs of an asset that is gone for good, durably: from now on nothing of it can come here again, however
    /// late. Nothing there is fine.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn forget(&self, asset: AssetId) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            inner.folders().insert(asset);
            let removed = inner.remove_asset(asset);
            inner.lanes.end(|name| name.asset == asset);
            removed
        })
        .await
    }

    /// Removes one Blob that is gone for good, durably: from now on nothing of it is begun here, and no copy arrives that
    /// is on its way. Nothing there is fine.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn forget_blob(&self, asset: AssetId, blob: BlobId) -> Result<(), BlobError> {
        let (inner, name) = (Arc::clone(&self.inner), BlobName { asset, blob });
        blocking(move || {
            inner.dropped().insert(name);
            let removed = inner.remove_blob(name);
            inner.lanes.end(|one| one == name);
            removed
        })
        .await
    }

    /// Removes one Blob, durably. Nothing there is fine.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn remove_blob(&self, asset: AssetId, blob: BlobId) -> Result<(), BlobError> {
        let (inner, name) = (Arc::clone(&self.inner), BlobName { asset, blob });
        blocking(move || {
            let removed = inner.remove_blob(name);
            inner.lanes.end(|one| one == name);
            removed
        })
        .await
    }

    /// Every Blob on this node's disk.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn list(&self) -> Result<Vec<StoredBlob>, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.list()).await
    }

    /// Every asset with a folder on this node's disk.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn assets(&self) -> Result<Vec<AssetId>, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.assets()).await
    }

    /// Every Blob of one asset on this node's disk.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn list_asset(&self, asset: AssetId) -> Result<Vec<StoredBlob>, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.list_asset(asset)).await
    }

    /// Every Blob of one asset of which there is anything here: one on its way here, or a copy that was set aside, too.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn traces(&self, asset: AssetId) -> Result<BTreeSet<BlobId>, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.traces(asset)).await
    }

    /// How full the disk is, and what that means for writes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn space(&self) -> Result<Space, BlobError> {
        self.inner.space()
    }

    /// The disk the Blobs are on.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.inner.disk
    }

    /// The flag that goes up when a sync fails.
    #[must_use]
    pub fn stop_flag(&self) -> &StopFlag {
        &self.inner.stop
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blobs({:?})", self.inner.disk)
    }
}

impl Inner {
    fn creating(&self) -> MutexGuard<'_, HashSet<BlobName>> {
        self.creating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dropped(&self) -> MutexGuard<'_, Remembered<BlobName>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folders(&self) -> MutexGuard<'_, Remembered<AssetId>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<BlobName, Weak<Content>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Blob's content: the one in use, or loaded from disk.
    fn content(self: &Arc<Self>, name: BlobName, key: DataKey) -> Result<Arc<Content>, BlobError> {
        if let Some(content) = self.opened().get(&name).and_then(Weak::upgrade) {
            return content.for_key(&key).map(|()| content);
        }
        let loaded = Arc::new(recover::load(self, name, key)?);
        Ok(self.register(loaded))
    }

    /// Makes `content` the one in use, unless another thread was quicker.
    fn register(&self, content: Arc<Content>) -> Arc<Content> {
        let mut opened = self.opened();
        if let Some(quicker) = opened.get(&content.name()).and_then(Weak::upgrade) {
            return quicker;
        }
        if opened.len() >= 64 && opened.len().is_power_of_two() {
            opened.retain(|_, content| content.strong_count() > 0);
        }
        opened.insert(content.name(), Arc::downgrade(&content));
        content
    }

    /// Runs a sync; if it fails the node must stop.
    fn synced(&self, what: &str, outcome: std::io::Result<()>) -> Result<(), BlobError> {
        outcome.map_err(|error| {
            self.stop.raise(format!("sync of {what}: {error}"));
            BlobError::Failed(error.to_string())
        })
    }

    /// Refuses to acknowledge anything once the node must stop.
    fn running(&self) -> Result<(), BlobError> {
        self.stop.reason().map_or(Ok(()), |reason| Err(BlobError::Failed(reason)))
    }

    fn capacity(&self) -> Result<Capacity, BlobError> {
        self.disk.capacity().map_err(|error| BlobError::from_io(&error))
    }
}

/// Runs blocking work apart from the async threads. The work always runs to its end, even if the caller goes away.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match crate::blocking::blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(BlobError::Io(format!("a disk task ended abnormally: {error}"))),
    }
}

#[cfg(test)]
mod tests;
