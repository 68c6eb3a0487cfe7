//! One simulated node in one of its lives: everything of a real one between its disk and its network.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Planted;
use super::clock::SimulatedClock;
use super::copies::{Control, start_workers};
use super::early::Early;
use super::folder::Folder;
use super::layer::Layer;
use super::lenient::{Careless, Lenient};
use super::network::Network;
use super::pace::SyncPace;
use super::table::Tables;
use crate::actor::Actor;
use crate::audit::{AuditError, AuditLog};
use crate::cluster::forward::Forwarding;
use crate::cluster::proposer::{self, Proposal, Proposer};
use crate::cluster::reader::{ReadRequest, Reader};
use crate::cluster::requests::Requests;
use crate::cluster::start::{follow_voters, raft_config};
use crate::cluster::{Distance, OpenError, ProposeError};
use crate::command::Command;
use crate::disk::{Disk, StopFlag};
use crate::entry::Request;
use crate::id::NodeId;
use crate::keyring::{AeadKey, KeyError};
use crate::net::{Net, Serve, Service, Services};
use crate::outcome::Outcome;
use crate::raft::log::{self, Durable, LogError, LogOptions, LogPlace, LogStore, MissingRange, Opened};
use crate::raft::machine::{Machine, Restored, Shown};
use crate::raft::network::Network as Links;
use crate::raft::serve::RaftService;
use crate::raft::snapshot::{SnapshotError, SnapshotFolder};
use crate::raft::time::ClusterTime;
use crate::raft::types::{LogId, TypeConfig};
use crate::state::State;
use crate::store::{BlobError, Blobs, BlobsConfig};
use crate::transfer::{Replicas, StateMap};

/// How long a proposal may wait for a quorum, by the world's time.
const PROPOSE_WITHIN: Duration = Duration::from_secs(3);
/// How long a step of a snapshot may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(5);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("acknowledged log records {0} are missing")]
    Short(MissingRange),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("consensus did not start: {0}")]
    Consensus(String),
}

/// What a node is made of.
pub(super) struct Parts {
    pub(super) id: NodeId,
    pub(super) life: u64,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) pace: SyncPace,
    pub(super) planted: Option<Planted>,
    /// Whether there are Blobs to care for.
    pub(super) has_blobs: bool,
}

/// A node's Blobs, whose syncs take time.
fn open_blobs(disk: Arc<dyn Disk>, pace: SyncPace, stop: StopFlag) -> Result<Blobs, StartError> {
    let disk = Arc::new(Layer::over(Folder::open(disk, "bytes")?, pace));
    Ok(Blobs::open(disk, stop, BlobsConfig::default())?)
}

/// The way to the others, with what is planted there.
fn way_out(planted: Option<Planted>, net: Arc<dyn Net>) -> Arc<dyn Net> {
    match planted {
        Some(Planted::AcknowledgeAtOneCopy) => Arc::new(Early(net)),
        Some(Planted::AcknowledgeBlobAtOneCopy) => Arc::new(Careless(net)),
        _ => net,
    }
}

/// How much slower the log's disk is: a fault about what is not durable yet shows while that takes a while.
fn log_takes(planted: Option<Planted>) -> Duration {
    match planted {
        Some(Planted::AnswerBeforeDurable) => Duration::from_millis(80),
        _ => Duration::ZERO,
    }
}

/// What a log is opened with.
struct LogNeeds {
    key: Arc<AeadKey>,
    snapshot: Option<LogId>,
    stop: StopFlag,
}

/// A node's log, whose barriers take time.
fn open_log(
    disk: Arc<dyn Disk>,
    pace: SyncPace,
    planted: Option<Planted>,
    needs: LogNeeds,
) -> Result<Opened, StartError> {
    let more = log_takes(planted);
    let place = LogPlace {
        disk: Folder::open(disk, "raft")?,
        databases: Arc::new(Tables),
        pace: Some(Arc::new(move || more + pace.next())),
    };
    Ok(log::open(LogOptions {
        place,
        key: needs.key,
        was_there: false,
        open_deadline: Duration::from_secs(60),
        snapshot: needs.snapshot,
        stop: needs.stop,
        accept_loss: None,
    })?)
}

/// What other nodes reach of the copies here, with what is planted there.
fn holder(planted: Option<Planted>, holder: Arc<dyn Serve>) -> Arc<dyn Serve> {
    match planted {
        Some(Planted::AcceptLowerEpoch) => Arc::new(Lenient::new(holder)),
        _ => holder,
    }
}

/// A running node. Clones are the same node.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) life: u64,
    pub(super) raft: Raft<TypeConfig>,
    pub(super) shown: Arc<Shown>,
    pub(super) audit: AuditLog,
    pub(super) stop: StopFlag,
    /// Cancelled when the node is cut off: nobody hears an answer from it any more.
    pub(super) ended: CancellationToken,
    pub(super) planted: Option<Planted>,
    /// Its Blobs, and those of the others.
    pub(super) bytes: Replicas,
    pub(super) reads: mpsc::Sender<ReadRequest>,
    net: Arc<dyn Net>,
    requests: Requests,
    log: LogStore,
    proposals: mpsc::Sender<Proposal>,
}

