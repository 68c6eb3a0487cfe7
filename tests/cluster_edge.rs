//! An edge is a real process beside a real cluster: viewers watch through it, it holds what it is to hold, forgets what it
//! must, goes on alone for the grace, and keeps no key.
#![allow(clippy::unwrap_used)] // a test may panic

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

#[path = "cluster_edge_keys.rs"]
mod keys;
#[path = "media_support.rs"]
#[allow(dead_code, reason = "shared with the stories of media")]
mod media_support;
#[path = "support/mod.rs"]
mod support;

use media_support::clip;
use support::{Client, Node, builder, http, program, started, stop, wait_for};

/// What is revoked or purged is gone from an edge within this time.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A running edge.
struct Edge {
    child: Child,
    url: String,
    id: String,
    folder: PathBuf,
}

impl Edge {
    /// Joins the cluster of `admin` with an empty folder.
    async fn join(admin: &Client, folder: &Path, name: &str) -> Self {
        let token = admin.post("/edges/tokens", &json!({ "minutes": 5 })).await.expect(201);
        let token = token["token"].as_str().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let settings = "[limits]\nworkers = 1\n[edge]\ncache_mib = 64\n";
        std::fs::write(folder.join("edge.toml"), settings).unwrap();
        let place = ["--name", name, "--site", "branch", "--listen", "127.0.0.1:0"];
        let edge = Self::start(folder, &[&["join", token][..], &place].concat()).await;
        // From then on players hear of it, at the nodes too.
        wait_for("the node knows that the edge serves", || async {
            let edges = admin.get("/edges").await.expect(200);
            let mut edges = edges["items"].as_array()?.iter();
            edges.find(|one| one["id"] == edge.id && one["serving"] == true).map(drop)
        })
        .await;
        edge
    }

    /// Starts the edge again that was in `folder`, where it was reached before.
    async fn again(folder: &Path, url: &str) -> Self {
        let listen = url.strip_prefix("https://").unwrap();
        Self::start(folder, &["run", "--name", "edge", "--site", "branch", "--listen", listen]).await
    }

