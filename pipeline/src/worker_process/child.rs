//! What runs inside a worker, and how it comes to be one.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::{Connection, nursery};
use crate::failure::{Failure, FailureCode};
use crate::protocol::{FromWorker, Job, ToWorker, read_frame};
use crate::source_element::SourceReader;
use crate::{graph, probe, sandbox};

/// Behind agreement, and behind what serves viewers.
const NICENESS: i32 = 10;

/// The whole life of a nursery and of each worker it bears: called by `main` for the hidden `worker` subcommand, before
/// anything else is set up. It expects the node's socket as standard input, and after how many milliseconds without work it
/// ends as `idle_ms`.
#[must_use]
pub fn worker_main(idle_ms: u64) -> ExitCode {
    match live(Duration::from_millis(idle_ms)) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads more than this: the node treats every worker that ends without a last word alike.
        Err(_) => ExitCode::FAILURE,
    }
}

fn live(idle: Duration) -> Result<(), WorkerError> {
    rustix::thread::set_name(c"nursery")?;
    graph::load_plugins()?;
    sandbox::enter()?;
    let control = std::io::stdin();
    let Some(socket) = nursery::keep(control.as_fd(), idle)? else { return Ok(()) };
    // From here on this is a worker. What leads to the nursery's node is closed with this.
    rustix::stdio::dup2_stdin(&socket)?;
    rustix::thread::set_name(c"worker")?;
    work(socket)
}

fn work(socket: UnixStream) -> Result<(), WorkerError> {
    // What is being made waits for whoever watches or uploads, never the other way round.
    if rustix::process::getpriority_process(None)? < NICENESS {
        rustix::process::setpriority_process(None, NICENESS)?;
    }
    sandbox::enter_as_worker()?;
    let start = read_frame::<ToWorker>(&socket)?;
    let ToWorker::Start { job, length } = start.head else {
        return Err(WorkerError::Protocol);
    };
    let connection = Connection::new(socket.try_clone()?);
    let listener = connection.clone();
    std::thread::Builder::new().name("answers".into()).spawn(move || listener.listen(socket))?;
    let last_word = perform(*job, length, &connection).unwrap_or_else(FromWorker::Failed);
    Ok(connection.send(&last_word, &[])?)
}

fn perform(job: Job, length: Option<u64>, connection: &Arc<Connection>) -> Result<FromWorker, Failure> {
    if matches!(job, Job::TrySandbox) {
        return Ok(FromWorker::SandboxTried(sandbox::attempts()));
    }
    if length == Some(0) {
        return Err(Failure::new(FailureCode::Empty));
    }
    let reader = SourceReader::new(connection.clone(), length);
    let done = match job {
        Job::Probe => probe::examine(&reader).map(|probe| FromWorker::Probed(Box::new(probe))),
        Job::Transcode(spec) => graph::transcode(&spec, &reader, connection).map(|verdict| match verdict {
            graph::Verdict::Done(report) => FromWorker::Finished(report),
            graph::Verdict::Unpassable(reason) => FromWorker::Unpassable(reason),
        }),
        Job::TrySandbox => return Err(Failure::internal("unreachable job")),
    };
    match done {
        // Whatever the elements made of it, an end included, the cause is that bytes could not be read.
        _ if reader.has_failed() => Err(Failure::new(FailureCode::SourceUnreadable)),
        other => other,
    }
}

#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("the node spoke out of turn")]
    Protocol,
    #[error("a word with the kernel: {0}")]
    Kernel(#[from] rustix::io::Errno),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Plugins(#[from] graph::PluginError),
    #[error(transparent)]
    Sandbox(#[from] sandbox::SandboxError),
}
