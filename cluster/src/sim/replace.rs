//! A node that lost what it acknowledged does not come back: a new one with a new id takes its place.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::{EmptyNode, ServerState};

use super::node::Node;
use super::world::World;
use crate::id::NodeId;
use crate::raft::metrics;

/// How long one step of a change of members may take before it is tried again.
const STEP_WITHIN: Duration = Duration::from_secs(4);

/// Takes `lost` out and a new node in, as soon as the others can agree on it.
pub(super) async fn replace(world: World, lost: NodeId) {
    let fresh = world.new_seat();
    world.note(format_args!("node {fresh} is to replace node {lost}"));
    world.start(fresh).await;
    loop {
        if let Some(leader) = leader(&world)
            && exchange(&leader, lost, fresh).await
        {
            world.note(format_args!("node {fresh} has replaced node {lost}"));
            world.count_replaced();
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The node that believes to lead and is believed by itself.
pub(super) fn leader(world: &World) -> Option<Node> {
    world.up().into_iter().find(|node| {
        let metrics = metrics::now(&node.raft);
        metrics.state == ServerState::Leader && metrics.current_leader == Some(node.id.0)
    })
}

/// One attempt. Both steps may be made again.
async fn exchange(leader: &Node, lost: NodeId, fresh: NodeId) -> bool {
    let learner = leader.raft.add_learner(fresh.0, EmptyNode::default(), true);
    if !matches!(tokio::time::timeout(STEP_WITHIN, learner).await, Ok(Ok(_))) {
        return false;
    }
    let voters: Vec<u64> = metrics::now(&leader.raft).membership_config.voter_ids().collect();
    let mut wanted: BTreeSet<u64> = voters.into_iter().filter(|id| *id != lost.0).collect();
    wanted.insert(fresh.0);
    let change = leader.raft.change_membership(wanted, false);
    matches!(tokio::time::timeout(STEP_WITHIN, change).await, Ok(Ok(_)))
}
