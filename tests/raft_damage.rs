//! What a node does about damaged files: repairs what it can prove, and says exactly what it cannot.

use std::fs;
use std::path::{Path, PathBuf};

use cluster::audit::{AuditFilter, Verdict};
use cluster::disk::RealDisk;
use cluster::keyring::NodeSecrets;
use cluster::raft::log::MissingRange;
use cluster::{Cluster, OpenError, ProposeError};

use crate::support::{Home, claim, note, system};

const NOTES: u64 = 12;

/// A stopped node with some notes in its log. Gives the State it had, as bytes.
async fn stopped_node(home: &Home) -> Vec<u8> {
    let cluster = home.create().await;
    for number in 0..NOTES {
        cluster.propose(system(), note(&format!("note {number}"))).await.unwrap();
    }
    let state = bytes(&cluster);
    cluster.shutdown().await;
    state
}

fn bytes(cluster: &Cluster) -> Vec<u8> {
    postcard::to_allocvec(&*cluster.state()).unwrap()
}

fn log_dir(home: &Home) -> PathBuf {
    home.config.dir.join("raft")
}

fn database(home: &Home) -> PathBuf {
    let current = fs::read_to_string(log_dir(home).join("current")).unwrap();
    log_dir(home).join(format!("sled-{}", current.trim())).join("db")
}

fn journal(home: &Home) -> PathBuf {
    log_dir(home).join("journal")
}

fn watermark(home: &Home) -> PathBuf {
    log_dir(home).join("watermark")
}

/// Overwrites part of a file, from one hundredth to another.
fn spoil(path: &Path, from: usize, to: usize) {
    let mut content = fs::read(path).unwrap();
    let (from, to) = (content.len() * from / 100, content.len() * to / 100);
    content[from..to].iter_mut().for_each(|byte| *byte ^= 0xA5);
    fs::write(path, content).unwrap();
}

/// Keeps the first so many hundredths of a file.
fn cut(path: &Path, kept: usize) {
    let content = fs::read(path).unwrap();
    fs::write(path, &content[..content.len() * kept / 100]).unwrap();
}

/// The node opens whole, with the State it had, and goes on.
async fn opens_whole(home: &Home, expected: &[u8]) -> Vec<String> {
    let cluster = home.open().await;
    assert_eq!(cluster.status().read_only, None);
    assert_eq!(bytes(&cluster), expected, "State is not what it was");
    let repairs = cluster.status().repairs;
    cluster.propose(system(), note("after the repair")).await.unwrap();
    let after = bytes(&cluster);
    cluster.shutdown().await;
    drop(cluster);

    let again = home.open().await;
    assert_eq!(bytes(&again), after, "the repaired log did not last");
    assert_eq!(again.status().repairs, Vec::<String>::new());
    again.shutdown().await;
    repairs
}

#[tokio::test]
async fn a_damaged_database_is_rebuilt_from_the_journal() {
    let spoilers: [fn(&Path); 4] = [
        |path| spoil(path, 0, 100),
        |path| spoil(path, 0, 1),
        |path| cut(path, 0),
        |path| fs::remove_dir_all(path.parent().unwrap()).unwrap(),
    ];
    for spoiler in spoilers {
        let home = Home::new();
        let state = stopped_node(&home).await;
        spoiler(&database(&home));
        let repairs = opens_whole(&home, &state).await;
        assert!(repairs.iter().any(|repair| repair.contains("built anew")), "{repairs:?}");
    }
}

