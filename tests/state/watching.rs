//! Stories of Views: who may start one, and what ends it with the next request.

use cluster::actor::Actor;
use cluster::command::{AccessCommand, AccessRule, ApplicationPatch, AssetCommand, Policy, Role};
use cluster::id::AssetId;
use cluster::permission::{Action, Target, ViewSubject, Watching, check, may_watch, view_subject};
use cluster::refusal::{Needs, Noun, Refusal};

use crate::world::*;

fn start(world: &World, actor: &Actor, asset: AssetId) -> Result<ViewSubject, Refusal> {
    check(&world.state, actor, Action::WatchAsset, Target::Asset(asset), world.now_ms)?;
    view_subject(&world.state, actor, asset)
}

fn goes_on(world: &World, view: &ViewSubject, asset: AssetId) -> Result<(), Refusal> {
    let watching = Watching { view: view_id(1), asset, subject: *view, started_ms: world.now_ms };
    may_watch(&world.state, &watching, world.now_ms)
}

/// A viewer, cleo, with a View of asset 9 running.
fn watching() -> (World, Actor, AssetId, ViewSubject) {
    let mut world = World::claimed();
    let cleo = world.person(3, "cleo", Role::Viewer);
    let asset = world.published(9);
    let view = start(&world, &cleo, asset).expect("a viewer watches what is published");
    assert_eq!(goes_on(&world, &view, asset), Ok(()));
    (world, cleo, asset, view)
}

#[test]
fn every_way_out_ends_the_view_with_the_next_request() {
    let user = user_id(3);
    let asset = asset_id(9);
    let ways: Vec<(&str, cluster::command::Command, Refusal)> = vec![
        ("log-out", AccessCommand::EndSession { session: session_id(3) }.into(), Refusal::SessionEnded),
        ("suspension", AccessCommand::SuspendUser { user, suspended: true }.into(), Refusal::Suspended),
        ("removal", AccessCommand::DeleteUser { user }.into(), Refusal::SessionEnded),
        (
            "leaving",
            AccessCommand::RemoveMember { application: APP, user }.into(),
            Refusal::NotFound(Noun::Asset),
        ),
        (
            "a new passphrase by somebody else",
            AccessCommand::SetPassword { user, password_hash: password("x"), end_other_sessions: false }
                .into(),
            Refusal::SessionEnded,
        ),
        (
            "unpublishing",
            AssetCommand::Publish { asset, published: false, from_ms: None, until_ms: None }.into(),
            Refusal::NotFound(Noun::Asset),
        ),
        (
            "a narrower rule",
            AssetCommand::SetAccess { asset, rule: AccessRule::Editors }.into(),
            Refusal::Forbidden { needs: Needs::AccessRule },
        ),
        ("the trash", AssetCommand::Trash { asset }.into(), Refusal::ViewEnded),
        ("ending all Views", AssetCommand::EndViews { asset }.into(), Refusal::ViewEnded),
    ];
    for (way, command, expected) in ways {
        let (mut world, _, asset, view) = watching();
        world.ok(&owner(), command);
        assert_eq!(goes_on(&world, &view, asset), Err(expected), "{way}");
    }
}

#[test]
fn a_view_ends_when_the_session_or_the_window_does() {
    let (mut world, _, asset, view) = watching();
    let until_ms = Some(world.now_ms + HOUR);
    world.ok(&owner(), AssetCommand::Publish { asset, published: true, from_ms: None, until_ms });
    assert_eq!(goes_on(&world, &view, asset), Ok(()));
    world.later(HOUR);
    assert_eq!(goes_on(&world, &view, asset), Err(Refusal::NotFound(Noun::Asset)));
    world.ok(&owner(), publish(asset));
    assert_eq!(goes_on(&world, &view, asset), Ok(()));
    world.later(30 * DAY);
    assert_eq!(goes_on(&world, &view, asset), Err(Refusal::SessionEnded));
}

