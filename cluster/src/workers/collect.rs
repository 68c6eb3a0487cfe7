//! Removes copies that this node need not hold any more: it gave its part to another, or only wrote through. Only when
//! every holder of the asset says that it has the same copy, and a while after the list of holders last changed.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::copy_node::CopyNode;
use crate::blob::BlobName;
use crate::id::AssetId;
use crate::state::State;
use crate::store::{BlobError, Report, StoredState};
use crate::worker::{WorkError, Worked, Worker};

/// How long a copy stays when it is not needed any more: whoever reads it now goes on.
pub(super) const GRACE: Duration = Duration::from_secs(3600);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// Removes copies that this node need not hold any more.
#[derive(Debug)]
pub struct Collect<N> {
    node: N,
    grace: Duration,
    /// Since when a copy is not needed, by the generation of its holders.
    unneeded: BTreeMap<AssetId, (u32, Instant)>,
    removed: u64,
}

impl<N: CopyNode> Collect<N> {
    /// For `node`; a copy stays for `grace` when it is not needed any more.
    #[must_use]
    pub fn new(node: N, grace: Duration) -> Self {
        Self { node, grace, unneeded: BTreeMap::new(), removed: 0 }
    }

    /// Assets with copies here that others hold, and not this node.
    async fn not_held(&self, state: &State) -> Result<Vec<AssetId>, WorkError> {
        let assets = self.node.bytes().here().assets().await.map_err(|error| WorkError::new(&error))?;
        let me = self.node.bytes().node();
        let known = assets.into_iter().filter(|asset| state.asset(*asset).is_some());
        Ok(known.filter(|asset| !state.holders(*asset).contains(me)).collect())
    }

    /// Whether nobody writes to the asset, and every holder has each Blob that is here, sealed: whoever began it here may
    /// have left, and another sealed it elsewhere.
    async fn all_have_it(&self, state: &State, asset: AssetId) -> Result<bool, WorkError> {
        let failed = |error: &dyn std::fmt::Display| WorkError::new(error);
        let Some(record) =
            state.asset(asset).filter(|asset| asset.blobs.iter().all(|blob| blob.sealed.is_some()))
        else {
            return Ok(false);
        };
        let mut here = BTreeMap::new();
        for stored in self.node.bytes().here().list_asset(asset).await.map_err(|error| failed(&error))? {
            let name = BlobName { asset, blob: stored.blob };
            let report = self.node.bytes().here().held_report(name).await;
            // What State names must be elsewhere as State names it, whatever a writer that was late left here. One that
            // State does not name is named by the manifest, by which it is sealed.
            let named = record.blob(stored.blob).and_then(|blob| blob.sealed).map(|sealed| sealed.hash);
            match (stored.state, report) {
                (StoredState::Sealed, Ok(Report::Sealed { hash, .. })) => {
                    _ = here.insert(name, named.or(Some(hash)))
                }
                (StoredState::Open, Ok(Report::Open { .. })) => _ = here.insert(name, named),
                // A damaged copy is not needed where all holders have it as State names it.
                (_, Err(BlobError::Damaged(_))) if named.is_some() => _ = here.insert(name, named),
                // It stays, and keeps no other from being removed.
                (_, Err(error)) => {
                    tracing::warn!(%asset, %error, "a copy that is not held here cannot be described");
                    return Ok(false);
                }
                _ => return Ok(false),
            }
        }
        let holders = state.holders(asset);
        if holders.len() < state.copies_wanted() {
            return Ok(false);
        }
        for holder in holders.iter() {
            let Ok(listed) = self.node.bytes().listed(holder, &[asset]).await else { return Ok(false) };
            let there: BTreeMap<_, _> = listed.into_iter().map(|(name, _, hash)| (name, hash)).collect();
            let has = |name, hash: &Option<_>| {
                there.get(name).is_some_and(|found| hash.is_none_or(|hash| hash == *found))
            };
            if !here.iter().all(|(name, hash)| has(name, hash)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl<N: CopyNode> Worker for Collect<N> {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn status(&self) -> String {
        format!(
            "{} assets no longer held here removed since start, {} to go",
            self.removed,
            self.unneeded.len()
        )
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        if self.node.state().nodes().count() < 2 {
            return Ok(Worked::Idle);
        }
        // Nothing is removed on a stale State.
        let state = self.node.linearizable().await.map_err(|error| WorkError::new(&error))?;
        if state.backup_pin(self.node.now_ms()).is_some() {
            // A backup that is being taken may read it here.
            return Ok(Worked::Idle);
        }
        let not_held = self.not_held(&state).await?;
        self.unneeded.retain(|asset, _| not_held.contains(asset));
        for asset in not_held {
            let generation = state.holders(asset).generation();
            let noted = self.unneeded.entry(asset).or_insert_with(|| (generation, Instant::now()));
            if noted.0 != generation {
                *noted = (generation, Instant::now());
            }
            if noted.1.elapsed() < self.grace || !self.all_have_it(&state, asset).await? {
                continue;
            }
            let again = self.node.linearizable().await.map_err(|error| WorkError::new(&error))?;
            if again.holders(asset) == state.holders(asset) {
                self.node.bytes().here().remove(asset).await.map_err(|error| WorkError::new(&error))?;
                self.unneeded.remove(&asset);
                self.removed += 1;
            }
        }
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
