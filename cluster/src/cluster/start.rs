//! Opening a node: secrets, snapshot, log, consensus.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::{Config, Raft, SnapshotPolicy};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::connect::listen;
use super::ground::Ground;
use super::proposer::Proposer;
use super::reader::Reader;
use super::requests::Requests;
use super::{Cluster, ClusterConfig, Distance, Inner, Mode, OpenError, Running, Transport, keys, pepper};
use crate::actor::Actor;
use crate::audit::{AuditLog, HeadBook};
use crate::backup::ProgressCell;
use crate::blocking::blocking;
use crate::command::{ClusterCommand, Command, KeyHolder};
use crate::disk::RealDisk;
use crate::id::NodeId;
use crate::keyring::{Keyring, StorageKey, fill_random};
use crate::net::{LateNet, Peers, Service, Services};
use crate::raft::log::{self, LogStore, MissingRange, Opened, files, record};
use crate::raft::machine::{Machine, Restored, Shown};
use crate::raft::metrics;
use crate::raft::network::Network;
use crate::raft::serve::RaftService;
use crate::raft::snapshot::SnapshotFolder;
use crate::raft::time::ClusterTime;
use crate::raft::types::TypeConfig;
use crate::recovery::RecoveryKey;
use crate::seal::Seal;
use crate::transfer::{Replicas, StateMap};
use crate::worker::Workers;
use crate::workers;

/// The first node of every cluster. Ids are the numbers of the Entries that brought the nodes in: this is Entry 1.
const FOUNDER: NodeId = NodeId(1);
/// How long a lone voter may take to lead itself.
const LEAD_WITHIN: Duration = Duration::from_secs(60);

/// What is shown once, when a cluster is made.
#[derive(Debug)]
pub struct NewClusterSecrets {
    /// Opens every cluster key, should all nodes lose theirs. Kept nowhere.
    pub recovery_key: RecoveryKey,
}

impl NewClusterSecrets {
    /// The recovery key, to be written down.
    #[must_use]
    pub fn recovery_text(&self) -> Zeroizing<String> {
        self.recovery_key.to_text()
    }
}

impl Cluster {
    /// Makes a new cluster of this one node. If an earlier attempt was cut off before the cluster's first Entry, this
    /// completes it with a new recovery key.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when there is one already; the others say what failed.
    pub async fn create(
        config: ClusterConfig,
        seal: Arc<dyn Seal>,
    ) -> Result<(Self, NewClusterSecrets), OpenError> {
        let dir = config.dir.clone();
        let listening = listen(&config)?;
        let cluster = start(config, seal, How::Create).await?;
        if cluster.state().cluster_info().is_some() {
            cluster.shutdown().await;
            return Err(OpenError::Exists(dir));
        }
        let made = async {
            let secrets = cluster.initialise().await?;
            cluster.connect(listening).await?;
            Ok(secrets)
        };
        match made.await {
            Ok(secrets) => Ok((cluster, secrets)),
            Err(error) => {
                cluster.shutdown().await;
                Err(error)
            }
        }
    }

    /// Opens the node in `config.dir`.
    ///
    /// # Errors
    /// [`OpenError::Absent`] when there is none; the others say what failed. A node that lost acknowledged records and
    /// is alone opens read-only: see [`ClusterStatus::read_only`](super::ClusterStatus::read_only).
    pub async fn open(config: ClusterConfig, seal: Arc<dyn Seal>) -> Result<Self, OpenError> {
        if !ClusterConfig::is_initialised(&config.dir) {
            return Err(OpenError::Absent(config.dir));
        }
        let dir = config.dir.clone();
        let listening = listen(&config)?;
        let cluster = start(config, seal, How::Open).await?;
        let read_only = cluster.status().read_only.is_some();
        let absent = !cluster.inner.has_identity && cluster.state().cluster_info().is_none();
        if absent && !read_only {
            cluster.shutdown().await;
            return Err(OpenError::Absent(dir));
        }
        // A node that lost records alone has nobody to speak with, and must not.
        let connected = if read_only { Ok(()) } else { cluster.connect(listening).await };
        if let Err(error) = connected {
            cluster.shutdown().await;
            return Err(error);
        }
        Ok(cluster)
    }

