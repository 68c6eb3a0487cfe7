//! The worker that makes the world match State's jobs: leases what waits, as far as there are places, runs it, and stops
//! what is not wanted any more. Jobs that are divided offer their parts beside: a part is leased and run like a job.
//!
//! All nodes see all that waits. The more of its places a node has taken, the longer it leaves work to others before it takes
//! it, so that the one with the least to do is first. Of several that have as little, those that hold the asset take turns.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cluster::command::{JobCommand, JobFence};
use cluster::event::Event;
use cluster::id::{AssetId, NodeId};
use cluster::outcome::Outcome;
use cluster::state::{AssetState, NodeState, State};
use cluster::store::Level;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use super::offer::{Offer, Task, offers, turn};
use super::part::PartWork;
use super::work::{TryEnd, Work};
use crate::asset_store::AssetStore;
use crate::ingest::queue;
use crate::live::Live;
use crate::media::AssetLocks;

/// Looks at least so often, should an event be missed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pause before a try that failed for want of an answer is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// As [`AGAIN_AFTER`], when a disk had no room, here or at another holder. Of a full disk, an alert tells.
const ROOM_AFTER: Duration = Duration::from_secs(15);
/// How long a node whose places are all taken but none would leave work to others; one that has half of them, half as long.
const LEAVES_TO_OTHERS: Duration = Duration::from_millis(600);
/// How long a node leaves work to each of those whose turn is before its own: time for a lease to be agreed and heard of.
const TURN: Duration = Duration::from_millis(40);
/// Jobs on uploads that still run, beside the others: they wait for bytes more than they work.
const EARLY_PLACES: usize = 2;

/// Of a long queue, only so much is looked at whenever something happens: far more than one node takes.
const FRONT: usize = 16;
/// All of it is looked at again after so many times as long as that takes: an upload that still runs, at its end, has places
/// of its own.
const RESTS: u32 = 50;

