//! Opening a node: secrets, snapshot, log, consensus.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::{Config, Raft, SnapshotPolicy};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::proposer::Proposer;
use super::{Cluster, ClusterConfig, Inner, Mode, OpenError, Running, Transport, keys, reader};
use crate::actor::Actor;
use crate::audit::AuditLog;
use crate::command::{ClusterCommand, Command, KeyHolder};
use crate::disk::{RealDisk, StopFlag};
use crate::id::NodeId;
use crate::keyring::{Keyring, NodeSecrets, StorageKey, fill_random};
use crate::net::{Net, NoNet, Peers, Service, Services};
use crate::raft::log::{self, LogOptions, LogStore, MissingRange, Opened, files, record};
use crate::raft::machine::{Machine, Restored, Shown};
use crate::raft::network::Network;
use crate::raft::snapshot::SnapshotFolder;
use crate::raft::time::ClusterTime;
use crate::raft::types::TypeConfig;
use crate::recovery::RecoveryKey;
use crate::seal::{Seal, SealMode};
use crate::store::Blobs;
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
        let cluster = start(config, seal, true).await?;
        if cluster.state().cluster_info().is_some() {
            cluster.shutdown().await;
            return Err(OpenError::Exists(dir));
        }
        match cluster.initialise().await {
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
        let cluster = start(config, seal, false).await?;
        if cluster.state().cluster_info().is_none() && cluster.status().read_only.is_none() {
            cluster.shutdown().await;
            return Err(OpenError::Absent(dir));
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
        Ok(log::forget_loss(&self.inner.config.log_dir())?)
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

/// What is on disk, opened.
struct Ground {
    lock: File,
    secrets: NodeSecrets,
    storage_key: StorageKey,
    seal_mode: SealMode,
    folder: SnapshotFolder,
    restored: Restored,
    audit: AuditLog,
    blobs: Blobs,
    stop: StopFlag,
    opened: Opened,
}

impl Ground {
    fn open(config: &ClusterConfig, seal: &dyn Seal, create: bool) -> Result<Self, OpenError> {
        files::create_dir(&config.dir)?;
        let lock = lock(config)?;
        let secrets = if create { seal.unlock_or_create()? } else { seal.unlock()? };
        let storage_key = secrets.storage_key()?;
        let stop = StopFlag::new();
        let folder =
            SnapshotFolder::open(&config.snapshot_dir(), Arc::new(storage_key.purpose("snapshot")?))?;
        let restored = Restored::read(&folder)?;
        let audit =
            AuditLog::open(&config.audit_dir(), Arc::new(storage_key.purpose("audit")?), stop.clone())?;
        audit.resume_after(restored.state.chain_head().sequence);
        let opened = log::open(LogOptions {
            dir: config.log_dir(),
            key: Arc::new(storage_key.purpose("raft log")?),
            open_deadline: config.open_deadline,
            snapshot: restored.applied.last,
            stop: stop.clone(),
            accept_loss: config.accept_loss,
        })?;
        let disk = RealDisk::open(config.blob_dir())?;
        let blobs = Blobs::open(Arc::new(disk), stop.clone(), config.blobs.clone())?;
        let seal_mode = seal.mode();
        Ok(Self { lock, secrets, storage_key, seal_mode, folder, restored, audit, blobs, stop, opened })
    }
}

async fn start(config: ClusterConfig, seal: Arc<dyn Seal>, create: bool) -> Result<Cluster, OpenError> {
    let for_ground = config.clone();
    let ground = tokio::task::spawn_blocking(move || Ground::open(&for_ground, &*seal, create))
        .await
        .map_err(|error| OpenError::Consensus(error.to_string()))??;
    let Ground { lock, secrets, storage_key, seal_mode, folder, mut restored, audit, blobs, stop, opened } =
        ground;
    let time = |restored: &Restored| ClusterTime::start(config.clock.clone(), restored.state.time_ms());
    let (shown, mode, repairs, accepted_loss) = match opened {
        Opened::Whole { store, repairs, accepted_loss } => {
            let time = time(&restored);
            let shown = Shown::new(restored, time);
            let machine = Machine::new(shown.clone(), folder, audit.clone());
            let running = run(&config, store, machine, shown.clone()).await?;
            (shown, Mode::Running(running), repairs, accepted_loss)
        }
        Opened::Short { voters, missing, reasons, .. } if voters >= 2 => {
            return Err(OpenError::MustRejoin { missing, reasons: reasons.join("; ") });
        }
        Opened::Short { content, missing, reasons, .. } => {
            let key = storage_key.purpose("raft log")?;
            // Alone, whatever was durable was agreed.
            for bytes in content.records.values() {
                restored.apply(&record::decode(bytes, &key)?);
            }
            tracing::error!(%missing, "acknowledged log records are missing: this node is read-only");
            let time = time(&restored);
            (Shown::new(restored, time), Mode::ReadOnly(missing), reasons, None)
        }
    };
    for repair in &repairs {
        tracing::warn!(%repair, "the log needed attention");
    }
    let (net, services): (Arc<dyn Net>, Services) = match &config.transport {
        Transport::None => (Arc::new(NoNet), Services::default()),
        Transport::Given { net, services } => (net.clone(), services.clone()),
    };
    let peers = Peers::new(config.clock.clone());
    let map = Arc::new(StateMap::new(shown.clone()));
    let bytes = Replicas::new(FOUNDER, blobs.clone(), net.clone(), map);
    services.register(Service::Blob, bytes.service());
    let cluster = Cluster {
        inner: Arc::new(Inner {
            net,
            services,
            peers,
            node: FOUNDER,
            config,
            shown,
            audit,
            keyring: Keyring::empty(),
            secrets: Arc::new(secrets),
            storage_key,
            seal_mode,
            mode,
            repairs,
            bytes,
            blobs,
            stop,
            ending: CancellationToken::new(),
            workers: OnceLock::new(),
            _lock: lock,
        }),
    };
    keys::learn_all(&cluster.state(), cluster.node_id(), cluster.keys(), &cluster.inner.secrets)?;
    keys::spawn(&cluster);
    if let Some(missing) = accepted_loss {
        cluster.record_loss(missing).await?;
    }
    if matches!(cluster.inner.mode, Mode::Running(_)) {
        let workers = Workers::start(workers::all(&cluster), &cluster.inner.ending);
        // Nobody else has the handle yet, so the place is free.
        drop(cluster.inner.workers.set(workers));
    }
    Ok(cluster)
}

/// Starts consensus, and leaves nothing running when it does not start.
async fn run(
    config: &ClusterConfig,
    store: LogStore,
    machine: Machine,
    shown: Arc<Shown>,
) -> Result<Running, OpenError> {
    let consensus = |error: &dyn std::fmt::Display| OpenError::Consensus(error.to_string());
    let raft_config = Arc::new(raft_config()?);
    let raft = Raft::<TypeConfig>::new(FOUNDER.0, raft_config, Network, store.clone(), machine)
        .await
        .map_err(|error| consensus(&error))?;
    if let Err(error) = lead_alone(&raft).await {
        drop(raft.shutdown().await);
        drop(store.close().await);
        return Err(error);
    }
    follow_voters(&raft, &store);
    let proposer = Proposer { raft: raft.clone(), shown, deadline: config.propose_deadline };
    Ok(Running { proposals: proposer.spawn(), reads: reader::spawn(raft.clone()), raft, log: store })
}

/// Waits until a lone voter leads and has carried out its whole log; makes it a voter first if it is new.
async fn lead_alone(raft: &Raft<TypeConfig>) -> Result<(), OpenError> {
    let consensus = |error: &dyn std::fmt::Display| OpenError::Consensus(error.to_string());
    if !raft.is_initialized().await.map_err(|error| consensus(&error))? {
        raft.initialize(BTreeSet::from([FOUNDER.0])).await.map_err(|error| consensus(&error))?;
    }
    raft.wait(Some(LEAD_WITHIN))
        .metrics(
            |metrics| {
                let applied = metrics.last_applied.map(|applied| applied.index);
                metrics.current_leader == Some(FOUNDER.0)
                    && applied.is_some()
                    && applied == metrics.last_log_index
            },
            "a lone voter leads and is up to date",
        )
        .await
        .map_err(|error| consensus(&error))?;
    Ok(())
}

/// Tells the log how many voters there are, for as long as consensus runs: below three it keeps a journal.
fn follow_voters(raft: &Raft<TypeConfig>, store: &LogStore) {
    let (mut metrics, store) = (raft.server_metrics(), store.clone());
    tokio::spawn(async move {
        loop {
            let voters = metrics.borrow_and_update().membership_config.voter_ids().count();
            if let Err(error) = store.set_voters(u32::try_from(voters).unwrap_or(u32::MAX)).await {
                tracing::debug!(%error, "the log follows the number of voters no longer");
                return;
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Snapshots are taken and the log is cut by its bytes, by a worker; never by openraft's own count of records.
fn raft_config() -> Result<Config, OpenError> {
    Config {
        cluster_name: "mediakeep".to_owned(),
        heartbeat_interval: 80,
        election_timeout_min: 200,
        election_timeout_max: 350,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    }
    .validate()
    .map_err(|error| OpenError::Consensus(error.to_string()))
}

fn lock(config: &ClusterConfig) -> Result<File, OpenError> {
    let file = File::options().create(true).truncate(false).write(true).open(config.lock_file())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(config.dir.clone())),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}