#[tokio::test]
async fn a_database_that_was_not_finished_does_not_cost_the_one_in_use() {
    let home = Home::new();
    let state = stopped_node(&home).await;
    // Killed while the log was moved to a fresh database beside the one there is.
    let in_use = database(&home);
    fs::create_dir(log_dir(&home).join("sled-9")).unwrap();
    let repairs = opens_whole(&home, &state).await;
    assert_eq!((repairs, database(&home)), (Vec::<String>::new(), in_use.clone()));
    assert!(in_use.exists() && !log_dir(&home).join("sled-9").exists());
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_the_database_costs_nothing() {
    for tenth in 0..10 {
        let home = Home::new();
        let state = stopped_node(&home).await;
        let mut content = fs::read(database(&home)).unwrap();
        let used = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        content[used * tenth / 10] ^= 0x10;
        fs::write(database(&home), content).unwrap();
        opens_whole(&home, &state).await;
    }
}

#[tokio::test]
async fn a_damaged_or_missing_journal_is_written_anew() {
    let spoilers: [fn(&Path); 4] = [
        |path| spoil(path, 40, 50),
        |path| spoil(path, 0, 10),
        |path| cut(path, 70),
        |path| fs::remove_file(path).unwrap(),
    ];
    for spoiler in spoilers {
        let home = Home::new();
        let state = stopped_node(&home).await;
        spoiler(&journal(&home));
        opens_whole(&home, &state).await;
        let disk = RealDisk::open(log_dir(&home)).unwrap();
        let replayed = cluster::raft::log::journal::replay(&disk).unwrap().unwrap();
        assert_eq!(replayed.stopped, None);
        assert!(replayed.content.records.len() as u64 > NOTES);
    }
}

#[tokio::test]
async fn a_torn_end_of_the_journal_is_no_loss_when_nothing_was_promised() {
    let home = Home::new();
    let state = stopped_node(&home).await;
    let mut content = fs::read(journal(&home)).unwrap();
    content.extend_from_slice(&[0, 0, 2, 0, 9, 9, 9]);
    fs::write(journal(&home), content).unwrap();
    fs::remove_dir_all(database(&home).parent().unwrap()).unwrap();
    opens_whole(&home, &state).await;
}

#[tokio::test]
async fn a_damaged_watermark_is_replaced_while_both_copies_agree() {
    let home = Home::new();
    let state = stopped_node(&home).await;
    spoil(&watermark(&home), 0, 100);
    let repairs = opens_whole(&home, &state).await;
    assert!(repairs.iter().any(|repair| repair.contains("watermark")), "{repairs:?}");
}

#[tokio::test]
async fn one_copy_without_a_watermark_vouches_for_nothing() {
    let home = Home::new();
    stopped_node(&home).await;
    fs::remove_file(watermark(&home)).unwrap();
    fs::remove_file(journal(&home)).unwrap();
    let cluster = home.open().await;
    assert!(matches!(cluster.status().read_only, Some(MissingRange { last: None, .. })));
    cluster.shutdown().await;
}

#[tokio::test]
async fn two_short_copies_open_read_only_and_name_what_is_missing() {
    let mut home = Home::new();
    let state = stopped_node(&home).await;
    fs::remove_dir_all(database(&home).parent().unwrap()).unwrap();
    cut(&journal(&home), 60);

    let cluster = home.open().await;
    let missing = cluster.status().read_only.expect("acknowledged records are missing");
    assert!(missing.first > 2 && missing.last.is_some_and(|last| last >= missing.first), "{missing:?}");
    let refused = cluster.propose(system(), note("more")).await.unwrap_err();
    assert_eq!(refused, ProposeError::ReadOnly(missing));
    assert!(refused.to_string().contains(&missing.to_string()));
    assert!(cluster.state().cluster_info().is_some(), "what is left can be looked at");
    assert!(cluster.state().last_applied() < NOTES);
    cluster.shutdown().await;
    drop(cluster);

    // Another look changes nothing, and naming another loss is no permission.
    home.config.accept_loss = Some(MissingRange { first: missing.first + 1, last: missing.last });
    let cluster = home.open().await;
    assert_eq!(cluster.status().read_only, Some(missing));
    cluster.shutdown().await;
    drop(cluster);

    home.config.accept_loss = Some(missing);
    let cluster = home.open().await;
    assert_eq!(cluster.status().read_only, None);
    assert_ne!(bytes(&cluster), state);
    // The first thing on record afterwards is the loss itself, with the range that is missing.
    let everything = cluster.audit().query(AuditFilter::default(), None, 1).await.unwrap();
    let record = &everything.records[0];
    assert_eq!((record.action.as_str(), record.result.as_str()), ("log.accept_loss", "ok"));
    assert_eq!(record.details["first_record"], missing.first.to_string());
    assert_eq!(record.details["last_record"], missing.last.unwrap().to_string());
    assert!(!home.config.dir.join("raft/accepted-loss").exists());
    // The chain holds again; what the lost records had left in it is kept beside it.
    let head = cluster.state().chain_head();
    assert_eq!(cluster.audit().verify(head).await.unwrap(), Verdict::Intact { records: head.sequence });
    let orphaned = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().path().extension().is_some_and(|end| end.to_string_lossy().starts_with("orphaned"))
    };
    assert_eq!(
        fs::read_dir(home.config.dir.join("audit")).unwrap().map(orphaned).filter(|is| *is).count(),
        1
    );
    cluster.propose(system(), note("going on")).await.unwrap();
    cluster.shutdown().await;
    drop(cluster);

    home.config.accept_loss = None;
    let cluster = home.open().await;
    assert_eq!(cluster.status().read_only, None, "the loss was accepted once and for all");
    cluster.shutdown().await;
}

/// A snapshot and the log cut behind it, with notes before and after.
async fn cut_node(home: &Home) -> Vec<u8> {
    let cluster = home.create().await;
    for number in 0..NOTES {
        cluster.propose(system(), note(&format!("note {number}"))).await.unwrap();
    }
    cluster.cut_log(0).await.unwrap();
    cluster.propose(system(), note("after the cut")).await.unwrap();
    let state = bytes(&cluster);
    cluster.shutdown().await;
    state
}

fn snapshot_files(home: &Home) -> Vec<PathBuf> {
    let folder = home.config.dir.join("snapshots");
    let chunks = fs::read_dir(folder.join("chunks")).unwrap().map(|entry| entry.unwrap().path());
    chunks.chain([folder.join("manifest")]).collect()
}

