//! Stories of Views that are counted: how many run at once, which one goes, and what comes back.

use cluster::actor::Actor;
use cluster::command::{AccessCommand, AssetCommand, Role, ViewCommand};
use cluster::id::{AssetId, ViewId};
use cluster::permission::{Watching, may_watch, view_subject};
use cluster::refusal::{Noun, Problem, Refusal};
use cluster::state::{Limits, State, Watcher};

use crate::world::*;

/// A View as its token tells of it.
fn token(world: &World, actor: &Actor, view: u8, asset: AssetId) -> Watching {
    let subject = view_subject(&world.state, actor, asset).expect("it is there");
    Watching { view: view_id(view), asset, subject, started_ms: world.now_ms }
}

fn plays(world: &World, watching: &Watching) -> Result<(), Refusal> {
    may_watch(&world.state, watching, world.now_ms)
}

fn start(world: &mut World, actor: &Actor, view: u8, asset: AssetId) -> Result<Watching, Refusal> {
    let until_ms = world.now_ms + HOUR;
    world.apply(actor, start_view(view, asset, until_ms)).outcome?;
    Ok(token(world, actor, view, asset))
}

fn running(world: &World, number: u8) -> Vec<ViewId> {
    let who = Watcher::Person(user_id(number));
    world.state.running_views(APP, who).iter().map(|view| view.id).collect()
}

/// Two at once; cleo is a viewer, and there are two films.
fn limited() -> (World, Actor, [AssetId; 2]) {
    let mut world = World::claimed();
    let cleo = world.person(3, "cleo", Role::Viewer);
    let films = [world.published(9), world.published(10)];
    world.ok(&owner(), limit_views(Some(2)));
    (world, cleo, films)
}

#[test]
fn one_more_than_may_be_is_refused_and_one_in_place_of_another_ends_it() {
    let (mut world, cleo, [film, other]) = limited();
    let first = start(&mut world, &cleo, 1, film).unwrap();
    // Another sign-in of the same person is the same person.
    world.ok(&node(), create_session(50, user_id(3), START + DAY));
    let at_home = Actor::user(user_id(3), session_id(50));
    let second = start(&mut world, &at_home, 2, film).unwrap();
    assert_eq!(start(&mut world, &cleo, 3, other).unwrap_err(), Refusal::TooManyViews { limit: 2 });
    assert_eq!(
        (plays(&world, &first), plays(&world, &second)),
        (Ok(()), Ok(())),
        "a refused one changes nothing"
    );

    let until_ms = world.now_ms + HOUR;
    let third =
        ViewCommand::Start { view: view_id(3), asset: other, until_ms, in_place_of: Some(view_id(1)) };
    world.ok(&cleo, third);
    let third = token(&world, &cleo, 3, other);
    assert_eq!(plays(&world, &first), Err(Refusal::ViewEnded));
    assert_eq!((plays(&world, &second), plays(&world, &third)), (Ok(()), Ok(())));
    let watched = cluster::event::Event::WatchRulesChanged { asset: film };
    assert_eq!(world.events, [watched], "edges look again");
    // What was ended does not come back, not even in place of another that is gone.
    let again = ViewCommand::Start { view: view_id(4), asset: film, until_ms, in_place_of: Some(view_id(1)) };
    assert_eq!(world.refused(&cleo, again), Refusal::TooManyViews { limit: 2 });
    let record = world.records.last().expect("a refusal is on record");
    assert_eq!((record.action.as_str(), record.result.as_str()), ("view.start", "too_many_views"));
}

#[test]
fn what_ends_frees_its_place_and_people_are_counted_apart() {
    let (mut world, cleo, [film, _]) = limited();
    let dora = world.person(4, "dora", Role::Viewer);
    for view in [1, 2] {
        start(&mut world, &cleo, view, film).unwrap();
    }
    start(&mut world, &dora, 3, film).unwrap();
    let end = |view| ViewCommand::End { view: view_id(view), application: APP };
    assert_eq!(world.refused(&cleo, end(3)), Refusal::NotFound(Noun::View), "another's");
    world.ok(&cleo, end(1));
    assert_eq!(world.refused(&cleo, end(1)), Refusal::NotFound(Noun::View), "over already");
    start(&mut world, &cleo, 4, film).unwrap();
    assert_eq!(running(&world, 3), [view_id(2), view_id(4)]);

    // By time, unless it is prolonged.
    world.later(HOUR / 2);
    let prolong = |view, until_ms| ViewCommand::Prolong { view: view_id(view), asset: film, until_ms };
    world.ok(&cleo, prolong(2, START + 2 * HOUR));
    world.later(HOUR / 2);
    start(&mut world, &cleo, 5, film).unwrap();
    assert_eq!(running(&world, 3), [view_id(2), view_id(5)]);
    let late = prolong(4, world.now_ms + HOUR);
    assert_eq!(world.refused(&cleo, late), Refusal::ViewEnded, "its place is taken");
}

#[test]
fn what_may_not_be_watched_for_a_while_does_not_come_back_as_one_too_many() {
    let (mut world, cleo, [film, other]) = limited();
    let views: Vec<_> = [1, 2].map(|view| start(&mut world, &cleo, view, film).unwrap()).into();
    let publish = |published| AssetCommand::Publish { asset: film, published, from_ms: None, until_ms: None };
    world.ok(&owner(), publish(false));
    let others: Vec<_> = [3, 4].map(|view| start(&mut world, &cleo, view, other).unwrap()).into();
    world.ok(&owner(), publish(true));
    let now_playing = views.iter().chain(&others).filter(|view| plays(&world, view).is_ok());
    assert_eq!(now_playing.count(), 2);
    assert!(others.iter().all(|view| plays(&world, view).is_ok()));
}

