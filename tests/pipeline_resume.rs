//! What happens to a transcode when things go wrong around it: kills, hangs, cancellation, growing and enormous sources.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pipeline_support;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::tracks::{RenditionId, SegmentInfo};
use pipeline::transcode::{Transcode, TranscodeEnd, TranscodeSpec};
use pipeline::{FailureCode, Progress, Sidecar, Sink, SinkError, Source, WorkerProgram};
use pipeline_support::processes::workers_of;
use pipeline_support::{
    Clips, FileSource, Keeper, Made, Outcome, Silent, decoded_frames, keyframe_times, probe, process, rgb_at,
    run, spec, test_inputs, transcode, worker,
};
use rustix::process::{Pid, Signal, kill_process};

fn clip_of(clips: &Clips, seconds: u32) -> std::path::PathBuf {
    let inputs = test_inputs("426x240", "25", seconds);
    clips.make("clip.mp4", &format!("{inputs} -c:v libx264 -preset ultrafast -c:a aac -movflags +faststart"))
}

/// A sink that kills the worker after certain segments.
struct Killer {
    keeper: Keeper,
    after: Vec<u64>,
}

fn signal(processes: Vec<u32>, signal: Signal) {
    for process in processes {
        // It may have ended by itself meanwhile.
        let _ = kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal);
    }
}

fn kill_workers() {
    signal(workers_of(std::process::id()), Signal::KILL);
}

#[async_trait]
impl Sink for Killer {
    async fn init(&mut self, rendition: RenditionId, bytes: Bytes) -> Result<(), SinkError> {
        self.keeper.init(rendition, bytes).await
    }

    async fn segment(
        &mut self,
        rendition: RenditionId,
        info: SegmentInfo,
        bytes: Bytes,
    ) -> Result<(), SinkError> {
        let sequence = info.sequence;
        self.keeper.segment(rendition, info, bytes).await?;
        if rendition == RenditionId::Video(240) && self.after.first() == Some(&sequence) {
            self.after.remove(0);
            kill_workers();
        }
        Ok(())
    }

    async fn sidecar(&mut self, kind: Sidecar, bytes: Bytes) -> Result<(), SinkError> {
        self.keeper.sidecar(kind, bytes).await
    }

    async fn progress(&mut self, progress: Progress) -> Result<(), SinkError> {
        self.keeper.progress(progress).await
    }
}

#[test]
fn a_killed_worker_is_replaced_and_nothing_is_lost_or_doubled() {
    let clips = Clips::new();
    let clip = clip_of(&clips, 14);
    let whole = process(&clip, |_| {});
    let keeper = Keeper::default();
    let end = actix::System::new().block_on(async {
        let sink = Killer { keeper: keeper.clone(), after: vec![0, 2] };
        let mut handle =
            Transcode::begin_with(worker(), spec(&whole.probe), FileSource::open(&clip), Box::new(sink));
        tokio::time::timeout(Duration::from_secs(120), handle.ended()).await.unwrap()
    });
    let made = keeper.0.lock().unwrap().clone();
    let outcome = Outcome { probe: whole.probe.clone(), made, end };
    assert!(outcome.report().restarts >= 1, "{:?}", outcome.report());
    for (id, segments) in &outcome.made.segments {
        let sequences: Vec<_> = segments.iter().map(|(info, _)| info.sequence).collect();
        assert_eq!(sequences, (0..segments.len() as u64).collect::<Vec<_>>(), "{id}");
        assert_eq!(outcome.durations_us(&id.to_string()), whole.durations_us(&id.to_string()), "{id}");
    }
    let file = outcome.write("v240", &clips.path("resumed.mp4"));
    assert_eq!(decoded_frames(&file), 14 * 25);
    assert_eq!(keyframe_times(&file), [0, 2000, 4000, 6000, 8000, 10000, 12000]);
}

