//! Edges: how one joins and goes, what is kept warm, and what must be forgotten.

use cluster::command::{AssetCommand, AssetPatch, EdgeCommand, Incarnation, Selection};
use cluster::id::NodeId;
use cluster::outcome::Outcome;
use cluster::refusal::{Noun, Problem, Refusal};
use cluster::state::Limits;

use crate::world::*;

fn joined(world: &mut World) -> NodeId {
    world.ok(&owner(), edge_token(70));
    let Outcome::Node(edge) = world.ok(&node(), admit_edge(70, "near")) else { panic!("no id") };
    edge
}

#[test]
fn a_token_lets_one_edge_in_once_and_its_number_never_comes_back() {
    let mut world = World::claimed();
    let edge = joined(&mut world);
    assert_eq!(world.ok(&node(), admit_edge(70, "near")), Outcome::Node(edge), "the same asks again");
    let other = EdgeCommand::Admit { secret_hash: secret(70), edge: other_edge() };
    assert_eq!(world.apply(&node(), other).outcome, Err(Refusal::JoinTokenUsed));
    assert_eq!(world.apply(&node(), admit_edge(71, "x")).outcome, Err(Refusal::JoinTokenUnknown));
    // A token for a node lets no edge in, and the other way round.
    world.ok(&owner(), join_token(72));
    assert_eq!(world.apply(&node(), admit_edge(72, "x")).outcome, Err(Refusal::JoinTokenUnknown));
    world.ok(&owner(), edge_token(73));
    assert_eq!(world.apply(&node(), admit(73, "x", "s1")).outcome, Err(Refusal::JoinTokenUnknown));

    assert!(world.state.node(edge).is_none(), "an edge is no node");
    assert!(!world.state.is_removed_edge(edge));
    world.ok(&owner(), EdgeCommand::Remove { edge });
    assert!(world.state.is_removed_edge(edge));
    let gone = world.apply(&owner(), EdgeCommand::Remove { edge }).outcome;
    assert_eq!(gone, Err(Refusal::NotFound(Noun::Edge)));
    let report = report(edge, 1);
    assert_eq!(world.apply(&node(), report).outcome, Err(Refusal::NotFound(Noun::Edge)));
}

fn other_edge() -> cluster::command::NewEdge {
    let EdgeCommand::Admit { edge, .. } = admit_edge(99, "other") else { unreachable!() };
    edge
}

fn report(edge: NodeId, count: u64) -> EdgeCommand {
    EdgeCommand::Report {
        edge,
        public_address: "edge.example:8443".into(),
        version: "0.1.0".into(),
        incarnation: Incarnation { count, instance: [1; 16] },
    }
}

/// Viewers are sent there, and the authority vouches for it: whoever takes an edge over must not choose it.
#[test]
fn an_edge_keeps_the_host_it_joined_with() {
    let mut world = World::claimed();
    let edge = joined(&mut world);
    let at = |address: &str, count| {
        let EdgeCommand::Report { version, incarnation, .. } = report(edge, count) else { unreachable!() };
        EdgeCommand::Report { edge, public_address: address.to_owned(), version, incarnation }
    };
    world.ok(&node(), at("EDGE.example.:9443", 1));
    for other in ["media.example:8443", "edge.example.evil.example:8443", "10.0.0.1:8443", "[::1]:8443", ""] {
        let refused = world.apply(&node(), at(other, 2)).outcome;
        let settled = Refusal::invalid("public_address", Problem::Settled);
        assert_eq!(refused, Err(settled), "{other}");
    }
    assert_eq!(world.state.edge(edge).unwrap().public_address, "EDGE.example.:9443");
}

#[test]
fn an_older_start_of_an_edge_is_refused() {
    let mut world = World::claimed();
    let edge = joined(&mut world);
    world.ok(&node(), report(edge, 2));
    assert_eq!(world.apply(&node(), report(edge, 1)).outcome, Err(Refusal::StaleIncarnation));
    assert_eq!(world.state.edge(edge).unwrap().public_address, "edge.example:8443");
}

#[test]
fn what_is_warm_is_what_matches_now() {
    let mut world = World::claimed();
    let edge = joined(&mut world);
    let (one, other) = (world.published(1), world.published(2));
    let tag = |asset| {
        let tags = Some(vec!["news".to_owned()]);
        describe(asset, AssetPatch { tags, ..AssetPatch::default() })
    };
    let selection = Selection::Tag { application: APP, tag: "news".into() };
    world.ok(&owner(), EdgeCommand::Warm { warm: warm_id(1), edge, selection });
    let warm = |world: &World| -> Vec<_> {
        let kept = world.state.warm(warm_id(1)).unwrap().clone();
        world.state.warm_assets(&kept).map(|asset| asset.id).collect()
    };
    assert_eq!(warm(&world), []);
    world.ok(&owner(), tag(one));
    world.ok(&owner(), tag(other));
    assert_eq!(warm(&world), [one, other]);
    world.ok(&owner(), AssetCommand::Trash { asset: one });
    assert_eq!(warm(&world), [other]);
    let asset = world.state.asset(other).unwrap();
    assert!(world.state.is_warm_at(edge, asset) && !world.state.is_warm_at(NodeId(1), asset));
    world.ok(&owner(), EdgeCommand::Remove { edge });
    assert!(world.state.warm(warm_id(1)).is_none(), "it goes with its edge");
}

#[test]
fn what_was_fetched_before_a_purge_is_forgotten_and_what_came_after_is_kept() {
    let mut world = World::claimed();
    let (one, other) = (world.published(1), world.published(2));
    let before = world.state.last_applied();
    world.ok(&owner(), EdgeCommand::Purge { selection: Selection::Asset(one) });
    let after = world.state.last_applied();
    assert!(!world.state.may_keep_at_edge(one, before));
    assert!(world.state.may_keep_at_edge(one, after), "fetched once it was in force");
    assert!(world.state.may_keep_at_edge(other, before));
    world.ok(&owner(), AssetCommand::Trash { asset: other });
    assert!(!world.state.may_keep_at_edge(other, u64::MAX), "the trash is not served");
    assert!(!world.state.may_keep_at_edge(asset_id(200), u64::MAX), "nor is what never was");
    // Purges are kept for a while; whoever was away for longer forgets all.
    for number in 0..=Limits::EDGE_PURGES {
        let tag = format!("tag {number}");
        let selection = Selection::Tag { application: APP, tag };
        world.ok(&owner(), EdgeCommand::Purge { selection });
    }
    assert!(!world.state.may_keep_at_edge(one, after));
    assert!(world.state.may_keep_at_edge(one, world.state.last_applied()));
}
