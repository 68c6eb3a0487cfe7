//! Most of the voters are lost for good: what is left serves what it holds and takes nothing new, until an operator has it go on
//! without them. With real nodes, each at a site of its own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use reqwest::Method;
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

use media_support::{clip, ready, view};
use net::lab::Lab;
use support::{Client, files, wait_for};

/// The sealed copies of `asset` on node `number`.
fn copies(lab: &Lab, number: usize, asset: &str) -> Vec<(String, Vec<u8>)> {
    let paths = files(&lab.dir(number).join("blobs/blobs").join(asset));
    let sealed = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "blob"));
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    sealed.filter_map(|path| Some((name(&path), std::fs::read(path).ok()?))).collect()
}

async fn the_same_copies(lab: &Lab, one: usize, other: usize, asset: &str) {
    wait_for("two whole copies that are the same", || async {
        let held = copies(lab, one, asset);
        (!held.is_empty() && held == copies(lab, other, asset)).then_some(())
    })
    .await;
}

async fn put_clip(lab: &Lab, client: &Client) -> String {
    let path = format!("/applications/{}/files/clip.mp4", lab.application);
    let answer = client.send(client.request(Method::PUT, &path).body(clip().to_vec())).await.expect(201);
    answer["asset"].as_str().unwrap().to_owned()
}

