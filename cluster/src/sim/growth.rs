//! How a cluster begins and grows: one node founds it, the others are admitted, learn and vote.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::{EmptyNode, ServerState};

use super::node::Node;
use super::uploads::is_upload;
use super::workload::{beginnings, person};
use super::world::World;
use crate::actor::Actor;
use crate::cluster::ProposeError;
use crate::command::{ClusterCommand, Command, NewNode, SecretHash};
use crate::id::{AssetId, NodeId};
use crate::outcome::Outcome;
use crate::raft::metrics;
use crate::refusal::Refusal;

/// Where nodes stand, one after the other.
const SITES: [&str; 3] = ["first", "second", "third"];
/// How long one step of a change of members may take before it is tried again.
const STEP_WITHIN: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(50);
/// How long a token is good for.
const TOKEN_MS: u64 = 30 * 60 * 1000;
/// The node whose number this is founds the cluster.
const FOUNDER: NodeId = crate::state::FOUNDER;

/// The node that believes to lead and is believed by itself.
pub(super) fn leader(world: &World) -> Option<Node> {
    world.up().into_iter().find(|node| {
        let metrics = metrics::now(&node.raft);
        metrics.state == ServerState::Leader && metrics.current_leader == Some(node.id.0)
    })
}

/// Starts the nodes and tells the cluster what clients need.
pub(super) async fn found(world: &World, count: usize) {
    world.seat(FOUNDER, SITES[0]);
    world.start(FOUNDER).await;
    let Some(first) = world.up().into_iter().next() else { return };
    if let Err(error) = first.raft.initialize(BTreeSet::from([FOUNDER.0])).await {
        return world.violation(format_args!("the first member was refused: {error}"));
    }
    for (actor, command) in beginnings(FOUNDER, first.shown.time.now_ms()) {
        if let Err(refusal) = agree(world, |_| actor.clone(), command).await {
            return world.violation(format_args!("a beginning was refused: {refusal}"));
        }
    }
    // Clients ask through a node that never comes: its requests are theirs.
    let desk = admit(world, SITES[0]).await;
    world.open_desk(desk);
    let mut voters = BTreeSet::from([FOUNDER.0]);
    for number in 1..count {
        let fresh = join(world, SITES[number % SITES.len()]).await;
        voters.insert(fresh.0);
    }
    while !vote(world, |_| voters.clone()).await {
        tokio::time::sleep(AGAIN).await;
    }
    for fresh in voters.into_iter().filter(|voter| *voter != FOUNDER.0) {
        activate(world, NodeId(fresh)).await;
    }
}

/// Takes `lost` out and a new node in, as soon as the others can agree on it.
pub(super) async fn replace(world: World, lost: NodeId, site: &'static str) {
    let fresh = join(&world, site).await;
    world.note(format_args!("node {fresh} is to replace node {lost}"));
    let others = |voters: BTreeSet<u64>| {
        voters.into_iter().filter(|id| *id != lost.0).chain([fresh.0]).collect::<BTreeSet<u64>>()
    };
    while !vote(&world, others).await {
        tokio::time::sleep(AGAIN * 4).await;
    }
    activate(&world, fresh).await;
    let remove = ClusterCommand::RemoveNode { node: lost };
    // Refused, it was made by a try whose answer was lost.
    drop(agree(&world, |_| person(), remove.into()).await);
    world.note(format_args!("node {fresh} has replaced node {lost}"));
    world.count_replaced();
}

/// One more node comes for good; another one may be emptied then, and leave.
pub(super) async fn come_and_go(world: World) {
    world.set_changing(Some("a node is to come".to_owned()));
    change_members(&world).await;
    world.set_changing(None);
}

async fn change_members(world: &World) {
    let mut chance = world.chance("members");
    tokio::time::sleep(Duration::from_millis(chance.between(100, 2500))).await;
    let before = world.members();
    let fresh = join(world, chance.pick(&SITES).unwrap_or(SITES[0])).await;
    activate(world, fresh).await;
    world.note(format_args!("node {fresh} has come"));
    let Some(leaving) = chance.pick(&before).filter(|_| chance.percent(70)) else { return };
    let drain = ClusterCommand::DrainNode { node: leaving, draining: true };
    // Refused, it is none any more: it was lost meanwhile, and replaced.
    if agree(world, |_| person(), drain.into()).await.is_err() {
        return;
    }
    world.set_changing(Some(format!("node {leaving} is to get empty")));
    while !is_empty(world, leaving).await {
        tokio::time::sleep(AGAIN * 4).await;
    }
    // The new one may be lost meanwhile, and replaced.
    let others = |voters: BTreeSet<u64>| {
        let comes = world.members().contains(&fresh).then_some(fresh.0);
        voters.into_iter().filter(|id| *id != leaving.0).chain(comes).collect::<BTreeSet<u64>>()
    };
    world.set_changing(Some(format!("node {fresh} is to vote in the place of node {leaving}")));
    while !vote(world, others).await {
        tokio::time::sleep(AGAIN * 4).await;
    }
    world.set_changing(Some(format!("node {leaving} is to leave")));
    let removed = agree(world, |_| person(), ClusterCommand::RemoveNode { node: leaving }.into()).await;
    // Refused the second time, it was removed by the first, whose answer was lost.
    if removed.is_ok() || is_removed(world, leaving).await {
        super::oracle::remember(world, leaving).await;
        world.retire(leaving);
    }
}

