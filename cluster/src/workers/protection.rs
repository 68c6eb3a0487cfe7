//! Counts how well everything is kept: assets by the number of holders that answer, and how many nodes or sites could be
//! lost now with nothing lost for good. Also what nodes that are being emptied still hold.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::copy_node::CopyNode;
use crate::id::{AssetId, NodeId};
use crate::state::{NodeState, State};
use crate::transfer::{Leaving, Protection};
use crate::worker::{WorkError, Worked, Worker};

/// Assets counted before others get their turn.
const TOGETHER: usize = 2_000;
/// How often it counts.
const EVERY: Duration = Duration::from_secs(10);

/// Counts how well everything is kept.
#[derive(Debug)]
pub struct Count<N> {
    node: N,
}

impl<N: CopyNode> Count<N> {
    /// For `node`.
    #[must_use]
    pub fn new(node: N) -> Self {
        Self { node }
    }

    /// The nodes that answer, each with its site.
    async fn answering(&self, state: &State) -> BTreeMap<NodeId, String> {
        let bytes = self.node.bytes();
        let mut answering = BTreeMap::new();
        for node in state.nodes() {
            if node.id == self.node.bytes().node() || bytes.knock(node.id).await {
                answering.insert(node.id, node.site.clone());
            }
        }
        answering
    }
}

/// Adds one asset to the count, and says how many nodes and sites it is on.
fn count(
    protection: &mut Protection,
    state: &State,
    asset: AssetId,
    answering: &BTreeMap<NodeId, String>,
) -> (usize, usize) {
    let holders = state.holders(asset);
    let mut sites: Vec<&String> = holders.iter().filter_map(|node| answering.get(&node)).collect();
    let copies = sites.len();
    protection.assets_by_copies[copies.min(3)] += 1;
    sites.sort_unstable();
    sites.dedup();
    (copies, sites.len())
}

/// Adds one asset to what the nodes that are being emptied still hold.
fn count_leaving(leaving: &mut BTreeMap<NodeId, Leaving>, state: &State, asset: AssetId) {
    let is_written =
        || state.asset(asset).is_some_and(|asset| asset.blobs.iter().any(|blob| blob.sealed.is_none()));
    for node in state.holders(asset).iter() {
        if let Some(left) = leaving.get_mut(&node) {
            left.assets += 1;
            left.written += u64::from(is_written());
        }
    }
}

#[async_trait]
impl<N: CopyNode> Worker for Count<N> {
    fn name(&self) -> &'static str {
        "protection"
    }

    fn status(&self) -> String {
        let [none, one, two, three] = self.node.bytes().protection().assets_by_copies;
        format!("assets with three copies: {three}, two: {two}, one: {one}, none that answers: {none}")
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let state = self.node.state();
        let answering = self.answering(&state).await;
        let mut counted = Protection { copies_wanted: state.copies_wanted(), ..Protection::default() };
        let all_sites = answering.values().collect::<std::collections::BTreeSet<_>>().len();
        let (mut fewest_nodes, mut fewest_sites) = (answering.len().min(3), all_sites.min(3));
        let draining = state.nodes().filter(|node| node.state == NodeState::Draining);
        let mut leaving: BTreeMap<NodeId, Leaving> =
            draining.map(|node| (node.id, Leaving::default())).collect();
        let mut after = None;
        loop {
            let assets = state.assets_after(after, TOGETHER);
            for asset in &assets {
                let (nodes, sites) = count(&mut counted, &state, *asset, &answering);
                fewest_nodes = fewest_nodes.min(nodes);
                fewest_sites = fewest_sites.min(sites);
                if !leaving.is_empty() {
                    count_leaving(&mut leaving, &state, *asset);
                }
            }
            after = assets.last().copied();
            if assets.len() < TOGETHER {
                break;
            }
            tokio::task::yield_now().await;
        }
        let to_lose = |fewest: usize| u32::try_from(fewest.saturating_sub(1)).unwrap_or(0);
        (counted.nodes_to_lose, counted.sites_to_lose) = (to_lose(fewest_nodes), to_lose(fewest_sites));
        self.node.bytes().set_protection(|protection| {
            let (missing_bytes, missing_time) = (protection.missing_bytes, protection.missing_time);
            *protection = Protection { missing_bytes, missing_time, ..counted };
        });
        self.node.bytes().set_leaving(leaving);
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(EVERY).await;
    }
}
