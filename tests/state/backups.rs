//! Backups: one at a time, taken over, kept for their days and no longer, and what a running one pins.

use cluster::command::{BackupCommand, BackupKind, BackupResult};
use cluster::outcome::Outcome;
use cluster::refusal::{Noun, Problem, Refusal};
use cluster::state::Limits;

use crate::world::*;

fn with_target() -> World {
    let mut world = World::claimed();
    world.ok(&owner(), BackupCommand::SetTarget { target: target_id(1), settings: kept(30), secret: None });
    world
}

fn kept(days: u16) -> cluster::command::TargetSettings {
    cluster::command::TargetSettings { keep_days: days, ..folder("disk") }
}

fn begin(number: u8, kind: BackupKind) -> BackupCommand {
    BackupCommand::Begin { run: run_id(number), target: target_id(1), node: NODE, kind }
}

fn finish(number: u8, epoch: u64) -> BackupCommand {
    BackupCommand::Finish { run: run_id(number), epoch, result: BackupResult::default() }
}

fn expire(number: u8) -> BackupCommand {
    BackupCommand::Expire { run: run_id(number) }
}

fn taken(world: &mut World, number: u8) {
    world.ok(&node(), begin(number, BackupKind::Copy));
    world.ok(&node(), finish(number, 1));
}

#[test]
fn one_run_at_a_time_and_whoever_was_taken_over_has_no_say() {
    let mut world = with_target();
    world.ok(&owner(), begin(1, BackupKind::Copy));
    assert_eq!(world.refused(&owner(), begin(2, BackupKind::Copy)), Refusal::BackupRunning);
    assert_eq!(
        world.refused(&owner(), BackupCommand::RemoveTarget { target: target_id(1) }),
        Refusal::BackupRunning
    );
    world.ok(&node(), BackupCommand::TakeOver { run: run_id(1), node: NODE });
    assert_eq!(world.refused(&node(), finish(1, 1)), Refusal::BackupOver);
    assert_eq!(
        world.refused(&node(), BackupCommand::Renew { run: run_id(1), epoch: 1 }),
        Refusal::BackupOver
    );
    world.ok(&node(), finish(1, 2));
    assert_eq!(world.refused(&node(), finish(1, 2)), Refusal::BackupOver);
    // Only what is whole can be looked at.
    let verify = |number| BackupKind::Verify { of: run_id(number), full: true };
    assert_eq!(world.refused(&owner(), begin(3, verify(9))), Refusal::NotFound(Noun::BackupRun));
    world.ok(&owner(), begin(3, verify(1)));
    world.ok(&node(), finish(3, 1));
    assert_eq!(world.refused(&owner(), begin(4, verify(3))), Refusal::BackupNotWhole);
}

#[test]
fn a_backup_is_there_on_day_29_and_gone_after_day_30_by_two_stamps_an_hour_apart() {
    let mut world = with_target();
    taken(&mut world, 1);
    world.later(DAY);
    taken(&mut world, 2);
    world.later(28 * DAY);
    assert_eq!(world.refused(&node(), expire(1)), Refusal::NotDue, "day 29");
    world.later(DAY);
    assert_eq!(world.ok(&node(), expire(1)), Outcome::NotedDue, "day 30: noted first");
    assert_eq!(world.refused(&node(), expire(1)), Refusal::NotDue, "and again only an hour later");
    assert!(world.state.backup_run(run_id(1)).unwrap().whole().is_some(), "it can be restored until then");
    world.later(HOUR);
    assert_eq!(world.ok(&node(), expire(1)), Outcome::Purged);
    assert!(world.state.backup_run(run_id(1)).unwrap().whole().is_none());
    // The newest one stays, however old it is.
    world.later(400 * DAY);
    assert_eq!(world.refused(&node(), expire(2)), Refusal::NotDue);
    world.ok(&node(), BackupCommand::Forget { run: run_id(1) });
    assert_eq!(world.refused(&node(), BackupCommand::Forget { run: run_id(2) }), Refusal::NotDue);
}

