//! Taking part: the door to the other nodes is opened, and what keeps an eye on them is started.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use super::clocks::watch_clocks;
use super::control::{Answer, Ask, ask};
use super::identity::Identity;
use super::join::Door;
use super::members::{COPY, Members, REMOVED};
use super::succession::follow_a_lost_leader;
use super::{Cluster, ClusterConfig, Inner, OpenError, Transport};
use crate::actor::Actor;
use crate::authority::{Authority, Lifetime, NodeName, fingerprint};
use crate::command::{ClusterCommand, Command, Incarnation};
use crate::event::Event;
use crate::id::NodeId;
use crate::net::NetError;
use crate::net::tls::{ShownCertificate, TlsNet, TlsSettings};
use crate::raft::machine::Shown;
use crate::raft::metrics;

/// Every other node is asked this often whether it is there.
const PING_EVERY: Duration = Duration::from_secs(1);
/// A leader that no quorum has answered for this long is none: it stops saying that it is.
const QUORUM_WITHIN_MS: u64 = 3000;
const LOOK_AT_QUORUM: Duration = Duration::from_millis(250);
/// A node that starts waits this long for the others, before it serves what it knows.
const HEAR_WITHIN: Duration = Duration::from_secs(15);
/// A node that joins takes over all of State.
const JOIN_WITHIN: Duration = Duration::from_secs(300);

/// What this node shows to the others, and where they find it.
#[derive(Debug)]
pub(super) struct Presence {
    pub(super) net: Arc<TlsNet>,
    pub(super) shown: Arc<ShownCertificate>,
    pub(super) incarnation: Incarnation,
    pub(super) cluster_address: String,
    pub(super) public_address: String,
    /// SHA-256 of the certificate shown now.
    pub(super) certificate: std::sync::Mutex<[u8; 32]>,
    /// The certificate (DER) of the authority that it is by.
    pub(super) issuer: std::sync::Mutex<Vec<u8>>,
    /// One change of what is shown and trusted at a time.
    pub(super) changing: std::sync::Mutex<()>,
}

/// Listens where the others connect, and says under which address they find it.
pub(super) fn listen(config: &ClusterConfig) -> Result<Option<(TcpListener, String)>, OpenError> {
    let Transport::Tls(settings) = &config.transport else { return Ok(None) };
    let listener = TcpListener::bind(settings.listen)
        .map_err(|source| OpenError::Listen { address: settings.listen, source })?;
    let bound = listener.local_addr()?;
    let address =
        settings.advertise.clone().map_or_else(|| bound.to_string(), |host| with_port(&host, bound));
    Ok(Some((listener, address)))
}

/// An address without a port is meant with the one that is listened on.
fn with_port(host: &str, bound: SocketAddr) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
        port.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']'))
    });
    if has_port { host.to_owned() } else { format!("{host}:{}", bound.port()) }
}

impl Cluster {
    /// Opens the door to the others. A cluster of one gets an authority and an identity first.
    pub(super) async fn connect(&self, listening: Option<(TcpListener, String)>) -> Result<(), OpenError> {
        self.spawn_watchers();
        let Some((listener, cluster_address)) = listening else { return Ok(()) };
        let (config, key) = (&self.inner.config, &self.inner.storage_key);
        let mut identity = match Identity::read(config, key)? {
            Some(identity) => self.with_certificate_of_now(identity),
            None => self.found_identity().await?,
        };
        let incarnation = identity.start(config, key)?;
        let shown = ShownCertificate::new(identity.chain(self.state().trusted().as_ref()), &identity.key)
            .map_err(|error| OpenError::Consensus(format!("this node's certificate: {error}")))?;
        let membership = Arc::new(Members {
            me: self.inner.node,
            shown: self.inner.shown.clone(),
            seeds: identity.seeds.clone(),
        });
        let net = TlsNet::start(TlsSettings {
            name: NodeName::node(identity.cluster, identity.node),
            incarnation,
            authorities: identity.roots(self.state().trusted().as_ref()),
            shown: shown.clone(),
            membership,
            services: self.inner.services.clone(),
            listener: Some(listener),
            time: Arc::new(ByClusterTime(self.inner.shown.clone())),
            bulk: self.bulk(),
        })?;
        net.serve_joins(Arc::new(Door(Arc::downgrade(&self.inner))));
        self.inner.net.set(net.clone());
        let public_address = match &config.transport {
            Transport::Tls(settings) => settings.public_address.clone(),
            _ => String::new(),
        };
        let certificate = std::sync::Mutex::new(fingerprint(&identity.certificate));
        let presence = Presence {
            net,
            shown,
            incarnation,
            cluster_address,
            public_address,
            certificate,
            issuer: std::sync::Mutex::new(identity.authority.clone()),
            changing: std::sync::Mutex::default(),
        };
        // Nobody else has the handle yet, so the place is free.
        drop(self.inner.presence.set(presence));
        self.hear_the_others(identity).await
    }

