//! Who holds an asset: chosen when it is made, moved without ever being one copy short.

use cluster::command::{AssetCommand, BlobKind, ClusterCommand};
use cluster::id::{AssetId, NodeId};
use cluster::outcome::Outcome;
use cluster::refusal::Refusal;

use crate::world::*;

/// The first node at its site, and others that joined at s2, s3, ... and take part.
pub fn cluster_of(nodes: u8) -> (World, Vec<NodeId>) {
    let mut world = World::claimed();
    let mut ids = vec![NODE];
    for number in 2..=nodes {
        world.ok(&owner(), join_token(number));
        let Outcome::Node(id) =
            world.ok(&node(), admit(number, &format!("node {number}"), &format!("s{number}")))
        else {
            panic!("a node id")
        };
        world.ok(&node(), ClusterCommand::ActivateNode { node: id });
        ids.push(id);
    }
    (world, ids)
}

pub fn held(world: &World, asset: AssetId) -> Vec<NodeId> {
    let mut held: Vec<NodeId> = world.state.holders(asset).iter().collect();
    held.sort_unstable();
    held
}

fn generation(world: &World, asset: AssetId) -> u32 {
    world.state.holders(asset).generation()
}

#[test]
fn an_asset_is_held_by_as_many_nodes_as_there_are_up_to_three() {
    for nodes in 1..=5 {
        let (mut world, ids) = cluster_of(nodes);
        for number in 30..50 {
            let asset = world.asset(number);
            let held = held(&world, asset);
            assert_eq!(held.len(), usize::from(nodes.min(3)));
            assert!(held.iter().all(|node| ids.contains(node)));
            assert!(!world.state.is_under_protected(asset));
        }
    }
}

#[test]
fn what_was_made_on_the_first_node_is_held_by_it_and_under_protected_once_there_are_more() {
    let mut world = World::claimed();
    let asset = world.ready(9);
    assert_eq!(held(&world, asset), [NODE]);
    assert!(!world.state.is_under_protected(asset), "one copy is all one node can have");
    world.ok(&owner(), join_token(2));
    let Outcome::Node(second) = world.ok(&node(), admit(2, "second", "s2")) else { panic!("a node id") };
    assert!(!world.state.is_under_protected(asset), "a node that is not caught up holds nothing");
    let early = AssetCommand::AddHolder { asset, node: second, generation: 0 };
    assert_eq!(world.refused(&node(), early.clone()), Refusal::NodeNotActive);
    world.ok(&node(), ClusterCommand::ActivateNode { node: second });
    assert!(world.state.is_under_protected(asset));
    world.ok(&node(), early);
    assert_eq!(held(&world, asset), [NODE, second]);
    assert!(!world.state.is_under_protected(asset));
}

#[test]
fn the_proposer_may_choose_as_long_as_nothing_is_sealed() {
    let (mut world, ids) = cluster_of(4);
    let asset = world.asset(9);
    let holders = vec![ids[3], ids[0]];
    world.ok(&node(), AssetCommand::Place { asset, holders: holders.clone() });
    assert_eq!(world.state.holders(asset).iter().collect::<Vec<_>>(), holders);
    let unknown = AssetCommand::Place { asset, holders: vec![NodeId(9_999)] };
    assert!(matches!(world.refused(&node(), unknown), Refusal::NotFound(_)));
    let twice = AssetCommand::Place { asset, holders: vec![NODE, NODE] };
    assert!(matches!(world.refused(&node(), twice), Refusal::Invalid { .. }));
    world.finish_upload(asset);
    let late = AssetCommand::Place { asset, holders: vec![NODE] };
    assert_eq!(world.refused(&node(), late), Refusal::AssetState);
}

#[test]
fn no_change_leaves_fewer_copies_than_there_are_to_be() {
    let (mut world, ids) = cluster_of(4);
    let asset = world.ready(9);
    let before = held(&world, asset);
    assert_eq!(before.len(), 3);
    let fourth = ids.iter().copied().find(|node| !before.contains(node)).unwrap();
    let drop =
        |world: &World, node| AssetCommand::DropHolder { asset, node, generation: generation(world, asset) };
    let command = drop(&world, before[0]);
    assert_eq!(world.refused(&node(), command), Refusal::TooFewCopies);
    let generation_before = generation(&world, asset);
    world.ok(&node(), AssetCommand::AddHolder { asset, node: fourth, generation: generation_before });
    let stale = AssetCommand::DropHolder { asset, node: before[0], generation: generation_before };
    assert_eq!(world.refused(&node(), stale), Refusal::HoldersChanged);
    let command = drop(&world, before[0]);
    world.ok(&node(), command);
    let now = generation(&world, asset);
    let back = AssetCommand::ReplaceHolder { asset, old: fourth, new: before[0], generation: now };
    world.ok(&node(), back);
    assert_eq!(held(&world, asset), before);
}

#[test]
fn the_last_node_of_a_site_can_be_emptied() {
    let mut world = World::claimed();
    let mut ids = vec![NODE];
    for (number, site) in [(2, "s2"), (3, "s3"), (4, "s3")] {
        world.ok(&owner(), join_token(number));
        let Outcome::Node(id) = world.ok(&node(), admit(number, &format!("node {number}"), site)) else {
            panic!("a node id")
        };
        world.ok(&node(), ClusterCommand::ActivateNode { node: id });
        ids.push(id);
    }
    let asset = world.ready(9);
    let before = held(&world, asset);
    assert!(before.contains(&NODE) && before.contains(&ids[1]), "one copy at each site: {before:?}");
    let fourth = ids.iter().copied().find(|node| !before.contains(node)).unwrap();
    let replace = |world: &World| {
        let generation = generation(world, asset);
        AssetCommand::ReplaceHolder { asset, old: ids[1], new: fourth, generation }
    };
    let command = replace(&world);
    assert_eq!(world.refused(&node(), command), Refusal::TooFewCopies, "not while its site takes part");
    world.ok(&owner(), ClusterCommand::DrainNode { node: ids[1], draining: true });
    let command = replace(&world);
    world.ok(&node(), command);
    assert!(!world.state.is_under_protected(asset), "as good as two sites can have it");
}

#[test]
fn a_copy_on_a_removed_node_counts_no_more_and_is_replaced() {
    let (mut world, ids) = cluster_of(4);
    let asset = world.ready(9);
    let before = held(&world, asset);
    let lost = before.iter().copied().find(|node| *node != NODE).unwrap();
    let fourth = ids.iter().copied().find(|node| !before.contains(node)).unwrap();
    world.ok(&owner(), ClusterCommand::RemoveNode { node: lost });
    assert!(world.state.is_under_protected(asset));
    let now = generation(&world, asset);
    world.ok(&node(), AssetCommand::ReplaceHolder { asset, old: lost, new: fourth, generation: now });
    assert!(!world.state.is_under_protected(asset));
}

#[test]
fn an_asset_that_is_written_to_does_not_move() {
    let (mut world, ids) = cluster_of(4);
    let asset = world.uploaded(9);
    world.ok(&node(), open(asset, blob_id(77), BlobKind::Rendition));
    let fourth = ids.iter().copied().find(|node| !held(&world, asset).contains(node)).unwrap();
    let now = generation(&world, asset);
    let moved = AssetCommand::AddHolder { asset, node: fourth, generation: now };
    assert_eq!(world.refused(&node(), moved), Refusal::BlobOpen);
}
