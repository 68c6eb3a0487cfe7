//! The tender of uploads: ends those whose end was interrupted, gives up those nobody comes back for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cluster::id::AssetId;
use cluster::state::{Asset, AssetState, Limits};
use cluster::store::{BlobError, BlobReader};

use super::finish::finish_interrupted;
use super::uploads::{EXPIRES_AFTER, UploadError, Uploads, is_one_shot};
use crate::asset_store::StoreError;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// How often it lets go of what another node has ended.
const FORGET_EVERY: Duration = Duration::from_secs(5);

/// An upload is given up only when it was due by two looks this far apart: a clock that jumped for a moment, or a node
/// that slept, deletes nothing.
const DUE_AGAIN_MS: u64 = Limits::DUE_AGAIN_MS;

/// With other nodes in the cluster, an upload may run on one of them: it is looked after when it has not grown for so
/// long.
const QUIET_AFTER: Duration = Duration::from_secs(10 * 60);

/// How long each unfinished upload was seen to be, and since when.
type Seen = HashMap<AssetId, (u64, Instant)>;

/// When each upload was first found due, by cluster time. Forgotten when the process ends: then it is noted anew.
type Noted = HashMap<AssetId, u64>;

/// Looks at unfinished uploads until the process ends: at once when the node starts, then every minute and whenever an end
/// fails.
pub async fn tend(uploads: Uploads) {
    let mut first = true;
    let (mut noted, mut seen) = (Noted::new(), Seen::new());
    loop {
        let open = unfinished(&uploads);
        seen.retain(|asset, _| open.iter().any(|found| found.id == *asset));
        noted.retain(|asset, _| open.iter().any(|found| found.id == *asset));
        let unended = uploads.unended_of(&open);
        for asset in open {
            let looked = match unended.contains(&asset.id) {
                true => finish_left(&uploads, &asset).await,
                false => look_at(&uploads, &asset, first, &mut noted, &mut seen).await,
            };
            if let Err(error) = looked {
                tracing::warn!(asset = %asset.id, %error, "an unfinished upload could not be looked after");
            }
        }
        first = false;
        pause(&uploads).await;
    }
}

/// Waits until it is time to look again.
async fn pause(uploads: &Uploads) {
    let again = tokio::time::sleep(EVERY);
    tokio::pin!(again);
    loop {
        uploads.forget_those_over();
        tokio::select! {
            () = &mut again => return,
            () = uploads.left() => return,
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
    }
}

/// Ends an upload whose end failed on this node, unless not all of it is kept, or its client writes again.
async fn finish_left(uploads: &Uploads, asset: &Asset) -> Result<(), UploadError> {
    let reader = uploads.store().reader(asset, asset.original).await?;
    let whole = reader.is_sealed() || asset.declared_length == Some(reader.length());
    if whole && uploads.idle(asset.id).is_none() {
        return finish_interrupted(uploads.store(), asset).await;
    }
    uploads.take_back(asset.id);
    Ok(())
}

fn unfinished(uploads: &Uploads) -> Vec<Arc<Asset>> {
    let state = uploads.store().cluster().state();
    state.assets_by_id(None).filter(|asset| asset.state == AssetState::Uploading).cloned().collect()
}

/// Leaves alone what another node may be writing to.
async fn look_at(
    uploads: &Uploads,
    asset: &Asset,
    just_started: bool,
    noted: &mut Noted,
    seen: &mut Seen,
) -> Result<(), UploadError> {
    let store = uploads.store();
    let alone = store.cluster().state().nodes().count() < 2;
    let found = store.reader(asset, asset.original).await;
    let length = found.as_ref().map_or(0, BlobReader::length);
    let (before, since) = *seen.entry(asset.id).or_insert_with(|| (length, Instant::now()));
    if before != length {
        seen.insert(asset.id, (length, Instant::now()));
    }
    let quiet = before == length && since.elapsed() >= QUIET_AFTER;
    if alone {
        look_after(uploads, asset, just_started, noted, found).await
    } else if quiet {
        // Nobody writes to it: what follows is as on a node that is alone and has just started.
        look_after(uploads, asset, true, noted, found).await
    } else {
        Ok(())
    }
}

async fn look_after(
    uploads: &Uploads,
    asset: &Asset,
    just_started: bool,
    noted: &mut Noted,
    found: Result<BlobReader, StoreError>,
) -> Result<(), UploadError> {
    let store = uploads.store();
    let reader = match found {
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
    let (state, now_ms) = (store.cluster().state(), store.cluster().now_ms());
    let held = state.cluster_info().is_none_or(|cluster| cluster.time_held);
    let age = Duration::from_millis(now_ms.saturating_sub(asset.created_ms));
    // How long ago a byte came, by what is on disk; and a client may have asked since, as this process knows.
    let written =
        reader.touched()?.map_or(age, |at| SystemTime::now().duration_since(at).unwrap_or_default());
    let idle = uploads.idle(asset.id).map_or(written, |idle| idle.min(written));
    if held || !expired(age, idle) {
        noted.remove(&asset.id);
        return Ok(());
    }
    if !due_again(noted, asset.id, now_ms) {
        return Ok(());
    }
    tracing::info!(asset = %asset.id, "an upload nobody came back for is given up");
    noted.remove(&asset.id);
    uploads.abandon(&store.node(), asset.id).await
}

/// Old, and nothing has come for as long.
fn expired(age: Duration, idle: Duration) -> bool {
    age > EXPIRES_AFTER && idle >= EXPIRES_AFTER
}

/// Notes that an upload is due, or says that it has been due for an hour.
fn due_again(noted: &mut Noted, asset: AssetId, now_ms: u64) -> bool {
    let since_ms = *noted.entry(asset).or_insert(now_ms);
    now_ms.saturating_sub(since_ms) >= DUE_AGAIN_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_expires_a_day_after_its_last_byte_and_not_after_its_start() {
        let (hour, day) = (Duration::from_secs(3600), EXPIRES_AFTER);
        assert!(!expired(day * 5, hour), "an upload that goes on for days is alive");
        assert!(!expired(hour, day * 5), "a young asset is no old upload, whatever a file's time says");
        assert!(expired(day + hour, day));
    }

    #[test]
    fn it_must_be_due_twice_an_hour_apart() {
        let (mut noted, asset) = (Noted::new(), AssetId([7; 16]));
        assert!(!due_again(&mut noted, asset, 1_000));
        assert!(!due_again(&mut noted, asset, 1_000 + DUE_AGAIN_MS - 1));
        assert!(due_again(&mut noted, asset, 1_000 + DUE_AGAIN_MS));
        noted.remove(&asset);
        assert!(!due_again(&mut noted, asset, 1_000 + 2 * DUE_AGAIN_MS), "what was touched starts anew");
    }
}
