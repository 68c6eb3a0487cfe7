//! A node in a temporary folder, and the few Commands the stories need.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::actor::Actor;
use cluster::command::{AccessCommand, AuditCommand, Command, PasswordHash};
use cluster::disk::StopFlag;
use cluster::id::{ApplicationId, NodeId, UserId};
use cluster::keyring::AeadKey;
use cluster::raft::log::{LogOptions, LogPlace};
use cluster::seal::KeyFileSeal;
use cluster::{Cluster, ClusterConfig};
use tempfile::TempDir;

/// How to open the log of a node in `dir`, new or not, with nothing beside it.
pub fn log_options(dir: &Path) -> LogOptions {
    LogOptions {
        place: LogPlace::in_folder(dir).unwrap(),
        key: Arc::new(AeadKey::new(&[5; 32]).unwrap()),
        was_there: false,
        open_deadline: Duration::from_secs(60),
        snapshot: None,
        stop: StopFlag::new(),
        accept_loss: None,
    }
}

/// A node's folder with its key file beside it. Removed at the end.
pub struct Home {
    pub root: TempDir,
    pub config: ClusterConfig,
}

impl Home {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let config = ClusterConfig::new(root.path().join("data"), "one", "home");
        Self { root, config }
    }

    pub fn seal(&self) -> Arc<KeyFileSeal> {
        Arc::new(KeyFileSeal::new(self.root.path().join("node.key"), &self.config.dir).unwrap())
    }

    pub async fn create(&self) -> Cluster {
        let cluster = Cluster::create(self.config.clone(), self.seal()).await.unwrap().0;
        // A node says soon after its first start which build it runs; what tests compare must not change by itself later.
        let said = async {
            while cluster.state().release(NodeId(1)).is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), said).await.expect("it says what it runs");
        cluster
    }

    pub async fn open(&self) -> Cluster {
        Cluster::open(self.config.clone(), self.seal()).await.unwrap()
    }
}

/// The node itself asks.
pub fn system() -> Actor {
    Actor::system(NodeId(1))
}

/// A Command that changes nothing but the audit log.
pub fn note(text: &str) -> Command {
    Command::Audit(AuditCommand::Record {
        action: "test.note".to_owned(),
        target: text.to_owned(),
        application: None,
        result: "ok".to_owned(),
        details: std::collections::BTreeMap::new(),
    })
}

pub fn claim() -> Command {
    Command::Access(AccessCommand::Claim {
        user: UserId::generate(),
        username: "ada".to_owned(),
        password_hash: PasswordHash(
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2g".to_owned(),
        ),
        application: ApplicationId::generate(),
        application_name: "Films".to_owned(),
    })
}
