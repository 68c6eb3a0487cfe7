//! Stories of the certificate authority: another is in force at once, the one before stays until nobody needs it, and may
//! come back until then.

use cluster::actor::Actor;
use cluster::authority::{Trusted, fingerprint};
use cluster::command::{ClusterCommand, Command, EdgeCommand, KeyHolder};
use cluster::id::NodeId;
use cluster::outcome::Outcome;
use cluster::refusal::{Needs, Noun, Problem, Refusal};

use crate::world::*;

/// Two nodes and an edge, whose authority is the first.
struct Place {
    world: World,
    second: NodeId,
    edge: NodeId,
}

impl Place {
    fn new() -> Self {
        let mut world = World::claimed();
        world.ok(&owner(), join_token(7));
        let Outcome::Node(second) = world.ok(&node(), admit(7, "second", "s2")) else { panic!("a node") };
        world.ok(&owner(), edge_token(70));
        let Outcome::Node(edge) = world.ok(&node(), admit_edge(70, "near")) else { panic!("an edge") };
        world.ok(&node(), set(1, 1));
        Self { world, second, edge }
    }

    fn waits(&self) -> Vec<NodeId> {
        self.world.state.waits_for_authority().collect()
    }

    /// What is in force and what was before, each by its number.
    fn trusts(&self) -> (u8, Option<u8>) {
        let Trusted { in_force, former, .. } = self.world.state.trusted().expect("it has listened");
        (in_force[0], former.map(|former| former[0]))
    }

    fn all_show(&mut self, authority: u8) {
        for (node, report) in [(NODE, report(NODE, authority)), (self.second, report(self.second, authority))]
        {
            self.world.ok(&Actor::system(node), report);
        }
        self.world.ok(&node(), edge_report(self.edge, authority));
    }
}

fn hash(certificate: u8) -> [u8; 32] {
    fingerprint(&[certificate; 40])
}

fn set(certificate: u8, key_epoch: u32) -> ClusterCommand {
    ClusterCommand::SetAuthority { certificate: vec![certificate; 40], sealed_key: vec![8; 60], key_epoch }
}

fn replace(before: u8, next: u8) -> ClusterCommand {
    ClusterCommand::ReplaceAuthority {
        certificate: vec![next; 40],
        sealed_key: vec![8; 60],
        key_epoch: 1,
        crossed: vec![before * 16 + next; 40],
        replaces: hash(before),
    }
}

fn abandon(authority: u8) -> ClusterCommand {
    ClusterCommand::AbandonAuthority { authority: hash(authority), crossed: vec![99; 40] }
}

fn report(node: NodeId, authority: u8) -> ClusterCommand {
    ClusterCommand::ReportAuthority { node, authority: hash(authority) }
}

fn edge_report(edge: NodeId, authority: u8) -> EdgeCommand {
    EdgeCommand::ReportAuthority { edge, authority: hash(authority) }
}

fn forget(authority: u8) -> ClusterCommand {
    ClusterCommand::DropAuthority { authority: hash(authority) }
}

