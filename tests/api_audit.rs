//! What is on record: everything that changes something or shows something sensitive, exactly once, with its request.

use std::collections::BTreeSet;

use node::access::needs;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Node, PASSPHRASE, wait_for};

/// One operation, done: its name, what the audit log must say, and what the node answered.
struct Done {
    operation: &'static str,
    action: &'static str,
    answer: Answer,
}

struct Story<'a> {
    node: &'a Node,
    admin: Client,
    app: String,
    done: Vec<Done>,
}

impl Story<'_> {
    async fn does(
        &mut self,
        operation: &'static str,
        action: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Value {
        let answer = self.admin.send(request).await;
        assert!(answer.status < 300, "{operation}: {} {}", answer.status, answer.text());
        let body = if answer.bytes.is_empty() || !answer.header("content-type").ends_with("json") {
            Value::Null
        } else {
            answer.json()
        };
        self.done.push(Done { operation, action, answer });
        body
    }

    async fn posts(
        &mut self,
        operation: &'static str,
        action: &'static str,
        path: &str,
        body: Value,
    ) -> Value {
        let request = self.admin.request(Method::POST, path).json(&body);
        self.does(operation, action, request).await
    }

    async fn asks(&mut self, operation: &'static str, action: &'static str, method: Method, path: &str) {
        let request = self.admin.request(method, path);
        self.does(operation, action, request).await;
    }

    fn at(&self, rest: &str) -> String {
        format!("/applications/{}/{rest}", self.app)
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

/// An upload that is begun and not finished.
async fn upload(story: &mut Story<'_>) -> String {
    let request = story.admin.request(Method::POST, "/uploads").header("Tus-Resumable", "1.0.0");
    let request = request.header("Upload-Length", "10").header("Upload-Metadata", "filename YS5tcDQ=");
    let answer = story.admin.send(request).await;
    answer.expect(201);
    let asset = answer.header("location").rsplit('/').next().unwrap().to_owned();
    story.done.push(Done { operation: "upload_create", action: "asset.create", answer });
    asset
}

/// Giving such a role is on record as giving any other is.
async fn own_roles(story: &mut Story<'_>) {
    let roles = story.at("roles");
    let body = json!({ "name": "Uploads", "abilities": ["upload"] });
    let role = id(&story.posts("role_create", "role.create", &roles, body.clone()).await);
    let one = format!("{roles}/{role}");
    let request = story.admin.request(Method::PUT, &one).json(&body);
    story.does("role_update", "role.update", request).await;
    story.asks("role_delete", "role.delete", Method::DELETE, &one).await;
}

async fn people(story: &mut Story<'_>) {
    let invites = story.at("invites");
    let invite = story.posts("invite_create", "invite.create", &invites, json!({ "role": "viewer" })).await;
    let revoke = format!("{invites}/{}", id(&invite));
    story.asks("invite_revoke", "invite.revoke", Method::DELETE, &revoke).await;
    let person = json!({ "username": "paula", "password": PASSPHRASE });
    let user = id(&story.posts("user_create", "user.create", "/users", person).await);
    let path = format!("/users/{user}");
    let reset = story.posts("user_reset", "user.start_reset", &format!("{path}/reset"), json!({})).await;
    let body = json!({ "secret": reset["secret"], "password": "noch ein langer satz hier" });
    story.posts("reset_finish", "user.finish_reset", "/resets", body).await;
    let member = story.at(&format!("members/{user}"));
    let confirm = json!({ "password": story.node.ready.password });
    story.posts("session_confirm", "session.confirm", "/sessions/current/confirm", confirm).await;
    let request = story.admin.request(Method::PUT, &member).json(&json!({ "role": "user" }));
    story.does("member_set", "member.set", request).await;
    story.asks("member_remove", "member.remove", Method::DELETE, &member).await;
    let request = story.admin.request(Method::PATCH, &path).json(&json!({ "suspended": true }));
    story.does("user_update", "user.suspend", request).await;
    story.asks("user_delete", "user.delete", Method::DELETE, &path).await;
    let invite = story.posts("invite_create", "invite.create", &invites, json!({ "role": "viewer" })).await;
    let accept = json!({ "secret": invite["secret"], "username": "pia", "password": PASSPHRASE });
    story.posts("invite_accept", "invite.accept", "/invites/accept?kind=token", accept).await;
    let invite = story.posts("invite_create", "invite.create", &invites, json!({ "role": "viewer" })).await;
    story.posts("invite_join", "invite.join", "/invites/join", json!({ "secret": invite["secret"] })).await;
    own_roles(story).await;
    let keys = story.at("api-keys");
    let key =
        story.posts("api_key_create", "api_key.create", &keys, json!({ "name": "k", "role": "user" })).await;
    let key = format!("/api-keys/{}", id(&key));
    story.asks("api_key_revoke", "api_key.revoke", Method::DELETE, &key).await;
    let made = story
        .posts("application_create", "application.create", "/applications", json!({ "name": "B" }))
        .await;
    let path = format!("/applications/{}", id(&made));
    let request = story.admin.request(Method::PATCH, &path).json(&json!({ "name": "C" }));
    story.does("application_update", "application.update", request).await;
    story.asks("application_delete", "application.trash", Method::DELETE, &path).await;
    let trashed = format!("/trashed-applications/{}", id(&made));
    let restore = format!("{trashed}/restore");
    story.asks("trashed_application_restore", "application.restore", Method::POST, &restore).await;
    story.asks("application_delete", "application.trash", Method::DELETE, &path).await;
    story.asks("trashed_application_purge", "application.purge", Method::DELETE, &trashed).await;
}

async fn assets(story: &mut Story<'_>) {
    let collections = story.at("collections");
    let made =
        story.posts("collection_create", "collection.create", &collections, json!({ "name": "A" })).await;
    let path = format!("/collections/{}", id(&made));
    let request = story.admin.request(Method::PATCH, &path).json(&json!({ "name": "B" }));
    story.does("collection_update", "collection.update", request).await;
    let request = story.admin.request(Method::PUT, &format!("{path}/retention")).json(&json!({ "days": 30 }));
    story.does("retention_set", "collection.set_retention", request).await;
    story.asks("collection_delete", "collection.delete", Method::DELETE, &path).await;

    let asset = upload(story).await;
    let path = format!("/assets/{asset}");
    let request = story.admin.request(Method::PATCH, &path).json(&json!({ "title": "T" }));
    story.does("asset_update", "asset.describe", request).await;
    for (operation, action, verb) in [
        ("asset_publish", "asset.publish", "publish"),
        ("asset_unpublish", "asset.unpublish", "unpublish"),
        ("asset_hold", "asset.hold", "hold"),
        ("asset_release_hold", "asset.release_hold", "release-hold"),
    ] {
        story.asks(operation, action, Method::POST, &format!("{path}/{verb}")).await;
    }
    let request = story.admin.request(Method::DELETE, &format!("/uploads/{asset}"));
    story.does("upload_delete", "asset.abandon_upload", request.header("Tus-Resumable", "1.0.0")).await;

    let path = story.at("files/a.mp4");
    let request = story.admin.request(Method::PUT, &path).body("no video at all");
    let made = story.does("upload_file", "asset.create", request).await;
    let asset = made["asset"].as_str().unwrap().to_owned();
    let wanted = json!({ "what": "original" });
    let link = story.admin.post(&format!("/assets/{asset}/downloads"), &wanted).await.expect(201);
    let address = format!("={}", link["url"].as_str().unwrap());
    story.asks("download_file", "download.start", Method::GET, &address).await;
    for (operation, action, verb) in [
        ("asset_trash", "asset.trash", "trash"),
        ("asset_restore", "asset.restore", "restore"),
        ("asset_trash", "asset.trash", "trash"),
        ("asset_purge", "asset.purge", "purge"),
    ] {
        story.asks(operation, action, Method::POST, &format!("/assets/{asset}/{verb}")).await;
    }
}

async fn oneself_and_the_node(story: &mut Story<'_>) {
    let login = json!({ "username": story.node.ready.username, "password": story.node.ready.password });
    let session =
        story.posts("session_create", "session.create", "/sessions?kind=token", login.clone()).await;
    let other = story.node.with_token(session["token"].as_str().unwrap());
    let sessions = other.get("/sessions").await.expect(200);
    let current = sessions["items"].as_array().unwrap().iter().find(|one| one["current"] == true).unwrap();
    story.asks("session_end", "session.end", Method::DELETE, &format!("/sessions/{}", id(current))).await;
    story.asks("session_end_others", "session.end_all", Method::DELETE, "/sessions").await;
    let key = story
        .posts("recovery_key_replace", "cluster.replace_recovery_key", "/system/recovery-key", json!({}))
        .await;
    let typed = json!({ "recovery_key": key["recovery_key"] });
    story
        .posts("claim_confirm_recovery", "cluster.confirm_recovery_key", "/claim/recovery-confirmed", typed)
        .await;
    story.posts("join_token_create", "cluster.create_join_token", "/cluster/tokens", json!({})).await;
    // The only node cannot be emptied; that it is to take part is a deed too.
    story.posts("node_drain", "node.drain", "/nodes/1/drain", json!({ "draining": false })).await;
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let body = json!({ "chain": own.cert.pem(), "key": own.signing_key.serialize_pem() });
    let request = story.admin.request(Method::PUT, "/system/certificate").json(&body);
    story.does("certificate_install", "certificate.install", request).await;
    story.asks("certificate_remove", "certificate.remove", Method::DELETE, "/system/certificate").await;
    let request = story.admin.request(Method::PUT, "/cluster/site-map").json(&json!({ "networks": [] }));
    story.does("site_map_set", "cluster.set_site_map", request).await;
    story.posts("edge_token_create", "edge.create_token", "/edges/tokens", json!({})).await;
    let selection = json!({ "application": story.app, "tag": "gone" });
    story.posts("edge_purge", "edge.purge", "/edges/purges", selection).await;
    let authority = story.admin.get("/cluster").await.expect(200)["authority"]["fingerprint"].clone();
    let body = json!({ "fingerprint": authority });
    let replace = "/cluster/authority/replace";
    story.posts("authority_replace", "cluster.replace_authority", replace, body).await;
    let key = json!({ "epoch": 1 });
    story.posts("cluster_key_rotate", "cluster.rotate_key", "/cluster/key/rotate", key).await;
    let request = story.admin.request(Method::PUT, "/alerts/channels").json(&json!({ "least": "warning" }));
    story.does("alert_channels_set", "alert.set_channels", request).await;
    let alert = wait_for("an alert", || async {
        let page = story.admin.get("/alerts?open=true").await.expect(200);
        page["items"].as_array().unwrap().first().map(|alert| alert["id"].to_string())
    })
    .await;
    story
        .posts("alert_acknowledge", "alert.acknowledge", &format!("/alerts/{alert}/acknowledge"), json!({}))
        .await;
    story.asks("audit_list", "audit.read", Method::GET, "/audit?limit=1").await;
    let change = json!({ "current": story.node.ready.password, "new": "ein ganz neuer langer satz" });
    let request = story.admin.request(Method::PUT, "/me/password").json(&change);
    story.does("me_set_password", "user.set_password", request).await;
}

/// All records, oldest last.
async fn records(admin: &Client) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/audit?limit=500{cursor}")).await.expect(200);
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Done with real media elsewhere: a film, its job, posters, captions and views.
const WITH_MEDIA: [&str; 9] = [
    "asset_cancel",
    "asset_retry",
    "captions_delete",
    "captions_set",
    "download_create",
    "job_cancel",
    "job_retry",
    "poster_set",
    "view_start",
];

/// Done elsewhere, with somebody who hears of it: a receiver of alerts, and a place for backups, where each is looked for
/// in the log too.
const WITH_OTHERS: [&str; 7] = [
    "alert_channel_test",
    "backup_begin",
    "backup_drill",
    "backup_target_create",
    "backup_target_remove",
    "backup_target_update",
    "backup_verify",
];

/// Done where there is more than one node or an edge, and looked for in the log there: `cluster_real`, `cluster_edge`,
/// `cluster_trust`.
const WITH_MORE_NODES: [&str; 5] =
    ["authority_abandon", "edge_remove", "edge_warm", "edge_warm_end", "node_remove"];

#[tokio::test]
async fn everything_that_is_done_is_on_record_once_and_whole() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let app = node.application().to_owned();
    let mut story = Story { node: &node, admin, app, done: Vec::new() };
    people(&mut story).await;
    assets(&mut story).await;
    oneself_and_the_node(&mut story).await;
    let records = records(&story.admin).await;
    for Done { operation, action, answer } in &story.done {
        let request = answer.header("x-request-id");
        let of_it: Vec<_> =
            records.iter().filter(|one| one["request_id"] == request && one["action"] == *action).collect();
        assert_eq!(of_it.len(), 1, "{operation} is on record as {action} {} times", of_it.len());
        let record = of_it[0];
        assert_eq!(record["result"], "ok", "{record}");
        for field in ["actor", "target", "address", "hash"] {
            assert!(record[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {record}");
        }
        assert!(record["time_ms"].as_u64().is_some_and(|at| at > 0), "{record}");
    }
    // And nothing of what must be on record is left out of this story.
    let told: BTreeSet<&str> = story
        .done
        .iter()
        .map(|done| done.operation)
        .chain(WITH_MEDIA)
        .chain(WITH_OTHERS)
        .chain(WITH_MORE_NODES)
        .collect();
    let mut routes = node::routes::Routes::default();
    node::api::configure_all(&mut routes);
    let must: BTreeSet<&str> = routes
        .names()
        .into_iter()
        .filter(|name| needs::of(name).is_some_and(|need| need.recorded().is_some()))
        .collect();
    let untold: Vec<_> = must
        .difference(&told)
        .filter(|name| !["session_end_current", "upload_patch"].contains(*name))
        .collect();
    assert!(untold.is_empty(), "{untold:?}");
    assert_eq!(story.admin.get("/audit/verify").await.expect(200)["ok"], true);
    node.stop().await;
}