fn spare_of(home: &Home, path: &Path) -> PathBuf {
    let folder = home.config.dir.join("snapshots");
    folder.join("spare").join(path.strip_prefix(&folder).unwrap())
}

#[tokio::test]
async fn a_damaged_snapshot_is_mended_from_its_second_copy_whichever_that_is() {
    let spoilers: [fn(&Path); 4] = [
        |path| spoil(path, 40, 60),
        |path| cut(path, 30),
        |path| cut(path, 0),
        |path| fs::remove_file(path).unwrap(),
    ];
    for spoiler in spoilers {
        for which in 0..2 {
            let home = Home::new();
            let state = cut_node(&home).await;
            for first in snapshot_files(&home) {
                let second = spare_of(&home, &first);
                assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
                spoiler(if which == 0 { &first } else { &second });
            }
            opens_whole(&home, &state).await;
            for first in snapshot_files(&home) {
                assert_eq!(fs::read(&first).unwrap(), fs::read(spare_of(&home, &first)).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_purged_name_is_in_neither_copy_of_the_snapshot_for_long() {
    let home = Home::new();
    cut_node(&home).await;
    // A second copy that was left behind by a crash between the two is brought up, and its chunks go.
    let old = snapshot_files(&home);
    let spares: Vec<_> = old.iter().map(|path| fs::read(spare_of(&home, path)).unwrap()).collect();
    let cluster = home.open().await;
    cluster.propose(system(), claim()).await.unwrap();
    cluster.cut_log(0).await.unwrap();
    cluster.shutdown().await;
    drop(cluster);
    for (path, bytes) in old.iter().zip(spares) {
        fs::write(spare_of(&home, path), bytes).unwrap();
    }
    let cluster = home.open().await;
    cluster.shutdown().await;
    let now = snapshot_files(&home);
    let held = fs::read_dir(home.config.dir.join("snapshots/spare/chunks")).unwrap().count();
    assert_eq!(held, now.len() - 1, "only what the manifest names");
    for path in now {
        assert_eq!(fs::read(&path).unwrap(), fs::read(spare_of(&home, &path)).unwrap());
    }
}

#[tokio::test]
async fn the_name_of_the_current_database_may_be_damaged() {
    for content in ["", "x\n", "99999999999999999999999\n", "18446744073709551615\n", "7\n"] {
        let home = Home::new();
        let state = stopped_node(&home).await;
        fs::write(log_dir(&home).join("current"), content).unwrap();
        opens_whole(&home, &state).await;
        let folders = fs::read_dir(log_dir(&home))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("sled-"));
        assert_eq!(folders.count(), 1, "no folder is made for a name that means none");
    }
}

#[tokio::test]
async fn a_snapshot_that_is_gone_cannot_be_accepted_as_a_loss() {
    let mut home = Home::new();
    cut_node(&home).await;
    fs::remove_dir_all(home.config.dir.join("snapshots")).unwrap();
    for accept in [None, Some(MissingRange { first: 0, last: Some(15) })] {
        home.config.accept_loss = accept;
        let refused = Cluster::open(home.config.clone(), home.seal()).await.unwrap_err();
        assert!(matches!(refused, OpenError::SnapshotGone { .. }), "{refused}");
    }
    let OpenError::SnapshotGone { upto, .. } =
        Cluster::open(home.config.clone(), home.seal()).await.unwrap_err()
    else {
        panic!("it opened");
    };
    home.config.accept_loss = Some(MissingRange { first: 0, last: Some(upto) });
    let refused = Cluster::open(home.config.clone(), home.seal()).await.unwrap_err();
    assert!(matches!(refused, OpenError::SnapshotGone { .. }), "not even by its right name: {refused}");
}

#[tokio::test]
async fn what_is_left_without_log_and_snapshot_is_no_new_node() {
    let home = Home::new();
    cut_node(&home).await;
    fs::remove_dir_all(home.config.dir.join("snapshots")).unwrap();
    fs::remove_dir_all(home.config.dir.join("raft")).unwrap();
    for _ in 0..2 {
        let refused = Cluster::create(home.config.clone(), home.seal()).await.unwrap_err();
        assert!(matches!(refused, OpenError::Wiped(_)), "{refused}");
    }
}

#[tokio::test]
async fn the_secrets_are_sealed_anew_for_the_recovery_key_at_every_start() {
    let home = Home::new();
    let (cluster, secrets) = Cluster::create(home.config.clone(), home.seal()).await.unwrap();
    cluster.shutdown().await;
    drop(cluster);
    fs::write(home.config.recovery_file(), b"not what it was").unwrap();
    let cluster = home.open().await;
    cluster.shutdown().await;
    let sealed = fs::read(home.config.recovery_file()).unwrap();
    assert!(NodeSecrets::recover(&secrets.recovery_key, &sealed).is_ok());
}
