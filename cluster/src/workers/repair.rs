//! Makes the copies that are missing here: of what this node holds, and of what it is to hold from now on. What has the
//! fewest copies elsewhere comes first. State is told only when everything is here and checked.
//!
//! As a second worker of the same kind it rebalances: when a node joined, or weights changed, it comes for copies that
//! placement gives to this node, more slowly, and only while nothing is missing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::broadcast::Receiver;

use super::copy_node::CopyNode;
use super::heard;
use super::moves::{Part, part_of};
use crate::blob::BlobName;
use crate::cluster::ProposeError;
use crate::event::Event;
use crate::id::{AssetId, BlobId, NodeId};
use crate::state::{Asset, State};
use crate::store::{Report, StoredState};
use crate::transfer::{Flow, Pulled, Replicas};
use crate::worker::{WorkError, Worked, Worker};

/// Assets looked at in one piece of work.
const TOGETHER: usize = 64;
/// Everything is compared again after so long.
const ALL_AGAIN: Duration = Duration::from_secs(3600);
/// With more than one node, whatever an event did not tell is found after so long, and what failed is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// What is noted within this time is looked at together: each look asks the other holders.
const GATHER: Duration = Duration::from_millis(200);
/// So many copies come at once: what is made durable of one takes no time of the others.
const TOGETHER_COMING: usize = 4;
/// So many assets are kept in mind to be tried again; more are found when everything is compared.
const KEPT: usize = 10_000;

/// What the worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Copies that are missing.
    Repair,
    /// Copies that placement gives to another node by now.
    Rebalance,
}

impl Purpose {
    /// The most bytes a second, so that viewers are never starved.
    fn bytes_per_second(self) -> u64 {
        match self {
            Self::Repair => 50 << 20,
            Self::Rebalance => 20 << 20,
        }
    }
}

/// Makes the copies that are missing on this node.
#[derive(Debug)]
pub struct Repair<N> {
    node: N,
    purpose: Purpose,
    flow: Flow,
    events: Receiver<Event>,
    /// The last asset of the comparison under way; it begins again when it is over and time has passed.
    cursor: Option<AssetId>,
    compared: Option<tokio::time::Instant>,
    /// What could not be made whole, the longest ago first, and when something was put there last.
    again: VecDeque<AssetId>,
    failed: Option<tokio::time::Instant>,
    came: u64,
    bytes: u64,
    /// The bytes that are missing here, of what comes now and of what could not be made whole.
    missing: BTreeMap<AssetId, u64>,
    /// When the fetching that is under way began, and the bytes that had come before it.
    began: Option<(tokio::time::Instant, u64)>,
}

/// The sealed Blobs of some assets by the node that has them: name, length in bytes, hash.
type Listed = BTreeMap<NodeId, Vec<(BlobName, u64, [u8; 32])>>;

/// A copy that is to come.
struct Missing {
    name: BlobName,
    length: u64,
    hash: [u8; 32],
    from: Vec<NodeId>,
}

impl<N: CopyNode> Repair<N> {
    /// A worker of this purpose for `node`.
    #[must_use]
    pub fn new(node: N, purpose: Purpose) -> Self {
        let events = node.events();
        Self {
            node,
            purpose,
            flow: Flow::new(Some(purpose.bytes_per_second())),
            events,
            cursor: None,
            compared: None,
            again: VecDeque::new(),
            failed: None,
            came: 0,
            bytes: 0,
            missing: BTreeMap::new(),
            began: None,
        }
    }