#[test]
fn an_exchange_begins_once_and_by_what_is_in_force() {
    let mut bare = World::claimed();
    assert_eq!(bare.refused(&owner(), replace(1, 2)), Refusal::NotInitialised);

    let mut place = Place::new();
    let changed = |field: &str, change: &dyn Fn(&mut ClusterCommand)| {
        let mut command = replace(1, 2);
        change(&mut command);
        (field.to_owned(), command)
    };
    fn with(command: &mut ClusterCommand, change: impl Fn(&mut Vec<u8>, &mut Vec<u8>, &mut Vec<u8>)) {
        let ClusterCommand::ReplaceAuthority { certificate, sealed_key, crossed, .. } = command else {
            unreachable!()
        };
        change(certificate, sealed_key, crossed);
    }
    for (field, command) in [
        ("replaces".to_owned(), replace(3, 2)),
        ("replaces".to_owned(), replace(1, 1)),
        changed("certificate", &|command| with(command, |certificate, _, _| certificate.clear())),
        changed("certificate", &|command| with(command, |certificate, _, _| certificate.resize(4_097, 0))),
        changed("sealed_key", &|command| with(command, |_, sealed_key, _| sealed_key.clear())),
        changed("crossed", &|command| with(command, |_, _, crossed| crossed.clear())),
        changed("crossed", &|command| with(command, |_, _, crossed| crossed.resize(4_097, 0))),
    ] {
        let Refusal::Invalid { field: named, .. } = place.world.refused(&owner(), command) else {
            panic!("{field}")
        };
        assert_eq!(named, field);
    }
    let member = place.world.refused(&node(), replace(1, 2));
    assert_eq!(member, Refusal::Forbidden { needs: Needs::ClusterAdmin });
    assert_eq!(place.trusts(), (1, None), "what is refused changes nothing");

    place.world.ok(&owner(), replace(1, 2));
    assert_eq!(place.trusts(), (2, Some(1)));
    assert_eq!(place.world.refused(&owner(), replace(1, 2)), Refusal::AuthorityChanging, "sent again");
    assert_eq!(place.world.refused(&owner(), replace(2, 3)), Refusal::AuthorityChanging, "one at a time");
}

#[test]
fn the_one_before_stays_until_every_node_and_edge_has_shown_the_new_one() {
    let mut place = Place::new();
    let (second, edge) = (place.second, place.edge);
    place.world.ok(&owner(), replace(1, 2));
    assert_eq!(place.waits(), [NODE, second, edge]);
    let not_its_own = place.world.refused(&node(), report(second, 2));
    assert_eq!(not_its_own, Refusal::Forbidden { needs: Needs::Node });
    let nobody = place.world.refused(&node(), edge_report(second, 2));
    assert_eq!(nobody, Refusal::NotFound(Noun::Edge));

    let as_second = Actor::system(second);
    let steps: [(&Actor, Command, Vec<NodeId>); 5] = [
        (&node(), report(NODE, 2).into(), vec![second, edge]),
        (&as_second, report(second, 1).into(), vec![second, edge]),
        (&node(), edge_report(edge, 1).into(), vec![second, edge]),
        (&as_second, report(second, 2).into(), vec![edge]),
        (&node(), edge_report(edge, 2).into(), vec![]),
    ];
    for (actor, command, left) in steps {
        assert_eq!(place.world.refused(&node(), forget(1)), Refusal::AuthorityChanging);
        place.world.ok(actor, command);
        assert_eq!(place.waits(), left);
    }
    place.world.ok(&node(), forget(9));
    assert_eq!(place.trusts(), (2, Some(1)), "that was another one");
    let by_hand = place.world.refused(&owner(), forget(1));
    assert_eq!(by_hand, Refusal::Forbidden { needs: Needs::Node });
    place.world.ok(&node(), forget(1));
    assert_eq!(place.trusts(), (2, None));
    place.world.ok(&node(), forget(1));
    place.world.ok(&as_second, report(second, 2));
    assert_eq!(place.trusts(), (2, None), "said late, it changes nothing");
    let crossed = place.world.state.trusted().expect("it has listened").crossed;
    assert_eq!(crossed, Some(vec![18; 40]), "browsers that know the first are led on");

    // And once more.
    place.world.ok(&owner(), replace(2, 3));
    assert_eq!(place.waits(), [NODE, second, edge]);
    place.all_show(3);
    place.world.ok(&node(), forget(2));
    assert_eq!(place.trusts(), (3, None));
}

