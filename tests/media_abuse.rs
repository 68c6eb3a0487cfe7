//! What is tried with a View's token, case by case: each is refused, and says nothing of what it would have shown.

use std::net::IpAddr;

use reqwest::Method;
use serde_json::json;

use crate::media_support::{clip, put, ready, view};
use crate::support::{Client, Node, PASSPHRASE, builder};

/// A request that must be refused, and how it must be.
struct Case {
    what: &'static str,
    request: reqwest::RequestBuilder,
}

fn case(what: &'static str, request: reqwest::RequestBuilder) -> Case {
    Case { what, request }
}

/// A client that asks from another address of this machine.
fn from(node: &Node, address: &str) -> Client {
    let address: IpAddr = address.parse().unwrap();
    let http = builder(&node.ready.ca).local_address(address).build().unwrap();
    Client { http, ..node.anonymous() }
}

fn token_of(path: &str) -> String {
    path.trim_start_matches("=/play/").trim_end_matches('/').to_owned()
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a list of twenty-eight cases")]
async fn twenty_eight_abuses_of_a_playback_token_are_refused() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let (asset, other) = (put(&node, &admin, clip()).await, put(&node, &admin, clip()).await);
    ready(&admin, &asset).await;
    ready(&admin, &other).await;
    let token = token_of(&view(&admin, &asset).await);
    let other_token = token_of(&view(&admin, &other).await);
    let nobody = node.anonymous();
    let get = |client: &Client, token: &str, file: &str| {
        client.request(Method::GET, &format!("=/play/{token}/{file}"))
    };
    let key = |text: String| get(&nobody, &text, "key/0");

    // The token works, from here, for what it is for.
    assert_eq!(key(token.clone()).send().await.unwrap().status(), 200);
    let mut flipped = token.clone().into_bytes();
    let last = flipped.len() - 1;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let mut payload = token.clone().into_bytes();
    payload[10] = if payload[10] == b'A' { b'B' } else { b'A' };
    let wide: String = token.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect();
    let started =
        admin.post(&format!("/assets/{asset}/views"), &json!({ "carrier": "path" })).await.expect(201);
    let renewal = started["renewal"].as_str().unwrap().to_owned();
    let link = admin.post(&format!("/assets/{asset}/downloads"), &json!({ "what": "original" })).await;
    let link = link.expect(201)["url"].as_str().unwrap().trim_start_matches("/download/").to_owned();
    let elsewhere = from(&node, "127.0.0.2");
    let middle = token.len() / 2;
    let mut cases = vec![
        case("1 a changed bit of the MAC", key(String::from_utf8(flipped).unwrap())),
        case("2 a changed bit of the claims", key(String::from_utf8(payload).unwrap())),
        case("3 a MAC one letter short", key(token[..token.len() - 1].to_owned())),
        case("4 a MAC of eight letters", key(token[..token.len() - 35].to_owned())),
        case("5 no MAC", key(token[..middle].to_owned())),
        case("6 no token", key(String::new())),
        case("7 a letter more", key(format!("{token}A"))),
        case("8 padding", key(format!("{token}=="))),
        case("9 a NUL", key(format!("{token}%00"))),
        case("10 a space no one sees", key(format!("{token}%E2%80%8B"))),
        case("11 letters of another width", key(wide)),
        case("12 another case", key(token.to_uppercase())),
        case("13 another version", key(token.replacen("v1", "v0", 1))),
        case(
            "14 claims of one with the MAC of another",
            key(format!("{}{}", &token[..middle], &other_token[middle..])),
        ),
        case("15 twice", key(format!("{token}{token}"))),
        case("16 a renewal as a View", key(renewal)),
        case("17 a download link as a View", key(link)),
        case("18 a View as a download link", nobody.request(Method::GET, &format!("=/download/{token}"))),
        case("19 another address", get(&elsewhere, &token, "key/0")),
        case(
            "20 another address that says it is this one",
            get(&elsewhere, &token, "key/0")
                .header("x-forwarded-for", "127.0.0.1")
                .header("forwarded", "for=127.0.0.1"),
        ),
        case("21 a key of another period", get(&nobody, &token, "key/1")),
        case("22 out of its own asset", get(&nobody, &token, &format!("../../play/{other}/key/0"))),
        case(
            "23 the asset's id and the token as a parameter",
            nobody.request(Method::GET, &format!("=/play/{asset}/key/0?token={token}&token={token}")),
        ),
        case("24 the token as a cookie", {
            let request = nobody.request(Method::GET, &format!("=/play/{asset}/key/0"));
            request.header("cookie", format!("__Secure-view={token}"))
        }),
        case("25 the token as a bearer", {
            let request = nobody.request(Method::GET, &format!("=/play/{asset}/key/0"));
            request.bearer_auth(&token)
        }),
    ];
    // And when the right is gone, whatever is asked for and however.
    let anna = node.member(&admin, node.application(), "read_only", "anna").await;
    let revoked = token_of(&view(&anna, &asset).await);
    let rendition = {
        let main = get(&nobody, &revoked, "main.m3u8").send().await.unwrap().text().await.unwrap();
        crate::media_support::renditions(&main).remove(1)
    };
    let segment = format!("{rendition}/0.m4s");
    assert_eq!(get(&nobody, &revoked, &segment).send().await.unwrap().status(), 200);
    anna.delete("/sessions/current").await.expect(204);
    let again = node.log_in("anna", PASSPHRASE).await;
    let head = nobody.request(Method::HEAD, &format!("=/play/{revoked}/{segment}"));
    cases.extend([
        case("26 replay after the log-out, though she is back", get(&again, &revoked, "key/0")),
        case("27 only the head after the log-out", head),
        case("28 a range after the log-out", get(&nobody, &revoked, &segment).header("range", "bytes=0-15")),
    ]);
    assert_eq!(cases.len(), 28);
    for Case { what, request } in cases {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        assert!([400, 401, 403, 404, 414].contains(&status), "{what}: {status}");
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{what}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains(&token[..40]) && !text.contains(&asset), "{what}: {text}");
    }
    node.stop().await;
}
