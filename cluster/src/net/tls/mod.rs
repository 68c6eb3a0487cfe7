//! The door between real nodes: mutual TLS 1.3 on a port of its own, frames with request ids, one connection a lane.
//!
//! Consensus and control have a connection of their own, so that bytes never delay a heartbeat. Each node opens its own
//! connections to the others, and answers on those the others opened.

mod frame;
mod hello;
mod incoming;
mod join;
mod outgoing;
#[cfg(feature = "sim")]
pub mod parsers;
#[cfg(test)]
mod tests;
mod threshold;
mod trust;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustls::time_provider::TimeProvider;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use hello::Membership;
pub use join::{JoinCallError, ask_to_join};
pub use trust::NODE_VERSIONS;
pub(crate) use trust::Shown as ShownCertificate;

use super::{Message, Net, NetError, Service, Services};
use crate::authority::{NodeName, Part, is_issued_by};
use crate::command::Incarnation;
use crate::id::NodeId;
use hello::Lane;
use outgoing::Link;

const LOOK_AT_CLOCK: Duration = Duration::from_secs(60);

/// Answers nodes that want to join.
#[async_trait]
pub trait Joins: Send + Sync {
    /// Answers one request to join.
    ///
    /// # Errors
    /// Why it is refused.
    async fn join(&self, request: Bytes) -> Result<Bytes, String>;
}

/// What all connections share.
pub(super) struct Shared {
    name: NodeName,
    incarnation: Incarnation,
    membership: Arc<dyn Membership>,
    services: Services,
    joins: OnceLock<Arc<dyn Joins>>,
    shown: Arc<ShownCertificate>,
    trust: RwLock<Trust>,
    join_server: Arc<rustls::ServerConfig>,
    time: Arc<dyn TimeProvider>,
    /// Counts changes of membership: every connection then looks again whether it may stay.
    changes: watch::Sender<u64>,
    ending: CancellationToken,
    /// Where connections for bytes are served.
    bulk: Handle,
}

/// By whom certificates may be (DER, each), and what follows from that.
struct Trust {
    authorities: Vec<Vec<u8>>,
    /// Those that were among them.
    dropped: Vec<Vec<u8>>,
    client: Arc<rustls::ClientConfig>,
    server: Arc<rustls::ServerConfig>,
}

impl Trust {
    fn new(
        shown: &Arc<ShownCertificate>,
        authorities: Vec<Vec<u8>>,
        time: &Arc<dyn TimeProvider>,
    ) -> Result<Self, rustls::Error> {
        let client = trust::client(shown.clone(), &authorities, time.clone())?;
        let server = trust::server(shown.clone(), &authorities, time.clone())?;
        Ok(Self { authorities, dropped: Vec::new(), client, server })
    }
}

impl Shared {
    fn trust(&self) -> RwLockReadGuard<'_, Trust> {
        self.trust.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a connection of this node. What an edge asks is not urgent to agreement, however small it is.
    fn client(&self, lane: Lane) -> Arc<rustls::ClientConfig> {
        let client = self.trust().client.clone();
        match (lane, self.name.part) {
            (Lane::Urgent, Part::Node) => client,
            (Lane::Bulk, _) | (_, Part::Edge) => Arc::new(trust::for_bulk(&client)),
        }
    }

    fn server(&self) -> Arc<rustls::ServerConfig> {
        self.trust().server.clone()
    }

    /// Whether the certificate that a connection was opened by is from an authority that is trusted no more.
    fn is_of_the_past(&self, certificate: &[u8]) -> bool {
        self.trust().dropped.iter().any(|dropped| is_issued_by(certificate, dropped))
    }

