//! The cluster gets another certificate authority while clients change things, a node is away, the leader and an edge are
//! killed in the middle: nobody is cut off, who was away comes back, and then the one before is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Child;

use crate::net::clients::Crowd;
use crate::net::lab::{ANSWER_WITHIN, Lab};
use crate::support::{self, Client, wait_for};

/// Places: of a node that joins by an older token, of the edge, of a disk that must stay outside, and of a node that must not join.
const JOINS: usize = 4;
const EDGE: usize = 5;
const OUTSIDE: usize = 6;
const REFUSED: usize = 7;

/// As node `at` sees it.
async fn authority(lab: &Lab, at: usize) -> Option<Value> {
    let answer = lab.admin(at).request(Method::GET, "/cluster").send().await.ok()?;
    let cluster: Value = answer.json().await.ok()?;
    cluster["authority"].is_object().then(|| cluster["authority"].clone())
}

/// Waits until the former authority is trusted for exactly these, each a node's or an edge's name.
async fn waits_for(lab: &Lab, at: usize, names: &[&str]) {
    wait_for("the others exchange their certificates", || async {
        let authority = authority(lab, at).await?;
        let left = authority["former"]["waits_for"].as_array()?;
        let left: Vec<&str> = left.iter().filter_map(|one| one["name"].as_str()).collect();
        (left == names).then_some(())
    })
    .await;
}

/// Waits until the former authority is dropped; gives the fingerprint of the one in force.
async fn settled(lab: &Lab, at: usize) -> String {
    wait_for("the former authority is dropped", || async {
        let authority = authority(lab, at).await?;
        authority["former"].is_null().then(|| authority["fingerprint"].as_str().unwrap().to_owned())
    })
    .await
}

async fn asked(lab: &Lab, at: usize, verb: &str, fingerprint: &str) -> support::Answer {
    let body = json!({ "fingerprint": fingerprint });
    lab.admin(at).post(&format!("/cluster/authority/{verb}"), &body).await
}

async fn token(lab: &Lab, at: usize, path: &str) -> String {
    let made = lab.admin(at).post(path, &json!({})).await.expect(201);
    made["token"].as_str().unwrap().to_owned()
}

/// What browsers are to trust, as node `at` says; kept as `name`.
fn browsers(lab: &Lab, at: usize, folder: &Path, name: &str) -> PathBuf {
    let kept = folder.join(name);
    std::fs::copy(lab.dir(at).join("tls/ca.pem"), &kept).unwrap();
    kept
}

/// Whoever trusts nothing but `ca` reaches the machine in place `number`.
async fn is_trusted(lab: &Lab, number: usize, ca: &Path) -> bool {
    let http = support::builder(ca).timeout(ANSWER_WITHIN).build().unwrap();
    let client = Client { http, base: lab.url(number), token: None };
    // Whatever it is: it comes by a connection that was trusted.
    client.request(Method::GET, "=/").send().await.is_ok()
}

/// Whether a client of OpenSSL that trusts this authority alone finds its way from the certificate to it.
async fn is_trusted_by_openssl(lab: &Lab, number: usize, ca: &Path) -> bool {
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["-sS", "--max-time", "5", "-o", "/dev/null", "--cacert"]).arg(ca).arg(lab.url(number));
    curl.output().await.unwrap().status.success()
}

async fn becomes_trusted(lab: &Lab, numbers: &[usize], ca: &Path) {
    for number in numbers {
        wait_for("a client that trusts this authority alone is answered", || async {
            is_trusted(lab, *number, ca).await.then_some(())
        })
        .await;
        assert!(is_trusted_by_openssl(lab, *number, ca).await, "node {number}, {}", ca.display());
    }
}

