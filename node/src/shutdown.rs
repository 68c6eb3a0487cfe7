//! Stopping in order: no new work, running requests drained, then the cluster closed, all within a deadline.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Shared by everything that runs for long.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    requests: TaskTracker,
}

impl Shutdown {
    /// True once stopping has begun.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Completes when stopping begins.
    pub async fn wait(&self) {
        self.token.cancelled().await;
    }

    /// Begins to stop.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Runs `task` in the background; [`Shutdown::drained`] waits for it.
    pub fn track<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// Counts a request as running for as long as what is given lives.
    pub fn request(&self) -> TaskTrackerToken {
        self.requests.token()
    }

    /// Completes when no request is running. Call [`Shutdown::begin`] first.
    pub async fn answered(&self) {
        self.requests.close();
        self.requests.wait().await;
    }

    /// Completes when every tracked task has ended. Call [`Shutdown::begin`] first.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Completes when the process is asked to stop: SIGTERM, SIGINT, or the end of standard input when `watch_input`.
///
/// The last lets a parent that dies, however it dies, take its nodes with it.
pub async fn asked(watch_input: bool) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (ended, input_ended) = tokio::sync::oneshot::channel();
    if watch_input {
        std::thread::Builder::new().name("input-watch".to_owned()).spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = ended.send(());
        })?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = input_ended => {}
        }
    } else {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    Ok(())
}