    async fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.arg("edge").args(arguments).args(["--announce", "--stop-with-input"]);
        command.arg("--config").arg(folder.join("edge.toml")).arg("--dir").arg(folder.join("data"));
        let (child, line) = started(command.arg("--key-file").arg(folder.join("edge.key")), "an edge").await;
        let said: Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| said[name].as_str().unwrap().to_owned();
        Self { child, url: word("url"), id: word("edge"), folder: folder.to_owned() }
    }

    /// Somebody who came here to watch.
    fn viewer(&self, ca: &Path) -> Client {
        Client { http: http(ca), base: self.url.clone(), token: None }
    }

    /// One of its counters; with `labels` as Prometheus writes them.
    async fn counter(&self, viewer: &Client, name: &str) -> u64 {
        let text = viewer.get("=/metrics").await.text();
        let found = text.lines().find_map(|line| line.strip_prefix(&format!("mediakeep_edge_{name} ")));
        found.map_or(0, |value| value.parse().unwrap())
    }

    /// Names of all it holds on its disk.
    fn held(&self) -> Vec<PathBuf> {
        files_below(&self.folder.join("data/cache"))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

async fn uploaded(admin: &Client, application: &str) -> String {
    let path = format!("/applications/{application}/files/clip.mp4");
    let answer = admin.send(admin.request(Method::PUT, &path).body(clip().to_vec())).await.expect(201);
    let asset = answer["asset"].as_str().unwrap().to_owned();
    media_support::ready(admin, &asset).await;
    asset
}

async fn begun(client: &Client, asset: &str) -> String {
    let wanted = json!({ "carrier": "path", "any_address": true });
    let view = client.post(&format!("/assets/{asset}/views"), &wanted).await.expect(201);
    format!("={}", view["playlist_url"].as_str().unwrap().strip_suffix("main.m3u8").unwrap())
}

/// The files of every rendition, as their playlists name them, and the key.
async fn files_of(viewer: &Client, view: &str) -> Vec<String> {
    let main = viewer.get(&format!("{view}main.m3u8")).await;
    assert_eq!(main.status, 200, "{}", main.text());
    let mut files = Vec::new();
    for rendition in media_support::renditions(&main.text()) {
        let index = viewer.get(&format!("{view}{rendition}/index.m3u8")).await;
        assert_eq!(index.status, 200, "{}", index.text());
        files.push(format!("{rendition}/init.mp4"));
        let segments = index.text();
        let segments = segments.lines().filter(|line| line.ends_with(".m4s"));
        files.extend(segments.map(|segment| format!("{rendition}/{segment}")));
    }
    files
}

/// Watches all of it, and gives the bytes of each file.
async fn watched(viewer: &Client, view: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for file in files_of(viewer, view).await {
        let answer = viewer.get(&format!("{view}{file}")).await;
        assert_eq!(answer.status, 200, "{file}: {}", answer.text());
        all.push((file, answer.bytes));
    }
    let key = viewer.get(&format!("{view}key/0")).await;
    assert_eq!((key.status, key.bytes.len()), (200, 16), "{}", key.text());
    all.push(("key/0".to_owned(), key.bytes));
    all
}

/// The same headers as on a node, but for the request's own id.
async fn same_headers(at_edge: &Client, at_node: &Client, view: &str, segment: &str) {
    for file in ["main.m3u8".to_owned(), "key/0".to_owned(), segment.to_owned()] {
        let (here, there) =
            (at_edge.get(&format!("{view}{file}")).await, at_node.get(&format!("{view}{file}")).await);
        let shown = |answer: &support::Answer| {
            let headers =
                answer.headers.iter().filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
            let mut headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
            headers.sort();
            headers
        };
        assert_eq!(shown(&here), shown(&there), "{file}");
    }
}

/// Whoever comes from the edge's networks is sent to it, and its players may go on to the nodes.
async fn viewers_are_sent_here(node: &Node, admin: &Client, edge: &Edge, view: &str) {
    let (at_edge, at_node) = (edge.viewer(&node.ready.ca), node.anonymous());
    let networks = json!([{ "network": "127.0.0.5/32", "site": "branch" }]);
    admin.put("/cluster/site-map", &json!({ "networks": networks })).await.expect(204);
    let http = builder(&node.ready.ca).local_address(Some("127.0.0.5".parse().unwrap())).build().unwrap();
    let near = Client { http, ..at_node };
    let sent = near.get(&format!("{view}main.m3u8")).await;
    assert_eq!(sent.status, 307, "{}", sent.text());
    assert!(sent.header("location").starts_with(&format!("{}{}main.m3u8", edge.url, &view[1..])));
    let order = at_edge.get(&format!("{view}steering.json")).await.expect(200);
    assert_eq!(order["PATHWAY-PRIORITY"], json!([".", "s1"]));
    let order = near.get(&format!("{view}steering.json")).await.expect(200);
    assert_eq!(order["PATHWAY-PRIORITY"], json!(["branch", "."]));
    let page = at_edge.request(Method::GET, &format!("{view}main.m3u8")).header("origin", node.url());
    assert_eq!(at_edge.send(page).await.header("access-control-allow-origin"), node.url());
}

async fn all_is_on_record(admin: &Client) {
    let records = admin.get("/audit?action=edge.").await.expect(200);
    let actions: Vec<&str> = records["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["action"].as_str().unwrap())
        .collect();
    for action in
        ["edge.create_token", "edge.admit", "edge.report", "edge.warm", "edge.purge", "edge.end_warm"]
    {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
}

/// Cut off at once, and nothing stays.
async fn a_removed_edge_is_cut_off(admin: &Client, edge: Edge) {
    admin.delete(&format!("/edges/{}", edge.id)).await.expect(204);
    let mut child = edge.child;
    let input = child.stdin.take();
    let status = tokio::time::timeout(GONE_WITHIN * 2, child.wait()).await.expect("it stops").unwrap();
    drop(input);
    assert!(!status.success());
    assert_eq!(files_below(&edge.folder.join("data/cache")), Vec::<PathBuf>::new());
    let records = admin.get("/audit?action=edge.remove").await.expect(200);
    assert_eq!(records["items"].as_array().unwrap().len(), 1, "{records}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_gives_viewers_what_a_node_gives_them_and_asks_for_it_once() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = uploaded(&admin, node.application()).await;
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::join(&admin, folder.path(), "near").await;
    let (at_edge, at_node) = (edge.viewer(&node.ready.ca), node.anonymous());
    let view = begun(&admin, &asset).await;

    let first = watched(&at_edge, &view).await;
    assert_eq!(first, watched(&at_node, &view).await, "byte for byte");
    let fetched = edge.counter(&at_edge, "files_total{from=\"cluster\"}").await;
    assert_eq!(fetched, first.len() as u64 - 1, "everything but the key, once");
    // ffmpeg plays it through the edge with no error, and nothing is fetched for that.
    let played = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-ca_file"])
        .arg(&node.ready.ca)
        .args(["-tls_verify", "1", "-i", &format!("{}{}main.m3u8", edge.url, &view[1..])])
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(played.status.success() && played.stderr.is_empty(), "{played:?}");
    // Another viewer, another View: the bytes and the key are here.
    let second = begun(&admin, &asset).await;
    assert_eq!(watched(&at_edge, &second).await, first);
    assert_eq!(edge.counter(&at_edge, "files_total{from=\"cluster\"}").await, fetched);
    assert_eq!(edge.counter(&at_edge, "questions_total{about=\"key\"}").await, 1);

    same_headers(&at_edge, &at_node, &view, &first[0].0).await;
    let range = at_edge.request(Method::GET, &format!("{view}{}", first[0].0)).header("range", "bytes=2-5");
    let range = at_edge.send(range).await;
    assert_eq!((range.status, &range.bytes[..]), (206, &first[0].1[2..6]));

    // Nobody else gets anything, and nothing else is there.
    at_edge
        .get("=/play/v1AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/main.m3u8")
        .await
        .expect_problem(403, "view_not_valid");
    at_edge.get(&format!("=/play/{asset}/main.m3u8")).await.expect_problem(404, "not_found");
    for nothing in ["=/api/v1/cluster", "=/api/v1/sessions", "=/index.html", &format!("{view}../key/0")] {
        assert_eq!(at_edge.get(nothing).await.status, 404, "{nothing}");
    }
    let home = at_edge.get("=/").await;
    assert_eq!((home.status, home.header("location")), (307, format!("{}/", node.url()).as_str()));
    assert_eq!(at_edge.get("=/readyz").await.status, 200);

    viewers_are_sent_here(&node, &admin, &edge, &view).await;

    // Signing out ends the View here too.
    let person = node.member(&admin, node.application(), "user", "editor").await;
    let theirs = begun(&person, &asset).await;
    assert_eq!(at_edge.get(&format!("{theirs}key/0")).await.status, 200);
    person.delete("/sessions/current").await.expect(204);
    let began = Instant::now();
    wait_for("the key is refused", || async {
        (at_edge.get(&format!("{theirs}key/0")).await.status == 401).then_some(())
    })
    .await;
    assert!(began.elapsed() < GONE_WITHIN, "{:?}", began.elapsed());
    assert_eq!(at_edge.get(&format!("{view}key/0")).await.status, 200, "and nobody else's");
    stop(edge.child).await;
    node.stop().await;
}

/// The alert of that kind, as long as it holds.
async fn alert(admin: &Client, kind: &str) -> Option<Value> {
    let alerts = admin.get("/alerts").await.expect(200);
    let found = alerts["items"].as_array().unwrap().iter().find(|alert| alert["kind"] == kind);
    found.filter(|alert| alert["resolved_ms"].is_null()).cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_does_not_answer_is_an_alert_until_it_does_again() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::join(&admin, folder.path(), "branch office").await;
    let (id, url) = (edge.id.clone(), edge.url.clone());
    stop(edge.child).await;
    let raised = wait_for("the edge's silence is an alert", || alert(&admin, "edge_silent")).await;
    assert_eq!(raised["subject"], format!("edge:{id}"));
    assert_eq!(raised["details"], json!({ "edge": "branch office", "site": "branch" }));
    let edge = Edge::again(folder.path(), &url).await;
    wait_for("the alert is over", || async { alert(&admin, "edge_silent").await.is_none().then_some(()) })
        .await;
    stop(edge.child).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_warm_is_there_before_the_first_viewer_and_what_is_purged_is_gone() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::join(&admin, folder.path(), "edge").await;
    let at_edge = edge.viewer(&node.ready.ca);
    let warm = json!({ "tag": "news", "application": node.application() });
    let begun_warm = admin.post(&format!("/edges/{}/warm", edge.id), &warm).await.expect(201);
    // It matches only later.
    let asset = uploaded(&admin, node.application()).await;
    admin.patch(&format!("/assets/{asset}"), &json!({ "tags": ["news"] })).await.expect(200);
    let listed = || async { admin.get("/edges").await.expect(200)["items"][0].clone() };
    wait_for("the asset is warm", || async {
        let seen = listed().await;
        (seen["warm"][0]["whole"] == 1 && seen["warm"][0]["assets"] == 1).then_some(())
    })
    .await;
    let view = begun(&admin, &asset).await;
    let files = watched(&at_edge, &view).await;
    assert_eq!(
        edge.counter(&at_edge, "files_total{from=\"cluster\"}").await,
        0,
        "nothing was fetched for a viewer"
    );
    assert_eq!(edge.counter(&at_edge, "files_total{from=\"disk\"}").await, files.len() as u64 - 1);

    // An explicit purge: gone at once, and fetched anew since it is still to be warm.
    let before = edge.held();
    admin.post("/edges/purges", &json!({ "asset": asset })).await.expect(204);
    let began = Instant::now();
    wait_for("all of it is gone", || async { before.iter().all(|file| !file.exists()).then_some(()) }).await;
    assert!(began.elapsed() < GONE_WITHIN, "{:?}", began.elapsed());
    let warm_id = begun_warm["id"].as_str().unwrap().to_owned();
    admin.delete(&format!("/edges/warm/{warm_id}")).await.expect(204);
    watched(&at_edge, &view).await;

    // In the trash: no viewer, no file.
    assert!(!edge.held().is_empty());
    admin.post(&format!("/assets/{asset}/trash"), &json!({})).await.expect(200);
    let began = Instant::now();
    wait_for("nothing is left", || async { edge.held().is_empty().then_some(()) }).await;
    assert_ne!(at_edge.get(&format!("{view}key/0")).await.status, 200);
    assert!(began.elapsed() < GONE_WITHIN, "{:?}", began.elapsed());

    // An edge that was away hears of it before it serves anything.
    let other = uploaded(&admin, node.application()).await;
    let view = begun(&admin, &other).await;
    watched(&at_edge, &view).await;
    assert!(!edge.held().is_empty());
    let (url, place) = (edge.url.clone(), edge.folder.clone());
    edge.signal(Signal::KILL);
    drop(edge);
    admin.post(&format!("/assets/{other}/trash"), &json!({})).await.expect(200);
    let edge = Edge::again(&place, &url).await;
    let first = at_edge.get(&format!("{view}key/0")).await;
    assert_ne!(first.status, 200, "{}", first.text());
    wait_for("it follows its cluster", || async {
        (at_edge.get("=/readyz").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(edge.held(), Vec::<PathBuf>::new(), "forgotten before it was ready");

    all_is_on_record(&admin).await;
    let view = begun(&admin, &uploaded(&admin, node.application()).await).await;
    watched(&at_edge, &view).await;
    a_removed_edge_is_cut_off(&admin, edge).await;
    node.stop().await;
}
