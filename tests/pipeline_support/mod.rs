//! What the pipeline tests share: clips made by ffmpeg, a sink that keeps everything, and ffprobe as the judge.
#![allow(dead_code, reason = "each test program uses its own part of this")]

#[path = "../support/processes.rs"]
pub mod processes;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::tracks::{Probe, RenditionId, SegmentInfo};
use pipeline::transcode::{Patience, Preset, Report, Transcode, TranscodeEnd, TranscodeSpec};
use pipeline::{Failure, Progress, Sidecar, Sink, SinkError, Source, WorkerProgram, ladder};
use tempfile::TempDir;

/// The real program, as the worker.
pub fn worker() -> WorkerProgram {
    static PROGRAM: LazyLock<WorkerProgram> = LazyLock::new(|| {
        let program = WorkerProgram::at(env!("CARGO_BIN_EXE_mediakeep").into());
        if std::env::var_os("MEDIAKEEP_WORKER_STDERR").is_some() {
            program.with_errors_shown()
        } else {
            program
        }
    });
    PROGRAM.clone()
}

/// A source that says nothing for long: its reader is there until somebody ends it.
pub struct Silent;

#[async_trait]
impl Source for Silent {
    async fn length(&self) -> Option<u64> {
        Some(1 << 20)
    }

    async fn read(&self, _: u64, _: u32) -> io::Result<Bytes> {
        std::future::pending().await
    }
}

/// Runs a command to its end; its standard output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder for one test's clips.
pub struct Clips(TempDir);

impl Clips {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A clip made by ffmpeg with these arguments before the output's name.
    pub fn make(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.path(name);
        let path_text = path.to_str().unwrap().to_owned();
        let mut all = vec!["-nostdin", "-v", "error", "-y"];
        all.extend(arguments.split_whitespace());
        all.push(&path_text);
        run("ffmpeg", &all);
        path
    }
}

/// Pictures that move, and a tone.
pub fn test_inputs(size: &str, rate: &str, seconds: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds} -f lavfi -i sine=frequency=440:sample_rate=48000:duration={seconds}"
    )
}

/// A file as a source; blocking reads are fine in tests.
pub struct FileSource {
    file: File,
    length: u64,
    pub most: Mutex<u64>,
}

impl FileSource {
    pub fn open(path: &Path) -> Arc<Self> {
        let file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        Arc::new(Self { file, length, most: Mutex::new(0) })
    }
}

#[async_trait]
impl Source for FileSource {
    async fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    async fn read(&self, offset: u64, length: u32) -> io::Result<Bytes> {
        let count = self.length.saturating_sub(offset).min(u64::from(length));
        let mut bytes = vec![0; usize::try_from(count).unwrap()];
        self.file.read_exact_at(&mut bytes, offset)?;
        *self.most.lock().unwrap() += count;
        Ok(bytes.into())
    }
}

/// Everything a transcode made.
#[derive(Debug, Default, Clone)]
pub struct Made {
    pub headers: BTreeMap<RenditionId, Bytes>,
    pub segments: BTreeMap<RenditionId, Vec<(SegmentInfo, Bytes)>>,
    pub sidecars: Vec<(Sidecar, Bytes)>,
    pub progress: Vec<Progress>,
}

/// A sink that keeps everything, and shows it to the test while it grows.
#[derive(Debug, Default, Clone)]
pub struct Keeper(pub Arc<Mutex<Made>>);

#[async_trait]
impl Sink for Keeper {
    async fn init(&mut self, rendition: RenditionId, bytes: Bytes) -> Result<(), SinkError> {
        let mut made = self.0.lock().unwrap();
        let first = made.headers.entry(rendition).or_insert_with(|| bytes.clone()).clone();
        if first == bytes {
            Ok(())
        } else {
            Err(SinkError(format!("{rendition}: another header than before")))
        }
    }

    async fn segment(
        &mut self,
        rendition: RenditionId,
        info: SegmentInfo,
        bytes: Bytes,
    ) -> Result<(), SinkError> {
        self.0.lock().unwrap().segments.entry(rendition).or_default().push((info, bytes));
        Ok(())
    }

    async fn sidecar(&mut self, kind: Sidecar, bytes: Bytes) -> Result<(), SinkError> {
        self.0.lock().unwrap().sidecars.push((kind, bytes));
        Ok(())
    }

    async fn progress(&mut self, progress: Progress) -> Result<(), SinkError> {
        self.0.lock().unwrap().progress.push(progress);
        Ok(())
    }
}

/// What a whole run came to.
pub struct Outcome {
    pub probe: Probe,
    pub made: Made,
    pub end: TranscodeEnd,
}

