//! Says what a source is, in a worker, without decoding it.

mod describe;
mod examine;
mod facts;

use std::sync::Arc;

pub(crate) use examine::examine;

use crate::failure::{Failure, FailureCode, ProbeFailure};
use crate::graph::Decodable;
use crate::protocol::{FromWorker, Job};
use crate::source::Source;
use crate::tracks::{LeftOutReason, Probe};
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
    for restarts in 0..patience.restarts {
        match probe_once(program, Arc::clone(&source), patience).await {
            Err(failure) if failure.code == FailureCode::DecoderCrashed => {
                tracing::warn!(restarts, "a probing worker was lost");
            }
            outcome => return outcome,
        }
        tokio::time::sleep(patience.back_off * 2_u32.saturating_pow(restarts)).await;
    }
    probe_once(program, source, patience).await
}

async fn probe_once(
    program: &WorkerProgram,
    source: Arc<dyn Source>,
    patience: Patience,
) -> Result<Probe, ProbeFailure> {
    let told = program.decodable().get().cloned();
    let was_told = told.is_some();
    let found = look(program, told, Arc::clone(&source), patience).await;
    // That nothing decodes a track is only said by a worker that has tried to load what would: it may be installed by now, or
    // could not be loaded when the first worker told.
    if was_told && lacks_a_decoder(&found) { look(program, None, source, patience).await } else { found }
}

fn lacks_a_decoder(found: &Result<Probe, ProbeFailure>) -> bool {
    match found {
        Ok(probe) => probe.left_out.iter().any(|track| track.reason == LeftOutReason::NoDecoder),
        Err(failure) => failure.code == FailureCode::NoPlayableTracks,
    }
}

async fn look(
    program: &WorkerProgram,
    told: Option<Decodable>,
    source: Arc<dyn Source>,
    patience: Patience,
) -> Result<Probe, ProbeFailure> {
    let started = Conversation::start(program, Job::Probe(told), source, patience).await;
    let mut conversation = started.map_err(|_| Failure::internal("starting a worker"))?;
    loop {
        match conversation.next().await {
            Ok(frame) => match frame.head {
                // Another probe may have told it first.
                FromWorker::Decodable(words) => _ = program.decodable().set(words),
                FromWorker::Probed(probe) => return Ok(*probe),
                FromWorker::Failed(failure) => return Err(failure),
                _ => {}
            },
            Err(WorkerEnd::Died) => return Err(Failure::new(FailureCode::DecoderCrashed)),
            Err(WorkerEnd::Stalled) => return Err(Failure::new(FailureCode::Stalled)),
        }
    }
}
