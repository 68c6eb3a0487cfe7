//! Backups of three real nodes at three sites: taken while uploads run, cut off by a kill, short of room, and restored into a
//! new cluster that holds every byte.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command as Tool;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::backup_support::{Restored, restore};
use crate::net::lab::Lab;
use crate::support::{Client, DEADLINE, PASSPHRASE, files, wait_for};

/// A few MB, so that what came before fits and what comes later does not.
const SMALL: &str = "size=8m";

/// Bytes that are no film: that they come back is what counts.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A file system of its own with little room; gone with the test.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Self {
        std::fs::create_dir(&path).unwrap();
        let status = Tool::new("mount").args(["-t", "tmpfs", "-o", SMALL, "tmpfs"]).arg(&path).status();
        assert!(status.expect("mount is there").success(), "this test mounts a file system");
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a node may still look at it.
        let _ = Tool::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What was uploaded and acknowledged.
type Uploads = Vec<(String, Vec<u8>)>;

async fn put(client: &Client, application: &str, name: &str, bytes: &[u8]) -> String {
    let path = format!("/applications/{application}/files/{name}.bin");
    let answer = client.send(client.request(Method::PUT, &path).body(bytes.to_vec())).await.expect(201);
    answer["asset"].as_str().unwrap().to_owned()
}

async fn put_all(client: &Client, application: &str, seeds: std::ops::Range<u8>, length: usize) -> Uploads {
    let mut uploads = Vec::new();
    for seed in seeds {
        let bytes = noise(seed, length);
        uploads.push((put(client, application, &format!("n{seed}"), &bytes).await, bytes));
    }
    uploads
}