#[test]
fn a_running_backup_pins_what_it_names_and_the_pin_of_a_dead_one_ends() {
    let mut world = with_target();
    assert_eq!(world.state.backup_pin(world.now_ms), None);
    world.ok(&owner(), begin(1, BackupKind::Copy));
    let until_ms = world.state.backup_pin(world.now_ms).expect("it is pinned");
    assert_eq!(until_ms, world.state.time_ms() + Limits::BACKUP_PIN_MS);
    world.later(Limits::BACKUP_PIN_MS / 2);
    world.ok(&node(), BackupCommand::Renew { run: run_id(1), epoch: 1 });
    assert!(world.state.backup_pin(until_ms).is_some(), "its node was heard of since");
    world.later(Limits::BACKUP_PIN_MS + 1);
    assert_eq!(world.state.backup_pin(world.now_ms), None, "its node is gone");
    world.ok(&node(), BackupCommand::TakeOver { run: run_id(1), node: NODE });
    assert!(world.state.backup_pin(world.now_ms).is_some(), "somebody goes on");
    world.ok(&node(), finish(1, 2));
    assert_eq!(world.state.backup_pin(world.now_ms), None);
}

#[test]
fn a_state_that_was_restored_is_whole_and_belongs_to_its_new_node() {
    let mut world = crate::samples::stage();
    world.ok(&owner(), paced(Some(5), Some(90)));
    let (home, keys) = crate::world::new_home(&world.state);
    let before = world.state.assets_by_id(None).count();
    let (state, incomplete) = world.state.clone().restored(&home);
    assert!(state.indexes_agree());
    assert_eq!(state.assets_by_id(None).count() + incomplete.len(), before);
    assert!(!incomplete.is_empty(), "one was being uploaded");
    assert_eq!(state.nodes().map(|node| node.id).collect::<Vec<_>>(), [home.node.id]);
    for asset in state.assets_by_id(None) {
        assert_eq!(state.holders(asset.id).iter().collect::<Vec<_>>(), [home.node.id]);
        assert!(asset.blobs.iter().all(|blob| blob.sealed.is_some()), "nothing is open");
    }
    assert_eq!(state.sealed_keys().map(|(epoch, _)| epoch).collect::<Vec<_>>(), keys);
    assert!(state.sealed_keys().all(|(_, sealed)| sealed.len() == 2), "for the node and the recovery key");
    assert!(state.is_removed(NODE), "the old node is none any more");
    assert_eq!((state.backup_targets().count(), state.backup_pace(target_id(1))), (0, None));
    assert_eq!(state.users_by_name(None).map(|user| state.sessions_of(user.id).count()).sum::<usize>(), 0);
}

#[test]
fn the_age_of_the_newest_whole_backup_counts_from_when_the_target_was_set_and_only_with_a_schedule() {
    let mut world = with_target();
    let age = |world: &World| {
        let target = world.state.backup_target(target_id(1)).expect("it was set");
        world.state.backup_age_ms(target, world.now_ms)
    };
    world.later(2 * DAY);
    assert_eq!(age(&world), Some(2 * DAY), "never made");
    world.ok(&node(), begin(1, BackupKind::Copy));
    world.later(HOUR);
    assert_eq!(age(&world), Some(2 * DAY + HOUR), "one that runs is none yet");
    let (code, reason) = ("target_full".to_owned(), "There is no room.".to_owned());
    world.ok(&node(), BackupCommand::Fail { run: run_id(1), epoch: 1, code, reason });
    assert_eq!(age(&world), Some(2 * DAY + HOUR), "one that came to nothing is none");
    taken(&mut world, 2);
    assert_eq!(age(&world), Some(0));
    world.later(7 * DAY);
    assert_eq!(age(&world), Some(7 * DAY));
    // Changed in what does not matter, it is no younger; without a schedule nothing is expected of it.
    world.ok(&owner(), BackupCommand::SetTarget { target: target_id(1), settings: kept(60), secret: None });
    assert_eq!(age(&world), Some(7 * DAY));
    let settings = cluster::command::TargetSettings { daily_at_minute: None, ..kept(30) };
    world.ok(&owner(), BackupCommand::SetTarget { target: target_id(1), settings, secret: None });
    assert_eq!(age(&world), None);
}

