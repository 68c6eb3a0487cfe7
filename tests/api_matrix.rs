//! Who may do what: every operation of the document, by everybody, in the own and in another application, against a
//! blessed table; and what of it is on record.
//!
//! Whoever may do something is told that the body is wrong (it is, on purpose), or does it; whoever may not learns only
//! that. After a deliberate change: `BLESS=1 cargo nextest run --workspace -E 'binary(api) & test(matrix)'`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use node::access::needs;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Node, wait_for};

/// One application with one thing of each kind that a path may name.
struct Place {
    application: String,
    asset: String,
    collection: String,
    invite: String,
    key: String,
    role: String,
    job: String,
    /// The only node there is: it stays, whoever asks.
    node: String,
    /// A member that nobody acts as, and one of its sign-ins.
    user: String,
    session: String,
}

impl Place {
    /// `path` with every parameter filled in by something of this place.
    fn fill(&self, path: &str) -> String {
        let nothing = "999999".to_owned();
        let id = [
            ("/alerts/", &nothing),
            ("/trashed-applications/", &self.application),
            ("/edges/warm/", &self.asset),
            ("/edges/", &nothing),
            ("/collections/", &self.collection),
            ("/users/", &self.user),
            ("/sessions/", &self.session),
            ("/api-keys/", &self.key),
            ("/invites/", &self.invite),
            ("/jobs/", &self.job),
            ("/nodes/", &self.node),
        ];
        let id = id.iter().find(|(part, _)| path.contains(part)).map_or(&self.asset, |(_, id)| id);
        // A name that is none: nothing is uploaded, and only whoever may upload is told.
        path.replace("{name}", "a%2Fb")
            .replace("{app}", &self.application)
            .replace("{application}", &self.application)
            .replace("{asset}", &self.asset)
            .replace("{language}", "de")
            .replace("{channel}", "webhook")
            .replace("{user}", &self.user)
            .replace("{role}", &self.role)
            .replace("{id}", id)
            .replace("{view}", "nothing")
            .replace("{token}", "nothing")
            .replace("{file}", "main.m3u8")
    }
}

/// Somebody, and the name in the table.
struct Role {
    name: &'static str,
    client: Client,
    /// Known to the node, so that what it refuses to them is on record.
    known: bool,
}

struct Stage {
    node: Node,
    admin: Client,
    own: Place,
    other: Place,
}

async fn id_of(client: &Client) -> String {
    client.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned()
}

