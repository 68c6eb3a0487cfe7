//! A leader whose process has ended is followed at once, instead of after an election timeout.
//!
//! When a process ends, its machine refuses connections to its port: that says more than silence. A voter that is refused
//! stands for election as soon as the old leader's lease is over, since before that no other voter may vote for it. Voters
//! do so one after the other, so that they do not stand against one another.

use std::sync::Weak;
use std::time::Duration;

use openraft::ServerState;
use tokio::time::sleep;

use super::clocks::is_off;
use super::{Inner, Mode};
use crate::id::NodeId;
use crate::raft::metrics;

/// How often it is looked whether the leader's port is shut.
const LOOK: Duration = Duration::from_millis(20);
/// Another voter may have heard the leader this much later.
const ROOM: Duration = Duration::from_millis(30);
/// The next voter in turn waits this much longer.
const TURN: Duration = Duration::from_millis(100);

/// Watches the leader until the node stops.
pub(super) async fn follow_a_lost_leader(inner: Weak<Inner>) {
    loop {
        sleep(LOOK).await;
        let Some(held) = inner.upgrade() else { return };
        let Mode::Running(running) = &held.mode else { return };
        let Some(turn) = turn(&held) else { continue };
        let lease = Duration::from_millis(*held.config.distance.election_ms().end());
        let wait = lease + ROOM + TURN * turn;
        if running.heard.silence().is_none_or(|silence| silence < wait) {
            continue;
        }
        tracing::info!(turn, "the leader's process has ended: standing for election");
        if let Err(error) = running.raft.trigger().elect().await {
            tracing::warn!(%error, "no election was begun");
        }
        // An election takes a moment; the usual timeout is next.
        drop(held);
        sleep(lease).await;
    }
}

/// Whose turn it is, counted from 0: this node's among the voters that are left, when the leader it follows is gone.
fn turn(inner: &Inner) -> Option<u32> {
    let Mode::Running(running) = &inner.mode else { return None };
    let net = &inner.presence.get()?.net;
    let metrics = metrics::now(&running.raft);
    let leader = metrics.current_leader.filter(|leader| *leader != inner.node.0)?;
    if metrics.state != ServerState::Follower || !net.is_refused(NodeId(leader)) || is_off(inner) {
        return None;
    }
    let left = metrics.membership_config.voter_ids().map(NodeId);
    let mut left: Vec<NodeId> = left.filter(|voter| !net.is_refused(*voter)).collect();
    left.sort_unstable();
    left.iter().position(|voter| *voter == inner.node).and_then(|place| u32::try_from(place).ok())
}
