//! The library without media: lists in pages, collections, events, status.

use serde_json::json;

use crate::support::{DEADLINE, Node};

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
