//! Stories of the cluster key: rotated, rewrapped, forgotten, recovered.

use cluster::command::{ClusterCommand, KeyHolder, SealedClusterKey};
use cluster::event::Event;
use cluster::refusal::{Needs, Problem, Refusal};

use crate::world::*;

const EVERYBODY: [KeyHolder; 2] = [KeyHolder::Node(NODE), KeyHolder::Recovery];

fn rotate(epoch: u32) -> ClusterCommand {
    ClusterCommand::RotateClusterKey { epoch, sealed: sealed_for(&EVERYBODY) }
}

fn rewrap(number: u8, key_epoch: u32) -> ClusterCommand {
    ClusterCommand::RewrapAssetKey { asset: asset_id(number), wrapped_key: wrapped(0x77), key_epoch }
}

fn kept(world: &World) -> Vec<u32> {
    world.state.sealed_keys().map(|(epoch, _)| epoch).collect()
}

#[test]
fn rotation_goes_one_by_one_and_rewraps_every_asset() {
    let mut world = World::claimed();
    let (first, second) = (world.asset(9), world.asset(10));
    assert_eq!(world.refused(&owner(), rotate(1)), Refusal::StaleKeyEpoch { current: 1 });
    assert_eq!(world.refused(&owner(), rotate(3)), Refusal::StaleKeyEpoch { current: 1 });
    world.ok(&owner(), rotate(2));
    assert!(world.events.contains(&Event::ClusterKeyRotated { epoch: 2 }));
    assert_eq!(world.refused(&node(), rotate(2)), Refusal::StaleKeyEpoch { current: 2 });
    assert_eq!(world.state.assets_to_rewrap().count(), 2);
    assert_eq!(kept(&world), [1, 2], "the old key is needed until the last asset is rewrapped");

    assert_eq!(world.refused(&owner(), create_asset(11, APP, 1)), Refusal::StaleKeyEpoch { current: 2 });
    assert_eq!(world.refused(&node(), rewrap(9, 1)), Refusal::StaleKeyEpoch { current: 2 });
    assert_eq!(world.refused(&owner(), rewrap(9, 2)), Refusal::Forbidden { needs: Needs::Node });
    world.ok(&node(), rewrap(9, 2));
    assert_eq!((world.found(first).key_epoch, world.found(second).key_epoch), (2, 1));
    assert_eq!(world.found(first).wrapped_key, wrapped(0x77));
    world.ok(&node(), rewrap(10, 2));
    assert_eq!(kept(&world), [2]);
    assert_eq!(world.state.assets_to_rewrap().count(), 0);
}

#[test]
fn a_purged_asset_keeps_no_old_key_alive() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    world.ok(&node(), rotate(2));
    assert_eq!(kept(&world), [1, 2]);
    world.ok(&owner(), cluster::command::AssetCommand::AbandonUpload { asset });
    assert_eq!(kept(&world), [2]);
}

#[test]
fn a_cluster_key_is_sealed_to_everybody_and_to_nobody_else() {
    let mut world = World::claimed();
    let stranger = KeyHolder::Node(cluster::id::NodeId(7));
    for holders in [
        vec![],
        vec![KeyHolder::Recovery],
        vec![KeyHolder::Node(NODE)],
        vec![KeyHolder::Node(NODE), KeyHolder::Recovery, stranger],
        vec![KeyHolder::Node(NODE), KeyHolder::Recovery, KeyHolder::Recovery],
    ] {
        let command = ClusterCommand::RotateClusterKey { epoch: 2, sealed: sealed_for(&holders) };
        let refusal = world.refused(&owner(), command);
        assert_eq!(refusal, Refusal::invalid("sealed", Problem::Malformed), "{holders:?}");
    }
    let huge = vec![
        SealedClusterKey { holder: KeyHolder::Node(NODE), sealed: vec![0; 513] },
        SealedClusterKey { holder: KeyHolder::Recovery, sealed: vec![0; 80] },
    ];
    let refusal = world.refused(&owner(), ClusterCommand::RotateClusterKey { epoch: 2, sealed: huge });
    assert_eq!(refusal, Refusal::invalid("sealed", Problem::OutOfRange));
}

#[test]
fn a_new_recovery_key_opens_every_kept_epoch_and_must_be_confirmed() {
    let mut world = World::claimed();
    world.asset(9);
    world.ok(&owner(), ClusterCommand::ConfirmRecoveryKey);
    world.ok(&owner(), rotate(2));
    let replace = |epochs: &[u32], holder| ClusterCommand::ReplaceRecoveryKey {
        recovery_public_key: [8; 32],
        sealed: epochs
            .iter()
            .map(|epoch| (*epoch, SealedClusterKey { holder, sealed: vec![5; 80] }))
            .collect(),
    };
    let malformed = Refusal::invalid("sealed", Problem::Malformed);
    assert_eq!(world.refused(&owner(), replace(&[2], KeyHolder::Recovery)), malformed);
    assert_eq!(world.refused(&owner(), replace(&[1, 2], KeyHolder::Node(NODE))), malformed);
    assert!(world.state.cluster_info().unwrap().recovery_confirmed);
    world.ok(&owner(), replace(&[1, 2], KeyHolder::Recovery));
    let info = world.state.cluster_info().unwrap();
    assert_eq!((info.recovery_public_key, info.recovery_confirmed), ([8; 32], false));
    for (_, sealed) in world.state.sealed_keys() {
        let recovery: Vec<_> = sealed.iter().filter(|key| key.holder == KeyHolder::Recovery).collect();
        assert_eq!((sealed.len(), recovery.len(), &recovery[0].sealed), (2, 1, &vec![5; 80]));
    }
}

#[test]
fn a_recovered_node_gets_every_kept_epoch_for_its_new_key() {
    let mut world = World::claimed();
    let command = ClusterCommand::ReplaceNodeKey {
        node: NODE,
        public_key: [6; 32],
        sealed: vec![(1, SealedClusterKey { holder: KeyHolder::Node(NODE), sealed: vec![4; 80] })],
    };
    assert_eq!(world.refused(&owner(), command.clone()), Refusal::Forbidden { needs: Needs::Node });
    world.ok(&node(), command);
    assert_eq!(world.state.node(NODE).unwrap().public_key, [6; 32]);
    let (_, sealed) = world.state.sealed_keys().next().unwrap();
    assert!(sealed.iter().any(|key| key.holder == KeyHolder::Node(NODE) && key.sealed == vec![4; 80]));
}

#[test]
fn cluster_time_never_goes_backwards() {
    let mut world = World::claimed();
    world.later(DAY);
    world.asset(9);
    world.now_ms -= 2 * DAY;
    world.asset(10);
    assert_eq!(world.state.time_ms(), START + DAY);
    assert_eq!(world.found(asset_id(10)).created_ms, START + DAY);
    assert_eq!(world.records.last().unwrap().time_ms, START + DAY);
}