    /// The assets to look at now: what was noted, what failed a while ago, then the next of the comparison of all.
    fn next_assets(&mut self, state: &State) -> Vec<AssetId> {
        if self.purpose == Purpose::Repair {
            let noted = self.node.bytes().repairs().take_assets(TOGETHER);
            if !noted.is_empty() {
                return noted;
            }
        }
        if self.failed.is_some_and(|at| at.elapsed() >= LOOK_AGAIN) {
            let again: Vec<AssetId> = self.again.drain(..TOGETHER.min(self.again.len())).collect();
            if !again.is_empty() {
                return again;
            }
            self.failed = None;
        }
        if self.compared.is_some_and(|at| at.elapsed() < ALL_AGAIN) {
            return Vec::new();
        }
        let assets = state.assets_after(self.cursor, TOGETHER);
        self.cursor = assets.last().copied();
        if assets.len() < TOGETHER {
            self.cursor = None;
            self.compared = Some(tokio::time::Instant::now());
        }
        assets
    }

    /// Damaged copies are set aside as long as somebody else has them.
    async fn set_damaged_aside(&self, state: &State) -> Result<(), WorkError> {
        let bytes = self.node.bytes();
        for name in bytes.repairs().take_damaged() {
            if state.holders(name.asset).iter().all(|node| node == self.node.bytes().node()) {
                tracing::error!(asset = %name.asset, blob = %name.blob, "the only copy is damaged");
                bytes.repairs().beyond_repair();
                continue;
            }
            match bytes.verify(name).await {
                Err(error) if error.is_damage() => {
                    tracing::warn!(asset = %name.asset, blob = %name.blob, "a damaged copy is set aside");
                    bytes.here().set_aside(name).await.map_err(|error| WorkError::new(&error))?;
                    bytes.repairs().look_at(name.asset);
                }
                // Not there, or sound after all.
                _ => bytes.repairs().look_at(name.asset),
            }
        }
        Ok(())
    }

    /// Keeps in mind what could not be made whole: nobody tells when it can be.
    fn try_again(&mut self, assets: impl IntoIterator<Item = AssetId>) {
        for asset in assets {
            if self.again.len() < KEPT {
                self.failed = Some(tokio::time::Instant::now());
                self.again.push_back(asset);
            } else {
                self.missing.remove(&asset);
            }
        }
    }

    async fn look_at(&mut self, state: &State, assets: Vec<AssetId>) -> Result<(), WorkError> {
        let me = self.node.bytes().node();
        let rebalance = self.purpose == Purpose::Rebalance;
        assets.iter().for_each(|asset| _ = self.missing.remove(asset));
        let parts: BTreeMap<AssetId, Part> = assets
            .into_iter()
            .filter(|asset| state.asset(*asset).is_some())
            .filter_map(|asset| Some((asset, part_of(state, asset, me, rebalance)?)))
            .filter(|(_, part)| !rebalance || *part != Part::Keep)
            .collect();
        if parts.is_empty() {
            self.tell_missing();
            return Ok(());
        }
        let elsewhere = self.listed(state, &parts).await;
        let mut missing = Vec::new();
        let mut incomplete = BTreeSet::new();
        for asset in parts.keys() {
            match self.missing(state, *asset, &elsewhere).await {
                Some(more) => missing.extend(more),
                None => _ = incomplete.insert(*asset),
            }
        }
        missing.sort_by_key(|one| one.from.len());
        for one in &missing {
            *self.missing.entry(one.name.asset).or_default() += one.length;
            self.began.get_or_insert((tokio::time::Instant::now(), self.bytes));
        }
        self.tell_missing();
        let (bytes, flow) = (self.node.bytes().clone(), self.flow.clone());
        let mut coming = futures_util::stream::iter(missing)
            .map(|one| async { (fetch(&bytes, &one, &flow).await, one) })
            .buffer_unordered(TOGETHER_COMING);
        while let Some((outcome, one)) = coming.next().await {
            if let Some(pulled) = outcome {
                self.came_of(one.name.asset, one.length);
                if let Pulled::Came(bytes) = pulled {
                    self.came += 1;
                    self.bytes += bytes;
                }
            } else {
                incomplete.insert(one.name.asset);
            }
            self.tell_missing();
        }
        drop(coming);
        self.try_again(incomplete.iter().copied());
        // What is left waits for another try, which is no time that fetching takes.
        if self.node.bytes().repairs().waiting() == 0 && self.cursor.is_none() {
            self.began = None;
            self.tell_missing();
        }
        for (asset, part) in parts {
            if incomplete.contains(&asset) {
                continue;
            }
            if let Some(command) = part.command(asset, me, state.holders(asset).generation()) {
                self.propose(command.into()).await?;
            }
        }
        Ok(())
    }