/// Of what is encoded, the part that is there is not decoded again; what comes out is as if nothing had happened.
#[test]
fn a_killed_worker_goes_on_from_the_last_keyframe_before_what_is_missing() {
    let clips = Clips::new();
    for (name, audio) in [("late.mp4", "aac"), ("late.mov", "aac")] {
        let coding = format!("-c:v libx264 -preset ultrafast -bf 2 -g 75 -c:a {audio}");
        let clip = clips.make(name, &format!("{} {coding}", test_inputs("426x240", "25", 40)));
        let whole = process(&clip, |_| {});
        let keeper = Keeper::default();
        let end = actix::System::new().block_on(async {
            let sink = Killer { keeper: keeper.clone(), after: vec![6] };
            let mut handle =
                Transcode::begin_with(worker(), spec(&whole.probe), FileSource::open(&clip), Box::new(sink));
            tokio::time::timeout(Duration::from_secs(120), handle.ended()).await.unwrap()
        });
        let made = keeper.0.lock().unwrap().clone();
        let outcome = Outcome { probe: whole.probe.clone(), made, end };
        let report = outcome.report();
        assert!(report.restarts == 1 && !report.damaged, "{name}: {report:?}");
        let (all, again) = (whole.report().decoded_pictures, report.decoded_pictures);
        assert!(all == 1000 && again <= 12 * 25 + 75, "{name}: {again} of {all} pictures decoded again");
        for (id, segments) in &outcome.made.segments {
            let times = |segments: &Vec<(SegmentInfo, Bytes)>| {
                let times =
                    |(info, _): &(SegmentInfo, Bytes)| (info.sequence, info.start_us, info.duration_us);
                segments.iter().map(times).collect::<Vec<_>>()
            };
            assert_eq!(times(segments), times(&whole.made.segments[id]), "{name}: {id}");
        }
        let file = outcome.write("v240", &clips.path("resumed.mp4"));
        assert_eq!(decoded_frames(&file), 1000, "{name}");
        let times = shown_times(&whole.write("v240", &clips.path("whole.mp4")));
        assert!(shown_times(&file) == times, "{name}: pictures are shown at other times");
        // The same pictures at the same times, on both sides of the seam.
        for seconds in ["26.0", "27.96", "28.0", "28.04", "30.0", "39.9"] {
            let at = |file: &str| rgb_at(file, seconds, 200, 120);
            let (resumed, source) = (at(&file), at(clip.to_str().unwrap()));
            let near = resumed.iter().zip(source).all(|(a, b)| a.abs_diff(b) < 40);
            assert!(near, "{name} at {seconds} s: {resumed:?} for {source:?}");
        }
        let sidecars = |outcome: &Outcome, kind: Sidecar| {
            outcome.made.sidecars.iter().rfind(|(made, _)| *made == kind).map(|(_, bytes)| bytes.clone())
        };
        let tiles = |outcome: &Outcome| {
            let text = sidecars(outcome, Sidecar::StoryboardVtt).unwrap();
            String::from_utf8_lossy(&text).matches("-->").count()
        };
        assert_eq!(tiles(&outcome), tiles(&whole), "{name}: the storyboard is whole");
    }
}

/// When each picture is shown, in order.
fn shown_times(path: &str) -> Vec<String> {
    let arguments =
        ["-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", path];
    let told = run("ffprobe", &arguments);
    // Pictures that carry a message of their encoder have a comma and an empty line more.
    let times = told.lines().map(|line| line.trim_end_matches(',').to_owned());
    times.filter(|time| !time.is_empty()).collect()
}

