//! An edge's part: it joins by a token, proves who it is by a certificate, and asks the cluster's nodes what edges may ask.
//! It has no Raft, no State and no cluster key.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::runtime::Handle;

use super::ground::{lock, prepare};
use super::identity::Identity;
use super::join::be_admitted;
use super::members::{COPY, REMOVED};
use super::{Cluster, ClusterConfig, JoinError, JoinToken, OpenError, ProposeError, format};
use crate::actor::Actor;
use crate::authority::{
    Authority, AuthorityError, CertificateKey, Lifetime, NodeName, Trusted, fingerprint, is_issued_by,
    renew_at_ms, requested_key,
};
use crate::command::{EdgeCommand, Incarnation, NewEdge, NewNode, SecretHash};
use crate::id::NodeId;
use crate::keyring::StorageKey;
use crate::net::tls::{Membership, ShownCertificate, TlsNet, TlsSettings};
use crate::net::{Message, Net, NetError, Service, Services};
use crate::outcome::Outcome;
use crate::seal::Seal;
use crate::state::host_of;

/// The folder of an edge's identity, in its data folder: so a folder says whether it is a node's or an edge's.
const FOLDER: &str = "edge";
/// How long a certificate that an edge shows to browsers is good for.
pub const EDGE_PUBLIC_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// How an edge takes part.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Its data folder.
    pub dir: PathBuf,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// Where people reach it: `host:port`.
    pub public_address: String,
}

impl EdgeConfig {
    /// Whether there is an edge in `dir`.
    #[must_use]
    pub fn is_edge(dir: &Path) -> bool {
        Self::inner(dir, "", "").identity_file().exists()
    }

    fn inner(dir: &Path, name: &str, site: &str) -> ClusterConfig {
        ClusterConfig::new(dir.join(FOLDER), name, site)
    }

    fn cluster(&self) -> ClusterConfig {
        Self::inner(&self.dir, &self.name, &self.site)
    }
}

/// An edge that is connected, or tries to be.
pub struct EdgeNode {
    config: EdgeConfig,
    identity: Mutex<Identity>,
    /// As a node said last; none until one has.
    trusted: Mutex<Option<Trusted>>,
    incarnation: Incarnation,
    net: Arc<TlsNet>,
    shown: Arc<ShownCertificate>,
    nodes: Arc<CoreNodes>,
    clock: Arc<EdgeClock>,
    storage_key: StorageKey,
    /// Held as long as the edge runs: two processes must not share a folder.
    _lock: File,
}

impl EdgeNode {
    /// Joins a cluster by `token` with an empty folder. Nothing is left that looks like an edge when it fails.
    ///
    /// # Errors
    /// [`JoinError`] says whether the token, the cluster or this machine is at fault.
    pub async fn join(config: &EdgeConfig, seal: &dyn Seal, token: &JoinToken) -> Result<(), JoinError> {
        if EdgeConfig::is_edge(&config.dir) || ClusterConfig::is_initialised(&config.dir) {
            return Err(JoinError::Exists(config.dir.clone()));
        }
        let inner = config.cluster();
        let (secrets, storage_key) = prepare(&inner, seal)?;
        let key = CertificateKey::generate().map_err(super::connect::certificates)?;
        let new = NewNode {
            name: config.name.clone(),
            site: config.site.clone(),
            public_key: *secrets.public_key().as_bytes(),
            certificate_key: key.public_hash,
            // Nobody connects to an edge: that is what tells it from a node that joins.
            cluster_address: String::new(),
            public_address: config.public_address.clone(),
        };
        let identity = Identity { settled: true, ..be_admitted(token, new, &key).await? };
        identity.write(&inner, &storage_key)?;
        Ok(())
    }

