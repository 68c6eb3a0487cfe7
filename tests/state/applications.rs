//! Stories of applications, members and API keys.

use cluster::actor::Actor;
use cluster::command::{AccessCommand, ApplicationPatch, AssetCommand, Policy, Role};
use cluster::permission::{Action, Target, check};
use cluster::refusal::{Needs, Noun, Problem, Refusal};

use crate::world::*;

fn create(number: u8, name: &str) -> AccessCommand {
    AccessCommand::CreateApplication { application: app_id(number), name: name.into() }
}

#[test]
fn applications_are_made_by_cluster_admins_and_named_once() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::Admin);
    assert_eq!(world.refused(&ben, create(2, "Second")), Refusal::Forbidden { needs: Needs::ClusterAdmin });
    assert_eq!(world.refused(&owner(), create(2, "mAiN")), Refusal::NameTaken(Noun::Application));
    assert_eq!(world.refused(&owner(), create(1, "Other")), Refusal::DuplicateId(Noun::Application));
    let refusal = world.refused(&owner(), create(2, "a\u{7}b"));
    assert_eq!(refusal, Refusal::invalid("name", Problem::ControlCharacter));
    world.ok(&owner(), create(2, " Second "));
    assert_eq!(world.state.application(app_id(2)).unwrap().name, "Second");
}

#[test]
fn an_application_of_strangers_does_not_exist() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::Admin);
    world.ok(&owner(), create(2, "Second"));
    world.asset_in(9, app_id(2));
    let other = Target::Application(app_id(2));
    for (action, target, noun) in [
        (Action::SeeApplication, other, Noun::Application),
        (Action::ListAssets, other, Noun::Application),
        (Action::ReadAudit, other, Noun::Application),
        (Action::SeeAsset, Target::Asset(asset_id(9)), Noun::Asset),
        (Action::WatchAsset, Target::Asset(asset_id(9)), Noun::Asset),
    ] {
        let seen = check(&world.state, &ben, action, target, world.now_ms);
        assert_eq!(seen, Err(Refusal::NotFound(noun)), "{action:?}");
    }
    let refusal = world.refused(&ben, AssetCommand::Trash { asset: asset_id(9) });
    assert_eq!(refusal, Refusal::NotFound(Noun::Asset));
}

#[test]
fn policy_is_bounded() {
    let mut world = World::claimed();
    let update = |policy: Policy| AccessCommand::UpdateApplication {
        application: APP,
        patch: ApplicationPatch { name: None, policy: Some(policy) },
    };
    let refusal = world.refused(&owner(), update(Policy { trash_days: 4_000, ..Policy::default() }));
    assert_eq!(refusal, Refusal::invalid("trash_days", Problem::OutOfRange));
    let refusal = world.refused(&owner(), update(Policy { offline_grace_ms: 2 * DAY, ..Policy::default() }));
    assert_eq!(refusal, Refusal::invalid("offline_grace_ms", Problem::OutOfRange));
    let wanted = Policy { trash_days: 1, viewer_may_download: true, offline_grace_ms: 0 };
    world.ok(&owner(), update(wanted));
    assert_eq!(world.state.application(APP).unwrap().policy, wanted);
}

#[test]
fn an_application_goes_only_when_it_is_empty() {
    let mut world = World::claimed();
    world.person(2, "ben", Role::User);
    world.key(70, Role::User);
    let asset = world.asset(9);
    let delete = AccessCommand::DeleteApplication { application: APP };
    assert_eq!(world.refused(&owner(), delete.clone()), Refusal::ApplicationNotEmpty);
    world.ok(&owner(), AssetCommand::Trash { asset });
    assert_eq!(world.refused(&owner(), delete.clone()), Refusal::ApplicationNotEmpty);
    world.ok(&owner(), AssetCommand::Purge { asset });
    world.ok(&owner(), delete);
    assert!(world.state.api_key(key_id(70)).is_none());
    assert_eq!(world.state.memberships_of(user_id(2)).count(), 0);
    world.ok(&owner(), create(2, "Main"));
}

#[test]
fn members_come_change_and_leave() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let cleo = world.person(3, "cleo", Role::Viewer);
    let set = |user, role| AccessCommand::SetMember { application: APP, user: user_id(user), role };
    let remove = |user| AccessCommand::RemoveMember { application: APP, user: user_id(user) };
    let needs_admin = Refusal::Forbidden { needs: Needs::Role(Role::Admin) };
    assert_eq!(world.refused(&ben, set(2, Role::Admin)), needs_admin);
    assert_eq!(world.refused(&ben, remove(3)), needs_admin);
    assert_eq!(world.refused(&owner(), set(77, Role::User)), Refusal::NotFound(Noun::User));
    assert_eq!(world.refused(&owner(), remove(77)), Refusal::NotFound(Noun::Member));
    world.ok(&owner(), set(2, Role::Admin));
    world.ok(&ben, set(3, Role::ReadOnly));
    world.ok(&cleo, remove(3));
    let see = check(&world.state, &cleo, Action::SeeApplication, Target::Application(APP), world.now_ms);
    assert_eq!(see, Err(Refusal::NotFound(Noun::Application)));
}

#[test]
fn an_api_key_works_in_one_application_until_it_ends() {
    let mut world = World::claimed();
    world.ok(&owner(), create(2, "Second"));
    let expires_ms = world.now_ms + HOUR;
    world.ok(&owner(), create_api_key(70, APP, Role::User, Some(expires_ms)));
    let key = Actor::api_key(key_id(70));
    world.ok(&key, create_asset(9, APP, 1));
    assert_eq!(world.found(asset_id(9)).owner(), None);
    assert_eq!(world.refused(&key, create_asset(8, app_id(2), 1)), Refusal::NotFound(Noun::Application));
    world.later(HOUR);
    assert_eq!(world.refused(&key, create_asset(8, APP, 1)), Refusal::SessionEnded);
    world.ok(&owner(), AccessCommand::RevokeApiKey { key: key_id(70) });
    assert_eq!(world.refused(&key, create_asset(8, APP, 1)), Refusal::SessionEnded);
}

#[test]
fn an_api_key_lets_nobody_in() {
    let mut world = World::claimed();
    world.person(2, "ben", Role::User);
    let key = world.key(70, Role::Admin);
    let tomorrow = world.now_ms + DAY;
    let invite = AccessCommand::CreateInvite {
        invite: invite_id(60),
        application: APP,
        role: Role::Admin,
        secret_hash: secret(60),
        expires_ms: tomorrow,
    };
    let member = AccessCommand::SetMember { application: APP, user: user_id(2), role: Role::Admin };
    for command in [create_api_key(71, APP, Role::Admin, None), invite, member] {
        assert_eq!(world.refused(&key, command), Refusal::Forbidden { needs: Needs::Person });
    }
}
