//! The nodes of one world, their disks and clocks, and who of them is up.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::chance::Chance;
use super::clock::SimulatedClock;
use super::forgetful::Forgetful;
use super::layer::Layer;
use super::network::Network;
use super::node::{Node, Parts, StartError};
use super::oracle::Chain;
use super::pace::SyncPace;
use super::trace::Trace;
use super::{Plan, Planted};
use crate::audit_record::AuditRecord;
use crate::cluster::requests::Requests;
use crate::command::Incarnation;
use crate::disk::{Disk, SimulatedDisk, Survival};
use crate::id::NodeId;
use crate::raft::metrics;

/// Worlds of a hundred in which Blobs are written.
const BLOBS_PERCENT: u64 = 20;
/// Bytes of a disk: far more than a run writes.
pub(super) const DISK: u64 = 1 << 32;

/// One world. Clones are the same world.
#[derive(Clone)]
pub(super) struct World(Arc<Inner>);

struct Inner {
    has_blobs: bool,
    plan: Plan,
    trace: Trace,
    network: Network,
    seats: Mutex<BTreeMap<NodeId, Seat>>,
    chain: Mutex<Chain>,
    /// Audit records of nodes that have left.
    remembered: Mutex<BTreeMap<u64, AuditRecord>>,
    /// Clients end.
    enough: AtomicBool,
    /// Faults end: what is down comes up at once.
    calm: AtomicBool,
    /// What is under way with the members.
    changing: Mutex<Option<String>>,
    crashes: AtomicU64,
    replaced: AtomicU64,
    tokens: AtomicU64,
    /// Numbers for what clients ask for.
    desk: OnceLock<Requests>,
    leapt_ms: Arc<AtomicU64>,
    clock_set: AtomicBool,
    /// Rings whenever a client is promised something.
    promised: Notify,
    /// Rings whenever a node shows what none showed before.
    shown: Notify,
}

/// Where a node sits: what outlives its lives.
pub(super) struct Seat {
    pub(super) disk: SimulatedDisk,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) pace: SyncPace,
    pub(super) node: Option<Node>,
    life: u64,
    /// Something was planted on its disk that makes a start fail.
    pub(super) armed: bool,
    /// Bits of its disk were flipped: it may turn out to have lost what it acknowledged.
    pub(super) spoiled: bool,
    /// It is no node any more.
    gone: bool,
    site: &'static str,
}

impl World {
    pub(super) fn new(plan: Plan, trace: Trace) -> Self {
        let network = Network::new(Chance::new(plan.seed, "network"), trace.clone());
        let has_blobs = Chance::new(plan.seed, "blobs").percent(BLOBS_PERCENT);
        Self(Arc::new(Inner {
            has_blobs,
            plan,
            trace,
            network,
            seats: Mutex::default(),
            chain: Mutex::default(),
            remembered: Mutex::default(),
            enough: AtomicBool::new(false),
            calm: AtomicBool::new(false),
            changing: Mutex::default(),
            crashes: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            desk: OnceLock::new(),
            leapt_ms: Arc::default(),
            clock_set: AtomicBool::new(false),
            promised: Notify::new(),
            shown: Notify::new(),
        }))
    }

    /// Numbers for what clients ask for, as if one node asked for all of them.
    pub(super) fn requests(&self) -> &Requests {
        self.0.desk.get_or_init(|| Requests::new(NodeId(0), Incarnation::default()))
    }

    /// The wall clock of a node was set.
    pub(super) fn note_clock_set(&self) {
        self.0.clock_set.store(true, Ordering::Relaxed);
    }

    pub(super) fn clocks_were_set(&self) -> bool {
        self.0.clock_set.load(Ordering::Relaxed)
    }

    /// From now on clients ask in the name of `node`.
    pub(super) fn open_desk(&self, node: NodeId) {
        drop(self.0.desk.set(Requests::new(node, Incarnation::default())));
    }

