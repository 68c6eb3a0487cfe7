//! The one door between nodes: a message to a service of another node, and its answer.
//!
//! Raft, control and Blob transfer are written against [`Net`] alone. A real node puts mutual TLS behind it, a simulated
//! world its own network. What a message means is the service's own matter: a head the service encodes, and a body of
//! bytes that is passed on without a copy.

mod late;
mod peers;
pub mod tls;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

pub use late::LateNet;
pub(crate) use peers::signed;
pub use peers::{ALIVE_WITHIN, PeerReport, Peers};

use crate::authority::Part;
use crate::id::NodeId;

/// The most bytes of a head.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most bytes of a body.
pub const MAX_BODY: usize = 2 * 1024 * 1024;
/// Requests with large bodies that may be under way from one node to another; who has as many is not read on from.
pub const BULK_AT_ONCE: usize = 16;

/// Who a message is for on the other node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Service {
    /// Consensus: small, urgent, never behind bulk bytes.
    Raft = 1,
    /// Proposals forwarded to the leader, read indexes, health.
    Control = 2,
    /// Bytes of Blobs: large, paced, on connections of their own.
    Blob = 3,
    /// Snapshots of State, in pieces: large, beside the Blobs.
    Snapshot = 4,
    /// Small questions of edges: who may watch what, and with which key.
    Edge = 5,
    /// Ciphertext for edges.
    EdgeBytes = 6,
}

impl Service {
    /// The service of that number on the wire.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Raft, Self::Control, Self::Blob, Self::Snapshot, Self::Edge, Self::EdgeBytes]
            .into_iter()
            .find(|service| *service as u8 == number)
    }

    /// Whether whoever takes part as `part` may ask this: the one place that keeps edges from agreement, State, keys and
    /// Blobs, and nodes from passing for edges. Asked for every message, before any of it is looked at.
    #[must_use]
    pub fn may_be_asked_by(self, part: Part) -> bool {
        match self {
            Self::Raft | Self::Control | Self::Blob | Self::Snapshot => part == Part::Node,
            Self::Edge | Self::EdgeBytes => part == Part::Edge,
        }
    }
}

/// What goes from node to node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// What is asked or answered, as the service encodes it; at most [`MAX_HEAD`] bytes.
    pub head: Bytes,
    /// Bytes that go with it; at most [`MAX_BODY`].
    pub body: Bytes,
}

/// Why no answer came. Whether the other node did what was asked is not known, except for [`NetError::Unreachable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The message never left: there is no way to that node now.
    #[error("node {node} cannot be reached: {reason}")]
    Unreachable {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// No answer in time.
    #[error("node {0} did not answer in time")]
    TimedOut(NodeId),
    /// The connection ended before the answer.
    #[error("the connection to node {0} ended before its answer")]
    Lost(NodeId),
    /// The other node does not serve this, or does not take it from us.
    #[error("node {node} refused: {reason}")]
    Refused {
        /// Which node.
        node: NodeId,
        /// Why, as it said.
        reason: String,
    },
}

/// Sends messages to other nodes.
#[async_trait]
pub trait Net: Send + Sync + fmt::Debug {
    /// Asks `service` of node `to` and waits at most `deadline` for its answer.
    ///
    /// # Errors
    /// [`NetError`] when no answer came.
    async fn call(
        &self,
        to: NodeId,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError>;
}

/// Answers messages of other nodes.
#[async_trait]
pub trait Serve: Send + Sync {
    /// Answers `message`, which came from `from`: the transport has proved that it did.
    ///
    /// # Errors
    /// A reason for the other side when it is refused.
    async fn serve(&self, from: NodeId, message: Message) -> Result<Message, String>;
}

/// The services of this node, filled in while it starts.
#[derive(Default, Clone)]
pub struct Services {
    table: Arc<RwLock<HashMap<Service, Arc<dyn Serve>>>>,
}

impl Services {
    /// Serves `service` from now on.
    pub fn register(&self, service: Service, serve: Arc<dyn Serve>) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).insert(service, serve);
    }

    /// Answers one message.
    ///
    /// # Errors
    /// A reason for the other side when nobody serves it or it is refused.
    pub async fn serve(&self, service: Service, from: NodeId, message: Message) -> Result<Message, String> {
        let found = self.table.read().unwrap_or_else(PoisonError::into_inner).get(&service).cloned();
        match found {
            Some(serve) => serve.serve(from, message).await,
            None => Err(format!("{service:?} is not served here yet")),
        }
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Services(..)")
    }
}

/// A node that has no others.
#[derive(Debug, Default, Clone)]
pub struct NoNet;

#[async_trait]
impl Net for NoNet {
    async fn call(&self, to: NodeId, _: Service, _: Message, _: Duration) -> Result<Message, NetError> {
        Err(NetError::Unreachable { node: to, reason: "this node knows no other".to_owned() })
    }
}
