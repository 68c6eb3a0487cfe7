//! How a worker is started.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;

use super::process::{Nursery, WorkerProcess};

/// The program of this process, whatever lies under its name by now. A child that is about to become a nursery still is a
/// copy of this process when it looks.
const RUNNING: &str = "/proc/self/exe";

/// A nursery ends after as long without work: a node at rest has no more than itself.
const IDLE: Duration = Duration::from_secs(60);

/// That of the running program.
static NURSERY: LazyLock<Arc<Mutex<Option<Nursery>>>> = LazyLock::new(Arc::default);

/// The program that becomes a worker.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    path: PathBuf,
    idle: Duration,
    show_errors: bool,
    nursery: Arc<Mutex<Option<Nursery>>>,
}

impl WorkerProgram {
    /// This same program with the hidden `worker` subcommand. It is the program that runs, also when its file has been
    /// replaced by another version meanwhile: the two speak the same protocol.
    pub fn current() -> io::Result<Self> {
        std::fs::metadata(RUNNING)?;
        Ok(Self { nursery: Arc::clone(&NURSERY), ..Self::at(PathBuf::from(RUNNING)) })
    }

    /// Another `mediakeep` program, for tests.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, idle: IDLE, show_errors: false, nursery: Arc::default() }
    }

    /// With a nursery that ends after as long without work, for tests.
    #[must_use]
    pub fn with_idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// Lets the worker's standard error through. What C libraries print there may name the media, so nodes never do this.
    #[must_use]
    pub fn with_errors_shown(self) -> Self {
        Self { show_errors: true, ..self }
    }

    /// Starts a worker. It is killed when the first of what is returned is dropped.
    pub(crate) async fn start(&self) -> io::Result<(WorkerProcess, UnixStream)> {
        let program = self.clone();
        // It waits for another process.
        let born = tokio::task::spawn_blocking(move || program.have_one_born()).await;
        let (worker, socket) = born.map_err(io::Error::other)??;
        Ok((worker, UnixStream::from_std(socket)?))
    }

    fn have_one_born(&self) -> io::Result<(WorkerProcess, std::os::unix::net::UnixStream)> {
        let mut nursery = self.nursery.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was idle for long has ended meanwhile.
        let known = nursery.take().filter(|known| !known.is_distrusted());
        if let Some((known, born)) = known.and_then(|known| known.bear().ok().map(|born| (known, born))) {
            *nursery = Some(known);
            return Ok(born);
        }
        let errors = if self.show_errors { Stdio::inherit() } else { Stdio::null() };
        let new = Nursery::start(self.path.as_os_str(), self.idle, errors)?;
        let born = new.bear()?;
        *nursery = Some(new);
        Ok(born)
    }
}
