//! Fetching ahead: what an edge is to hold before anybody asks for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::id::{AssetId, BlobId};
use futures_util::StreamExt;
use futures_util::stream;

use super::ask::{Edition, Question, Reply, Right, WarmFiles, WarmList, WarmProgress, read};
use super::cache::Name;
use super::watch::FetchError;
use super::{AskError, Edge, lock};

/// Looked at again without being told to: what failed is tried again.
const EVERY: Duration = Duration::from_secs(30);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(2);
/// How far it is, is told this often.
const NOTED_EVERY: Duration = Duration::from_secs(1);
/// Files that are fetched at once: viewers come first.
const AT_ONCE: usize = 3;

/// What is known to be whole, by which manifest.
type Whole = HashMap<AssetId, BlobId>;

/// Keeps warm what is to be, until the process ends.
pub(super) async fn keep_warm(edge: Arc<Edge>) {
    let mut whole = Whole::new();
    loop {
        let wait = match look(&edge, &mut whole).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::debug!(%error, "what is to be warm could not be fetched");
                AGAIN
            }
        };
        // Either way it is looked at again.
        drop(tokio::time::timeout(wait, edge.warm_now.notified()).await);
    }
}

async fn look(edge: &Arc<Edge>, whole: &mut Whole) -> Result<(), AskError> {
    let (Reply::WarmList, body) = edge.ask(&Question::WarmList).await? else {
        return Err(AskError::Nonsense("to a question what to keep warm".to_owned()));
    };
    let list: WarmList = read(&body).map_err(AskError::Nonsense)?;
    let all: HashMap<AssetId, BlobId> = list.iter().flat_map(|(_, assets)| assets.iter().copied()).collect();
    let lost = edge.cache.pin(all.keys().copied().collect());
    whole.retain(|asset, manifest| all.get(asset) == Some(manifest) && !lost.contains(asset));
    let mut full = HashSet::new();
    note(edge, &list, whole, &full);
    let mut noted = Instant::now();
    let missing: Vec<AssetId> = all.keys().filter(|asset| !whole.contains_key(asset)).copied().collect();
    for asset in missing {
        match fetch_asset(edge, asset).await {
            Ok(Some(edition)) => whole.extend(edition.manifest.map(|manifest| (asset, manifest))),
            Ok(None) => _ = full.insert(asset),
            Err(FetchError::Ask(error)) => return Err(error),
            // It was removed meanwhile, or is not to be warm any longer.
            Err(FetchError::Denied(_)) => {}
        }
        if noted.elapsed() >= NOTED_EVERY {
            note(edge, &list, whole, &full);
            noted = Instant::now();
        }
    }
    note(edge, &list, whole, &full);
    Ok(())
}

fn note(edge: &Edge, list: &WarmList, whole: &Whole, full: &HashSet<AssetId>) {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let progress = list.iter().map(|(warm, assets)| WarmProgress {
        warm: *warm,
        assets: count(assets.len()),
        whole: count(assets.iter().filter(|(asset, _)| whole.contains_key(asset)).count()),
        no_room: assets.iter().any(|(asset, _)| full.contains(asset)),
    });
    *lock(&edge.warm) = progress.collect();
}

/// Fetches what is missing of an asset; none when there is no room for it.
async fn fetch_asset(edge: &Arc<Edge>, asset: AssetId) -> Result<Option<Edition>, FetchError> {
    let files = match edge.ask(&Question::WarmFiles { asset }).await? {
        (Reply::WarmFiles, body) => read::<WarmFiles>(&body).map_err(AskError::Nonsense)?,
        (Reply::Denied(denial), _) => return Err(FetchError::Denied(denial)),
        _ => return Err(AskError::Nonsense("to a question what to fetch".to_owned()).into()),
    };
    let WarmFiles { index, edition, files } = files;
    let missing: Vec<(String, Name, u64)> = files
        .into_iter()
        .filter_map(|(file, bytes)| Some((Name::of(blob_of(&edition, &file)?, &file), file, bytes)))
        .filter(|(name, ..)| !edge.cache.has(asset, *name))
        .map(|(name, file, bytes)| (file, name, bytes))
        .collect();
    let by = Right::Warm(asset);
    let mut fetching = stream::iter(missing)
        .map(|(file, name, bytes)| {
            let by = &by;
            async move {
                if !edge.cache.has_room(bytes) {
                    return Ok::<bool, FetchError>(false);
                }
                let bytes = edge.fetch(by, &file).await?;
                edge.cache.keep(asset, index, name, bytes).await;
                Ok(true)
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(fetched) = fetching.next().await {
        if !fetched? {
            return Ok(None);
        }
    }
    drop(fetching);
    Ok(Some(edition))
}

/// The Blob behind a file that is kept warm.
fn blob_of(edition: &Edition, file: &str) -> Option<BlobId> {
    let (folder, name) = file.rsplit_once('/')?;
    let text = folder.starts_with("subs/") || name.ends_with(".m3u8");
    if text { edition.manifest } else { edition.blob(folder) }
}
