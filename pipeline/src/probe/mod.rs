//! Says what a source is, in a worker, without decoding it.

mod describe;
mod examine;
mod facts;

use std::sync::Arc;

pub(crate) use examine::examine;

use crate::failure::{Failure, ProbeFailure};
use crate::protocol::{FromWorker, Job};
use crate::source::Source;
use crate::tracks::Probe;
use crate::transcode::Patience;
use crate::worker_process::{Conversation, WorkerEnd, WorkerProgram};

/// Says what the source is, in a worker process of its own. A worker that dies is followed by another, a few times: it may
/// have been killed from outside. A file that kills every one of them is refused.
pub async fn probe(source: Arc<dyn Source>) -> Result<Probe, ProbeFailure> {
    let program = WorkerProgram::current().map_err(|_| Failure::internal("finding the worker program"))?;
    probe_with(&program, source, Patience::default()).await
}

/// As [`probe`], with another worker program and patience.
pub async fn probe_with(
    program: &WorkerProgram,
    source: Arc<dyn Source>,
    patience: Patience,
) -> Result<Probe, ProbeFailure> {
    let mut restarts = 0;
    loop {
        let lost = match probe_once(program, Arc::clone(&source), patience).await {
            Ok(said) => return said,
            Err(lost) => lost,
        };
        tracing::warn!(?lost, restarts, "a probing worker was lost");
        if restarts == patience.restarts || lost == WorkerEnd::Stalled {
            return Err(lost.into());
        }
        tokio::time::sleep(patience.back_off * 2_u32.saturating_pow(restarts)).await;
        restarts += 1;
    }
}

/// What a worker said, or how it was lost before it said anything.
async fn probe_once(
    program: &WorkerProgram,
    source: Arc<dyn Source>,
    patience: Patience,
) -> Result<Result<Probe, ProbeFailure>, WorkerEnd> {
    let mut conversation = Conversation::start(program, Job::Probe, source, patience).await?;
    loop {
        match conversation.next().await?.head {
            FromWorker::Probed(probe) => return Ok(Ok(*probe)),
            FromWorker::Failed(failure) => return Ok(Err(failure)),
            _ => {}
        }
    }
}
