//! Whether anybody leads: what a node goes by when it must decide alone.

use std::time::Duration;

use super::{Cluster, Mode};
use crate::raft::metrics;

/// A leader that was heard within this time leads: several heartbeats, and room for a busy machine.
const HEARD_WITHIN: Duration = Duration::from_millis(1500);

impl Cluster {
    /// Whether a leader leads now and changes can be made, as far as this node can tell. A leader that was not heard for
    /// a moment does not count, nor does this node while no quorum answers it. Never waits.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        let Mode::Running(running) = &self.inner.mode else { return false };
        if self.inner.stop.reason().is_some() {
            return false;
        }
        let metrics = metrics::now(&running.raft);
        if metrics.running_state.is_err() {
            return false;
        }
        match metrics.current_leader {
            None => false,
            Some(leader) if leader == self.inner.node.0 => {
                let silent_ms = metrics.millis_since_quorum_ack;
                silent_ms.is_some_and(|silent_ms| u128::from(silent_ms) <= HEARD_WITHIN.as_millis())
            }
            Some(_) => running.heard.silence().is_some_and(|silence| silence <= HEARD_WITHIN),
        }
    }
}
