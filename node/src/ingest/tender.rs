//! The tender of uploads: ends those whose end was interrupted, gives up those nobody comes back for.

use std::sync::Arc;
use std::time::Duration;

use cluster::state::{Asset, AssetState};
use cluster::store::BlobError;

use super::finish::finish_interrupted;
use super::uploads::{EXPIRES_AFTER, UploadError, Uploads, is_one_shot};
use crate::asset_store::StoreError;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// Looks at unfinished uploads until the process ends: at once when the node starts, then every minute.
pub async fn tend(uploads: Uploads) {
    let mut first = true;
    loop {
        for asset in unfinished(&uploads) {
            if let Err(error) = look_after(&uploads, &asset, first).await {
                tracing::warn!(asset = %asset.id, %error, "an unfinished upload could not be looked after");
            }
        }
        first = false;
        tokio::time::sleep(EVERY).await;
    }
}

fn unfinished(uploads: &Uploads) -> Vec<Arc<Asset>> {
    let state = uploads.store().cluster().state();
    state.assets_by_id(None).filter(|asset| asset.state == AssetState::Uploading).cloned().collect()
}

async fn look_after(uploads: &Uploads, asset: &Asset, just_started: bool) -> Result<(), UploadError> {
    let store = uploads.store();
    let reader = match store.reader(asset, asset.original).await {
        Ok(reader) => reader,
        // Killed between State's word and the disk's: there is nothing to go on with.
        Err(StoreError::Blob(BlobError::NotFound)) if just_started => {
            return uploads.abandon(&store.node(), asset.id).await;
        }
        Err(error) => return Err(error.into()),
    };
    let untouched = uploads.idle(asset.id).is_none();
    if untouched && (reader.is_sealed() || asset.declared_length == Some(reader.length())) {
        return finish_interrupted(store, asset).await;
    }
    if just_started && untouched && is_one_shot(&reader.marks(0)) {
        return uploads.abandon(&store.node(), asset.id).await;
    }
    let age = store.cluster().now_ms().saturating_sub(asset.created_ms);
    let idle = uploads.idle(asset.id).unwrap_or(EXPIRES_AFTER);
    if u128::from(age) > EXPIRES_AFTER.as_millis() && idle >= EXPIRES_AFTER {
        tracing::info!(asset = %asset.id, "an upload nobody came back for is given up");
        return uploads.abandon(&store.node(), asset.id).await;
    }
    Ok(())
}
