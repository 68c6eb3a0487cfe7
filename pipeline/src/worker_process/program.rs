//! How a worker is started.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// The program of this process, whatever lies under its name by now. A child that is about to become a worker still is a
/// copy of this process when it looks.
const RUNNING: &str = "/proc/self/exe";

/// The program that becomes a worker.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    path: PathBuf,
    arguments: Vec<OsString>,
    show_errors: bool,
}

impl WorkerProgram {
    /// This same program with the hidden `worker` subcommand. It is the program that runs, also when its file has been
    /// replaced by another version meanwhile: the two speak the same protocol.
    pub fn current() -> io::Result<Self> {
        std::fs::metadata(RUNNING)?;
        Ok(Self::at(PathBuf::from(RUNNING)))
    }

    /// Another `mediakeep` program, for tests.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, arguments: vec!["worker".into()], show_errors: false }
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
