//! What browsers rely on: TLS versions, the header set, the console's page, the redirect from plain HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use crate::support::{Node, builder};

const ALWAYS: [(&str, &str); 6] = [
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[tokio::test]
async fn every_kind_of_answer_carries_the_header_set() {
    let node = Node::start().await;
    let client = node.anonymous();
    for path in ["=/", "=/library", "/system", "/nothing", "=/healthz", "=/metrics", "=/api/docs", "/me"] {
        let answer = client.get(path).await;
        for (name, value) in ALWAYS {
            assert_eq!(answer.header(name), value, "{name} of {path}");
        }
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(answer.header("permissions-policy").contains("camera=()"), "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert_eq!(answer.header("server"), "");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_page_has_a_fresh_nonce_each_time_and_unknown_api_addresses_are_no_page() {
    let node = Node::start().await;
    let client = node.anonymous();
    let nonce = |answer: &crate::support::Answer| {
        let policy = answer.header("content-security-policy").to_owned();
        policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned()
    };
    let (first, second) = (client.get("=/").await, client.get("=/some/page").await);
    assert_ne!(nonce(&first), nonce(&second));
    assert!(first.text().contains(&nonce(&first)) && !first.text().contains("{{csp-nonce}}"));
    assert_eq!(first.header("cache-control"), "no-store");
    for path in ["/assets2/none", "=/assets/none.js", "=/.well-known/none"] {
        client.get(path).await.expect_problem(404, "not_found");
    }
    client.send(client.request(Method::POST, "=/library")).await.expect_problem(405, "method_not_allowed");
    node.stop().await;
}

#[tokio::test]
async fn tls_is_1_3_or_1_2_and_speaks_http_2() {
    let node = Node::start().await;
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let only = builder(&node.ready.ca).tls_version_min(version).tls_version_max(version).build().unwrap();
        let answer = only.get(format!("{}/healthz", node.url())).send().await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    }
    // A client that speaks TLS 1.1 at most is sent away with an alert, not served.
    let mut old = TcpStream::connect(node.address()).unwrap();
    old.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x14, 0x00, 0x35, 1, 0]);
    let mut hello =
        vec![22, 3, 1, 0, u8::try_from(body.len() + 4).unwrap(), 1, 0, 0, u8::try_from(body.len()).unwrap()];
    hello.extend(body);
    old.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    let _ = old.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    // And whoever trusts somebody else does not talk to this node.
    let other = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    assert!(other.get(format!("{}/healthz", node.url())).send().await.is_err());
    node.stop().await;
}

#[tokio::test]
async fn plain_http_only_redirects() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let node = Node::start_with(&format!("redirect_listen = \"{address}\"")).await;
    let mut plain = TcpStream::connect(address).unwrap();
    plain
        .write_all(b"GET /watch?x=1 HTTP/1.1\r\nHost: media.example:80\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    let wanted = format!("location: https://media.example:{}/watch?x=1", node.address().port());
    assert!(answer.to_lowercase().contains(&wanted), "{answer}");
    node.stop().await;
}

#[tokio::test]
async fn other_origins_read_the_api_only_when_the_operator_allows_them() {
    let node = Node::start_with("allowed_origins = [\"https://wiki.example\"]").await;
    let client = node.anonymous();
    let ask = |origin: &str| client.request(Method::GET, "/system").header("origin", origin.to_owned());
    let allowed = client.send(ask("https://wiki.example")).await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://wiki.example");
    assert_eq!(allowed.header("access-control-allow-credentials"), "");
    assert_eq!(client.send(ask("https://evil.example")).await.header("access-control-allow-origin"), "");
    let preflight = client
        .request(Method::OPTIONS, "/system")
        .header("origin", "https://wiki.example")
        .header("access-control-request-method", "PATCH");
    let answer = client.send(preflight).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    node.stop().await;
}

/// A browser keeps its connection open for ever; a node that is asked to stop does not wait for that, and does wait for an
/// answer that is under way.
#[tokio::test]
async fn a_stop_waits_for_what_runs_and_not_for_idle_connections() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let bytes: Vec<u8> = (0_u32..6_000_000).flat_map(u32::to_le_bytes).collect();
    let upload = format!("/applications/{}/files/long.bin", node.application());
    let upload = admin.request(Method::PUT, &upload).body(bytes.clone());
    let asset = admin.send(upload).await.expect(201)["asset"].as_str().unwrap().to_owned();
    let link = json!({ "what": "original" });
    let link = admin.post(&format!("/assets/{asset}/downloads"), &link).await.expect(201);
    let download = admin.request(Method::GET, &format!("={}", link["url"].as_str().unwrap()));
    let mut download = download.send().await.unwrap();
    let mut got = download.chunk().await.unwrap().unwrap().to_vec();

    let began = std::time::Instant::now();
    let stopping = tokio::spawn(node.stop());
    while let Some(chunk) = download.chunk().await.expect("the download goes on while the node stops") {
        got.extend_from_slice(&chunk);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
    stopping.await.unwrap();
    let took = began.elapsed();
    // The client is still there, its connection idle.
    drop(admin);
    assert!(took.as_secs() < 15, "the node waited {took:?} for a connection on which nothing happens");
}