#[test]
fn who_does_not_come_back_is_waited_for_until_removed_and_who_comes_is_waited_for_too() {
    let mut place = Place::new();
    let (second, edge) = (place.second, place.edge);
    place.world.ok(&owner(), replace(1, 2));
    place.world.ok(&node(), report(NODE, 2));
    let mut long = Place { world: place.world.clone(), ..place };
    long.world.later(400 * DAY);
    assert_eq!(long.waits(), [second, edge], "however long");
    assert_eq!(long.world.refused(&node(), forget(1)), Refusal::AuthorityChanging);
    place.world.ok(&owner(), ClusterCommand::RemoveNode { node: second });
    assert_eq!(place.waits(), [edge]);
    place.world.ok(&owner(), EdgeCommand::Remove { edge });
    assert!(place.waits().is_empty());
    place.world.ok(&owner(), edge_token_now(&place.world, 71));
    let Outcome::Node(third) = place.world.ok(&node(), admit_edge(71, "far")) else { panic!("an edge") };
    assert_eq!(place.waits(), [third]);
    place.world.ok(&node(), edge_report(third, 2));
    place.world.ok(&node(), forget(1));
    assert_eq!(place.trusts(), (2, None));
}

fn edge_token_now(world: &World, number: u8) -> EdgeCommand {
    EdgeCommand::CreateToken { secret_hash: secret(number), expires_ms: world.now_ms + 60_000 }
}

#[test]
fn an_exchange_is_given_up_by_going_back_the_same_way() {
    let mut place = Place::new();
    assert_eq!(place.world.refused(&owner(), abandon(1)), Refusal::AuthoritySettled);
    place.world.ok(&owner(), replace(1, 2));
    place.world.ok(&node(), report(NODE, 2));
    let wrong = place.world.refused(&owner(), abandon(1));
    assert_eq!(wrong, Refusal::invalid("authority", Problem::Malformed), "that is not in force");
    let nothing = ClusterCommand::AbandonAuthority { authority: hash(2), crossed: Vec::new() };
    assert_eq!(place.world.refused(&owner(), nothing), Refusal::invalid("crossed", Problem::OutOfRange));
    assert_eq!(place.world.refused(&node(), abandon(2)), Refusal::Forbidden { needs: Needs::ClusterAdmin });
    place.world.ok(&owner(), abandon(2));
    assert_eq!(place.trusts(), (1, Some(2)));
    assert_eq!(place.waits(), [NODE, place.second, place.edge], "whoever went must come back");
    place.world.ok(&node(), forget(1));
    assert_eq!(place.trusts(), (1, Some(2)), "a drop that comes late drops nothing");
    assert_eq!(place.world.refused(&node(), forget(2)), Refusal::AuthorityChanging);
    place.all_show(1);
    place.world.ok(&node(), forget(2));
    assert_eq!(place.trusts(), (1, None));
    assert_eq!(place.world.refused(&owner(), abandon(1)), Refusal::AuthoritySettled);
    place.world.ok(&owner(), replace(1, 2));
    assert_eq!(place.trusts(), (2, Some(1)), "it may be begun again");
}

#[test]
fn the_key_of_the_one_before_moves_with_the_cluster_key_too() {
    let mut place = Place::new();
    place.world.ok(&owner(), replace(1, 2));
    let everybody = [KeyHolder::Node(NODE), KeyHolder::Node(place.second), KeyHolder::Recovery];
    place.world.ok(&owner(), ClusterCommand::RotateClusterKey { epoch: 2, sealed: sealed_for(&everybody) });
    let kept = |place: &Place| place.world.state.sealed_keys().map(|(epoch, _)| epoch).collect::<Vec<_>>();
    place.world.ok(&node(), set(2, 2));
    assert_eq!(kept(&place), [1, 2], "the one before still lies under the first");
    assert_eq!(place.world.refused(&node(), set(3, 2)), Refusal::AlreadyInitialised);
    place.world.ok(&node(), set(1, 2));
    assert_eq!(kept(&place), [2]);
    assert_eq!(place.trusts(), (2, Some(1)));

    let mut dropped = Place::new();
    dropped.world.ok(&owner(), replace(1, 2));
    dropped.world.ok(&owner(), ClusterCommand::RotateClusterKey { epoch: 2, sealed: sealed_for(&everybody) });
    dropped.world.ok(&node(), set(2, 2));
    dropped.all_show(2);
    dropped.world.ok(&node(), forget(1));
    assert_eq!(kept(&dropped), [2], "nothing lies under the first any more");
}
