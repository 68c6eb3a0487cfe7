//! Power cuts under the log: what was acknowledged is there, whichever of the unsynced pages reached the disk.
//!
//! After every barrier the files are copied: that much is durable. A power cut in the barrier after it leaves any mix of
//! the pages before and after, so such mixes are made, page by page, and the log is opened on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::disk::RealDisk;
use cluster::keyring::AeadKey;
use cluster::raft::log::content::Change;
use cluster::raft::log::watermark::{self, Found};
use cluster::raft::log::{LogOptions, LogStore, Opened, open, open_changed, record};
use cluster::raft::types::{LogEntry, LogId, Vote};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{CommittedLeaderId, EntryPayload, RaftLogReader};

use crate::support::log_options;

const PAGE: usize = 4096;
/// The step of a life that takes records back.
const TAKES_BACK: usize = 5;
/// And the one that lets go of records.
const CUTS: usize = 9;

type Image = BTreeMap<PathBuf, Vec<u8>>;

/// What had been promised when an image was taken.
#[derive(Clone, Copy)]
struct Promised {
    vote: Option<Vote>,
    last: Option<u64>,
    purged: Option<u64>,
}

fn options(dir: &Path, snapshot: Option<LogId>) -> LogOptions {
    LogOptions { snapshot, ..log_options(dir) }
}

fn open_whole(dir: &Path, snapshot: Option<LogId>) -> LogStore {
    match open(options(dir, snapshot)).unwrap() {
        Opened::Whole { store, .. } => store,
        Opened::Short { missing, reasons, .. } => panic!("{missing} are missing: {reasons:?}"),
    }
}

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

fn entry(index: u64) -> LogEntry {
    LogEntry { log_id: log_id(index), payload: EntryPayload::Blank }
}

fn take(dir: &Path) -> Image {
    let mut image = Image::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(folder).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                image.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    image
}

