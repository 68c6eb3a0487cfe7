//! The actor of one running transcode.

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::TranscodeSpec;
use super::supervise::{TranscodeEnd, supervise};
use crate::failure::Failure;
use crate::sink::Sink;
use crate::source::Source;
use crate::worker_process::WorkerProgram;

/// One transcode under way: owns the worker process and stops with it.
pub struct Transcode {
    order: Option<Order>,
    cancel: CancellationToken,
}

struct Order {
    program: WorkerProgram,
    spec: TranscodeSpec,
    source: Arc<dyn Source>,
    sink: Box<dyn Sink>,
    end: oneshot::Sender<TranscodeEnd>,
}

impl std::fmt::Debug for Transcode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Transcode").finish_non_exhaustive()
    }
}

/// Whoever started a transcode: may stop it, and learns how it ended. Dropping it stops the transcode too.
#[derive(Debug)]
pub struct TranscodeHandle {
    address: actix::Addr<Transcode>,
    cancel: CancellationToken,
    end: oneshot::Receiver<TranscodeEnd>,
}

impl Transcode {
    /// Starts a transcode on the current arbiter, with this same program as the worker.
    pub fn begin(
        spec: TranscodeSpec,
        source: Arc<dyn Source>,
        sink: Box<dyn Sink>,
    ) -> std::io::Result<TranscodeHandle> {
        Ok(Self::begin_with(WorkerProgram::current()?, spec, source, sink))
    }

    /// As [`Transcode::begin`], with another worker program.
    #[must_use]
    pub fn begin_with(
        program: WorkerProgram,
        spec: TranscodeSpec,
        source: Arc<dyn Source>,
        sink: Box<dyn Sink>,
    ) -> TranscodeHandle {
        let (sender, end) = oneshot::channel();
        let cancel = CancellationToken::new();
        let order = Order { program, spec, source, sink, end: sender };
        let address = Self { order: Some(order), cancel: cancel.clone() }.start();
        TranscodeHandle { address, cancel, end }
    }
}

impl TranscodeHandle {
    /// Asks to stop. The worker is killed at once; a result being stored is stored whole.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// The actor, to be told [`Cancel`] from elsewhere.
    #[must_use]
    pub fn address(&self) -> actix::Addr<Transcode> {
        self.address.clone()
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> TranscodeEnd {
        let gone = |_| TranscodeEnd::Failed(Failure::internal("the transcode's actor is gone"));
        (&mut self.end).await.unwrap_or_else(gone)
    }
}

impl Drop for TranscodeHandle {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Asks a [`Transcode`] to stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Cancel;

impl Handler<Cancel> for Transcode {
    type Result = ();

    fn handle(&mut self, _: Cancel, _: &mut Context<Self>) {
        self.cancel.cancel();
    }
}

impl Actor for Transcode {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let Some(mut order) = self.order.take() else {
            return;
        };
        let cancel = self.cancel.clone();
        let work = async move {
            let end = supervise(&order.program, order.spec, order.source, order.sink.as_mut(), &cancel).await;
            // Nobody may be waiting for it any more.
            let _ = order.end.send(end);
        };
        context.spawn(work.into_actor(self).map(|(), _, context| context.stop()));
    }
}
