//! Stories of roles of an application's own making: what they allow, whom they bind, and that nobody gives more than they
//! have.

use cluster::actor::Actor;
use cluster::command::{
    Abilities, Ability, AccessCommand, AssetCommand, AssetPatch, Command, Role, RoleCommand,
};
use cluster::id::RoleId;
use cluster::permission::{Action, Target, Watching, check, may_watch, view_subject};
use cluster::refusal::{Needs, Noun, Refusal};
use cluster::state::Limits;

use crate::samples::on;
use crate::world::*;

pub fn role_id(number: u8) -> RoleId {
    RoleId([number; 16])
}

pub fn create(number: u8, name: &str, abilities: &[Ability]) -> RoleCommand {
    RoleCommand::Create {
        application: APP,
        role: role_id(number),
        name: name.to_owned(),
        abilities: abilities.iter().copied().collect(),
    }
}

fn update(number: u8, name: &str, abilities: &[Ability]) -> RoleCommand {
    RoleCommand::Update {
        application: APP,
        role: role_id(number),
        name: name.to_owned(),
        abilities: abilities.iter().copied().collect(),
    }
}

pub fn give(user: u8, role: u8) -> RoleCommand {
    RoleCommand::Give { application: APP, user: user_id(user), role: role_id(role) }
}

fn delete(role: u8) -> RoleCommand {
    RoleCommand::Delete { application: APP, role: role_id(role) }
}

fn invite(number: u8, role: u8) -> RoleCommand {
    RoleCommand::Invite {
        invite: invite_id(number),
        application: APP,
        role: role_id(role),
        secret_hash: secret(number),
        expires_ms: START + 7 * DAY,
    }
}

pub fn key(number: u8, role: u8) -> RoleCommand {
    RoleCommand::CreateApiKey {
        key: key_id(number),
        name: format!("key {number}"),
        secret_hash: secret(number),
        application: APP,
        role: role_id(role),
        expires_ms: None,
    }
}

/// One of every such command; each succeeds after [`on_stage`].
pub fn samples() -> Vec<Command> {
    [
        create(9, "Ninth", &[Ability::Watch, Ability::Hold]),
        update(1, "Renamed", &[Ability::Upload]),
        delete(2),
        give(on::BYSTANDER, 1),
        invite(65, 1),
        key(81, 1),
    ]
    .map(Command::from)
    .into()
}

/// A role that somebody has, and one that nobody has.
pub fn on_stage(world: &mut World) {
    world.ok(&owner(), create(1, "Uploads", &[Ability::Upload, Ability::Describe]));
    world.ok(&owner(), create(2, "Nobody", &[]));
    world.ok(&owner(), invite(66, 1));
}

/// A person who has a role with these abilities.
fn with(world: &mut World, number: u8, abilities: &[Ability]) -> Actor {
    let actor = world.person(number, &format!("person-{number}"), Role::Viewer);
    world.ok(&owner(), create(number, &format!("Role {number}"), abilities));
    world.ok(&owner(), give(number, number));
    actor
}

fn lacks(ability: Ability) -> Refusal {
    Refusal::Forbidden { needs: Needs::Ability(ability) }
}

fn may(world: &World, actor: &Actor, action: Action, target: Target) -> Result<(), Refusal> {
    check(&world.state, actor, action, target, world.now_ms)
}

