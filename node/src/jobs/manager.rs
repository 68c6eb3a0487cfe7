//! The worker that makes the world match State's jobs: leases what waits, as far as there are places, runs it, and stops
//! what is not wanted any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cluster::command::{JobCommand, JobFence};
use cluster::event::Event;
use cluster::id::{AssetId, JobId, NodeId};
use cluster::outcome::Outcome;
use cluster::state::{Asset, AssetState, Job, JobState, State};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::work::{TryEnd, Work};
use crate::asset_store::AssetStore;
use crate::ingest::queue;
use crate::live::Live;
use crate::media::AssetLocks;

/// Looks at least so often, should an event be missed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pause before a try that failed for want of an answer is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Jobs on uploads that still run, beside the others: they wait for bytes more than they work.
const EARLY_PLACES: usize = 2;

/// The jobs of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: AssetStore,
    live: Arc<Live>,
    locks: AssetLocks,
    wake: Notify,
    running: Mutex<HashMap<JobId, Running>>,
    resting: Mutex<HashMap<JobId, Instant>>,
    places: usize,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Running {
    epoch: u64,
    early: bool,
    cancel: CancellationToken,
}

impl Jobs {
    /// Nothing runs yet; [`Jobs::run`] is the worker.
    pub fn new(store: AssetStore, locks: AssetLocks, live: Arc<Live>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let inner = Inner {
            store,
            live,
            locks,
            wake: Notify::new(),
            running: Mutex::default(),
            resting: Mutex::default(),
            places: (cores / 2).clamp(1, 4),
            stop: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Looks for work now rather than soon.
    pub fn look(&self) {
        self.inner.wake.notify_one();
    }

    /// Stops all workers; the jobs stay leased and go on when the node starts again.
    pub fn stop(&self) {
        self.inner.stop.cancel();
        for running in self.running().values() {
            running.cancel.cancel();
        }
        self.look();
    }

    /// Works until [`Jobs::stop`]. Must run on an actix arbiter.
    pub async fn run(self) {
        let mut events = self.inner.store.cluster().events();
        self.queue_forgotten().await;
        while !self.inner.stop.is_cancelled() {
            self.reconcile().await;
            tokio::select! {
                () = self.inner.wake.notified() => {}
                () = next_job_event(&mut events) => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Uploads that were finished by a node that was killed before it queued the work on them.
    async fn queue_forgotten(&self) {
        let state = self.inner.store.cluster().state();
        let forgotten = state.assets_by_id(None).filter(|asset| {
            asset.state == AssetState::Processing
                && asset.is_live()
                && state.active_job_of(asset.id).is_none()
        });
        for asset in forgotten {
            if let Err(error) = queue(&self.inner.store, asset.id).await {
                tracing::warn!(asset = %asset.id, %error, "work on an asset could not be queued");
            }
        }
    }

    async fn reconcile(&self) {
        let state = self.inner.store.cluster().state();
        self.cancel_unwanted(&state);
        let node = self.inner.store.cluster().node_id();
        for job in state.active_jobs() {
            let ours = match job.state {
                JobState::Queued => true,
                // Work of a node that is gone is taken over; its epoch keeps it out, should it come back.
                JobState::Leased { node: holder, .. } => holder == node || !self.is_there(&state, holder),
                _ => false,
            };
            let Some(asset) = state.asset(job.asset) else { continue };
            if ours && self.has_place(job, asset) {
                self.begin(job, asset).await;
            }
        }
    }

    /// Whether another node belongs to the cluster and answers.
    fn is_there(&self, state: &State, node: NodeId) -> bool {
        state.node(node).is_some() && self.inner.store.cluster().bytes().is_alive(node)
    }

    /// Stops tries whose lease is not the newest any more.
    fn cancel_unwanted(&self, state: &State) {
        for (id, running) in self.running().iter() {
            let wanted = state.job(*id).is_some_and(|job| {
                matches!(job.state, JobState::Leased { .. }) && job.epoch == running.epoch
            });
            if !wanted {
                running.cancel.cancel();
            }
        }
    }

    fn has_place(&self, job: &Job, asset: &Asset) -> bool {
        let rests = self.resting().get(&job.id).is_some_and(|until| *until > Instant::now());
        let running = self.running();
        if rests || running.contains_key(&job.id) || self.inner.stop.is_cancelled() {
            return false;
        }
        let early = asset.length.is_none();
        let taken = running.values().filter(|running| running.early == early).count();
        taken < if early { EARLY_PLACES } else { self.inner.places }
    }

    async fn begin(&self, job: &Job, asset: &Arc<Asset>) {
        let node = self.inner.store.cluster().node_id();
        let lease = JobCommand::Lease { job: job.id, node, epoch: job.epoch };
        let leased = self.inner.store.cluster().propose(self.inner.store.node(), lease.into()).await;
        let epoch = match leased {
            Ok(Outcome::JobEpoch(epoch)) => epoch,
            Ok(_) => return,
            Err(error) => {
                tracing::info!(job = %job.id, %error, "a job could not be leased");
                return;
            }
        };
        let cancel = self.inner.stop.child_token();
        let running = Running { epoch, early: asset.length.is_none(), cancel: cancel.clone() };
        self.running().insert(job.id, running);
        let work = Work {
            store: self.inner.store.clone(),
            live: self.inner.live.clone(),
            locks: self.inner.locks.clone(),
            fence: JobFence { job: job.id, epoch },
            asset: asset.clone(),
            cancel,
        };
        let jobs = self.clone();
        // On this arbiter: the transcode's actor lives here.
        actix_rt::spawn(async move { jobs.see_through(work).await });
    }

    async fn see_through(&self, work: Work) {
        let (fence, asset) = (work.fence, work.asset.id);
        tracing::info!(job = %fence.job, %asset, epoch = fence.epoch, "a job begins");
        let cancel = work.cancel.clone();
        let mut end = work.clone().run().await;
        if matches!(end, TryEnd::Failed { .. }) && self.still_arriving(asset) {
            // A judgement on half a file is none: wait for the rest and try the whole.
            end = match wait_for_rest(&work, &cancel).await {
                true => work.run().await,
                false => TryEnd::Over,
            };
        }
        self.settle(fence, end, cancel.is_cancelled()).await;
        self.inner.live.ended(asset);
        self.running().remove(&fence.job);
        self.look();
    }

    fn still_arriving(&self, asset: AssetId) -> bool {
        self.inner.store.asset(asset).is_ok_and(|asset| asset.length.is_none())
    }

    async fn settle(&self, fence: JobFence, end: TryEnd, cancelled: bool) {
        let (job, epoch) = (fence.job, fence.epoch);
        let command = match end {
            TryEnd::Finished => JobCommand::Finish { job, epoch },
            TryEnd::Failed { .. } if cancelled => return,
            TryEnd::Failed { code, reason } => {
                tracing::info!(%job, code, "a job failed");
                JobCommand::Fail { job, epoch, code, reason }
            }
            TryEnd::Over => {
                // Nobody asked for this end: begun again at once, it might end so again and again.
                if !cancelled {
                    self.rest(job);
                }
                return;
            }
            TryEnd::Later(reason) => {
                tracing::warn!(%job, reason, "a job is tried again later");
                self.rest(job);
                return;
            }
        };
        if let Err(error) = self.inner.store.tell_job(command).await {
            tracing::warn!(%job, %error, "the end of a job could not be told; it is tried again");
            self.rest(job);
        }
    }

    fn rest(&self, job: JobId) {
        let mut resting = self.resting();
        resting.retain(|_, until| *until > Instant::now());
        resting.insert(job, Instant::now() + AGAIN_AFTER);
    }

    fn running(&self) -> MutexGuard<'_, HashMap<JobId, Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resting(&self) -> MutexGuard<'_, HashMap<JobId, Instant>> {
        self.inner.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the original is complete; `false` when nobody wants that any more.
async fn wait_for_rest(work: &Work, cancel: &CancellationToken) -> bool {
    let waiting = async {
        let asset = work.store.asset(work.asset.id).ok()?;
        let reader = work.store.reader(&asset, asset.original).await.ok()?;
        let mut growth = reader.watch_growth();
        let mut progress = growth.now();
        while !progress.sealed {
            progress = growth.changed().await.ok()?;
        }
        // State hears of it a moment later.
        let mut events = work.store.cluster().events();
        while work.store.asset(work.asset.id).ok()?.length.is_none() {
            next_event(&mut events).await;
        }
        Some(())
    };
    tokio::select! {
        () = cancel.cancelled() => false,
        whole = waiting => whole.is_some(),
    }
}

async fn next_event(events: &mut tokio::sync::broadcast::Receiver<Event>) {
    let wait = tokio::time::timeout(Duration::from_secs(1), events.recv());
    // Lagged, timed out or there: look again in each case.
    let _ = wait.await;
}

async fn next_job_event(events: &mut tokio::sync::broadcast::Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(Event::JobChanged { .. } | Event::AssetPurged { .. }) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
