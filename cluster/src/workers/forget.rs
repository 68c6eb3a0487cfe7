//! Removes from the disk what State has forgotten: purged assets, dropped Blobs, and what a crash left in between.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::copy_node::CopyNode;
use crate::event::Event;
use crate::id::{AssetId, BlobId};
use crate::state::{Asset, State};
use crate::store::BlobError;

/// How often it looks whether what was put off can be done: a backup pinned it, or nobody could be asked.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The longest pause before a manifest that could not be read is read again: it may be damaged in every copy.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

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
    unread: Unread,
}

/// Assets that could not be compared with their manifest: it may lie with nodes that do not answer yet.
struct Unread {
    assets: BTreeSet<AssetId>,
    pause: Duration,
    again: Instant,
}

impl Unread {
    fn new(assets: BTreeSet<AssetId>, pause: Duration) -> Self {
        Self { assets, pause, again: Instant::now() + pause }
    }
}

impl<N: CopyNode, M: Named> Forget<N, M> {
    /// For `node`, with what `manifests` name.
    #[must_use]
    pub fn new(node: N, manifests: M) -> Self {
        let events = node.events();
        let unread = Unread::new(BTreeSet::new(), LOOK_AGAIN);
        Self { node, manifests, events, unread }
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
                () = tokio::time::sleep_until(self.unread.again), if !self.unread.assets.is_empty() => {
                    postponed |= !self.sweep_unread().await;
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
    async fn sweep(&mut self) -> bool {
        self.sweep_some(None, LOOK_AGAIN).await
    }

    /// Compares those again whose manifest could not be read, ever less often.
    async fn sweep_unread(&mut self) -> bool {
        let assets = std::mem::take(&mut self.unread.assets);
        self.sweep_some(Some(assets), (self.unread.pause * 2).min(LONGEST_PAUSE)).await
    }

    async fn sweep_some(&mut self, some: Option<BTreeSet<AssetId>>, pause: Duration) -> bool {
        if pinned(&self.node) {
            return false;
        }
        match self.sweep_once(some).await {
            Ok((all_removed, unread)) => {
                self.unread = Unread::new(unread, pause);
                all_removed
            }
            Err(error) => {
                tracing::warn!(%error, "the disk could not be compared with State: tried again");
                false
            }
        }
    }

    /// Listed first, State looked at second, and with everything that was acknowledged by then: a Blob that is on the
    /// disk was told to State before it was created, so what State does not know by then is not wanted. Nothing is
    /// removed on a stale State. Gives whether all that is not wanted is gone, but for what is not known of some assets:
    /// their manifests could not be read.
    async fn sweep_once(
        &self,
        some: Option<BTreeSet<AssetId>>,
    ) -> Result<(bool, BTreeSet<AssetId>), SweepError> {
        let here = self.node.bytes().here();
        let assets = match some {
            Some(some) => some,
            None => here.assets().await?.into_iter().collect(),
        };
        let mut stored = BTreeMap::new();
        for asset in assets {
            stored.insert(asset, here.traces(asset).await?);
        }
        let state = self.node.linearizable().await?;
        let (mut all_removed, mut unread) = (true, BTreeSet::new());
        for (asset, blobs) in stored {
            let known = match self.known_blobs(&state, asset).await {
                Ok(known) => known,
                Err(error) => {
                    // Nothing is removed on a manifest that cannot be read.
                    tracing::warn!(%asset, %error, "an asset's Blobs could not be compared with its manifest: tried again");
                    unread.insert(asset);
                    continue;
                }
            };
            let Some(known) = known else {
                all_removed &= self.remove(asset, None).await;
                continue;
            };
            for unknown in blobs.into_iter().filter(|blob| !known.contains(blob)) {
                all_removed &= self.remove(asset, Some(unknown)).await;
            }
        }
        Ok((all_removed, unread))
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
