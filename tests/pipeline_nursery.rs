//! Where workers come from: one process that has loaded everything, and forks.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pipeline_support::processes::{children_of, nurseries_of, workers_of};
use crate::pipeline_support::{Clips, FileSource, Silent, worker};
use pipeline::WorkerProgram;
use pipeline::tracks::Probe;
use pipeline::transcode::Patience;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

fn clip(clips: &Clips) -> std::path::PathBuf {
    clips.make("clip.mp4", "-f lavfi -i testsrc2=d=1:s=320x180 -c:v libx264 -preset ultrafast")
}

async fn look(program: &WorkerProgram, file: &Path) -> Probe {
    pipeline::probe::probe_with(program, FileSource::open(file), Patience::default()).await.unwrap()
}

fn nurseries() -> Vec<u32> {
    nurseries_of(std::process::id())
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

async fn when(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn all_workers_come_from_one_nursery_which_buries_them() {
    let clips = Clips::new();
    let (file, program) = (clip(&clips), worker());
    look(&program, &file).await;
    let first = nurseries();
    assert_eq!(first.len(), 1);
    let mut looks = JoinSet::new();
    for _ in 0..12 {
        let (program, file) = (program.clone(), file.clone());
        looks.spawn(async move { look(&program, &file).await });
    }
    assert!(looks.join_all().await.iter().all(|probe| probe.video.len() == 1));
    assert_eq!(nurseries(), first);
    when("all workers are gone", || children_of(first[0]).is_empty()).await;
}

/// A worker gets all that it has open.
#[tokio::test]
async fn the_nursery_keeps_one_thread_and_nothing_of_its_workers() {
    let clips = Clips::new();
    let program = worker();
    let held = hold_a_worker(&program).await;
    let nursery = nurseries()[0];
    held.abort();
    look(&program, &clip(&clips)).await;
    when("all workers are gone", || children_of(nursery).is_empty()).await;
    // Whatever else there is came with the start of this very test.
    let count = |kind: &str| open_files(nursery).iter().filter(|file| *file == kind).count();
    when("it has let go of them", || (count("socket"), count("anon_inode")) == (1, 0)).await;
    assert_eq!(std::fs::read_dir(format!("/proc/{nursery}/task")).unwrap().count(), 1);
}

#[tokio::test]
async fn both_are_in_the_cage() {
    let program = worker();
    let held = hold_a_worker(&program).await;
    for process in [nurseries()[0], workers_of(std::process::id())[0]] {
        let says = |line: &str| {
            let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
            status.lines().any(|found| found == line)
        };
        when("it is locked in", || says("Seccomp:\t2") && says("NoNewPrivs:\t1")).await;
    }
    held.abort();
}

#[tokio::test]
async fn one_that_is_idle_ends_and_the_next_look_starts_another() {
    let clips = Clips::new();
    let file = clip(&clips);
    let program = worker().with_idle(Duration::from_millis(50));
    look(&program, &file).await;
    when("it has ended, and is buried", || children_of(std::process::id()).is_empty()).await;
    assert_eq!(look(&program, &file).await.video.len(), 1);
}

#[tokio::test]
async fn one_that_is_killed_takes_its_workers_along_and_is_replaced() {
    let clips = Clips::new();
    let (file, program) = (clip(&clips), worker());
    let held = hold_a_worker(&program).await;
    let (nursery, worker) = (nurseries()[0], workers_of(std::process::id())[0]);
    signal(nursery, Signal::KILL);
    when("the worker is gone", || !Path::new(&format!("/proc/{worker}/fd/0")).exists()).await;
    assert_eq!(look(&program, &file).await.video.len(), 1);
    held.abort();
}

#[tokio::test]
async fn a_look_outlives_nurseries_that_die_before_they_bear() {
    let clips = Clips::new();
    let (file, program) = (clip(&clips), worker());
    let looking = tokio::spawn(async move { look(&program, &file).await });
    let mut killed = Vec::new();
    while killed.len() < 2 && !looking.is_finished() {
        let living = nurseries().into_iter().filter(|nursery| !killed.contains(nursery));
        for nursery in living.collect::<Vec<_>>() {
            signal(nursery, Signal::KILL);
            killed.push(nursery);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(looking.await.unwrap().video.len(), 1);
}

/// What one crash gave away about where things lie in memory is of no use against the next worker.
#[tokio::test]
async fn a_worker_that_dies_of_itself_ends_its_nursery_and_the_others_go_on() {
    let clips = Clips::new();
    let (file, program) = (clip(&clips), worker());
    let held = hold_a_worker(&program).await;
    let (nursery, spared) = (nurseries()[0], workers_of(std::process::id())[0]);
    let doomed = hold_a_worker(&program).await;
    when("there are two", || workers_of(std::process::id()).len() == 2).await;
    let victim = workers_of(std::process::id()).into_iter().find(|worker| *worker != spared).unwrap();
    signal(victim, Signal::ABORT);
    when("another nursery bore the next", || nurseries().iter().any(|other| *other != nursery)).await;
    assert_eq!(look(&program, &file).await.video.len(), 1);
    assert!(workers_of(std::process::id()).contains(&spared));
    held.abort();
    when("the old one ends with its last worker", || !nurseries().contains(&nursery)).await;
    doomed.abort();
}

/// A look at a source that says nothing.
async fn hold_a_worker(program: &WorkerProgram) -> tokio::task::JoinHandle<()> {
    let before = workers_of(std::process::id()).len();
    let program = program.clone();
    let held = tokio::spawn(async move {
        let source = Arc::new(Silent);
        let _ = pipeline::probe::probe_with(&program, source, Patience::default()).await;
    });
    when("there is a worker", || workers_of(std::process::id()).len() > before).await;
    held
}

/// What its descriptors lead to.
fn open_files(process: u32) -> Vec<String> {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.map(|target| target.to_string_lossy().split(':').next().unwrap_or_default().to_owned()).collect()
}
