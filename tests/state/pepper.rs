//! Stories of the pepper: it comes once, never becomes another, and follows the cluster key.

use cluster::command::{ClusterCommand, Command, KeyHolder, SealedSecret};
use cluster::event::Event;
use cluster::refusal::{Needs, Problem, Refusal};

use crate::world::*;

fn set(sealed: u8, key_epoch: u32) -> ClusterCommand {
    ClusterCommand::SetPepper { sealed: vec![sealed; 60], key_epoch }
}

fn rotate(epoch: u32) -> ClusterCommand {
    let sealed = sealed_for(&[KeyHolder::Node(NODE), KeyHolder::Recovery]);
    ClusterCommand::RotateClusterKey { epoch, sealed }
}

fn pepper(sealed: u8, key_epoch: u32) -> SealedSecret {
    SealedSecret { key_epoch, sealed: vec![sealed; 60] }
}

fn kept(world: &World) -> Vec<u32> {
    world.state.sealed_keys().map(|(epoch, _)| epoch).collect()
}

#[test]
fn it_is_set_once_and_only_the_same_sealed_anew_takes_its_place() {
    let mut world = World::claimed();
    assert_eq!(world.state.pepper(), None);
    world.ok(&node(), set(1, 1));
    assert_eq!(world.state.pepper(), Some(&pepper(1, 1)));
    assert!(world.events.contains(&Event::ClusterChanged));
    assert_eq!(world.records.last().unwrap().action, "cluster.set_pepper");

    // Another leader made its own at the same time: the hashes that were made meanwhile are by the first.
    assert_eq!(world.refused(&node(), set(2, 1)), Refusal::AlreadyInitialised);
    assert_eq!(world.state.pepper(), Some(&pepper(1, 1)));

    world.ok(&owner(), rotate(2));
    assert_eq!(world.refused(&node(), set(3, 1)), Refusal::StaleKeyEpoch { current: 2 });
    world.ok(&node(), set(3, 2));
    assert_eq!(world.state.pepper(), Some(&pepper(3, 2)));
    assert_eq!(world.refused(&node(), set(4, 2)), Refusal::AlreadyInitialised);
}

#[test]
fn the_cluster_key_it_lies_under_is_kept_until_it_is_sealed_anew() {
    let mut world = World::claimed();
    world.ok(&node(), set(1, 1));
    world.ok(&owner(), rotate(2));
    world.ok(&owner(), rotate(3));
    assert_eq!(kept(&world), [1, 2, 3]);
    world.ok(&node(), set(2, 3));
    assert_eq!(kept(&world), [3]);
}

#[test]
fn a_node_sets_it_and_nobody_else_and_it_is_bounded() {
    let mut world = World::claimed();
    assert_eq!(world.refused(&owner(), set(1, 1)), Refusal::Forbidden { needs: Needs::Node });
    for (length, problem) in [(0, Problem::Empty), (513, Problem::OutOfRange)] {
        let command = ClusterCommand::SetPepper { sealed: vec![1; length], key_epoch: 1 };
        assert_eq!(world.refused(&node(), command), Refusal::invalid("sealed", problem));
    }
    assert_eq!(world.refused(&node(), set(1, 2)), Refusal::StaleKeyEpoch { current: 1 });
    assert_eq!(world.state.pepper(), None);
    assert_eq!(Command::from(set(1, 1)).level(), 2, "no node that is older may meet it");
}
