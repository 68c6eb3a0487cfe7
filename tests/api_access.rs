//! Claiming, logging in and out, and what ends a sign-in.

use std::os::unix::fs::PermissionsExt;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Client, Node, PASSPHRASE, http, program, started, stop};

const ORIGIN: &str = "origin";

struct Unclaimed {
    child: tokio::process::Child,
    client: Client,
    code: String,
    folder: tempfile::TempDir,
}

async fn unclaimed(folder: tempfile::TempDir) -> Unclaimed {
    let dir = folder.path().join("n1");
    let mut command = Command::new(program());
    command.arg("run").arg("--dir").arg(&dir).arg("--key-file").arg(folder.path().join("n1.key"));
    command.args(["--listen", "127.0.0.1:0", "--announce", "--stop-with-input"]);
    let (child, line) = started(&mut command, "the node").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let http = http(&dir.join("tls/ca.pem"));
    let client = Client { http, base: line["url"].as_str().unwrap().to_owned(), token: None };
    Unclaimed { child, client, code: line["claim_code"].as_str().unwrap_or_default().to_owned(), folder }
}

fn claim(code: &str, password: &str) -> Value {
    json!({ "code": code, "username": "Anna", "password": password, "application_name": "Archive" })
}

#[tokio::test]
async fn a_node_is_claimed_once_with_the_code_on_the_machine() {
    let node = unclaimed(tempfile::tempdir().unwrap()).await;
    let code_file = node.folder.path().join("n1/claim-code");
    assert_eq!(std::fs::metadata(&code_file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(node.client.get("/system").await.expect(200)["claimed"], false);

    node.client
        .post("/claim", &claim("AAAAA-AAAAA-AAAAA-AAAAA", PASSPHRASE))
        .await
        .expect_problem(403, "wrong_claim_code");
    node.client.post("/claim", &claim(&node.code, "short")).await.expect_problem(400, "passphrase_too_short");
    let claimed = node.client.post("/claim", &claim(&node.code, PASSPHRASE)).await;
    let body = claimed.expect(201);
    assert_eq!(body["user"]["username"], "anna");
    assert_eq!(body["user"]["admin"], true);
    assert!(claimed.header("set-cookie").starts_with("__Host-session="));
    node.client.post("/claim", &claim(&node.code, PASSPHRASE)).await.expect_problem(409, "already_claimed");
    assert!(!code_file.exists());

    // The recovery key is proven by typing it again.
    let login = json!({ "username": "anna", "password": PASSPHRASE });
    let token = node.client.post("/sessions?kind=token", &login).await.expect(201)["token"].clone();
    let admin = Client { token: token.as_str().map(str::to_owned), ..node.client.clone() };
    assert_eq!(admin.get("/me").await.expect(200)["recovery_unconfirmed"], true);
    let wrong = json!({ "recovery_key": "nothing like it" });
    admin.post("/claim/recovery-confirmed", &wrong).await.expect_problem(400, "recovery_key_wrong");
    let right = json!({ "recovery_key": body["recovery_key"] });
    admin.post("/claim/recovery-confirmed", &right).await.expect(204);
    assert_eq!(admin.get("/me").await.expect(200)["recovery_unconfirmed"], false);
    stop(node.child).await;

    // After a restart the node is still claimed, and says so.
    let again = unclaimed(node.folder).await;
    assert_eq!(again.code, "");
    assert_eq!(again.client.get("/system").await.expect(200)["claimed"], true);
    stop(again.child).await;
}

#[tokio::test]
async fn wrong_claim_codes_are_slowed_down() {
    let node = unclaimed(tempfile::tempdir().unwrap()).await;
    let wrong = claim("22222-22222-22222-22222", PASSPHRASE);
    for _ in 0..5 {
        node.client.post("/claim", &wrong).await.expect_problem(403, "wrong_claim_code");
    }
    let slowed = node.client.post("/claim", &wrong).await;
    slowed.expect_problem(429, "too_many_claims");
    assert!(slowed.header("retry-after").parse::<u64>().unwrap() >= 1);
    stop(node.child).await;
}

fn cookie_of(answer: &crate::support::Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_cookie_lives_until_log_out_and_no_other_site_can_use_it() {
    let node = Node::start().await;
    let anonymous = node.anonymous();
    let login = json!({ "username": node.ready.username, "password": node.ready.password });
    let answer = anonymous.post("/sessions", &login).await;
    answer.expect(201);
    let attributes = answer.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    assert!(!attributes.contains("Domain"));
    let cookie = cookie_of(&answer);
    let with_cookie = |method: Method, path: &str| anonymous.request(method, path).header("cookie", &cookie);

    anonymous.send(with_cookie(Method::GET, "/me")).await.expect(200);
    // A change needs our own origin: no origin, another one, or a cross-site fetch is refused.
    let end = || with_cookie(Method::DELETE, "/sessions/current");
    anonymous.send(end()).await.expect_problem(403, "cross_site");
    anonymous.send(end().header(ORIGIN, "https://evil.example")).await.expect_problem(403, "cross_site");
    let foreign = end().header(ORIGIN, node.url()).header("sec-fetch-site", "cross-site");
    anonymous.send(foreign).await.expect_problem(403, "cross_site");
    anonymous.send(with_cookie(Method::GET, "/me")).await.expect(200);

    let ended = anonymous.send(end().header(ORIGIN, node.url())).await;
    ended.expect(204);
    assert!(ended.header("set-cookie").contains("Max-Age=0"));
    anonymous.send(with_cookie(Method::GET, "/me")).await.expect_problem(401, "unauthenticated");
    anonymous.send(with_cookie(Method::GET, "/sessions")).await.expect_problem(401, "unauthenticated");
    node.stop().await;
}

#[tokio::test]
async fn a_person_sees_and_ends_own_sign_ins_only() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let first = node.member(&admin, node.application(), "viewer", "vera").await;
    let second = node.log_in("Vera", PASSPHRASE).await;
    let list = second.get("/sessions").await.expect(200);
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    let other =
        items.iter().find(|item| item["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();

    // Somebody else's sign-in does not exist for one.
    let admin_session =
        admin.get("/sessions").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    second.delete(&format!("/sessions/{admin_session}")).await.expect_problem(404, "session_not_found");
    second.delete(&format!("/sessions/{other}")).await.expect(204);
    first.get("/me").await.expect_problem(401, "unauthenticated");

    let third = node.log_in("vera", PASSPHRASE).await;
    third.delete("/sessions").await.expect(204);
    second.get("/me").await.expect_problem(401, "unauthenticated");
    third.get("/me").await.expect(200);
    node.stop().await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_tells_nothing_about_who_exists() {
    let node = Node::start().await;
    let admin = node.admin().await;
    node.member(&admin, node.application(), "user", "karl").await;
    let attempt = |name: &str| json!({ "username": name, "password": "this is not the passphrase" });
    let known =
        node.anonymous().post("/sessions", &attempt("karl")).await.expect_problem(401, "wrong_credentials");
    let unknown =
        node.anonymous().post("/sessions", &attempt("nobody")).await.expect_problem(401, "wrong_credentials");
    assert_eq!(known["detail"], unknown["detail"]);
    for _ in 0..4 {
        node.anonymous().post("/sessions", &attempt("nobody")).await.expect_problem(401, "wrong_credentials");
    }
    let slowed = node.anonymous().post("/sessions", &attempt("nobody")).await;
    slowed.expect_problem(429, "too_many_logins");
    assert!(slowed.header("retry-after").parse::<u64>().unwrap() >= 1);

    // Refusals are audited, with the account when there is one and never with what was typed.
    let audit = admin.get("/audit?action=session.refuse&limit=100").await.expect(200);
    let targets: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|item| item["target"].clone()).collect();
    assert_eq!(targets.len(), 6);
    assert_eq!(targets.iter().filter(|target| **target == "unknown user").count(), 5);
    assert!(!audit.to_string().contains("not the passphrase"));
    node.stop().await;
}

#[tokio::test]
async fn a_changed_or_reset_passphrase_ends_the_other_sign_ins() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let one = node.member(&admin, node.application(), "user", "uma").await;
    let two = node.log_in("uma", PASSPHRASE).await;
    let next = "ein ganz anderer langer satz";
    let wrong = json!({ "current": "not it at all, sorry", "new": next });
    one.put("/me/password", &wrong).await.expect_problem(403, "wrong_credentials");
    let weak = json!({ "current": PASSPHRASE, "new": "passwordpassword" });
    one.put("/me/password", &weak).await.expect_problem(400, "passphrase_common");
    one.put("/me/password", &json!({ "current": PASSPHRASE, "new": next })).await.expect(204);
    two.get("/me").await.expect_problem(401, "unauthenticated");
    one.get("/me").await.expect(200);

    let id = one.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let link = admin.post(&format!("/users/{id}/reset"), &json!({})).await.expect(201);
    let last = "noch ein dritter langer satz";
    let reset = json!({ "secret": link["secret"], "password": last });
    node.anonymous().post("/resets", &reset).await.expect(204);
    one.get("/me").await.expect_problem(401, "unauthenticated");
    node.anonymous().post("/resets", &reset).await.expect_problem(400, "link_not_valid");
    node.log_in("uma", last).await.get("/me").await.expect(200);
    node.stop().await;
}

#[tokio::test]
async fn a_suspended_person_is_out_at_once_and_may_come_back() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let person = node.member(&admin, node.application(), "user", "sam").await;
    let id = person.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/users/{id}");
    assert_eq!(admin.patch(&path, &json!({ "suspended": true })).await.expect(200)["suspended"], true);
    person.get("/me").await.expect_problem(401, "unauthenticated");
    let login = json!({ "username": "sam", "password": PASSPHRASE });
    node.anonymous().post("/sessions", &login).await.expect_problem(401, "wrong_credentials");
    admin.patch(&path, &json!({ "suspended": false })).await.expect(200);
    node.log_in("sam", PASSPHRASE).await.get("/me").await.expect(200);
    // The last cluster admin stays.
    let own = admin.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let away = admin.patch(&format!("/users/{own}"), &json!({ "admin": false })).await;
    away.expect_problem(409, "last_cluster_admin");
    node.stop().await;
}
