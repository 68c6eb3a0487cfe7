//! Applications, members, invitations and API keys.

use serde_json::json;

use crate::support::{Node, PASSPHRASE};

#[tokio::test]
async fn an_invitation_works_once_and_gives_its_role_only() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application();
    let invites = format!("/applications/{app}/invites");
    let invite = admin.post(&invites, &json!({ "role": "read_only", "days": 1 })).await.expect(201);
    assert_eq!(admin.get(&invites).await.expect(200)["items"][0]["secret"], json!(null));

    let accept = json!({ "secret": invite["secret"], "username": "rita", "password": PASSPHRASE });
    let weak = json!({ "secret": invite["secret"], "username": "rita", "password": "rita rita rita rita" });
    node.anonymous().post("/invites/accept", &weak).await.expect_problem(400, "passphrase_common");
    let accepted = node.anonymous().post("/invites/accept?kind=token", &accept).await.expect(201);
    let rita = node.with_token(accepted["token"].as_str().unwrap());
    assert_eq!(rita.get("/me").await.expect(200)["applications"][0]["role"], "read_only");
    node.anonymous().post("/invites/accept", &accept).await.expect_problem(400, "link_not_valid");

    let refused = rita.post(&invites, &json!({ "role": "admin" })).await.expect_problem(403, "forbidden");
    assert_eq!(refused["needs"], "admin");
    // A withdrawn invitation is dead.
    let other = admin.post(&invites, &json!({ "role": "viewer" })).await.expect(201);
    admin.delete(&format!("{invites}/{}", other["id"].as_str().unwrap())).await.expect(204);
    let late = json!({ "secret": other["secret"], "username": "late", "password": PASSPHRASE });
    node.anonymous().post("/invites/accept", &late).await.expect_problem(400, "link_not_valid");
    node.stop().await;
}

#[tokio::test]
async fn what_belongs_to_another_application_does_not_exist() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let other = admin.post("/applications", &json!({ "name": "Other" })).await.expect(201);
    let other = other["id"].as_str().unwrap();
    let mine = node.member(&admin, node.application(), "admin", "mia").await;
    let key =
        admin.post(&format!("/applications/{other}/api-keys"), &json!({ "name": "k", "role": "user" })).await;
    let key = key.expect(201)["id"].as_str().unwrap().to_owned();
    let names = |list: serde_json::Value| {
        list["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(mine.get("/applications").await.expect(200)), [json!("Videos")]);
    assert_eq!(names(admin.get("/applications").await.expect(200)), [json!("Other"), json!("Videos")]);
    for path in ["", "/members", "/invites", "/api-keys", "/collections", "/assets", "/tags"] {
        mine.get(&format!("/applications/{other}{path}")).await.expect_problem(404, "application_not_found");
    }
    mine.delete(&format!("/api-keys/{key}")).await.expect_problem(404, "api_key_not_found");
    mine.patch(&format!("/applications/{other}"), &json!({ "name": "x" }))
        .await
        .expect_problem(404, "application_not_found");
    admin.delete(&format!("/applications/{other}")).await.expect(204);
    node.stop().await;
}

#[tokio::test]
async fn an_api_key_is_shown_once_does_its_role_and_dies_at_once() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application();
    let keys = format!("/applications/{app}/api-keys");
    let made = admin.post(&keys, &json!({ "name": "importer", "role": "user" })).await.expect(201);
    let key = node.with_token(made["secret"].as_str().unwrap());
    key.get(&format!("/applications/{app}/assets")).await.expect(200);
    key.post(&format!("/applications/{app}/collections"), &json!({ "name": "By key" })).await.expect(201);
    // A key lets nobody in and has no account of its own.
    key.post(&keys, &json!({ "name": "child", "role": "viewer" })).await.expect_problem(403, "forbidden");
    key.get("/me").await.expect_problem(403, "person_only");
    assert!(!admin.get(&keys).await.expect(200).to_string().contains("mkk_"));
    admin.delete(&format!("/api-keys/{}", made["id"].as_str().unwrap())).await.expect(204);
    key.get(&format!("/applications/{app}/assets")).await.expect_problem(401, "unauthenticated");
    node.stop().await;
}

#[tokio::test]
async fn members_leave_are_taken_out_and_change_roles() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application();
    let person = node.member(&admin, app, "viewer", "milo").await;
    let id = person.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let member = format!("/applications/{app}/members/{id}");
    person.get(&format!("/applications/{app}/members")).await.expect_problem(403, "forbidden");
    admin.put(&member, &json!({ "role": "user" })).await.expect(204);
    person.get(&format!("/applications/{app}/members")).await.expect(200);
    admin.put(&member, &json!({ "role": "emperor" })).await.expect_problem(400, "invalid_body");
    person.delete(&member).await.expect(204);
    person.get(&format!("/applications/{app}")).await.expect_problem(404, "application_not_found");
    assert_eq!(person.get("/me").await.expect(200)["applications"], json!([]));
    node.stop().await;
}

#[tokio::test]
async fn every_change_leaves_one_audit_record_and_the_chain_holds() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application();
    // Counted is what this person changed: a node that has just started has things to report, and reading leaves a record.
    let changes = async || {
        let found = admin.get("/audit?actor=admin").await.expect(200);
        let items = found["items"].as_array().unwrap().iter();
        items.filter(|item| item["action"] != "audit.read").count()
    };
    let before = admin.get("/audit/verify").await.expect(200);
    let changes_before = changes().await;
    admin.post(&format!("/applications/{app}/collections"), &json!({ "name": "A" })).await.expect(201);
    admin
        .post(&format!("/applications/{app}/collections"), &json!({ "name": "A" }))
        .await
        .expect_problem(409, "name_taken");
    let after = admin.get("/audit/verify").await.expect(200);
    assert_eq!(after["ok"], true);
    assert_eq!(changes().await, changes_before + 2);
    assert!(after["verified_to"].as_u64() > before["verified_to"].as_u64());
    let found = admin.get("/audit?action=collection.&actor=admin").await.expect(200);
    let results: Vec<_> =
        found["items"].as_array().unwrap().iter().map(|item| item["result"].clone()).collect();
    assert_eq!(results, [json!("name_taken"), json!("ok")]);
    // An application's admin reads that application's part only.
    let own = node.member(&admin, app, "admin", "ada").await;
    own.get(&format!("/audit?application={app}")).await.expect(200);
    own.get("/audit").await.expect_problem(403, "forbidden");
    own.get("/audit/verify").await.expect_problem(403, "forbidden");
    node.stop().await;
}
