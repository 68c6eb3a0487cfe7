//! What ends by itself: assets that their collections keep no longer, and applications in the trash.

use cluster::command::{
    AccessCommand, ApplicationPatch, AssetCommand, AssetPatch, ClusterCommand, Policy, Role,
};
use cluster::id::{AssetId, CollectionId};
use cluster::outcome::Outcome;
use cluster::permission::{Action, Target, check, may_watch, view_subject};
use cluster::refusal::{Needs, Noun, Problem, Refusal};
use cluster::state::Limits;

use crate::world::*;

const MONTH: CollectionId = CollectionId([30; 16]);
const YEAR: CollectionId = CollectionId([36; 16]);

fn retain(collection: CollectionId, days: Option<u16>) -> AssetCommand {
    AssetCommand::SetRetention { collection, days, delete_overdue: false }
}

fn put_in(asset: AssetId, collections: &[CollectionId]) -> AssetCommand {
    describe(asset, AssetPatch { collections: Some(collections.to_vec()), ..AssetPatch::default() })
}

fn expire(asset: AssetId) -> AssetCommand {
    AssetCommand::Expire { asset }
}

/// A claimed cluster with a collection that keeps assets for 30 days, one that keeps them for a year, and one without a rule.
fn world() -> World {
    let mut world = World::claimed();
    for (collection, name) in [(MONTH, "A month"), (YEAR, "A year"), (collection_id(9), "For ever")] {
        let name = name.to_owned();
        world.ok(&owner(), AssetCommand::CreateCollection { collection, application: APP, name });
    }
    world.ok(&owner(), retain(MONTH, Some(30)));
    world.ok(&owner(), retain(YEAR, Some(365)));
    world
}

/// The owner, signed in anew: time went by.
fn back(world: &mut World) -> cluster::actor::Actor {
    let number = u8::try_from(world.index % 200).expect("less than 200");
    world.ok(&node(), create_session(number, user_id(OWNER), world.now_ms + DAY));
    cluster::actor::Actor::user(user_id(OWNER), session_id(number))
}

#[test]
fn an_asset_is_purged_when_its_collection_keeps_it_no_longer_and_a_held_one_stays() {
    let mut world = world();
    let (asset, held, free) = (world.published(10), world.published(11), world.published(12));
    for asset in [asset, held] {
        world.ok(&owner(), put_in(asset, &[MONTH, collection_id(9)]));
    }
    world.ok(&owner(), AssetCommand::SetLegalHold { asset: held, hold: true, reason: "case".into() });
    world.later(30 * DAY - 1);
    assert_eq!(world.refused(&node(), expire(asset)), Refusal::NotDue, "day 30 is not over");
    assert_eq!(world.state.over_in(MONTH, None, world.now_ms, 10).0, []);
    world.later(1);
    assert_eq!(world.state.over_in(MONTH, None, world.now_ms, 10).0, [asset], "not what is held");
    world.ok(&node(), ClusterCommand::SetTimeHold { held: true });
    assert_eq!(world.refused(&node(), expire(asset)), Refusal::TimeHeld);
    world.ok(&node(), ClusterCommand::SetTimeHold { held: false });
    assert_eq!(world.ok(&node(), expire(asset)), Outcome::NotedDue);
    assert_eq!(world.state.over_in(MONTH, None, world.now_ms, 10).0, [], "asked for again in an hour");
    world.later(HOUR - 1);
    assert_eq!(world.refused(&node(), expire(asset)), Refusal::NotDue);
    world.later(1);
    assert_eq!(world.ok(&node(), expire(asset)), Outcome::Purged);
    assert!(world.state.asset(asset).is_none() && world.state.tombstone(asset).is_some());
    assert_eq!(world.refused(&node(), expire(held)), Refusal::LegalHold);
    assert_eq!(world.refused(&node(), expire(free)), Refusal::NotDue, "in no collection");
    let owner = back(&mut world);
    world.ok(&owner, AssetCommand::SetLegalHold { asset: held, hold: false, reason: String::new() });
    assert_eq!(world.ok(&node(), expire(held)), Outcome::NotedDue, "let go, it ends as the others do");
}

#[test]
fn the_longest_rule_counts() {
    let mut world = world();
    let asset = world.published(10);
    world.ok(&owner(), put_in(asset, &[MONTH, YEAR]));
    assert_eq!(world.state.ends_ms(&world.found(asset)), Some(START + 365 * DAY));
    world.later(31 * DAY);
    assert_eq!(world.refused(&node(), expire(asset)), Refusal::NotDue);
    assert_eq!(world.state.over_in(MONTH, None, world.now_ms, 10), (vec![], None));
    let owner = back(&mut world);
    let ends = Refusal::WouldEnd { assets: 1 };
    assert_eq!(world.refused(&owner, put_in(asset, &[MONTH])), ends, "nothing is deleted by the way");
    assert_eq!(world.refused(&owner, AssetCommand::DeleteCollection { collection: YEAR }), ends);
    assert_eq!(world.refused(&owner, retain(YEAR, None)), ends);
    world.ok(&owner, put_in(asset, &[YEAR]));
    world.ok(&owner, AssetCommand::DeleteCollection { collection: YEAR });
    assert_eq!(world.state.ends_ms(&world.found(asset)), None);
    assert_eq!(world.state.retention_days(YEAR), None);
}

