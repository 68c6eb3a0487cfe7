//! Who asks for a change or a read.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, NodeId, SessionId, UserId};

/// Who asks, from where, and in which request. It goes into the Entry and into the audit record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub kind: ActorKind,
    /// The network address the request came from, when there was one.
    pub address: Option<IpAddr>,
    /// The request's id, to find it again in the logs.
    pub request_id: String,
}

/// Who asks. The node has verified the session cookie, token or key; apply verifies that the session,
/// user and key are (still) good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ActorKind {
    /// Nobody signed in: may claim, accept an invitation and finish a reset.
    Anonymous,
    /// A node by itself: jobs, Blobs, expiry, keys; also a sign-in whose passphrase the node has verified.
    System(NodeId),
    /// A signed-in person.
    User {
        /// The person.
        user: UserId,
        /// The sign-in used.
        session: SessionId,
    },
    /// Another system.
    ApiKey(ApiKeyId),
}

impl Actor {
    /// Nobody signed in.
    pub fn anonymous(address: Option<IpAddr>, request_id: impl Into<String>) -> Self {
        Self { kind: ActorKind::Anonymous, address, request_id: request_id.into() }
    }

    /// The node itself, with no request behind it.
    pub fn system(node: NodeId) -> Self {
        Self { kind: ActorKind::System(node), address: None, request_id: String::new() }
    }

    /// A signed-in person.
    pub fn user(user: UserId, session: SessionId) -> Self {
        Self { kind: ActorKind::User { user, session }, address: None, request_id: String::new() }
    }

    /// Another system with its key.
    pub fn api_key(key: ApiKeyId) -> Self {
        Self { kind: ActorKind::ApiKey(key), address: None, request_id: String::new() }
    }

    /// The same actor, asking from `address` in request `request_id`.
    #[must_use]
    pub fn at(mut self, address: Option<IpAddr>, request_id: impl Into<String>) -> Self {
        self.address = address;
        self.request_id = request_id.into();
        self
    }
}
