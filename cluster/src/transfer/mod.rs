//! Bytes between nodes: one handle for writing, reading and moving the copies of an asset's Blobs.
//!
//! A writer writes its files here and sends the same bytes to the other holders ([`lanes`]); what it promises is durable
//! on two nodes, in two sites where there are two, or on the one node there is. A reader takes the copy here, or the
//! nearest other one ([`elsewhere`]). Taking over a Blob ([`take_over`]) asks at least two holders and brings the others
//! to the longest prefix. Whole sealed copies are fetched and checked by [`pull`]. With one node all of this is the store
//! of that node and nothing else.

mod elsewhere;
mod flow;
mod holder;
mod lanes;
mod peers;
mod pull;
mod repairs;
mod take_over;
mod viewers;
mod whole;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

pub use flow::Flow;
pub use holder::BlobService;
pub use pull::Pulled;
pub use repairs::{Damage, Repairs};
pub use viewers::{Served, Viewers};
#[cfg(feature = "sim")]
pub(crate) use wire::{Answer, Request, head as wire_head, message as wire_message, read as read_wire_head};

use crate::blob::{BlobKind, BlobName};
use crate::id::{AssetId, BlobId, NodeId};
use crate::keyring::DataKey;
use crate::net::{Net, NetError, Service};
use crate::placement::Candidate;
use crate::raft::machine::Shown;
use crate::state::{BlobRecord, Holders, State};
use crate::store::{BlobError, BlobReader, BlobWriter, Blobs};
use elsewhere::Elsewhere;
use lanes::{Lanes, Quorum};
use peers::Peers;
#[cfg(not(feature = "sim"))]
use wire::{Answer, Request};
use wire::{Failure, Listed};

/// How long one answer may take: a megabyte to a slow disk and its sync.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a node may fetch a copy before it is asked again whether it has it.
const ADOPT_WITHIN: Duration = Duration::from_secs(30);

/// How well everything is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Protection {
    /// Assets with no, one, two, and three or more holders that answer.
    pub assets_by_copies: [u64; 4],
    /// Copies there are to be of everything.
    pub copies_wanted: usize,
    /// So many more nodes may be lost, any of them, and everything is still there.
    pub nodes_to_lose: u32,
    /// So many more sites.
    pub sites_to_lose: u32,
    /// Bytes this node is still to fetch, as far as it has looked.
    pub missing_bytes: u64,
    /// How long that will take at the rate so far; none before anything came.
    pub missing_time: Option<Duration>,
}

/// What a node that is being emptied still holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Assets.
    pub assets: u64,
    /// Those of them that somebody writes to: they move when that has ended.
    pub written: u64,
}

/// What the bytes need to know of State.
pub trait Map: Send + Sync + fmt::Debug {
    /// Who holds an asset.
    fn holders(&self, asset: AssetId) -> Holders;
    /// Where a node stands; `None` for one that does not belong to the cluster.
    fn site_of(&self, node: NodeId) -> Option<String>;
    /// All nodes, as placement sees them by State alone.
    fn candidates(&self) -> Vec<Candidate>;
    /// Whether State has this asset. Without it nothing says who holds it: it was purged, or State here is behind.
    fn knows(&self, asset: AssetId) -> bool;
    /// How a Blob stands.
    fn standing(&self, name: BlobName) -> Standing;
}

/// How a Blob stands by State.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// State does not name it: it is named by a manifest, or by nothing.
    Unknown,
    /// A writer may be at it.
    Open,
    /// It is sealed, with this hash.
    Sealed([u8; 32]),
}

impl Standing {
    /// Of a Blob, by `state`.
    #[must_use]
    pub fn of(state: &State, name: BlobName) -> Self {
        let blob = state.asset(name.asset).and_then(|asset| asset.blob(name.blob));
        let stands = |blob: &BlobRecord| blob.sealed.map_or(Self::Open, |sealed| Self::Sealed(sealed.hash));
        blob.map_or(Self::Unknown, stands)
    }
}

/// The copies of all Blobs, wherever they are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Replicas {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    node: NodeId,
    blobs: Blobs,
    net: Arc<dyn Net>,
    map: Arc<dyn Map>,
    peers: Peers,
    elsewhere: Elsewhere,
    repairs: Repairs,
    protection: std::sync::Mutex<Protection>,
    leaving: std::sync::Mutex<BTreeMap<NodeId, Leaving>>,
    pull: pull::Pulls,
    viewers: Viewers,
    straggling: whole::Straggling,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Shared(node {})", self.node)
    }
}

impl Replicas {
    /// The copies as `node` sees them: its own in `blobs`, the others over `net`.
    #[must_use]
    pub fn new(node: NodeId, blobs: Blobs, net: Arc<dyn Net>, map: Arc<dyn Map>) -> Self {
        Self {
            shared: Arc::new(Shared {
                node,
                blobs,
                net,
                map,
                peers: Peers::default(),
                elsewhere: Elsewhere::default(),
                repairs: Repairs::default(),
                protection: std::sync::Mutex::new(Protection { copies_wanted: 1, ..Protection::default() }),
                leaving: std::sync::Mutex::default(),
                pull: pull::Pulls::default(),
                viewers: Viewers::default(),
                straggling: whole::Straggling::default(),
            }),
        }
    }

