//! A change that is sent again is answered again, and made once.

use cluster::command::{AccessCommand, ClusterCommand, Command, Incarnation};
use cluster::entry::{Entry, Request};
use cluster::id::NodeId;
use cluster::outcome::Outcome;
use cluster::refusal::{Noun, Refusal};
use cluster::state::Applied;

use crate::world::*;

const LIFE: Incarnation = Incarnation { count: 3, instance: [8; 16] };

fn request(number: u64, settled: u64) -> Request {
    Request { node: NODE, life: LIFE, number, settled }
}

fn new_application(number: u8, name: &str) -> Command {
    AccessCommand::CreateApplication { application: app_id(number), name: name.to_owned() }.into()
}

/// Applies `command` as `request` without the checks that hold for what is new.
fn send(world: &mut World, request: Request, command: Command) -> Applied {
    world.index += 1;
    let entry = Entry { time_ms: world.now_ms, actor: owner(), command, request: Some(request) };
    world.state.apply(world.index, &entry)
}

#[test]
fn what_is_sent_again_is_answered_as_it_was_and_changes_nothing() {
    let mut world = World::claimed();
    let first = send(&mut world, request(1, 1), new_application(2, "Films"));
    assert_eq!(first.outcome, Ok(Outcome::Done));
    let taken = send(&mut world, request(2, 1), new_application(3, "Films"));
    assert_eq!(taken.outcome, Err(Refusal::NameTaken(Noun::Application)));

    let before = world.state.clone();
    world.later(5_000);
    for (number, name, outcome) in [(1, "Films", first.outcome), (2, "Films", taken.outcome)] {
        let again = send(&mut world, request(number, 1), new_application(9, name));
        assert_eq!(again, Applied { outcome, events: Vec::new(), audit: None });
    }
    assert!(world.state.same_records(&before));
    assert_eq!(world.state.chain_head(), before.chain_head(), "it is on record once");
    assert_eq!(world.state.time_ms(), before.time_ms());
}

#[test]
fn an_answer_is_kept_until_its_node_says_that_nobody_waits_for_it() {
    let mut world = World::claimed();
    for number in 11..=15 {
        let request = request(u64::from(number) - 10, 1);
        let made = send(&mut world, request, new_application(number, &number.to_string()));
        assert_eq!(made.outcome, Ok(Outcome::Done));
    }
    assert_eq!(world.state.answers_kept(), 5);
    send(&mut world, request(6, 4), new_application(30, "six"));
    assert_eq!(world.state.answers_kept(), 3, "4, 5 and 6");
    // One that comes after its time is not made after all.
    let late = send(&mut world, request(3, 1), new_application(31, "late"));
    assert_eq!((late.outcome, late.audit), (Err(Refusal::RequestOver), None));
    assert!(world.state.application(app_id(31)).is_none());
    let waited_for = send(&mut world, request(4, 4), new_application(32, "four"));
    assert_eq!(waited_for.outcome, Ok(Outcome::Done));
    assert!(world.state.application(app_id(32)).is_none());
}

#[test]
fn a_new_life_of_a_node_begins_anew_and_an_old_one_is_over() {
    let mut world = World::claimed();
    send(&mut world, request(7, 7), new_application(2, "in the first life"));
    let next = Request { life: Incarnation { count: 4, instance: [1; 16] }, ..request(1, 1) };
    let made = send(&mut world, next, new_application(3, "in the second"));
    assert_eq!(made.outcome, Ok(Outcome::Done));
    let old = send(&mut world, request(8, 8), new_application(4, "from the first, late"));
    assert_eq!(old.outcome, Err(Refusal::RequestOver));
    // A node alone does not count its starts; a new one is told apart by its random part.
    let lone =
        |instance| Request { life: Incarnation { count: 4, instance: [instance; 16] }, ..request(1, 1) };
    let made = send(&mut world, lone(2), new_application(5, "in the third"));
    assert_eq!(made.outcome, Ok(Outcome::Done));
    assert!(world.state.application(app_id(5)).is_some());
}

#[test]
fn nothing_is_kept_for_whoever_is_no_node() {
    let mut world = World::claimed();
    let stranger = Request { node: NodeId(77), ..request(1, 1) };
    send(&mut world, stranger, new_application(2, "once"));
    assert_eq!(world.state.answers_kept(), 0);
    send(&mut world, request(1, 1), new_application(3, "twice"));
    let last = send(&mut world, request(2, 1), ClusterCommand::RemoveNode { node: NODE }.into());
    assert_eq!(last.outcome, Err(Refusal::LastNode));
    assert_eq!(world.state.answers_kept(), 2);
}

#[test]
fn answers_are_part_of_what_every_node_holds() {
    let mut world = World::claimed();
    send(&mut world, request(1, 1), new_application(2, "Films"));
    let bytes = postcard::to_allocvec(&world.state).unwrap();
    let mut again: cluster::state::State = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(again, world.state);
    let entry = Entry {
        time_ms: world.now_ms,
        actor: owner(),
        command: new_application(9, "x"),
        request: Some(request(1, 1)),
    };
    assert_eq!(again.apply(world.index + 1, &entry).outcome, Ok(Outcome::Done));
}
