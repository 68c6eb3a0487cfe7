//! What must be true once there is no trouble any more: everything acknowledged is there, in three copies that are the same,
//! and nothing is that was purged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::load::{Books, hash, locked, right_through};
use crate::net::lab::Lab;
use crate::support;

/// How often it is told what is still missing.
const TELL_EVERY: Duration = Duration::from_secs(20);

/// Asks until there is nothing to complain of any more.
async fn until_none<F>(longest: Duration, what: &str, mut complaints: impl FnMut() -> F)
where
    F: Future<Output = Vec<String>>,
{
    let (began, mut told) = (Instant::now(), Instant::now());
    loop {
        let left = complaints().await;
        if !left.is_empty() && told.elapsed() > TELL_EVERY {
            println!("{what}: not yet, {left:#?}");
            told = Instant::now();
        }
        if left.is_empty() {
            println!("{what}: after {:.1} s", began.elapsed().as_secs_f64());
            return;
        }
        assert!(began.elapsed() < longest, "{what} did not come about in {longest:?}: {left:#?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Checks everything; `longest` is how soon it must be so.
pub async fn holds(lab: &Lab, books: &Arc<Books>, longest: Duration) {
    let began = Instant::now();
    let left = || longest.saturating_sub(began.elapsed());
    // Reads are what finds damaged copies; the round that looks for them takes a month.
    for at in 1..=3 {
        until_none(left(), &format!("everything is read through node {at}"), || {
            right_through(lab, books, at)
        })
        .await;
    }
    until_none(left(), "three copies that are the same on the disks", async || copies_on_disk(lab, books))
        .await;
    until_none(left(), "three copies by the cluster's own count", async || counted(lab).await).await;
    until_none(left(), "nothing left of what was purged", async || left_over(lab, books).await).await;
    for at in 1..=3 {
        let verdict = lab.admin(at).get("/audit/verify").await.expect(200);
        assert_eq!(verdict["ok"], true, "node {at}: {verdict}");
        assert_eq!(verdict["shortened"].as_array().map(Vec::len), Some(0), "node {at}: {verdict}");
        let nodes = verdict["nodes"].as_array().unwrap();
        assert!(nodes.len() == 3 && nodes.iter().all(|node| node["ok"] == true), "node {at}: {verdict}");
    }
}

/// Of each node: the sealed Blobs of an asset, by name, and whether something lies beside them.
fn held(lab: &Lab, at: usize, asset: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut blobs, mut beside) = (BTreeMap::new(), Vec::new());
    for path in support::files(&lab.dir(at).join("blobs/blobs").join(asset)) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match std::fs::read(&path) {
            Ok(bytes) if name.ends_with(".blob") => drop(blobs.insert(name, hash(&bytes))),
            // What a takeover was promised where it found the copy complete: a few bytes that go with the copy.
            _ if name.ends_with(".fence") => {}
            _ => beside.push(name),
        }
    }
    (blobs, beside)
}

fn copies_on_disk(lab: &Lab, books: &Books) -> Vec<String> {
    let mut complaints = Vec::new();
    for kept in locked(&books.kept).iter() {
        let held: Vec<_> = (1..=3).map(|at| held(lab, at, &kept.asset)).collect();
        let are_same = held.windows(2).all(|pair| pair[0].0 == pair[1].0) && !held[0].0.is_empty();
        if !are_same || held.iter().any(|(_, beside)| !beside.is_empty()) {
            let kind = if kept.is_clip { "clip" } else { "noise" };
            let differs = |(blobs, _): &(BTreeMap<String, String>, _)| -> Vec<String> {
                let is_everywhere = |(name, hash): &(&String, &String)| {
                    held.iter().all(|(others, _)| others.get(*name) == Some(*hash))
                };
                blobs.iter().filter(|blob| !is_everywhere(blob)).map(|(name, _)| name.clone()).collect()
            };
            let found: Vec<_> = held.iter().map(|one| (one.0.len(), differs(one), &one.1)).collect();
            complaints.push(format!("{} ({kind}): {found:?}", kept.asset));
        }
    }
    complaints
}

async fn counted(lab: &Lab) -> Vec<String> {
    let mut complaints = Vec::new();
    for at in 1..=3 {
        let answer = lab.admin(at).request(Method::GET, "/cluster").send().await;
        let Ok(answer) = answer else { return vec![format!("node {at} does not answer")] };
        let cluster: Value = answer.json().await.unwrap_or_default();
        let (copies, repair) = (&cluster["copies"], &cluster["repair"]);
        let fewer = ["assets_with_none", "assets_with_one", "assets_with_two"];
        if fewer.iter().any(|name| copies[name] != 0) || repair["missing_bytes"] != 0 {
            complaints.push(format!("node {at}: {copies} {repair}"));
        }
    }
    complaints
}

async fn left_over(lab: &Lab, books: &Books) -> Vec<String> {
    let gone = locked(&books.gone).clone();
    let mut complaints = Vec::new();
    for at in 1..=3 {
        let admin = lab.admin(at);
        for asset in &gone {
            if !support::files(&lab.dir(at).join("blobs/blobs").join(asset)).is_empty() {
                complaints.push(format!("node {at} has files of {asset}"));
            }
        }
        // The last ones stand for all: there are many.
        for asset in gone.iter().rev().take(10) {
            let answer = admin.request(Method::GET, &format!("/assets/{asset}")).send().await;
            if answer.map_or(0, |answer| answer.status().as_u16()) != 404 {
                complaints.push(format!("node {at} knows {asset}"));
            }
        }
    }
    complaints
}
