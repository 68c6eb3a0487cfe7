//! What the log holds: a Command, who asked for it, and when by cluster time.

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::command::Command;

/// One change in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Cluster time in ms since 1970: the leader's stamp, never backwards.
    pub time_ms: u64,
    /// Who asks.
    pub actor: Actor,
    /// For what.
    pub command: Command,
}