    /// What the other holders have of these assets: all that answer.
    async fn listed(&self, state: &State, parts: &BTreeMap<AssetId, Part>) -> Listed {
        let mut asked: BTreeMap<NodeId, Vec<AssetId>> = BTreeMap::new();
        for asset in parts.keys() {
            for node in state.holders(*asset).iter().filter(|node| *node != self.node.bytes().node()) {
                if state.node(node).is_some() {
                    asked.entry(node).or_default().push(*asset);
                }
            }
        }
        let mut listed = BTreeMap::new();
        for (node, assets) in asked {
            if let Ok(list) = self.node.bytes().listed(node, &assets).await {
                listed.insert(node, list);
            }
        }
        listed
    }

    /// The sealed Blobs of an asset that others have and this node has not. `None` when no other holder answered, or
    /// one of them does not know yet what State knows.
    async fn missing(&self, state: &State, asset: AssetId, elsewhere: &Listed) -> Option<Vec<Missing>> {
        let record = state.asset(asset)?;
        let others: Vec<NodeId> =
            state.holders(asset).iter().filter(|node| elsewhere.contains_key(node)).collect();
        if others.is_empty() {
            return None;
        }
        let here = self.sealed_here(record).await?;
        let mut missing: BTreeMap<(BlobName, [u8; 32]), Missing> = BTreeMap::new();
        for node in others {
            let lists = elsewhere.get(&node).into_iter().flatten().filter(|(name, _, _)| name.asset == asset);
            for (name, length, hash) in lists.filter(|(name, _, _)| !here.contains(&name.blob)) {
                let known = record.blob(name.blob);
                // One that State has as open is its writer's; one with another hash is not State's.
                if known.is_some_and(|blob| blob.sealed.is_none_or(|sealed| sealed.hash != *hash)) {
                    continue;
                }
                let new = || Missing { name: *name, length: *length, hash: *hash, from: Vec::new() };
                missing.entry((*name, *hash)).or_insert_with(new).from.push(node);
            }
        }
        let named: BTreeSet<_> = missing.keys().map(|(name, _)| name.blob).chain(here).collect();
        let all_known =
            record.blobs.iter().filter(|blob| blob.sealed.is_some()).all(|blob| named.contains(&blob.id));
        let manifest_known = record.manifest.is_none_or(|manifest| named.contains(&manifest.blob));
        (all_known && manifest_known).then(|| missing.into_values().collect())
    }

    /// The Blobs of an asset that are sealed here as State has them. A writer that was fenced off may have sealed other
    /// bytes here, sound by themselves, before another sealed the Blob elsewhere: that copy is none.
    async fn sealed_here(&self, asset: &Asset) -> Option<BTreeSet<BlobId>> {
        let here = self.node.bytes().here();
        let mut sealed = BTreeSet::new();
        for stored in here.list_asset(asset.id).await.ok()? {
            if stored.state != StoredState::Sealed {
                continue;
            }
            let named = asset.blob(stored.blob).and_then(|blob| blob.sealed).map(|named| named.hash);
            let name = BlobName { asset: asset.id, blob: stored.blob };
            let is_another = match named {
                // One that cannot be read is the scrubber's.
                Some(named) => {
                    matches!(here.held_report(name).await, Ok(Report::Sealed { hash, .. }) if hash != named)
                }
                None => false,
            };
            if !is_another {
                sealed.insert(stored.blob);
            }
        }
        Some(sealed)
    }