    /// A number for a token, none twice.
    pub(super) fn next_token(&self) -> u8 {
        u8::try_from(self.0.tokens.fetch_add(1, Ordering::Relaxed) + 1)
            .expect("fewer nodes than that are ever tried")
    }

    /// So much time passes at once on all clocks, and nothing happens in it.
    pub(super) fn leap(&self, by_ms: u64) {
        self.note(format_args!("{by_ms} ms pass at once"));
        self.0.leapt_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    pub(super) fn network(&self) -> &Network {
        &self.0.network
    }

    pub(super) fn note(&self, event: fmt::Arguments<'_>) {
        self.0.trace.note(event);
    }

    pub(super) fn violation(&self, what: fmt::Arguments<'_>) {
        self.0.trace.violation(what);
    }

    pub(super) fn chance(&self, part: &str) -> Chance {
        Chance::new(self.0.plan.seed, part)
    }

    /// Whether Blobs are written in this world.
    pub(super) fn has_blobs(&self) -> bool {
        self.0.has_blobs
    }

    /// Whether clients have done enough.
    pub(super) fn is_enough(&self) -> bool {
        self.0.enough.load(Ordering::Relaxed) || self.0.trace.is_violated()
    }

    pub(super) fn end_clients(&self) {
        self.0.enough.store(true, Ordering::Relaxed);
    }

    /// Whether faults are over.
    pub(super) fn is_calm(&self) -> bool {
        self.0.calm.load(Ordering::Relaxed)
    }

    /// What is under way with the members: a node that is about to come, to get empty or to leave.
    pub(super) fn changing(&self) -> Option<String> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets [`World::changing`].
    pub(super) fn set_changing(&self, changing: Option<String>) {
        if let Some(what) = &changing {
            self.note(format_args!("{what}"));
        }
        *self.0.changing.lock().unwrap_or_else(PoisonError::into_inner) = changing;
    }

    /// Nodes that were cut off, and nodes that were replaced by new ones.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.0.crashes.load(Ordering::Relaxed), self.0.replaced.load(Ordering::Relaxed))
    }

    pub(super) fn seats(&self) -> MutexGuard<'_, BTreeMap<NodeId, Seat>> {
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new node, with an empty disk and a wall clock of its own.
    pub(super) fn seat(&self, id: NodeId, site: &'static str) {
        let mut chance = self.chance(&format!("seat {id}"));
        let ahead_ms = i64::try_from(chance.below(4000)).unwrap_or(0) - 2000;
        let drift = i64::try_from(chance.below(10_000)).unwrap_or(0) - 5000;
        let seat = Seat {
            disk: SimulatedDisk::new(DISK),
            clock: Arc::new(SimulatedClock::new(ahead_ms, drift, self.0.leapt_ms.clone())),
            pace: SyncPace::new(chance),
            node: None,
            life: 0,
            armed: false,
            spoiled: false,
            gone: false,
            site,
        };
        self.seats().insert(id, seat);
    }

    /// Every node that is one, up or not.
    pub(super) fn members(&self) -> Vec<NodeId> {
        self.seats().iter().filter(|(_, seat)| !seat.gone).map(|(id, _)| *id).collect()
    }

    /// Every node that is up.
    pub(super) fn up(&self) -> Vec<Node> {
        self.seats().values().filter_map(|seat| seat.node.clone()).collect()
    }

    /// The node to ask: `wanted` where it is up, else any.
    pub(super) fn node_for(&self, wanted: Option<NodeId>, chance: &mut Chance) -> Option<Node> {
        let seats = self.seats();
        if let Some(node) = wanted.and_then(|id| seats.get(&id)?.node.clone()) {
            return Some(node);
        }
        let up: Vec<&Node> = seats.values().filter_map(|seat| seat.node.as_ref()).collect();
        chance.pick(&up).cloned()
    }