/// Uploads one file after another until it is told to stop; gives those that were acknowledged.
fn keep_uploading(
    client: Client,
    application: String,
    stop: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Uploads> {
    tokio::spawn(async move {
        let mut uploads = Vec::new();
        for seed in 100..=u8::MAX {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            uploads.extend(put_all(&client, &application, seed..seed + 1, 300_000).await);
        }
        uploads
    })
}

async fn set_place(admin: &Client, name: &str, path: &Path) -> String {
    let body = json!({ "name": name, "place": { "kind": "folder", "path": path } });
    admin.post("/backup-targets", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn begin(admin: &Client, target: &str) -> Value {
    admin.post("/backups", &json!({ "target": target })).await.expect(201)
}

async fn ended(admin: &Client, run: &Value) -> Value {
    let path = format!("/backups/{}", run["id"].as_str().unwrap());
    wait_for("the run to end", || async {
        let run = admin.get(&path).await.expect(200);
        (run["state"] != "running").then_some(run)
    })
    .await
}

/// Also those that do not carry it out.
async fn every_node_tells_how_far_it_is(lab: &Lab, run: &Value) {
    let path = format!("/backups/{}", run["id"].as_str().unwrap());
    let mut silent = lab.up();
    while let Some(number) = silent.pop() {
        let now = lab.admin(number).get(&path).await.expect(200);
        if now["progress"]["total"].as_u64().is_none_or(|total| total == 0) {
            assert_eq!(now["state"], "running", "node {number} has not told how far it is: {now}");
            silent.push(number);
        }
    }
}

async fn back_up(admin: &Client, target: &str) -> Value {
    let run = begin(admin, target).await;
    ended(admin, &run).await
}

/// Reads every byte of a run again: nothing is wrong.
async fn is_as_it_was(admin: &Client, run: &Value) {
    let path = format!("/backups/{}/verify", run["id"].as_str().unwrap());
    let check = admin.post(&path, &json!({ "full": true })).await.expect(201);
    let check = ended(admin, &check).await;
    assert_eq!((&check["state"], &check["flaw_count"]), (&json!("done"), &json!(0)), "{check}");
}

/// Every object that the run names is at the place with its length and hash; gives their names.
fn objects(place: &Path, run: &Value) -> BTreeSet<String> {
    let list = place.join(format!("runs/{}/objects", run["id"].as_str().unwrap()));
    let list = std::fs::read_to_string(list).unwrap();
    let lines: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines.len()), run["objects"], "{run}");
    let name = |line: &Value| {
        let name = line["name"].as_str().unwrap();
        let bytes = std::fs::read(place.join(name)).unwrap();
        assert_eq!(json!(bytes.len()), line["length"], "{name}");
        assert_eq!(line["hash"], blake3::hash(&bytes).to_hex().as_str(), "{name}");
        name.to_owned()
    };
    lines.iter().map(name).collect()
}

/// What a restored node holds, by the run's State: every sealed Blob of every asset is among `named`. Gives the assets.
async fn names_every_blob(
    restored: &Restored,
    application: &str,
    named: &BTreeSet<String>,
) -> BTreeSet<String> {
    let list = restored.admin.get(&format!("/applications/{application}/assets?limit=500")).await.expect(200);
    let assets = list["items"].as_array().unwrap();
    let mut found = BTreeSet::new();
    for asset in assets {
        let id = asset["id"].as_str().unwrap();
        let detail = restored.admin.get(&format!("/assets/{id}/detail")).await.expect(200);
        for blob in detail["blobs"].as_array().unwrap() {
            let begins = format!("blobs/{id}/{}-", blob["id"].as_str().unwrap());
            assert!(named.iter().any(|name| name.starts_with(&begins)), "{begins} is not in the backup");
        }
        found.insert(id.to_owned());
    }
    found
}

async fn original(client: &Client, asset: &str) -> Vec<u8> {
    let link = client.post(&format!("/assets/{asset}/downloads"), &json!({ "what": "original" })).await;
    let answer = client.get(&format!("={}", link.expect(201)["url"].as_str().unwrap())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.bytes
}

/// Restores the newest run at `place` as a new cluster, and compares: all of `before` is there to the byte, and so is what
/// of `during` the run's State names; `after` is not.
async fn comes_back(
    place: &Path,
    dir: &Path,
    recovery_key: &str,
    application: &str,
    run: &Value,
    [before, during, after]: [&Uploads; 3],
) {
    let said = restore(place, dir, &[], recovery_key).await;
    assert!(said.well().contains(run["id"].as_str().unwrap()), "the newest: {}", said.out);
    let restored = Restored::start(dir, "ada", PASSPHRASE).await;
    let there = names_every_blob(&restored, application, &objects(place, run)).await;
    for (asset, bytes) in before {
        assert!(there.contains(asset), "{asset} was acknowledged before the backup began");
        assert!(original(&restored.admin, asset).await == *bytes, "{asset} is not what was uploaded");
    }
    for (asset, bytes) in during.iter().filter(|(asset, _)| there.contains(asset)) {
        let shown = restored.admin.get(&format!("/assets/{asset}")).await.expect(200);
        // One whose upload ran at the run's index comes back as far as State knew it.
        if shown["state"] != "uploading" {
            assert!(original(&restored.admin, asset).await == *bytes, "{asset} is not what was uploaded");
        }
    }
    assert!(after.iter().all(|(asset, _)| !there.contains(asset)), "the run is of one moment");
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_sites_are_backed_up_under_load_through_a_kill_and_a_full_place_and_come_back_whole() {
    let outside = tempfile::tempdir().unwrap();
    let (disk, other) = (outside.path().join("disk"), outside.path().join("other"));
    [&disk, &other].into_iter().for_each(|place| std::fs::create_dir(place).unwrap());
    let small = Small::mount(outside.path().join("small"));
    let folders = format!("[backup]\nfolders = [{:?}]\n", outside.path().display().to_string());
    let mut lab = Lab::start_with(3, 3, &folders).await;
    let application = lab.application.clone();
    let admin = lab.admin(1);
    let shown = admin.post("/system/recovery-key", &json!({})).await.expect(201);
    let recovery_key = shown["recovery_key"].as_str().unwrap().to_owned();

    // A place that is full says so, and what was whole there stays whole.
    let mut uploads = put_all(&admin, &application, 0..2, 1_000_000).await;
    let target = set_place(&admin, "small", &small.0).await;
    let first = back_up(&admin, &target).await;
    assert_eq!(first["state"], "done", "{first}");
    uploads.extend(put_all(&lab.admin(2), &application, 2..10, 2_000_000).await);
    let full = back_up(&admin, &target).await;
    assert_eq!((&full["state"], &full["reason_code"]), (&json!("failed"), &json!("target_full")), "{full}");
    assert!(full["reason"].as_str().unwrap().contains("is full"), "{full}");
    is_as_it_was(&admin, &first).await;
    objects(&small.0, &first);

    // Uploads go on through two nodes while a backup is taken: it is of one moment.
    let target = set_place(&admin, "disk", &disk).await;
    let stop = Arc::new(AtomicBool::new(false));
    let uploading = keep_uploading(lab.admin(2), application.clone(), stop.clone());
    let begun = begin(&admin, &target).await;
    every_node_tells_how_far_it_is(&lab, &begun).await;
    let run = ended(&admin, &begun).await;
    stop.store(true, Ordering::SeqCst);
    assert_eq!((&run["state"], &run["flaw_count"]), (&json!("done"), &json!(0)), "{run}");
    let during = uploading.await.unwrap();
    let after = put_all(&admin, &application, 20..21, 100_000).await;
    let dir = outside.path().join("restored");
    comes_back(&disk, &dir, &recovery_key, &application, &run, [&uploads, &during, &after]).await;
    uploads.extend(during.into_iter().chain(after));

    cut_off_and_taken_again(&mut lab, &other, outside.path(), &recovery_key, &uploads).await;
}

/// The node that carries out a backup is killed in the middle of it.
async fn cut_off_and_taken_again(
    lab: &mut Lab,
    place: &Path,
    outside: &Path,
    recovery_key: &str,
    uploads: &Uploads,
) {
    let target = set_place(&lab.admin(1), "other", place).await;
    let run = begin(&lab.admin(1), &target).await;
    let began = Instant::now();
    // Something was sent, and much is still to be.
    while files(place).len() < 3 {
        assert!(began.elapsed() < DEADLINE, "nothing is sent");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut victim = 1;
    for number in 2..=3 {
        if run["node"] == lab.id_of(number, 1).await.as_str() {
            victim = number;
        }
    }
    lab.kill(victim).await;
    let manifest = place.join(format!("runs/{}/manifest", run["id"].as_str().unwrap()));
    assert!(!manifest.exists(), "the kill came too late: nothing is shown");
    let left = lab.up()[0];
    lab.leader(left).await;
    let admin = lab.admin(left);
    let over = ended(&admin, &run).await;
    assert_eq!((&over["state"], &over["reason_code"]), (&json!("failed"), &json!("node_silent")), "{over}");

    // Two nodes are left, and the next backup is whole.
    let next = back_up(&admin, &target).await;
    assert_eq!((&next["state"], &next["flaw_count"]), (&json!("done"), &json!(0)), "{next}");
    is_as_it_was(&admin, &next).await;
    lab.start_again(victim).await;
    let seen = lab.admin(victim);
    let seen = seen.get(&format!("/backups/{}", run["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(seen["state"], "failed", "it does not go on with what was given up: {seen}");
    let (none, application) = (Uploads::new(), lab.application.clone());
    let dir = outside.join("restored-again");
    comes_back(place, &dir, recovery_key, &application, &next, [uploads, &none, &none]).await;
}