async fn made(admin: &Client, path: &str, body: &Value) -> String {
    admin.post(path, body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// An upload that is never finished: an asset on which no work is done.
async fn upload(admin: &Client, application: &str) -> String {
    let encoded = data_encoding::BASE64.encode(application.as_bytes());
    let request = admin.request(Method::POST, "/uploads").header("Tus-Resumable", "1.0.0");
    let request = request
        .header("Upload-Length", "1000")
        .header("Upload-Metadata", format!("filename YS5tcDQ=,application {encoded}"));
    let answer = admin.send(request).await;
    answer.expect(201);
    let asset = answer.header("location").rsplit('/').next().unwrap().to_owned();
    admin.post(&format!("/assets/{asset}/publish"), &json!({})).await.expect(200);
    asset
}

/// A job that has failed.
async fn failed_job(admin: &Client, application: &str) -> String {
    let upload = admin.request(Method::PUT, &format!("/applications/{application}/files/a.mp4"));
    admin.send(upload.body("no video at all")).await.expect(201);
    settled_job(admin, application).await
}

async fn settled_job(admin: &Client, application: &str) -> String {
    wait_for("the end of the job", || async {
        let jobs = admin.get(&format!("/jobs?application={application}")).await.expect(200);
        let job = jobs["items"].as_array()?.first()?.clone();
        (job["state"] == "failed").then(|| job["id"].as_str().unwrap().to_owned())
    })
    .await
}

async fn furnish(node: &Node, admin: &Client, application: &str, name: &str) -> Place {
    let at = |rest: &str| format!("/applications/{application}/{rest}");
    let member = node.member(admin, application, "viewer", &format!("victim-{name}")).await;
    let sessions = member.get("/sessions").await.expect(200);
    Place {
        asset: upload(admin, application).await,
        collection: made(admin, &at("collections"), &json!({ "name": "C" })).await,
        invite: made(admin, &at("invites"), &json!({ "role": "viewer" })).await,
        key: made(admin, &at("api-keys"), &json!({ "name": "k", "role": "viewer" })).await,
        role: made(admin, &at("roles"), &json!({ "name": "R", "abilities": ["watch"] })).await,
        job: failed_job(admin, application).await,
        node: "1".to_owned(),
        user: id_of(&member).await,
        session: sessions["items"][0]["id"].as_str().unwrap().to_owned(),
        application: application.to_owned(),
    }
}

/// Puts back what an operation that was allowed has used up.
async fn put_back(stage: &mut Stage, operation: &str, foreign: bool, round: usize) {
    let (node, admin) = (&stage.node, &stage.admin);
    let place = if foreign { &mut stage.other } else { &mut stage.own };
    let at = |rest: &str| format!("/applications/{}/{rest}", place.application);
    match operation {
        "asset_cancel" | "asset_unpublish" | "asset_trash" | "asset_purge" | "upload_delete" => {
            place.asset = upload(admin, &place.application).await;
        }
        "application_delete" => {
            let path = format!("/trashed-applications/{}/restore", place.application);
            admin.post(&path, &json!({})).await.expect(204);
        }
        "collection_delete" => {
            let name = format!("C{round}");
            place.collection = made(admin, &at("collections"), &json!({ "name": name })).await;
        }
        "invite_revoke" => place.invite = made(admin, &at("invites"), &json!({ "role": "viewer" })).await,
        "api_key_revoke" => {
            let name = format!("k{round}");
            place.key = made(admin, &at("api-keys"), &json!({ "name": name, "role": "viewer" })).await;
        }
        "role_delete" => {
            let body = json!({ "name": format!("R{round}"), "abilities": ["watch"] });
            place.role = made(admin, &at("roles"), &body).await;
        }
        "member_remove" => {
            let member = at(&format!("members/{}", place.user));
            admin.put(&member, &json!({ "role": "viewer" })).await.expect(204);
        }
        "job_retry" => drop(settled_job(admin, &place.application).await),
        "user_delete" | "session_end" => {
            let name = format!("victim-{round}");
            let member = node.member(admin, &place.application, "viewer", &name).await;
            place.user = id_of(&member).await;
            let sessions = member.get("/sessions").await.expect(200);
            place.session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
        }
        _ => {}
    }
}

async fn everybody(node: &Node, admin: &Client, other: &str) -> Vec<Role> {
    let application = node.application();
    let mut roles = vec![Role { name: "nobody", client: node.anonymous(), known: false }];
    let mut add = |name, client, known| roles.push(Role { name, client, known });
    for (name, role) in
        [("viewer", "viewer"), ("read-only", "read_only"), ("user", "user"), ("admin", "admin")]
    {
        add(name, node.member(admin, application, role, &format!("a-{name}")).await, true);
    }
    for (name, abilities) in [
        ("uploads", json!(["upload", "describe"])),
        ("keeper", json!(["watch", "hold", "retention", "purge", "audit"])),
        ("doorkeeper", json!(["members", "keys", "settings"])),
    ] {
        let roles = format!("/applications/{application}/roles");
        let role = made(admin, &roles, &json!({ "name": name, "abilities": abilities })).await;
        let client = node.member(admin, application, "viewer", &format!("a-{name}")).await;
        let place = format!("/applications/{application}/members/{}", id_of(&client).await);
        admin.put(&place, &json!({ "custom_role": role })).await.expect(204);
        add(name, client, true);
    }
    add("other-user", node.member(admin, other, "user", "other-user").await, true);
    add("other-admin", node.member(admin, other, "admin", "other-admin").await, true);
    let suspended = node.member(admin, application, "admin", "suspended").await;
    let path = format!("/users/{}", id_of(&suspended).await);
    admin.patch(&path, &json!({ "suspended": true })).await.expect(200);
    add("suspended", suspended, false);
    let ended = node.member(admin, application, "admin", "ended").await;
    ended.delete("/sessions/current").await.expect(204);
    add("ended", ended, false);
    let keys = format!("/applications/{application}/api-keys");
    for (name, role) in [
        ("key-viewer", "viewer"),
        ("key-read-only", "read_only"),
        ("key-user", "user"),
        ("key-admin", "admin"),
    ] {
        let key = admin.post(&keys, &json!({ "name": name, "role": role })).await.expect(201);
        add(name, node.with_token(key["secret"].as_str().unwrap()), true);
    }
    let now_ms = admin.get("/system/status").await.expect(200)["time_ms"].as_u64().unwrap();
    let over_ms = now_ms + 3_000;
    let body = json!({ "name": "expired", "role": "admin", "expires_ms": over_ms });
    let key = admin.post(&keys, &body).await.expect(201);
    add("key-expired", node.with_token(key["secret"].as_str().unwrap()), false);
    add("cluster-admin", admin.clone(), true);
    wait_for("the key is over", || async {
        let now_ms = admin.get("/system/status").await.expect(200)["time_ms"].as_u64().unwrap();
        (now_ms > over_ms).then_some(())
    })
    .await;
    roles
}

fn operations() -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(&node::openapi::text()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

/// Asks with a body that no operation takes. Gives the status and the request's id.
async fn ask(client: &Client, method: &str, path: &str, has_body: bool) -> (u16, String) {
    let mut request = client.request(method.parse().unwrap(), &format!("={path}"));
    if has_body {
        request = request.header("content-type", "text/plain").body("x");
    }
    // Only the head: the event stream has no end.
    let answer = request.send().await.unwrap();
    let id = answer.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
    (answer.status().as_u16(), id.unwrap_or_default())
}

/// What was answered to one request that changes something or shows something sensitive.
struct Asked {
    what: String,
    request_id: String,
}

fn line(table: &mut String, what: &str, answers: &[(&str, String)]) {
    writeln!(table, "{what}").unwrap();
    let mut rest: Vec<_> = answers.iter().collect();
    while let Some((_, answer)) = rest.first().copied() {
        let who: Vec<_> = rest.iter().filter(|(_, other)| other == answer).map(|(who, _)| *who).collect();
        rest.retain(|(_, other)| other != answer);
        writeln!(table, "    {answer:<8} {}", who.join(" ")).unwrap();
    }
}

#[tokio::test]
async fn the_matrix_is_as_blessed_and_what_was_done_or_refused_is_on_record_once() {
    let node = Node::start_with("metrics_from = []").await;
    let admin = node.admin().await;
    let other = made(&admin, "/applications", &json!({ "name": "Other" })).await;
    let roles = everybody(&node, &admin, &other).await;
    let own = furnish(&node, &admin, node.application(), "own").await;
    let other = furnish(&node, &admin, &other, "other").await;
    let mut stage = Stage { node, admin, own, other };
    let mut table = String::from(
        "Every operation by everybody: the status in the own application, and in another where the path names one.\n",
    );
    let (mut recorded, mut round) = (Vec::new(), 0);
    for (method, path, operation) in operations() {
        let name = operation["operationId"].as_str().unwrap();
        // It would end the asker; a story of its own below.
        if name == "session_end_current" {
            continue;
        }
        let raw = ["upload_file", "upload_create", "upload_patch"].contains(&name);
        let has_body = operation.get("requestBody").is_some() || raw;
        let need = needs::of(name).unwrap();
        let mut answers = Vec::new();
        for role in &roles {
            let mut statuses = Vec::new();
            for foreign in [false, true] {
                let place = if foreign { &stage.other } else { &stage.own };
                if foreign && stage.own.fill(&path) == place.fill(&path) {
                    continue;
                }
                let (status, request_id) = ask(&role.client, &method, &place.fill(&path), has_body).await;
                let counts = status < 300 || ((status == 403 || status == 404) && name != "captions_delete");
                if need.recorded().is_some() && role.known && counts {
                    let what = format!("{name} by {} foreign {foreign}: {status}", role.name);
                    recorded.push(Asked { what, request_id });
                }
                if status < 300 {
                    round += 1;
                    put_back(&mut stage, name, foreign, round).await;
                }
                statuses.push(status.to_string());
            }
            answers.push((role.name, statuses.join("/")));
        }
        line(&mut table, &format!("{method} {path}"), &answers);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/blessed/matrix.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &table).unwrap();
    }
    let blessed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(blessed == table, "tests/blessed/matrix.txt says otherwise; the table now is:\n{table}");
    each_is_on_record_once(&stage.admin, &recorded).await;
    stage.node.stop().await;
}

async fn each_is_on_record_once(admin: &Client, asked: &[Asked]) {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("/audit?limit=500{cursor}")).await.expect(200);
        for record in page["items"].as_array().unwrap() {
            *counts.entry(record["request_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(asked.len() > 300, "{}", asked.len());
    let wrong: Vec<_> = asked
        .iter()
        .map(|asked| (counts.get(&asked.request_id).copied().unwrap_or(0), &asked.what))
        .filter(|(count, _)| *count != 1)
        .collect();
    assert!(wrong.is_empty(), "records of each, where it is not one: {wrong:#?}");
}

#[tokio::test]
async fn without_a_credential_only_what_is_listed_as_open_is_answered() {
    let node = Node::start_with("metrics_from = []").await;
    let nobody = node.anonymous();
    let everything = operations();
    assert!(everything.len() > 80, "{}", everything.len());
    let parameter = |path: &str| path.replace(['{', '}'], "");
    for (method, path, operation) in everything {
        let open =
            operation["security"].as_array().is_some_and(|list| list.iter().any(|one| *one == json!({})));
        let api = path.starts_with("/api/v1/") && !path.ends_with("/openapi.json") && method != "OPTIONS";
        if open || !(api || path == "/metrics") {
            continue;
        }
        // The same whether there is such a thing or not, and whatever the body is.
        for has_body in [false, true] {
            let (status, _) = ask(&nobody, &method, &parameter(&path), has_body).await;
            assert_eq!(status, 401, "{method} {path}");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn who_may_not_is_told_so_before_anything_of_the_body_is_looked_at() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let viewer = node.member(&admin, node.application(), "viewer", "vera").await;
    let other = made(&admin, "/applications", &json!({ "name": "Other" })).await;
    let bodies = [
        ("application/json", "{".to_owned()),
        ("application/json", "[".repeat(100)),
        ("application/json", format!("\"{}\"", "x".repeat(400_000))),
        ("text/plain", "x".to_owned()),
    ];
    let own = format!("/applications/{}/collections", node.application());
    let foreign = format!("/applications/{other}/collections");
    for (kind, body) in bodies {
        let send = |client: &Client, path: &str| {
            let request = client.request(Method::POST, path).header("content-type", kind).body(body.clone());
            let client = client.clone();
            async move { client.send(request).await }
        };
        send(&node.anonymous(), &own).await.expect_problem(401, "unauthenticated");
        send(&viewer, &own).await.expect_problem(403, "forbidden");
        send(&viewer, &foreign).await.expect_problem(404, "application_not_found");
        assert!([400, 413, 415].contains(&send(&admin, &own).await.status));
    }
    node.stop().await;
}
