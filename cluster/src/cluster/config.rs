//! How a node takes part.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::backup::{Folders, OpenTargets};
use crate::clock::{Clock, SystemClock};
use crate::net::{Net, Services};
use crate::raft::log::MissingRange;
use crate::store::BlobsConfig;

/// How far the nodes of a cluster are from one another: it decides how long a silent leader is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// In one town: round trips up to some 30 ms.
    #[default]
    Near,
    /// Over a continent, or over lines that lose much: round trips up to some 150 ms.
    Far,
}

impl Distance {
    /// A leader says this often that it is there, in ms.
    pub(crate) fn heartbeat_ms(self) -> u64 {
        match self {
            Self::Near => 80,
            Self::Far => 250,
        }
    }

    /// Election timeouts, in ms. A leader's lease is the longest of them.
    pub(crate) fn election_ms(self) -> RangeInclusive<u64> {
        match self {
            Self::Near => 200..=350,
            Self::Far => 1000..=1600,
        }
    }
}

/// How other nodes are reached.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    /// Not at all: the node is alone.
    #[default]
    None,
    /// By mutual TLS over the network.
    Tls(TlsTransport),
    /// By what is given: a simulated network answers for this node by `services`.
    Given {
        /// The way out.
        net: Arc<dyn Net>,
        /// The way in.
        services: Services,
    },
}

/// Mutual TLS over the network.
#[derive(Clone)]
pub struct TlsTransport {
    /// Where the others connect.
    pub listen: SocketAddr,
    /// What they connect to, when it is not what is listened on: a name or address, with or without a port.
    pub advertise: Option<String>,
    /// Where people reach this node: `host:port`.
    pub public_address: String,
    /// The authority a node of its own had before it listened for others: certificate and private key (PKCS #8), DER.
    pub authority: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TlsTransport({}, {:?}, {})", self.listen, self.advertise, self.public_address)
    }
}

/// Everything [`Cluster::open`](super::Cluster::open) needs to know.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The node's data folder.
    pub dir: PathBuf,
    /// What people call this node.
    pub node_name: String,
    /// Where it stands.
    pub site: String,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// How long the log's database may take to open before it counts as damaged.
    pub open_deadline: Duration,
    /// How long a proposal may wait for a quorum.
    pub propose_deadline: Duration,
    /// A snapshot is taken and the log cut when it holds this many bytes.
    pub log_bytes: u64,
    /// Bytes of the newest records that stay in the log when it is cut for its size.
    pub log_bytes_kept: u64,
    /// A purged asset's key is gone from log and snapshots at most this long after the purge.
    pub forget_within: Duration,
    /// How long a node's certificate is good for; a new one is made when two thirds of that are over.
    pub certificate_life: Duration,
    /// Another node votes for one that was silent this long, where there is one.
    pub voter_silent_for: Duration,
    /// How far the other nodes are away.
    pub distance: Distance,
    /// When the Blob store refuses writes.
    pub blobs: BlobsConfig,
    /// How the other nodes are reached.
    pub transport: Transport,
    /// Opens places for backups.
    pub targets: Arc<dyn OpenTargets>,
    /// Where bytes are moved between nodes and workers work; by default where the node is opened, with agreement.
    pub bulk: Option<Handle>,
    /// Go on without the records a former start named as missing. Must name exactly those.
    pub accept_loss: Option<MissingRange>,
}

impl ClusterConfig {
    /// The usual configuration for a node whose data is in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, node_name: impl Into<String>, site: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            node_name: node_name.into(),
            site: site.into(),
            clock: Arc::new(SystemClock::new()),
            open_deadline: Duration::from_secs(60),
            propose_deadline: Duration::from_secs(20),
            log_bytes: 8 * 1024 * 1024,
            log_bytes_kept: 2 * 1024 * 1024,
            forget_within: Duration::from_secs(12 * 3600),
            certificate_life: Duration::from_secs(30 * 86_400),
            voter_silent_for: Duration::from_secs(600),
            distance: Distance::default(),
            blobs: BlobsConfig::default(),
            transport: Transport::None,
            targets: Arc::new(Folders::default()),
            bulk: None,
            accept_loss: None,
        }
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.dir.join("raft")
    }

    pub(super) fn snapshot_dir(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    pub(crate) fn audit_dir(&self) -> PathBuf {
        self.dir.join("audit")
    }

    pub(crate) fn blob_dir(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// The node's secrets, sealed to the recovery key.
    #[must_use]
    pub fn recovery_file(&self) -> PathBuf {
        self.dir.join("node-secrets.recovery")
    }

    pub(super) fn identity_file(&self) -> PathBuf {
        self.dir.join("identity")
    }

    /// The same once more.
    pub(super) fn spare_identity_file(&self) -> PathBuf {
        self.dir.join("identity.spare")
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Whether there is a node in `dir` already.
    #[must_use]
    pub fn is_initialised(dir: &Path) -> bool {
        // A log that was taken away leaves a node that must say so; a restore that was cut off, which never ran, leaves none.
        let snapshots = dir.join("snapshots");
        let has_snapshot = snapshots.join("manifest").exists() || snapshots.join("spare/manifest").exists();
        dir.join("raft").exists() || (has_snapshot && dir.join("format").exists())
    }
}
