//! Reads every copy here again and compares it with its hash, all within thirty days, slowly. A bad one is set aside,
//! fetched from another node and checked by the worker that repairs.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::copy_node::CopyNode;
use crate::blob::BlobName;
use crate::disk::files;
use crate::id::BlobId;
use crate::persist::{self, Persist};
use crate::store::{BlobError, StoredState};
use crate::worker::{WorkError, Worked, Worker};

/// A round of all copies begins so long after the one before.
const ROUND_MS: u64 = 30 * 24 * 3600 * 1000;
/// The most bytes a second.
const BYTES_PER_SECOND: u64 = 20 << 20;
/// How often it looks whether a round is due.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// The place is written down after so many copies.
const NOTED_EVERY: u64 = 16;
/// Where the place is noted.
const NOTE: &str = "scrub";

/// Where the round stands, as kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// When the round began, by cluster time.
    began_ms: u64,
    /// The last copy that was read; none when the round is over.
    last: Option<BlobName>,
    /// Whether a round is under way.
    under_way: bool,
}

impl Persist for Place {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// Reads every copy on this node again and compares it with its hash.
#[derive(Debug)]
pub struct Scrub<N> {
    node: N,
    place: Option<Place>,
    /// Damaged copies that were not mended yet. Nothing is noted on disk as long as there are any: whoever starts anew has
    /// to find them again.
    unmended: Vec<BlobName>,
    read: u64,
    bad: u64,
}

impl<N: CopyNode> Scrub<N> {
    /// For `node`; how far it is is noted on the disk of its Blobs.
    #[must_use]
    pub fn new(node: N) -> Self {
        Self { node, place: None, unmended: Vec::new(), read: 0, bad: 0 }
    }

    /// The place as it was noted; a lost or damaged note only means that the round begins again.
    fn place(&mut self) -> Place {
        if let Some(place) = &self.place {
            return place.clone();
        }
        let noted = files::read_if_present(self.node.bytes().here().disk(), Path::new(NOTE)).ok().flatten();
        noted.and_then(|bytes| persist::decode::<Place>(&bytes).ok()).unwrap_or_default()
    }

    fn note(&mut self, place: Place, on_disk: bool) -> Result<(), WorkError> {
        if on_disk && self.unmended.is_empty() {
            let bytes = persist::encode(&place).map_err(|error| WorkError::new(&error))?;
            let disk = self.node.bytes().here().disk();
            files::write_atomically(disk, Path::new(NOTE), &bytes).map_err(|error| WorkError::new(&error))?;
        }
        self.place = Some(place);
        Ok(())
    }

    /// The first sealed copy after `last`.
    async fn next(&self, last: Option<BlobName>) -> Result<Option<BlobName>, WorkError> {
        let state = self.node.state();
        let mut asset = last.map(|name| name.asset);
        let mut after = last.map(|name| name.blob);
        loop {
            let current = match (asset, after) {
                (Some(asset), Some(_)) => asset,
                _ => match state.assets_after(asset, 1).first() {
                    Some(next) => *next,
                    None => return Ok(None),
                },
            };
            let stored =
                self.node.bytes().here().list_asset(current).await.map_err(|error| WorkError::new(&error))?;
            let sealed = stored.iter().filter(|stored| stored.state == StoredState::Sealed);
            let mut blobs: Vec<BlobId> = sealed.map(|stored| stored.blob).collect();
            blobs.sort_unstable();
            if let Some(blob) = blobs.into_iter().find(|blob| after.is_none_or(|after| *blob > after)) {
                return Ok(Some(BlobName { asset: current, blob }));
            }
            (asset, after) = (Some(current), None::<BlobId>);
        }
    }

    /// Forgets what was mended, set aside or removed since.
    async fn look_at_unmended(&mut self) {
        for name in std::mem::take(&mut self.unmended) {
            if self.node.bytes().verify(name).await.is_err_and(|error| error.is_damage()) {
                self.unmended.push(name);
            }
        }
    }

    /// Reads one copy. Damage is told to whoever repairs.
    async fn check(&mut self, name: BlobName) -> Result<(), WorkError> {
        let bytes = self.node.bytes();
        let length = bytes.here().length_of(name).await.unwrap_or(0);
        let sealed = self.node.state().asset(name.asset).and_then(|asset| asset.blob(name.blob)?.sealed);
        match bytes.verify(name).await {
            Ok(hash) if sealed.is_none_or(|sealed| sealed.hash == hash) => {}
            Ok(_) | Err(BlobError::Damaged(_) | BlobError::Corrupt { .. }) => {
                self.bad += 1;
                tracing::error!(asset = %name.asset, blob = %name.blob, "a copy is damaged");
                bytes.repairs().damaged(name);
                // The only copy is beyond repair.
                if self.node.state().holders(name.asset).iter().any(|holder| holder != bytes.node()) {
                    self.unmended.push(name);
                }
            }
            // Removed meanwhile.
            Err(BlobError::NotFound) => {}
            Err(error) => return Err(WorkError::new(&error)),
        }
        self.read += 1;
        tokio::time::sleep(Duration::from_micros(length.saturating_mul(1_000_000) / BYTES_PER_SECOND)).await;
        Ok(())
    }
}

#[async_trait]
impl<N: CopyNode> Worker for Scrub<N> {
    fn name(&self) -> &'static str {
        "scrub"
    }

    fn status(&self) -> String {
        format!("{} copies read since start, {} of them damaged", self.read, self.bad)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let now_ms = self.node.now_ms();
        let mut place = self.place();
        if !place.under_way {
            if place.began_ms != 0 && now_ms < place.began_ms.saturating_add(ROUND_MS) {
                self.place = Some(place);
                return Ok(Worked::Idle);
            }
            place = Place { began_ms: now_ms, last: None, under_way: true };
            self.note(place.clone(), true)?;
        }
        let Some(name) = self.next(place.last).await? else {
            self.look_at_unmended().await;
            if !self.unmended.is_empty() {
                return Ok(Worked::Idle);
            }
            self.note(Place { last: None, under_way: false, ..place }, true)?;
            return Ok(Worked::Idle);
        };
        self.check(name).await?;
        let on_disk = self.read.is_multiple_of(NOTED_EVERY);
        self.note(Place { last: Some(name), ..place }, on_disk)?;
        Ok(Worked::Busy)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
