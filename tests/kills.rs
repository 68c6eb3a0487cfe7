//! kill -9 of a node and of its workers at random moments: nothing acknowledged is lost, nothing is stuck, nothing is
//! doubled, nothing private lies about.
//!
//! `MEDIAKEEP_SEED` repeats a story, `MEDIAKEEP_ROUNDS` lengthens it.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test may panic

use std::path::Path;
use std::process::Command as Tool;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

#[path = "support/lab.rs"]
mod lab;

use lab::{DEADLINE, Dice, Lab, Node, clip, sha256};

fn rounds(usual: u64) -> u64 {
    std::env::var("MEDIAKEEP_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// Sends pieces until the upload is complete or the node is gone. Gives how much was acknowledged.
async fn send(node: &Node, upload: &str, bytes: &[u8], from: usize, piece: usize) -> usize {
    let mut acknowledged = from;
    for piece in bytes[from..].chunks(piece) {
        match node.patch(upload, acknowledged, piece).await {
            Ok(answer) if answer.status().as_u16() == 204 => acknowledged += piece.len(),
            _ => break,
        }
    }
    acknowledged
}

/// Kills the node after `delay`; what runs meanwhile sees it die.
async fn killed_after(pid: i32, delay: Duration) {
    tokio::time::sleep(delay).await;
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_kills_of_the_node() {
    let mut dice = Dice::new(1);
    let lab = Lab::new();
    let mut node = lab.start().await;
    let mut left = rounds(15);
    while left > 0 {
        let length = 2_000_000 + dice.below(4_000_000) as usize;
        let bytes = dice.bytes(length);
        let upload = node.begin_upload("story.bin", length).await.expect("the upload begins");
        let mut acknowledged = 0;
        while left > 0 && acknowledged < length {
            let piece = 50_000 + dice.below(400_000) as usize;
            let killer = tokio::spawn(killed_after(node.pid, Duration::from_millis(dice.below(400))));
            acknowledged = send(&node, &upload, &bytes, acknowledged, piece).await;
            killer.await.unwrap();
            node.gone().await;
            left -= 1;
            node = lab.start().await;
            if acknowledged < length {
                let offset = node.offset(&upload).await;
                assert!(offset >= acknowledged, "{offset} of {acknowledged} acknowledged bytes are left");
                acknowledged = offset;
            }
        }
        if acknowledged < length {
            let offset = node.offset(&upload).await;
            assert_eq!(send(&node, &upload, &bytes, offset, 1 << 20).await, length);
        }
        let asset = upload.rsplit('/').next().unwrap();
        let asset = node.asset_when(asset, |asset| !asset["sha256"].is_null()).await;
        assert_eq!(asset["sha256"], sha256(&bytes), "other bytes than were sent: {asset}");
        // These bytes are no video: the job must end and say so, however often it was interrupted.
        let asset = node.asset_when(asset["id"].as_str().unwrap(), |asset| asset["state"] == "failed").await;
        assert!(asset["reason_code"].is_string() && asset["reason"].is_string(), "{asset}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transcode_survives_kills_of_node_and_worker() {
    let mut dice = Dice::new(2);
    let lab = Lab::new();
    let bytes = clip(lab.outside());
    let mut node = lab.start().await;
    let mut left = rounds(15);
    let mut worker_kills = 0;
    while left > 0 {
        let asset = node.put("story.mp4", &bytes).await;
        for _ in 0..left.min(3) {
            left -= 1;
            tokio::time::sleep(Duration::from_millis(dice.below(900))).await;
            let workers = node.workers();
            if dice.below(3) > 0 && !workers.is_empty() {
                for worker in workers {
                    let _ = kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL);
                    worker_kills += 1;
                }
            } else {
                node.kill().await;
                node = lab.start().await;
            }
        }
        let done = node.asset_when(&asset, |asset| asset["state"] != "processing").await;
        assert_eq!(done["state"], "ready", "{done}");
        assert_eq!(done["sha256"], sha256(&bytes));
        one_finished_job(&node, &asset).await;
        plays(&node, &asset).await;
    }
    println!("{worker_kills} of the kills hit a worker");
    node.kill().await;
}

/// The asset's job is there once, and ends soon after the asset is ready.
async fn one_finished_job(node: &Node, asset: &str) {
    let began = Instant::now();
    loop {
        let jobs = node.get("/jobs?limit=500").await;
        let all = jobs["items"].as_array().unwrap();
        let jobs: Vec<&Value> = all.iter().filter(|job| job["asset"] == asset).collect();
        assert_eq!(jobs.len(), 1, "one job, neither lost nor doubled: {jobs:?}");
        if jobs[0]["state"] == "finished" {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "stuck: {jobs:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// ffmpeg decodes the asset from its playlist without a complaint.
async fn plays(node: &Node, asset: &str) {
    let (status, view) = node.post(&format!("/assets/{asset}/views"), &json!({})).await;
    assert!(status == 200 || status == 201, "{status} {view}");
    let url = view["playlist_url"].as_str().unwrap();
    let url = if url.starts_with('/') { format!("{}{url}", node.url()) } else { url.to_owned() };
    let decoding = Tool::new("ffmpeg").args(["-v", "error", "-i", &url, "-f", "null", "-"]).output().unwrap();
    let complaints = String::from_utf8_lossy(&decoding.stderr);
    assert!(decoding.status.success() && complaints.trim().is_empty(), "ffmpeg: {complaints}");
}

/// Every file below `folder`, and the log, without the strings.
fn assert_absent(folder: &Path, log: &str, canaries: &[(&str, &str)]) {
    let mut folders = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(bytes) = std::fs::read(&path) else { continue };
            files += 1;
            for (what, canary) in canaries {
                assert!(
                    !contains(&bytes, canary.as_bytes()),
                    "the {what} lies in clear in {}",
                    path.display()
                );
            }
        }
    }
    assert!(files > 5, "only {files} files were looked at");
    for (what, canary) in canaries {
        assert!(!log.contains(canary), "the {what} was logged");
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let first = wanted[0];
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == first) {
        at += found;
        if bytes[at..].starts_with(wanted) {
            return true;
        }
        at += 1;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_private_lies_in_a_file_or_in_the_log() {
    const PASSWORD: &str = "canary-passphrase-kzu3vq";
    const TITLE: &str = "canary title wpx81";
    const MEDIA: &str = "canary media payload 7hq2n";
    let lab = Lab::new();
    let node = lab.start().await;
    let invites = format!("/applications/{}/invites", node.application());
    let (status, invite) = node.post(&invites, &json!({ "role": "user" })).await;
    assert_eq!(status, 201, "{invite}");
    let accept = json!({ "secret": invite["secret"], "username": "canary", "password": PASSWORD });
    let (status, body) = node.post("/invites/accept?kind=token", &accept).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    let wrong = json!({ "username": PASSWORD, "password": format!("{PASSWORD}-wrong") });
    assert_eq!(node.post("/sessions", &wrong).await.0, 401);

    let mut bytes = clip(lab.outside());
    bytes.extend_from_slice(MEDIA.repeat(20_000).as_bytes());
    let upload = node.begin_upload(TITLE, bytes.len()).await.expect("the upload begins");
    let half = bytes.len() / 2;
    assert_eq!(node.patch(&upload, 0, &bytes[..half]).await.unwrap().status().as_u16(), 204);
    let secret = invite["secret"].as_str().unwrap();
    let canaries = [("passphrase", PASSWORD), ("title", TITLE), ("media", MEDIA), ("invitation", secret)];
    assert_absent(&lab.data, &lab.log(), &canaries);

    assert_eq!(node.patch(&upload, half, &bytes[half..]).await.unwrap().status().as_u16(), 204);
    let asset = upload.rsplit('/').next().unwrap();
    node.asset_when(asset, |asset| asset["state"] != "processing" && asset["state"] != "uploading").await;
    assert_absent(&lab.data, &lab.log(), &canaries);
    node.kill().await;
    assert_absent(&lab.data, &lab.log(), &canaries);
}

#[tokio::test]
async fn a_forced_abort_leaves_no_core_file() {
    let lab = Lab::new();
    let mut node = lab.start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.pid)).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    node.signal(Signal::ABORT);
    assert!(!node.gone().await);
    for folder in [lab.outside(), &lab.data, Path::new(".")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(name != "core" && !name.starts_with("core."), "{name} in {}", folder.display());
        }
    }
}