    /// Starts a node from its disk. One that cannot start is tried again later, or replaced when it may have lost
    /// something; to have lost something for no reason is a violation.
    pub(super) async fn start(&self, id: NodeId) {
        let parts = {
            let mut seats = self.seats();
            let Some(seat) = seats.get_mut(&id).filter(|seat| seat.node.is_none() && !seat.gone) else {
                return;
            };
            seat.life += 1;
            self.parts(id, seat)
        };
        let life = parts.life;
        match Node::start(parts, &self.0.network).await {
            Ok(node) => {
                let stays = self.seats().get_mut(&id).filter(|seat| !seat.gone).map(|seat| {
                    seat.node = Some(node.clone());
                });
                if stays.is_none() {
                    // It has left while it was starting.
                    self.0.network.detach(id);
                    return node.bury();
                }
                self.note(format_args!("node {id} is up in life {life}"));
                tokio::spawn(self.clone().follow(node));
            }
            Err(error) => self.not_started(id, &error),
        }
    }

    fn parts(&self, id: NodeId, seat: &Seat) -> Parts {
        let planted = self.0.plan.planted;
        let disk: Arc<dyn Disk> = match planted {
            Some(Planted::SkipSync) => Arc::new(Layer::over(Arc::new(seat.disk.clone()), Forgetful("raft"))),
            Some(Planted::SkipBlobSync) => {
                Arc::new(Layer::over(Arc::new(seat.disk.clone()), Forgetful("bytes")))
            }
            _ => Arc::new(seat.disk.clone()),
        };
        let (clock, pace) = (seat.clock.clone(), seat.pace.clone());
        let has_blobs = self.has_blobs();
        Parts { id, life: seat.life, disk, clock, pace, planted, has_blobs }
    }

    fn not_started(&self, id: NodeId, error: &StartError) {
        self.note(format_args!("node {id} did not start: {error}"));
        self.0.network.detach(id);
        let (armed, spoiled) = {
            let mut seats = self.seats();
            let Some(seat) = seats.get_mut(&id) else { return };
            (std::mem::take(&mut seat.armed), seat.spoiled)
        };
        if spoiled {
            self.give_up(id);
        } else if armed && !matches!(error, StartError::Short(_)) {
            self.after_power_cut(id, Survival::All);
            self.start_later(id, 300);
        } else {
            self.violation(format_args!("node {id} did not start for no reason: {error}"));
        }
    }

    /// A node that does not come back: another takes its place.
    fn give_up(&self, id: NodeId) {
        let site = self.seats().get_mut(&id).map(|seat| {
            seat.gone = true;
            seat.site
        });
        if let Some(site) = site {
            tokio::spawn(super::growth::replace(self.clone(), id, site));
        }
    }

    /// Ends a node for good, with its disk.
    pub(super) fn lose(&self, id: NodeId) -> bool {
        let Some(node) = self.seats().get_mut(&id).and_then(|seat| seat.node.take()) else { return false };
        self.0.crashes.fetch_add(1, Ordering::Relaxed);
        self.note(format_args!("node {id} is lost for good"));
        self.0.network.detach(id);
        self.after_power_cut(id, Survival::None);
        node.bury();
        self.give_up(id);
        true
    }

    pub(super) fn remembered(&self) -> MutexGuard<'_, BTreeMap<u64, AuditRecord>> {
        self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node that was emptied and removed ends, with its disk.
    pub(super) fn retire(&self, id: NodeId) {
        let node = self.seats().get_mut(&id).and_then(|seat| {
            seat.gone = true;
            seat.node.take()
        });
        self.note(format_args!("node {id} has left"));
        self.0.network.detach(id);
        if let Some(node) = node {
            self.after_power_cut(id, Survival::None);
            node.bury();
        }
    }

    /// Somebody was promised something.
    pub(super) fn promise(&self) {
        self.0.promised.notify_waiters();
    }

    /// Waits until somebody is.
    pub(super) async fn next_promise(&self) {
        self.0.promised.notified().await;
    }

    /// Waits until a node shows what none showed before.
    pub(super) async fn next_showing(&self) {
        self.0.shown.notified().await;
    }

