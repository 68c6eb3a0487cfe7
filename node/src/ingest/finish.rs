//! The end of an upload: the original is sealed, State learns of it, and the work on it is queued.
//!
//! The disk comes first, then State learns all of it in one step. Both can be done again, so a node killed between the two
//! does the rest when it starts.

use cluster::actor::Actor;
use cluster::command::{AssetCommand, JobCommand, JobKind};
use cluster::id::{AssetId, JobId};
use cluster::state::Asset;

use super::uploads::{Hold, UploadError, Uploads};
use crate::asset_store::{AssetStore, Resumed, StoreError};

/// Ends the upload behind `hold`. Runs to its end even when the request that asked for it is gone. When that fails, the
/// tender does the rest: all bytes are here, and the client may never ask again. What came in one request is given up by
/// it instead.
pub async fn finish(uploads: &Uploads, actor: Actor, mut hold: Hold) -> Result<(), UploadError> {
    let uploads = uploads.clone();
    let task = tokio::spawn(async move {
        let asset = hold.asset.id;
        let open = hold.end().ok_or(UploadError::Complete)?;
        let ended = uploads.store().finish_upload(&actor, asset, open).await;
        if ended.is_ok() || hold.is_one_shot() {
            uploads.forget(asset)
        } else {
            uploads.leave(asset)
        }
        Ok(ended?)
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
    store.propose(&node, AssetCommand::UploadFinished { asset: asset.id, length, sha256 }).await?;
    queue(store, asset.id).await?;
    Ok(())
}

/// Queues the work on an asset; when there is some already, that one stays.
pub async fn queue(store: &AssetStore, asset: AssetId) -> Result<(), StoreError> {
    let command = JobCommand::Queue { job: JobId::generate(), asset, kind: JobKind::Transcode };
    store.cluster().propose(store.node(), command.into()).await?;
    Ok(())
}
