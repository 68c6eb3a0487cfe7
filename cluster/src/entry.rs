//! What the log holds: a Command, who asked for it, when by cluster time, and which request of which node it carries out.

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::command::{Command, Incarnation};
use crate::id::NodeId;

/// One change in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Cluster time in ms since 1970: the leader's stamp, never backwards.
    pub time_ms: u64,
    /// Who asks.
    pub actor: Actor,
    /// For what.
    pub command: Command,
    /// The same in every try, so that the change is made once however often it is sent.
    pub request: Option<Request>,
}

/// A request of the node that somebody asked for the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The node that asks the leader.
    pub node: NodeId,
    /// Which of its starts.
    pub life: Incarnation,
    /// Its number in that life, from 1.
    pub number: u64,
    /// Every request of that life below this number has had its answer, or is not waited for any more.
    pub settled: u64,
}