    /// Cuts a node off where it stands. What its disk keeps of what was not synced is said by `survival`. It comes back
    /// after a while.
    pub(super) fn crash(&self, id: NodeId, survival: Survival, back_after_ms: u64) {
        let Some(node) = self.seats().get_mut(&id).and_then(|seat| seat.node.take()) else { return };
        self.0.crashes.fetch_add(1, Ordering::Relaxed);
        self.note(format_args!("node {id} ends, {survival:?} of its disk survives"));
        self.0.network.detach(id);
        self.after_power_cut(id, survival);
        node.bury();
        self.start_later(id, back_after_ms);
    }

    /// From now on the node's old life writes to a dead disk, and the next one to what survived.
    fn after_power_cut(&self, id: NodeId, survival: Survival) {
        if let Some(seat) = self.seats().get_mut(&id) {
            let after = seat.disk.after_power_cut(survival);
            after.resize(DISK);
            seat.disk.cut_power_at(0);
            seat.disk = after;
            seat.armed = false;
        }
    }

    fn start_later(&self, id: NodeId, after_ms: u64) {
        let world = self.clone();
        tokio::spawn(async move {
            let step = Duration::from_millis(50);
            let mut left = Duration::from_millis(after_ms);
            while !left.is_zero() && !world.is_calm() {
                tokio::time::sleep(step.min(left)).await;
                left = left.saturating_sub(step);
            }
            world.start(id).await;
        });
    }

    /// Watches what a node shows, and ends it when it must stop.
    async fn follow(self, node: Node) {
        let mut applied = node.shown.applied.subscribe();
        let mut metrics = metrics::standing(&node.raft);
        loop {
            applied.borrow_and_update();
            let seen = self.0.chain.lock().unwrap_or_else(PoisonError::into_inner).see(&node);
            match seen {
                Ok(true) => self.0.shown.notify_waiters(),
                Ok(false) => {}
                Err(what) => self.violation(format_args!("{what}")),
            }
            let reason = tokio::select! {
                biased;
                () = node.ended.cancelled() => return,
                reason = node.stop.raised() => reason,
                changed = applied.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                changed = metrics.changed() => match self.consensus_end(&node, changed.is_err()) {
                    None => continue,
                    Some(reason) => reason,
                },
            };
            self.note(format_args!("node {} stops: {reason}", node.id));
            // A process that ends leaves its writes to the system; a dead disk lost its power.
            let power_cut = reason.contains("the power is cut");
            let survival = if power_cut { Survival::Random(node.life + node.id.0) } else { Survival::All };
            return self.crash(node.id, survival, 400);
        }
    }

    /// Why consensus has ended on a node, when it has.
    fn consensus_end(&self, node: &Node, closed: bool) -> Option<String> {
        let running = metrics::now(&node.raft).running_state;
        match running {
            Err(openraft::error::Fatal::Panicked) => {
                self.violation(format_args!("consensus panicked on node {}", node.id));
                Some("consensus panicked".to_owned())
            }
            Err(error) => Some(error.to_string()),
            Ok(()) if closed => Some("consensus has ended".to_owned()),
            Ok(()) => None,
        }
    }

    /// A new node took the place of one that lost something.
    pub(super) fn count_replaced(&self) {
        self.0.replaced.fetch_add(1, Ordering::Relaxed);
    }

    /// The end of all faults.
    pub(super) fn calm(&self) {
        self.0.calm.store(true, Ordering::Relaxed);
        self.0.network.mend();
        self.0.network.set_weather(super::network::Weather::CLEAR);
        let mut without_power = Vec::new();
        for (id, seat) in self.seats().iter_mut() {
            seat.pace.set(1000);
            seat.disk.resize(DISK);
            if seat.node.is_some() && seat.disk.sync_dir(Path::new("")).is_err() {
                without_power.push(*id);
            } else {
                // No power fails any more.
                seat.disk.cut_power_at(u64::MAX);
            }
        }
        // A node that had nothing to write since its power was cut has not noticed.
        without_power.into_iter().for_each(|id| self.crash(id, Survival::All, 0));
    }
}
