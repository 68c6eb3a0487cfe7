//! Jobs: watchable before they end, resumed after any loss, ended for a reason.

use serde_json::json;

use crate::media_support::{
    begin, clip_with_broken_sound, late_clip, longer_clip, plays, put, ready, renditions, send, settled, view,
};
use crate::support::{Client, Node, wait_for, workers_of};

fn kill(id: u32) {
    let _ = std::process::Command::new("kill").args(["-9", &id.to_string()]).status();
}

async fn watchable(client: &Client, asset: &str) {
    wait_for("the first segments", || async {
        let found = client.get(&format!("/assets/{asset}")).await.expect(200);
        assert_ne!(found["state"], "failed", "{found}");
        (found["watchable"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upload_can_be_watched_while_it_still_arrives() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let file = longer_clip();
    let most = file.len() * 9 / 10;
    let asset = begin(&admin, file.len()).await;
    assert_eq!(send(&admin, &asset, 0, &file[..most]).await.status, 204);
    watchable(&admin, &asset).await;
    let path = view(&admin, &asset).await;
    let index = admin.get(&format!("{path}a0/index.m3u8")).await.text();
    assert!(index.contains("PLAYLIST-TYPE:EVENT") && !index.contains("ENDLIST"), "{index}");
    assert_eq!(admin.get(&format!("{path}a0/0.m4s")).await.status, 200);
    assert_eq!(send(&admin, &asset, most, &file[most..]).await.status, 204);
    ready(&admin, &asset).await;
    let index = admin.get(&format!("{path}a0/index.m3u8")).await.text();
    assert!(index.contains("PLAYLIST-TYPE:VOD") && index.contains("ENDLIST"), "{index}");
    plays(&node, &admin, &path).await;
    node.stop().await;
}

#[tokio::test]
async fn a_source_that_proves_unfit_to_be_passed_through_is_encoded_from_its_start() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, &late_clip()).await;
    // All of it, whatever was made first.
    ready(&admin, &asset).await;
    let path = view(&admin, &asset).await;
    assert_eq!(plays(&node, &admin, &path).await, ["a0", "v240"]);
    let index = admin.get(&format!("{path}v240/index.m3u8")).await.text();
    assert_eq!(index.matches("#EXTINF:4.000000").count(), 9, "{index}");
    let found = admin.get(&format!("/assets/{asset}")).await.expect(200);
    assert_eq!(found["duration_ms"].as_u64().map(|ms| ms / 1000), Some(36), "{found}");
    let jobs = admin.get("/jobs").await.expect(200);
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");
    node.stop().await;
}

#[tokio::test]
async fn a_broken_track_is_named_with_its_reason_and_the_others_play() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, &clip_with_broken_sound()).await;
    ready(&admin, &asset).await;
    let detail = admin.get(&format!("/assets/{asset}/detail")).await.expect(200);
    let left_out = &detail["left_out"];
    assert_eq!(left_out.as_array().map(Vec::len), Some(1), "{left_out}");
    assert_eq!((&left_out[0]["kind"], &left_out[0]["number"]), (&json!("audio"), &json!(1)), "{left_out}");
    assert_eq!((&left_out[0]["codec"], &left_out[0]["reason_code"]), (&json!("aac"), &json!("broken")));
    let path = view(&admin, &asset).await;
    let main = admin.get(&format!("{path}main.m3u8")).await.text();
    assert_eq!(renditions(&main), ["v180"], "{main}");
    assert_eq!(pipeline::hls_check::check(&main), [], "{main}");
    node.stop().await;
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_the_video_has_no_gap() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, longer_clip()).await;
    let parent = node.ready.nodes[0].pid;
    let killed = wait_for("a worker to kill", || async { workers_of(parent).first().copied() }).await;
    kill(killed);
    ready(&admin, &asset).await;
    let path = view(&admin, &asset).await;
    plays(&node, &admin, &path).await;
    let jobs = admin.get("/jobs").await.expect(200);
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");
    node.stop().await;
}

#[tokio::test]
async fn a_restarted_node_goes_on_where_it_stood() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, longer_clip()).await;
    watchable(&admin, &asset).await;
    let node = node.restart().await;
    let admin = node.admin().await;
    ready(&admin, &asset).await;
    let path = view(&admin, &asset).await;
    plays(&node, &admin, &path).await;
    node.stop().await;
}

#[tokio::test]
async fn what_is_no_media_fails_with_a_reason_and_keeps_the_original() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let cases: [&[u8]; 2] = [&[0x5a; 20_000], b"PK\x03\x04 this is an archive"];
    for bytes in cases {
        let asset = put(&node, &admin, bytes).await;
        let found = settled(&admin, &asset).await;
        assert_eq!(found["state"], "failed", "{found}");
        assert_eq!(found["reason_code"], "unsupported_container", "{found}");
        let wanted = json!({ "what": "original" });
        admin.post(&format!("/assets/{asset}/downloads"), &wanted).await.expect(201);
        let retried = admin.post(&format!("/assets/{asset}/retry"), &json!({})).await;
        assert!(retried.status < 300, "{}", retried.text());
        assert_eq!(settled(&admin, &asset).await["state"], "failed");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_cancelled_job_can_be_taken_up_again() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, longer_clip()).await;
    let cancelled = admin.post(&format!("/assets/{asset}/cancel"), &json!({})).await;
    assert!(cancelled.status < 300, "{}", cancelled.text());
    assert_eq!(settled(&admin, &asset).await["state"], "failed");
    let parent = node.ready.nodes[0].pid;
    wait_for("the worker to be gone", || async { workers_of(parent).is_empty().then_some(()) }).await;
    let retried = admin.post(&format!("/assets/{asset}/retry"), &json!({})).await;
    assert!(retried.status < 300, "{}", retried.text());
    ready(&admin, &asset).await;
    node.stop().await;
}
