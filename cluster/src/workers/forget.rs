//! Removes from the disk what State has forgotten: purged assets, dropped Blobs, and what a crash left in between.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::copy_node::CopyNode;
use crate::event::Event;
use crate::id::{AssetId, BlobId};
use crate::state::{Asset, State};
use crate::store::BlobError;

/// How often it looks whether what was put off can be done: a backup pinned it, or nobody could be asked.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What names Blobs besides State, and what else is to forget them.
#[async_trait]
pub trait Named: Send + Sync + 'static {
    /// The Blobs that an asset's manifest names; none where it has no manifest.
    ///
    /// # Errors
    /// Why that cannot be told. Nothing of the asset is removed then.
    async fn named(&self, asset: &Asset) -> Result<Vec<BlobId>, String>;
    /// An asset is purged.
    fn forget_asset(&self, asset: AssetId);
    /// A Blob is not wanted any more.
    fn forget_blob(&self, blob: BlobId);
}

/// Why the disk could not be compared with State.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    State(#[from] crate::cluster::ProposeError),
}

/// Removes from this node's disk what State has forgotten.
pub struct Forget<N, M> {
    node: N,
    manifests: M,
    events: Receiver<Event>,
}

impl<N: CopyNode, M: Named> Forget<N, M> {
    /// For `node`, with what `manifests` name.
    #[must_use]
    pub fn new(node: N, manifests: M) -> Self {
        let events = node.events();
        Self { node, manifests, events }
    }

    /// Removes until the node ends: as events say, and once through everything when it starts or has missed some.
    pub async fn run(mut self) {
        // What was to be removed while a backup had it pinned, or could not be: everything is compared with State then.
        let mut postponed = !self.sweep().await;
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                () = unpinned(&self.node), if postponed => {
                    postponed = !self.sweep().await;
                    continue;
                }
            };
            postponed |= match event {
                Ok(Event::AssetPurged { asset, .. }) => !self.remove(asset, None).await,
                Ok(Event::BlobDropped { asset, blob }) => !self.remove(asset, Some(blob)).await,
                Ok(Event::StateReplaced) | Err(RecvError::Lagged(_)) => !self.sweep().await,
                Ok(_) => false,
                Err(RecvError::Closed) => return,
            };
        }
    }

    /// Removes an asset, or one Blob of it, and has it forgotten by whoever keeps something of it. Gives whether it is off the
    /// disk now: not while a backup pins it.
    async fn remove(&self, asset: AssetId, blob: Option<BlobId>) -> bool {
        match blob {
            Some(blob) => self.manifests.forget_blob(blob),
            None => self.manifests.forget_asset(asset),
        }
        if pinned(&self.node) {
            return false;
        }
        let here = self.node.bytes().here();
        let removed = match blob {
            Some(blob) => here.forget_blob(asset, blob).await,
            None => here.forget(asset).await,
        };
        if let Err(error) = &removed {
            tracing::warn!(%asset, %error, "what State has forgotten could not be removed: tried again");
        }
        removed.is_ok()
    }

    /// Compares everything with State. Gives whether that could be done now.
    async fn sweep(&self) -> bool {
        if pinned(&self.node) {
            return false;
        }
        let swept = self.sweep_once().await;
        if let Err(error) = &swept {
            tracing::warn!(%error, "the disk could not be compared with State: tried again");
        }
        swept.unwrap_or(false)
    }

    /// Listed first, State looked at second, and with everything that was acknowledged by then: a Blob that is on the
    /// disk was told to State before it was created, so what State does not know by then is not wanted. Nothing is
    /// removed on a stale State.
    async fn sweep_once(&self) -> Result<bool, SweepError> {
        let stored = self.node.bytes().here().list().await?;
        let assets = self.node.bytes().here().assets().await?;
        let state = self.node.linearizable().await?;
        let mut all_removed = true;
        for asset in assets {
            let known = match self.known_blobs(&state, asset).await {
                Ok(known) => known,
                Err(error) => {
                    // Nothing is removed on a manifest that cannot be read.
                    tracing::warn!(%asset, %error, "an asset's Blobs could not be compared with its manifest");
                    continue;
                }
            };
            let Some(known) = known else {
                all_removed &= self.remove(asset, None).await;
                continue;
            };
            let here: BTreeSet<BlobId> =
                stored.iter().filter(|blob| blob.asset == asset).map(|blob| blob.blob).collect();
            for unknown in here.into_iter().filter(|blob| !known.contains(blob)) {
                all_removed &= self.remove(asset, Some(unknown)).await;
            }
        }
        Ok(all_removed)
    }

    /// The Blobs of an asset by State and manifest; `None` for an asset that State has forgotten.
    async fn known_blobs(&self, state: &State, asset: AssetId) -> Result<Option<HashSet<BlobId>>, String> {
        let Some(asset) = state.asset(asset) else { return Ok(None) };
        let mut known: HashSet<BlobId> = asset.blobs.iter().map(|blob| blob.id).collect();
        known.extend(self.manifests.named(asset).await?);
        Ok(Some(known))
    }
}

/// Whether a backup that is being taken may name what is to be removed.
fn pinned(node: &impl CopyNode) -> bool {
    node.state().backup_pin(node.now_ms()).is_some()
}

/// Waits until no backup pins anything: its end, or that of its pin when its node is gone.
async fn unpinned(node: &impl CopyNode) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        if !pinned(node) {
            return;
        }
    }
}

impl<N: fmt::Debug, M> fmt::Debug for Forget<N, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Forget({:?})", self.node)
    }
}