/// Whether a node belongs to the cluster no more.
async fn is_removed(world: &World, node: NodeId) -> bool {
    loop {
        if let Some(leader) = leader(world)
            && let Ok(state) = leader.linearizable().await
        {
            return state.node(node).is_none();
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether nobody counts on a copy of a node any more. What is being written does not move; an upload comes to its end, and
/// of what the other clients create no byte is ever written.
async fn is_empty(world: &World, node: NodeId) -> bool {
    let Some(leader) = leader(world) else { return false };
    let Ok(state) = leader.linearizable().await else { return false };
    let moves = |asset: &AssetId| {
        let record = state.asset(*asset);
        is_upload(*asset) || record.is_some_and(|asset| asset.blobs.iter().all(|blob| blob.sealed.is_some()))
    };
    let assets = state.assets_after(None, 1000);
    assets.into_iter().filter(moves).all(|asset| !state.holders(asset).contains(node))
}

/// A new node at `site`, up and learning.
async fn join(world: &World, site: &'static str) -> NodeId {
    let fresh = admit(world, site).await;
    world.seat(fresh, site);
    world.start(fresh).await;
    loop {
        if let Some(leader) = leader(world) {
            let learner = leader.raft.add_learner(fresh.0, EmptyNode::default(), true);
            if matches!(tokio::time::timeout(STEP_WITHIN, learner).await, Ok(Ok(_))) {
                return fresh;
            }
        }
        tokio::time::sleep(AGAIN * 4).await;
    }
}

/// One attempt at new voters.
async fn vote(world: &World, wanted: impl Fn(BTreeSet<u64>) -> BTreeSet<u64>) -> bool {
    let Some(leader) = leader(world) else { return false };
    let voters = metrics::now(&leader.raft).membership_config.voter_ids().collect();
    let change = leader.raft.change_membership(wanted(voters), false);
    matches!(tokio::time::timeout(STEP_WITHIN, change).await, Ok(Ok(_)))
}

async fn activate(world: &World, node: NodeId) {
    if let Err(refusal) = agree(world, Actor::system, ClusterCommand::ActivateNode { node }.into()).await {
        world.violation(format_args!("node {node} is not taken: {refusal}"));
    }
}

/// Admits a node that is to stand at `site`, and gives its number. A token that is over by the clock of another leader is
/// followed by a new one.
async fn admit(world: &World, site: &str) -> NodeId {
    loop {
        let Some(leader) = leader(world) else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let number = world.next_token();
        let secret_hash = SecretHash([number; 32]);
        let expires_ms = leader.shown.time.now_ms() + TOKEN_MS;
        let token = ClusterCommand::CreateJoinToken { secret_hash, expires_ms };
        // Made twice, it is refused the second time.
        drop(agree(world, |_| person(), token.into()).await);
        let node = NewNode {
            name: format!("node {number}"),
            site: site.to_owned(),
            public_key: [number; 32],
            certificate_key: [number; 32],
            cluster_address: format!("node-{number}:7443"),
            public_address: format!("node-{number}:443"),
        };
        let admit = ClusterCommand::AdmitNode { secret_hash, node, sealed: vec![(1, vec![7; 80])] };
        match agree(world, Actor::system, admit.into()).await {
            Ok(Outcome::Node(id)) => return id,
            other => world.note(format_args!("a node was not admitted: {other:?}")),
        }
    }
}

/// Puts a change to whoever leads until it is made or refused.
async fn agree(world: &World, actor: impl Fn(NodeId) -> Actor, command: Command) -> Result<Outcome, Refusal> {
    loop {
        if let Some(leader) = leader(world) {
            match leader.propose(actor(leader.id), command.clone(), None).await {
                Ok(outcome) => return Ok(outcome),
                Err(ProposeError::Refused(refusal)) => return Err(refusal),
                Err(_) => {}
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
