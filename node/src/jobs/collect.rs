//! Removes from the disk what State has forgotten: purged assets, dropped Blobs, and what a crash left in between.

use std::collections::HashSet;
use std::time::Duration;

use cluster::event::Event;
use cluster::id::{AssetId, BlobId};
use cluster::state::State;
use tokio::sync::broadcast::error::RecvError;

use crate::asset_store::{AssetStore, StoreError};
use crate::play::Library;

/// How often it looks whether a backup still pins what is to be removed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Removes until the process ends: as events say, and once through everything when it starts or has missed some.
pub async fn collect(store: AssetStore, library: Library) {
    let mut events = store.cluster().events();
    // What was to be removed while a backup had it pinned: everything is compared with State when the pin has ended.
    let mut postponed = !sweep(&store).await;
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = unpinned(&store), if postponed => {
                postponed = !sweep(&store).await;
                continue;
            }
        };
        match event {
            Ok(Event::AssetPurged { asset, .. }) => {
                library.forget_asset(asset);
                if pinned(&store) {
                    postponed = true;
                } else {
                    told(store.cluster().blobs().remove(asset).await.map_err(StoreError::from));
                }
            }
            Ok(Event::BlobDropped { asset, blob }) => {
                library.forget_blob(blob);
                if pinned(&store) {
                    postponed = true;
                } else {
                    told(store.cluster().blobs().remove_blob(asset, blob).await.map_err(StoreError::from));
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => postponed |= !sweep(&store).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// Whether a backup that is being taken may name what is to be removed.
fn pinned(store: &AssetStore) -> bool {
    let cluster = store.cluster();
    cluster.state().backup_pin(cluster.now_ms()).is_some()
}

/// Waits until no backup pins anything: its end, or that of its pin when its node is gone.
async fn unpinned(store: &AssetStore) {
    while pinned(store) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn told(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "something State has forgotten could not be removed; it is tried again at the next start");
    }
}

/// Gives whether that could be done now: not while a backup pins what is here.
async fn sweep(store: &AssetStore) -> bool {
    if pinned(store) {
        return false;
    }
    if let Err(error) = sweep_once(store).await {
        tracing::warn!(%error, "the disk could not be compared with State");
    }
    true
}

/// Listed first, State looked at second, and with everything that was acknowledged by then: a Blob that is on the disk
/// was told to State before it was created, so what State does not know by then is not wanted. Nothing is removed on a
/// stale State.
async fn sweep_once(store: &AssetStore) -> Result<(), StoreError> {
    let stored = store.cluster().blobs().list().await?;
    let state = store.cluster().linearizable().await?;
    let assets: HashSet<AssetId> = stored.iter().map(|blob| blob.asset).collect();
    for asset in assets {
        let known = match known_blobs(store, &state, asset).await {
            Ok(known) => known,
            Err(error) => {
                // Nothing is removed on a manifest that cannot be read.
                tracing::warn!(%asset, %error, "an asset's Blobs could not be compared with its manifest");
                continue;
            }
        };
        match known {
            None => told(store.cluster().blobs().remove(asset).await.map_err(StoreError::from)),
            Some(known) => {
                for unknown in stored.iter().filter(|blob| blob.asset == asset && !known.contains(&blob.blob))
                {
                    let removed = store.cluster().blobs().remove_blob(asset, unknown.blob).await;
                    told(removed.map_err(StoreError::from));
                }
            }
        }
    }
    Ok(())
}

/// The Blobs of an asset by State and manifest; `None` for an asset that State has forgotten.
async fn known_blobs(
    store: &AssetStore,
    state: &State,
    asset: AssetId,
) -> Result<Option<HashSet<BlobId>>, StoreError> {
    let Some(asset) = state.asset(asset) else { return Ok(None) };
    let mut known: HashSet<BlobId> = asset.blobs.iter().map(|blob| blob.id).collect();
    if let Some(manifest) = store.manifest(asset).await? {
        known.extend(manifest.stored().map(|stored| stored.blob));
    }
    Ok(Some(known))
}
