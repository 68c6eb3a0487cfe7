//! Whether anybody leads: what a node goes by when it must decide alone.

use super::{Cluster, Mode};

impl Cluster {
    /// Whether a leader is known and changes can be made, as far as this node can tell now. Never waits.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        let Mode::Running(running) = &self.inner.mode else { return false };
        if self.inner.stop.reason().is_some() {
            return false;
        }
        let metrics = running.raft.metrics();
        let metrics = metrics.borrow();
        metrics.running_state.is_ok() && metrics.current_leader.is_some()
    }
}
