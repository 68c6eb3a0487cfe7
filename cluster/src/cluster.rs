//! The handle everything else holds: propose a change, look at State, hear what happened.

mod audit_heads;
mod audit_share;
mod authorities;
mod clocks;
mod config;
mod connect;
pub(crate) mod control;
mod cut;
mod describe;
mod edge;
mod error;
mod format;
pub(crate) mod forward;
mod ground;
mod heard;
mod identity;
mod join;
mod keys;
mod members;
mod pepper;
pub(crate) mod proposer;
pub(crate) mod reader;
pub(crate) mod requests;
pub(crate) mod restored;
pub(crate) mod start;
mod status;
mod succession;
mod survivor;
pub mod voters;
mod whereabouts;

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use crate::raft::log::MissingRange;
pub use audit_heads::{AuditReport, SHORTENED};
pub use config::{ClusterConfig, Distance, TlsTransport, Transport};
pub use describe::NodeReport;
pub use edge::{EDGE_PUBLIC_LIFE, EdgeConfig, EdgeNode};
pub use error::{OpenError, ProposeError};
#[cfg(feature = "sim")]
pub(crate) use join::read_join_messages;
pub use join::{JoinError, JoinToken, JoinTokenError};
pub use start::NewClusterSecrets;
pub use status::{ClusterStatus, Role};
pub use survivor::{Kept, Position, Reach, RecoverError, Recovered, Seen, Survivor};
pub(crate) use voters::Step;
pub use whereabouts::Whereabouts;

use crate::actor::Actor;
use crate::audit::{AuditLog, HeadBook, SignedHead};
use crate::backup::ProgressCell;
use crate::command::Command;
use crate::disk::StopFlag;
use crate::event::Event;
use crate::id::NodeId;
use crate::keyring::{Keyring, NodeSecrets, StorageKey};
use crate::net::tls::InUse;
use crate::net::{LateNet, Net, Peers, Services};
use crate::outcome::Outcome;
use crate::raft::log::LogStore;
use crate::raft::machine::Shown;
use crate::raft::serve::HeardLeader;
use crate::raft::types::TypeConfig;
use crate::seal::SealMode;
use crate::state::State;
use crate::store::Blobs;
use crate::transfer::Replicas;
use crate::worker::{WorkerReport, Workers};
use connect::Presence;
use proposer::Proposal;
use reader::ReadRequest;
use requests::Requests;

/// How long workers may take to end.
const WORKERS_END_WITHIN: Duration = Duration::from_secs(5);

/// A node's part in its cluster. Cheap to clone; all clones are the same node.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    /// It was a node of a cluster before it was opened.
    has_identity: bool,
    config: ClusterConfig,
    shown: Arc<Shown>,
    audit: AuditLog,
    keyring: Keyring,
    pepper: pepper::Opened,
    /// Where agreement runs.
    runtime: tokio::runtime::Handle,
    secrets: Arc<NodeSecrets>,
    storage_key: StorageKey,
    seal_mode: SealMode,
    mode: Mode,
    repairs: Vec<String>,
    blobs: Blobs,
    bytes: Replicas,
    net: Arc<LateNet>,
    requests: Requests,
    presence: OnceLock<Presence>,
    services: Services,
    peers: Peers,
    stop: StopFlag,
    ending: CancellationToken,
    workers: OnceLock<Workers>,
    backup_progress: ProgressCell,
    /// What the others have signed of their audit logs, and what this node has.
    heads: Arc<HeadBook>,
    signed: watch::Sender<Option<SignedHead>>,
    /// Held as long as the node runs: two processes must not share a folder.
    _lock: File,
}

/// Whether the node takes part.
enum Mode {
    /// It does.
    Running(Running),
    /// Acknowledged records are missing: State can be looked at and nothing changed.
    ReadOnly(MissingRange),
}

struct Running {
    raft: openraft::Raft<TypeConfig>,
    log: LogStore,
    proposals: mpsc::Sender<Proposal>,
    reads: mpsc::Sender<ReadRequest>,
    heard: HeardLeader,
}

impl Cluster {
    /// Proposes a change and waits until it is agreed and carried out.
    ///
    /// # Errors
    /// [`ProposeError::Refused`] when State says no; the others say why it could not be put to the vote.
    pub async fn propose(&self, actor: Actor, command: Command) -> Result<Outcome, ProposeError> {
        self.may_propose()?;
        let forwarding = self.forwarding()?;
        tokio::select! {
            biased;
            done = forwarding.propose(actor, command) => done,
            // It may be on its way already, and whoever stops will not hear of it.
            _ = self.inner.stop.raised() => Err(ProposeError::OutcomeUnknown),
        }
    }

    /// Once the log, the audit log or a Blob could not be written, nothing is even tried.
    fn may_propose(&self) -> Result<(), ProposeError> {
        self.inner.stop.reason().map_or(Ok(()), |reason| Err(ProposeError::Unavailable(reason)))
    }