    /// The identity of a cluster's first node, made when it first listens.
    async fn found_identity(&self) -> Result<Identity, OpenError> {
        let authority = self.found_authority().await?;
        let cluster = self.state().cluster_info().map(|info| info.id).unwrap_or_default();
        let name = NodeName::node(cluster, self.inner.node);
        Identity::founder(name, &authority, self.certificate_life()).map_err(certificates)
    }

    /// State's authority. A cluster that has none yet gets the one this node had, or a new one.
    async fn found_authority(&self) -> Result<Authority, OpenError> {
        let state = self.state();
        if let Some(stored) = state.authority() {
            return Authority::open(stored, &self.inner.keyring).map_err(certificates);
        }
        let given = match &self.inner.config.transport {
            Transport::Tls(settings) => settings.authority.clone(),
            _ => None,
        };
        let authority = match given {
            Some((certificate, key)) => Authority::from_der(certificate, &key).map_err(certificates)?,
            None => Authority::generate().map_err(certificates)?,
        };
        self.keep_authority(&authority).await?;
        Ok(authority)
    }

    /// Waits until this node knows what the others know. One that has joined must; one that was here before may go on.
    async fn hear_the_others(&self, identity: Identity) -> Result<(), OpenError> {
        let until = Instant::now() + if identity.settled { HEAR_WITHIN } else { JOIN_WITHIN };
        while !self.knows_itself() || self.linearizable().await.is_err() {
            if Instant::now() >= until {
                let late = "the other nodes were not heard in time; this node knows what it knew before";
                if identity.settled {
                    tracing::warn!("{late}");
                    return Ok(());
                }
                return Err(OpenError::Consensus("the cluster's State did not come in time".to_owned()));
            }
            if let Some(reason) = self.inner.stop.reason() {
                return Err(OpenError::Consensus(reason));
            }
            sleep(Duration::from_millis(50)).await;
        }
        if !identity.settled {
            Identity { settled: true, ..identity }.write(&self.inner.config, &self.inner.storage_key)?;
        }
        Ok(())
    }

    fn knows_itself(&self) -> bool {
        self.state().node(self.inner.node).is_some()
    }

    fn spawn_watchers(&self) {
        let inner = Arc::downgrade(&self.inner);
        let watchers: [std::pin::Pin<Box<dyn Future<Output = ()> + Send>>; 6] = [
            Box::pin(follow_members(inner.clone(), self.rarer_events())),
            Box::pin(ping_others(inner.clone())),
            Box::pin(watch_quorum(inner.clone())),
            Box::pin(follow_leaders(inner.clone())),
            Box::pin(follow_a_lost_leader(inner.clone())),
            Box::pin(watch_clocks(inner)),
        ];
        for watcher in watchers {
            let ending = self.inner.ending.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = ending.cancelled() => {}
                    () = watcher => {}
                }
            });
        }
    }
}

impl Cluster {
    /// The time that a certificate made now is good for.
    pub(super) fn certificate_life(&self) -> Lifetime {
        Lifetime { now_ms: self.now_ms(), life: self.inner.config.certificate_life }
    }
}

/// Certificates are judged by cluster time: a wall clock that jumps cuts nobody off.
#[derive(Debug)]
pub(super) struct ByClusterTime(pub(super) Arc<Shown>);

impl TimeProvider for ByClusterTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.time.now_ms())))
    }
}

pub(super) fn certificates(error: crate::authority::AuthorityError) -> OpenError {
    OpenError::Consensus(format!("certificates: {error}"))
}

/// Cuts off whoever is no member any more; a node that was removed itself stops.
async fn follow_members(inner: Weak<Inner>, mut events: tokio::sync::broadcast::Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(Event::ClusterChanged | Event::StateReplaced) | Err(RecvError::Lagged(_)) => {}
            Ok(_) => continue,
            Err(RecvError::Closed) => return,
        }
        let Some(inner) = inner.upgrade() else { return };
        let state = inner.shown.state.load();
        for report in inner.peers.reports().iter().filter(|report| state.is_removed(report.node)) {
            inner.peers.forget(report.node);
        }
        inner.follow_authorities();
        if let Some(presence) = inner.presence.get() {
            presence.net.members_changed();
        }
        if state.cluster_info().is_some() && state.is_removed(inner.node) {
            inner.stop.raise(REMOVED.to_owned());
        }
    }
}