    /// The service by which other nodes reach what is here.
    #[must_use]
    pub fn service(&self) -> Arc<BlobService> {
        Arc::new(BlobService::new(Arc::clone(&self.shared)))
    }

    /// Creates a Blob, after State granted `epoch` for it. Durable on as many nodes as it must be when this returns.
    ///
    /// # Errors
    /// As [`Blobs::create`]; [`BlobError::TooFewCopies`] when too few holders can be reached.
    pub async fn create(
        &self,
        asset: AssetId,
        blob: BlobId,
        kind: BlobKind,
        epoch: u64,
        key: &DataKey,
    ) -> Result<BlobWriter, BlobError> {
        self.shared.known(asset)?;
        let writer = self.shared.blobs.create(asset, blob, kind, epoch, key).await?;
        if !self.shared.is_alone(asset) {
            take_over::bring_others(&self.shared, &writer, &[]).await?;
        }
        Ok(writer)
    }

    /// Takes a Blob over, after State granted `epoch` for it, from whichever holder has most of it.
    ///
    /// # Errors
    /// As [`Blobs::take_over`]; [`BlobError::TooFewCopies`] when too few holders can be reached.
    pub async fn take_over(
        &self,
        asset: AssetId,
        blob: BlobId,
        epoch: u64,
        key: &DataKey,
    ) -> Result<BlobWriter, BlobError> {
        self.shared.known(asset)?;
        if self.shared.is_alone(asset) {
            return self.shared.blobs.take_over(asset, blob, epoch, key).await;
        }
        take_over::take_over(&self.shared, BlobName { asset, blob }, epoch, key).await
    }

    /// A reader of a Blob, open or sealed, here or elsewhere. It sees what was acknowledged, and more as it grows.
    ///
    /// # Errors
    /// As [`Blobs::reader`].
    pub async fn reader(&self, asset: AssetId, blob: BlobId, key: &DataKey) -> Result<BlobReader, BlobError> {
        self.shared.known(asset)?;
        let here = self.shared.blobs.reader(asset, blob, key).await;
        if self.shared.is_alone(asset) {
            return here;
        }
        elsewhere::reader(&self.shared, BlobName { asset, blob }, key, here).await
    }

    /// Whether a copy here is whole, for scrub. Gives its hash.
    ///
    /// # Errors
    /// As [`Blobs::held_verify`].
    pub async fn verify(&self, name: BlobName) -> Result<[u8; 32], BlobError> {
        self.shared.blobs.held_verify(name).await
    }

    /// The store of this node.
    #[must_use]
    pub fn here(&self) -> &Blobs {
        &self.shared.blobs
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// What is to be repaired, as it is noticed.
    #[must_use]
    pub fn repairs(&self) -> &Repairs {
        &self.shared.repairs
    }

    /// Whom this node sends something to watch.
    #[must_use]
    pub fn viewers(&self) -> &Viewers {
        &self.shared.viewers
    }

    /// How well everything is kept, as it was counted last.
    #[must_use]
    pub fn protection(&self) -> Protection {
        *self.shared.protection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn set_protection(&self, change: impl FnOnce(&mut Protection)) {
        change(&mut self.shared.protection.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// What a node that is being emptied still holds, as it was counted last; `None` for any other, and before it was.
    #[must_use]
    pub fn leaving(&self, node: NodeId) -> Option<Leaving> {
        self.shared.leaving.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&node).copied()
    }

    pub(crate) fn set_leaving(&self, leaving: BTreeMap<NodeId, Leaving>) {
        *self.shared.leaving.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = leaving;
    }

    /// The nodes as placement sees them, with what this one knows of who is alive.
    #[must_use]
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = self.shared.map.candidates();
        for candidate in &mut candidates {
            candidate.alive =
                candidate.node == self.shared.node || self.shared.peers.is_alive(candidate.node);
            if candidate.node == self.shared.node {
                candidate.level = self.shared.blobs.space().map_or(candidate.level, |space| space.level);
            }
        }
        candidates
    }

    /// Whether a node has answered lately; true for one that was never asked.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        node == self.shared.node || self.shared.peers.is_alive(node)
    }

    /// The sealed Blobs that a node has of some assets (at most 64), each with the bytes and the hash of its file.
    ///
    /// # Errors
    /// [`BlobError::Unreachable`] when it does not answer.
    pub async fn listed(
        &self,
        node: NodeId,
        assets: &[AssetId],
    ) -> Result<Vec<(BlobName, u64, [u8; 32])>, BlobError> {
        let (answer, _) = self.shared.ask(node, &Request::List(assets.to_vec()), Bytes::new()).await?;
        let Answer::List(listed) = answer else { return Err(unexpected(&answer)) };
        let named = |one: Listed| (BlobName { asset: one.asset, blob: one.blob }, one.file_length, one.hash);
        Ok(listed.into_iter().map(named).collect())
    }

    /// Asks a node for nothing, to learn whether it is there.
    pub async fn knock(&self, node: NodeId) -> bool {
        self.shared.ask(node, &Request::List(Vec::new()), Bytes::new()).await.is_ok()
    }
}

/// State, as the bytes need it.
#[derive(Debug)]
pub struct StateMap {
    shown: Arc<Shown>,
}

impl StateMap {
    /// What the machine shows.
    #[must_use]
    pub fn new(shown: Arc<Shown>) -> Self {
        Self { shown }
    }
}

impl Map for StateMap {
    fn holders(&self, asset: AssetId) -> Holders {
        self.shown.state.load().holders(asset)
    }