#[test]
fn a_view_from_before_the_trash_does_not_come_back_with_the_asset() {
    let (mut world, cleo, asset, view) = watching();
    world.ok(&owner(), AssetCommand::Trash { asset });
    assert_eq!(start(&world, &cleo, asset), Err(Refusal::NotFound(Noun::Asset)));
    assert_eq!(start(&world, &owner(), asset), Err(Refusal::Trashed));
    world.ok(&owner(), AssetCommand::Restore { asset });
    assert_eq!(goes_on(&world, &view, asset), Err(Refusal::ViewEnded));
    let again = start(&world, &cleo, asset).expect("a new View may start");
    assert_eq!(goes_on(&world, &again, asset), Ok(()));
    world.ok(&owner(), AssetCommand::Trash { asset });
    world.ok(&owner(), AssetCommand::Purge { asset });
    assert_eq!(goes_on(&world, &again, asset), Err(Refusal::NotFound(Noun::Asset)));
}

#[test]
fn a_rule_for_some_shows_the_asset_to_them_only() {
    let (mut world, cleo, asset, view) = watching();
    let dora = world.person(4, "dora", Role::Viewer);
    let reader = world.person(5, "rita", Role::ReadOnly);
    let key = world.key(70, Role::Viewer);
    world.ok(&owner(), AssetCommand::SetAccess { asset, rule: AccessRule::Users(vec![user_id(3)]) });
    assert_eq!(goes_on(&world, &view, asset), Ok(()));
    assert!(start(&world, &cleo, asset).is_ok());
    assert_eq!(start(&world, &dora, asset), Err(Refusal::NotFound(Noun::Asset)));
    assert_eq!(start(&world, &key, asset), Err(Refusal::NotFound(Noun::Asset)));
    let seen = Refusal::Forbidden { needs: Needs::AccessRule };
    assert_eq!(start(&world, &reader, asset), Err(seen), "they see it in the list, but may not watch");
    assert!(start(&world, &owner(), asset).is_ok(), "editors always may");
}

#[test]
fn nothing_is_watched_before_there_is_something_to_watch() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    assert_eq!(start(&world, &owner(), asset), Err(Refusal::NotWatchable));
    world.ok(&node(), AssetCommand::SetWatchable { asset, fence: None });
    assert!(start(&world, &owner(), asset).is_ok(), "from the first segments on");
    assert_eq!(start(&world, &anonymous(), asset), Err(Refusal::NotSignedIn));
}

#[test]
fn a_revoked_api_key_ends_its_views() {
    let (mut world, _, asset, _) = watching();
    let key = world.key(70, Role::Viewer);
    let view = start(&world, &key, asset).expect("a viewer's key watches");
    world.ok(&owner(), AccessCommand::RevokeApiKey { key: key_id(70) });
    assert_eq!(goes_on(&world, &view, asset), Err(Refusal::SessionEnded));
}

#[test]
fn viewers_download_only_where_policy_lets_them() {
    let (mut world, cleo, asset, _) = watching();
    let reader = world.person(5, "rita", Role::ReadOnly);
    let may = |world: &World, actor: &Actor, action| {
        check(&world.state, actor, action, Target::Asset(asset), world.now_ms)
    };
    let by_policy = Err(Refusal::Forbidden { needs: Needs::Policy });
    for action in [Action::DownloadAsset, Action::DownloadOriginal] {
        assert_eq!(may(&world, &cleo, action), by_policy);
        assert_eq!(may(&world, &reader, action), Ok(()));
    }
    let policy = Policy { viewer_may_download: true, ..Policy::default() };
    let patch = ApplicationPatch { name: None, policy: Some(policy) };
    world.ok(&owner(), AccessCommand::UpdateApplication { application: APP, patch });
    assert_eq!(may(&world, &cleo, Action::DownloadOriginal), Ok(()));
    world.ok(&owner(), AssetCommand::Trash { asset });
    assert_eq!(may(&world, &reader, Action::DownloadOriginal), Err(Refusal::Trashed));
    assert_eq!(may(&world, &owner(), Action::DownloadOriginal), Ok(()), "who may restore it may export it");
}