/// How much of what waits is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    AtFront,
    AtAll,
}

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
    running: Mutex<HashMap<Task, Running>>,
    resting: Mutex<HashMap<Task, Instant>>,
    /// Since when work waits that this node might take.
    waiting: Mutex<HashMap<Task, Instant>>,
    places: usize,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Running {
    epoch: u64,
    early: bool,
    is_light: Arc<AtomicBool>,
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
            waiting: Mutex::default(),
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
        let mut events = self.inner.store.cluster().job_events();
        self.queue_forgotten().await;
        let mut all_from = Instant::now();
        while !self.inner.stop.is_cancelled() {
            // What has happened by now is seen by this look.
            while !matches!(events.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
            let began = Instant::now();
            let looks = if began >= all_from { Looks::AtAll } else { Looks::AtFront };
            let offered = self.look_at_offers(looks);
            if looks == Looks::AtAll {
                all_from = began + began.elapsed() * RESTS;
            }
            let mut again = self.take(&offered).await;
            if looks == Looks::AtFront && offered.len() == FRONT {
                again = again.min(all_from.saturating_duration_since(Instant::now()));
            }
            tokio::select! {
                () = self.inner.wake.notified() => {}
                () = next_job_event(&mut events) => {}
                () = tokio::time::sleep(again) => {}
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

    /// What there is to take; stops what is not wanted any more.
    fn look_at_offers(&self, looks: Looks) -> Vec<Offer> {
        let state = self.inner.store.cluster().state();
        self.cancel_unwanted(&state);
        let is_free = |holder| holder == self.node_id() || !self.is_there(&state, holder);
        let offers = offers(&state, is_free);
        let (mut waiting, now) = (self.waiting(), Instant::now());
        let since = |task| waiting.get(&task).copied().unwrap_or(now);
        if looks == Looks::AtFront {
            let offered: Vec<Offer> = offers.take(FRONT).collect();
            let noted: Vec<_> = offered.iter().map(|offer| (offer.task, since(offer.task))).collect();
            waiting.extend(noted);
            return offered;
        }
        let offered: Vec<Offer> = offers.collect();
        *waiting = offered.iter().map(|offer| (offer.task, since(offer.task))).collect();
        offered
    }

    /// Begins what there is a place for; gives when to look again at the latest.
    async fn take(&self, offered: &[Offer]) -> Duration {
        let state = self.inner.store.cluster().state();
        // One that is being emptied ends what it has begun.
        let is_draining = state.node(self.node_id()).is_some_and(|node| node.state == NodeState::Draining);
        let mut again = LOOK_EVERY;
        for offer in offered {
            if !self.has_place(offer) || (is_draining && offer.holder != Some(self.node_id())) {
                continue;
            }
            match self.time_to_leave(&state, offer) {
                Duration::ZERO => self.begin(offer).await,
                left => again = again.min(left),
            }
        }
        again
    }

    fn node_id(&self) -> NodeId {
        self.inner.store.cluster().node_id()
    }

    /// Whether another node belongs to the cluster and answers.
    fn is_there(&self, state: &State, node: NodeId) -> bool {
        state.node(node).is_some() && self.inner.store.cluster().bytes().is_alive(node)
    }

    /// Stops tries whose lease is not the newest any more.
    fn cancel_unwanted(&self, state: &State) {
        for (task, running) in self.running().iter() {
            if !task.is_leased(state, running.epoch) {
                running.cancel.cancel();
            }
        }
    }

    /// How much longer this node leaves the work to others.
    fn time_to_leave(&self, state: &State, offer: &Offer) -> Duration {
        let (taken, places) = (self.taken(false), self.inner.places);
        let leaves = LEAVES_TO_OTHERS * u32::try_from(taken).unwrap_or(u32::MAX)
            / u32::try_from(places).unwrap_or(1).max(1);
        let leaves = leaves + TURN * self.turn(state, offer);
        let waits = self.waiting().get(&offer.task).map_or(Duration::ZERO, Instant::elapsed);
        leaves.saturating_sub(waits)
    }

    /// How many others may take it before this node, if all have as little to do.
    fn turn(&self, state: &State, offer: &Offer) -> u32 {
        if offer.holder == Some(self.node_id()) {
            return 0;
        }
        let takes = |node: &NodeId| {
            state.node(*node).is_some_and(|node| node.state == NodeState::Active)
                && (*node == self.node_id() || self.is_there(state, *node))
        };
        let holders: Vec<NodeId> = state.holders(offer.asset.id).iter().filter(takes).collect();
        turn(offer.task, self.node_id(), &holders)
    }

    /// Places that are taken, of those for uploads that still run or of the others.
    fn taken(&self, early: bool) -> usize {
        let takes = |running: &&Running| running.early == early && !running.is_light.load(Ordering::Relaxed);
        self.running().values().filter(takes).count()
    }

    fn has_place(&self, offer: &Offer) -> bool {
        let rests = self.resting().get(&offer.task).is_some_and(|until| *until > Instant::now());
        let is_taken = self.running().contains_key(&offer.task);
        if rests || is_taken || self.inner.stop.is_cancelled() {
            return false;
        }
        let places = if offer.early { EARLY_PLACES } else { self.inner.places };
        // The disk is asked last: of a long queue most wait for a place.
        self.taken(offer.early) < places && self.has_room()
    }

    async fn begin(&self, offer: &Offer) {
        let task = offer.task;
        let lease = task.lease(self.node_id(), offer.epoch);
        let leased = self.inner.store.cluster().propose(self.inner.store.node(), lease.into()).await;
        let epoch = match leased {
            Ok(Outcome::JobEpoch(epoch)) => epoch,
            Ok(_) => return,
            Err(error) => {
                tracing::info!(%task, %error, "work could not be leased");
                return;
            }
        };
        let (cancel, is_light) = (self.inner.stop.child_token(), Arc::<AtomicBool>::default());
        let running =
            Running { epoch, early: offer.early, is_light: is_light.clone(), cancel: cancel.clone() };
        self.running().insert(task, running);
        let jobs = self.clone();
        let (store, asset) = (self.inner.store.clone(), offer.asset.clone());
        // On this arbiter: the transcode's actor lives here.
        match task {
            Task::Job(job) => {
                let (live, locks) = (self.inner.live.clone(), self.inner.locks.clone());
                let fence = JobFence { job, epoch };
                let work = Work { store, live, locks, fence, is_light, asset, cancel };
                actix_rt::spawn(async move { jobs.see_through(work).await });
            }
            Task::Part(job, number) => {
                let work = PartWork { store, job, number, epoch, asset: asset.id, cancel };
                actix_rt::spawn(async move { jobs.see_part_through(work).await });
            }
        }
    }

    async fn see_part_through(&self, work: PartWork) {
        let (task, cancel) = (Task::Part(work.job, work.number), work.cancel.clone());
        tracing::info!(%task, epoch = work.epoch, "a part begins");
        match work.run().await {
            TryEnd::Finished => tracing::info!(%task, "a part is made"),
            TryEnd::Failed { code, .. } => tracing::warn!(%task, code, "a part failed"),
            TryEnd::Later(reason) => {
                tracing::warn!(%task, reason, "a part is tried again later");
                self.rest(task);
            }
            TryEnd::NoRoom => self.wait_for_room(task),
            TryEnd::Over if cancel.is_cancelled() => {}
            // Nobody asked for this end: begun again at once, it might end so again and again.
            TryEnd::Over => self.rest(task),
        }
        self.running().remove(&task);
        self.look();
    }

    async fn see_through(&self, work: Work) {
        let (fence, asset, is_light) = (work.fence, work.asset.id, work.is_light.clone());
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
        // Its place is free: the next one's lease is agreed together with the end of this one.
        is_light.store(true, Ordering::Relaxed);
        self.look();
        self.settle(fence, end, cancel.is_cancelled()).await;
        self.inner.live.ended(asset);
        self.running().remove(&Task::Job(fence.job));
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
                    self.rest(Task::Job(job));
                }
                return;
            }
            TryEnd::Later(reason) => {
                tracing::warn!(%job, reason, "a job is tried again later");
                self.rest(Task::Job(job));
                return;
            }
            TryEnd::NoRoom => return self.wait_for_room(Task::Job(job)),
        };
        if let Err(error) = self.inner.store.tell_job(command).await {
            tracing::warn!(%job, %error, "the end of a job could not be told; it is tried again");
            self.rest(Task::Job(job));
        }
    }

    fn rest(&self, task: Task) {
        self.rest_for(task, AGAIN_AFTER);
    }

    fn wait_for_room(&self, task: Task) {
        tracing::warn!(%task, "a disk is too full for what is made: it waits for room");
        self.rest_for(task, ROOM_AFTER);
    }

    fn rest_for(&self, task: Task, time: Duration) {
        let mut resting = self.resting();
        resting.retain(|_, until| *until > Instant::now());
        resting.insert(task, Instant::now() + time);
    }

    /// Whether what is made could be stored here. A disk that does not say is tried.
    fn has_room(&self) -> bool {
        let space = self.inner.store.cluster().blobs().space();
        space.map_or(true, |space| space.level != Level::NoWrites)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Task, Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Task, Instant>> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resting(&self) -> MutexGuard<'_, HashMap<Task, Instant>> {
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
        let mut events = work.store.cluster().rarer_events();
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
            Ok(Event::JobChanged { .. } | Event::AssetPurged { .. } | Event::StateReplaced)
            | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
