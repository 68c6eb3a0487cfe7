//! Stories of nodes: a token lets one node in, once; a node's id is its entry's number; removal is for good.

use cluster::actor::Actor;
use cluster::command::{AlertChannels, ClusterCommand, Incarnation, KeyHolder, Release, SiteNetwork};
use cluster::id::NodeId;
use cluster::outcome::Outcome;
use cluster::refusal::{Needs, Noun, Problem, Refusal};
use cluster::state::{NodeState, PreviousState, State};

use crate::world::*;

fn joined(world: &mut World) -> NodeId {
    world.ok(&owner(), join_token(7));
    let Outcome::Node(id) = world.ok(&node(), admit(7, "second", "s2")) else { panic!("no id") };
    id
}

fn report(node: NodeId, count: u64, instance: u8) -> ClusterCommand {
    ClusterCommand::ReportNode {
        node,
        certificate: [instance; 32],
        cluster_address: "second.example:7443".into(),
        public_address: String::new(),
        incarnation: Incarnation { count, instance: [instance; 16] },
    }
}

fn holders(world: &World) -> Vec<KeyHolder> {
    let (_, keys) = world.state.sealed_keys().next().expect("the cluster's first key epoch");
    keys.iter().map(|key| key.holder).collect()
}

#[test]
fn a_token_lets_one_node_in_and_the_id_is_the_entrys_number() {
    let mut world = World::claimed();
    let id = joined(&mut world);
    assert_eq!(id, NodeId(world.index));
    assert!(holders(&world).contains(&KeyHolder::Node(id)));
    assert_eq!(world.state.node(id).unwrap().state, NodeState::Joining);

    // The answer was lost: the same node asks again, and is told the same.
    assert_eq!(world.ok(&node(), admit(7, "second", "s2")), Outcome::Node(id));
    let other = match admit(7, "third", "s3") {
        ClusterCommand::AdmitNode { secret_hash, mut node, sealed } => {
            node.public_key = [9; 32];
            ClusterCommand::AdmitNode { secret_hash, node, sealed }
        }
        _ => unreachable!(),
    };
    assert_eq!(world.refused(&node(), other), Refusal::JoinTokenUsed);
    assert_eq!(world.refused(&node(), admit(8, "third", "s3")), Refusal::JoinTokenUnknown);
    world.ok(&node(), ClusterCommand::ActivateNode { node: id });
    assert_eq!(world.state.node(id).unwrap().state, NodeState::Active);
}

#[test]
fn two_nodes_in_one_record_of_the_log_do_not_become_one() {
    let mut world = World::claimed();
    world.ok(&owner(), join_token(2));
    world.ok(&owner(), join_token(3));
    let Outcome::Node(first) = world.ok(&node(), admit(2, "second", "s2")) else { panic!("a node id") };
    world.index -= 1;
    assert_eq!(world.refused(&node(), admit(3, "third", "s3")), Refusal::DuplicateId(Noun::Node));
    assert_eq!(world.state.node(first).unwrap().name, "second");
    let Outcome::Node(other) = world.ok(&node(), admit(3, "third", "s3")) else { panic!("a node id") };
    assert_ne!(other, first, "and its token is as good as before");
}

#[test]
fn a_token_ends_and_lasts_an_hour_at_most() {
    let mut world = World::claimed();
    world.ok(&owner(), join_token(7));
    world.later(30 * 60 * 1000);
    assert_eq!(world.refused(&node(), admit(7, "second", "s2")), Refusal::JoinTokenExpired);
    let long =
        ClusterCommand::CreateJoinToken { secret_hash: secret(8), expires_ms: world.now_ms + HOUR + 1 };
    assert_eq!(world.refused(&owner(), long), Refusal::invalid("expires_ms", Problem::OutOfRange));
    let by_nobody = world.refused(&anonymous(), join_token(9));
    assert_eq!(by_nobody, Refusal::NotSignedIn);
}

#[test]
fn a_node_is_admitted_with_every_cluster_key_or_not_at_all() {
    let mut world = World::claimed();
    world.ok(&owner(), join_token(7));
    let everybody = [KeyHolder::Node(NODE), KeyHolder::Recovery];
    world.asset(9);
    world.ok(&owner(), ClusterCommand::RotateClusterKey { epoch: 2, sealed: sealed_for(&everybody) });
    assert_eq!(
        world.refused(&node(), admit(7, "second", "s2")),
        Refusal::StaleKeyEpoch { current: 2 },
        "sealed before the rotation"
    );
}

#[test]
fn an_old_or_second_start_of_a_node_is_refused() {
    let mut world = World::claimed();
    let id = joined(&mut world);
    let itself = Actor::system(id);
    world.ok(&itself, report(id, 3, 1));
    world.ok(&itself, report(id, 3, 1));
    assert_eq!(world.refused(&itself, report(id, 3, 2)), Refusal::StaleIncarnation, "a copy");
    assert_eq!(world.refused(&itself, report(id, 2, 1)), Refusal::StaleIncarnation, "an old disk");
    world.ok(&itself, report(id, 4, 2));
    let by_another = world.refused(&node(), report(id, 5, 3));
    assert_eq!(by_another, Refusal::Forbidden { needs: Needs::Node });
}

