//! The seeded simulation: many worlds, each in a process of its own, and planted faults that must be found.
//!
//! `MEDIAKEEP_SIM_SEED=n cargo nextest run --workspace --test sim one_world` runs one again. More of them:
//! `./just sim SEEDS`.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod entropy;
mod fleet;

use cluster::sim::{Plan, Planted, Report, run};

use fleet::{Asked, Outcome};

/// Worlds in one ordinary run.
const WORLDS: u64 = 1000;
/// Worlds that are run twice.
const TWICE: u64 = 20;
/// Worlds by which a planted fault must have been found, and how many are run at once.
const TO_FIND: u64 = 200;
const AT_ONCE: usize = 8;

/// The world that the environment asks for, or number 1: what every other test here starts as a process.
#[test]
fn one_world() {
    let asked = Asked::from_environment();
    let plan = Plan { seed: asked.seed, keep: asked.keep, planted: asked.planted };
    let report = run(plan).unwrap();
    fleet::tell(&report);
    assert!(report.violations.is_empty(), "{}", explained(&report, &asked));
}

fn explained(report: &Report, asked: &Asked) -> String {
    let mut text = report.kept.join("\n");
    for violation in &report.violations {
        text.push_str(&format!("\nVIOLATION: {violation}"));
    }
    format!("{text}\nagain: {}", asked.command())
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let seeds: Vec<u64> = (1..=TWICE).collect();
    let first = fleet::run(&seeds, None);
    let second = fleet::run(&seeds, None);
    for (one, other) in first.iter().zip(&second) {
        assert!(one.hash.is_some(), "seed {} told no hash:\n{}", one.seed, one.said);
        assert_eq!(one.hash, other.hash, "seed {}: {}", one.seed, Asked::of(one.seed, None).command());
    }
    let mut different: Vec<_> = first.iter().map(|outcome| &outcome.hash).collect();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), first.len(), "other seeds give other worlds");
}

#[test]
fn no_world_breaks_a_promise() {
    let first = fleet::number("MEDIAKEEP_SIM_FIRST").unwrap_or(1);
    let count = fleet::number("MEDIAKEEP_SIM_SEEDS").unwrap_or(WORLDS);
    let seeds: Vec<u64> = (first..first + count).collect();
    let outcomes = fleet::run(&seeds, None);
    let broken: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.is_well).collect();
    let sum = |one: fn(&Outcome) -> u64| outcomes.iter().map(one).sum::<u64>();
    println!(
        "{count} worlds: {} calls answered, {} crashes, {} nodes replaced, {} of {} messages lost",
        sum(|outcome| outcome.answered),
        sum(|outcome| outcome.crashes),
        sum(|outcome| outcome.replaced),
        sum(|outcome| outcome.lost),
        sum(|outcome| outcome.messages),
    );
    assert!(sum(|outcome| outcome.answered) > count * 20, "the worlds did too little to prove anything");
    assert!(sum(|outcome| outcome.crashes) > count, "the worlds were too quiet to prove anything");
    let said: Vec<String> = broken.iter().take(3).map(|outcome| outcome.said.clone()).collect();
    let seeds: Vec<u64> = broken.iter().map(|outcome| outcome.seed).collect();
    assert!(broken.is_empty(), "{}\nseeds that broke a promise: {seeds:?}", said.join("\n\n"));
}

#[expect(clippy::print_stdout, reason = "whoever repeats the fault needs the seed")]
fn is_found(planted: Planted) {
    for first in (1..=TO_FIND).step_by(AT_ONCE) {
        let seeds: Vec<u64> = (first..first + AT_ONCE as u64).collect();
        let outcomes = fleet::run(&seeds, Some(planted));
        let finds = |outcome: &&Outcome| !outcome.is_well && outcome.said.contains("VIOLATION");
        if let Some(found) = outcomes.iter().find(finds) {
            let what = found.said.lines().find(|line| line.contains("VIOLATION")).unwrap_or_default();
            return println!("{planted:?} is found by seed {}: {what}", found.seed);
        }
    }
    panic!("{planted:?} was not found by any of {TO_FIND} worlds");
}

#[test]
fn a_skipped_sync_is_found() {
    is_found(Planted::SkipSync);
}

#[test]
fn an_acknowledgement_at_one_copy_is_found() {
    is_found(Planted::AcknowledgeAtOneCopy);
}

#[test]
fn a_read_that_asks_nobody_is_found() {
    is_found(Planted::ReadWithoutAsking);
}

#[test]
fn a_change_that_is_made_twice_is_found() {
    is_found(Planted::ForgetRequests);
}

#[test]
fn a_skipped_sync_of_a_blob_is_found() {
    is_found(Planted::SkipBlobSync);
}

#[test]
fn an_acknowledgement_of_a_blob_at_one_copy_is_found() {
    is_found(Planted::AcknowledgeBlobAtOneCopy);
}

#[test]
fn a_writer_that_was_fenced_off_and_goes_on_is_found() {
    is_found(Planted::AcceptLowerEpoch);
}

#[test]
fn a_removal_before_its_time_is_found() {
    is_found(Planted::IgnoreGrace);
}

#[test]
fn a_leader_that_calls_agreed_what_its_disk_lacks_is_found() {
    is_found(Planted::AgreeBeforeDurable);
}

#[test]
fn a_follower_that_acknowledges_what_its_disk_lacks_is_found() {
    is_found(Planted::AnswerBeforeDurable);
}

#[test]
fn a_change_that_is_carried_out_before_it_is_durable_is_found() {
    is_found(Planted::ApplyBeforeDurable);
}
