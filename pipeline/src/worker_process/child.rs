//! What runs inside a worker.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use super::Connection;
use crate::failure::{Failure, FailureCode};
use crate::graph::{Decodable, Decoders};
use crate::protocol::{FromWorker, Job, ToWorker, read_frame};
use crate::source_element::SourceReader;
use crate::{graph, probe, sandbox};

/// Behind agreement, and behind what serves viewers.
const NICENESS: i32 = 10;

/// The whole life of a worker: called by `main` for the hidden `worker` subcommand, before anything else is set up. It
/// expects the node's socket as standard input.
#[must_use]
pub fn worker_main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads more than this: the node treats every worker that ends without a last word alike.
        Err(_) => ExitCode::FAILURE,
    }
}

fn work() -> Result<(), WorkerError> {
    // What is being made waits for whoever watches or uploads, never the other way round.
    if rustix::process::getpriority_process(None)? < NICENESS {
        rustix::process::setpriority_process(None, NICENESS)?;
    }
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // The node's own words; nothing of the media comes before it is asked for.
    let start = read_frame::<ToWorker>(&socket)?;
    let ToWorker::Start { job, length } = start.head else {
        return Err(WorkerError::Protocol);
    };
    let only_looks = matches!(*job, Job::Probe(Some(_)));
    graph::load_plugins(if only_looks { graph::Plugins::ThatRead } else { graph::Plugins::All })?;
    sandbox::enter()?;
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
        Job::Probe(known) => {
            let decoders = decoders(known, connection)?;
            probe::examine(&reader, &decoders).map(|probe| FromWorker::Probed(Box::new(probe)))
        }
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

/// As the node has them told, or those loaded here, which it is told then.
fn decoders(known: Option<Decodable>, connection: &Connection) -> Result<Decoders, Failure> {
    if let Some(known) = known {
        return Decoders::told(&known).ok_or_else(|| Failure::internal("reading what can be decoded"));
    }
    let decoders = Decoders::loaded();
    let told = connection.send(&FromWorker::Decodable(decoders.words()), &[]);
    told.map_err(|_| Failure::internal("telling what can be decoded"))?;
    Ok(decoders)
}

#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("the node spoke out of turn")]
    Protocol,
    #[error("the worker cannot stand back: {0}")]
    Priority(#[from] rustix::io::Errno),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Plugins(#[from] graph::PluginError),
    #[error(transparent)]
    Sandbox(#[from] sandbox::SandboxError),
}