    /// Starts the edge that joined before. It connects when it is asked to.
    ///
    /// # Errors
    /// [`OpenError`] when there is none, or its folder cannot be used.
    pub fn open(config: EdgeConfig, seal: &dyn Seal) -> Result<Self, OpenError> {
        let inner = config.cluster();
        if !EdgeConfig::is_edge(&config.dir) {
            return Err(OpenError::Absent(config.dir.clone()));
        }
        let lock = lock(&inner)?;
        format::check(&inner)?;
        let storage_key = seal.unlock()?.storage_key()?;
        let read = Identity::read(&inner, &storage_key)?;
        let mut identity = read.ok_or_else(|| OpenError::Absent(config.dir.clone()))?;
        let incarnation = identity.start(&inner, &storage_key)?;
        let tls = |error: rustls::Error| OpenError::Consensus(format!("this edge's certificate: {error}"));
        let shown = ShownCertificate::new(identity.chain(None), &identity.key).map_err(tls)?;
        let nodes = Arc::new(CoreNodes::default());
        nodes.set(&identity.seeds);
        let clock = Arc::new(EdgeClock::new());
        let net = TlsNet::start(TlsSettings {
            name: NodeName::edge(identity.cluster, identity.node),
            incarnation,
            authorities: identity.roots(None),
            shown: shown.clone(),
            membership: nodes.clone(),
            services: Services::default(),
            listener: None,
            time: clock.clone(),
            bulk: Handle::current(),
        })?;
        let (identity, trusted) = (Mutex::new(identity), Mutex::default());
        Ok(Self {
            config,
            identity,
            trusted,
            incarnation,
            net,
            shown,
            nodes,
            clock,
            storage_key,
            _lock: lock,
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.identity().node
    }

    /// Which of its starts this is.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// How it was opened.
    #[must_use]
    pub fn config(&self) -> &EdgeConfig {
        &self.config
    }

    /// SHA-256 of the certificate of the authority that this edge's own is by.
    #[must_use]
    pub fn issuer(&self) -> [u8; 32] {
        fingerprint(&self.identity().authority)
    }

    /// Whether `certificate` (DER) is by the authority that new ones are to be by.
    #[must_use]
    pub fn is_by_authority_in_force(&self, certificate: &[u8]) -> bool {
        let identity = self.identity();
        let trusted = self.trusted();
        let in_force = trusted.as_ref().map_or(&identity.authority, |trusted| &trusted.in_force);
        is_issued_by(certificate, in_force)
    }

    /// What browsers are shown for `certificate` (DER, each).
    #[must_use]
    pub fn public_chain(&self, certificate: Vec<u8>) -> Vec<Vec<u8>> {
        let identity = self.identity();
        match &*self.trusted() {
            Some(trusted) => trusted.public_chain(certificate),
            None => vec![certificate, identity.authority.clone()],
        }
    }

    /// Certificates may be by these authorities and by no others, by the word of a node. Connections by others' end.
    ///
    /// # Errors
    /// When one of them is no authority; nothing is changed then.
    pub fn follow_authorities(&self, next: Trusted) -> Result<(), OpenError> {
        let unusable = |error: rustls::Error| OpenError::Consensus(error.to_string());
        let identity = self.identity();
        let mut trusted = self.trusted();
        if trusted.as_ref() == Some(&next) {
            return Ok(());
        }
        self.net.trust(identity.roots(Some(&next))).map_err(unusable)?;
        self.shown.replace(identity.chain(Some(&next)), &identity.key).map_err(unusable)?;
        *trusted = Some(next);
        Ok(())
    }

    /// The key for whatever this edge keeps on disk.
    #[must_use]
    pub fn storage_key(&self) -> &StorageKey {
        &self.storage_key
    }

    /// Cluster time, as far as this edge was told, in ms since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Cluster time is `now_ms`, by the word of a node.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.clock.set(now_ms);
    }

    /// The cluster's nodes, as far as this edge was told.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.nodes.read().keys().copied().collect()
    }

