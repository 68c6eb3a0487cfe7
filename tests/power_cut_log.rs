//! Power cuts under the Raft log on a real file system (FUSE): sled, journal, watermark and the real disk code, cut at every
//! crash point of a short life that starts with an empty folder.
//!
//! sled keeps threads and open files until its process ends, so each life runs in a process of its own: this very test
//! binary, told by the environment what to do. It prints what it was about to do and what was acknowledged.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test may panic

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::disk::StopFlag;
use cluster::keyring::AeadKey;
use cluster::raft::log::{LogOptions, LogPlace, LogStore, Opened, open};
use cluster::raft::types::{LogEntry, LogId, Vote};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{CommittedLeaderId, EntryPayload, RaftLogReader};

#[path = "support/power_cut_fs.rs"]
#[allow(dead_code)] // other tests use the rest
mod power_cut_fs;

use power_cut_fs::{Left, Names, PowerCutDisk};

/// How long a life may take; it needs a fraction of a second. What hangs without a disk is killed.
const LIFE: Duration = Duration::from_secs(10);
/// How long an inspection may take: it must not hang, whatever the machine is busy with.
const INSPECTION: Duration = Duration::from_secs(120);
const ROOMY: u64 = 1 << 30;
const STORY: &str = "no_power_cut_on_a_real_file_system_loses_what_the_log_acknowledged";
/// Which part a process of its own plays; none in the process that tells the story.
const PART: &str = "MEDIAKEEP_LOG_PART";
const FOLDER: &str = "MEDIAKEEP_LOG_FOLDER";
const SNAPSHOT: &str = "MEDIAKEEP_LOG_SNAPSHOT";
const VOTERS: &str = "MEDIAKEEP_LOG_VOTERS";

/// What has been promised: terms of votes, and indexes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Promised {
    vote: Option<u64>,
    last: Option<u64>,
    purged: Option<u64>,
}

impl Promised {
    fn print(self, word: &str) {
        let text = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        #[expect(clippy::print_stdout, reason = "the story that started this life reads it")]
        {
            println!("{word} {} {} {}", text(self.vote), text(self.last), text(self.purged));
        }
    }

    fn read(line: &str, word: &str) -> Option<Self> {
        let mut numbers = line.strip_prefix(word)?.split_whitespace().map(|text| text.parse().ok());
        Some(Self { vote: numbers.next()?, last: numbers.next()?, purged: numbers.next()? })
    }
}

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

fn entry(index: u64) -> LogEntry {
    LogEntry { log_id: log_id(index), payload: EntryPayload::Blank }
}