async fn original(client: &Client, asset: &str) -> Vec<u8> {
    let link =
        client.post(&format!("/assets/{asset}/downloads"), &json!({ "what": "original" })).await.expect(201);
    let answer = client.get(&format!("={}", link["url"].as_str().unwrap())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.bytes
}

/// Whether a change is taken.
async fn is_taken(lab: &Lab, at: usize, name: &str) -> bool {
    let client = lab.admin(at);
    let request = client.request(Method::POST, &format!("/applications/{}/collections", lab.application));
    request.json(&json!({ "name": name })).send().await.is_ok_and(|answer| answer.status() == 201)
}

/// `cluster recover` at node `at`, with more arguments; gives whether it went well, and what was said.
async fn recover(lab: &Lab, at: usize, more: &[&str]) -> (bool, String) {
    lab.on_disk(at, &[&["cluster", "recover"], more].concat()).await
}

/// As [`recover`], which must be refused with these words.
async fn refuses(lab: &Lab, at: usize, more: &[&str], words: &str) {
    let (done, said) = recover(lab, at, more).await;
    assert!(!done && said.contains(words), "{more:?} must be refused with `{words}`: {said}");
}

/// The audit log is whole at node `at`, and says who was given up, by whom and why.
async fn is_on_record(lab: &Lab, at: usize, lost: &str) {
    let admin = lab.admin(at);
    wait_for("the whole audit log", || async {
        let verdict = admin.get("/audit/verify").await;
        (verdict.status == 200 && verdict.json()["ok"] == true).then_some(())
    })
    .await;
    let list = admin.get("/audit?action=cluster.recover_quorum").await.expect(200);
    let [record] = list["items"].as_array().unwrap().as_slice() else { panic!("one record: {list}") };
    let details = record["details"].to_string();
    assert!(details.contains(lost) && details.contains("two halls burnt"), "{record}");
    assert!(details.contains("uid "), "who did it: {record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_goes_on_without_two() {
    let mut lab = Lab::start_with(3, 4, "").await;
    let asset = put_clip(&lab, &lab.admin(1)).await;
    ready(&lab.admin(1), &asset).await;
    for other in [1, 3] {
        the_same_copies(&lab, 2, other, &asset).await;
    }
    let (one, two, three) = (lab.id_of(1, 2).await, lab.id_of(2, 2).await, lab.id_of(3, 2).await);
    let lost = format!("{one},{three}");
    lab.agree().await;

    // While there is a leader there is nothing to recover.
    refuses(&lab, 2, &[], "a node runs on").await;
    lab.stop(2).await;
    lab.leader(1).await;
    refuses(&lab, 2, &[], "leads. Start this node as usual").await;
    lab.start_again(2).await;

    // What is watched goes on; nothing new begins and nothing is changed.
    let watched = view(&lab.admin(2), &asset).await;
    lab.kill_all(&[1, 3]).await;
    wait_for("no view begins", || async {
        let answer = lab.admin(2).post(&format!("/assets/{asset}/views"), &json!({})).await;
        (answer.status == 503 && answer.json()["code"] == "no_leader").then_some(())
    })
    .await;
    assert!(!is_taken(&lab, 2, "by a minority").await);
    assert_eq!(lab.admin(2).get(&format!("{watched}main.m3u8")).await.status, 200);
    assert_eq!(lab.admin(2).get(&format!("{watched}key/0")).await.status, 200, "for its grace");
    lab.kill(2).await;

    let (looked, said) = recover(&lab, 2, &[]).await;
    let command = format!("--lost {lost}");
    for words in ["does not answer", "All 1 assets have a copy", "Nothing was changed", command.as_str()] {
        assert!(looked && said.contains(words), "`{words}` in {said}");
    }
    refuses(&lab, 2, &["--lost", &two, "--yes"], "is this node").await;
    refuses(&lab, 2, &["--lost", "9999", "--yes"], "there is no node 9999").await;
    refuses(&lab, 2, &["--lost", &one, "--yes"], "most voters are still left").await;
    refuses(&lab, 2, &["--lost", &lost], "give --yes").await;
    let (_, again) = recover(&lab, 2, &[]).await;
    assert_eq!(again, said, "so far nothing was changed");

    let (done, said) = recover(&lab, 2, &["--lost", &lost, "--reason", "two halls burnt", "--yes"]).await;
    assert!(done && said.contains("goes on without"), "{said}");
    refuses(&lab, 2, &["--lost", &lost, "--yes"], "it is the only voter").await;

    lab.start_again(2).await;
    assert!(is_taken(&lab, 2, "after the fire").await);
    assert_eq!(original(&lab.admin(2), &asset).await, clip(), "every byte");
    view(&lab.admin(2), &asset).await;
    put_clip(&lab, &lab.admin(2)).await;
    is_on_record(&lab, 2, &format!("{one} {three}")).await;
    let cluster = lab.admin(2).get("/cluster").await.expect(200);
    assert_eq!(cluster["nodes"].as_array().unwrap().len(), 1, "{cluster}");

    let said = lab.refused(3).await;
    assert!(said.contains("removed from the cluster"), "one that was lost comes back: {said}");
    lab.join(4).await;
    the_same_copies(&lab, 2, 4, &asset).await;
    lab.wait_for_voters(2).await;
    is_on_record(&lab, 4, &format!("{one} {three}")).await;
    lab.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_are_left_of_five_the_one_with_the_newest_log_goes_on() {
    let mut lab = Lab::start(5).await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(lab.id_of(number, 1).await);
    }
    // Node 2 hears nothing of the last changes.
    lab.isolate(&[2], true);
    for name in ["one", "two", "three"] {
        wait_for("a change without node 2", || async { is_taken(&lab, 1, name).await.then_some(()) }).await;
    }
    // Node 1 has heard of them.
    let applied = async |at: usize| lab.admin(at).get("/system/status").await.expect(200)["applied"].clone();
    let newest = applied(lab.leader(1).await).await;
    wait_for("node 1 has all", || async { (applied(1).await.as_u64() >= newest.as_u64()).then_some(()) })
        .await;
    lab.kill_all(&[3, 4, 5]).await;
    lab.isolate(&[2], false);
    let lost = ids[2..].join(",");

    lab.kill(2).await;
    wait_for("node 1 leads no longer", || async {
        (!recover(&lab, 2, &[]).await.1.contains("node 1 leads")).then_some(())
    })
    .await;
    refuses(&lab, 2, &["--lost", &lost, "--yes"], "the log of node 1 is newer").await;
    refuses(&lab, 2, &["--lost", &format!("{},{lost}", ids[0]), "--yes"], "named lost and answers").await;
    lab.begin_again(2);
    lab.kill(1).await;
    wait_for("node 1 is told where the log of node 2 ends", || async {
        let (looked, said) = recover(&lab, 1, &[]).await;
        (looked && said.contains("answers: its log ends with")).then_some(())
    })
    .await;
    let (done, said) = recover(&lab, 1, &["--lost", &lost, "--reason", "two halls burnt", "--yes"]).await;
    assert!(done && said.contains("they follow"), "{said}");
    lab.start_again(1).await;
    lab.all_ready().await;

    // The other one was up all the while. It follows, and votes.
    lab.wait_for_voters(2).await;
    assert!(is_taken(&lab, 2, "together").await);
    lab.agree().await;
    let cluster = lab.admin(2).get("/cluster").await.expect(200);
    assert_eq!(cluster["nodes"].as_array().unwrap().len(), 2, "{cluster}");
    is_on_record(&lab, 2, &ids[2..].join(" ")).await;
    lab.stop(2).await;
}
