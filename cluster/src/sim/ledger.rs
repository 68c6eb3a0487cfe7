//! What clients were promised about their uploads, and what they asked for since.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blob::BlobName;
use crate::id::{AssetId, BlobId};
use crate::keyring::DataKey;

/// Whether an asset must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its creation was not answered.
    Perhaps,
    /// It must be there, its bytes too.
    Kept,
    /// Somebody asked for it to be purged, and heard nothing.
    PerhapsGone,
    /// It was purged: nothing of it may be left.
    Gone,
}

/// One asset with one Blob.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) asset: AssetId,
    pub(super) key: DataKey,
    /// Bytes that were acknowledged: whoever writes on goes on from them.
    pub(super) promised: Vec<u8>,
    /// State said that it is sealed: the promised bytes are all there are, where the client knows them.
    pub(super) sealed: bool,
    /// The promised bytes are all there are.
    pub(super) complete: bool,
    pub(super) wanted: Wanted,
    /// Somebody moves it to the trash and back.
    pub(super) moved: bool,
    /// It may be in the trash.
    pub(super) perhaps_trashed: bool,
}

impl Upload {
    pub(super) fn name(&self) -> BlobName {
        BlobName { asset: self.asset, blob: BlobId(self.asset.0) }
    }

    /// Whether a writer may come.
    pub(super) fn may_grow(&self) -> bool {
        !self.sealed && !self.moved && self.wanted == Wanted::Kept
    }
}

/// All uploads of a world. Clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<AssetId, Upload>>>);

impl Ledger {
    fn uploads(&self) -> MutexGuard<'_, BTreeMap<AssetId, Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is about to create an asset.
    pub(super) fn begin(&self, asset: AssetId, key: DataKey) {
        let upload = Upload {
            asset,
            key,
            promised: Vec::new(),
            sealed: false,
            complete: false,
            wanted: Wanted::Perhaps,
            moved: false,
            perhaps_trashed: false,
        };
        self.uploads().insert(asset, upload);
    }

    pub(super) fn get(&self, asset: AssetId) -> Option<Upload> {
        self.uploads().get(&asset).cloned()
    }

    pub(super) fn all(&self) -> Vec<Upload> {
        self.uploads().values().cloned().collect()
    }

    pub(super) fn change<T>(&self, asset: AssetId, change: impl FnOnce(&mut Upload) -> T) -> Option<T> {
        self.uploads().get_mut(&asset).map(change)
    }

    /// These bytes from the beginning on were acknowledged. Two writers that were both told so must agree.
    pub(super) fn promise(&self, asset: AssetId, content: &[u8], complete: bool) -> Result<(), String> {
        let agreed = self.change(asset, |upload| {
            let longer = content.len() > upload.promised.len();
            let agrees = if longer {
                content.starts_with(&upload.promised)
            } else {
                upload.promised.starts_with(content)
            };
            let at_once = (longer && upload.complete) || (complete && content.len() < upload.promised.len());
            if !agrees || at_once {
                let (had, got) = (upload.promised.len(), content.len());
                return Err(format!("{had} bytes of {asset} were acknowledged, then {got} others"));
            }
            if longer {
                upload.promised = content.to_vec();
            }
            upload.complete |= complete;
            Ok(())
        });
        agreed.unwrap_or(Ok(()))
    }
}
