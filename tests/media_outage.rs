//! Watching while nobody leads: a real node that lost acknowledged records takes no change, and so leads nobody.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::media_support::{clip, ready, view};
use crate::support::{Client, Node};

async fn put_into(admin: &Client, application: &str) -> String {
    let path = format!("/applications/{application}/files/clip.mp4");
    let answer = admin.send(admin.request(Method::PUT, &path).body(clip().to_vec())).await.expect(201);
    let asset = answer["asset"].as_str().unwrap().to_owned();
    ready(admin, &asset).await;
    asset
}

#[tokio::test]
async fn running_views_go_on_for_their_applications_grace_and_none_begins() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let patient = node.application().to_owned();
    let strict = admin.post("/applications", &json!({ "name": "Strict" })).await.expect(201)["id"].clone();
    let strict = strict.as_str().unwrap().to_owned();
    let policy = json!({ "offline_grace_ms": 0, "trash_days": 30, "viewer_may_download": true });
    admin.patch(&format!("/applications/{strict}"), &json!({ "policy": policy })).await.expect(200);
    let (asset, other) = (put_into(&admin, &patient).await, put_into(&admin, &strict).await);
    let running = format!("{}key/0", view(&admin, &asset).await);
    let ended = format!("{}key/0", view(&admin, &other).await);
    let renewal = admin.post(&format!("/assets/{asset}/views"), &json!({ "carrier": "path" })).await;
    let renewal = renewal.expect(201)["renewal"].clone();
    // The last record is one that nobody needs, and it is lost.
    admin.post(&format!("/applications/{patient}/collections"), &json!({ "name": "Last" })).await.expect(201);
    let token = admin.token.clone();
    let folder = node.stop().await;
    let raft = folder.path().join("dev/n1/raft");
    for entry in std::fs::read_dir(&raft).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("sled-") {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let journal = std::fs::OpenOptions::new().write(true).open(raft.join("journal")).unwrap();
    journal.set_len(journal.metadata().unwrap().len() - 60).unwrap();

    let node = Node::start_again(folder).await;
    let nobody = node.anonymous();
    let admin = Client { token, ..node.anonymous() };
    nobody.get("=/readyz").await.expect_problem(503, "read_only");
    // No View begins: its start could not be put on record.
    let begin = format!("/assets/{asset}/views");
    admin.post(&begin, &json!({})).await.expect_problem(503, "read_only");
    assert_eq!(nobody.get(&running).await.status, 200);
    tokio::time::sleep(Duration::from_secs(6)).await;
    admin.post(&begin, &json!({})).await.expect_problem(503, "no_leader");
    assert_eq!(nobody.get(&running).await.bytes.len(), 16, "it goes on for five minutes");
    admin.post("/views/renew", &json!({ "renewal": renewal })).await.expect(200);
    let over = nobody.get(&ended).await;
    over.expect_problem(503, "offline_grace_over");
    assert!(over.header("retry-after").parse::<u64>().is_ok());
    // A log-out or revocation cannot be agreed on either, and says so.
    admin.delete("/sessions/current").await.expect_problem(503, "read_only");
    node.stop().await;
}
