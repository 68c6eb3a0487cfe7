//! What consensus says about itself. For the node around it, and for the tests.

use openraft::{EmptyNode, Raft, RaftMetrics};
use tokio::sync::watch;

use super::types::TypeConfig;

/// What it says now, copied.
///
/// A borrowed look is a read lock: to look a second time while the first is held, in whatever is called meanwhile, blocks
/// for ever once consensus waits between the two to say something new, and all that looks afterwards with it.
#[must_use]
pub fn now(raft: &Raft<TypeConfig>) -> RaftMetrics<u64, EmptyNode> {
    changes(raft).borrow().clone()
}

/// What it says from now on. Look without calling anything that looks again: see [`now`].
#[must_use]
#[expect(clippy::disallowed_methods, reason = "everybody else comes through here")]
pub fn changes(raft: &Raft<TypeConfig>) -> watch::Receiver<RaftMetrics<u64, EmptyNode>> {
    raft.metrics()
}
