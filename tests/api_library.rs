//! The library without media: lists in pages, collections and how long they keep assets, the trash of applications, events,
//! status.

use serde_json::json;

use crate::support::{DEADLINE, Node, wait_for};

#[tokio::test]
async fn a_long_list_is_walked_in_pages_and_loses_nothing() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let collections = format!("/applications/{}/collections", node.application());
    for number in 0..25 {
        admin.post(&collections, &json!({ "name": format!("Collection {number:02}") })).await.expect(201);
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = admin.get(&format!("{collections}?limit=10{cursor}")).await.expect(200);
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    let wanted: Vec<_> = (0..25).map(|number| format!("Collection {number:02}")).collect();
    assert_eq!(seen, wanted);
    node.stop().await;
}

#[tokio::test]
async fn changes_reach_the_event_stream_of_those_who_may_see_them() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application();
    let other = admin.post("/applications", &json!({ "name": "Other" })).await.expect(201);
    let other = other["id"].as_str().unwrap();
    let person = node.member(&admin, app, "user", "eve").await;
    let mut stream = person.request(reqwest::Method::GET, "/events").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    admin.post(&format!("/applications/{other}/collections"), &json!({ "name": "Hidden" })).await.expect(201);
    admin.post(&format!("/applications/{app}/collections"), &json!({ "name": "Seen" })).await.expect(201);
    let read = async {
        while !text.contains("collection_changed") {
            text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("the event arrives");
    assert!(text.contains("event: collection"), "{text}");
    assert!(text.contains(app) && !text.contains(other), "{text}");
    // The stream ends with the sign-in.
    let end = async {
        person.delete("/sessions/current").await.expect(204);
        admin
            .post(&format!("/applications/{app}/collections"), &json!({ "name": "After" }))
            .await
            .expect(201);
        while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
    };
    tokio::time::timeout(DEADLINE, end).await.expect("the stream ends");
    node.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_everything_and_sessions_go_on() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let token = admin.token.clone().unwrap();
    let collections = format!("/applications/{}/collections", node.application());
    admin.post(&collections, &json!({ "name": "Kept" })).await.expect(201);
    let node = node.restart().await;
    let admin = node.with_token(&token);
    assert_eq!(admin.get(&collections).await.expect(200)["items"][0]["name"], "Kept");
    let status = admin.get("/system/status").await.expect(200);
    assert_eq!(status["key_mode"], "key_file");
    assert!(status["key_mode_warning"].as_str().unwrap().contains("stolen"));
    assert_eq!(status["disk"]["level"].as_str().map(|level| !level.is_empty()), Some(true));
    node.stop().await;
}

#[tokio::test]
async fn a_rule_on_how_long_assets_are_kept_is_shown_and_its_bounds_are_told() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let collections = format!("/applications/{}/collections", node.application());
    let made = admin.post(&collections, &json!({ "name": "Lectures" })).await.expect(201);
    let path = format!("/collections/{}", made["id"].as_str().unwrap());
    let rule = format!("{path}/retention");
    assert_eq!(made["retention_days"], json!(null));
    let upload =
        admin.request(reqwest::Method::PUT, &format!("/applications/{}/files/a.mp4", node.application()));
    admin.send(upload.body("no video at all")).await.expect(201);
    let list = admin.get(&format!("/applications/{}/assets", node.application())).await.expect(200);
    let asset = format!("/assets/{}", list["items"][0]["id"].as_str().unwrap());
    let shown = admin.patch(&asset, &json!({ "collections": [made["id"]] })).await.expect(200);
    assert_eq!(shown["purge_after_ms"], json!(null));
    assert_eq!(admin.put(&rule, &json!({ "days": 30 })).await.expect(200)["retention_days"], 30);
    let shown = admin.get(&asset).await.expect(200);
    let until_ms = shown["created_ms"].as_u64().unwrap() + 30 * 24 * 60 * 60 * 1000;
    assert_eq!(shown["purge_after_ms"], until_ms);
    for wrong in [json!({ "days": 0 }), json!({ "days": 36_501 }), json!({ "days": -1 }), json!({})] {
        let answer = admin.put(&rule, &wrong).await;
        assert!([400, 422].contains(&answer.status), "{wrong}: {}", answer.text());
    }
    let listed = admin.get(&collections).await.expect(200);
    assert_eq!(listed["items"][0]["retention_days"], 30, "what was refused changed nothing");
    assert_eq!(admin.put(&rule, &json!({ "days": null })).await.expect(200)["retention_days"], json!(null));
    let user = node.member(&admin, node.application(), "user", "una").await;
    user.put(&rule, &json!({ "days": 1 })).await.expect(403);
    node.stop().await;
}

#[tokio::test]
async fn a_deleted_application_comes_back_or_is_deleted_for_good() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let made = admin.post("/applications", &json!({ "name": "Surgery" })).await.expect(201);
    let app = made["id"].as_str().unwrap();
    let path = format!("/applications/{app}");
    let member = node.member(&admin, app, "admin", "mia").await;
    let upload = admin.request(reqwest::Method::PUT, &format!("{path}/files/a.mp4"));
    admin.send(upload.body("no video at all")).await.expect(201);
    let list = admin.get(&format!("{path}/assets")).await.expect(200);
    let asset = format!("/assets/{}", list["items"][0]["id"].as_str().unwrap());
    admin.delete(&path).await.expect(204);
    for client in [&admin, &member] {
        client.get(&path).await.expect(404);
        client.get(&format!("{path}/assets")).await.expect(404);
        client.get(&asset).await.expect(404);
    }
    let trash = admin.get("/trashed-applications").await.expect(200);
    assert_eq!(trash["items"][0]["name"], "Surgery");
    assert_eq!(trash["items"][0]["asset_count"], 1);
    member.get("/trashed-applications").await.expect(403);
    let trashed = format!("/trashed-applications/{app}");
    member.post(&format!("{trashed}/restore"), &json!({})).await.expect(403);
    admin.post(&format!("{trashed}/restore"), &json!({})).await.expect(204);
    member.get(&asset).await.expect(200);
    admin.delete(&trashed).await.expect(404);
    admin.delete(&path).await.expect(204);
    admin.delete(&trashed).await.expect(204);
    wait_for("the end of the application", || async {
        let trash = admin.get("/trashed-applications").await.expect(200);
        trash["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    admin.post(&format!("{trashed}/restore"), &json!({})).await.expect(404);
    admin.post("/applications", &json!({ "name": "Surgery" })).await.expect(201);
    node.stop().await;
}