    /// Puts the loss an operator accepted on record, before anything else happens.
    async fn record_loss(&self, missing: MissingRange) -> Result<(), OpenError> {
        self.inner.audit.set_aside_after(self.state().chain_head().sequence)?;
        let node = self.node_id();
        let command = ClusterCommand::AcceptLoss { node, first: missing.first, last: missing.last };
        let recorded = self.propose(Actor::system(node), Command::Cluster(command)).await;
        recorded.map_err(OpenError::LossNotRecorded)?;
        Ok(log::forget_loss(&RealDisk::open(self.inner.config.log_dir())?)?)
    }

    async fn initialise(&self) -> Result<NewClusterSecrets, OpenError> {
        let recovery_key = RecoveryKey::generate()?;
        let (own, recovery) = (self.inner.secrets.public_key(), recovery_key.public_key());
        files::write_atomically(
            &self.inner.config.recovery_file(),
            &self.inner.secrets.seal_for_recovery(&recovery)?,
        )?;
        let (_, sealed) = Keyring::empty().propose_epoch(&[own, recovery])?;
        let holder = |to| if to == own { KeyHolder::Node(FOUNDER) } else { KeyHolder::Recovery };
        let sealed = sealed.into_iter().map(|one| keys::stored(one.clone(), holder(one.recipient))).collect();
        let mut cluster_id = [0; 16];
        fill_random(&mut cluster_id)?;
        let command = ClusterCommand::Initialise {
            cluster_id,
            node: FOUNDER,
            node_name: self.inner.config.node_name.clone(),
            site: self.inner.config.site.clone(),
            node_public_key: *own.as_bytes(),
            recovery_public_key: *recovery.as_bytes(),
            sealed,
        };
        self.propose(Actor::system(FOUNDER), Command::Cluster(command)).await?;
        keys::learn_all(&self.state(), FOUNDER, &self.inner.keyring, &self.inner.secrets)?;
        Ok(NewClusterSecrets { recovery_key })
    }
}

/// How a node comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// With a cluster of its own.
    Create,
    /// It was there before.
    Open,
    /// By a token: its identity is in its folder, and nothing else yet.
    Join,
}

pub(super) async fn start(
    config: ClusterConfig,
    seal: Arc<dyn Seal>,
    how: How,
) -> Result<Cluster, OpenError> {
    let for_ground = config.clone();
    let ground = blocking(move || Ground::open(&for_ground, &*seal, how))
        .await
        .map_err(|error| OpenError::Consensus(error.to_string()))??;
    let node = ground.identity.as_ref().map_or(FOUNDER, |identity| identity.node);
    // Its identity counts this start when it meets the others.
    let starts = ground.identity.as_ref().map_or(0, |identity| identity.starts + 1);
    let requests = Requests::of_new_life(node, starts)?;
    let net = Arc::new(LateNet::default());
    let services = match &config.transport {
        Transport::Given { net: given, services } => {
            net.set(given.clone());
            services.clone()
        }
        Transport::None | Transport::Tls(_) => Services::default(),
    };
    let begun = begin(BeginWith {
        config: &config,
        storage_key: &ground.storage_key,
        consensus: Consensus {
            node,
            found: ground.identity.is_none(),
            net: net.clone(),
            services: &services,
        },
        folder: ground.folder,
        audit: &ground.audit,
        restored: ground.restored,
        opened: ground.opened,
    })
    .await?;
    begun.repairs.iter().for_each(|repair| tracing::warn!(%repair, "the log needed attention"));
    let map = Arc::new(StateMap::new(begun.shown.clone()));
    let bytes = Replicas::new(node, ground.blobs.clone(), net.clone(), map);
    services.register(Service::Blob, bytes.service());
    let cluster = Cluster {
        inner: Arc::new(Inner {
            heads: Arc::new(HeadBook::open(&config.dir, ground.storage_key.clone())),
            net,
            services,
            peers: Peers::new(config.clock.clone()),
            node,
            has_identity: ground.identity.is_some(),
            requests,
            presence: OnceLock::new(),
            config,
            shown: begun.shown,
            audit: ground.audit,
            keyring: Keyring::empty(),
            pepper: pepper::Opened::default(),
            runtime: tokio::runtime::Handle::current(),
            secrets: Arc::new(ground.secrets),
            storage_key: ground.storage_key,
            seal_mode: ground.seal_mode,
            mode: begun.mode,
            repairs: begun.repairs,
            bytes,
            blobs: ground.blobs,
            stop: ground.stop,
            ending: CancellationToken::new(),
            workers: OnceLock::new(),
            backup_progress: ProgressCell::default(),
            signed: watch::Sender::new(None),
            _lock: ground.lock,
        }),
    };
    get_to_work(&cluster, begun.accepted_loss).await?;
    Ok(cluster)
}