#[test]
fn a_removed_node_is_nobody_and_the_last_one_stays() {
    let mut world = World::claimed();
    assert_eq!(world.refused(&owner(), ClusterCommand::RemoveNode { node: NODE }), Refusal::LastNode);
    let id = joined(&mut world);
    assert_eq!(
        world.refused(&owner(), ClusterCommand::DrainNode { node: NODE, draining: true }),
        Refusal::LastNode,
        "one that joins cannot carry the cluster yet"
    );
    assert!(!world.state.is_removed(id) && !world.state.is_removed(NodeId(world.index + 1)));
    world.ok(&owner(), ClusterCommand::RemoveNode { node: id });
    assert!(world.state.is_removed(id));
    assert!(!holders(&world).contains(&KeyHolder::Node(id)));
    let after = world.refused(&Actor::system(id), report(id, 9, 9));
    assert_eq!(after, Refusal::Forbidden { needs: Needs::Node });
    assert_eq!(
        world.refused(&owner(), ClusterCommand::RemoveNode { node: id }),
        Refusal::NotFound(Noun::Node)
    );
    assert_eq!(world.refused(&node(), admit(7, "second", "s2")), Refusal::JoinTokenUsed);
}

#[test]
fn the_authority_stays_and_its_key_moves_with_the_cluster_key() {
    let mut world = World::claimed();
    let set = |certificate: u8, key_epoch| ClusterCommand::SetAuthority {
        certificate: vec![certificate; 40],
        sealed_key: vec![8; 60],
        key_epoch,
    };
    world.ok(&node(), set(1, 1));
    assert_eq!(world.refused(&node(), set(2, 1)), Refusal::AlreadyInitialised);
    let everybody = [KeyHolder::Node(NODE), KeyHolder::Recovery];
    world.ok(&owner(), ClusterCommand::RotateClusterKey { epoch: 2, sealed: sealed_for(&everybody) });
    let kept = |world: &World| world.state.sealed_keys().map(|(epoch, _)| epoch).collect::<Vec<_>>();
    assert_eq!(kept(&world), [1, 2], "the authority's key still lies under the first");
    assert_eq!(world.refused(&node(), set(1, 1)), Refusal::StaleKeyEpoch { current: 2 });
    world.ok(&node(), set(1, 2));
    assert_eq!(kept(&world), [2]);
}

/// The bytes are those of version 2, as they were blessed then.
#[test]
fn a_state_of_version_2_is_carried_over() {
    let text = include_str!("../blessed/state_version_2.txt");
    let digits: String = text.lines().skip(1).collect();
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let state = State::from(postcard::from_bytes::<PreviousState>(&bytes).unwrap());
    assert_eq!(state.node(NODE).unwrap().name, "first");
    assert!(state.is_claimed() && state.indexes_agree());
    assert_eq!(state.assets_by_id(None).count(), 8);
    assert_eq!(state.answers_kept(), 0);
    assert_eq!((state.alerts().count(), state.alert_channels()), (0, &AlertChannels::default()));
}

#[test]
fn a_site_map_names_networks_once_and_wholly() {
    let mut world = World::claimed();
    let entry = |network: &str, site: &str| SiteNetwork {
        network: network.parse().unwrap(),
        site: site.into(),
        round_trip_ms: None,
    };
    let set = |networks: &[SiteNetwork]| ClusterCommand::SetSiteMap { networks: networks.to_vec() };
    let (ten, half) = (entry("10.0.0.0/8", "s2"), entry("10.128.0.0/9", " s3 "));
    world.ok(&owner(), set(&[half, ten.clone()]));
    let map = world.state.site_map().clone();
    assert_eq!(map.iter().map(|entry| entry.site.as_str()).collect::<Vec<_>>(), ["s2", "s3"]);
    for (wrong, field) in [
        (vec![entry("10.1.2.3/8", "s2")], "network"),
        (vec![entry("10.0.0.0/8", "  ")], "site"),
        (vec![ten.clone(), ten.clone()], "networks"),
        (vec![ten.clone(); 1_001], "networks"),
    ] {
        let Refusal::Invalid { field: named, .. } = world.refused(&owner(), set(&wrong)) else { panic!() };
        assert_eq!(named, field);
    }
    assert_eq!(world.state.site_map(), &map, "what is refused changes nothing");
    world.ok(&owner(), set(&[]));
    assert!(world.state.site_map().is_empty());
}

#[test]
fn the_cluster_understands_what_its_oldest_node_understands() {
    let mut world = World::claimed();
    world.ok(&owner(), join_token(7));
    let Outcome::Node(second) = world.ok(&node(), admit(7, "second", "s2")) else { panic!("no id") };
    let report = |node, level| ClusterCommand::ReportRelease {
        node,
        release: Release { version: format!("0.{level}.0"), level },
    };
    world.ok(&node(), report(NODE, 3));
    assert_eq!(world.state.level(), 0, "the second has said nothing");
    let as_second = Actor::system(second);
    world.ok(&as_second, report(second, 2));
    assert_eq!((world.state.level(), world.state.release(second).unwrap().version.as_str()), (2, "0.2.0"));
    world.refused(&as_second, report(NODE, 1));
    world.ok(&node(), ClusterCommand::ActivateNode { node: second });
    world.ok(&owner(), ClusterCommand::RemoveNode { node: second });
    assert_eq!((world.state.level(), world.state.release(second)), (3, None));
}
