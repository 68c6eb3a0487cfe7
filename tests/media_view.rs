//! Views: what opens with them, and everything that must not.

use reqwest::Method;
use serde_json::json;

use crate::media_support::{clip, put, ready, view};
use crate::support::{Client, Node, PASSPHRASE};

async fn status(client: &Client, path: &str) -> u16 {
    client.get(path).await.status
}

#[tokio::test]
async fn a_token_opens_its_own_files_and_nothing_else() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, clip()).await;
    let other = put(&node, &admin, clip()).await;
    ready(&admin, &asset).await;
    ready(&admin, &other).await;
    let path = view(&admin, &asset).await;
    let nobody = node.anonymous();
    let key = nobody.get(&format!("{path}key/0")).await;
    assert_eq!((key.status, key.bytes.len(), key.header("cache-control")), (200, 16, "no-store"));
    let main = nobody.get(&format!("{path}main.m3u8")).await;
    assert_eq!(main.header("cache-control"), "no-store");
    let rendition = crate::media_support::renditions(&main.text()).remove(1);

    // HEAD and ranges are right.
    let segment = format!("{path}{rendition}/0.m4s");
    let whole = nobody.get(&segment).await;
    let head = nobody.send(nobody.request(Method::HEAD, &segment)).await;
    assert_eq!((head.status, head.header("content-length")), (200, whole.bytes.len().to_string().as_str()));
    let range =
        |range: &'static str| nobody.send(nobody.request(Method::GET, &segment).header("Range", range));
    let part = range("bytes=16-31").await;
    assert_eq!((part.status, &part.bytes[..]), (206, &whole.bytes[16..32]));
    assert_eq!(range("bytes=99999999-").await.status, 416);
    // No segment is clear: what leaves is not an fMP4 box.
    assert!(!whole.bytes.windows(4).take(64).any(|bytes| bytes == b"moof" || bytes == b"styp"));

    // Everything that is not exactly the token is refused, and says so without a body of ours.
    let token = path.trim_start_matches("=/play/").trim_end_matches('/').to_owned();
    let mut flipped = token.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let other_token =
        view(&admin, &other).await.trim_start_matches("=/play/").trim_end_matches('/').to_owned();
    let spliced = format!("{}{}", &token[..50], &other_token[50..]);
    let forged = [
        String::from_utf8(flipped).unwrap(),
        token[..token.len() - 1].to_owned(),
        token[..token.len() - 8].to_owned(),
        token[..62].to_owned(),
        format!("{token}A"),
        format!("{token}="),
        format!("{token}%00"),
        format!("{token}%E2%80%8B"),
        token.to_uppercase(),
        token.replacen("v1", "v2", 1),
        format!("{token}{token}"),
        spliced,
        asset.clone(),
        "x".repeat(4000),
    ];
    for text in forged {
        let refused = status(&nobody, &format!("=/play/{text}/key/0")).await;
        assert!([401, 403, 404, 414].contains(&refused), "{refused} for {text:.90}");
    }
    for file in ["key/1", "key/00", "key/", "v1/0.m4s", "main.m3u8/x", "a0/99.m4s"] {
        let missing = status(&nobody, &format!("{path}{file}")).await;
        assert!([403, 404].contains(&missing), "{missing} for {file}");
    }
    assert_eq!(status(&nobody, &format!("{path}key/0?token=x&token=y")).await, 200);
    let posted = nobody.send(nobody.request(Method::POST, &format!("{path}key/0"))).await;
    assert_eq!(posted.status, 405);
    // A download link is no View, and a View no download link.
    assert_eq!(status(&nobody, &format!("=/download/{token}")).await, 403);
    node.stop().await;
}

#[tokio::test]
async fn a_view_ends_at_once_with_the_right_it_was_made_by() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, clip()).await;
    ready(&admin, &asset).await;
    admin.post(&format!("/assets/{asset}/publish"), &json!({})).await;
    let app = node.application();
    let nobody = node.anonymous();
    let start = |client: Client| {
        let (asset, nobody) = (asset.clone(), nobody.clone());
        async move {
            let key = format!("{}key/0", view(&client, &asset).await);
            assert_eq!(status(&nobody, &key).await, 200);
            key
        }
    };
    // Log-out.
    let anna = node.member(&admin, app, "read_only", "anna").await;
    let key = start(anna.clone()).await;
    let segment = key.replace("key/0", "a0/0.m4s");
    anna.delete("/sessions/current").await;
    assert_eq!(status(&nobody, &key).await, 401);
    assert_eq!(status(&nobody, &segment).await, 401);
    // Suspension.
    let anna = node.log_in("anna", PASSPHRASE).await;
    let key = start(anna.clone()).await;
    let me = anna.get("/me").await.expect(200);
    let id = me["user"]["id"].as_str().or(me["id"].as_str()).unwrap().to_owned();
    admin.patch(&format!("/users/{id}"), &json!({ "suspended": true })).await.expect(200);
    assert!([401, 403].contains(&status(&nobody, &key).await));
    // Removal from the application.
    let bert = node.member(&admin, app, "read_only", "bert").await;
    let key = start(bert.clone()).await;
    let me = bert.get("/me").await.expect(200);
    let id = me["user"]["id"].as_str().or(me["id"].as_str()).unwrap().to_owned();
    let removed = admin.delete(&format!("/applications/{app}/members/{id}")).await;
    assert!(removed.status < 300, "{}", removed.text());
    assert_eq!(status(&nobody, &key).await, 404);
    // The trash.
    let key = start(admin.clone()).await;
    let trashed = admin.post(&format!("/assets/{asset}/trash"), &json!({})).await;
    assert!(trashed.status < 300, "{}", trashed.text());
    assert_eq!(status(&nobody, &key).await, 403);
    node.stop().await;
}

