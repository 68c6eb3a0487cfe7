//! What consensus says about itself. For the node around it, and for the tests.

use openraft::metrics::RaftServerMetrics;
use openraft::{EmptyNode, Raft, RaftMetrics};
use tokio::sync::watch;

use super::types::TypeConfig;
use crate::id::NodeId;

/// What it says now, copied.
///
/// A borrowed look is a read lock: to look a second time while the first is held, in whatever is called meanwhile, blocks
/// for ever once consensus waits between the two to say something new, and all that looks afterwards with it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "everybody else comes through here")]
pub fn now(raft: &Raft<TypeConfig>) -> RaftMetrics<u64, EmptyNode> {
    raft.metrics().borrow().clone()
}

/// Who leads, as far as is known here.
#[must_use]
pub fn leader(raft: &Raft<TypeConfig>) -> Option<NodeId> {
    standing(raft).borrow().current_leader.map(NodeId)
}

/// Who leads and who votes, from now on. It wakes when that changes, and not with each record as [`now`] would have to. Look
/// without calling anything that looks again.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "everybody else comes through here")]
pub fn standing(raft: &Raft<TypeConfig>) -> watch::Receiver<RaftServerMetrics<u64, EmptyNode>> {
    raft.server_metrics()
}