impl Outcome {
    pub fn report(&self) -> &Report {
        match &self.end {
            TranscodeEnd::Done(report) => report,
            other => panic!("expected an end, got {other:?}"),
        }
    }

    /// Writes one rendition as a playable file.
    pub fn write(&self, id: &str, path: &Path) -> String {
        let id: RenditionId = id.parse().unwrap();
        let mut bytes = self.made.headers[&id].to_vec();
        for (_, segment) in &self.made.segments[&id] {
            bytes.extend_from_slice(segment);
        }
        std::fs::write(path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn durations_us(&self, id: &str) -> Vec<u64> {
        let id: RenditionId = id.parse().unwrap();
        self.made.segments[&id].iter().map(|(info, _)| info.duration_us).collect()
    }
}

pub fn patience() -> Patience {
    Patience { silence: Duration::from_secs(60), back_off: Duration::from_millis(10), ..Patience::default() }
}

/// The transcode of a probed source as tests want it: the whole ladder, quickly.
pub fn spec(probe: &Probe) -> TranscodeSpec {
    let rungs = probe.video.first().map(ladder::choose).unwrap_or_default();
    let mut spec = TranscodeSpec::new(probe.clone(), rungs);
    spec.preset = Preset::Ultrafast;
    spec.pass_through = false;
    spec.patience = patience();
    spec
}

/// Probes a source.
pub fn probe(source: Arc<dyn Source>) -> Result<Probe, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(pipeline::probe::probe_with(&worker(), source, patience()))
}

pub fn probe_file(path: &Path) -> Result<Probe, Failure> {
    probe(FileSource::open(path))
}

/// Runs one transcode on an actix system of its own.
pub fn transcode(spec: TranscodeSpec, source: Arc<dyn Source>, keeper: Keeper) -> TranscodeEnd {
    actix::System::new().block_on(async move {
        let mut handle = Transcode::begin_with(worker(), spec, source, Box::new(keeper));
        tokio::time::timeout(Duration::from_secs(120), handle.ended())
            .await
            .expect("a transcode of seconds takes minutes")
    })
}

/// Probes and transcodes a file.
pub fn process(path: &Path, change: impl FnOnce(&mut TranscodeSpec)) -> Outcome {
    let source = FileSource::open(path);
    let probe = probe(source.clone()).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()));
    let mut spec = spec(&probe);
    change(&mut spec);
    let keeper = Keeper::default();
    let end = transcode(spec, source, keeper.clone());
    let made = keeper.0.lock().unwrap().clone();
    Outcome { probe, made, end }
}

/// Times of the keyframes of a file's pictures, in milliseconds.
pub fn keyframe_times(path: &str) -> Vec<i64> {
    let packets = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            "v",
            "-show_entries",
            "packet=pts_time,flags",
            "-of",
            "csv=p=0",
            path,
        ],
    );
    let keyframes = packets.lines().filter(|line| line.contains(",K"));
    let milliseconds =
        |line: &str| (line.split(',').next().unwrap().parse::<f64>().unwrap() * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
    keyframes.map(|line| milliseconds(line) as i64).collect()
}

/// Decodes all of a file's pictures and returns how many there are; an error of the decoder fails the test.
pub fn decoded_frames(path: &str) -> usize {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i", path, "-map", "0:v", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{path}: {errors}");
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

/// Seconds of sound in a file, by decoding it.
pub fn decoded_audio_seconds(path: &str) -> f64 {
    let output = Command::new("ffmpeg")
        .args([
            "-v", "error", "-xerror", "-i", path, "-map", "0:a", "-ar", "48000", "-ac", "1", "-f", "s16le",
            "-",
        ])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{path}: {errors}");
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let samples = (output.stdout.len() / 2) as f64;
    samples / 48_000.0
}

/// One field of a file's first stream of a kind.
pub fn stream_field(path: &str, kind: &str, field: &str) -> String {
    let entry = format!("stream={field}");
    run("ffprobe", &["-v", "error", "-select_streams", kind, "-show_entries", &entry, "-of", "csv=p=0", path])
        .trim()
        .trim_end_matches(',')
        .to_owned()
}

/// One sample of 8 bits: the luma and chroma of a point of a file's picture at a time.
pub fn rgb_at(path: &str, seconds: &str, x: u32, y: u32) -> [u8; 3] {
    let crop = format!("crop=2:2:{x}:{y},format=rgb24");
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-ss",
            seconds,
            "-i",
            path,
            "-frames:v",
            "1",
            "-vf",
            &crop,
            "-f",
            "rawvideo",
            "-",
        ])
        .output()
        .unwrap();
    [output.stdout[0], output.stdout[1], output.stdout[2]]
}
