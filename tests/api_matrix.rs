//! Who may read what: every operation of the document that reads, by every role, in the own and in another
//! application, against a blessed table; and nobody may do anything without a credential but what is listed as open.

use std::fmt::Write as _;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Node};

struct Place {
    application: String,
    collection: String,
    asset: String,
}

async fn furnish(admin: &Client, application: &str) -> Place {
    let path = format!("/applications/{application}/collections");
    let collection = admin.post(&path, &json!({ "name": "C" })).await.expect(201);
    let upload = admin
        .request(Method::PUT, &format!("/applications/{application}/files/a.mp4"))
        .body("no video at all");
    let asset = admin.send(upload).await.expect(201);
    Place {
        application: application.to_owned(),
        collection: collection["id"].as_str().unwrap().to_owned(),
        asset: asset["asset"].as_str().unwrap().to_owned(),
    }
}

/// `path` with every parameter filled in by something of `place`, or none when there is no such thing to read.
fn filled(path: &str, place: &Place, user: &str) -> String {
    let id = if path.contains("/collections/") {
        &place.collection
    } else if path.contains("/users/") {
        user
    } else {
        &place.asset
    };
    path.replace("{app}", &place.application)
        .replace("{application}", &place.application)
        .replace("{asset}", &place.asset)
        .replace("{id}", id)
        .replace("{user}", user)
}

fn operations(wanted: impl Fn(&str) -> bool) -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(&node::openapi::text()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if wanted(method) {
                found.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    found
}

async fn status(client: &Client, method: &str, path: &str) -> u16 {
    let request = client.request(method.parse().unwrap(), &format!("={path}"));
    // Only the head: the event stream has no end.
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn every_read_is_answered_as_the_blessed_table_says() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let other = admin.post("/applications", &json!({ "name": "Other" })).await.expect(201);
    let own = furnish(&admin, node.application()).await;
    let other = furnish(&admin, other["id"].as_str().unwrap()).await;
    let admin_id = admin.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let mut roles = vec![("nobody", node.anonymous())];
    for role in ["viewer", "read_only", "user", "admin"] {
        roles.push((role, node.member(&admin, node.application(), role, &format!("some-{role}")).await));
    }
    let keys = format!("/applications/{}/api-keys", node.application());
    let key = admin.post(&keys, &json!({ "name": "k", "role": "user" })).await.expect(201);
    roles.push(("key", node.with_token(key["secret"].as_str().unwrap())));
    roles.push(("cluster", admin.clone()));

    let mut table = String::from("# operation: status in the own / another application, by role\n");
    for (method, path, _) in operations(|method| method == "get") {
        if path.starts_with("/play") || path.starts_with("/download") {
            continue;
        }
        write!(table, "{method} {path}:").unwrap();
        for (name, client) in &roles {
            let mine = status(client, &method, &filled(&path, &own, &admin_id)).await;
            let foreign = status(client, &method, &filled(&path, &other, &admin_id)).await;
            write!(table, " {name} {mine}/{foreign}").unwrap();
        }
        table.push('\n');
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/blessed/reads.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &table).unwrap();
    }
    let blessed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(blessed == table, "tests/blessed/reads.txt says otherwise; the table now is:\n{table}");
    node.stop().await;
}

#[tokio::test]
async fn without_a_credential_only_what_is_listed_as_open_is_answered() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let own = furnish(&admin, node.application()).await;
    let nobody = node.anonymous();
    let everything = operations(|_| true);
    assert!(everything.len() > 60, "{}", everything.len());
    for (method, path, operation) in everything {
        let open =
            operation["security"].as_array().is_some_and(|list| list.iter().any(|one| *one == json!({})));
        if open || !path.starts_with("/api/v1/") || path.ends_with("/openapi.json") || method == "OPTIONS" {
            continue;
        }
        let status = status(&nobody, &method, &filled(&path, &own, &own.asset)).await;
        // A change may also be refused for its missing body, which is looked at first; a read must say 401.
        let refused = status == 401 || (method != "GET" && (400..500).contains(&status));
        assert!(refused, "{method} {path}: {status}");
    }
    node.stop().await;
}
