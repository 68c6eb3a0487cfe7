//! Asks a worker to try what its cage must refuse.

use std::sync::Arc;

use bytes::Bytes;

use super::{Conversation, WorkerProgram};
use crate::failure::{Failure, FailureCode};
use crate::protocol::{FromWorker, Job};
use crate::transcode::Patience;

/// Starts a worker that tries to escape; the names of what it managed to do, which must be none. For tests, and for an
/// operator who wants to see that this machine's kernel closes the cage.
pub async fn try_sandbox(program: &WorkerProgram) -> Result<Vec<String>, Failure> {
    let started =
        Conversation::start(program, Job::TrySandbox, Arc::new(Bytes::new()), Patience::default()).await;
    let mut worker = started.map_err(|_| Failure::internal("starting a worker"))?;
    loop {
        match worker.next().await.map(|frame| frame.head) {
            Ok(FromWorker::SandboxTried(escaped)) => return Ok(escaped),
            Ok(_) => {}
            Err(_) => return Err(Failure::new(FailureCode::DecoderCrashed)),
        }
    }
}
