//! Beginning before the end: an upload whose container can be read front to back is worked on while it arrives.

use std::time::Duration;

use cluster::id::AssetId;
use cluster::store::MAX_READ;

use super::manager::Jobs;
use super::streamable::{LOOK_AT_MOST, Verdict, judge};
use crate::asset_store::{AssetStore, StoreError};
use crate::ingest::queue;

/// An upload that does not grow for so long is not followed any more: it keeps files open.
const QUIET: Duration = Duration::from_secs(60);

/// Watches the front of an upload until it can be judged, and queues the work on it when it can be begun.
pub async fn watch_front(store: AssetStore, jobs: Jobs, asset: AssetId) {
    match front_is_streamable(&store, asset).await {
        Ok(true) => {}
        // Gone, complete, or not to be read yet: the end of the upload queues the work.
        Ok(false) | Err(_) => return,
    }
    match queue(&store, asset).await {
        Ok(()) => jobs.look(),
        Err(error) => tracing::info!(%asset, %error, "an upload could not be worked on early"),
    }
}

async fn front_is_streamable(store: &AssetStore, asset: AssetId) -> Result<bool, StoreError> {
    let asset = store.asset(asset)?;
    let reader = store.reader(&asset, asset.original).await?;
    let mut growth = reader.watch_growth();
    let mut progress = growth.now();
    loop {
        if progress.sealed {
            return Ok(false);
        }
        let length = progress.length.min(LOOK_AT_MOST as u64).min(MAX_READ.into());
        let front = reader.read_span(0, length).await?;
        match judge(&front) {
            Verdict::Yes => return Ok(true),
            Verdict::No => return Ok(false),
            Verdict::More => match tokio::time::timeout(QUIET, growth.beyond(progress.length)).await {
                Ok(grown) => progress = grown?,
                Err(_) => return Ok(false),
            },
        }
    }
}
