//! Asks a worker to try what its cage must refuse.

use std::sync::Arc;

use bytes::Bytes;

use super::{Conversation, WorkerProgram};
use crate::failure::Failure;
use crate::protocol::{FromWorker, Job};
use crate::transcode::Patience;

/// Starts a worker that tries to escape; the names of what it managed to do, which must be none. For tests, and for an
/// operator who wants to see that this machine's kernel closes the cage.
pub async fn try_sandbox(program: &WorkerProgram) -> Result<Vec<String>, Failure> {
    let mut worker =
        Conversation::start(program, Job::TrySandbox, Arc::new(Bytes::new()), Patience::default()).await?;
    loop {
        if let FromWorker::SandboxTried(escaped) = worker.next().await?.head {
            return Ok(escaped);
        }
    }
}
