//! Edges: nodes near viewers that hold ciphertext and nothing else of the cluster.
//!
//! On a node of the cluster, [`desk`] answers edges ([`ask`] says what they may ask), [`recent`] keeps what changed lately,
//! and [`contacts`] how each edge does. On an edge, [`run()`] starts it, [`follow`] hears what changes, [`rights`] knows who may
//! watch, [`cache`] holds files ([`index`] knows which), [`warm`] fetches ahead, and [`serve`] answers viewers.

pub mod ask;
mod cache;
mod contacts;
mod desk;
mod follow;
mod index;
mod metrics;
mod recent;
mod rights;
mod run;
mod serve;
mod tls;
mod warm;
mod watch;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::EdgeNode;
use cluster::id::{AssetId, NodeId};
use cluster::keyring::EdgeKeys;
use cluster::net::NetError;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use self::ask::{Question, Reply, WarmProgress, read};
use self::cache::Cache;
use self::metrics::Figures;
use self::rights::Rights;
use crate::config::Config;

pub use contacts::{Contact, Contacts};
pub use desk::Desk;
pub use run::{EdgeOptions, run};

/// A small question is answered within this time, or another node is asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// A piece of a file.
const PIECE_WITHIN: Duration = Duration::from_secs(20);
/// Content keys that are held; one is 16 bytes.
const MOST_KEYS: usize = 4_096;

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// Every node was tried, or none has been reached yet.
    #[error("no node of the cluster can be reached")]
    NoNode,
    /// The way there.
    #[error(transparent)]
    Net(#[from] NetError),
    /// It failed.
    #[error("a node of the cluster failed: {0}")]
    Failed(String),
    /// Not what was asked for.
    #[error("a node of the cluster gave an answer that is none: {0}")]
    Nonsense(String),
}

/// Whether viewers are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Not yet: it must first be heard what was purged and revoked.
    Shut,
    /// Yes.
    Open,
}

/// A content key in memory: wiped when dropped, and never printed.
struct HeldKey(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for HeldKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("HeldKey(redacted)")
    }
}

/// A running edge.
#[derive(Debug)]
struct Edge {
    node: EdgeNode,
    config: Config,
    pair: EdgeKeys,
    cache: Cache,
    rights: Rights,
    keys: Mutex<HashMap<(AssetId, u32), HeldKey>>,
    gate: tokio::sync::watch::Sender<Gate>,
    /// The node that is followed, and asked.
    followed: RwLock<Option<NodeId>>,
    /// When a node that knew of a leader was heard last; none since the start.
    heard: Mutex<Option<Instant>>,
    /// Where people reach the cluster's nodes.
    public: RwLock<Vec<String>>,
    warm_now: Notify,
    warm: Mutex<Vec<WarmProgress>>,
    figures: Figures,
    began: Instant,
}

impl Edge {
    fn new(node: EdgeNode, config: Config, cache: Cache) -> anyhow::Result<Self> {
        Ok(Self {
            pair: EdgeKeys::generate()?,
            rights: Rights::default(),
            keys: Mutex::default(),
            gate: tokio::sync::watch::Sender::new(Gate::Shut),
            followed: RwLock::default(),
            heard: Mutex::default(),
            public: RwLock::default(),
            warm_now: Notify::new(),
            warm: Mutex::default(),
            figures: Figures::default(),
            began: Instant::now(),
            node,
            config,
            cache,
        })
    }

    /// How long no node was heard that knew of a leader; none when there never was one.
    fn silence(&self) -> Option<Duration> {
        lock(&self.heard).map(|at| at.elapsed())
    }

    /// Asks the node that is followed. Another may be behind it, and must not be believed about Views.
    async fn ask(&self, question: &Question) -> Result<(Reply, Bytes), AskError> {
        let node = *self.followed.read().unwrap_or_else(PoisonError::into_inner);
        self.ask_node(node.ok_or(AskError::NoNode)?, question).await
    }

    async fn ask_node(&self, node: NodeId, question: &Question) -> Result<(Reply, Bytes), AskError> {
        let nonsense = |error: String| AskError::Nonsense(error);
        let bulk = matches!(question, Question::File { .. } | Question::WarmFiles { .. });
        let within = if bulk { PIECE_WITHIN } else { ANSWER_WITHIN };
        self.figures.asked(question);
        let head = postcard::to_stdvec(question).map_err(|error| nonsense(error.to_string()))?;
        let answer = self.node.ask(node, bulk, head, Bytes::new(), within).await?;
        match read(&answer.head).map_err(nonsense)? {
            Reply::Failed(reason) => Err(AskError::Failed(reason)),
            reply => Ok((reply, answer.body)),
        }
    }

    /// Forgets all that viewers were let have: keys and rights, and with `files` what lies on the disk.
    fn forget(&self, files: bool) {
        self.gate.send_replace(Gate::Shut);
        lock(&self.keys).clear();
        self.rights.clear();
        if files {
            self.cache.forget_all();
        }
    }

    fn keep_key(&self, asset: AssetId, period: u32, key: Zeroizing<Vec<u8>>) {
        let mut keys = lock(&self.keys);
        if keys.len() >= MOST_KEYS {
            keys.clear();
        }
        keys.insert((asset, period), HeldKey(key));
    }

    fn forget_keys_of(&self, asset: AssetId) {
        lock(&self.keys).retain(|(known, _), _| *known != asset);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
