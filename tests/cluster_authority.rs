//! The nodes get another certificate authority while clients change things, one of them is away, and the leader is killed in
//! the middle: nobody is cut off, who was away comes back, and then the one before is dropped.

use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::net::clients::Crowd;
use crate::net::lab::Lab;
use crate::support::wait_for;

/// As node `at` sees it.
async fn authority(lab: &Lab, at: usize) -> Option<Value> {
    let answer = lab.admin(at).request(Method::GET, "/cluster").send().await.ok()?;
    let cluster: Value = answer.json().await.ok()?;
    cluster["authority"].is_object().then(|| cluster["authority"].clone())
}

/// Waits until the former authority is trusted for exactly these nodes.
async fn waits_for(lab: &Lab, at: usize, nodes: &[String]) {
    wait_for("the nodes exchange their certificates", || async {
        let authority = authority(lab, at).await?;
        (authority["former"]["waits_for"] == json!(nodes)).then_some(())
    })
    .await;
}

async fn dropped(lab: &Lab, at: usize) {
    wait_for("the former authority is dropped", || async {
        authority(lab, at).await?["former"].is_null().then_some(())
    })
    .await;
}

async fn token(lab: &Lab, at: usize) -> String {
    let made = lab.admin(at).post("/cluster/tokens", &json!({})).await.expect(201);
    made["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_exchanged_under_load_with_a_node_away_and_a_killed_leader() {
    let mut lab = Lab::start_with(3, 5, "").await;
    let leader = lab.leader(1).await;
    let away = leader % 3 + 1;
    let stays = 6 - leader - away;
    let away_id = lab.id_of(away, stays).await;
    let browsers = std::fs::read(lab.dir(stays).join("tls/ca.pem")).unwrap();
    let (before, unused) = (token(&lab, stays).await, token(&lab, stays).await);
    let first = authority(&lab, stays).await.unwrap()["fingerprint"].clone();
    let crowd = Crowd::gather(&lab, 3).await;
    crowd.progress().await;

    lab.stop(away).await;
    let replace = json!({ "fingerprint": first });
    lab.admin(stays).post("/cluster/authority/replace", &replace).await.expect(204);
    // Sent again it is refused, and does not replace the new one.
    let again = lab.admin(stays).post("/cluster/authority/replace", &replace).await;
    again.expect_problem(409, "authority_changing");
    // In the middle of it.
    lab.signal(leader, Signal::KILL);
    lab.kill(leader).await;
    lab.start_again(leader).await;
    waits_for(&lab, stays, std::slice::from_ref(&away_id)).await;
    crowd.progress().await;
    let second = authority(&lab, stays).await.unwrap();
    assert_ne!(second["fingerprint"], first);
    assert_eq!(second["former"]["fingerprint"], first);

    // By a token of before a node still joins: the former authority leads to the new one.
    lab.join_by(4, &before).await;
    waits_for(&lab, stays, std::slice::from_ref(&away_id)).await;
    lab.start_again(away).await;
    dropped(&lab, stays).await;
    lab.agree().await;
    crowd.progress().await;
    for number in [away, leader] {
        assert_eq!(authority(&lab, number).await.unwrap()["fingerprint"], second["fingerprint"]);
        assert!(lab.said(number).contains("this node has a new certificate"), "node {number}");
    }
    let said = lab.refused_to_join(5, &unused).await;
    assert!(said.contains("has another certificate authority by now and a new token is needed"), "{said}");

    // All know one another again after a restart, and browsers trust what they did.
    crowd.longest_gap();
    lab.stop(stays).await;
    lab.start_again(stays).await;
    crowd.progress().await;
    for number in [stays, 4] {
        let found = std::fs::read(lab.dir(number).join("tls/ca.pem")).unwrap();
        assert_eq!(found, browsers, "node {number}");
    }
    assert!(crowd.longest_gap() < Duration::from_secs(10));
    let audit = lab.admin(stays).get("/audit?action=cluster.replace_authority").await.expect(200);
    let results: Vec<&str> =
        audit["items"].as_array().unwrap().iter().map(|one| one["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["authority_changing", "ok"], "newest first");
    crowd.disperse(&lab).await;
}
