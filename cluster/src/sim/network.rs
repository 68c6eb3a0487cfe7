//! The network between simulated nodes: delays, losses, partitions of any shape. Messages overtake one another, and none
//! comes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::chance::Chance;
use super::trace::Trace;
use crate::id::NodeId;
use crate::net::{MAX_BODY, MAX_HEAD, Message, Net, NetError, Service, Services};

/// How the links are at the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// The shortest way takes this long, in microseconds.
    pub(super) delay_us: u64,
    /// And up to this much more.
    pub(super) jitter_us: u64,
    /// So many messages of a hundred are lost.
    pub(super) loss_percent: u64,
    /// So many of a hundred are held up for up to half a second.
    pub(super) held_up_percent: u64,
}

impl Weather {
    /// A quiet network.
    pub(super) const CLEAR: Self =
        Self { delay_us: 200, jitter_us: 800, loss_percent: 0, held_up_percent: 0 };
}

/// The network. Clones are the same network.
#[derive(Clone)]
pub(super) struct Network {
    inner: Arc<Mutex<Inner>>,
    trace: Trace,
}

struct Inner {
    chance: Chance,
    weather: Weather,
    nodes: BTreeMap<NodeId, Endpoint>,
    /// No message goes from the first to the second.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// What these nodes say and are told arrives only then.
    stalled: BTreeMap<NodeId, Instant>,
    messages: u64,
    lost: u64,
}

struct Endpoint {
    services: Services,
    life: u64,
}

impl Network {
    pub(super) fn new(chance: Chance, trace: Trace) -> Self {
        let inner = Inner {
            chance,
            weather: Weather::CLEAR,
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            stalled: BTreeMap::new(),
            messages: 0,
            lost: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), trace }
    }

    /// A node is there from now on, in its life number `life`.
    pub(super) fn attach(&self, node: NodeId, life: u64, services: Services) -> Arc<dyn Net> {
        self.inner().nodes.insert(node, Endpoint { services, life });
        Arc::new(Door { network: self.clone(), node, life })
    }

    /// A node is gone: it hears nothing, and nothing of what it still says is heard.
    pub(super) fn detach(&self, node: NodeId) {
        self.inner().nodes.remove(&node);
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.inner().weather = weather;
    }

    /// Nothing goes from `from` to `to` until [`Network::mend`].
    pub(super) fn cut(&self, from: NodeId, to: NodeId) {
        self.inner().cut.insert((from, to));
    }

    /// What goes from `from` to `to` arrives again.
    pub(super) fn mend_link(&self, from: NodeId, to: NodeId) {
        self.inner().cut.remove(&(from, to));
    }

    /// A node falls silent for a while: nothing is lost, all that it says and is told arrives afterwards.
    pub(super) fn stall(&self, node: NodeId, lasts: Duration) {
        self.inner().stalled.insert(node, Instant::now() + lasts);
    }

    /// Everything goes everywhere.
    pub(super) fn mend(&self) {
        let mut inner = self.inner();
        inner.cut.clear();
        inner.stalled.clear();
    }

    /// Messages sent and messages lost.
    pub(super) fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.messages, inner.lost)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How long a message takes on one leg of its way. None when it is lost.
    fn leg(&mut self, from: NodeId, to: NodeId) -> Option<Duration> {
        self.messages += 1;
        let weather = self.weather;
        let lost = self.chance.percent(weather.loss_percent) || self.cut.contains(&(from, to));
        let mut micros = weather.delay_us + self.chance.below(weather.jitter_us + 1);
        if self.chance.percent(weather.held_up_percent) {
            micros += self.chance.below(500_000);
        }
        if lost {
            self.lost += 1;
            return None;
        }
        let until = [from, to].iter().filter_map(|node| self.stalled.get(node)).max();
        let silent = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        Some(silent + Duration::from_micros(micros))
    }

    /// Whether `node` is still in its life number `life`.
    fn lives(&self, node: NodeId, life: u64) -> bool {
        self.nodes.get(&node).is_some_and(|endpoint| endpoint.life == life)
    }
}

/// One node's way out, for one of its lives.
struct Door {
    network: Network,
    node: NodeId,
    life: u64,
}

impl Door {
    /// One leg of a message: gives when it has arrived, never when it is lost or its sender is gone.
    async fn travel(&self, from: NodeId, to: NodeId, what: String) {
        match self.leg(from, to, &what) {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
    }

    fn leg(&self, from: NodeId, to: NodeId, what: &str) -> Option<Duration> {
        let leg = {
            let mut inner = self.network.inner();
            if !inner.lives(self.node, self.life) {
                return None;
            }
            inner.leg(from, to)
        };
        match leg {
            Some(delay) => {
                self.network.trace.note(format_args!("{from}>{to} {what} in {}us", delay.as_micros()))
            }
            None => self.network.trace.note(format_args!("{from}>{to} {what} lost")),
        }
        leg
    }

    /// There, the answer, and back.
    async fn exchange(&self, to: NodeId, service: Service, message: Message) -> Result<Message, NetError> {
        let print = fingerprint(&message);
        self.travel(self.node, to, format!("{service:?} {print:016x}")).await;
        let (services, life) = {
            let inner = self.network.inner();
            let Some(endpoint) = inner.nodes.get(&to) else {
                return Err(NetError::Unreachable { node: to, reason: "it is down".to_owned() });
            };
            (endpoint.services.clone(), endpoint.life)
        };
        let (sender, answer) = oneshot::channel();
        let from = self.node;
        // The other node goes on with it even when nobody waits for the answer any more.
        tokio::spawn(async move { sender.send(services.serve(service, from, message).await) });
        let answer = answer.await.map_err(|_| NetError::Lost(to))?;
        if !self.network.inner().lives(to, life) {
            return Err(NetError::Lost(to));
        }
        let print = answer.as_ref().map_or(0, fingerprint);
        self.travel(to, self.node, format!("answer {print:016x}")).await;
        answer.map_err(|reason| NetError::Refused { node: to, reason })
    }
}

/// A short hash of what is said, so that two runs that only look alike are told apart.
fn fingerprint(message: &Message) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(&message.head).update(&message.body);
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    u64::from_be_bytes(short)
}

#[async_trait]
impl Net for Door {
    async fn call(
        &self,
        to: NodeId,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        if message.head.len() > MAX_HEAD || message.body.len() > MAX_BODY {
            let sizes = (message.head.len(), message.body.len());
            self.network.trace.violation(format_args!("a message of {sizes:?} bytes is too large"));
        }
        let exchange = self.exchange(to, service, message);
        tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(NetError::TimedOut(to)))
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Door({} in life {})", self.node, self.life)
    }
}