#[test]
fn a_rule_that_ends_assets_at_once_asks_and_a_note_under_another_rule_does_not_count() {
    let mut world = world();
    let (asset, other) = (world.published(10), world.published(11));
    for asset in [asset, other] {
        world.ok(&owner(), put_in(asset, &[YEAR]));
    }
    world.later(31 * DAY);
    let owner = back(&mut world);
    assert_eq!(world.refused(&owner, retain(YEAR, Some(30))), Refusal::WouldEnd { assets: 2 });
    assert_eq!(world.state.retention_days(YEAR), Some(365), "nothing has changed");
    let agreed = AssetCommand::SetRetention { collection: YEAR, days: Some(30), delete_overdue: true };
    world.ok(&owner, agreed.clone());
    assert_eq!(world.ok(&node(), expire(asset)), Outcome::NotedDue);
    world.ok(&owner, retain(YEAR, Some(40)));
    world.later(8 * HOUR);
    assert_eq!(world.refused(&node(), expire(asset)), Refusal::NotDue, "kept again");
    world.ok(&owner, agreed);
    assert_eq!(world.ok(&node(), expire(asset)), Outcome::NotedDue, "noted anew");
    for days in [0, Limits::RETENTION_DAYS + 1] {
        let refusal = world.refused(&owner, retain(YEAR, Some(days)));
        assert_eq!(refusal, Refusal::invalid("retention_days", Problem::OutOfRange));
    }
    assert_eq!(
        world.refused(&owner, retain(collection_id(77), Some(1))),
        Refusal::NotFound(Noun::Collection)
    );
}

#[test]
fn only_admins_say_how_long_assets_are_kept() {
    let mut world = world();
    let ben = world.person(2, "ben", Role::User);
    let refusal = world.refused(&ben, retain(MONTH, None));
    assert_eq!(refusal, Refusal::Forbidden { needs: Needs::Role(Role::Admin) });
}

#[test]
fn the_trash_keeps_nothing_for_longer_than_its_collection() {
    let mut world = world();
    let asset = world.published(10);
    world.ok(&owner(), put_in(asset, &[MONTH]));
    world.later(10 * DAY);
    world.ok(&owner(), AssetCommand::Trash { asset });
    world.later(20 * DAY);
    assert_eq!(world.state.assets_due(world.now_ms).count(), 1, "30 days after the upload, not 40");
}

#[test]
fn old_assets_that_stay_are_looked_at_piece_by_piece() {
    let mut world = world();
    let assets: Vec<AssetId> = (10..16).map(|number| world.published(number)).collect();
    for asset in &assets {
        world.ok(&owner(), put_in(*asset, &[MONTH]));
        world.ok(&owner(), AssetCommand::SetLegalHold { asset: *asset, hold: true, reason: "case".into() });
    }
    world.ok(&owner(), AssetCommand::SetLegalHold { asset: assets[5], hold: false, reason: "".into() });
    world.later(30 * DAY);
    let (mut place, mut found, mut pieces) = (None, Vec::new(), 0);
    loop {
        let (over, next) = world.state.over_in(MONTH, place.as_ref(), world.now_ms, 2);
        (place, pieces) = (next, pieces + 1);
        found.extend(over);
        if place.is_none() {
            break;
        }
    }
    assert_eq!((found, pieces), (vec![assets[5]], 4));
}

