//! How soon changes are possible again after a leader is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
mod net;
#[path = "support/mod.rs"]
mod support;

use net::lab::Lab;

/// How often the leader is killed: 20 times for figures, fewer in the gate.
fn rounds() -> usize {
    let asked = std::env::var("MEDIAKEEP_FAILOVERS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(6)
}

/// Asks node `at` for one change after another, each as soon as the one before is answered, until told to stop. Gives the
/// moments at which changes were taken.
fn change_on(
    lab: &Lab,
    at: usize,
    enough: Arc<AtomicBool>,
    round: usize,
) -> tokio::task::JoinHandle<Vec<Instant>> {
    let (client, application) = (lab.admin(at), lab.application.clone());
    tokio::spawn(async move {
        let path = format!("/applications/{application}");
        let mut taken = Vec::new();
        for number in 0.. {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            let change = json!({ "name": format!("Films {round} {at} {number}") });
            let request = client.request(Method::PATCH, &path).json(&change);
            if request.send().await.is_ok_and(|answer| answer.status() == 200) {
                taken.push(Instant::now());
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        taken
    })
}

/// The longest time without a change, over both nodes together.
fn gap(mut taken: Vec<Instant>) -> Duration {
    taken.sort_unstable();
    taken.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
}

async fn lose_the_leader(lab: &mut Lab, round: usize, signal: Signal) -> Duration {
    let leader = lab.leader(1).await;
    let enough = Arc::new(AtomicBool::new(false));
    let others = (1..=3).filter(|number| *number != leader);
    let tasks: Vec<_> = others.map(|at| change_on(lab, at, enough.clone(), round)).collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    lab.signal(leader, signal);
    tokio::time::sleep(Duration::from_secs(4)).await;
    enough.store(true, Ordering::Relaxed);
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    if signal == Signal::KILL {
        lab.kill(leader).await;
        lab.start_again(leader).await;
    } else {
        lab.signal(leader, Signal::CONT);
    }
    lab.agree().await;
    gap(taken)
}

fn p95(gaps: &mut [Duration]) -> Duration {
    gaps.sort_unstable();
    gaps[(gaps.len() * 95).div_ceil(100) - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_back_within_a_second_of_a_killed_leader() {
    let mut lab = Lab::start(3).await;
    let mut gaps = Vec::new();
    for round in 0..rounds() {
        gaps.push(lose_the_leader(&mut lab, round, Signal::KILL).await);
    }
    println!("killed: {gaps:?}");
    let p95 = p95(&mut gaps);
    println!("killed: median {:?}, p95 {p95:?} without a change", gaps[gaps.len() / 2]);
    assert!(p95 <= Duration::from_secs(1), "{p95:?} without a change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_back_within_two_seconds_of_a_leader_that_says_nothing() {
    let mut lab = Lab::start(3).await;
    let mut gaps = Vec::new();
    for round in 0..rounds().div_ceil(2) {
        gaps.push(lose_the_leader(&mut lab, round, Signal::STOP).await);
    }
    println!("stopped: {gaps:?}");
    let p95 = p95(&mut gaps);
    assert!(p95 <= Duration::from_secs(2), "{p95:?} without a change");
}