/// What became of each change of that kind, newest first.
async fn results(lab: &Lab, at: usize, action: &str) -> Vec<String> {
    let audit = lab.admin(at).get(&format!("/audit?action={action}")).await.expect(200);
    let records = audit["items"].as_array().unwrap().iter();
    records.map(|record| record["result"].as_str().unwrap().to_owned()).collect()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Kills the leader and the edge, just after the exchange has begun, and starts both again.
async fn killed_in_the_middle(lab: &mut Lab, leader: usize, mut edge: Child) -> Child {
    lab.signal(leader, Signal::KILL);
    edge.kill().await.unwrap();
    lab.kill(leader).await;
    lab.start_again(leader).await;
    lab.edge(EDGE, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_exchanged_under_load_with_a_node_away_and_a_killed_leader() {
    let mut lab = Lab::start_with(3, 7, "").await;
    let kept = tempfile::tempdir().unwrap();
    let leader = lab.leader(1).await;
    let away = leader % 3 + 1;
    let stays = 6 - leader - away;
    let name = format!("n{away}");
    let edge = lab.edge(EDGE, Some(&token(&lab, stays, "/edges/tokens").await)).await;
    let old = browsers(&lab, stays, kept.path(), "old.pem");
    becomes_trusted(&lab, &[1, 2, 3, EDGE], &old).await;
    let before = token(&lab, stays, "/cluster/tokens").await;
    let unused = token(&lab, stays, "/cluster/tokens").await;
    let first = settled(&lab, stays).await;
    let crowd = Crowd::gather(&lab, 3).await;
    crowd.progress().await;

    lab.stop(away).await;
    copy(&lab.dir(away), &lab.dir(OUTSIDE));
    copy(&lab.key(away), &lab.key(OUTSIDE));
    asked(&lab, stays, "replace", &first).await.expect(204);
    // Sent again it is refused, and does not replace the new one.
    asked(&lab, stays, "replace", &first).await.expect_problem(409, "authority_changing");
    let edge = killed_in_the_middle(&mut lab, leader, edge).await;
    waits_for(&lab, stays, &[&name]).await;
    crowd.progress().await;
    let second = authority(&lab, stays).await.unwrap();
    assert_eq!(
        (&second["former"]["fingerprint"], &second["former"]["waits_for"][0]["edge"]),
        (&json!(first), &json!(false))
    );
    let second = second["fingerprint"].as_str().unwrap().to_owned();
    assert_ne!(second, first);

    // By a token of before a node still joins: the former authority leads to the new one.
    lab.join_by(JOINS, &before).await;
    waits_for(&lab, stays, &[&name]).await;
    lab.start_again(away).await;
    assert_eq!(settled(&lab, stays).await, second);
    lab.agree().await;
    crowd.progress().await;
    for number in [1, 2, 3] {
        assert!(lab.said(number).contains("this node has a new certificate"), "node {number}");
    }
    assert!(lab.said(EDGE).contains("this edge has a new certificate"));
    let said = lab.refused_to_join(REFUSED, &unused).await;
    assert!(said.contains("has another certificate authority by now and a new token is needed"), "{said}");

    // Who trusts the new one alone is served by all, and who trusts the one before is led on.
    let new = browsers(&lab, stays, kept.path(), "new.pem");
    assert_ne!(std::fs::read(&new).unwrap(), std::fs::read(&old).unwrap());
    for ca in [&new, &old] {
        becomes_trusted(&lab, &[1, 2, 3, JOINS, EDGE], ca).await;
    }
    // All know one another again after a restart.
    lab.stop(stays).await;
    lab.start_again(stays).await;
    crowd.progress().await;
    becomes_trusted(&lab, &[stays], &new).await;
    crowd.disperse(&lab).await;
    stays_outside(&mut lab, &old).await;
    support::stop(edge).await;
}

/// A disk of before the exchange is beside the cluster: its certificate opens no door any more.
async fn stays_outside(lab: &mut Lab, old: &Path) {
    lab.start_all_again(&[OUTSIDE]).await;
    let http = support::builder(old).timeout(ANSWER_WITHIN).build().unwrap();
    let client = Client { http, ..lab.admin(OUTSIDE) };
    let cluster = client.get("/cluster").await.expect(200);
    let alive = cluster["nodes"].as_array().unwrap().iter().filter(|node| node["alive"] == true).count();
    assert_eq!((alive, &cluster["leader"]), (1, &Value::Null), "it hears nobody but itself");
    lab.kill(OUTSIDE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_is_given_up_and_begun_again_and_an_edge_that_is_away_holds_it_up_until_removed() {
    let lab = Lab::start_with(1, 5, "").await;
    let kept = tempfile::tempdir().unwrap();
    let edge = lab.edge(EDGE, Some(&token(&lab, 1, "/edges/tokens").await)).await;
    let first = settled(&lab, 1).await;
    asked(&lab, 1, "abandon", &first).await.expect_problem(409, "authority_settled");
    support::stop(edge).await;
    asked(&lab, 1, "replace", &first).await.expect(204);
    waits_for(&lab, 1, &["e5"]).await;
    let given_up = authority(&lab, 1).await.unwrap();
    assert_eq!(given_up["former"]["waits_for"][0]["edge"], true);
    asked(&lab, 1, "abandon", given_up["fingerprint"].as_str().unwrap()).await.expect(204);
    waits_for(&lab, 1, &["e5"]).await;
    let edge = lab.edge(EDGE, None).await;
    assert_eq!(settled(&lab, 1).await, first);

    // Twice, with the edge there and gone for good.
    asked(&lab, 1, "replace", &first).await.expect(204);
    let second = settled(&lab, 1).await;
    let new = browsers(&lab, 1, kept.path(), "second.pem");
    becomes_trusted(&lab, &[1, EDGE], &new).await;
    support::stop(edge).await;
    asked(&lab, 1, "replace", &second).await.expect(204);
    waits_for(&lab, 1, &["e5"]).await;
    let edges = lab.admin(1).get("/edges").await.expect(200);
    let id = edges["items"][0]["id"].as_str().unwrap().to_owned();
    lab.admin(1).delete(&format!("/edges/{id}")).await.expect(204);
    let third = settled(&lab, 1).await;
    assert!(![first, second].contains(&third));

    for (action, wanted) in [
        ("cluster.replace_authority", vec!["ok"; 3]),
        ("cluster.abandon_authority", vec!["ok", "authority_settled"]),
        ("cluster.drop_authority", vec!["ok"; 3]),
        ("node.report_authority", vec!["ok"; 4]),
        ("edge.report_authority", vec!["ok"; 2]),
    ] {
        assert_eq!(results(&lab, 1, action).await, wanted, "{action}, newest first");
    }
}