#[tokio::test]
async fn a_cookie_view_needs_its_own_session_and_asset() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, clip()).await;
    ready(&admin, &asset).await;
    let session = admin.token.clone().unwrap();
    let browser = |cookies: String, method: Method, path: String| {
        let request = node.anonymous().request(method, &path).header("Cookie", cookies);
        request.header("Origin", node.url().to_owned())
    };
    let own = format!("__Host-session={session}");
    let start = browser(own.clone(), Method::POST, format!("/assets/{asset}/views")).json(&json!({}));
    let answer = node.anonymous().send(start).await;
    let begun = answer.expect(201);
    assert_eq!(begun["playlist_url"], format!("/play/{asset}/main.m3u8"));
    let set = answer.header("set-cookie").to_owned();
    for part in ["__Secure-view=", "HttpOnly", "Secure", "SameSite=Strict", &format!("Path=/play/{asset}")] {
        assert!(set.contains(part), "{part} is not in {set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    let key = |cookies: String| {
        let request = browser(cookies, Method::GET, format!("=/play/{asset}/key/0"));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(key(format!("{own}; {cookie}")).await, 200);
    assert_eq!(key(cookie.clone()).await, 403);
    assert_eq!(key(own.clone()).await, 401);
    assert_eq!(key(format!("{own}; {cookie}; {cookie}")).await, 403);
    let other = node.log_in(&node.ready.username, &node.ready.password).await.token.unwrap();
    assert_eq!(key(format!("__Host-session={other}; {cookie}")).await, 403);
    let value = cookie.strip_prefix("__Secure-view=").unwrap();
    assert_eq!(status(&node.anonymous(), &format!("=/play/{value}/key/0")).await, 403);
    let renewed = browser(own, Method::POST, "/views/renew".to_owned());
    let renewed = renewed.json(&json!({ "renewal": begun["renewal"] })).send().await.unwrap();
    assert_eq!(renewed.status(), 200);
    node.stop().await;
}

#[tokio::test]
async fn where_only_so_many_run_at_once_one_more_waits_or_takes_the_place_of_another() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let application = format!("/applications/{}", node.application());
    let asset = put(&node, &admin, clip()).await;
    ready(&admin, &asset).await;
    let before = view(&admin, &asset).await;
    assert_eq!(
        admin.get("/views").await.expect(200),
        json!({ "items": [] }),
        "nothing is counted without a limit"
    );
    for wrong in [json!(0), json!(101), json!(-1), json!("two"), json!(1.5)] {
        let answer = admin.patch(&application, &json!({ "views_at_once": wrong })).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    let limited = admin.patch(&application, &json!({ "views_at_once": 2 })).await.expect(200);
    assert_eq!(limited["views_at_once"], 2);
    let renamed = admin.patch(&application, &json!({ "name": "Films" })).await.expect(200);
    assert_eq!(renamed["views_at_once"], 2, "what is absent stays");
    node.anonymous().get(&format!("{before}key/0")).await.expect_problem(403, "view_ended");

    let person = node.member(&admin, node.application(), "user", "watcher").await;
    let views = format!("/assets/{asset}/views");
    let start = |wanted: serde_json::Value| {
        let (person, views) = (&person, &views);
        async move { person.post(views, &wanted).await }
    };
    let key = |view: &serde_json::Value| {
        let playlist = view["playlist_url"].as_str().unwrap().to_owned();
        let nobody = node.anonymous();
        async move { nobody.get(&format!("={}", playlist.replace("main.m3u8", "key/0"))).await.status }
    };
    let first = start(json!({})).await.expect(201);
    let second = start(json!({})).await.expect(201);
    assert_eq!(first["counted"], true);
    start(json!({})).await.expect_problem(409, "too_many_views");
    let listed = person.get("/views").await.expect(200);
    let listed: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| &item["view"]).collect();
    assert_eq!(listed, [&first["view"], &second["view"]]);
    // Somebody else has their own count, and cannot see or end mine.
    admin.post(&views, &json!({})).await.expect(201);
    let mine = format!("/views/{}", first["view"].as_str().unwrap());
    admin.delete(&mine).await.expect_problem(404, "view_not_found");
    node.anonymous().get("/views").await.expect_problem(401, "unauthenticated");

    let third = start(json!({ "in_place_of": first["view"] })).await.expect(201);
    assert_eq!((key(&first).await, key(&second).await, key(&third).await), (403, 200, 200));
    let renewal = json!({ "renewal": first["renewal"] });
    person.post("/views/renew", &renewal).await.expect_problem(403, "view_ended");
    let renewed = person.post("/views/renew", &json!({ "renewal": second["renewal"] })).await.expect(200);
    assert_eq!((key(&renewed).await, renewed["counted"].clone()), (200, json!(true)));

    let ended = format!("/views/{}", third["view"].as_str().unwrap());
    person.delete(&ended).await.expect(204);
    person.delete(&ended).await.expect_problem(404, "view_not_found");
    assert_eq!(key(&third).await, 403);
    start(json!({})).await.expect(201);
    start(json!({ "in_place_of": "nothing" })).await.expect_problem(400, "invalid_body");

    admin.patch(&application, &json!({ "views_at_once": null })).await.expect(200);
    for _ in 0..3 {
        assert_eq!(start(json!({})).await.expect(201)["counted"], false);
    }
    node.stop().await;
}