#[test]
fn nobody_gets_at_anything_in_a_trashed_application_until_it_is_restored() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::Admin);
    let key = world.key(70, Role::Admin);
    let asset = world.published(10);
    let watching = cluster::permission::Watching {
        view: view_id(1),
        asset,
        subject: view_subject(&world.state, &ben, asset).unwrap(),
        started_ms: world.now_ms,
    };
    may_watch(&world.state, &watching, world.now_ms).unwrap();
    let trash = AccessCommand::TrashApplication { application: APP };
    assert_eq!(world.refused(&ben, trash.clone()), Refusal::Forbidden { needs: Needs::ClusterAdmin });
    world.ok(&owner(), AssetCommand::SetLegalHold { asset, hold: true, reason: "case".into() });
    assert_eq!(world.refused(&owner(), trash.clone()), Refusal::LegalHold);
    world.ok(&owner(), AssetCommand::SetLegalHold { asset, hold: false, reason: String::new() });
    world.ok(&owner(), trash.clone());
    assert_eq!(
        may_watch(&world.state, &watching, world.now_ms),
        Err(Refusal::NotFound(Noun::Asset)),
        "running Views end"
    );
    let gone = Refusal::NotFound(Noun::Asset);
    for actor in [&owner(), &ben, &key] {
        assert_eq!(world.refused(actor, AssetCommand::Trash { asset }), gone);
        let seen = check(&world.state, actor, Action::SeeApplication, Target::Application(APP), world.now_ms);
        assert_eq!(seen, Err(Refusal::NotFound(Noun::Application)));
        assert_eq!(world.refused(actor, trash.clone()), Refusal::NotFound(Noun::Application));
    }
    let taken = AccessCommand::CreateApplication { application: app_id(9), name: "main".into() };
    assert_eq!(world.refused(&owner(), taken), Refusal::NameTaken(Noun::Application), "it may come back");
    let restore = AccessCommand::RestoreApplication { application: APP };
    assert_eq!(world.refused(&ben, restore.clone()), Refusal::Forbidden { needs: Needs::ClusterAdmin });
    world.ok(&owner(), restore.clone());
    assert_eq!(
        world.refused(&owner(), restore),
        Refusal::NotFound(Noun::Application),
        "it is not in the trash"
    );
    world.ok(&ben, AssetCommand::Trash { asset });
    world.ok(&key, AssetCommand::Restore { asset });
}

#[test]
fn an_invitation_to_a_trashed_application_leads_nowhere() {
    let mut world = World::claimed();
    let (invite, application) = (invite_id(60), APP);
    let (role, secret_hash, expires_ms) = (Role::User, secret(60), START + DAY);
    world.ok(&owner(), AccessCommand::CreateInvite { invite, application, role, secret_hash, expires_ms });
    world.ok(&owner(), AccessCommand::TrashApplication { application });
    let accept = AccessCommand::AcceptInvite {
        secret_hash,
        user: user_id(50),
        username: "late".into(),
        password_hash: password("late"),
    };
    assert_eq!(world.refused(&anonymous(), accept.clone()), Refusal::LinkNotValid);
    world.ok(&owner(), AccessCommand::RestoreApplication { application });
    world.ok(&anonymous(), accept);
}

#[test]
fn a_trashed_application_is_purged_piece_by_piece_when_its_time_is_over() {
    let mut world = World::claimed();
    let policy = Policy { trash_days: 7, ..Policy::default() };
    let patch = ApplicationPatch { name: None, policy: Some(policy) };
    world.ok(&owner(), AccessCommand::UpdateApplication { application: APP, patch });
    let (live, trashed) = (world.published(10), world.published(11));
    world.ok(&owner(), AssetCommand::Trash { asset: trashed });
    world.ok(&owner(), AccessCommand::TrashApplication { application: APP });
    let expire = AccessCommand::ExpireApplication { application: APP };
    world.later(7 * DAY - 1);
    assert_eq!(world.refused(&node(), expire.clone()), Refusal::NotDue);
    assert_eq!(world.state.applications_due(world.now_ms).count(), 0);
    world.later(1);
    assert_eq!(world.state.applications_due(world.now_ms).count(), 1);
    assert_eq!(world.ok(&node(), expire.clone()), Outcome::NotedDue);
    assert_eq!(world.state.applications_due(world.now_ms).count(), 0);
    world.later(HOUR);
    assert_eq!(world.ok(&node(), expire.clone()), Outcome::Count(2));
    assert!(world.state.asset(live).is_none() && world.state.asset(trashed).is_none());
    assert_eq!(world.ok(&node(), expire.clone()), Outcome::Purged);
    assert!(world.state.application(APP).is_none());
    assert_eq!(world.refused(&node(), expire), Refusal::NotFound(Noun::Application));
}

#[test]
fn an_application_that_is_being_purged_does_not_come_back() {
    let mut world = World::claimed();
    let application = APP;
    let asset = world.published(10);
    let purge = AccessCommand::PurgeApplication { application };
    assert_eq!(
        world.refused(&owner(), purge.clone()),
        Refusal::NotFound(Noun::Application),
        "not in the trash"
    );
    world.ok(&owner(), AccessCommand::TrashApplication { application });
    world.ok(&owner(), purge);
    assert_eq!(
        world.refused(&owner(), AccessCommand::RestoreApplication { application }),
        Refusal::BeingPurged
    );
    let expire = AccessCommand::ExpireApplication { application };
    assert_eq!(world.ok(&node(), expire.clone()), Outcome::Count(1), "at once");
    assert!(world.state.asset(asset).is_none());
    assert_eq!(world.ok(&node(), expire), Outcome::Purged);
    world.ok(&owner(), AccessCommand::CreateApplication { application: app_id(9), name: "Main".into() });
}
