//! The permission matrix: every Command and every read, by everybody, against a blessed table.
//!
//! After a deliberate change: `BLESS=1 cargo nextest run --workspace -E 'binary(state)'`, then read the difference.

use std::fmt::Write as _;

use cluster::actor::Actor;
use cluster::command::{Ability, AccessCommand, Role};
use cluster::id::NodeId;
use cluster::permission::{Action, Target, check};
use cluster::refusal::Refusal;

use crate::roles;
use crate::samples::{EMPTY, commands, name, on, stage};
use crate::world::*;

/// The stage with somebody of every kind on it, in the order of the table's columns.
fn everybody() -> (World, Vec<(&'static str, Actor)>) {
    let mut world = stage();
    world.ok(&owner(), AccessCommand::CreateApplication { application: app_id(2), name: "Other".into() });
    world.ok(&owner(), AccessCommand::CreateApplication { application: EMPTY, name: "Empty".into() });
    let mut actors = vec![("anonymous", anonymous())];
    let roles = [Role::Viewer, Role::ReadOnly, Role::User, Role::Admin];
    for (number, (label, role)) in (2..).zip(["viewer", "read-only", "user", "admin"].into_iter().zip(roles))
    {
        actors.push((label, world.person(number, label, role)));
    }
    // Roles of the application's own making: one of the stage's, one for each side of an admin's work, and one for keys.
    let keeper = [Ability::Watch, Ability::Hold, Ability::Retention, Ability::Purge, Ability::Audit];
    world.ok(&owner(), roles::create(3, "Keeper", &keeper));
    world.ok(&owner(), roles::create(4, "Doorkeeper", &[Ability::Members, Ability::Keys, Ability::Settings]));
    world.ok(&owner(), roles::create(5, "Counters", &[Ability::Metrics]));
    for (number, (label, role)) in (6..).zip([("uploads", 1), ("keeper", 3), ("doorkeeper", 4)]) {
        actors.push((label, world.person(number, label, Role::Viewer)));
        world.ok(&owner(), roles::give(number, role));
    }
    world.ok(&owner(), roles::key(77, 5));
    actors.push(("key-counters", Actor::api_key(key_id(77))));
    for (number, (label, role)) in (12..).zip([("other-user", Role::User), ("other-admin", Role::Admin)]) {
        world.ok(&owner(), create_user(number, label));
        let user = user_id(number);
        world.ok(&owner(), AccessCommand::SetMember { application: app_id(2), user, role });
        world.sign_in(number);
        actors.push((label, person(number)));
    }
    actors.push(("suspended", world.person(14, "suspended", Role::Admin)));
    world.ok(&owner(), AccessCommand::SuspendUser { user: user_id(14), suspended: true });
    world.person(15, "expired", Role::Admin);
    world.ok(&node(), create_session(16, user_id(15), world.now_ms + 1));
    actors.push(("expired", Actor::user(user_id(15), session_id(16))));
    let labels = ["key-viewer", "key-read-only", "key-user", "key-admin"];
    for (number, (label, role)) in (72..).zip(labels.into_iter().zip(roles)) {
        actors.push((label, world.key(number, role)));
    }
    world.ok(&owner(), create_api_key(76, app_id(2), Role::Admin, None));
    actors.push(("other-key", Actor::api_key(key_id(76))));
    actors.push(("cluster-admin", owner()));
    actors.push(("node", node()));
    actors.push(("unknown-node", Actor::system(NodeId(99))));
    world.later(1);
    (world, actors)
}

fn said<T>(answer: Result<T, Refusal>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(Refusal::Forbidden { needs }) => {
            let needs = format!("{needs:?}").to_lowercase().replace("ability(", "may ");
            format!("403:{}", needs.trim_start_matches("role(").trim_end_matches(')'))
        }
        Err(refusal) => refusal.code().to_owned(),
    }
}

fn line(table: &mut String, what: &str, answers: &[(&str, String)]) {
    writeln!(table, "{what}").expect("writing to a string");
    let mut rest: Vec<_> = answers.iter().collect();
    while let Some((_, answer)) = rest.first() {
        let answer = answer.clone();
        let who: Vec<_> = rest.iter().filter(|(_, other)| *other == answer).map(|(who, _)| *who).collect();
        rest.retain(|(_, other)| *other != answer);
        writeln!(table, "    {answer:<22} {}", who.join(" ")).expect("writing to a string");
    }
}