#[test]
fn a_limit_that_is_set_or_lowered_ends_what_runs_beyond_it() {
    let mut world = World::claimed();
    let cleo = world.person(3, "cleo", Role::Viewer);
    let film = world.published(9);
    let before = start(&mut world, &cleo, 1, film).unwrap();
    assert_eq!(running(&world, 3), [], "without a limit State knows nothing of Views");
    assert_eq!(plays(&world, &before), Ok(()));
    world.later(1);
    world.ok(&owner(), limit_views(Some(3)));
    assert_eq!(plays(&world, &before), Err(Refusal::ViewEnded), "nobody has counted it");
    let views: Vec<_> = [2, 3, 4].map(|view| start(&mut world, &cleo, view, film).unwrap()).into();
    world.ok(&owner(), limit_views(Some(1)));
    let outcomes: Vec<_> = views.iter().map(|view| plays(&world, view).is_ok()).collect();
    assert_eq!(outcomes, [false, false, true], "the newest stays");
    world.ok(&owner(), limit_views(None));
    assert_eq!((running(&world, 3), world.state.views_at_once(APP)), (vec![], None));
    assert!(views.iter().all(|view| plays(&world, view).is_ok()), "as the tokens say");
    for wrong in [0, Limits::VIEWS_AT_ONCE + 1] {
        let refusal = world.refused(&owner(), limit_views(Some(wrong)));
        assert_eq!(refusal, Refusal::invalid("views_at_once", Problem::OutOfRange));
    }
}

#[test]
fn what_is_over_takes_no_place_from_what_runs_when_a_limit_is_lowered() {
    let (mut world, cleo, [film, _]) = limited();
    let goes_on = start(&mut world, &cleo, 1, film).unwrap();
    start(&mut world, &cleo, 2, film).unwrap();
    let until_ms = world.now_ms + 2 * HOUR;
    world.ok(&cleo, ViewCommand::Prolong { view: view_id(1), asset: film, until_ms });
    world.later(HOUR);
    world.ok(&owner(), limit_views(Some(1)));
    assert_eq!(running(&world, 3), [view_id(1)]);
    assert_eq!(plays(&world, &goes_on), Ok(()));
}

/// A node that has carried out less than the token tells of cannot know its View.
#[test]
fn a_node_that_is_behind_believes_the_token_and_one_that_is_not_does_not() {
    let (mut world, cleo, [film, _]) = limited();
    let behind: State = world.state.clone();
    world.later(5);
    let view = start(&mut world, &cleo, 1, film).unwrap();
    assert_eq!(may_watch(&behind, &view, world.now_ms), Ok(()));
    let made_up = Watching { view: view_id(77), ..view };
    assert_eq!(plays(&world, &made_up), Err(Refusal::ViewEnded));
    let elsewhere = Watching { asset: asset_id(10), ..view };
    assert_eq!(plays(&world, &elsewhere), Err(Refusal::ViewEnded), "it is counted for one film only");
}

#[test]
fn nothing_is_kept_of_who_is_gone_or_of_what_ended_long_ago() {
    let (mut world, cleo, [film, _]) = limited();
    let key = world.key(60, Role::Viewer);
    start(&mut world, &cleo, 1, film).unwrap();
    start(&mut world, &key, 2, film).unwrap();
    let kept = |world: &World| world.state.all_running_views(Watcher::Key(key_id(60))).count();
    assert_eq!((running(&world, 3).len(), kept(&world)), (1, 1), "a key has its own count");
    assert_eq!(world.refused(&node(), AccessCommand::ForgetEndedLinks), Refusal::NotDue);
    world.later(2 * HOUR - 1);
    assert!(!world.state.has_ended_views(world.now_ms));
    world.later(1);
    assert!(world.state.has_ended_views(world.now_ms));
    world.ok(&node(), AccessCommand::ForgetEndedLinks);
    assert_eq!((running(&world, 3).len(), kept(&world)), (0, 0));

    start(&mut world, &cleo, 3, film).unwrap();
    start(&mut world, &key, 4, film).unwrap();
    world.ok(&owner(), AccessCommand::DeleteUser { user: user_id(3) });
    world.ok(&owner(), AccessCommand::RevokeApiKey { key: key_id(60) });
    assert_eq!((running(&world, 3).len(), kept(&world)), (0, 0));
}

#[test]
fn a_view_is_counted_for_a_day_at_most_and_its_id_once() {
    let (mut world, cleo, [film, _]) = limited();
    start(&mut world, &cleo, 1, film).unwrap();
    assert_eq!(start(&mut world, &cleo, 1, film).unwrap_err(), Refusal::DuplicateId(Noun::View));
    for until_ms in [world.now_ms, world.now_ms + Limits::VIEW_MS + HOUR, u64::MAX] {
        let refusal = world.refused(&cleo, start_view(2, film, until_ms));
        assert_eq!(refusal, Refusal::invalid("expires_ms", Problem::OutOfRange), "{until_ms}");
    }
}
