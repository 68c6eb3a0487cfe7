//! Whose wall clock is right: the median of the voters' clocks says so.
//!
//! A node whose clock is off may not lead, since its stamps would be wrong for everybody; its own sense of time follows the
//! others. Two clocks that disagree do not say which of them is right: three are needed.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Cluster, Inner, Mode};
use crate::id::NodeId;
use crate::net::{PeerReport, signed};
use crate::raft::metrics;

/// A clock is off when it is this far from the median.
const OFF_MS: u64 = 5000;
const LOOK: Duration = Duration::from_millis(500);
/// A node that starts waits this long for the others' clocks, before it may lead by its own.
const HEAR_WITHIN: Duration = Duration::from_secs(3);
/// Fewer clocks say nothing.
const CLOCKS: usize = 3;

impl Cluster {
    /// How far this node's wall clock is ahead of most, in ms; none when too few others were heard to tell.
    #[must_use]
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        ahead_of_median_ms(&self.inner)
    }

    /// Whether this node may not lead, because its wall clock is off.
    #[must_use]
    pub fn clock_is_off(&self) -> bool {
        is_off(&self.inner)
    }

    /// Whether the clock of another node is off.
    pub(super) fn clock_of_peer_is_off(&self, node: NodeId) -> bool {
        let Some(clocks) = Clocks::look(&self.inner) else { return false };
        let report = self.inner.peers.report(node);
        report.is_some_and(|report| report.wall_ms.abs_diff(clocks.median_ms) > OFF_MS)
    }
}

pub(super) fn is_off(inner: &Inner) -> bool {
    ahead_of_median_ms(inner).is_some_and(|ahead_ms| ahead_ms.unsigned_abs() > OFF_MS)
}

pub(super) fn ahead_of_median_ms(inner: &Inner) -> Option<i64> {
    Clocks::look(inner).map(|clocks| clocks.ahead_ms())
}

/// What wall clocks show at one moment, in ms. This node's is looked at once: somebody may be setting it.
struct Clocks {
    own_ms: i64,
    median_ms: i64,
}

impl Clocks {
    fn look(inner: &Inner) -> Option<Self> {
        let Mode::Running(running) = &inner.mode else { return None };
        let metrics = metrics::now(&running.raft);
        let voters: Vec<NodeId> = metrics.membership_config.voter_ids().map(NodeId).collect();
        let reports = inner.peers.reports();
        let heard = reports.iter().filter(|report| report.is_alive() && voters.contains(&report.node));
        let own_ms = signed(inner.config.clock.wall_ms());
        let clocks = heard.map(|report: &PeerReport| report.wall_ms).chain([own_ms]).collect();
        median(clocks).map(|median_ms| Self { own_ms, median_ms })
    }

    fn ahead_ms(&self) -> i64 {
        self.own_ms - self.median_ms
    }
}

fn median(mut clocks: Vec<i64>) -> Option<i64> {
    if clocks.len() < CLOCKS {
        return None;
    }
    clocks.sort_unstable();
    let (low, high) = (clocks[(clocks.len() - 1) / 2], clocks[clocks.len() / 2]);
    Some(low.midpoint(high))
}

/// Keeps a node whose clock is off from leading, until the node stops.
pub(super) async fn watch_clocks(inner: Weak<Inner>) {
    let began = Instant::now();
    let mut may_lead = None;
    loop {
        let Some(held) = inner.upgrade() else { return };
        let Mode::Running(running) = &held.mode else { return };
        let clocks = Clocks::look(&held);
        if let Some(clocks) = &clocks {
            held.shown.time.follow_others(u64::try_from(clocks.median_ms).unwrap_or(0));
        }
        let ahead_ms = clocks.map(|clocks| clocks.ahead_ms());
        let is_known = ahead_ms.is_some() || held.presence.get().is_none() || began.elapsed() > HEAR_WITHIN;
        let now = is_known && !is_off(&held);
        if may_lead != Some(now) {
            running.raft.runtime_config().elect(now);
            if is_known && !now {
                tracing::error!(?ahead_ms, "the wall clock of this node is off: it does not lead");
            }
            may_lead = Some(now);
        }
        if is_known && !now {
            let cluster = Cluster { inner: held.clone() };
            if cluster.leads() && !cluster.hand_over().await {
                tracing::warn!("no other node takes over from this one, whose clock is off");
            }
        }
        drop(held);
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clock_that_is_off_moves_nobody_and_two_clocks_say_nothing() {
        assert_eq!(median(vec![0, 3_600_000]), None);
        assert_eq!(median(vec![0, 20, 3_600_000]), Some(20));
        assert_eq!(median(vec![0, -3_600_000, -3_599_990]), Some(-3_599_990), "ours is off");
        assert_eq!(median(vec![0, 10, 20, 3_600_000]), Some(15));
    }
}
