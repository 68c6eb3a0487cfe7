//! Hostile, broken and oversized requests: each is refused in our terms, and the node lives on.

use reqwest::Method;
use serde_json::json;

use crate::support::Node;

#[tokio::test]
async fn whatever_is_wrong_with_a_request_is_answered_by_a_problem() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application();
    let list = format!("/applications/{app}/assets");
    let make = "/applications";

    admin.get("/nothing/here").await.expect_problem(404, "not_found");
    let wrong_method = admin.delete("/system").await;
    wrong_method.expect_problem(405, "method_not_allowed");
    assert_eq!(wrong_method.header("allow"), "GET, HEAD");
    for id in ["x", "0", "00000000000000000000000000", "..%2f..", "%00", "8zzzzzzzzzzzzzzzzzzzzzzzzz"] {
        assert_eq!(admin.get(&format!("/assets/{id}")).await.status, 404, "{id}");
    }
    for query in
        ["?unknown=1", "?limit=0", "?limit=501", "?limit=x", "?state=done", "?sort=random", "?cursor=***"]
    {
        let answer = admin.get(&format!("{list}{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let body = |text: &str| {
        admin.request(Method::POST, make).header("content-type", "application/json").body(text.to_owned())
    };
    for text in
        ["", "{", "[]", "null", r#"{"name":1}"#, r#"{"name":"x","more":1}"#, "{\"name\":\"\u{0}\"}", "{}"]
    {
        admin.send(body(text)).await.expect_problem(400, "invalid_body");
    }
    admin.send(body(&"[".repeat(100))).await.expect_problem(400, "invalid_body");
    admin
        .send(body(&format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000))))
        .await
        .expect_problem(413, "too_large");
    let typed =
        admin.request(Method::POST, make).header("content-type", "text/plain").body(r#"{"name":"x"}"#);
    admin.send(typed).await.expect_problem(415, "unsupported_media_type");
    for name in ["", "   ", "a\nb", &"x".repeat(201)] {
        admin.post(make, &json!({ "name": name })).await.expect_problem(400, "invalid");
    }
    admin.get("/system/status").await.expect(200);
    node.stop().await;
}

/// A client that is busy sending must hear why it is refused: not every one looks up when its stream is reset.
#[tokio::test]
async fn whoever_sends_a_large_file_hears_why_it_is_refused() {
    let node = Node::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.mp4");
    std::fs::write(&file, vec![7; 40_000_000]).unwrap();
    let token = node.admin().await.token.unwrap();
    let cases = [
        ("no credential", node.application().to_owned(), "", "401"),
        ("no such application", "a".repeat(26), token.as_str(), "404"),
    ];
    for protocol in ["--http2", "--http1.1"] {
        for (what, application, token, status) in &cases {
            let mut curl = tokio::process::Command::new("curl");
            curl.args(["-sS", protocol, "--max-time", "30", "-w", "\n%{http_code}", "--cacert"]);
            curl.arg(&node.ready.ca).arg("-T").arg(&file);
            if !token.is_empty() {
                curl.args(["-H", &format!("authorization: Bearer {token}")]);
            }
            curl.arg(format!("{}/api/v1/applications/{application}/files/large.mp4", node.url()));
            let output = curl.output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let trouble = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{what}, {protocol}: {trouble}");
            let (problem, shown) = said.rsplit_once('\n').unwrap();
            assert_eq!(shown, *status, "{what}, {protocol}: {said}");
            assert!(problem.contains("\"detail\""), "{what}, {protocol}: {said}");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn nobody_and_a_wrong_credential_are_told_apart_from_somebody() {
    let node = Node::start().await;
    let app = node.application();
    let path = format!("/applications/{app}/assets");
    let answer = node.anonymous().get(&path).await;
    answer.expect_problem(401, "unauthenticated");
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    for token in ["x", "mks_a_b", "mkk_00000000000000000000000000_aaaa", "mki_x_y"] {
        node.with_token(token).get(&path).await.expect_problem(401, "unauthenticated");
    }
    // A wrong credential is refused even where none is needed, on every operation that looks at credentials.
    node.with_token("mks_a_b").get("/me").await.expect_problem(401, "unauthenticated");
    node.anonymous().get("/system").await.expect(200);
    node.stop().await;
}

#[tokio::test]
async fn hostile_strings_come_back_as_they_were_and_as_data() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application();
    let collections = format!("/applications/{app}/collections");
    let strings = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'; DROP TABLE assets; --",
        "{{7*7}} ${7*7} #{7*7}",
        "../../etc/passwd",
        "\u{202e}gnp.exe",
        "𝕌𝕟𝕚𝕔𝕠𝕕𝕖 ẞ İ ı",
        "%s%s%n $(reboot) `id` | rm -rf /",
        "=cmd|' /C calc'!A0",
    ];
    for name in strings {
        let made = admin.post(&collections, &json!({ "name": name })).await;
        let body = made.expect(201);
        assert_eq!(body["name"], name);
        assert_eq!(made.header("content-type"), "application/json");
        assert_eq!(made.header("x-content-type-options"), "nosniff");
    }
    let listed = admin.get(&format!("{collections}?limit=500")).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), strings.len());
    // The same strings as a search, a filter and a log-in are just text that matches nothing.
    for text in strings {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", text)
            .append_pair("tag", text)
            .finish();
        let search = admin.request(Method::GET, &format!("/applications/{app}/assets?{query}"));
        assert_eq!(admin.send(search).await.expect(200)["items"], json!([]));
        let login = json!({ "username": text, "password": text });
        let status = node.anonymous().post("/sessions", &login).await.status;
        assert!(status == 401 || status == 429, "{status}");
    }
    node.stop().await;
}

#[tokio::test]
async fn one_address_cannot_ask_without_end() {
    let node = Node::start_as_configured("[limits]\nrequests_per_second = 1\nrequest_burst = 10\n").await;
    let client = node.anonymous();
    let mut refused = None;
    for _ in 0..12 {
        let answer = client.get("/system").await;
        if answer.status != 200 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("the burst is bounded");
    refused.expect_problem(429, "too_many_requests");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Playback and health are not behind the API's bucket.
    assert_eq!(client.get("=/healthz").await.status, 200);
    node.stop().await;
}
