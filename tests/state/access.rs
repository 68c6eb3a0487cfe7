//! Stories of people: claim, sign-ins, passphrases, suspension, invitations.

use cluster::actor::Actor;
use cluster::command::{AccessCommand, AssetCommand, Role};
use cluster::event::Event;
use cluster::outcome::Outcome;
use cluster::permission::{Action, Target, check};
use cluster::refusal::{Needs, Noun, Problem, Refusal};

use crate::world::*;

#[test]
fn a_cluster_is_claimed_once() {
    let mut world = World::empty();
    assert_eq!(world.refused(&anonymous(), claim(1, "ada", APP)), Refusal::NotInitialised);
    world.ok(&node(), initialise());
    assert_eq!(world.refused(&node(), initialise()), Refusal::AlreadyInitialised);
    assert!(!world.state.is_claimed());
    world.ok(&anonymous(), claim(1, "  Ada ", APP));
    assert!(world.state.is_claimed());
    assert_eq!(world.state.user(user_id(1)).unwrap().username, "ada");
    assert_eq!(world.state.role_of(user_id(1), APP), Some(Role::Admin));
    assert_eq!(world.refused(&anonymous(), claim(2, "eve", app_id(2))), Refusal::AlreadyClaimed);
    assert!(world.state.user(user_id(2)).is_none() && world.state.application(app_id(2)).is_none());
}

#[test]
fn a_claim_with_a_bad_name_changes_nothing() {
    let mut world = World::unclaimed();
    for (name, problem) in [
        ("", Problem::Empty),
        ("ada lovelace", Problem::Character),
        ("a\u{202e}da", Problem::Character),
        ("a\nb", Problem::Character),
        (&"a".repeat(65), Problem::TooLong(64)),
    ] {
        let refusal = world.refused(&anonymous(), claim(1, name, APP));
        assert_eq!(refusal, Refusal::invalid("username", problem), "{name:?}");
    }
    assert!(!world.state.is_claimed());
    assert!(world.state.application(APP).is_none());
}

#[test]
fn only_a_node_makes_sessions_and_they_end_by_time() {
    let mut world = World::claimed();
    let command = create_session(9, user_id(1), world.now_ms + HOUR);
    assert_eq!(world.refused(&anonymous(), command.clone()), Refusal::NotSignedIn);
    assert_eq!(
        world.refused(&owner(), command.clone()),
        Refusal::Forbidden { needs: Needs::Node },
        "not even a cluster admin signs somebody in"
    );
    world.ok(&node(), command);
    let guest = Actor::user(user_id(1), session_id(9));
    assert!(world.state.session_by_secret(&secret(9)).is_some());
    let see = |world: &World| check(&world.state, &guest, Action::SeeStatus, Target::Cluster, world.now_ms);
    assert_eq!(see(&world), Ok(()));
    world.later(HOUR);
    assert_eq!(see(&world), Err(Refusal::SessionEnded));
    let own = AccessCommand::EndSessions { user: user_id(1), except: None };
    assert_eq!(world.refused(&guest, own), Refusal::SessionEnded);
}

#[test]
fn a_session_cannot_be_made_for_ever_or_for_the_past() {
    let mut world = World::claimed();
    for expires_ms in [0, world.now_ms, world.now_ms + 91 * DAY] {
        let refusal = world.refused(&node(), create_session(9, user_id(1), expires_ms));
        assert_eq!(refusal, Refusal::invalid("expires_ms", Problem::OutOfRange));
    }
}

#[test]
fn the_oldest_session_gives_way_to_the_sixty_fifth() {
    let mut world = World::claimed();
    for number in 100..164 {
        world.later(1);
        world.ok(&node(), create_session(number, user_id(1), world.now_ms + DAY));
    }
    assert_eq!(world.state.sessions_of(user_id(1)).count(), 64);
    assert!(world.state.session(session_id(1)).is_none(), "the oldest has ended");
    assert!(world.events.contains(&Event::SessionEnded { session: session_id(1), user: user_id(1) }));
}

#[test]
fn signing_out_ends_one_session_and_nobody_elses() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::Admin);
    let end = |number| AccessCommand::EndSession { session: session_id(number) };
    assert_eq!(world.refused(&ben, end(1)), Refusal::NotFound(Noun::Session));
    world.ok(&ben, end(2));
    assert_eq!(world.refused(&ben, end(2)), Refusal::SessionEnded);
    world.sign_in(2);
    world.ok(&owner(), end(2));
    assert!(world.state.session(session_id(2)).is_none(), "a cluster admin may end it too");
}