#[test]
fn the_newest_drill_says_whether_all_was_well() {
    let mut world = with_target();
    taken(&mut world, 1);
    assert_eq!(world.state.newest_drill(target_id(1)), None);
    world.ok(&node(), begin(2, BackupKind::Drill { of: run_id(1) }));
    assert_eq!(world.state.newest_drill(target_id(1)), None, "it has not ended");
    world.ok(&node(), finish(2, 1));
    assert_eq!(world.state.newest_drill(target_id(1)), Some((world.now_ms, true)));
    world.later(HOUR);
    world.ok(&node(), begin(3, BackupKind::Drill { of: run_id(1) }));
    let result =
        BackupResult { flaw_count: 1, flaws: vec!["an object is gone".into()], ..Default::default() };
    world.ok(&node(), BackupCommand::Finish { run: run_id(3), epoch: 1, result });
    assert_eq!(world.state.newest_drill(target_id(1)), Some((world.now_ms, false)));
}

fn paced(every_minutes: Option<u16>, daily_at_minute: Option<u16>) -> BackupCommand {
    let settings = cluster::command::TargetSettings { daily_at_minute, ..kept(30) };
    BackupCommand::SetPacedTarget { target: target_id(1), settings, secret: None, every_minutes }
}

#[test]
fn what_is_taken_between_two_of_the_schedule_is_whole_and_kept_for_a_day() {
    let mut world = with_target();
    taken(&mut world, 1);
    world.later(HOUR);
    world.ok(&node(), begin(2, BackupKind::Interim));
    world.ok(&node(), finish(2, 1));
    assert_eq!(world.state.newest_whole(target_id(1)).map(|run| run.id), Some(run_id(2)));
    world.ok(&owner(), begin(3, BackupKind::Verify { of: run_id(2), full: true }));
    world.ok(&node(), finish(3, 1));
    world.later(2 * DAY);
    assert_eq!(world.refused(&node(), expire(2)), Refusal::NotDue, "the newest one stays");
    taken(&mut world, 4);
    assert_eq!(world.ok(&node(), expire(2)), Outcome::NotedDue);
    world.later(HOUR);
    assert_eq!(world.ok(&node(), expire(2)), Outcome::Purged);
    assert_eq!(world.refused(&node(), expire(1)), Refusal::NotDue, "of the schedule, kept for its days");
}

#[test]
fn a_place_that_is_away_for_long_does_not_push_out_its_last_drill() {
    let mut world = with_target();
    taken(&mut world, 1);
    world.ok(&node(), begin(2, BackupKind::Drill { of: run_id(1) }));
    world.ok(&node(), finish(2, 1));
    for number in 3..=250 {
        world.later(1);
        world.ok(&node(), begin(number, BackupKind::Interim));
        let (code, reason) = ("target_unreachable".to_owned(), String::new());
        world.ok(&node(), BackupCommand::Fail { run: run_id(number), epoch: 1, code, reason });
    }
    assert_eq!(world.state.newest_drill(target_id(1)).map(|(_, well)| well), Some(true));
    assert_eq!(world.state.backup_runs().len(), 2 + Limits::FAILED_INTERIM_BACKUPS + 1);
    assert_eq!(world.state.newest_whole(target_id(1)).map(|run| run.id), Some(run_id(1)));
}

#[test]
fn a_pace_needs_a_time_of_the_day_and_goes_with_it() {
    let mut world = with_target();
    let pace = |world: &World| world.state.backup_pace(target_id(1));
    let refused = Refusal::invalid("every_minutes", Problem::OutOfRange);
    for (every, daily) in [(5, None), (0, Some(90)), (Limits::BACKUP_PACE_MINUTES + 1, Some(90))] {
        assert_eq!(world.refused(&owner(), paced(Some(every), daily)), refused);
    }
    assert_eq!(pace(&world), None);
    world.ok(&owner(), paced(Some(5), Some(90)));
    assert_eq!(pace(&world), Some(5));
    // A new secret under a new cluster key says nothing of the pace.
    let settings = cluster::command::TargetSettings { daily_at_minute: Some(90), ..kept(30) };
    world.ok(&owner(), BackupCommand::SetTarget { target: target_id(1), settings, secret: None });
    assert_eq!(pace(&world), Some(5));
    world.ok(&owner(), paced(None, Some(90)));
    assert_eq!(pace(&world), None);
    world.ok(&owner(), paced(Some(5), Some(90)));
    world.ok(&owner(), BackupCommand::RemoveTarget { target: target_id(1) });
    assert_eq!(pace(&world), None);
}