impl Node {
    /// Starts a node from what is on its disk.
    pub(super) async fn start(parts: Parts, network: &Network) -> Result<Self, StartError> {
        let Parts { id, life, disk, clock, pace, planted, has_blobs } = parts;
        let stop = StopFlag::new();
        let key = Arc::new(AeadKey::new(&[u8::try_from(id.0 % 251).unwrap_or(0) + 1; 32])?);
        let folder = SnapshotFolder::open(Folder::open(disk.clone(), "snapshots")?, key.clone())?;
        let restored = Restored::read(&folder)?;
        let audit = AuditLog::open(Folder::open(disk.clone(), "audit")?, key.clone(), stop.clone())?;
        audit.resume_after(restored.state.chain_head().sequence);
        let blobs = open_blobs(disk.clone(), pace.clone(), stop.clone())?;
        let opened = open_log(
            disk,
            pace,
            planted,
            LogNeeds { key, snapshot: restored.applied.last, stop: stop.clone() },
        )?;
        let log = match opened {
            Opened::Whole { store, .. } => store,
            Opened::Short { missing, .. } => return Err(StartError::Short(missing)),
        };
        let time = ClusterTime::start(clock, restored.state.time_ms());
        let shown = Shown::new(restored, time);
        let durable = log.answer_ahead();
        let unless = |fault| if planted == Some(fault) { Durable::everything() } else { durable.clone() };
        let carried_out = unless(Planted::ApplyBeforeDurable);
        let machine = Machine::new(shown.clone(), folder.clone(), audit.clone(), carried_out);
        let services = Services::default();
        log.start_as_follower();
        log.purge_behind(shown.applied.subscribe());
        let net = way_out(planted, network.attach(id, life, services.clone()));
        let raft = Raft::new(
            id.0,
            Arc::new(raft_config(Distance::Near)?),
            Links::new(net.clone(), unless(Planted::AgreeBeforeDurable)),
            log.clone(),
            machine,
        )
        .await
        .map_err(|error| StartError::Consensus(error.to_string()))?;
        RaftService::register(&services, raft.clone(), folder, unless(Planted::AnswerBeforeDurable));
        follow_voters(&raft, &log);
        let proposer = Proposer { raft: raft.clone(), shown: shown.clone(), deadline: PROPOSE_WITHIN };
        let reader = Reader { me: id, raft: raft.clone(), shown: shown.clone(), net: net.clone() };
        let bytes = Replicas::new(id, blobs, net.clone(), Arc::new(StateMap::new(shown.clone())));
        services.register(Service::Blob, holder(planted, bytes.service()));
        let node = Self {
            id,
            life,
            proposals: proposer.spawn(),
            raft,
            shown,
            audit,
            stop,
            ended: CancellationToken::new(),
            planted,
            bytes,
            reads: reader.spawn(),
            net,
            requests: Requests::of_new_life(id, life)?,
            log,
        };
        services.register(Service::Control, Arc::new(Control(node.clone())));
        if has_blobs {
            start_workers(&node);
        }
        Ok(node)
    }

    /// The way of a change that is asked of this node.
    pub(super) fn forwarding(&self) -> Forwarding<'_> {
        Forwarding {
            me: self.id,
            raft: &self.raft,
            shown: &self.shown,
            net: &*self.net,
            proposals: &self.proposals,
            requests: &self.requests,
            stop: &self.stop,
            deadline: PROPOSE_WITHIN,
        }
    }

    /// Proposes a change here. A node that ends meanwhile leaves the outcome open.
    pub(super) async fn propose(
        &self,
        actor: Actor,
        command: Command,
        request: Option<Request>,
    ) -> Result<Outcome, ProposeError> {
        let request = request.filter(|_| self.planted != Some(Planted::ForgetRequests));
        if let Some(reason) = self.stop.reason() {
            return Err(ProposeError::Unavailable(reason));
        }
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(ProposeError::OutcomeUnknown),
            answer = proposer::propose(&self.proposals, actor, command, request) => answer.map(|(outcome, _)| outcome),
        }
    }

    /// State that holds every change acknowledged before this call.
    pub(super) async fn linearizable(&self) -> Result<Arc<State>, ProposeError> {
        if self.planted == Some(Planted::ReadWithoutAsking) {
            return Ok(self.shown.state.load_full());
        }
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(ProposeError::OutcomeUnknown),
            round = self.raft.ensure_linearizable() => match round {
                Ok(_) => Ok(self.shown.state.load_full()),
                Err(error) => Err(ProposeError::Unavailable(error.to_string())),
            },
        }
    }

    /// Takes a snapshot and cuts the log behind it down to `keep` bytes.
    pub(super) async fn cut_log(&self, keep: u64) {
        let Some(applied) = self.shown.applied.borrow().last else { return };
        if self.raft.trigger().snapshot().await.is_err() {
            return;
        }
        let wait = self.raft.wait(Some(SNAPSHOT_WITHIN));
        let taken = wait.metrics(|metrics| metrics.snapshot >= Some(applied), "a snapshot").await;
        let Ok(Some(snapshot)) = taken.map(|metrics| metrics.snapshot) else { return };
        if self.audit.sync().await.is_ok()
            && let Some(upto) = self.log.cut_point(snapshot.index, keep)
        {
            // A node that ends here cuts its log another time.
            drop(self.raft.trigger().purge_log(upto).await);
        }
    }

    /// Ends what is left of a node that is cut off already.
    pub(super) fn bury(&self) {
        self.ended.cancel();
        let corpse = self.clone();
        tokio::spawn(async move {
            // Its disk is dead and nobody hears it: nothing that fails here matters.
            drop(corpse.raft.shutdown().await);
            drop(corpse.log.close().await);
        });
    }
}