async fn ping_others(inner: Weak<Inner>) {
    loop {
        let Some(held) = inner.upgrade() else { return };
        let others: Vec<NodeId> =
            held.shown.state.load().nodes().map(|node| node.id).filter(|id| *id != held.node).collect();
        for node in others {
            let held = held.clone();
            tokio::spawn(async move {
                let start = held.config.clock.monotonic();
                match ask(&*held.net, node, &Ask::Ping, PING_EVERY).await {
                    Ok(Answer::Pong { wall_ms }) => {
                        let round_trip = held.config.clock.monotonic().saturating_sub(start);
                        // Its clock was read half a round trip ago.
                        let half_ms = u64::try_from(round_trip.as_millis() / 2).unwrap_or(0);
                        // A process that was stopped in between has measured its own stop.
                        if round_trip <= PING_EVERY {
                            held.peers.answered(node, round_trip, wall_ms.saturating_add(half_ms));
                        }
                    }
                    Ok(_) => {}
                    // The others may have shut the door before this node heard of its removal by the log; a copy of a
                    // node hears nothing else.
                    Err(NetError::Unreachable { reason, .. }) if reason == REMOVED => {
                        held.stop.raise(reason);
                    }
                    Err(NetError::Unreachable { reason, .. }) if reason == COPY => {
                        held.end_as_a_copy(reason);
                    }
                    Err(_) => {}
                }
            });
        }
        drop(held);
        sleep(PING_EVERY).await;
    }
}

impl Inner {
    /// Stops a node whose start the others refuse, and takes the count of this start back: a copy that is started again
    /// and again must not come to be ahead of the node itself.
    pub(super) fn end_as_a_copy(&self, reason: String) {
        let (config, key) = (&self.config, &self.storage_key);
        let counted = self.presence.get().map(|presence| presence.incarnation.count);
        let taken_back = Identity::read(config, key).and_then(|identity| match identity {
            Some(identity) if Some(identity.starts) == counted => {
                Identity { starts: identity.starts.saturating_sub(1), ..identity }.write(config, key)
            }
            _ => Ok(()),
        });
        if let Err(error) = taken_back {
            tracing::warn!(%error, "the count of a refused start could not be taken back");
        }
        self.stop.raise(reason);
    }
}

impl Cluster {
    /// The same, for who hears it from State.
    pub(crate) fn end_as_a_copy(&self, reason: String) {
        self.inner.end_as_a_copy(reason);
    }
}

/// A leader that is cut off from the others must not keep the few it still reaches from electing a better one.
async fn watch_quorum(inner: Weak<Inner>) {
    let mut silenced = false;
    loop {
        sleep(LOOK_AT_QUORUM).await;
        let Some(held) = inner.upgrade() else { return };
        let super::Mode::Running(running) = &held.mode else { return };
        let metrics = metrics::now(&running.raft);
        let alone = metrics.current_leader == Some(held.node.0)
            && metrics.millis_since_quorum_ack.is_some_and(|silent| silent > QUORUM_WITHIN_MS);
        if alone != silenced {
            tracing::warn!(alone, "a quorum of the others answers this leader: no longer, or again");
            running.raft.runtime_config().heartbeat(!alone);
            silenced = alone;
        }
    }
}

/// Says who leads, whenever that changes.
async fn follow_leaders(inner: Weak<Inner>) {
    let mut standing = {
        let Some(held) = inner.upgrade() else { return };
        let super::Mode::Running(running) = &held.mode else { return };
        metrics::standing(&running.raft)
    };
    let mut said = None;
    loop {
        let (leader, term) = {
            let now = standing.borrow_and_update();
            (now.current_leader, now.vote.leader_id().term)
        };
        if leader != said {
            match leader {
                Some(leader) => tracing::info!(leader, term, "a node leads"),
                None => tracing::warn!(term, "no node is known to lead"),
            }
            said = leader;
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}

impl Cluster {
    /// Tells the others that this node has started, and where it is. Gives `false` while it does not listen for them.
    pub(crate) async fn report_presence(&self) -> Result<bool, super::ProposeError> {
        let Some(presence) = self.inner.presence.get() else { return Ok(false) };
        let certificate = *presence.certificate.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let command = ClusterCommand::ReportNode {
            node: self.inner.node,
            certificate,
            cluster_address: presence.cluster_address.clone(),
            public_address: presence.public_address.clone(),
            incarnation: presence.incarnation,
        };
        self.propose(Actor::system(self.inner.node), Command::Cluster(command)).await?;
        Ok(true)
    }
}