/// Answers other nodes, learns the cluster keys and sets the workers going.
async fn get_to_work(cluster: &Cluster, accepted_loss: Option<MissingRange>) -> Result<(), OpenError> {
    if !cluster.inner.has_identity {
        is_founder(cluster)?;
    }
    cluster.serve_control();
    keys::learn_all(&cluster.state(), cluster.node_id(), cluster.keys(), &cluster.inner.secrets)?;
    if matches!(cluster.inner.mode, Mode::Running(_)) {
        keys::keep_recoverable(&cluster.state(), &cluster.inner.config, &cluster.inner.secrets)?;
    }
    keys::spawn(cluster);
    if let Some(missing) = accepted_loss {
        cluster.record_loss(missing).await?;
    }
    if matches!(cluster.inner.mode, Mode::Running(_)) {
        let workers = {
            let bulk = cluster.bulk();
            let _there = bulk.enter();
            Workers::start(workers::all(cluster), &cluster.inner.ending)
        };
        // Nobody else has the handle yet, so the place is free.
        drop(cluster.inner.workers.set(workers));
    }
    Ok(())
}

/// Only the first node may be without an identity, as long as it listens for no others. Any other has lost its own, and
/// must not take the first one's: it has not spoken to anybody yet.
fn is_founder(cluster: &Cluster) -> Result<(), OpenError> {
    let state = cluster.state();
    let own = cluster.inner.secrets.public_key();
    let founder = state.node(FOUNDER).is_some_and(|node| node.public_key == *own.as_bytes());
    if founder || state.cluster_info().is_none() {
        return Ok(());
    }
    Err(OpenError::IdentityDamaged(cluster.inner.config.identity_file()))
}

/// What a log is begun from.
struct BeginWith<'a> {
    config: &'a ClusterConfig,
    storage_key: &'a StorageKey,
    consensus: Consensus<'a>,
    folder: SnapshotFolder,
    audit: &'a AuditLog,
    restored: Restored,
    opened: Opened,
}

/// A log that is carried out, by consensus or once for reading.
struct Begun {
    shown: Arc<Shown>,
    mode: Mode,
    repairs: Vec<String>,
    accepted_loss: Option<MissingRange>,
}

/// Starts consensus on a whole log. A lone voter that lost records is opened to be read; one of several must rejoin.
async fn begin(with: BeginWith<'_>) -> Result<Begun, OpenError> {
    let BeginWith { config, storage_key, consensus, folder, audit, mut restored, opened } = with;
    let time = |restored: &Restored| ClusterTime::start(config.clock.clone(), restored.state.time_ms());
    match opened {
        Opened::Whole { store, repairs, accepted_loss } => {
            let time = time(&restored);
            let shown = Shown::new(restored, time);
            store.purge_behind(shown.applied.subscribe());
            let running = consensus.run(config, store, audit.clone(), folder, shown.clone()).await?;
            Ok(Begun { shown, mode: Mode::Running(running), repairs, accepted_loss })
        }
        // The snapshot knows them too, should the watermark be lost.
        Opened::Short { voters, missing, reasons, .. } if voters >= 2 || restored.voters() >= 2 => {
            Err(OpenError::MustRejoin { missing, reasons: reasons.join("; ") })
        }
        Opened::Short { content, missing, reasons, .. } => {
            let key = storage_key.purpose("raft log")?;
            // Alone, whatever was durable was agreed.
            for bytes in content.records.values() {
                restored.apply(&record::decode(bytes, &key)?);
            }
            tracing::error!(%missing, "acknowledged log records are missing: this node is read-only");
            let time = time(&restored);
            let shown = Shown::new(restored, time);
            Ok(Begun { shown, mode: Mode::ReadOnly(missing), repairs: reasons, accepted_loss: None })
        }
    }
}