#[test]
fn somebody_uploads_and_describes_and_nothing_else() {
    let mut world = World::claimed();
    let film = world.published(9);
    let una = with(&mut world, 2, &[Ability::Upload, Ability::Describe]);
    world.ok(&una, create_asset(20, APP, 1));
    let patch = AssetPatch { title: Some("New".into()), ..AssetPatch::default() };
    world.ok(&una, AssetCommand::Describe { asset: film, patch });
    world.ok(&una, AssetCommand::AbandonUpload { asset: asset_id(20) });
    assert_eq!(world.refused(&una, publish(film)), lacks(Ability::Publish));
    assert_eq!(world.refused(&una, AssetCommand::Trash { asset: film }), lacks(Ability::Trash));
    assert_eq!(world.refused(&una, AssetCommand::Purge { asset: film }), lacks(Ability::Purge));
    let on_film = Target::Asset(film);
    assert_eq!(may(&world, &una, Action::WatchAsset, on_film), Err(lacks(Ability::Watch)));
    assert_eq!(may(&world, &una, Action::DownloadOriginal, on_film), Err(lacks(Ability::DownloadOriginal)));
    // Whoever changes assets sees them all, and the work on them.
    assert_eq!(may(&world, &una, Action::SeeAssetDetail, on_film), Ok(()));
    assert_eq!(may(&world, &una, Action::ListJobs, Target::Application(APP)), Ok(()));
    assert_eq!(world.state.member(APP, user_id(2)).map(|member| member.role), Some(Role::ReadOnly));
}

#[test]
fn a_hold_is_set_by_who_may_not_upload() {
    let mut world = World::claimed();
    let film = world.ready(9);
    let rita = with(&mut world, 2, &[Ability::Watch, Ability::Hold, Ability::Audit]);
    world.ok(&rita, AssetCommand::SetLegalHold { asset: film, hold: true, reason: "case 4".into() });
    assert_eq!(world.refused(&rita, create_asset(20, APP, 1)), lacks(Ability::Upload));
    assert_eq!(may(&world, &rita, Action::ReadAudit, Target::Application(APP)), Ok(()));
    // That of the whole cluster is another matter.
    assert!(may(&world, &rita, Action::ReadAudit, Target::Cluster).is_err());
    assert_eq!(may(&world, &rita, Action::WatchAsset, Target::Asset(film)), Ok(()));
    assert_eq!(world.refused(&rita, AssetCommand::Trash { asset: film }), lacks(Ability::Trash));
}

#[test]
fn another_role_takes_hold_of_what_runs() {
    let mut world = World::claimed();
    let film = world.published(9);
    let vera = with(&mut world, 2, &[Ability::Watch]);
    let subject = view_subject(&world.state, &vera, film).unwrap();
    let view = Watching { view: view_id(1), asset: film, subject, started_ms: world.now_ms };
    assert_eq!(may_watch(&world.state, &view, world.now_ms), Ok(()));
    world.ok(&owner(), update(2, "Catalogue", &[]));
    assert_eq!(may_watch(&world.state, &view, world.now_ms), Err(lacks(Ability::Watch)));
    assert_eq!(may(&world, &vera, Action::SeeAsset, Target::Asset(film)), Ok(()));
    world.ok(&owner(), update(2, "Editor", &[Ability::Watch, Ability::Access]));
    assert_eq!(may_watch(&world.state, &view, world.now_ms), Ok(()));
    assert_eq!(world.state.member(APP, user_id(2)).map(|member| member.role), Some(Role::User));
    // A built-in role in its place leaves nothing of it.
    world.ok(&owner(), AccessCommand::SetMember { application: APP, user: user_id(2), role: Role::ReadOnly });
    assert_eq!(world.state.custom_role_of(APP, user_id(2)), None);
    world.ok(&owner(), delete(2));
}

