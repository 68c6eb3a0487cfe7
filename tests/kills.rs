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

#[path = "support/canary.rs"]
mod canary;
#[path = "support/lab.rs"]
mod lab;
#[path = "kills_canary.rs"]
mod while_three_work;
#[path = "support/wire.rs"]
mod wire;

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
            let workers = if dice.below(4) > 0 { node.workers() } else { node.nurseries() };
            if dice.below(3) > 0 && !workers.is_empty() {
                for worker in workers {
                    let _ = kill_process(Pid::from_raw(worker.cast_signed()).unwrap(), Signal::KILL);
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
    println!("{worker_kills} of the kills hit a worker or what they come from");
    node.kill().await;
}

/// One that hangs would otherwise keep a processor busy after the node for as long as it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_does_not_outlive_its_node() {
    let lab = Lab::new();
    let bytes = clip(lab.outside());
    let node = lab.start().await;
    node.put("story.mp4", &bytes).await;
    let began = Instant::now();
    let workers = loop {
        let workers = node.workers();
        let stopped =
            |worker: &u32| kill_process(Pid::from_raw(worker.cast_signed()).unwrap(), Signal::STOP).is_ok();
        // One that had ended by then is no longer listed.
        if !workers.is_empty() && workers.iter().all(stopped) && node.workers() == workers {
            break workers;
        }
        assert!(began.elapsed() < DEADLINE, "no worker stays");
    };
    node.kill().await;
    let is_there = |worker: &u32| Path::new(&format!("/proc/{worker}/fd/0")).exists();
    while workers.iter().any(is_there) {
        assert!(began.elapsed() < DEADLINE, "{workers:?} are still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
