//! Removing Blobs, and telling which there are.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Weak;

use super::paths::{FileKind, ROOT, asset_folder};
use super::{BlobError, Inner, Paths};
use crate::blob::BlobName;
use crate::id::{AssetId, BlobId};

/// A Blob on this node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlob {
    /// The asset it belongs to.
    pub asset: AssetId,
    /// The Blob.
    pub blob: BlobId,
    /// Whether it is sealed.
    pub state: StoredState,
}

/// Whether a Blob on disk is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredState {
    /// May still grow.
    Open,
    /// Final.
    Sealed,
}

/// Removing what is not there is fine.
fn gone(outcome: std::io::Result<()>) -> Result<(), BlobError> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BlobError::from_io(&error)),
        _ => Ok(()),
    }
}

impl Inner {
    pub(super) fn remove_asset(&self, asset: AssetId) -> Result<(), BlobError> {
        let in_use: Vec<_> = self.opened().keys().filter(|name| name.asset == asset).copied().collect();
        in_use.into_iter().for_each(|name| self.forget(name));
        let folder = asset_folder(asset);
        let names = match self.disk.list(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(BlobError::from_io(&error)),
        };
        for name in names {
            gone(self.disk.remove_file(&folder.join(name)))?;
        }
        self.synced("an asset's folder", self.disk.sync_dir(&folder))?;
        gone(self.disk.remove_dir(&folder))?;
        self.synced("the folder of Blobs", self.disk.sync_dir(Path::new(ROOT)))
    }

    pub(super) fn remove_blob(&self, name: BlobName) -> Result<(), BlobError> {
        self.forget(name);
        let paths = Paths::of(name);
        if self.disk.list(&paths.folder).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(());
        }
        // The `.open` file first: without it the data file is only a leftover, with it alone it would look damaged.
        let paths = &paths;
        let files = [&paths.blob, &paths.open, &paths.new_open, &paths.data];
        let beside = [&paths.part, &paths.corrupt, &paths.new_fence, &paths.fence];
        for path in files.into_iter().chain(beside) {
            gone(self.disk.remove_file(path))?;
        }
        self.synced("an asset's folder", self.disk.sync_dir(&paths.folder))
    }

    /// Ends everybody's use of a Blob.
    pub(super) fn forget(&self, name: BlobName) {
        let content = self.opened().remove(&name).and_then(|content| Weak::upgrade(&content));
        if let Some(content) = content {
            content.publish(|published| published.removed = true);
        }
    }

    pub(super) fn list(&self) -> Result<Vec<StoredBlob>, BlobError> {
        let mut stored = Vec::new();
        for asset in self.assets()? {
            stored.extend(self.list_asset(asset)?);
        }
        Ok(stored)
    }

    pub(super) fn assets(&self) -> Result<Vec<AssetId>, BlobError> {
        let folders = self.disk.list(ROOT.as_ref()).map_err(|error| BlobError::from_io(&error))?;
        Ok(folders.iter().filter_map(|folder| folder.parse().ok()).collect())
    }

    /// The files in an asset's folder: of which Blob, and what of it.
    fn files_of(&self, asset: AssetId) -> Result<Vec<(BlobId, FileKind)>, BlobError> {
        match self.disk.list(&asset_folder(asset)) {
            Ok(names) => Ok(names.iter().filter_map(|name| FileKind::parse(name)).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(BlobError::from_io(&error)),
        }
    }

    pub(super) fn traces(&self, asset: AssetId) -> Result<BTreeSet<BlobId>, BlobError> {
        Ok(self.files_of(asset)?.into_iter().map(|(blob, _)| blob).collect())
    }

    pub(super) fn list_asset(&self, asset: AssetId) -> Result<Vec<StoredBlob>, BlobError> {
        let mut blobs = BTreeMap::new();
        for (blob, kind) in self.files_of(asset)? {
            match kind {
                FileKind::Blob => _ = blobs.insert(blob, StoredState::Sealed),
                FileKind::Open => _ = blobs.entry(blob).or_insert(StoredState::Open),
                _ => {}
            }
        }
        Ok(blobs.into_iter().map(|(blob, state)| StoredBlob { asset, blob, state }).collect())
    }
}