    /// The cluster has these nodes now. Kept for the next start. Of one that is nowhere, and of none at all, nothing is
    /// learnt.
    pub fn set_nodes(&self, mut nodes: Vec<(NodeId, String)>) {
        nodes.retain(|(_, address)| !address.is_empty());
        if nodes.is_empty() || !self.nodes.set(&nodes) {
            return;
        }
        self.net.members_changed();
        let mut identity = self.identity();
        identity.seeds = nodes;
        if let Err(error) = identity.write(&self.config.cluster(), &self.storage_key) {
            tracing::warn!(%error, "where the cluster's nodes are could not be kept");
        }
    }

    /// Asks `node`; with `bulk`, on the connection for bytes.
    ///
    /// # Errors
    /// [`NetError`] when no answer came.
    pub async fn ask(
        &self,
        node: NodeId,
        bulk: bool,
        head: Vec<u8>,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        let service = if bulk { Service::EdgeBytes } else { Service::Edge };
        self.net.call(node, service, Message { head: head.into(), body }, deadline).await
    }

    /// The way to the nodes.
    #[must_use]
    pub fn net(&self) -> Arc<dyn Net> {
        self.net.clone()
    }

    /// Why this edge must stop, when an error says that the cluster knows it no longer, or knows a newer start of it.
    #[must_use]
    pub fn must_stop(error: &NetError) -> Option<&str> {
        match error {
            NetError::Unreachable { reason, .. } if reason == REMOVED || reason == COPY => Some(reason),
            _ => None,
        }
    }

    /// A key and request for the next certificate, when two thirds of this one's life are over, or it is by another
    /// authority than the one in force.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn renewal(&self) -> Result<Option<CertificateKey>, AuthorityError> {
        let (due_ms, authority) = {
            let identity = self.identity();
            (renew_at_ms(&identity.certificate), identity.authority.clone())
        };
        let is_of_the_past = self.trusted().as_ref().is_some_and(|trusted| trusted.in_force != authority);
        if !is_of_the_past && due_ms.is_some_and(|due_ms| self.now_ms() < due_ms) {
            return Ok(None);
        }
        CertificateKey::generate().map(Some)
    }

    /// Shows `certificate` over `key` from the next connection on.
    ///
    /// # Errors
    /// When it cannot be kept or used.
    pub fn renewed(&self, key: &CertificateKey, certificate: Vec<u8>) -> Result<(), OpenError> {
        let unusable = |error: rustls::Error| OpenError::Consensus(error.to_string());
        let mut identity = self.identity();
        let trusted = self.trusted();
        let in_force = trusted.as_ref().map_or(&identity.authority, |trusted| &trusted.in_force);
        if !is_issued_by(&certificate, in_force) {
            return Err(OpenError::Consensus("the new certificate is by another authority".to_owned()));
        }
        let authority = in_force.clone();
        let renewed = Identity { certificate, authority, key: key.key.to_vec(), ..identity.clone() };
        renewed.write(&self.config.cluster(), &self.storage_key)?;
        self.shown.replace(renewed.chain(trusted.as_ref()), &renewed.key).map_err(unusable)?;
        self.net.trust(renewed.roots(trusted.as_ref())).map_err(unusable)?;
        *identity = renewed;
        tracing::info!("this edge has a new certificate");
        Ok(())
    }

    /// Ends every connection.
    pub fn stop(&self) {
        self.net.stop();
    }

    /// Taken after the identity where both are needed.
    fn trusted(&self) -> std::sync::MutexGuard<'_, Option<Trusted>> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identity(&self) -> std::sync::MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for EdgeNode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "EdgeNode({})", self.id())
    }
}

/// The cluster's nodes as an edge was told of them.
#[derive(Debug, Default)]
struct CoreNodes(RwLock<BTreeMap<NodeId, String>>);

impl CoreNodes {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<NodeId, String>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives whether anything changed.
    fn set(&self, nodes: &[(NodeId, String)]) -> bool {
        let new: BTreeMap<NodeId, String> = nodes.iter().cloned().collect();
        if *self.read() == new {
            return false;
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        true
    }
}

impl Membership for CoreNodes {
    fn admits(&self, node: NodeId, _: &Incarnation) -> Result<(), String> {
        if self.read().contains_key(&node) { Ok(()) } else { Err("no such node is known".to_owned()) }
    }

