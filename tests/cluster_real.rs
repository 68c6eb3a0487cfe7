//! Three real nodes are one cluster: any of them takes a change, and nothing acknowledged is lost when one is killed, all
//! are, or the leader is stopped for a while. Whoever is not let in stays outside.
#![allow(clippy::unwrap_used)] // a test may panic

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ::cluster::JoinToken;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

#[path = "media_support.rs"]
#[allow(dead_code, reason = "shared with the stories of media")]
mod media_support;
#[path = "cluster_steering.rs"]
mod steering;
#[path = "support/mod.rs"]
mod support;

use support::{Client, Ready, http, program, started, stop, wait_for};

/// After a leader is lost, changes must be possible again within this time on a busy machine.
const WRITES_BACK_WITHIN: Duration = Duration::from_secs(5);

struct Three {
    folder: tempfile::TempDir,
    dev: Child,
    ready: Ready,
}

impl Three {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: tempfile::TempDir) -> Self {
        let config = folder.path().join("config.toml");
        std::fs::write(
            &config,
            "[limits]\nrequests_per_second = 100000\nrequest_burst = 100000\nworkers = 1\n",
        )
        .unwrap();
        let mut command = Command::new(program());
        command.args(["dev", "--nodes", "3", "--stop-with-input", "--dir"]).arg(folder.path().join("dev"));
        let (dev, line) = started(command.arg("--config").arg(&config), "three nodes").await;
        Self { folder, dev, ready: serde_json::from_str(&line).unwrap() }
    }

    /// The administrator, signed in on node `at` and asking node `at`.
    async fn admin(&self, at: usize) -> Client {
        let body = json!({ "username": self.ready.username, "password": self.ready.password });
        let answer = self.nobody(at).post("/sessions?kind=token", &body).await.expect(201);
        self.with_token(at, answer["token"].as_str().unwrap())
    }

    fn nobody(&self, at: usize) -> Client {
        Client { http: http(&self.ready.ca), base: self.ready.nodes[at].url.clone(), token: None }
    }

    fn with_token(&self, at: usize, token: &str) -> Client {
        Client { token: Some(token.to_owned()), ..self.nobody(at) }
    }

    fn signal(&self, at: usize, signal: Signal) {
        let pid = i32::try_from(self.ready.nodes[at].pid).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// The place of the node that leads, as node `seen_by` sees it.
    async fn leader(&self, seen_by: &Client) -> usize {
        let cluster = seen_by.get("/cluster").await.expect(200);
        let address = leader_of(&cluster)["public_address"].as_str().unwrap().to_owned();
        self.ready.nodes.iter().position(|node| node.url.ends_with(&address)).unwrap()
    }

    /// Kills everything at once and starts again on what is on disk.
    async fn kill_all_and_start(mut self) -> Self {
        for at in 0..3 {
            // One of them may be gone already.
            let pid = i32::try_from(self.ready.nodes[at].pid).unwrap();
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
        self.dev.kill().await.unwrap();
        for node in &self.ready.nodes {
            let lock = std::fs::File::options().write(true).open(node.dir.join("lock")).unwrap();
            wait_for("the killed process is gone", || async { lock.try_lock().is_ok().then_some(()) }).await;
        }
        Self::start_in(self.folder).await
    }
}

fn leader_of(cluster: &Value) -> &Value {
    let nodes = cluster["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["role"] == "leader").expect("somebody leads")
}

async fn make(client: &Client, name: &str) -> bool {
    let request = client.request(reqwest::Method::POST, "/applications").json(&json!({ "name": name }));
    request.send().await.is_ok_and(|answer| answer.status().as_u16() == 201)
}

async fn names(client: &Client) -> Vec<String> {
    let list = client.get("/applications").await;
    let list = list.json();
    let list = list["items"].as_array().or(list.as_array()).cloned().unwrap_or_default();
    list.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
}

/// Makes one change after another until the first is taken; gives how long that took.
async fn until_taken(client: &Client, label: &str, made: &mut Vec<String>) -> Duration {
    let start = Instant::now();
    for number in 0.. {
        let name = format!("{label} {number}");
        if make(client, &name).await {
            made.push(name);
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no change was taken for a minute");
    }
    unreachable!()
}

async fn all_see(three: &Three, made: &[String], at: &[usize]) {
    for at in at {
        let admin = three.admin(*at).await;
        wait_for("every acknowledged change", || async {
            let seen = names(&admin).await;
            made.iter().all(|name| seen.contains(name)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_a_change_and_no_kill_loses_one() {
    let three = Three::start().await;
    let sites: Vec<&str> = three.ready.nodes.iter().map(|node| node.site.as_str()).collect();
    assert_eq!(sites, ["s1", "s2", "s3"]);
    let first = three.admin(0).await;
    let cluster = first.get("/cluster").await.expect(200);
    assert_eq!(cluster["can_lose"], 1, "three voters: {cluster}");

    // One sign-in is good on every node, and whoever made a change sees it where it was made.
    let mut made = Vec::new();
    for at in 0..3 {
        let client = three.with_token(at, first.token.as_deref().unwrap());
        let name = format!("made on {at}");
        assert!(make(&client, &name).await, "node {at} takes a change");
        assert!(names(&client).await.contains(&name), "it is seen where it was made");
        made.push(name);
    }
    all_see(&three, &made, &[0, 1, 2]).await;

    let leader = three.leader(&first).await;
    let follower = three.admin((leader + 1) % 3).await;
    three.signal(leader, Signal::KILL);
    let gap = until_taken(&follower, "without the leader", &mut made).await;
    println!("writes back after {gap:?}");
    assert!(gap <= WRITES_BACK_WITHIN, "writes came back after {gap:?}");
    all_see(&three, &made, &[(leader + 1) % 3, (leader + 2) % 3]).await;

    let three = three.kill_all_and_start().await;
    all_see(&three, &made, &[0, 1, 2]).await;
    stop(three.dev).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_leader_loses_nothing_and_a_removed_node_is_out() {
    let three = Three::start().await;
    let first = three.admin(0).await;
    let leader = three.leader(&first).await;
    let (next, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let follower = three.admin(next).await;
    let mut made = Vec::new();
    three.signal(leader, Signal::STOP);
    let gap = until_taken(&follower, "while the leader is stopped", &mut made).await;
    println!("writes back after {gap:?}");
    for number in 0..20 {
        let name = format!("meanwhile {number}");
        assert!(make(&follower, &name).await);
        made.push(name);
    }
    three.signal(leader, Signal::CONT);
    all_see(&three, &made, &[leader, next, other]).await;

    let cluster = follower.get("/cluster").await.expect(200);
    let address = three.ready.nodes[other].url.strip_prefix("https://").unwrap().to_owned();
    let nodes = cluster["nodes"].as_array().unwrap();
    let id = nodes.iter().find(|node| node["public_address"] == address.as_str()).unwrap()["id"].clone();
    follower.delete(&format!("/nodes/{}", id.as_str().unwrap())).await.expect(204);
    let removals = follower.get("/audit?action=node.remove").await.expect(200);
    let removals = removals["items"].as_array().unwrap();
    assert_eq!(removals.len(), 1, "on record once: {removals:?}");
    assert_eq!(
        (&removals[0]["result"], &removals[0]["target"]),
        (&json!("ok"), &json!(format!("node:{}", id.as_str().unwrap())))
    );
    let gone = three.nobody(other);
    wait_for("the removed node stops", || async {
        gone.http.get(&gone.base).send().await.is_err().then_some(())
    })
    .await;
    wait_for("two voters", || async {
        let cluster = follower.get("/cluster").await.expect(200);
        (cluster["nodes"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    assert!(make(&follower, "without the removed node").await);
}

/// Runs a node that tries to join, and gives what it complains of.
async fn refused(folder: &Path, name: &str, token: &str) -> String {
    let mut command = Command::new(program());
    command.arg("run").arg("--dir").arg(folder.join(name)).args(["--name", name, "--site", "s9"]);
    command.args(["--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--join", token]);
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.unwrap().unwrap();
    assert!(!output.status.success(), "{name} must not join");
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_once_here_and_unchanged() {
    let (here, there) = (support::Node::start().await, support::Node::start().await);
    let folder = tempfile::tempdir().unwrap();
    let token = |made: Value| JoinToken::parse(made["token"].as_str().unwrap()).unwrap();
    let (at_home, abroad) = (here.admin().await, there.admin().await);
    let ours = token(at_home.post("/cluster/tokens", &json!({})).await.expect(201));
    let theirs = token(abroad.post("/cluster/tokens", &json!({})).await.expect(201));

    let mut cut = ours.to_text().to_string();
    cut.pop();
    assert!(refused(folder.path(), "cut", &cut).await.contains("incomplete or was changed"));
    let mut other_authority = ours.clone();
    other_authority.authority = theirs.authority;
    let said = refused(folder.path(), "wrong-authority", &other_authority.to_text()).await;
    assert!(said.contains("does not belong to the cluster"), "{said}");
    let mut foreign = theirs;
    (foreign.authority, foreign.addresses) = (ours.authority, ours.addresses.clone());
    let on_record = async || at_home.get("/audit/verify").await.expect(200)["verified_to"].as_u64().unwrap();
    let before = on_record().await;
    let said = refused(folder.path(), "foreign", &foreign.to_text()).await;
    assert!(said.contains("not known here"), "{said}");
    assert_eq!(on_record().await, before, "whoever has no token of ours fills no log");

    let mut command = Command::new(program());
    command.arg("run").arg("--dir").arg(folder.path().join("second"));
    command.args(["--name", "second", "--site", "s2", "--announce", "--stop-with-input"]);
    command.args(["--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"]);
    let (second, _) = started(command.args(["--join", &ours.to_text()]), "the joining node").await;
    let said = refused(folder.path(), "again", &ours.to_text()).await;
    assert!(said.contains("was used already"), "{said}");
    let cluster = at_home.get("/cluster").await.expect(200);
    let nodes = cluster["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{cluster}");
    for written in ["0", "+"] {
        // What is nearly a number is no number of a node: this is for good.
        let path = format!("/nodes/{written}{}", nodes[1]["id"].as_str().unwrap());
        at_home.delete(&path).await.expect(404);
    }
    drop(second);
}

/// The whole original, by node `at`.
async fn original(client: &Client, asset: &str) -> Vec<u8> {
    let wanted = json!({ "what": "original" });
    let link = client.post(&format!("/assets/{asset}/downloads"), &wanted).await.expect(201);
    let answer = client.get(&format!("={}", link["url"].as_str().unwrap())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_key_is_rotated_while_one_watches_and_one_uploads() {
    let three = Three::start().await;
    let first = three.admin(0).await;
    let token = first.token.clone().unwrap();
    let at = |three: &Three, node| three.with_token(node, &token);
    let clip = media_support::clip();
    let film = media_support::begin(&first, clip.len()).await;
    assert_eq!(media_support::send(&first, &film, 0, clip).await.status, 204);
    media_support::ready(&first, &film).await;
    let watched = media_support::view(&first, &film).await;
    let upload = media_support::begin(&first, clip.len()).await;
    let (begun, rest) = clip.split_at(clip.len() / 2);
    assert_eq!(media_support::send(&first, &upload, 0, begun).await.status, 204);

    let rotate =
        async |epoch: u32| at(&three, 1).post("/cluster/key/rotate", &json!({ "epoch": epoch })).await;
    rotate(1).await.expect(204);
    rotate(1).await.expect_problem(409, "stale_key_epoch");
    let settled = async |three: &Three| {
        wait_for("everything is wrapped under the new key", || async {
            let key = at(three, 2).get("/cluster").await.expect(200)["key"].clone();
            (key["rotating"] == false).then_some(key)
        })
        .await
    };
    assert_eq!(settled(&three).await["epoch"], 2);
    for node in 0..3 {
        let viewer = Client { token: None, ..at(&three, node) };
        let answer = viewer.get(&format!("{watched}main.m3u8")).await;
        assert_eq!(answer.status, 200, "who watches goes on, at node {node}: {}", answer.text());
        assert_eq!(original(&at(&three, node), &film).await, clip);
    }
    assert_eq!(media_support::send(&first, &upload, begun.len(), rest).await.status, 204);
    media_support::ready(&first, &upload).await;
    let password = json!({ "password": three.ready.password });
    first.post("/system/recovery-key", &password).await.expect(201);

    // Nothing of the first key is left anywhere, and nothing needs it.
    let three = three.kill_all_and_start().await;
    for node in 0..3 {
        assert_eq!(original(&three.admin(node).await, &film).await, clip);
        assert_eq!(original(&three.admin(node).await, &upload).await, clip);
    }
    stop(three.dev).await;
}
