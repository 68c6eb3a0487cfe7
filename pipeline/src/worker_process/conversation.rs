//! The node's end of the conversation: serves the worker's reads, hands on its results, notices when it hangs or dies.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::WorkerProgram;
use super::process::WorkerProcess;
use crate::failure::{Failure, FailureCode};
use crate::protocol::{
    Frame, FromWorker, Job, MAX_READ, MAX_READS_UNDER_WAY, ToWorker, receive_frame, send_frame,
};
use crate::source::Source;
use crate::transcode::Patience;

/// Why a conversation ended before the worker said its last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerEnd {
    /// The process is gone, or spoke out of turn.
    Died,
    /// It was alive but did nothing.
    Stalled,
    /// There was none: this machine could not start it.
    Unborn,
}

/// What is said when no other worker is to try.
impl From<WorkerEnd> for Failure {
    fn from(end: WorkerEnd) -> Self {
        match end {
            WorkerEnd::Died => Self::new(FailureCode::DecoderCrashed),
            WorkerEnd::Stalled => Self::new(FailureCode::Stalled),
            WorkerEnd::Unborn => Self::internal("starting a worker"),
        }
    }
}

/// One worker process and the source it reads.
pub(crate) struct Conversation {
    // Killed when dropped.
    process: WorkerProcess,
    frames: mpsc::Receiver<io::Result<Frame<FromWorker>>>,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    reader_task: JoinHandle<()>,
    source: Arc<dyn Source>,
    /// One permit for each read that the worker may have under way, until it has taken the answer.
    reads: Arc<Semaphore>,
    /// Held by each read that the source has yet to answer.
    waiting_for_source: Arc<()>,
    patience: Patience,
    highest_read: u64,
    last_fruit: Instant,
}

impl Conversation {
    /// Starts a worker and tells it its job.
    pub(crate) async fn start(
        program: &WorkerProgram,
        job: Job,
        source: Arc<dyn Source>,
        patience: Patience,
    ) -> Result<Self, WorkerEnd> {
        let (process, socket) = program.start().await.map_err(|error| {
            tracing::error!(%error, "no worker can be started");
            WorkerEnd::Unborn
        })?;
        let (read_half, mut write_half) = socket.into_split();
        let length = source.length().await;
        // A worker that died at once is noticed by the first wait for a frame.
        let _ = send_frame(&mut write_half, &ToWorker::Start { job: Box::new(job), length }, &[]).await;
        let (sender, frames) = mpsc::channel(1);
        let reader_task = tokio::spawn(receive_frames(read_half, sender));
        Ok(Self {
            process,
            frames,
            writer: Arc::new(Mutex::new(write_half)),
            reader_task,
            source,
            reads: Arc::new(Semaphore::new(MAX_READS_UNDER_WAY)),
            waiting_for_source: Arc::default(),
            patience,
            highest_read: 0,
            last_fruit: Instant::now(),
        })
    }

    /// The process, for tests that kill it.
    pub(crate) fn process_id(&self) -> i32 {
        self.process.id()
    }

    /// The worker's next message; its reads are answered meanwhile.
    pub(crate) async fn next(&mut self) -> Result<Frame<FromWorker>, WorkerEnd> {
        let next = self.next_result().await;
        if next.as_ref().is_err_and(|end| *end == WorkerEnd::Died) {
            self.process.distrust_its_nursery();
        }
        next
    }

    async fn next_result(&mut self) -> Result<Frame<FromWorker>, WorkerEnd> {
        loop {
            let Ok(received) = tokio::time::timeout(self.patience.silence, self.frames.recv()).await else {
                if self.is_reading() {
                    self.last_fruit = Instant::now();
                    continue;
                }
                return Err(WorkerEnd::Stalled);
            };
            let frame = received.ok_or(WorkerEnd::Died)?.map_err(|_| WorkerEnd::Died)?;
            match frame.head {
                FromWorker::Read { request, offset, length } => self.answer(request, offset, length)?,
                _ => {
                    self.last_fruit = Instant::now();
                    return Ok(frame);
                }
            }
        }
    }

    /// Whether the worker may be silent because the source is. One that does not take an answer has no such reason.
    fn is_reading(&self) -> bool {
        Arc::strong_count(&self.waiting_for_source) > 1
    }

    /// Serves one read in the background, so that results are taken while a read waits for an upload to go on.
    fn answer(&mut self, request: u64, offset: u64, length: u32) -> Result<(), WorkerEnd> {
        if length > MAX_READ {
            return Err(WorkerEnd::Died);
        }
        let end = offset.saturating_add(u64::from(length));
        if end > self.highest_read {
            self.highest_read = end;
            self.last_fruit = Instant::now();
        } else if self.last_fruit.elapsed() > self.patience.fruitless {
            return Err(WorkerEnd::Stalled);
        }
        let permit = self.reads.clone().try_acquire_owned().map_err(|_| WorkerEnd::Died)?;
        let (source, writer) = (self.source.clone(), self.writer.clone());
        let waiting = self.waiting_for_source.clone();
        tokio::spawn(async move {
            let answer = source.read(offset, length).await;
            drop(waiting);
            let mut writer = writer.lock().await;
            // Whoever waits for an answer that cannot be sent is gone, and that is noticed elsewhere.
            let _ = match answer {
                Ok(bytes) => send_frame(&mut *writer, &ToWorker::Bytes { request }, &bytes).await,
                Err(_) => send_frame(&mut *writer, &ToWorker::ReadFailed { request }, &[]).await,
            };
            drop(permit);
        });
        Ok(())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.reader_task.abort();
    }
}

async fn receive_frames(read_half: OwnedReadHalf, frames: mpsc::Sender<io::Result<Frame<FromWorker>>>) {
    let mut reader = BufReader::new(read_half);
    loop {
        let frame = receive_frame(&mut reader).await;
        let over = frame.is_err();
        if frames.send(frame).await.is_err() || over {
            return;
        }
    }
}