    fn admits_edge(&self, _: NodeId, _: &Incarnation) -> Result<(), String> {
        Err("edges do not ask one another".to_owned())
    }

    fn address(&self, node: NodeId) -> Option<String> {
        self.read().get(&node).cloned()
    }
}

/// Cluster time at an edge: the wall clock at first, then what nodes say.
#[derive(Debug)]
struct EdgeClock(Mutex<(Instant, u64)>);

impl EdgeClock {
    fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Mutex::new((Instant::now(), u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))))
    }

    fn now_ms(&self) -> u64 {
        let (at, ms) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ms.saturating_add(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn set(&self, now_ms: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), now_ms);
    }
}

impl TimeProvider for EdgeClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.now_ms())))
    }
}

impl Cluster {
    /// A token for one edge to join by, until `expires_ms`.
    ///
    /// # Errors
    /// [`ProposeError`] when `actor` may not make one, or the cluster cannot agree on it.
    pub async fn new_edge_token(&self, actor: Actor, expires_ms: u64) -> Result<JoinToken, ProposeError> {
        let token = self.draw_token(expires_ms)?;
        let secret_hash = token.secret_hash();
        self.propose(actor, EdgeCommand::CreateToken { secret_hash, expires_ms }.into()).await?;
        Ok(token)
    }

    /// Admits an edge; `request` proves its key. Gives its id.
    pub(super) async fn admit_edge(
        &self,
        secret_hash: SecretHash,
        new: NewNode,
    ) -> Result<NodeId, ProposeError> {
        let edge = NewEdge {
            name: new.name,
            site: new.site,
            certificate_key: new.certificate_key,
            public_address: new.public_address,
        };
        let command = EdgeCommand::Admit { secret_hash, edge };
        match self.propose(Actor::system(self.node_id()), command.into()).await? {
            Outcome::Node(edge) => Ok(edge),
            _ => Err(ProposeError::Unavailable("no id was given".to_owned())),
        }
    }

    /// The next certificate of an edge that has proved by its present one who it is.
    ///
    /// # Errors
    /// When `request` (a CSR, DER) does not prove its key, or this node cannot open the authority.
    pub fn certify_edge(&self, edge: NodeId, request: &[u8]) -> Result<Vec<u8>, AuthorityError> {
        requested_key(request)?;
        let cluster = self.state().cluster_info().map(|info| info.id).unwrap_or_default();
        self.opened_authority()?.certify(request, NodeName::edge(cluster, edge), self.certificate_life())
    }

    /// A certificate for browsers that come to `edge`: under the host it joined with, and from its own machine. A host that
    /// leads to a node of the cluster is left out: an edge never passes for a node.
    ///
    /// # Errors
    /// As for [`Cluster::certify_edge`].
    pub fn certify_edge_host(&self, edge: NodeId, request: &[u8]) -> Result<Vec<u8>, AuthorityError> {
        let state = self.state();
        let is_nodes = |host: &String| state.nodes().any(|node| host_of(&node.public_address) == *host);
        let host = state.edge(edge).map(|edge| edge.host()).filter(|host| !is_nodes(host));
        let mut hosts = vec!["localhost".to_owned()];
        let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        match host.as_ref().map(|host| host.parse::<IpAddr>()) {
            Some(Ok(address)) => addresses.push(address),
            Some(Err(_)) => hosts.extend(host),
            None => {}
        }
        let life = Lifetime { now_ms: self.now_ms(), life: EDGE_PUBLIC_LIFE };
        self.opened_authority()?.certify_host(request, &hosts, &addresses, life)
    }

    fn opened_authority(&self) -> Result<Authority, AuthorityError> {
        self.authority()?.ok_or(AuthorityError::None)
    }
}
