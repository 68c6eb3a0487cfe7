//! What the log keeps, what it lets go, and what can be read of it by others.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use cluster::Cluster;
use cluster::disk::RealDisk;
use cluster::raft::log::journal;
use futures_util::future::join_all;

use crate::support::{Home, note, system};

fn bytes(cluster: &Cluster) -> Vec<u8> {
    postcard::to_allocvec(&*cluster.state()).unwrap()
}

fn chunk_files(home: &Home) -> HashSet<String> {
    let folder = home.config.dir.join("snapshots/chunks");
    fs::read_dir(folder).unwrap().map(|found| found.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_cut_log_and_its_snapshot_hold_the_same_state() {
    let home = Home::new();
    let cluster = home.create().await;
    for number in 0..50 {
        cluster.propose(system(), note(&format!("note {number}"))).await.unwrap();
    }
    let before = cluster.status().log_bytes;
    cluster.cut_log(0).await.unwrap();
    assert!(
        cluster.status().log_bytes < before / 10,
        "{} of {before} bytes are left",
        cluster.status().log_bytes
    );
    cluster.propose(system(), note("after the cut")).await.unwrap();
    let state = bytes(&cluster);
    cluster.shutdown().await;
    drop(cluster);

    let again = home.open().await;
    assert_eq!(bytes(&again), state);
    assert!(!chunk_files(&home).is_empty());
    again.shutdown().await;
}

#[tokio::test]
async fn the_snapshot_outlives_the_database_and_the_journal() {
    let home = Home::new();
    let cluster = home.create().await;
    cluster.propose(system(), note("kept")).await.unwrap();
    cluster.cut_log(0).await.unwrap();
    let state = bytes(&cluster);
    cluster.shutdown().await;
    drop(cluster);
    let log = home.config.dir.join("raft");
    let generation = fs::read_to_string(log.join("current")).unwrap();
    fs::remove_dir_all(log.join(format!("sled-{}", generation.trim()))).unwrap();
    fs::remove_file(log.join("journal")).unwrap();

    let again = home.open().await;
    assert_eq!(again.status().read_only, None, "the snapshot covers all that was acknowledged");
    assert_eq!(bytes(&again), state);
    again.shutdown().await;
}

#[tokio::test]
async fn the_log_is_cut_by_its_bytes() {
    let mut home = Home::new();
    home.config.log_bytes = 20_000;
    home.config.log_bytes_kept = 5_000;
    let cluster = home.create().await;
    let long = "x".repeat(200);
    for number in 0..100 {
        cluster.propose(system(), note(&format!("{number} {long}"))).await.unwrap();
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while cluster.status().log_bytes > 20_000 {
        assert!(tokio::time::Instant::now() < deadline, "the log was never cut");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn changes_proposed_together_share_a_record() {
    let home = Home::new();
    let cluster = home.create().await;
    let proposals = (0..200).map(|number| cluster.propose(system(), note(&format!("note {number}"))));
    let answers = join_all(proposals).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(cluster.status().applied >= 201);
    cluster.shutdown().await;
    drop(cluster);
    let replayed = journal::replay(&RealDisk::open(home.config.dir.join("raft")).unwrap()).unwrap().unwrap();
    let records = replayed.content.records.len();
    assert!(records < 100, "200 changes took {records} records");
}

#[tokio::test]
async fn nothing_readable_is_on_disk() {
    let home = Home::new();
    let cluster = home.create().await;
    cluster.propose(system(), note("a most secret title")).await.unwrap();
    cluster.cut_log(0).await.unwrap();
    cluster.propose(system(), note("a most secret title")).await.unwrap();
    cluster.shutdown().await;
    drop(cluster);
    let mut folders = vec![home.config.dir.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(folder).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let content = fs::read(&path).unwrap();
            assert!(!contains(&content, b"secret title"), "{} can be read", path.display());
        }
    }
    assert!(files > 5, "{files} files");
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}