    /// At the rate since something began to be missing.
    fn time_left(&self) -> Option<Duration> {
        let (began, bytes_then) = self.began?;
        let came = self.bytes.saturating_sub(bytes_then);
        let seconds = began.elapsed().as_secs_f64() * self.missing_bytes() as f64 / came as f64;
        Duration::try_from_secs_f64(seconds).ok().filter(|_| came > 0)
    }

    /// Nothing is kept of an asset that is whole: there are as many as there are.
    fn came_of(&mut self, asset: AssetId, bytes: u64) {
        if let Entry::Occupied(mut left) = self.missing.entry(asset) {
            *left.get_mut() = left.get().saturating_sub(bytes);
            if *left.get() == 0 {
                left.remove();
            }
        }
    }

    fn missing_bytes(&self) -> u64 {
        self.missing.values().sum()
    }

    fn tell_missing(&mut self) {
        let bytes = self.missing_bytes();
        self.began = self.began.filter(|_| bytes > 0);
        if self.purpose == Purpose::Repair {
            let left = self.time_left();
            self.node.bytes().set_protection(|protection| {
                (protection.missing_bytes, protection.missing_time) = (bytes, left);
            });
        }
    }

    async fn propose(&self, command: crate::command::Command) -> Result<(), WorkError> {
        match self.node.propose(command).await {
            // Somebody else may have come first; the next look tells.
            Ok(_) | Err(ProposeError::Refused(_)) => Ok(()),
            Err(error) => Err(WorkError::new(&error)),
        }
    }
}

/// Fetches one copy from those who have it: from all of them together, and when what comes is not it, from each alone.
async fn fetch(bytes: &Replicas, missing: &Missing, flow: &Flow) -> Option<Pulled> {
    let alone = missing.from.chunks(1).filter(|_| missing.from.len() > 1);
    for from in std::iter::once(missing.from.as_slice()).chain(alone) {
        match bytes.pull(missing.name, from, Some(missing.hash), flow).await {
            Ok(pulled) => return Some(pulled),
            Err(error) => {
                tracing::warn!(blob = %missing.name.blob, ?from, %error, "a copy could not be fetched");
            }
        }
    }
    None
}

#[async_trait]
impl<N: CopyNode> Worker for Repair<N> {
    fn name(&self) -> &'static str {
        match self.purpose {
            Purpose::Repair => "repair",
            Purpose::Rebalance => "rebalance",
        }
    }

    fn status(&self) -> String {
        format!(
            "{} copies ({} bytes) made since start, {} bytes to go",
            self.came,
            self.bytes,
            self.missing_bytes()
        )
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let state = self.node.state();
        if state.nodes().count() < 2 {
            return Ok(Worked::Idle);
        }
        if self.purpose == Purpose::Repair {
            self.set_damaged_aside(&state).await?;
        } else if self.node.bytes().repairs().waiting() > 0 {
            return Ok(Worked::Idle);
        }
        let assets = self.next_assets(&state);
        if assets.is_empty() {
            return Ok(Worked::Idle);
        }
        if let Err(error) = self.look_at(&state, assets.clone()).await {
            self.try_again(assets);
            return Err(error);
        }
        Ok(Worked::Busy)
    }

    async fn wait(&mut self) {
        let repairs = self.node.bytes().repairs().clone();
        let repairing = self.purpose == Purpose::Repair;
        let noted = |event: &Event| match event {
            Event::BlobSealed { asset } | Event::HoldersChanged { asset } if repairing => {
                repairs.look_at(*asset);
                false
            }
            Event::ClusterChanged => true,
            _ => false,
        };
        let mut all = false;
        tokio::select! {
            () = repairs.noted(), if repairing => tokio::time::sleep(GATHER).await,
            heard = heard(&mut self.events, LOOK_AGAIN, noted) => all = heard,
        }
        // A node came or went, or events were missed: everything may have to move.
        if all {
            self.compared = None;
        }
    }
}
