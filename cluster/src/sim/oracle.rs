//! What must hold, while it runs and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::node::Node;
use super::world::World;
use crate::audit::AuditFilter;
use crate::audit_record::{AuditRecord, ChainHead};
use crate::id::NodeId;
use crate::persist;
use crate::raft::metrics;
use crate::state::State;

/// How long the nodes may take to agree once nothing hinders them, by the world's time.
const AGREE_WITHIN: Duration = Duration::from_secs(60);
/// Audit records read at once.
const AT_ONCE: usize = 10_000;

/// The one history all nodes must show: hash of the audit chain and cluster time after each Entry.
#[derive(Debug, Default)]
pub(super) struct Chain {
    seen: BTreeMap<u64, ([u8; 32], u64)>,
}

impl Chain {
    /// Holds what a node shows now against what any node ever showed. Gives whether it is the first to show it.
    pub(super) fn see(&mut self, node: &Node) -> Result<bool, String> {
        let state = node.shown.state.load();
        let (head, time_ms) = (state.chain_head(), state.time_ms());
        let before = self.seen.range(..head.sequence).next_back().map(|(_, (_, time_ms))| *time_ms);
        let after = self.seen.range(head.sequence + 1..).next().map(|(_, (_, time_ms))| *time_ms);
        if before.is_some_and(|before| before > time_ms) || after.is_some_and(|after| after < time_ms) {
            return Err(format!("cluster time went backwards on node {} at {}", node.id, head.sequence));
        }
        let is_first = after.is_none() && !self.seen.contains_key(&head.sequence);
        let known = *self.seen.entry(head.sequence).or_insert((head.hash, time_ms));
        if known != (head.hash, time_ms) {
            return Err(format!("node {} shows another history at {}", node.id, head.sequence));
        }
        Ok(is_first)
    }
}

/// Waits until every node is up and has carried out the same Entries.
pub(super) async fn agreed(world: &World) -> bool {
    let ended = tokio::time::Instant::now() + AGREE_WITHIN;
    while tokio::time::Instant::now() < ended {
        let up = world.up();
        let mut applied = up.iter().map(|node| node.shown.applied.borrow().clone());
        let first = applied.next();
        let all_up = up.len() == world.members().len();
        if all_up && first.is_some() && applied.all(|other| Some(&other) == first.as_ref()) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.note(format_args!("no agreement: {}", standing(world)));
    false
}

fn standing(world: &World) -> String {
    let one = |node: &Node| {
        let metrics = metrics::now(&node.raft);
        let applied = node.shown.applied.borrow().last.map(|last| last.index);
        let (vote, leader, state) = (metrics.vote, metrics.current_leader, metrics.state);
        let last = metrics.last_log_index;
        format!(
            "node {}: {state:?}, vote {vote}, leader {leader:?}, log to {last:?}, applied {applied:?}",
            node.id
        )
    };
    let up: Vec<String> = world.up().iter().map(one).collect();
    format!("members {:?}; {}", world.members(), up.join("; "))
}

/// Remembers the audit records of a node that leaves: the worker that fetches what lies before a snapshot is not part of this
/// world, so they may be the only ones.
pub(super) async fn remember(world: &World, leaving: NodeId) {
    let mut records = std::mem::take(&mut *world.remembered());
    for node in world.up().into_iter().filter(|node| node.id == leaving) {
        gather(world, &node, &mut records).await;
    }
    *world.remembered() = records;
}

/// Every node holds the same State, to the byte, and the same audit records wherever two hold one.
pub(super) async fn compare(world: &World) {
    let mut first: Option<(NodeId, Vec<u8>)> = None;
    let mut records = std::mem::take(&mut *world.remembered());
    for node in world.up() {
        let state = node.shown.state.load_full();
        match persist::encode::<State>(&state) {
            Err(error) => world.violation(format_args!("State of node {} is not encoded: {error}", node.id)),
            Ok(bytes) => match &first {
                None => first = Some((node.id, bytes)),
                Some((other, same)) if *same != bytes => {
                    world.violation(format_args!("nodes {other} and {} hold different States", node.id));
                }
                Some(_) => {}
            },
        }
        gather(world, &node, &mut records).await;
    }
    let Some(node) = world.up().into_iter().next() else { return };
    let mut chain = ChainHead::default();
    for record in records.values() {
        if chain.verify_next(record).is_err() {
            return world.violation(format_args!("the audit chain breaks at {}", record.sequence));
        }
    }
    let head = node.shown.state.load().chain_head();
    if chain != head {
        world.violation(format_args!("the audit logs end at {}, State at {}", chain.sequence, head.sequence));
    }
}

/// Adds a node's audit records to those of the others, which must say the same.
async fn gather(world: &World, node: &Node, records: &mut BTreeMap<u64, AuditRecord>) {
    let mut cursor = None;
    loop {
        let page = match node.audit.query(AuditFilter::default(), cursor, AT_ONCE).await {
            Ok(page) => page,
            Err(error) => {
                return world
                    .violation(format_args!("the audit log of node {} is not read: {error}", node.id));
            }
        };
        for record in page.records {
            let sequence = record.sequence;
            let known = records.entry(sequence).or_insert_with(|| record.clone());
            if *known != record {
                world.violation(format_args!("node {} holds another audit record {sequence}", node.id));
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return,
        }
    }
}