fn targets() -> Vec<(&'static str, Target)> {
    vec![
        ("cluster", Target::Cluster),
        ("application", Target::Application(APP)),
        ("published asset", Target::Asset(asset_id(on::READY))),
        ("unpublished asset", Target::Asset(asset_id(on::PROCESSING))),
        ("trashed asset", Target::Asset(asset_id(on::TRASHED))),
        ("no asset", Target::Asset(asset_id(250))),
        ("job", Target::Job(job_id(on::JOB_QUEUED))),
        ("member", Target::User(user_id(on::BYSTANDER))),
        ("cluster admin", Target::User(user_id(OWNER))),
        ("session of a member", Target::Session(session_id(on::BYSTANDER))),
    ]
}

fn reads() -> Vec<(Action, Vec<&'static str>)> {
    let assets = vec!["published asset", "unpublished asset", "trashed asset", "no asset"];
    vec![
        (Action::SeeStatus, vec!["cluster"]),
        (Action::FollowEvents, vec!["cluster"]),
        (Action::ListUsers, vec!["cluster"]),
        (Action::ListApplications, vec!["cluster"]),
        (Action::SeeUser, vec!["member", "cluster admin"]),
        (Action::ListSessions, vec!["member", "cluster admin"]),
        (Action::SeeApplication, vec!["application"]),
        (Action::ListMembers, vec!["application"]),
        (Action::ListRoles, vec!["application"]),
        (Action::ListInvites, vec!["application"]),
        (Action::ListApiKeys, vec!["application"]),
        (Action::ListCollections, vec!["application"]),
        (Action::ListAssets, vec!["application"]),
        (Action::ListTrash, vec!["application"]),
        (Action::ListJobs, vec!["application"]),
        (Action::SeeAsset, assets.clone()),
        (Action::SeeAssetDetail, assets.clone()),
        (Action::SeeContent, assets.clone()),
        (Action::WatchAsset, assets.clone()),
        (Action::DownloadAsset, assets.clone()),
        (Action::DownloadOriginal, assets.clone()),
        (Action::StopWork, assets),
        (Action::SeeJob, vec!["job"]),
        (Action::ReadAudit, vec!["cluster", "application"]),
        (Action::VerifyAudit, vec!["cluster"]),
        (Action::SeeCluster, vec!["cluster"]),
        (Action::ReadMetrics, vec!["cluster"]),
        (Action::SeeCertificate, vec!["cluster"]),
        (Action::SeeBackups, vec!["cluster"]),
        (Action::SeeAlerts, vec!["cluster"]),
        (Action::ListTrashedApplications, vec!["cluster"]),
        (Action::SeeCryptography, vec!["cluster"]),
    ]
}

#[test]
fn who_may_do_and_see_what_is_as_blessed() {
    let (world, actors) = everybody();
    let mut table = String::from(
        "Every command and every read, by everybody. Answers: ok, a refusal's code, or 403 with what it needs.\n",
    );
    for command in commands() {
        let answers: Vec<_> = actors
            .iter()
            .map(|(who, actor)| (*who, said(world.clone().apply(actor, command.clone()).outcome)))
            .collect();
        line(&mut table, name(&command), &answers);
    }
    for (action, on) in reads() {
        for (label, target) in targets().into_iter().filter(|(label, _)| on.contains(label)) {
            let answers: Vec<_> = actors
                .iter()
                .map(|(who, actor)| (*who, said(check(&world.state, actor, action, target, world.now_ms))))
                .collect();
            line(&mut table, &format!("{action:?} on {label}"), &answers);
        }
    }
    crate::encodings::blessed("permissions.txt", &table);
}

#[test]
fn every_action_is_in_the_matrix() {
    let commands = commands();
    let of_commands = commands.iter().map(|command| cluster::permission::required(command).0);
    let of_reads = reads().into_iter().map(|(action, _)| action);
    let covered: Vec<Action> = of_commands.chain(of_reads).collect();
    let missing: Vec<_> = Action::ALL.iter().filter(|action| !covered.contains(action)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn nobody_outside_an_application_learns_anything_about_it() {
    let (world, actors) = everybody();
    let outside = ["other-user", "other-admin", "other-key"];
    let inside_targets = ["application", "published asset", "unpublished asset", "trashed asset", "job"];
    for (who, actor) in actors.iter().filter(|(who, _)| outside.contains(who)) {
        for (label, target) in targets().iter().filter(|(label, _)| inside_targets.contains(label)) {
            for action in Action::ALL.iter().filter(|action| reads().iter().any(|(read, _)| read == *action))
            {
                if matches!(action, Action::SeeStatus | Action::FollowEvents | Action::ListApplications) {
                    continue;
                }
                let answer = check(&world.state, actor, *action, *target, world.now_ms);
                assert!(matches!(answer, Err(Refusal::NotFound(_))), "{who} {action:?} {label}: {answer:?}");
            }
        }
    }
}
