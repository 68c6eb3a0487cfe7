//! Who is a node and who is not any more, with real nodes: a copied, an old and a wiped disk, a removed node, certificates
//! that end within minutes, a new node that is asked for what was done before it came, and clocks that are wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
mod net;
#[path = "support/mod.rs"]
mod support;

use net::clients::Crowd;
use net::lab::Lab;
use support::wait_for;

/// A clock is read from its file once in two seconds at the latest, and nodes ask one another for it each second. Until
/// they have, two of three clocks may be wrong in a round of their own, and nobody can tell which.
const CLOCK_IS_SEEN_WITHIN: Duration = Duration::from_secs(4);

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

async fn make(lab: &Lab, at: usize, name: &str) {
    let path = format!("/applications/{}/collections", lab.application);
    lab.admin(at).post(&path, &json!({ "name": name })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_an_old_and_a_wiped_disk_stay_outside() {
    let mut lab = Lab::start_with(3, 4, "").await;
    // Node 3 as it is now, for later.
    lab.stop(3).await;
    copy(&lab.dir(3), &lab.dir(4));
    copy(&lab.key(3), &lab.key(4));
    lab.start_again(3).await;
    make(&lab, 3, "after the copy was taken").await;
    lab.agree().await;

    let said = lab.refused(4).await;
    assert!(said.contains("a copy"), "a copy beside the node itself: {said}");
    lab.kill(3).await;
    let said = lab.refused(4).await;
    assert!(said.contains("a copy"), "an old disk in the place of the node: {said}");
    lab.start_again(3).await;
    lab.agree().await;

    lab.stop(3).await;
    std::fs::remove_dir_all(lab.dir(3).join("raft")).unwrap();
    std::fs::remove_dir_all(lab.dir(3).join("snapshots")).unwrap();
    std::fs::create_dir(lab.dir(3).join("raft")).unwrap();
    let said = lab.refused(3).await;
    assert!(said.contains("joins again as a new node"), "a wiped disk: {said}");
    make(&lab, 1, "two go on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_cut_off_at_once_and_its_successor_knows_all_that_was_done() {
    let mut lab = Lab::start_with(3, 4, "").await;
    let crowd = Crowd::gather(&lab, 4).await;
    crowd.progress().await;
    let removed = if lab.leader(1).await == 3 { 2 } else { 3 };
    let other = 5 - removed;
    let id = lab.id_of(removed, 1).await;
    // Stopped in its tracks, it cannot hear of its removal, and its connections stay open.
    lab.signal(removed, Signal::STOP);
    lab.admin(1).delete(&format!("/nodes/{id}")).await.expect(204);
    wait_for("the others close its connections", || async {
        (lab.connections(removed, 1) + lab.connections(removed, other) == 0).then_some(())
    })
    .await;
    lab.signal(removed, Signal::CONT);
    assert!(!lab.ended(removed).await, "it says that it had to stop");
    assert!(lab.said(removed).contains("removed from the cluster"), "and why");
    let said = lab.refused(removed).await;
    assert!(said.contains("removed from the cluster"), "again: {said}");

    lab.join(4).await;
    lab.wait_for_voters(3).await;
    let at_home = audit(&lab, 1).await;
    wait_for("the new node holds the whole audit log", || async {
        let verdict = lab.admin(4).get("/audit/verify").await;
        (verdict.status == 200 && verdict.json()["ok"] == true).then_some(())
    })
    .await;
    let abroad = audit(&lab, 4).await;
    assert!(!at_home.is_empty() && abroad == at_home, "{at_home:?} and {abroad:?}");
    crowd.disperse(&lab).await;
}

/// What nobody in particular has done, as node `at` shows it: the claim, which came before the node itself.
async fn audit(lab: &Lab, at: usize) -> Vec<String> {
    let list = lab.admin(at).get("/audit?actor=anonymous&limit=500").await.expect(200);
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|record| format!("{} {}", record["action"], record["hash"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_end_within_a_minute_are_renewed_and_nobody_notices() {
    let mut lab = Lab::start_with(3, 3, "cluster_certificate_minutes = 1").await;
    // One is away for longer than its certificate lasts.
    lab.stop(3).await;
    let crowd = Crowd::gather(&lab, 4).await;
    crowd.progress().await;
    crowd.longest_gap();
    // Longer than any certificate of the beginning, and than the connections opened by it.
    tokio::time::sleep(Duration::from_secs(75)).await;
    let back = Instant::now();
    lab.start_again(3).await;
    let back = back.elapsed();
    assert!(back < Duration::from_secs(10), "it waited {back:?} for others who turned it away");
    for number in 1..=3 {
        let renewals = lab.said(number).matches("this node has a new certificate").count();
        assert!(renewals >= 1, "node {number} has made {renewals} new certificates");
    }
    crowd.progress().await;
    let gap = crowd.longest_gap();
    assert!(gap < Duration::from_secs(5), "{gap:?} without a change");
    crowd.disperse(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_does_not_lead_and_moves_nobodys_time() {
    let lab = Lab::start_with_clocks(3).await;
    let crowd = Crowd::gather(&lab, 4).await;
    crowd.progress().await;
    for ahead in ["+3600", "-3600", "+315360000"] {
        let leader = lab.leader(1).await;
        let before = lab.cluster_time_ms(leader).await;
        crowd.longest_gap();
        lab.set_clock(leader, ahead);
        let others: Vec<usize> = (1..=3).filter(|number| *number != leader).collect();
        wait_for("another node leads", || async { (lab.leader(others[0]).await != leader).then_some(()) })
            .await;
        crowd.progress().await;
        let gap = crowd.longest_gap();
        println!("the leader's clock jumps by {ahead} s: {gap:?} without a change");
        assert!(gap < Duration::from_secs(10), "{gap:?} without a change");
        let after = lab.cluster_time_ms(others[0]).await;
        assert!((before..before + 120_000).contains(&after), "cluster time went from {before} to {after}");
        // A sign-in is judged by the cluster's time, on the node whose clock is wrong too.
        lab.admin(leader).get("/cluster").await.expect(200);
        lab.set_clock(leader, "+0");
        crowd.progress().await;
        // The next clock is the only one that is wrong.
        tokio::time::sleep(CLOCK_IS_SEEN_WITHIN).await;
    }
    crowd.disperse(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_emptied_lets_another_lead_first() {
    let lab = Lab::start(3).await;
    let crowd = Crowd::gather(&lab, 4).await;
    crowd.progress().await;
    crowd.longest_gap();
    let leader = lab.leader(1).await;
    let id = lab.id_of(leader, 1).await;
    let drain = format!("/nodes/{id}/drain");
    lab.admin(1).post(&drain, &json!({ "draining": true })).await.expect(204);
    let other = leader % 3 + 1;
    wait_for("another node leads", || async { (lab.leader(other).await != leader).then_some(()) }).await;
    crowd.progress().await;
    let gap = crowd.longest_gap();
    println!("a leader is emptied: {gap:?} without a change");
    assert!(gap < Duration::from_secs(3), "{gap:?} without a change");
    lab.admin(other).post(&drain, &json!({ "draining": false })).await.expect(204);
    crowd.disperse(&lab).await;
}
