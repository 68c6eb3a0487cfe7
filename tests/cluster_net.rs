//! Three real nodes at three sites, each with a network of its own, while nodes are killed and stopped, cables cut, and
//! ways long and lossy. Clients write down what they hear: one order must explain it, nothing acknowledged is lost, no
//! change is made twice, and in the end all nodes hold the same State.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
mod net;
#[path = "support/power_cut_fs.rs"]
#[allow(dead_code, reason = "here no power is cut")]
mod power_cut_fs;
#[path = "support/mod.rs"]
mod support;

use net::clients::Crowd;
use net::lab::Lab;
use net::short_or;
use net::switch::Path;
use power_cut_fs::{Mounted, Names, PowerCutDisk};

/// Clients at work during the trouble.
const CLIENTS: usize = 6;
/// After one node is lost, changes are possible again within this time, on a busy machine too.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// The same when all nodes were killed.
const ALL_BACK_WITHIN: Duration = Duration::from_secs(30);

fn next(number: usize) -> usize {
    number % 3 + 1
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_stopped_nodes_lose_nothing() {
    let mut lab = Lab::start(3).await;
    let crowd = Crowd::gather(&lab, CLIENTS).await;
    crowd.progress().await;
    crowd.longest_gap();

    let leader = lab.leader(1).await;
    lab.kill(leader).await;
    crowd.progress().await;
    let gap = crowd.longest_gap();
    println!("the leader is killed: {gap:?} without a change");
    assert!(gap <= BACK_WITHIN, "{gap:?} without a change when the leader was killed");
    lab.start_again(leader).await;

    let follower = next(lab.leader(next(leader)).await);
    lab.kill(follower).await;
    crowd.progress().await;
    let gap = crowd.longest_gap();
    println!("a follower is killed: {gap:?} without a change");
    assert!(gap <= BACK_WITHIN, "{gap:?} without a change when a follower was killed");
    lab.start_again(follower).await;

    let leader = lab.leader(follower).await;
    lab.signal(leader, Signal::STOP);
    pass(Duration::from_secs(2)).await;
    crowd.progress().await;
    pass(short_or(Duration::from_secs(28), Duration::from_secs(6))).await;
    let gap = crowd.longest_gap();
    println!("the leader is stopped: {gap:?} without a change");
    assert!(gap <= BACK_WITHIN, "{gap:?} without a change while the leader was stopped");
    lab.signal(leader, Signal::CONT);
    crowd.progress().await;

    lab.kill_all(&[1, 2, 3]).await;
    lab.start_all_again(&[1, 2, 3]).await;
    crowd.progress().await;
    let gap = crowd.longest_gap();
    println!("all are killed and started: {gap:?} without a change");
    assert!(gap <= ALL_BACK_WITHIN, "{gap:?} without a change when all were killed");
    crowd.disperse(&lab).await;
}

/// What a node that is cut off answers: no change, and no read that claims to know everything.
async fn knows_that_it_is_alone(lab: &Lab, number: usize) {
    let alone = lab.admin(number);
    let path = format!("/applications/{}/collections", lab.application);
    let latest = alone.request(Method::GET, &path).header("cache-control", "no-cache");
    let read = latest.timeout(Duration::from_secs(30)).send().await.unwrap();
    assert_eq!(read.status(), 503, "a read that must see everything");
    let change = alone.request(Method::POST, &path).json(&json!({ "name": format!("alone on {number}") }));
    let change = change.timeout(Duration::from_secs(40)).send().await.unwrap();
    assert_eq!(change.status(), 503, "a change");
    assert_eq!(alone.get(&path).await.status, 200, "what it knows by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cables_cut_in_every_way_lose_nothing() {
    let lab = Lab::start(3).await;
    let crowd = Crowd::gather(&lab, CLIENTS).await;
    crowd.progress().await;
    crowd.longest_gap();

    // The leader's site is cut off.
    let leader = lab.leader(1).await;
    lab.isolate(&[leader], true);
    crowd.progress().await;
    knows_that_it_is_alone(&lab, leader).await;
    let gap = crowd.longest_gap();
    println!("the leader is cut off: {gap:?} without a change");
    assert!(gap <= BACK_WITHIN, "{gap:?} without a change when the leader was cut off");
    lab.isolate(&[leader], false);
    crowd.progress().await;

    // A leader that hears nobody, and one that nobody hears.
    for hears in [false, true] {
        let leader = lab.leader(1).await;
        for other in [next(leader), next(next(leader))] {
            let (from, to) = if hears { (leader, other) } else { (other, leader) };
            lab.path(from, to, |path| path.cut = true);
        }
        pass(Duration::from_secs(2)).await;
        crowd.progress().await;
        let gap = crowd.longest_gap();
        println!("the leader is cut off one way ({hears}): {gap:?} without a change");
        assert!(
            gap <= Duration::from_secs(10),
            "{gap:?} without a change when the leader was cut off one way"
        );
        lab.all_paths(Path::default());
        crowd.progress().await;
    }

    // Two cannot reach one another, the third reaches both.
    lab.path(1, 2, |path| path.cut = true);
    lab.path(2, 1, |path| path.cut = true);
    pass(Duration::from_secs(3)).await;
    let terms = term(&lab, 3).await;
    pass(short_or(Duration::from_secs(60), Duration::from_secs(8))).await;
    crowd.progress().await;
    let elections = term(&lab, 3).await - terms;
    println!("two of three cannot reach one another: {elections} elections");
    assert!(elections <= 4, "{elections} elections while two of three could not reach one another");
    lab.all_paths(Path::default());
    // Who could not hear the leader has stood for election in vain, again and again, and is back with what it counted.
    let settled = settled_term(&lab).await;
    println!("they find together again: the term grows by {}", settled - terms);

    // A cable that comes and goes once a second.
    let (terms, times) = (settled, short_or(Duration::from_secs(150), Duration::from_secs(6)).as_secs());
    for _ in 0..times {
        lab.isolate(&[1], true);
        pass(Duration::from_millis(500)).await;
        lab.isolate(&[1], false);
        pass(Duration::from_millis(500)).await;
    }
    crowd.progress().await;
    let elections = term(&lab, 3).await - terms;
    println!("a cable comes and goes {times} times: {elections} elections");
    assert!(elections <= times, "{elections} elections while a cable came and went {times} times");
    crowd.disperse(&lab).await;
}

/// The term once all nodes have had the same for two seconds.
async fn settled_term(lab: &Lab) -> u64 {
    let began = Instant::now();
    let (mut since, mut last) = (began, [0; 3]);
    while since.elapsed() < Duration::from_secs(2) {
        let now = [term(lab, 1).await, term(lab, 2).await, term(lab, 3).await];
        if now != last || now != [now[0]; 3] {
            (since, last) = (Instant::now(), now);
        }
        assert!(began.elapsed() < support::DEADLINE, "they do not agree who leads: {now:?}");
        pass(Duration::from_millis(100)).await;
    }
    last[0]
}

async fn term(lab: &Lab, seen_by: usize) -> u64 {
    lab.admin(seen_by).get("/cluster").await.expect(200)["term"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_and_lossy_ways_and_a_lost_site_lose_nothing() {
    let mut lab = Lab::start_with(3, 3, "cluster_distance = \"far\"").await;
    let crowd = Crowd::gather(&lab, CLIENTS).await;
    crowd.progress().await;

    let millis = Duration::from_millis;
    let terms = term(&lab, 1).await;
    lab.all_paths(Path { delay: millis(40), ..Path::default() });
    pass(short_or(Duration::from_secs(60), Duration::from_secs(8))).await;
    crowd.progress().await;
    let elections = term(&lab, 1).await - terms;
    println!("80 ms there and back: {elections} elections");
    assert!(elections <= 2, "{elections} elections over a way of 80 ms there and back");

    let bad =
        Path { delay: millis(20), jitter: millis(60), lost_percent: 20, doubled_percent: 5, cut: false };
    lab.all_paths(bad);
    pass(short_or(Duration::from_secs(60), Duration::from_secs(10))).await;
    crowd.progress().await;
    lab.all_paths(Path::default());
    crowd.progress().await;

    // A site is gone, machine and cables, and comes back later.
    crowd.longest_gap();
    let leader = lab.leader(1).await;
    lab.isolate(&[leader], true);
    lab.kill(leader).await;
    crowd.progress().await;
    let gap = crowd.longest_gap();
    println!("a site is lost: {gap:?} without a change");
    assert!(gap <= Duration::from_secs(10), "{gap:?} without a change when a site was lost");
    lab.isolate(&[leader], false);
    lab.start_again(leader).await;
    crowd.disperse(&lab).await;
}

/// Moves what node `number` has to a disk whose syncs can be made slow, and starts it there.
async fn move_to_a_disk(lab: &mut Lab, number: usize) -> (PowerCutDisk, Mounted) {
    let (dir, before) = (lab.dir(number), lab.dir(number).with_extension("before"));
    lab.stop(number).await;
    std::fs::rename(&dir, &before).unwrap();
    std::fs::create_dir(&dir).unwrap();
    let disk = PowerCutDisk::new(Names::Journalled, 1 << 32);
    let mounted = disk.mount(&dir);
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-a").arg(before.join(".")).arg(&dir).status().unwrap().success());
    lab.start_again(number).await;
    (disk, mounted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_becomes_slow_is_followed_once_and_no_storm_of_elections_begins() {
    let mut lab = Lab::start(3).await;
    let mut disks = Vec::new();
    for number in 1..=3 {
        disks.push(move_to_a_disk(&mut lab, number).await);
    }
    let crowd = Crowd::gather(&lab, 2).await;
    crowd.progress().await;
    let slow = lab.leader(1).await;
    let term_before = lab.term(slow).await;
    crowd.longest_gap();

    disks[slow - 1].0.slow_syncs(Duration::from_millis(500));
    let other = next(slow);
    let leader = support::wait_for("another leads", || async {
        let leader = lab.leader(other).await;
        (leader != slow).then_some(leader)
    })
    .await;
    pass(Duration::from_secs(5)).await;
    crowd.progress().await;
    let (gap, terms) = (crowd.longest_gap(), lab.term(other).await - term_before);
    println!("{gap:?} without a change, {terms} elections");
    assert_eq!(lab.leader(other).await, leader, "whoever leads goes on");
    assert!(gap <= BACK_WITHIN, "{gap:?} without a change when the leader's disk became slow");
    assert!(terms <= 3, "{terms} elections");
    disks[slow - 1].0.slow_syncs(Duration::ZERO);
    crowd.disperse(&lab).await;
    lab.kill_all(&[1, 2, 3]).await;
    disks.into_iter().for_each(|(_, mounted)| mounted.unmount());
}