fn put(image: &Image, dir: &Path) {
    for (name, content) in image {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A fixed source of choices.
struct Dice(u64);

impl Dice {
    fn even(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 63 == 1
    }
}

/// Every page, and every length, from one image or the other.
fn mix(before: &Image, after: &Image, mut choose: impl FnMut() -> bool) -> Image {
    let mut mixed = before.clone();
    for (name, new) in after {
        let old = before.get(name).cloned().unwrap_or_default();
        let length = if choose() { new.len() } else { old.len() };
        let mut content = vec![0; length];
        for start in (0..length).step_by(PAGE) {
            let end = (start + PAGE).min(length);
            let from = if choose() { new } else { &old };
            let held = from.get(start..from.len().min(end)).unwrap_or_default();
            content[start..start + held.len()].copy_from_slice(held);
        }
        mixed.insert(name.clone(), content);
    }
    mixed
}

/// A short life of a log, with the files after every step.
async fn life(dir: &Path, voters: u32) -> Vec<(Image, Promised)> {
    let mut log = open_whole(dir, None);
    log.set_voters(voters).await.unwrap();
    let mut promised = Promised { vote: None, last: None, purged: None };
    let mut images = vec![(take(dir), promised)];
    for step in 0..12 {
        match step {
            0 | 7 => {
                let vote = Vote::new_committed(1 + step as u64, 1);
                log.save_vote(&vote).await.unwrap();
                promised.vote = Some(vote);
            }
            TAKES_BACK => {
                log.truncate(log_id(6)).await.unwrap();
                promised.last = Some(5);
            }
            CUTS => {
                log.purge(log_id(3)).await.unwrap();
                promised.purged = Some(3);
            }
            _ => {
                let next = promised.last.map_or(0, |last| last + 1);
                log.blocking_append((next..next + 2).map(entry)).await.unwrap();
                promised.last = Some(next + 1);
            }
        }
        images.push((take(dir), promised));
    }
    log.close().await.unwrap();
    images
}

async fn holds(image: &Image, before: &Promised, after: &Promised, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    put(image, dir.path());
    // The log is cut only behind a snapshot.
    let mut log = open_whole(dir.path(), after.purged.map(log_id));
    let state = log.get_log_state().await.unwrap();
    let last = state.last_log_id.map(|last| last.index);
    // While records are taken back, either end may be what is left.
    assert!(last >= before.last.min(after.last), "{what}: ends at {last:?}");
    let vote = log.read_vote().await.unwrap();
    assert!(vote >= before.vote, "{what}: the vote is {vote:?}");
    assert!(state.last_purged_log_id.map(|purged| purged.index) >= before.purged, "{what}");
    let held = log.try_get_log_entries(..).await.unwrap();
    let first = state.last_purged_log_id.map_or(0, |purged| purged.index + 1);
    let expected: Vec<u64> = last.map(|last| (first..=last).collect()).unwrap_or_default();
    assert_eq!(held.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), expected, "{what}");
    log.blocking_append([entry(last.map_or(0, |last| last + 1))]).await.unwrap();
    log.close().await.unwrap();
}

#[tokio::test]
async fn no_power_cut_loses_what_was_acknowledged() {
    no_power_cut_loses(1).await;
}

#[tokio::test]
async fn no_power_cut_loses_what_was_acknowledged_while_the_database_is_behind() {
    no_power_cut_loses(3).await;
}

async fn no_power_cut_loses(voters: u32) {
    let dir = tempfile::tempdir().unwrap();
    let images = life(dir.path(), voters).await;
    for (step, pair) in images.windows(2).enumerate() {
        let [(before, had), (after, has)] = pair else { unreachable!("windows of two") };
        holds(before, had, had, &format!("before step {step}")).await;
        for seed in 0..4 {
            let mut dice = Dice(seed * 1_000 + step as u64);
            let mut mixed = mix(before, after, || dice.even());
            // The watermark is written only once everything else is durable; it comes down before anything is taken back.
            let mark = if step == TAKES_BACK { after } else { before };
            mixed.insert("watermark".into(), mark[Path::new("watermark")].clone());
            if step == CUTS {
                // A new journal takes the place of the old one at once, when everything else is durable.
                mixed.insert("journal".into(), before[Path::new("journal")].clone());
            }
            holds(&mixed, had, has, &format!("step {step}, mix {seed}")).await;
        }
    }
}

#[tokio::test]
async fn a_torn_watermark_tells_less_and_never_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let images = life(dir.path(), 1).await;
    for (step, pair) in images.windows(2).enumerate() {
        let [(before, had), (after, has)] = pair else { unreachable!("windows of two") };
        let (old, new) = (&before[Path::new("watermark")], &after[Path::new("watermark")]);
        for sector in 0..new.len() / 512 {
            let mut torn = after.clone();
            let mut content = old.clone();
            content[..sector * 512].copy_from_slice(&new[..sector * 512]);
            if content == *old || content == *new {
                continue;
            }
            torn.insert("watermark".into(), content);
            holds(&torn, had, has, &format!("step {step}, sector {sector}")).await;
        }
    }
}

/// A stopped log that was cut, with records that its node has not taken part in since: the files, and where it ends.
async fn stopped(dir: &Path) -> Image {
    let mut log = open_whole(dir, None);
    log.set_voters(3).await.unwrap();
    log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    log.blocking_append((0..8).map(entry)).await.unwrap();
    log.purge(log_id(3)).await.unwrap();
    log.close().await.unwrap();
    take(dir)
}

/// The newest record that the watermark in `dir` speaks of.
fn said(dir: &Path) -> Option<LogId> {
    match watermark::read(&RealDisk::open(dir).unwrap()).unwrap() {
        Found::Good(mark) => mark.last,
        other => panic!("{other:?}"),
    }
}

/// Of one voter the watermark speaks before anybody is told; of three, right after. From then on an end of the log that is
/// lost is noticed: sled makes up for it where it is a second copy.
#[tokio::test]
async fn an_end_of_the_log_that_is_lost_is_noticed() {
    for voters in [1, 3] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open_whole(dir.path(), None);
        log.set_voters(voters).await.unwrap();
        log.blocking_append((0..4).map(entry)).await.unwrap();
        if voters == 1 {
            assert_eq!(said(dir.path()), Some(log_id(3)), "before the answer");
        }
        let began = Instant::now();
        while said(dir.path()) != Some(log_id(3)) {
            assert!(began.elapsed() < Duration::from_secs(30), "the watermark does not follow");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut image = take(dir.path());
        log.close().await.unwrap();
        let journal = image.get_mut(Path::new("journal")).unwrap();
        let end = journal.iter().rposition(|byte| *byte != 0).unwrap();
        journal[end] ^= 1;

        let dir = tempfile::tempdir().unwrap();
        put(&image, dir.path());
        match open(options(dir.path(), None)).unwrap() {
            Opened::Whole { store, .. } => {
                assert_eq!(voters, 1);
                assert_eq!(store.range(), Some((0, 3)));
                store.close().await.unwrap();
            }
            Opened::Short { missing, .. } => {
                assert_eq!((voters, missing.first, missing.last), (3, 3, Some(3)));
            }
        }
    }
}

