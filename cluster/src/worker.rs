//! Workers look at State and make the world match it. Besides the actors of streams and transcodes nothing else runs
//! forever.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const FIRST_BACK_OFF: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// What one piece of work led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There is more to do at once.
    Busy,
    /// There is nothing to do: wait.
    Idle,
}

/// Why a piece of work failed. It is tried again later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WorkError(String);

impl WorkError {
    /// From whatever failed.
    pub fn new(error: &dyn fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Something that works on its own, in small pieces.
#[async_trait]
pub trait Worker: Send + 'static {
    /// What it is called, in status and logs.
    fn name(&self) -> &'static str;

    /// One sentence on how far it is.
    fn status(&self) -> String;

    /// Does one bounded piece of work. May be dropped at any await when the node stops.
    async fn work(&mut self) -> Result<Worked, WorkError>;

    /// Waits until there may be work again. May be dropped at any await.
    async fn wait(&mut self);
}

/// What a worker is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// A piece of work.
    Working,
    /// Waiting for work.
    Waiting,
    /// It failed and tries again.
    BackingOff {
        /// Why.
        error: String,
    },
    /// It has ended with the node.
    Ended,
}

/// One worker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerReport {
    /// Which.
    pub name: &'static str,
    /// What it is doing.
    pub activity: Activity,
    /// How far it is.
    pub status: String,
    /// Pieces of work done since start.
    pub pieces: u64,
    /// Pieces of work that failed since start.
    pub failures: u64,
}

/// Running workers.
#[derive(Debug)]
pub struct Workers {
    stop: CancellationToken,
    running: Mutex<Vec<JoinHandle<()>>>,
    reports: Vec<Arc<Mutex<WorkerReport>>>,
}

impl Workers {
    /// Starts `workers`. They end when `parent` is cancelled, or by [`Workers::stop`].
    #[must_use]
    pub fn start(workers: Vec<Box<dyn Worker>>, parent: &CancellationToken) -> Self {
        let stop = parent.child_token();
        let mut running = Vec::new();
        let mut reports = Vec::new();
        for worker in workers {
            let report = Arc::new(Mutex::new(WorkerReport {
                name: worker.name(),
                activity: Activity::Waiting,
                status: worker.status(),
                pieces: 0,
                failures: 0,
            }));
            reports.push(report.clone());
            running.push(tokio::spawn(Runner { worker, report, back_off: FIRST_BACK_OFF }.run(stop.clone())));
        }
        Self { stop, running: Mutex::new(running), reports }
    }

    /// How each worker does.
    #[must_use]
    pub fn reports(&self) -> Vec<WorkerReport> {
        self.reports.iter().map(|report| lock(report).clone()).collect()
    }

    /// Ends all workers, and gives the names of those that had not ended by `deadline`: they are dropped where they
    /// stand.
    pub async fn stop(&self, deadline: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        let running = std::mem::take(&mut *lock(&self.running));
        let until = tokio::time::Instant::now() + deadline;
        let mut late = Vec::new();
        for (mut handle, report) in running.into_iter().zip(&self.reports) {
            if tokio::time::timeout_at(until, &mut handle).await.is_err() {
                handle.abort();
                late.push(lock(report).name);
            }
        }
        late
    }
}

struct Runner {
    worker: Box<dyn Worker>,
    report: Arc<Mutex<WorkerReport>>,
    back_off: Duration,
}

impl Runner {
    async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.turn() => {}
            }
        }
        self.note(|report| report.activity = Activity::Ended);
    }

    /// One piece of work and what follows from it. A panic is a failure like any other.
    async fn turn(&mut self) {
        self.note(|report| report.activity = Activity::Working);
        let worked = AssertUnwindSafe(self.worker.work()).catch_unwind().await;
        let status = self.worker.status();
        self.note(|report| {
            report.pieces += 1;
            report.status = status;
        });
        match worked.unwrap_or_else(|_| Err(WorkError("it panicked".to_owned()))) {
            Ok(Worked::Busy) => {
                self.back_off = FIRST_BACK_OFF;
                tokio::task::yield_now().await;
            }
            Ok(Worked::Idle) => {
                self.back_off = FIRST_BACK_OFF;
                self.note(|report| report.activity = Activity::Waiting);
                self.worker.wait().await;
            }
            Err(error) => self.back_off(&error).await,
        }
    }

    async fn back_off(&mut self, error: &WorkError) {
        tracing::warn!(worker = self.worker.name(), %error, "work failed and will be tried again");
        self.note(|report| {
            report.failures += 1;
            report.activity = Activity::BackingOff { error: error.to_string() };
        });
        tokio::time::sleep(self.back_off).await;
        self.back_off = (self.back_off * 2).min(LONGEST_BACK_OFF);
    }

    fn note(&self, change: impl FnOnce(&mut WorkerReport)) {
        change(&mut lock(&self.report));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    struct Clumsy {
        turn: u32,
        heard: mpsc::UnboundedSender<u32>,
    }

    #[async_trait]
    impl Worker for Clumsy {
        fn name(&self) -> &'static str {
            "clumsy"
        }
        fn status(&self) -> String {
            format!("turn {}", self.turn)
        }
        async fn work(&mut self) -> Result<Worked, WorkError> {
            self.turn += 1;
            self.heard.send(self.turn).unwrap();
            match self.turn {
                1 => Ok(Worked::Busy),
                2 => Err(WorkError::new(&"no luck")),
                3 => panic!("stumbled"),
                _ => Ok(Worked::Idle),
            }
        }
        async fn wait(&mut self) {
            std::future::pending::<()>().await;
        }
    }

    #[tokio::test]
    async fn a_failure_or_a_panic_is_tried_again_and_the_end_is_prompt() {
        let (heard, mut turns) = mpsc::unbounded_channel();
        let parent = CancellationToken::new();
        let workers = Workers::start(vec![Box::new(Clumsy { turn: 0, heard })], &parent);
        for expected in 1..=4 {
            assert_eq!(turns.recv().await, Some(expected));
        }
        while workers.reports()[0].activity != Activity::Waiting {
            tokio::task::yield_now().await;
        }
        let report = workers.reports().remove(0);
        assert_eq!((report.pieces, report.failures, report.status.as_str()), (4, 2, "turn 4"));
        assert!(workers.stop(Duration::from_secs(5)).await.is_empty());
        assert_eq!(workers.reports()[0].activity, Activity::Ended);
    }

    struct Deaf;

    #[async_trait]
    impl Worker for Deaf {
        fn name(&self) -> &'static str {
            "deaf"
        }
        fn status(&self) -> String {
            String::new()
        }
        async fn work(&mut self) -> Result<Worked, WorkError> {
            Ok(Worked::Idle)
        }
        async fn wait(&mut self) {
            std::future::pending::<()>().await;
        }
    }

    #[tokio::test]
    async fn the_end_of_the_parent_is_the_end_of_the_workers() {
        let parent = CancellationToken::new();
        let workers = Workers::start(vec![Box::new(Deaf)], &parent);
        parent.cancel();
        assert!(workers.stop(Duration::from_secs(30)).await.is_empty());
    }
}