#[test]
fn a_source_passed_through_comes_out_the_same_after_kills() {
    let clips = Clips::new();
    let coding = "-c:v libx264 -preset veryfast -crf 30 -g 50 -bf 2 -c:a aac";
    let clip = clips.make("passed.mp4", &format!("{} {coding}", test_inputs("640x360", "25", 14)));
    let whole = process(&clip, |spec| spec.pass_through = true);
    let keeper = Keeper::default();
    let end = actix::System::new().block_on(async {
        let sink = Killer { keeper: keeper.clone(), after: vec![0, 2] };
        let plan = TranscodeSpec { pass_through: true, ..spec(&whole.probe) };
        let mut handle = Transcode::begin_with(worker(), plan, FileSource::open(&clip), Box::new(sink));
        tokio::time::timeout(Duration::from_secs(120), handle.ended()).await.unwrap()
    });
    let made = keeper.0.lock().unwrap().clone();
    let outcome = Outcome { probe: whole.probe.clone(), made, end };
    assert!(outcome.report().restarts >= 1, "{:?}", outcome.report());
    assert_eq!(outcome.made.headers, whole.made.headers);
    assert_eq!(
        outcome.made.segments[&RenditionId::Video(360)],
        whole.made.segments[&RenditionId::Video(360)]
    );
    for (id, segments) in &outcome.made.segments {
        let times = |segments: &Vec<(SegmentInfo, Bytes)>| {
            segments
                .iter()
                .map(|(info, _)| (info.sequence, info.start_us, info.duration_us))
                .collect::<Vec<_>>()
        };
        assert_eq!(times(segments), times(&whole.made.segments[id]), "{id}");
    }
    let file = outcome.write("v240", &clips.path("resumed.mp4"));
    assert_eq!(decoded_frames(&file), 14 * 25);
    assert_eq!(keyframe_times(&file), [0, 2000, 4000, 6000, 8000, 10000, 12000]);
}

/// Sends `signal` to every worker of this process until the guard is dropped.
fn haunt(with: Signal) -> impl Drop {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let haunting = std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            signal(workers_of(std::process::id()), with);
            std::thread::yield_now();
        }
    });
    Haunting { is_over, haunting: Some(haunting) }
}

struct Haunting {
    is_over: Arc<AtomicBool>,
    haunting: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Haunting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.haunting.take().map(std::thread::JoinHandle::join);
    }
}

fn plan_of_a_clip() -> TranscodeSpec {
    spec(&process(&clip_of(&Clips::new(), 1), |_| {}).probe)
}

fn end_of(program: WorkerProgram, plan: TranscodeSpec, source: Arc<dyn Source>) -> TranscodeEnd {
    actix::System::new().block_on(async {
        let mut handle = Transcode::begin_with(program, plan, source, Box::new(Keeper::default()));
        tokio::time::timeout(Duration::from_secs(60), handle.ended()).await.unwrap()
    })
}

fn failed(end: &TranscodeEnd, code: FailureCode) -> bool {
    matches!(end, TranscodeEnd::Failed(failure) if failure.code == code)
}

#[test]
fn a_worker_that_always_dies_ends_as_a_failure() {
    let plan = plan_of_a_clip();
    let _haunting = haunt(Signal::KILL);
    let end = end_of(worker(), plan, Arc::new(Silent));
    assert!(failed(&end, FailureCode::DecoderCrashed), "{end:?}");
}

#[test]
fn where_no_worker_can_be_started_the_file_is_not_blamed() {
    let mut plan = plan_of_a_clip();
    plan.patience.restarts = 1;
    let end = end_of(WorkerProgram::at("/bin/false".into()), plan, Arc::new(Silent));
    assert!(failed(&end, FailureCode::Internal), "{end:?}");
}

#[test]
fn a_worker_that_hangs_ends_as_a_failure() {
    let mut plan = plan_of_a_clip();
    plan.patience.silence = Duration::from_millis(200);
    plan.patience.restarts = 1;
    let _haunting = haunt(Signal::STOP);
    let clips = Clips::new();
    let end = end_of(worker(), plan, FileSource::open(&clip_of(&clips, 30)));
    assert!(failed(&end, FailureCode::Stalled), "{end:?}");
}

/// Stops whoever asks, and only then answers.
struct Stopping(Arc<FileSource>);

#[async_trait]
impl Source for Stopping {
    async fn length(&self) -> Option<u64> {
        self.0.length().await
    }

    async fn read(&self, offset: u64, length: u32) -> io::Result<Bytes> {
        signal(workers_of(std::process::id()), Signal::STOP);
        self.0.read(offset, length).await
    }
}