#[test]
fn suspending_ends_every_session_at_once() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let suspend = |suspended| AccessCommand::SuspendUser { user: user_id(2), suspended };
    assert_eq!(world.refused(&ben, suspend(true)), Refusal::Forbidden { needs: Needs::ClusterAdmin });
    world.ok(&owner(), suspend(true));
    assert!(world.events.contains(&Event::SessionEnded { session: session_id(2), user: user_id(2) }));
    let see = check(&world.state, &ben, Action::SeeApplication, Target::Application(APP), world.now_ms);
    assert_eq!(see, Err(Refusal::Suspended));
    let refusal = world.refused(&node(), create_session(3, user_id(2), world.now_ms + DAY));
    assert_eq!(refusal, Refusal::Suspended);
    world.ok(&owner(), suspend(false));
    world.ok(&node(), create_session(3, user_id(2), world.now_ms + DAY));
    let see = check(&world.state, &ben, Action::SeeApplication, Target::Application(APP), world.now_ms);
    assert_eq!(see, Err(Refusal::SessionEnded), "the old session stays over");
}

#[test]
fn the_last_cluster_admin_stays() {
    let mut world = World::claimed();
    world.person(2, "ben", Role::Admin);
    let me = user_id(1);
    for command in [
        AccessCommand::SuspendUser { user: me, suspended: true },
        AccessCommand::DeleteUser { user: me },
        AccessCommand::SetClusterAdmin { user: me, admin: false },
    ] {
        assert_eq!(world.refused(&owner(), command), Refusal::LastClusterAdmin);
    }
    world.ok(&owner(), AccessCommand::SetClusterAdmin { user: user_id(2), admin: true });
    world.ok(&owner(), AccessCommand::SuspendUser { user: user_id(2), suspended: true });
    let refusal = world.refused(&owner(), AccessCommand::DeleteUser { user: me });
    assert_eq!(refusal, Refusal::LastClusterAdmin, "a suspended admin does not count");
    world.ok(&owner(), AccessCommand::SuspendUser { user: user_id(2), suspended: false });
    world.ok(&owner(), AccessCommand::DeleteUser { user: me });
    assert!(world.state.user(me).is_none() && world.state.sessions_of(me).next().is_none());
}

#[test]
fn a_new_passphrase_ends_the_other_sessions() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::Viewer);
    world.ok(&node(), create_session(22, user_id(2), world.now_ms + DAY));
    let set = |user, end_other_sessions| AccessCommand::SetPassword {
        user: user_id(user),
        password_hash: password("new"),
        end_other_sessions,
    };
    assert_eq!(world.refused(&ben, set(1, true)), Refusal::NotFound(Noun::User));
    world.ok(&ben, set(2, true));
    let left: Vec<_> = world.state.sessions_of(user_id(2)).map(|session| session.id).collect();
    assert_eq!(left, [session_of(&ben)]);
    world.ok(&owner(), set(2, false));
    assert_eq!(world.state.sessions_of(user_id(2)).count(), 0, "set by somebody else it ends all");
    let plain = AccessCommand::SetPassword {
        user: user_id(1),
        password_hash: cluster::command::PasswordHash("hunter2".into()),
        end_other_sessions: false,
    };
    let refusal = world.refused(&owner(), plain);
    assert_eq!(refusal, Refusal::invalid("password_hash", Problem::Malformed));
}

#[test]
fn a_reset_link_works_once_and_in_time() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let now_ms = world.now_ms;
    let start = |number| AccessCommand::StartReset {
        user: user_id(2),
        secret_hash: secret(number),
        expires_ms: now_ms + DAY,
    };
    let finish =
        |number| AccessCommand::FinishReset { secret_hash: secret(number), password_hash: password("reset") };
    assert_eq!(world.refused(&ben, start(50)), Refusal::Forbidden { needs: Needs::ClusterAdmin });
    world.ok(&owner(), start(50));
    world.ok(&owner(), start(51));
    assert_eq!(world.refused(&anonymous(), finish(50)), Refusal::LinkNotValid, "a newer link replaces it");
    let outcome = world.ok(&anonymous(), finish(51));
    assert_eq!(outcome, Outcome::User { user: user_id(2), application: None });
    assert_eq!(world.state.user(user_id(2)).unwrap().password_hash, password("reset"));
    assert_eq!(world.state.sessions_of(user_id(2)).count(), 0);
    assert_eq!(world.refused(&anonymous(), finish(51)), Refusal::LinkNotValid);
    world.ok(&node(), start(52));
    world.later(DAY);
    assert_eq!(world.refused(&anonymous(), finish(52)), Refusal::LinkNotValid);
}