    fn running(&self) -> Result<&Running, ProposeError> {
        match &self.inner.mode {
            Mode::Running(running) => Ok(running),
            Mode::ReadOnly(missing) => Err(ProposeError::ReadOnly(*missing)),
        }
    }

    /// State as this node knows it now. Never waits.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.inner.shown.state.load_full()
    }

    /// State that holds every change acknowledged before this call, by whichever node. Calls made together share one
    /// round.
    ///
    /// # Errors
    /// [`ProposeError`] when no quorum can be asked.
    pub async fn linearizable(&self) -> Result<Arc<State>, ProposeError> {
        let round = reader::linearizable(&self.running()?.reads);
        tokio::select! {
            biased;
            done = round => done?,
            reason = self.inner.stop.raised() => return Err(ProposeError::Unavailable(reason)),
        }
        Ok(self.state())
    }

    /// What changes from now on. A reader that is too slow is told so and looks at State.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.shown.events.subscribe()
    }

    /// As [`Cluster::events`], without [`Event::AssetChanged`].
    #[must_use]
    pub fn job_events(&self) -> broadcast::Receiver<Event> {
        self.inner.shown.job_events.subscribe()
    }

    /// As [`Cluster::job_events`], without [`Event::JobChanged`].
    #[must_use]
    pub fn rarer_events(&self) -> broadcast::Receiver<Event> {
        self.inner.shown.rarer_events.subscribe()
    }

    /// Where bytes are moved between nodes and workers work.
    fn bulk(&self) -> tokio::runtime::Handle {
        self.inner.config.bulk.as_ref().unwrap_or(&self.inner.runtime).clone()
    }

    /// Runs a small task that follows what is agreed where agreement runs: no other thread is woken for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.runtime.spawn(task);
    }

    /// Cluster time.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.inner.shown.time.now_ms()
    }

    /// The cluster keys this node holds.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.inner.keyring
    }

    /// This node's key pair.
    #[must_use]
    pub fn secrets(&self) -> &NodeSecrets {
        &self.inner.secrets
    }

    /// The key for whatever else this node keeps on disk.
    #[must_use]
    pub fn storage_key(&self) -> &StorageKey {
        &self.inner.storage_key
    }

    /// The Blobs of all assets, wherever their copies are.
    #[must_use]
    pub fn bytes(&self) -> &Replicas {
        &self.inner.bytes
    }

    /// This node's Blobs.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// The way to the other nodes.
    #[must_use]
    pub fn net(&self) -> Arc<dyn Net> {
        self.inner.net.clone()
    }

    /// What this node answers the others.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.inner.services
    }

    /// What this node shows and speaks between nodes; none for one that does not listen for others.
    #[must_use]
    pub fn tls(&self) -> Option<InUse> {
        self.inner.presence.get().map(|presence| presence.net.in_use())
    }

    /// When each other node was heard last, and how far away it is.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.inner.peers
    }

    /// Goes up when a write failed and the node must stop.
    #[must_use]
    pub fn stop_flag(&self) -> &StopFlag {
        &self.inner.stop
    }

    /// How far the backup is that this node takes, or the check that it makes.
    #[must_use]
    pub fn backup_progress(&self) -> &ProgressCell {
        &self.inner.backup_progress
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.inner.audit
    }

    /// This node.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.inner.node
    }

    /// How it was opened.
    #[must_use]
    pub fn config(&self) -> &ClusterConfig {
        &self.inner.config
    }

    /// How this node does.
    #[must_use]
    pub fn status(&self) -> ClusterStatus {
        status::of(&self.inner)
    }

    /// The operator says the wall clock is right again: cluster time goes forward to it.
    pub fn follow_wall_clock(&self) {
        self.inner.shown.time.follow_wall_clock();
    }

    /// How each worker of this node does.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerReport> {
        self.inner.workers.get().map(Workers::reports).unwrap_or_default()
    }

    /// Stops taking part: what is acknowledged is on disk when this returns. The folder is free once the last clone is
    /// gone.
    pub async fn shutdown(&self) {
        self.inner.ending.cancel();
        if let Some(workers) = self.inner.workers.get() {
            for late in workers.stop(WORKERS_END_WITHIN).await {
                tracing::warn!(worker = late, "a worker did not end in time");
            }
        }
        if let Some(presence) = self.inner.presence.get() {
            presence.net.stop();
        }
        if let Mode::Running(running) = &self.inner.mode {
            if let Err(error) = running.raft.shutdown().await {
                tracing::warn!(%error, "consensus did not stop cleanly");
            }
            // An error here only says that it was stopped before.
            drop(running.log.close().await);
        }
        if let Err(error) = self.inner.audit.close().await {
            tracing::warn!(%error, "the audit log could not be synced at the end");
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cluster(node {})", self.inner.node)
    }
}