/// What consensus is started with.
struct Consensus<'a> {
    node: NodeId,
    /// It may be the first node of a new cluster.
    found: bool,
    net: Arc<LateNet>,
    services: &'a Services,
}

impl Consensus<'_> {
    /// Starts consensus, and leaves nothing running when it does not start.
    async fn run(
        self,
        config: &ClusterConfig,
        store: LogStore,
        audit: AuditLog,
        folder: SnapshotFolder,
        shown: Arc<Shown>,
    ) -> Result<Running, OpenError> {
        let raft_config = Arc::new(raft_config(config.distance)?);
        store.start_as_follower();
        let durable = store.answer_ahead();
        let machine = Machine::new(shown.clone(), folder.clone(), audit, durable.clone());
        let network = Network::new(self.net.clone(), durable.clone());
        let raft = Raft::<TypeConfig>::new(self.node.0, raft_config, network, store.clone(), machine)
            .await
            .map_err(|error| OpenError::Consensus(error.to_string()))?;
        if let Err(error) = self.lead_alone(&raft).await {
            drop(raft.shutdown().await);
            drop(store.close().await);
            return Err(error);
        }
        let heard = RaftService::register(self.services, raft.clone(), folder, durable);
        follow_voters(&raft, &store);
        let proposer =
            Proposer { raft: raft.clone(), shown: shown.clone(), deadline: config.propose_deadline };
        let reader = Reader { me: self.node, raft: raft.clone(), shown, net: self.net };
        Ok(Running { proposals: proposer.spawn(), reads: reader.spawn(), raft, log: store, heard })
    }

    /// Waits until a lone voter leads and has carried out its whole log; makes it a voter first if it is new.
    async fn lead_alone(&self, raft: &Raft<TypeConfig>) -> Result<(), OpenError> {
        let consensus = |error: &dyn std::fmt::Display| OpenError::Consensus(error.to_string());
        let me = self.node.0;
        let is_new = !raft.is_initialized().await.map_err(|error| consensus(&error))?;
        if self.found && is_new {
            raft.initialize(BTreeSet::from([me])).await.map_err(|error| consensus(&error))?;
        }
        let voters = raft
            .with_raft_state(|state| {
                state.membership_state.effective().voter_ids().collect::<BTreeSet<u64>>()
            })
            .await
            .map_err(|error| consensus(&error))?;
        if voters != BTreeSet::from([me]) {
            return Ok(());
        }
        if !is_new {
            // Nobody else could be elected, so there is nothing to wait for.
            raft.trigger().elect().await.map_err(|error| consensus(&error))?;
        }
        raft.wait(Some(LEAD_WITHIN))
            .metrics(
                |metrics| {
                    let applied = metrics.last_applied.map(|applied| applied.index);
                    metrics.current_leader == Some(me)
                        && applied.is_some()
                        && applied == metrics.last_log_index
                },
                "a lone voter leads and is up to date",
            )
            .await
            .map_err(|error| consensus(&error))?;
        Ok(())
    }
}

/// Tells the log how many voters there are, for as long as consensus runs: see [`LogStore::set_voters`].
pub(crate) fn follow_voters(raft: &Raft<TypeConfig>, store: &LogStore) {
    let (mut standing, store) = (metrics::standing(raft), store.clone());
    tokio::spawn(async move {
        loop {
            let voters = standing.borrow_and_update().membership_config.voter_ids().count();
            if let Err(error) = store.set_voters(u32::try_from(voters).unwrap_or(u32::MAX)).await {
                tracing::debug!(%error, "the log follows the number of voters no longer");
                return;
            }
            if standing.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Snapshots are taken and the log is cut by its bytes, by a worker; never by openraft's own count of records.
pub(crate) fn raft_config(distance: Distance) -> Result<Config, OpenError> {
    let election_ms = distance.election_ms();
    Config {
        cluster_name: "mediakeep".to_owned(),
        heartbeat_interval: distance.heartbeat_ms(),
        election_timeout_min: *election_ms.start(),
        election_timeout_max: *election_ms.end(),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        // A message is bounded, and so is a record.
        max_payload_entries: 64,
        ..Config::default()
    }
    .validate()
    .map_err(|error| OpenError::Consensus(error.to_string()))
}