fn invite(number: u8, role: Role, expires_ms: u64) -> AccessCommand {
    AccessCommand::CreateInvite {
        invite: invite_id(number),
        application: APP,
        role,
        secret_hash: secret(number),
        expires_ms,
    }
}

fn accept(number: u8, user: u8, name: &str) -> AccessCommand {
    AccessCommand::AcceptInvite {
        secret_hash: secret(number),
        user: user_id(user),
        username: name.into(),
        password_hash: password("invited"),
    }
}

#[test]
fn an_invitation_brings_one_person_in() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let tomorrow = world.now_ms + DAY;
    let refusal = world.refused(&ben, invite(60, Role::Admin, tomorrow));
    assert_eq!(refusal, Refusal::Forbidden { needs: Needs::Role(Role::Admin) });
    world.ok(&owner(), invite(60, Role::Viewer, tomorrow));
    assert_eq!(world.refused(&anonymous(), accept(60, 3, "BEN")), Refusal::NameTaken(Noun::User));
    let outcome = world.ok(&anonymous(), accept(60, 3, "Cleo"));
    assert_eq!(outcome, Outcome::User { user: user_id(3), application: Some(APP) });
    assert_eq!(world.state.role_of(user_id(3), APP), Some(Role::Viewer));
    assert_eq!(world.refused(&anonymous(), accept(60, 4, "dora")), Refusal::LinkNotValid);
    world.ok(&owner(), invite(61, Role::Viewer, tomorrow));
    world.later(DAY);
    assert_eq!(world.refused(&anonymous(), accept(61, 4, "dora")), Refusal::LinkNotValid);
}

#[test]
fn somebody_signed_in_joins_by_invitation_and_never_loses_by_it() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let tomorrow = world.now_ms + DAY;
    world.ok(&owner(), invite(60, Role::Viewer, tomorrow));
    world.ok(&owner(), invite(61, Role::Admin, tomorrow));
    world.ok(&ben, AccessCommand::JoinByInvite { secret_hash: secret(60) });
    assert_eq!(world.state.role_of(user_id(2), APP), Some(Role::User));
    world.ok(&ben, AccessCommand::JoinByInvite { secret_hash: secret(61) });
    assert_eq!(world.state.role_of(user_id(2), APP), Some(Role::Admin));
    world.ok(&owner(), invite(62, Role::Viewer, tomorrow));
    world.ok(&owner(), AccessCommand::RevokeInvite { invite: invite_id(62) });
    assert_eq!(world.refused(&anonymous(), accept(62, 3, "cleo")), Refusal::LinkNotValid);
}

#[test]
fn what_a_person_uploaded_outlives_them() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    world.ok(&ben, create_asset(9, APP, 1));
    world.ok(&owner(), AccessCommand::DeleteUser { user: user_id(2) });
    assert_eq!(world.found(asset_id(9)).owner(), Some(user_id(2)));
    assert!(world.state.member(APP, user_id(2)).is_none());
    let refusal = world.refused(&ben, AssetCommand::Trash { asset: asset_id(9) });
    assert_eq!(refusal, Refusal::SessionEnded);
}

#[test]
fn no_audit_record_holds_a_secret() {
    let mut world = World::claimed();
    world.person(2, "ben", Role::User);
    world.key(70, Role::User);
    let text = serde_json::to_string(&world.records).unwrap();
    for canary in ["argon2id", "c2FsdA", "[70,70", "[2,2,2"] {
        assert!(!text.contains(canary), "{canary}");
    }
    assert!(text.contains("\"action\":\"session.create\"") && text.contains("\"username\":\"ben\""));
}

#[test]
fn a_changed_audit_record_breaks_the_chain() {
    let mut world = World::claimed();
    world.asset(9);
    let verify = |records: &[cluster::audit_record::AuditRecord]| {
        let mut head = cluster::audit_record::ChainHead::default();
        records.iter().try_for_each(|record| head.verify_next(record)).map_err(|broken| broken.sequence)
    };
    assert_eq!(verify(&world.records), Ok(()));
    let mut forged = world.records.clone();
    forged[1].target = "user:nobody".into();
    assert_eq!(verify(&forged), Err(2));
    forged[1].hash = forged[1].computed_hash();
    assert_eq!(verify(&forged), Err(3), "and hashing it anew breaks the next");
    let mut cut = world.records.clone();
    cut.remove(1);
    assert_eq!(verify(&cut), Err(3));
}