#[test]
fn nobody_gives_more_than_they_have() {
    let mut world = World::claimed();
    let mia = with(&mut world, 2, &[Ability::Watch, Ability::Members, Ability::Keys]);
    world.person(3, "admin", Role::Admin);
    world.person(4, "viewer", Role::Viewer);
    world.ok(&owner(), create(5, "Watches", &[Ability::Watch]));
    let set = |user, role| AccessCommand::SetMember { application: APP, user: user_id(user), role };
    let first_missing = lacks(Ability::Download);
    assert_eq!(world.refused(&mia, set(2, Role::Admin)), first_missing, "nor to themselves");
    assert_eq!(world.refused(&mia, set(4, Role::User)), first_missing);
    assert_eq!(world.refused(&mia, set(4, Role::Viewer)), first_missing, "a viewer downloads, too");
    let fellow = RoleCommand::Invite {
        invite: invite_id(60),
        application: APP,
        role: role_id(2),
        secret_hash: secret(60),
        expires_ms: START + DAY,
    };
    world.ok(&mia, fellow);
    world.ok(&mia, key(80, 5));
    assert_eq!(world.refused(&mia, create_api_key(81, APP, Role::Admin, None)), first_missing);
    assert_eq!(world.refused(&mia, create(6, "More", &[Ability::Purge])), lacks(Ability::SeeAll));
    assert_eq!(world.refused(&mia, update(2, "Mine", &[Ability::Watch, Ability::Settings])), {
        lacks(Ability::Settings)
    });
    world.ok(&mia, create(6, "Less", &[Ability::Watch]));
    // Nor do they touch whoever has more, whether they would raise or lower them.
    world.ok(&owner(), create(7, "Holds", &[Ability::Hold]));
    assert_eq!(world.refused(&mia, give(3, 5)), first_missing);
    let remove = |user| AccessCommand::RemoveMember { application: APP, user: user_id(user) };
    assert_eq!(world.refused(&mia, remove(3)), first_missing);
    assert_eq!(world.refused(&mia, update(7, "Holds", &[Ability::Watch])), lacks(Ability::SeeAll));
    assert_eq!(world.refused(&mia, delete(7)), lacks(Ability::SeeAll));
    world.ok(&mia, remove(2));
}

#[test]
fn who_manages_nobody_still_leaves() {
    let mut world = World::claimed();
    let una = with(&mut world, 2, &[Ability::Upload]);
    world.person(4, "viewer", Role::Viewer);
    let remove = |user| AccessCommand::RemoveMember { application: APP, user: user_id(user) };
    assert_eq!(world.refused(&una, remove(4)), lacks(Ability::Members));
    world.ok(&una, remove(2));
    assert_eq!(world.state.custom_role_of(APP, user_id(2)), None);
    world.ok(&owner(), delete(2));
}

#[test]
fn a_role_comes_with_an_invitation_and_takes_nothing_away() {
    let mut world = World::claimed();
    world.ok(&owner(), create(1, "Uploads", &[Ability::Upload]));
    world.ok(&owner(), invite(60, 1));
    let accept = AccessCommand::AcceptInvite {
        secret_hash: secret(60),
        user: user_id(2),
        username: "newcomer".into(),
        password_hash: password("newcomer"),
    };
    world.ok(&anonymous(), accept);
    assert_eq!(world.state.custom_role_of(APP, user_id(2)).map(|role| role.id), Some(role_id(1)));
    for (number, role) in [(3, Role::User), (4, Role::Viewer)] {
        let joining = world.person(number, &format!("member-{number}"), role);
        world.ok(&owner(), invite(60 + number, 1));
        world.ok(&joining, AccessCommand::JoinByInvite { secret_hash: secret(60 + number) });
    }
    assert_eq!(world.state.custom_role_of(APP, user_id(3)), None, "a user may more already");
    // A viewer watches, and whoever uploads does not: there is no telling which was meant.
    assert_eq!(world.state.custom_role_of(APP, user_id(4)), None);
    world.ok(&owner(), update(1, "Everything", &Abilities::of(Role::Admin).iter().collect::<Vec<_>>()));
    world.ok(&owner(), invite(70, 1));
    world.ok(&person(4), AccessCommand::JoinByInvite { secret_hash: secret(70) });
    assert_eq!(world.state.custom_role_of(APP, user_id(4)).map(|role| role.id), Some(role_id(1)));
}

