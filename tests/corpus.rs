//! The corpus: a hundred files, good, odd, broken and hostile, each uploaded to one real node. Every one must become
//! playable (ffmpeg decodes a rendition through a capability URL, and our checker finds nothing wrong with the playlists)
//! or be refused with the very code that tests/corpus/recipe lists; and the node must stay up, answer, and stay small.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

#[path = "corpus/maker.rs"]
mod maker;
#[path = "corpus/play.rs"]
mod play;
#[path = "corpus/recipe.rs"]
mod recipe;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use maker::Maker;
use recipe::Entry;
use support::{Client, Node};
use tokio::sync::Semaphore;

/// Files on their way at one time: enough to keep two cores at work.
const AT_ONCE: usize = 4;
/// For one file from upload to verdict, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);
/// Most memory that the node itself (not its workers) may ever have held.
const MEMORY_MAX_MIB: u64 = 400;

/// What a file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Playable,
    Refused(String),
    Wrong(String),
}

fn corpus() -> Vec<(Entry, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let entries = recipe::read(include_str!("corpus/recipe"));
    let maker = Maker::new(root.join("tests/corpus"), root.join("target/corpus"));
    // `CORPUS=name` tries a part of it.
    let wanted = std::env::var("CORPUS").unwrap_or_default();
    let files: Vec<_> = entries.iter().map(|entry| (entry.clone(), maker.make(entry))).collect();
    files.into_iter().filter(|(entry, _)| entry.name.contains(&wanted)).collect()
}

#[test]
fn the_recipe_lists_enough_of_everything_and_the_files_are_what_it_says() {
    let files = corpus();
    assert!(files.len() >= 40 || std::env::var_os("CORPUS").is_some());
    let different: Vec<_> = files
        .iter()
        .filter_map(|(entry, path)| {
            let wanted = entry.sha256.as_ref()?;
            let is = maker::sha256(path);
            (is != *wanted).then(|| format!("{}: {is}, not {wanted}", entry.name))
        })
        .collect();
    assert!(different.is_empty(), "\n{}", different.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_becomes_playable_or_is_refused_as_listed() {
    let files = tokio::task::spawn_blocking(corpus).await.unwrap();
    let node = Node::start().await;
    let admin = node.admin().await;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    for (entry, path) in files {
        let (slots, admin, ca) = (slots.clone(), admin.clone(), node.ready.ca.clone());
        let application = node.application().to_owned();
        running.spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            let began = Instant::now();
            let outcome =
                tokio::time::timeout(DEADLINE, judge(&admin, &application, &ca, &entry, &path)).await;
            let outcome = outcome.unwrap_or_else(|_| Outcome::Wrong("no verdict in time".into()));
            println!("{:5.1} s  {}: {outcome:?}", began.elapsed().as_secs_f32(), entry.name);
            complaint(&entry, &outcome)
        });
    }
    let complaints: BTreeSet<String> = running.join_all().await.into_iter().flatten().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.into_iter().collect::<Vec<_>>().join("\n"));

    let pid = node.ready.nodes[0].pid;
    let most = most_memory_mib(pid);
    println!("the node held at most {most} MiB");
    assert!(most < MEMORY_MAX_MIB, "the node held {most} MiB");
    assert_eq!(node.anonymous().get("=/readyz").await.status, 200, "the node goes on");
    node.stop().await;
}

fn complaint(entry: &Entry, outcome: &Outcome) -> Option<String> {
    let as_listed = match outcome {
        Outcome::Playable => entry.expected.playable,
        Outcome::Refused(code) => entry.expected.codes.contains(code),
        Outcome::Wrong(_) => false,
    };
    (!as_listed).then(|| format!("{}: {outcome:?}, expected {:?}", entry.name, entry.expected))
}

/// Uploads one file and waits for what becomes of it.
async fn judge(admin: &Client, application: &str, ca: &Path, entry: &Entry, path: &Path) -> Outcome {
    let bytes = tokio::fs::read(path).await.unwrap();
    let address = format!("/applications/{application}/files/{}", entry.name);
    let request = admin.request(reqwest::Method::PUT, &address).timeout(DEADLINE).body(bytes);
    let answer = admin.send(request).await;
    if answer.status != 201 {
        let code = answer.json()["code"].as_str().map(str::to_owned);
        return code.map_or_else(|| Outcome::Wrong(answer.text()), Outcome::Refused);
    }
    let asset = answer.json()["asset"].as_str().expect("an id").to_owned();
    loop {
        let view = admin.get(&format!("/assets/{asset}")).await.expect(200);
        match view["state"].as_str().expect("a state") {
            "ready" => break,
            "failed" => {
                // A refusal that says nothing to a person is none.
                let sentence = view["reason"].as_str().unwrap_or_default();
                let code = view["reason_code"].as_str().unwrap_or_default();
                let told = sentence.len() > 10 && !code.is_empty();
                return if told { Outcome::Refused(code.into()) } else { Outcome::Wrong(view.to_string()) };
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    match play::check(admin, &asset, ca).await {
        Ok(()) => Outcome::Playable,
        Err(wrong) => Outcome::Wrong(wrong),
    }
}

/// The most resident memory the process has had (`VmHWM`).
fn most_memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the node runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a high-water mark");
    let kib: u64 = line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}