fn open_log(dir: &Path, snapshot: Option<u64>) -> Result<LogStore, String> {
    let options = LogOptions {
        place: LogPlace::in_folder(dir).map_err(|error| error.to_string())?,
        key: Arc::new(AeadKey::new(&[5; 32]).unwrap()),
        was_there: false,
        open_deadline: Duration::from_secs(30),
        snapshot: snapshot.map(log_id),
        stop: StopFlag::new(),
        accept_loss: None,
    };
    match open(options) {
        Ok(Opened::Whole { store, .. }) => Ok(store),
        Ok(Opened::Short { missing, reasons, .. }) => Err(format!("{missing} are missing: {reasons:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// One step of the life. The error of a disk without power ends it.
async fn step(log: &mut LogStore, number: u64, had: Promised, has: Promised) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    match number {
        0 | 7 => {
            let vote = Vote::new_committed(has.vote.unwrap_or_default(), 1);
            log.save_vote(&vote).await.map_err(|error| failed(&error))
        }
        5 => log.truncate(log_id(has.last.unwrap_or_default() + 1)).await.map_err(|error| failed(&error)),
        9 => log.purge(log_id(has.purged.unwrap_or_default())).await.map_err(|error| failed(&error)),
        _ => {
            let next = had.last.map_or(0, |last| last + 1);
            let entries = (next..=has.last.unwrap_or_default()).map(entry);
            log.blocking_append(entries).await.map_err(|error| failed(&error))
        }
    }
}

fn after(number: u64, had: Promised) -> Promised {
    match number {
        0 | 7 => Promised { vote: Some(1 + number), ..had },
        5 => Promised { last: Some(5), ..had },
        9 => Promised { purged: Some(3), ..had },
        _ => Promised { last: Some(had.last.map_or(0, |last| last + 1) + 1), ..had },
    }
}

/// One life, in a process of its own.
async fn live_here(dir: &Path) {
    let mut log = open_log(dir, None).unwrap();
    let voters = std::env::var(VOTERS).unwrap().parse().unwrap();
    log.set_voters(voters).await.unwrap();
    let mut promised = Promised::default();
    for number in 0..12 {
        let has = after(number, promised);
        has.print("BEGUN");
        step(&mut log, number, promised, has).await.unwrap();
        has.print("DONE");
        promised = has;
    }
    log.close().await.unwrap();
}

/// Looks at what a power cut left, in a process of its own.
async fn inspect_here(dir: &Path) {
    let snapshot = std::env::var(SNAPSHOT).ok().and_then(|index| index.parse().ok());
    let mut log = open_log(dir, snapshot).unwrap();
    let state = log.get_log_state().await.unwrap();
    let vote = log.read_vote().await.unwrap().map(|vote| vote.leader_id.term);
    let purged = state.last_purged_log_id.map(|purged| purged.index);
    let last = state.last_log_id.map(|last| last.index);
    let held: Vec<u64> =
        log.try_get_log_entries(..).await.unwrap().iter().map(|entry| entry.log_id.index).collect();
    let first = purged.map_or(0, |purged| purged + 1);
    assert_eq!(held, last.map(|last| (first..=last).collect::<Vec<_>>()).unwrap_or_default(), "a gap");
    log.blocking_append([entry(last.map_or(0, |last| last + 1))]).await.unwrap();
    Promised { vote, last, purged }.print("FOUND");
    log.close().await.unwrap();
}

fn run(part: &str, dir: &Path, voters: u32, snapshot: Option<u64>, ends_within: Duration) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", STORY, "--nocapture", "--test-threads=1"]).env(FOLDER, dir).env(PART, part);
    command.env(VOTERS, voters.to_string());
    if let Some(snapshot) = snapshot {
        command.env(SNAPSHOT, snapshot.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    // A process without a disk may hang; one without power would not run at all.
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > ends_within {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn lines(output: &Output, word: &str) -> Vec<Promised> {
    let text = String::from_utf8_lossy(&output.stdout);
    // The test harness may have written on the same line before.
    text.lines().filter_map(|line| Promised::read(&line[line.find(word)?..], word)).collect()
}

/// Lives until the power is cut at `operation`, and gives what was promised and what was begun after it.
fn live(disk: &PowerCutDisk, at: &Path, voters: u32) -> (Promised, Promised) {
    let mounted = disk.mount(at);
    let output = run("life", &at.join("log"), voters, None, LIFE);
    mounted.unmount();
    let done = lines(&output, "DONE").last().copied().unwrap_or_default();
    let begun = lines(&output, "BEGUN").last().copied().unwrap_or_default();
    (done, begun)
}

fn check(found: Promised, done: Promised, begun: Promised, case: &str) {
    assert!(found.vote >= done.vote, "{case}: the vote is {:?} of {:?}", found.vote, done.vote);
    // While records are taken back, either end may be what is left.
    let least = done.last.min(begun.last.or(done.last));
    assert!(found.last >= least, "{case}: ends at {:?} of {least:?}", found.last);
    assert!(found.last <= done.last.max(begun.last), "{case}: ends at {:?}, never written", found.last);
    assert!(found.purged >= done.purged, "{case}: purged to {:?} of {:?}", found.purged, done.purged);
}

#[tokio::test]
async fn no_power_cut_on_a_real_file_system_loses_what_the_log_acknowledged() {
    let dir = || std::path::PathBuf::from(std::env::var_os(FOLDER).unwrap());
    match std::env::var(PART).as_deref() {
        Ok("life") => live_here(&dir()).await,
        Ok("inspection") => inspect_here(&dir()).await,
        _ => tell(1),
    }
}

#[test]
fn no_power_cut_loses_what_the_log_acknowledged_while_its_database_is_behind() {
    tell(3);
}

fn tell(voters: u32) {
    let folder = tempfile::tempdir().unwrap();
    let calm = PowerCutDisk::new(Names::Strict, ROOMY);
    let (done, _) = live(&calm, folder.path(), voters);
    assert_eq!(done, Promised { vote: Some(8), last: Some(13), purged: Some(3) }, "an undisturbed life");
    let operations = calm.operations();
    assert!(operations > 60, "only {operations} operations reached the file system");
    for cut in 1..operations {
        let left = [Left::Nothing, Left::Some(cut), Left::Everything][cut as usize % 3];
        let case = format!("cut at operation {cut} of {operations}, {left:?}");
        let disk = PowerCutDisk::new(Names::Strict, ROOMY);
        disk.cut_at(cut);
        let (done, begun) = live(&disk, folder.path(), voters);
        let mounted = disk.after_cut(left).mount(folder.path());
        let output = run("inspection", &folder.path().join("log"), voters, begun.purged, INSPECTION);
        mounted.unmount();
        let found = lines(&output, "FOUND");
        let found = found.first().unwrap_or_else(|| {
            panic!("{case}: {done:?} were promised\n{}", String::from_utf8_lossy(&output.stderr))
        });
        check(*found, done, begun, &case);
    }
}
