//! What an edge must not keep or ask for, and how long it goes on alone.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cluster::net::{Message, NetError, Service};
use cluster::seal::KeyFileSeal;
use cluster::{EdgeConfig, EdgeNode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::support::{Client, Node, Ready, http, program, started, stop, wait_for};
use super::{Edge, begun, files_below, files_of, uploaded, watched};

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// A debugger that carries out `before`, writes all memory of a process to `file`, and then does `after`.
fn debugger(pid: u32, file: &Path, before: &[&str], after: &str) -> Command {
    let mut command = Command::new("gdb");
    command.args(["-q", "-batch", "-nx", "-readnever", "-p", &pid.to_string()]);
    command.args(["-ex", "set dump-excluded-mappings on"]);
    for step in before {
        command.args(["-ex", step]);
    }
    command.arg("-ex").arg(format!("gcore {}", file.display())).args(["-ex", after]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_content_key_is_on_the_disk_of_an_edge_or_in_its_memory_once_it_stops() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = uploaded(&admin, node.application()).await;
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::join(&admin, folder.path(), "edge").await;
    let view = begun(&admin, &asset).await;
    let files = watched(&edge.viewer(&node.ready.ca), &view).await;
    let key = files.iter().find(|(name, _)| name == "key/0").unwrap().1.clone();
    assert!(edge.held().len() > 3);

    // So that what is looked for could be found at all.
    let pid = edge.child.id().unwrap();
    let running = folder.path().join("running.core");
    let looked = debugger(pid, &running, &[], "detach").output().expect("gdb is installed");
    let image = std::fs::read(&running).unwrap_or_else(|_| panic!("no image: {looked:?}"));
    assert!(holds(&image, &key), "while it runs it holds the key in memory");
    std::fs::remove_file(&running).unwrap();

    // Its memory at the very last moment: when it asks the system to end it.
    let last = folder.path().join("last.core");
    let mut child = edge.child;
    let steps = ["catch syscall exit_group", "continue"];
    let mut debugger = debugger(pid, &last, &steps, "kill").spawn().unwrap();
    wait_for("the debugger follows it", || async {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let traced = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim() != "0";
        let runs = !status.contains("State:\tt");
        (traced && runs).then_some(())
    })
    .await;
    drop(child.stdin.take());
    let ended = tokio::task::spawn_blocking(move || debugger.wait()).await.unwrap().unwrap();
    assert!(ended.success());
    child.wait().await.unwrap();
    let image = std::fs::read(&last).unwrap();
    assert!(image.len() > 1_000_000, "the whole of it");
    let left = memchr::memmem::find(&image, &key);
    let around = left.map(|at| image[at.saturating_sub(200)..at + 100].escape_ascii().to_string());
    assert_eq!(around, None, "a content key is still in memory");
    std::fs::remove_file(&last).unwrap();

    let forms = [
        key.clone(),
        data_encoding::HEXLOWER.encode(&key).into_bytes(),
        data_encoding::BASE64.encode(&key).into_bytes(),
    ];
    let (_, clear) = &files[0];
    for file in files_below(folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for form in &forms {
            assert!(!holds(&bytes, form), "a content key is in {}", file.display());
        }
        assert!(!holds(&bytes, clear), "a file lies in clear in {}", file.display());
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_may_ask_nothing_but_what_edges_may_ask() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::join(&admin, folder.path(), "edge").await;
    stop(edge.child).await;
    // The same edge, in this process: what its certificate can ask.
    let data = folder.path().join("data");
    let seal = KeyFileSeal::new(folder.path().join("edge.key"), &data).unwrap();
    let config = EdgeConfig {
        dir: data,
        name: "edge".to_owned(),
        site: "branch".to_owned(),
        public_address: String::new(),
    };
    let asker = EdgeNode::open(config, &seal).unwrap();
    let core = asker.nodes()[0];
    let within = Duration::from_secs(5);
    for service in [Service::Raft, Service::Control, Service::Blob, Service::Snapshot] {
        // A ping of a node, which any node answers.
        let message = Message { head: vec![2].into(), ..Message::default() };
        let refused = asker.net().call(core, service, message, within).await;
        assert!(
            matches!(&refused, Err(NetError::Refused { reason, .. }) if reason.contains("not for you")),
            "{service:?}: {refused:?}"
        );
    }
    let nonsense = Message { head: vec![0xff; 9].into(), ..Message::default() };
    let refused = asker.net().call(core, Service::Edge, nonsense, within).await;
    assert!(matches!(refused, Err(NetError::Refused { .. })), "{refused:?}");
    asker.stop();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_goes_on_alone_for_the_grace_and_joins_again_by_itself() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let application = node.application().to_owned();
    let policy = json!({ "offline_grace_ms": 6000, "trash_days": 30, "viewer_may_download": true });
    admin.patch(&format!("/applications/{application}"), &json!({ "policy": policy })).await.expect(200);
    let asset = uploaded(&admin, &application).await;
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::join(&admin, folder.path(), "edge").await;
    let at_edge = edge.viewer(&node.ready.ca);
    let person = node.member(&admin, &application, "user", "editor").await;
    let (running, ended, later) =
        (begun(&admin, &asset).await, begun(&person, &asset).await, begun(&admin, &asset).await);
    watched(&at_edge, &running).await;
    let file = files_of(&at_edge, &ended).await[0].clone();
    person.delete("/sessions/current").await.expect(204);
    wait_for("the revocation is here", || async {
        (at_edge.get(&format!("{ended}{file}")).await.status == 401).then_some(())
    })
    .await;

    // Every node of the cluster is gone.
    let pid = i32::try_from(node.ready.nodes[0].pid).unwrap();
    let gone = Instant::now();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let key = format!("{running}key/0");
    assert_eq!(at_edge.get(&key).await.status, 200);
    tokio::time::sleep_until((gone + Duration::from_millis(6_500)).into()).await;
    let answer = at_edge.get(&key).await;
    assert_eq!(answer.status, 200, "an outage, and it goes on: {}", answer.text());
    assert_eq!(at_edge.get(&format!("{running}{file}")).await.status, 200);
    at_edge.get(&format!("{later}key/0")).await.expect_problem(503, "no_leader");
    assert_ne!(at_edge.get(&format!("{ended}key/0")).await.status, 200, "what was revoked stays so");
    assert_eq!(at_edge.get("=/readyz").await.status, 503);
    wait_for("the grace is over", || async {
        let answer = at_edge.get(&key).await;
        (answer.status != 200).then(|| answer.expect_problem(503, "offline_grace_over"))
    })
    .await;
    let lasted = gone.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(14)).contains(&lasted), "{lasted:?}");

    let node = node.start_killed_again().await;
    wait_for("it serves again", || async { (at_edge.get(&key).await.status == 200).then_some(()) }).await;
    assert_eq!(at_edge.get(&format!("{later}key/0")).await.status, 200);
    assert_ne!(at_edge.get(&format!("{ended}key/0")).await.status, 200);
    stop(edge.child).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_node_an_edge_follows_is_killed_it_follows_another_and_viewers_notice_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[limits]\nrequests_per_second = 100000\nrequest_burst = 100000\nworkers = 1\n")
        .unwrap();
    let mut command = tokio::process::Command::new(program());
    command.args(["dev", "--nodes", "3", "--stop-with-input", "--dir"]).arg(folder.path().join("dev"));
    let (dev, line) = started(command.arg("--config").arg(&config), "three nodes").await;
    let ready: Ready = serde_json::from_str(&line).unwrap();
    let at = |node: usize, token: Option<String>| Client {
        http: http(&ready.ca),
        base: ready.nodes[node].url.clone(),
        token,
    };
    let body = json!({ "username": ready.username, "password": ready.password });
    let answer = at(0, None).post("/sessions?kind=token", &body).await.expect(201);
    let token = answer["token"].as_str().map(str::to_owned);
    let (first, second) = (at(0, token.clone()), at(1, token));
    let asset = uploaded(&first, &ready.application).await;
    let edge = Edge::join(&first, &folder.path().join("edge"), "edge").await;
    let at_edge = edge.viewer(&ready.ca);
    let running = begun(&first, &asset).await;
    watched(&at_edge, &running).await;

    // An edge begins with the first node there is.
    let pid = i32::try_from(ready.nodes[0].pid).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let killed = Instant::now();
    let key = format!("{running}key/0");
    while killed.elapsed() < Duration::from_secs(8) {
        let answer = at_edge.get(&key).await;
        assert_eq!(answer.status, 200, "after {:?}: {}", killed.elapsed(), answer.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // And whoever begins now is let in by another node.
    let later = begun(&second, &asset).await;
    assert_eq!(at_edge.get(&format!("{later}key/0")).await.status, 200);
    second.delete("/sessions/current").await.expect(204);
    wait_for("revocations come from the other node", || async {
        (at_edge.get(&format!("{later}key/0")).await.status == 401).then_some(())
    })
    .await;
    stop(edge.child).await;
    stop(dev).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_another_took_the_place_of_ends_at_the_edge_as_well() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = uploaded(&admin, node.application()).await;
    let application = format!("/applications/{}", node.application());
    admin.patch(&application, &json!({ "views_at_once": 1 })).await.expect(200);
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::join(&admin, folder.path(), "edge").await;
    let at_edge = edge.viewer(&node.ready.ca);
    let first = begun(&admin, &asset).await;
    watched(&at_edge, &first).await;
    let running = admin.get("/views").await.expect(200)["items"][0]["view"].clone();
    let wanted = json!({ "any_address": true, "in_place_of": running });
    let second = admin.post(&format!("/assets/{asset}/views"), &wanted).await.expect(201);
    let replaced = Instant::now();
    wait_for("the first is over", || async {
        (at_edge.get(&format!("{first}key/0")).await.status == 403).then_some(())
    })
    .await;
    assert!(replaced.elapsed() < Duration::from_secs(5), "{:?}", replaced.elapsed());
    let second = second["playlist_url"].as_str().unwrap().replace("main.m3u8", "key/0");
    assert_eq!(at_edge.get(&format!("={second}")).await.status, 200);
    stop(edge.child).await;
    node.stop().await;
}