    fn site_of(&self, node: NodeId) -> Option<String> {
        self.shown.state.load().node(node).map(|node| node.site.clone())
    }

    fn candidates(&self) -> Vec<Candidate> {
        self.shown.state.load().candidates()
    }

    fn knows(&self, asset: AssetId) -> bool {
        self.shown.state.load().asset(asset).is_some()
    }

    fn standing(&self, name: BlobName) -> Standing {
        Standing::of(&self.shown.state.load(), name)
    }
}

impl Shared {
    /// Refuses what State here does not have: its holders are not known, so nothing that is said of it counts.
    fn known(&self, asset: AssetId) -> Result<(), BlobError> {
        if self.map.knows(asset) { Ok(()) } else { Err(BlobError::NotFound) }
    }

    /// Whether this node is the only holder: then there is nobody to ask.
    fn is_alone(&self, asset: AssetId) -> bool {
        let holders = self.map.holders(asset);
        holders.len() == 1 && holders.contains(self.node)
    }

    /// The other holders that belong to the cluster, with their sites.
    fn others(&self, asset: AssetId) -> Vec<(NodeId, String)> {
        let others = self.map.holders(asset).iter().filter(|node| *node != self.node);
        others.filter_map(|node| Some((node, self.map.site_of(node)?))).collect()
    }

    /// Two nodes in two sites, where there are as many among the holders; this node counts when it is one.
    fn quorum(&self, asset: AssetId) -> Quorum {
        let holders = self.map.holders(asset);
        let mut sites: Vec<String> = holders.iter().filter_map(|node| self.map.site_of(node)).collect();
        sites.sort_unstable();
        sites.dedup();
        let nodes = holders.len().min(2);
        let here = holders.contains(self.node).then(|| self.map.site_of(self.node).unwrap_or_default());
        Quorum { here, nodes, sites: sites.len().clamp(1, nodes.max(1)) }
    }

    /// The holders in the order in which they are to be read from: this node, its site, then the quickest.
    fn nearest(&self, asset: AssetId) -> Vec<NodeId> {
        let own = self.map.site_of(self.node);
        let mut holders: Vec<NodeId> = self.map.holders(asset).iter().collect();
        holders.sort_by_key(|node| {
            let (failing, mean) = self.peers.rank(*node);
            let away = own.is_none() || self.map.site_of(*node) != own;
            (*node != self.node, failing, away, mean, *node)
        });
        holders
    }

    /// Asks a node, or this one, and notes how long it took.
    async fn ask(&self, node: NodeId, request: &Request, body: Bytes) -> Result<(Answer, Bytes), BlobError> {
        self.ask_within(node, request, body, ANSWER_WITHIN).await
    }

    async fn ask_within(
        &self,
        node: NodeId,
        request: &Request,
        body: Bytes,
        deadline: Duration,
    ) -> Result<(Answer, Bytes), BlobError> {
        if node == self.node {
            return Box::pin(holder::answer(self, request.clone(), body)).await;
        }
        let message = wire::message(request, body)?;
        let asked = Instant::now();
        let answer = match self.net.call(node, Service::Blob, message, deadline).await {
            Ok(answer) => answer,
            Err(NetError::Refused { reason, .. }) => return Err(BlobError::Io(reason)),
            Err(error) => {
                self.peers.failed(node);
                return Err(BlobError::Unreachable(error.to_string()));
            }
        };
        self.peers.answered(node, asked.elapsed());
        match wire::head(&answer).map_err(BlobError::Io)? {
            Answer::Failed(failure) => Err(failure.into()),
            head => Ok((head, answer.body)),
        }
    }

    /// Starts the lanes of a writer to nodes that stand where it stands.
    fn lanes(self: &Arc<Self>, writer: &BlobWriter, ready: Vec<(NodeId, String)>) -> Arc<Lanes> {
        let name = writer.name();
        Lanes::start(self, name, writer.epoch(), ready, self.quorum(name.asset))
    }
}

/// What an answer of another kind than was asked for means.
fn unexpected(answer: &Answer) -> BlobError {
    BlobError::Io(format!("another node gave an answer that does not fit: {answer:?}"))
}