#[tokio::test]
async fn what_was_cut_leaves_the_disk_when_the_log_moves_to_a_fresh_database() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open_whole(dir.path(), None);
    log.blocking_append((0..8).map(entry)).await.unwrap();
    let whole = log.bytes();
    log.purge(log_id(3)).await.unwrap();
    assert_eq!(log.bytes(), whole, "so that nodes whose log is cut by snapshots come to move it, too");
    assert_eq!(log.range(), Some((4, 7)));
    log.close().await.unwrap();

    let log = open_whole(dir.path(), Some(log_id(3)));
    assert_eq!(log.range(), Some((4, 7)), "what is in the database and was cut is not there");
    assert_eq!(log.bytes(), whole / 2);
    log.close().await.unwrap();

    let mut log = open_whole(dir.path(), Some(log_id(3)));
    log.purge(log_id(5)).await.unwrap();
    log.compact().await.unwrap();
    assert_eq!((log.range(), log.bytes()), (Some((6, 7)), whole / 4));
    log.close().await.unwrap();
}

/// Two records of another election, as `cluster recover` adds them.
fn added() -> Vec<Change> {
    let key = AeadKey::new(&[5; 32]).unwrap();
    let records = (8..10).map(|index| {
        let log_id = LogId::new(CommittedLeaderId::new(9, 2), index);
        (log_id, record::encode(&LogEntry { log_id, payload: EntryPayload::Blank }, &key).unwrap())
    });
    vec![Change::Vote(Vote::new(9, 2)), Change::Append(records.collect())]
}

/// Opens the log of this image; gives where it ends, how far it was cut, and the election that was voted in.
async fn found(image: &Image) -> (Option<u64>, Option<u64>, u64) {
    let dir = tempfile::tempdir().unwrap();
    put(image, dir.path());
    let mut log = open_whole(dir.path(), Some(log_id(3)));
    let state = log.get_log_state().await.unwrap();
    let vote = log.read_vote().await.unwrap().unwrap();
    let held = log.try_get_log_entries(..).await.unwrap().len() as u64;
    let (last, purged) = (state.last_log_id.unwrap().index, state.last_purged_log_id.unwrap().index);
    assert_eq!(held, last - purged, "without a hole");
    log.close().await.unwrap();
    (Some(last), Some(purged), vote.leader_id().term)
}

#[tokio::test]
async fn a_change_of_a_stopped_log_is_made_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let before = stopped(dir.path()).await;
    open_changed(options(dir.path(), Some(log_id(3))), added(), 1).unwrap().close().await.unwrap();
    let after = take(dir.path());
    let (none, whole) = ((Some(7), Some(3), 1), (Some(9), Some(3), 9));
    assert_eq!((found(&before).await, found(&after).await), (none, whole));

    let current = Path::new("current");
    let of_new = |name: &Path| !before.contains_key(name) && name.starts_with("sled-2");
    assert!(after.keys().any(|name| of_new(name)) && before[current] != after[current]);
    for seed in 0..8 {
        let mut dice = Dice(seed);
        // Until the new database takes its place, whatever there is of it counts for nothing.
        let unfinished: Image = after.clone().into_iter().filter(|(name, _)| of_new(name)).collect();
        let mut cut = mix(&Image::new(), &unfinished, || dice.even());
        cut.extend(before.clone());
        assert_eq!(found(&cut).await, none, "before its name was written, mix {seed}");
        // From then on it alone counts: journal, watermark and the database before it may be what they were.
        let mut cut = before.clone();
        cut.extend(unfinished);
        cut.insert(current.into(), after[current].clone());
        cut.retain(|name, _| !name.starts_with("sled-1") || seed % 2 == 0);
        for name in ["journal", "watermark"].map(Path::new) {
            if dice.even() {
                cut.insert(name.into(), after[name].clone());
            }
        }
        assert_eq!(found(&cut).await, whole, "after its name was written, mix {seed}");
    }
}
