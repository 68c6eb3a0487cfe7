//! How a worker is started.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, LazyLock, OnceLock};

use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::graph::Decodable;

/// The program of this process, whatever lies under its name by now. A child that is about to become a worker still is a
/// copy of this process when it looks.
const RUNNING: &str = "/proc/self/exe";

/// What workers of the running program have told: every one of them would say the same.
static DECODABLE: LazyLock<Arc<OnceLock<Decodable>>> = LazyLock::new(Arc::default);

/// The program that becomes a worker.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    path: PathBuf,
    arguments: Vec<OsString>,
    show_errors: bool,
    decodable: Arc<OnceLock<Decodable>>,
}

impl WorkerProgram {
    /// This same program with the hidden `worker` subcommand. It is the program that runs, also when its file has been
    /// replaced by another version meanwhile: the two speak the same protocol.
    pub fn current() -> io::Result<Self> {
        std::fs::metadata(RUNNING)?;
        Ok(Self { decodable: Arc::clone(&DECODABLE), ..Self::at(PathBuf::from(RUNNING)) })
    }

    /// Another `mediakeep` program, for tests.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, arguments: vec!["worker".into()], show_errors: false, decodable: Arc::default() }
    }

    /// As if a worker had told that it can decode nothing, for tests: one that could load no decoder.
    #[must_use]
    pub fn told_that_nothing_decodes(self) -> Self {
        let decodable = Arc::new(OnceLock::from(Decodable::nothing()));
        Self { decodable, ..self }
    }

    /// What can be decoded on this machine, once a worker of this program has told it: for as long as this process runs.
    pub(crate) fn decodable(&self) -> &OnceLock<Decodable> {
        &self.decodable
    }

    /// Lets the worker's standard error through. What C libraries print there may name the media, so nodes never do this.
    #[must_use]
    pub fn with_errors_shown(mut self) -> Self {
        self.show_errors = true;
        self
    }

    /// Starts a worker. It is killed when the returned child is dropped.
    pub(crate) fn start(&self) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let errors = if self.show_errors { Stdio::inherit() } else { Stdio::null() };
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .env_clear()
            .envs(WORKER_ENVIRONMENT)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()?;
        Ok((child, UnixStream::from_std(ours)?))
    }
}

/// No plugin registry is read, written or scanned: the worker loads the plugins it wants by name. Few malloc arenas, since
/// each thread of a pipeline would otherwise keep its own.
const WORKER_ENVIRONMENT: [(&str, &str); 6] = [
    ("GST_REGISTRY_DISABLE", "yes"),
    ("GST_REGISTRY_1_0", "/dev/null"),
    ("GST_PLUGIN_SYSTEM_PATH_1_0", ""),
    ("GST_PLUGIN_PATH_1_0", ""),
    ("LC_ALL", "C.UTF-8"),
    ("MALLOC_ARENA_MAX", "2"),
];
