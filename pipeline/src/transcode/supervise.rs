//! Sees one transcode through: starts a worker, hands its results to the sink, starts another when it dies or hangs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Report, TranscodeSpec, Unpassable};
use crate::failure::{Failure, FailureCode};
use crate::protocol::{Frame, FromWorker, Job};
use crate::sink::{Sink, SinkError};
use crate::source::Source;
use crate::worker_process::{Conversation, WorkerEnd, WorkerProgram};

/// How a transcode ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscodeEnd {
    /// Everything that could be made is stored.
    Done(Report),
    /// Somebody asked to stop.
    Cancelled,
    /// It cannot be done; what was stored before stays stored.
    Failed(Failure),
    /// The source's own stream cannot be the top rung after all. The pictures stored so far are worth nothing: they are to be
    /// dropped, and all rungs made by a transcode without `pass_through`.
    Unpassable(Unpassable),
}

/// How one worker ended.
enum Round {
    Over(TranscodeEnd),
    Lost(WorkerEnd),
}

/// Runs workers until one ends with a last word, or patience ends.
pub(super) async fn supervise(
    program: &WorkerProgram,
    mut spec: TranscodeSpec,
    source: Arc<dyn Source>,
    sink: &mut dyn Sink,
    cancel: &CancellationToken,
) -> TranscodeEnd {
    let patience = spec.patience;
    let (mut restarts, mut in_vain) = (0, 0);
    loop {
        let stored_before = spec.resume.clone();
        let round = one_worker(program, &mut spec, source.clone(), sink, cancel).await;
        let lost = match round {
            Round::Over(TranscodeEnd::Done(mut report)) => {
                report.restarts = restarts;
                return TranscodeEnd::Done(report);
            }
            Round::Over(end) => return end,
            Round::Lost(lost) => lost,
        };
        // Only workers that got nowhere count: each loss after new segments is a new misfortune.
        in_vain = if spec.resume == stored_before { in_vain + 1 } else { 1 };
        restarts += 1;
        tracing::warn!(?lost, in_vain, restarts, "a worker was lost");
        if in_vain > patience.restarts {
            return TranscodeEnd::Failed(lost.into());
        }
        let pause = patience.back_off * 2_u32.saturating_pow(in_vain - 1);
        tokio::select! {
            () = cancel.cancelled() => return TranscodeEnd::Cancelled,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn one_worker(
    program: &WorkerProgram,
    spec: &mut TranscodeSpec,
    source: Arc<dyn Source>,
    sink: &mut dyn Sink,
    cancel: &CancellationToken,
) -> Round {
    let job = Job::Transcode(Box::new(spec.clone()));
    let mut worker = match Conversation::start(program, job, source, spec.patience).await {
        Ok(worker) => worker,
        Err(end) => return Round::Lost(end),
    };
    tracing::debug!(process = worker.process_id(), "a worker transcodes");
    loop {
        let next = tokio::select! {
            () = cancel.cancelled() => return Round::Over(TranscodeEnd::Cancelled),
            next = worker.next() => next,
        };
        let frame = match next {
            Ok(frame) => frame,
            Err(end) => return Round::Lost(end),
        };
        match take(frame, spec, sink).await {
            Ok(None) => {}
            Ok(Some(end)) => return Round::Over(end),
            Err(error) => {
                tracing::error!(%error, "the sink refused a result");
                return Round::Over(TranscodeEnd::Failed(Failure::new(FailureCode::StorageFailed)));
            }
        }
    }
}

/// Hands one message on; `Some` when it was the last word.
async fn take(
    frame: Frame<FromWorker>,
    spec: &mut TranscodeSpec,
    sink: &mut dyn Sink,
) -> Result<Option<TranscodeEnd>, SinkError> {
    match frame.head {
        FromWorker::Init(id) => sink.init(id, frame.body).await?,
        FromWorker::Segment(id, info) => {
            let sequence = info.sequence;
            // A worker that repeats or skips is as good as dead; the sink must never see it.
            if sequence != spec.next_sequence(id) {
                return Ok(Some(TranscodeEnd::Failed(Failure::internal("a segment out of order"))));
            }
            sink.segment(id, info, frame.body).await?;
            spec.note_stored(id, sequence);
        }
        FromWorker::Sidecar(kind) => sink.sidecar(kind, frame.body).await?,
        FromWorker::Progress(progress) => sink.progress(progress).await?,
        FromWorker::Finished(report) => return Ok(Some(TranscodeEnd::Done(report))),
        FromWorker::Failed(failure) => return Ok(Some(TranscodeEnd::Failed(failure))),
        FromWorker::Unpassable(reason) => return Ok(Some(TranscodeEnd::Unpassable(reason))),
        FromWorker::Read { .. } | FromWorker::Probed(_) | FromWorker::SandboxTried(_) => {}
    }
    Ok(None)
}