    /// Waits until the authority of a connection's certificate is trusted no more.
    fn when_of_the_past(&self, certificate: Vec<u8>) -> impl Future<Output = ()> {
        let mut changes = self.changes.subscribe();
        async move {
            while !self.is_of_the_past(&certificate) {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits until a certificate that ends then (in ms since 1970) is over. A connection lasts no longer than what it was
    /// opened by.
    async fn when_over(&self, ends_at_ms: Option<u64>) {
        let Some(ends_at) = ends_at_ms.map(Duration::from_millis) else { return };
        loop {
            let now =
                self.time.current_time().map_or(Duration::ZERO, |now| Duration::from_secs(now.as_secs()));
            let Some(left) = ends_at.checked_sub(now).filter(|left| !left.is_zero()) else { return };
            // Looked at again now and then, since the clock may be put right meanwhile.
            tokio::time::sleep(left.min(LOOK_AT_CLOCK)).await;
        }
    }

    fn admits(&self, part: Part, node: NodeId, incarnation: &Incarnation) -> Result<(), String> {
        admits(&*self.membership, part, node, incarnation)
    }

    /// Waits until `node` is no member any more, and says why.
    fn when_not_admitted(
        &self,
        part: Part,
        node: NodeId,
        incarnation: Incarnation,
    ) -> impl Future<Output = String> {
        let (mut changes, membership) = (self.changes.subscribe(), self.membership.clone());
        async move {
            loop {
                if let Err(reason) = admits(&*membership, part, node, &incarnation) {
                    return reason;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn admits(
    membership: &dyn Membership,
    part: Part,
    node: NodeId,
    incarnation: &Incarnation,
) -> Result<(), String> {
    match part {
        Part::Node => membership.admits(node, incarnation),
        Part::Edge => membership.admits_edge(node, incarnation),
    }
}

/// What a node needs to take part.
pub struct TlsSettings {
    /// Who this node is.
    pub name: NodeName,
    /// Which of its starts this is.
    pub incarnation: Incarnation,
    /// By whom certificates may be: the certificates of those authorities (DER).
    pub authorities: Vec<Vec<u8>>,
    /// What the others are shown.
    pub(crate) shown: Arc<ShownCertificate>,
    /// Who belongs to the cluster.
    pub membership: Arc<dyn Membership>,
    /// What is answered.
    pub services: Services,
    /// Where the others connect; none for an edge, which nobody connects to.
    pub listener: Option<std::net::TcpListener>,
    /// By which certificates are judged.
    pub time: Arc<dyn TimeProvider>,
    /// Where connections for bytes are served, so that no byte delays a heartbeat; the others are served where this is
    /// started.
    pub bulk: Handle,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TlsSettings({:?}, {:?})", self.name, self.listener)
    }
}

/// What a node shows and speaks between nodes.
#[derive(Debug, Clone)]
pub struct InUse {
    /// Its certificate (DER).
    pub certificate: Vec<u8>,
    /// How others' connections are answered.
    pub server: Arc<rustls::ServerConfig>,
    /// How others are connected to.
    pub client: Arc<rustls::ClientConfig>,
    /// How nodes are answered that want to join.
    pub join_server: Arc<rustls::ServerConfig>,
}

/// Mutual TLS to the other nodes.
pub struct TlsNet {
    shared: Arc<Shared>,
    links: Mutex<HashMap<(NodeId, Lane), Arc<Link>>>,
    /// Where urgent connections are served.
    urgent: Handle,
}

impl TlsNet {
    /// Listens from now on, and connects when it is asked to.
    ///
    /// # Errors
    /// When the certificates are not usable or the port cannot be listened on.
    pub fn start(settings: TlsSettings) -> std::io::Result<Arc<Self>> {
        let TlsSettings { name, incarnation, authorities, shown, membership, services, listener, time, bulk } =
            settings;
        let tls = |error: rustls::Error| std::io::Error::other(error);
        let shared = Arc::new(Shared {
            name,
            incarnation,
            membership,
            services,
            joins: OnceLock::new(),
            trust: RwLock::new(Trust::new(&shown, authorities, &time).map_err(tls)?),
            time,
            join_server: trust::join_server(shown.clone()).map_err(tls)?,
            shown,
            changes: watch::Sender::new(0),
            ending: CancellationToken::new(),
            bulk,
        });
        if let Some(listener) = listener {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (accepting, ending) = (shared.clone(), shared.ending.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = ending.cancelled() => {}
                    () = incoming::accept(accepting, listener) => {}
                }
            });
        }
        Ok(Arc::new(Self { shared, links: Mutex::default(), urgent: Handle::current() }))
    }

    /// Answers nodes that want to join from now on.
    pub fn serve_joins(&self, joins: Arc<dyn Joins>) {
        // Set once, while the node starts.
        drop(self.shared.joins.set(joins));
    }

    /// From now on certificates may be by these authorities (DER), and by no others: connections that were opened by
    /// another's certificate end. Gives whether that is a change.
    ///
    /// # Errors
    /// When one of them is no authority; nothing is changed then.
    pub fn trust(&self, authorities: Vec<Vec<u8>>) -> Result<bool, rustls::Error> {
        {
            let mut trust = self.shared.trust.write().unwrap_or_else(PoisonError::into_inner);
            if trust.authorities == authorities {
                return Ok(false);
            }
            let next = Trust::new(&self.shared.shown, authorities, &self.shared.time)?;
            let before = std::mem::replace(&mut *trust, next);
            let known = before.dropped.into_iter().chain(before.authorities);
            let dropped = known.filter(|known| !trust.authorities.contains(known)).collect();
            trust.dropped = dropped;
        }
        self.shared.changes.send_modify(|count| *count += 1);
        Ok(true)
    }

    /// What is shown and spoken now, for whoever looks at it.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        let trust = self.shared.trust();
        InUse {
            certificate: self.shared.shown.certificate(),
            server: trust.server.clone(),
            client: trust.client.clone(),
            join_server: self.shared.join_server.clone(),
        }
    }

    /// State's view of the members has changed: whoever is none any more is cut off.
    pub fn members_changed(&self) {
        self.shared.changes.send_modify(|count| *count += 1);
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(node, _), link| {
            let stays = self.shared.membership.address(*node).is_some();
            if !stays {
                link.end();
            }
            stays
        });
    }

    /// Whether the machine of `node` refuses connections: its process has ended, as far as is known now.
    #[must_use]
    pub fn is_refused(&self, node: NodeId) -> bool {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(&(node, Lane::Urgent)).is_some_and(|link| link.is_refused())
    }

    /// Ends every connection and stops listening.
    pub fn stop(&self) {
        self.shared.ending.cancel();
    }

    fn link(&self, node: NodeId, lane: Lane) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || {
            // Asked by whatever thread: the connection belongs where its lane is served.
            let on = if lane == Lane::Bulk { &self.shared.bulk } else { &self.urgent };
            Link::open(self.shared.clone(), node, lane, on)
        };
        links.entry((node, lane)).or_insert_with(open).clone()
    }
}

impl Drop for TlsNet {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for TlsNet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TlsNet(node {})", self.shared.name.node)
    }
}

#[async_trait]
impl Net for TlsNet {
    async fn call(
        &self,
        to: NodeId,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        if self.shared.membership.address(to).is_none() {
            return Err(NetError::Unreachable { node: to, reason: "no such node is known".to_owned() });
        }
        let lane = match service {
            Service::Raft | Service::Control | Service::Edge => Lane::Urgent,
            Service::Blob | Service::Snapshot | Service::EdgeBytes => Lane::Bulk,
        };
        self.link(to, lane).call(service, message, deadline).await.map_err(|error| match error {
            NetError::Refused { reason, .. } => NetError::Refused { node: to, reason },
            other => other,
        })
    }
}