/// The node is not still busy with a read whose answer nobody takes.
#[test]
fn a_worker_that_does_not_take_what_it_asked_for_ends_as_a_failure() {
    let mut plan = plan_of_a_clip();
    plan.patience.silence = Duration::from_millis(200);
    plan.patience.restarts = 1;
    let clips = Clips::new();
    let long = clip_of(&clips, 60);
    assert!(std::fs::metadata(&long).unwrap().len() > 1 << 20, "more than a socket holds");
    let end = end_of(worker(), plan, Arc::new(Stopping(FileSource::open(&long))));
    assert!(failed(&end, FailureCode::Stalled), "{end:?}");
}

#[test]
fn cancelling_stops_at_once() {
    let mut plan = plan_of_a_clip();
    plan.patience.silence = Duration::from_secs(600);
    actix::System::new().block_on(async {
        let mut handle = Transcode::begin_with(worker(), plan, Arc::new(Silent), Box::new(Keeper::default()));
        handle.cancel();
        let end = tokio::time::timeout(Duration::from_secs(60), handle.ended()).await.unwrap();
        assert_eq!(end, TranscodeEnd::Cancelled);
    });
}

/// A file of which only a part has arrived.
struct Growing {
    file: File,
    arrived: AtomicU64,
    whole: u64,
    done: AtomicBool,
    waited: Mutex<u32>,
}

#[async_trait]
impl Source for Growing {
    async fn length(&self) -> Option<u64> {
        None
    }

    async fn read(&self, offset: u64, length: u32) -> io::Result<Bytes> {
        let end = (offset + u64::from(length)).min(self.whole);
        while self.arrived.load(Ordering::SeqCst) < end {
            *self.waited.lock().unwrap() += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap()];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes.into())
    }
}

impl Growing {
    fn open(path: &Path) -> Arc<Self> {
        let file = File::open(path).unwrap();
        let whole = file.metadata().unwrap().len();
        Arc::new(Self {
            file,
            arrived: AtomicU64::new(0),
            whole,
            done: AtomicBool::new(false),
            waited: Mutex::default(),
        })
    }
}

#[test]
fn segments_come_out_while_the_source_still_arrives() {
    for (name, coding) in [
        ("growing.mp4", "-c:v libx264 -preset ultrafast -g 50 -c:a aac -movflags +faststart"),
        ("growing.mkv", "-c:v libx264 -preset ultrafast -g 50 -c:a aac"),
        ("growing.ts", "-c:v libx264 -preset ultrafast -g 50 -c:a aac"),
    ] {
        let clips = Clips::new();
        let clip = clips.make(name, &format!("{} {coding}", test_inputs("426x240", "25", 14)));
        let source = Growing::open(&clip);
        source.arrived.store(source.whole * 7 / 10, Ordering::SeqCst);
        let first = std::fs::read(&clip).unwrap();
        assert_eq!(
            pipeline::streamable(&first[..4096.min(first.len())]),
            pipeline::Streamable::Yes,
            "{name}"
        );
        let found = probe(source.clone()).unwrap();
        assert_eq!(found.video.len(), 1, "{name}");
        let keeper = Keeper::default();
        let (watched, growing) = (keeper.clone(), source.clone());
        // The rest arrives only once a segment of every rendition is out.
        let rest = std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(60);
            let out = |made: &Made| {
                made.segments.len() == 2 && made.segments.values().all(|segments| !segments.is_empty())
            };
            while !out(&watched.0.lock().unwrap()) {
                assert!(Instant::now() < deadline, "no segment before the end of the source");
                std::thread::yield_now();
            }
            growing.arrived.store(growing.whole, Ordering::SeqCst);
            growing.done.store(true, Ordering::SeqCst);
        });
        let end = transcode(spec(&found), source.clone(), keeper.clone());
        rest.join().unwrap();
        let outcome = Outcome { probe: found, made: keeper.0.lock().unwrap().clone(), end };
        assert!(!outcome.report().damaged, "{name}: {:?}", outcome.report());
        let frames = decoded_frames(&outcome.write("v240", &clips.path("whole.mp4")));
        assert!((349..=352).contains(&frames), "{name}: {frames}");
    }
}
