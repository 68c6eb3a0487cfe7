//! How soon changes are possible again after a leader is lost, and that serving as fast as it can costs nobody the lead.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
#[path = "media_support.rs"]
#[allow(dead_code, reason = "the tests of media use more of it")]
mod media_support;
mod net;
#[path = "support/mod.rs"]
mod support;

use net::lab::Lab;
use support::Client;

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

/// What each node is to consensus, by its number, as node `seen_by` shows it.
async fn roles(lab: &Lab, seen_by: usize) -> Vec<String> {
    let cluster = lab.admin(seen_by).get("/cluster").await.expect(200);
    let nodes = cluster["nodes"].as_array().unwrap();
    let role = |number| {
        let name = format!("n{number}");
        let node = nodes.iter().find(|node| node["name"] == name.as_str()).unwrap();
        node["role"].as_str().unwrap_or_default().to_owned()
    };
    (1..=nodes.len()).map(role).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_four_nodes_two_may_be_lost_one_after_the_other() {
    let mut lab = Lab::start_with(4, 4, "cluster_voter_silent_seconds = 5").await;
    let before = roles(&lab, 1).await;
    let number = |role: &str| before.iter().position(|found| found == role).unwrap() + 1;
    let (leader, learner, first) = (number("leader"), number("learner"), number("voter"));
    lab.kill(first).await;
    support::wait_for("another votes for the first that is lost", || async {
        (roles(&lab, leader).await[learner - 1] == "voter").then_some(())
    })
    .await;
    lab.kill(leader).await;
    let (client, path) = (lab.admin(learner), format!("/applications/{}", lab.application));
    support::wait_for("a change without the second", || async {
        let request = client.request(Method::PATCH, &path).json(&json!({ "name": "Two are left" }));
        request.send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;

    lab.start_again(first).await;
    lab.start_again(leader).await;
    lab.agree().await;
    support::wait_for("three vote", || async {
        let roles = roles(&lab, learner).await;
        (roles.iter().filter(|role| *role != "learner").count() == 3).then_some(())
    })
    .await;
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

/// Begins to watch at node `at` again and again, sometimes in place of what already runs, until told to stop. Gives the
/// paths of all Views that began.
fn watch_all_one_can(
    lab: &Lab,
    at: usize,
    asset: &str,
    enough: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Vec<String>> {
    let (client, views) = (lab.admin(at), format!("/assets/{asset}/views"));
    tokio::spawn(async move {
        let mut begun = Vec::new();
        for number in 0_u32.. {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            let running = client.request(Method::GET, "/views").send().await;
            let running: serde_json::Value = match running {
                Ok(answer) => answer.json().await.unwrap_or_default(),
                Err(_) => continue,
            };
            let oldest = running["items"][0]["view"].clone();
            let wanted = json!({ "in_place_of": if number % 2 == 0 { oldest } else { json!(null) } });
            let Ok(answer) = client.request(Method::POST, &views).json(&wanted).send().await else {
                continue;
            };
            if answer.status() == 201 {
                let view: serde_json::Value = answer.json().await.unwrap_or_default();
                let playlist = view["playlist_url"].as_str().unwrap_or_default();
                begun.push(format!("={}", playlist.replace("main.m3u8", "key/0")));
            }
        }
        begun
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_watches_more_at_once_than_they_may_while_the_leader_changes() {
    let mut lab = Lab::start(3).await;
    let admin = lab.admin(1);
    let clip = media_support::clip();
    let asset = media_support::begin(&admin, clip.len()).await;
    assert_eq!(media_support::send(&admin, &asset, 0, clip).await.status, 204);
    media_support::ready(&admin, &asset).await;
    let limit = json!({ "views_at_once": 2 });
    admin.patch(&format!("/applications/{}", lab.application), &limit).await.expect(200);
    let leader = lab.leader(1).await;
    let enough = Arc::new(AtomicBool::new(false));
    // Two at each node, the one that is killed included.
    let tasks = (1..=3).chain(1..=3).map(|at| watch_all_one_can(&lab, at, &asset, enough.clone()));
    let tasks: Vec<_> = tasks.collect();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    lab.kill(leader).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    enough.store(true, Ordering::Relaxed);
    let mut begun = Vec::new();
    for task in tasks {
        begun.extend(task.await.unwrap());
    }
    println!("{} views began", begun.len());
    assert!(begun.len() > 20, "{} views began, with a limit of two", begun.len());
    lab.start_again(leader).await;
    lab.agree().await;
    for at in 1..=3 {
        let viewer = lab.nobody(at);
        let mut playing = 0;
        for key in &begun {
            playing += usize::from(viewer.get(key).await.status == 200);
        }
        assert_eq!(playing, 2, "at node {at}");
    }
}

/// Three nodes on the loopback interface: there it is the processors that are saturated, and not a cable.
async fn beside_one_another(folder: &tempfile::TempDir) -> (tokio::process::Child, support::Ready) {
    let config = folder.path().join("config.toml");
    let limits = "[limits]\nrequests_per_second = 100000\nrequest_burst = 100000\nworkers = 2\n";
    std::fs::write(&config, limits).unwrap();
    let mut command = tokio::process::Command::new(support::program());
    command.args(["dev", "--nodes", "3", "--stop-with-input", "--dir"]).arg(folder.path().join("dev"));
    let (dev, line) = support::started(command.arg("--config").arg(&config), "three nodes").await;
    (dev, serde_json::from_str(&line).unwrap())
}

/// The place of the node that leads, and the election count.
async fn lead(admin: &Client, ready: &support::Ready) -> (usize, u64) {
    let cluster = admin.get("/cluster").await.expect(200);
    let leader = cluster["nodes"].as_array().unwrap().iter().find(|node| node["role"] == "leader").unwrap();
    let address = leader["public_address"].as_str().unwrap();
    let place = ready.nodes.iter().position(|node| node.url.ends_with(address)).unwrap();
    (place, cluster["term"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serving_as_fast_as_it_can_costs_nobody_the_lead() {
    let folder = tempfile::tempdir().unwrap();
    let (dev, nodes) = beside_one_another(&folder).await;
    let nobody =
        |at: usize| Client { http: support::http(&nodes.ca), base: nodes.nodes[at].url.clone(), token: None };
    let sign_in = json!({ "username": nodes.username, "password": nodes.password });
    let token = nobody(0).post("/sessions?kind=token", &sign_in).await.expect(201)["token"].clone();
    let signed_in = |at: usize| Client { token: token.as_str().map(str::to_owned), ..nobody(at) };
    let admin = signed_in(0);
    let path = format!("/applications/{}/files/clip.mp4", nodes.application);
    let body = media_support::longer_clip().to_vec();
    let answer = admin.send(admin.request(Method::PUT, &path).body(body)).await.expect(201);
    let asset = answer["asset"].as_str().unwrap().to_owned();
    media_support::ready(&admin, &asset).await;
    let view = media_support::view(&admin, &asset).await;
    let main = admin.get(&format!("{view}main.m3u8")).await.text();
    let rendition = media_support::renditions(&main).into_iter().rfind(|name| name.starts_with('v')).unwrap();
    let index = admin.get(&format!("{view}{rendition}/index.m3u8")).await.text();
    let segments: Vec<String> = index
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| format!("{view}{rendition}/{line}"))
        .collect();

    let before = lead(&admin, &nodes).await;
    let (enough, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut viewers = Vec::new();
    for number in 0..24 {
        let (client, segments) = (signed_in(before.0), segments.clone());
        let (enough, bytes) = (enough.clone(), bytes.clone());
        viewers.push(tokio::spawn(async move {
            let mut at = number;
            while !enough.load(Ordering::Relaxed) {
                let answer = client.get(&segments[at % segments.len()]).await;
                assert_eq!(answer.status, 200);
                bytes.fetch_add(answer.bytes.len() as u64, Ordering::Relaxed);
                at += 1;
            }
        }));
    }
    let began = Instant::now();
    let time = net::short_or(Duration::from_secs(60), Duration::from_secs(12));
    let mut changes = 0;
    while began.elapsed() < time {
        let change = json!({ "name": format!("Films {changes}") });
        admin.patch(&format!("/applications/{}", nodes.application), &change).await.expect(200);
        changes += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    enough.store(true, Ordering::Relaxed);
    for viewer in viewers {
        viewer.await.unwrap();
    }
    let megabytes = bytes.load(Ordering::Relaxed) / 1_000_000;
    println!("{megabytes} MB served in {time:?} beside {changes} changes");
    assert_eq!(lead(&admin, &nodes).await, before, "who leads, and since which election");
    assert!(megabytes > 50, "{megabytes} MB are no load");
    support::stop(dev).await;
}
