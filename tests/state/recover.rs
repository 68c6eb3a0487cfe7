//! Stories of a cluster that goes on without most of its voters: the lost are none of it any more, and nothing that they may
//! have given out is given out again.

use std::collections::BTreeSet;

use cluster::actor::Actor;
use cluster::command::{AssetCommand, BlobKind, ClusterCommand, Command, KeyHolder};
use cluster::event::Event;
use cluster::id::NodeId;
use cluster::outcome::Outcome;
use cluster::refusal::{Noun, Problem, Refusal};
use cluster::state::{ENTRIES_UNHEARD, NodeState};

use crate::holders::{cluster_of, held};
use crate::world::*;

fn recover(survivor: NodeId, lost: &[NodeId]) -> ClusterCommand {
    ClusterCommand::RecoverQuorum {
        survivor,
        lost: lost.to_vec(),
        reason: "fire in two halls".into(),
        operator: "anna (uid 0)".into(),
        last_term: 7,
        last_index: 90,
    }
}

#[test]
fn the_lost_are_removed_and_it_is_on_record_who_did_it_and_why() {
    let (mut world, ids) = cluster_of(3);
    world.ok(&owner(), ClusterCommand::DrainNode { node: NODE, draining: true });
    world.ok(&Actor::system(NODE), recover(NODE, &ids[1..]));
    assert_eq!(world.state.nodes().map(|node| node.id).collect::<Vec<_>>(), [NODE]);
    assert_eq!(world.state.node(NODE).unwrap().state, NodeState::Active, "whoever is left takes part");
    assert!(ids[1..].iter().all(|id| world.state.is_removed(*id) && world.state.release(*id).is_none()));
    let (_, keys) = world.state.sealed_keys().next().unwrap();
    let holders: Vec<KeyHolder> = keys.iter().map(|key| key.holder).collect();
    assert!(holders.contains(&KeyHolder::Node(NODE)) && !holders.contains(&KeyHolder::Node(ids[1])));
    assert!(world.events.contains(&Event::ClusterChanged) && world.events.contains(&Event::StateReplaced));

    let record = world.records.last().unwrap();
    assert_eq!((record.action.as_str(), record.target.as_str()), ("cluster.recover_quorum", "node:1"));
    let said: Vec<String> = record.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let lost = format!("lost={} {}", ids[1], ids[2]);
    let wanted =
        ["last_record=90", "last_term=7", &lost, "operator=anna (uid 0)", "reason=fire in two halls"];
    assert_eq!(said, wanted);
}

#[test]
fn no_number_is_given_out_twice() {
    let (mut world, ids) = cluster_of(3);
    let before = world.state.last_applied();
    world.ok(&Actor::system(NODE), recover(NODE, &ids[1..]));
    // One that the lost ones may have let in, without this node hearing of it.
    assert!(world.state.is_removed(NodeId(before + 900)));
    world.ok(&owner(), join_token(9));
    let Outcome::Node(new) = world.ok(&node(), admit(9, "new", "s2")) else { panic!("a node id") };
    assert!(new.0 > before + ENTRIES_UNHEARD && !world.state.is_removed(new));
}

#[test]
fn writers_wait_for_nobody_who_is_lost_and_seal_under_no_epoch_of_theirs() {
    let (mut world, ids) = cluster_of(5);
    let written = world.uploaded(9);
    let blob = blob_id(77);
    world.ok(&node(), open(written, blob, BlobKind::Rendition));
    let watched = world.ready(10);
    let survivor = held(&world, written)[0];
    let lost: Vec<NodeId> = ids.iter().copied().filter(|id| *id != survivor).collect();
    let (open_before, sealed_before) = (world.found(written), world.found(watched));
    world.ok(&Actor::system(survivor), recover(survivor, &lost));
    assert_eq!(held(&world, written), [survivor]);
    let epoch = |asset: &cluster::state::Asset, blob| asset.blob(blob).map(|blob| blob.epoch);
    let now = epoch(&world.found(written), blob).unwrap();
    assert!(now > epoch(&open_before, blob).unwrap() + 1000);
    assert_eq!(world.found(watched).blobs, sealed_before.blobs, "what is sealed is not written");
    let stale = AssetCommand::SealBlob { asset: written, blob, epoch: 1, length: 1, hash: [3; 32] };
    assert_eq!(world.refused(&Actor::system(survivor), stale), Refusal::StaleBlobEpoch { current: now });
    let taken = world.ok(&Actor::system(survivor), AssetCommand::TakeOverBlob { asset: written, blob });
    assert_eq!(taken, Outcome::BlobEpoch(now + 1));
}

#[test]
fn where_no_copy_is_left_it_stays_known_where_the_copies_were() {
    let (mut world, ids) = cluster_of(5);
    let assets: Vec<_> = (30..60).map(|number| world.ready(number)).collect();
    let before: Vec<_> = assets.iter().map(|asset| held(&world, *asset)).collect();
    world.ok(&Actor::system(ids[3]), recover(ids[3], &[NODE, ids[1], ids[2]]));
    let left = BTreeSet::from([ids[3], ids[4]]);
    let (mut gone, mut fewer) = (0, 0);
    for (asset, before) in assets.into_iter().zip(before) {
        let kept: Vec<NodeId> = before.iter().copied().filter(|node| left.contains(node)).collect();
        if kept.is_empty() {
            assert_eq!(held(&world, asset), before);
            gone += 1;
        } else {
            assert_eq!(held(&world, asset), kept);
            fewer += 1;
        }
        assert_eq!(world.state.is_under_protected(asset), kept.len() < 2);
    }
    assert!(gone > 0 && fewer > 0, "{gone} and {fewer}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let (mut world, ids) = cluster_of(3);
    let malformed = Refusal::invalid("lost", Problem::Malformed);
    let me = Actor::system(NODE);
    for (lost, refusal) in [
        (vec![], malformed.clone()),
        (vec![NODE], malformed.clone()),
        (vec![ids[1], ids[1]], malformed),
        (vec![ids[1], NodeId(9_999)], Refusal::NotFound(Noun::Node)),
    ] {
        assert_eq!(world.refused(&me, recover(NODE, &lost)), refusal);
    }
    assert_eq!(world.refused(&me, recover(NodeId(9_999), &ids[1..])), Refusal::NotFound(Noun::Node));
    assert_eq!(world.state.nodes().count(), 3);
    let command = Command::from(recover(NODE, &ids[1..]));
    assert!(command.is_never_proposed() && command.level() == 1);
}