#[test]
fn a_key_has_such_a_role_and_only_one_for_counters_reads_them() {
    let mut world = World::claimed();
    world.ok(&owner(), create(1, "Uploads", &[Ability::Upload, Ability::Members]));
    world.ok(&owner(), create(2, "Counters", &[Ability::Metrics]));
    world.ok(&owner(), key(80, 1));
    world.ok(&owner(), key(81, 2));
    let (uploads, counts) = (Actor::api_key(key_id(80)), Actor::api_key(key_id(81)));
    world.ok(&uploads, create_asset(20, APP, 1));
    assert_eq!(may(&world, &uploads, Action::ReadMetrics, Target::Cluster), Err(lacks(Ability::Metrics)));
    assert_eq!(may(&world, &counts, Action::ReadMetrics, Target::Cluster), Ok(()));
    assert_eq!(world.refused(&counts, create_asset(21, APP, 1)), lacks(Ability::Upload));
    // A key lets nobody in, whatever its role says.
    let needs = Needs::Person;
    assert_eq!(world.refused(&uploads, create(3, "Third", &[])), Refusal::Forbidden { needs });
    world.ok(&owner(), AccessCommand::RevokeApiKey { key: key_id(80) });
    world.ok(&owner(), delete(1));
}

#[test]
fn a_role_stays_while_somebody_has_it() {
    let mut world = World::claimed();
    with(&mut world, 2, &[Ability::Upload]);
    world.ok(&owner(), key(80, 2));
    world.ok(&owner(), invite(60, 2));
    assert_eq!(world.refused(&owner(), delete(2)), Refusal::RoleInUse { holders: 3 });
    world.ok(&owner(), AccessCommand::RemoveMember { application: APP, user: user_id(2) });
    world.ok(&owner(), AccessCommand::RevokeApiKey { key: key_id(80) });
    assert_eq!(world.refused(&owner(), delete(2)), Refusal::RoleInUse { holders: 1 });
    // An invitation that is over keeps nothing.
    world.later(8 * DAY);
    world.ok(&owner(), delete(2));
    assert_eq!(world.refused(&owner(), delete(2)), Refusal::NotFound(Noun::Role));
}

#[test]
fn names_are_told_apart_and_roles_are_of_one_application() {
    let mut world = World::claimed();
    world.ok(&owner(), create(1, "Uploads", &[Ability::Upload]));
    let taken = Refusal::NameTaken(Noun::Role);
    assert_eq!(world.refused(&owner(), create(2, "uploads", &[])), taken);
    assert_eq!(world.refused(&owner(), create(2, "Read-Only", &[])), taken, "a built-in one");
    assert_eq!(world.refused(&owner(), create(1, "Other", &[])), Refusal::DuplicateId(Noun::Role));
    assert!(matches!(world.refused(&owner(), create(2, " ", &[])), Refusal::Invalid { .. }));
    world.ok(&owner(), AccessCommand::CreateApplication { application: app_id(2), name: "Other".into() });
    let elsewhere = RoleCommand::Give { application: app_id(2), user: user_id(OWNER), role: role_id(1) };
    assert_eq!(world.refused(&owner(), elsewhere), Refusal::NotFound(Noun::Role));
    for number in (2..=u8::MAX).take(Limits::ROLES_PER_APPLICATION - 1) {
        world.ok(&owner(), create(number, &format!("Role {number}"), &[]));
    }
    assert!(matches!(world.refused(&owner(), create(200, "One more", &[])), Refusal::TooMany { .. }));
    world.ok(&owner(), AccessCommand::DeleteApplication { application: app_id(2) });
}

#[test]
fn a_cluster_admin_is_bound_by_none() {
    let mut world = World::claimed();
    world.ok(&owner(), create(1, "Nothing", &[]));
    world.ok(&owner(), give(OWNER, 1));
    world.ok(&owner(), create_asset(20, APP, 1));
    world
        .ok(&owner(), AccessCommand::SetMember { application: APP, user: user_id(OWNER), role: Role::Admin });
}
