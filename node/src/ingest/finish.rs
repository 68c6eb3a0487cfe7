//! The end of an upload: the original is sealed, State learns of it, and the work on it is queued.
//!
//! Each step can be done again, so a node killed between two of them does the rest when it starts.

use cluster::actor::Actor;
use cluster::command::{AssetCommand, JobCommand, JobKind};
use cluster::id::{AssetId, JobId};
use cluster::state::Asset;
use cluster::store::Sealed;

use super::uploads::{Hold, UploadError, Uploads};
use crate::asset_store::{AssetStore, Resumed, StoreError};

/// Ends the upload behind `hold`. Runs to its end even when the request that asked for it is gone.
pub async fn finish(uploads: &Uploads, actor: Actor, mut hold: Hold) -> Result<(), UploadError> {
    let store = uploads.store().clone();
    let task = tokio::spawn(async move {
        let open = hold.end().ok_or(UploadError::Complete)?;
        let (_, sealed) = store.seal(&store.node(), hold.asset.id, open).await?;
        tell(&store, &actor, hold.asset.id, sealed).await
    });
    task.await.map_err(|_| UploadError::Busy)?
}

/// Ends an upload whose bytes are all there but whose end was interrupted.
pub async fn finish_interrupted(store: &AssetStore, asset: &Asset) -> Result<(), UploadError> {
    let node = store.node();
    let blob = asset.blob(asset.original).ok_or_else(StoreError::gone)?;
    if let Resumed::Open(open) = store.resume(&node, asset, blob).await? {
        store.seal(&node, asset.id, open).await?;
    }
    let (length, sha256) = store.describe_original(asset).await?;
    finished(store, &node, asset.id, length, sha256).await
}

async fn tell(store: &AssetStore, actor: &Actor, asset: AssetId, sealed: Sealed) -> Result<(), UploadError> {
    let sha256 = sealed.plaintext_sha256.ok_or_else(StoreError::gone)?;
    finished(store, actor, asset, sealed.length, sha256).await
}

async fn finished(
    store: &AssetStore,
    actor: &Actor,
    asset: AssetId,
    length: u64,
    sha256: [u8; 32],
) -> Result<(), UploadError> {
    store.propose(actor, AssetCommand::UploadFinished { asset, length, sha256 }).await?;
    queue(store, asset).await?;
    Ok(())
}

/// Queues the work on an asset; when there is some already, that one stays.
pub async fn queue(store: &AssetStore, asset: AssetId) -> Result<(), StoreError> {
    let command = JobCommand::Queue { job: JobId::generate(), asset, kind: JobKind::Transcode };
    store.cluster().propose(store.node(), command.into()).await?;
    Ok(())
}
