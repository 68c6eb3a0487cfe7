//! How quickly other nodes answer, as this one finds out by asking.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::id::NodeId;

/// Answers remembered of each node.
const REMEMBERED: usize = 64;
/// A node that did not answer is asked last for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(2);
/// A node counts as dead to placement when it has not answered for so long.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// The shortest time after which another node is asked beside the first.
const SOONEST_HEDGE: Duration = Duration::from_millis(20);
/// One read in so many may ask a second node.
const HEDGE_EVERY: u64 = 20;
/// Second questions that may be saved up.
const HEDGES_SAVED: u64 = 8;

#[derive(Debug, Default)]
struct Peer {
    /// Exponentially weighted mean of its answers.
    mean: Duration,
    newest: VecDeque<Duration>,
    failed: Option<Instant>,
    /// Since when it has failed without answering.
    failing_since: Option<Instant>,
}

/// What is known of the others. Cheap to ask.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: Mutex<HashMap<NodeId, Peer>>,
    hedging: Mutex<Hedging>,
}

/// How many second questions may be asked.
#[derive(Debug, Default)]
struct Hedging {
    reads: u64,
    hedges: u64,
}

impl Peers {
    fn known(&self) -> MutexGuard<'_, HashMap<NodeId, Peer>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It answered after `took`.
    pub(super) fn answered(&self, node: NodeId, took: Duration) {
        let mut known = self.known();
        let peer = known.entry(node).or_default();
        peer.mean = if peer.newest.is_empty() { took } else { (peer.mean * 7 + took) / 8 };
        if peer.newest.len() == REMEMBERED {
            peer.newest.pop_front();
        }
        peer.newest.push_back(took);
        (peer.failed, peer.failing_since) = (None, None);
    }

    /// It did not answer.
    pub(super) fn failed(&self, node: NodeId) {
        let now = Instant::now();
        let mut known = self.known();
        let peer = known.entry(node).or_default();
        peer.failed = Some(now);
        peer.failing_since.get_or_insert(now);
    }

    /// The lower, the sooner it is asked: those that failed lately come last.
    pub(super) fn rank(&self, node: NodeId) -> (bool, Duration) {
        let known = self.known();
        let Some(peer) = known.get(&node) else { return (false, Duration::ZERO) };
        (peer.failed.is_some_and(|at| at.elapsed() < AVOIDED_FOR), peer.mean)
    }

    /// Whether it has answered lately, or never been asked.
    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        self.known()
            .get(&node)
            .is_none_or(|peer| peer.failing_since.is_none_or(|at| at.elapsed() < DEAD_AFTER))
    }

    /// Whether its last answer is missing.
    pub(super) fn is_failing(&self, node: NodeId) -> bool {
        self.known().get(&node).is_some_and(|peer| peer.failed.is_some())
    }

    /// When to ask another node beside it: after the time within which it gives 95 of 100 answers.
    pub(super) fn hedge_after(&self, node: NodeId) -> Duration {
        let mut newest: Vec<Duration> =
            self.known().get(&node).map(|peer| peer.newest.iter().copied().collect()).unwrap_or_default();
        newest.sort_unstable();
        let at = newest.len() * 95 / 100;
        newest.get(at).copied().unwrap_or(SOONEST_HEDGE).max(SOONEST_HEDGE)
    }

    /// Counts a read.
    pub(super) fn count_read(&self) {
        self.hedging.lock().unwrap_or_else(PoisonError::into_inner).reads += 1;
    }

    /// Whether a second node may be asked now. If so it is counted.
    pub(super) fn may_hedge(&self) -> bool {
        let mut hedging = self.hedging.lock().unwrap_or_else(PoisonError::into_inner);
        let may = hedging.hedges < hedging.reads / HEDGE_EVERY + HEDGES_SAVED;
        hedging.hedges += u64::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_node_is_asked_last_and_counts_as_dead_after_a_while() {
        let peers = Peers::default();
        let (quick, silent) = (NodeId(1), NodeId(2));
        peers.answered(quick, Duration::from_millis(9));
        peers.answered(silent, Duration::from_millis(1));
        assert!(peers.rank(silent) < peers.rank(quick));
        peers.failed(silent);
        assert!(peers.rank(silent) > peers.rank(quick));
        assert!(peers.is_alive(silent), "one lost answer is no death");
        let long_ago = Instant::now().checked_sub(DEAD_AFTER);
        peers.known().entry(silent).or_default().failing_since = long_ago;
        peers.failed(silent);
        assert!(!peers.is_alive(silent));
        peers.answered(silent, Duration::from_millis(1));
        assert!(peers.is_alive(silent));
    }

    #[test]
    fn second_questions_stay_within_their_budget() {
        let peers = Peers::default();
        let mut hedged = 0;
        for _ in 0..2_000 {
            peers.count_read();
            hedged += u32::from(peers.may_hedge());
        }
        assert!((100..=108).contains(&hedged), "5 % and a few saved up, not {hedged}");
    }

    #[test]
    fn a_second_node_is_asked_after_what_most_answers_take() {
        let peers = Peers::default();
        assert_eq!(peers.hedge_after(NodeId(1)), SOONEST_HEDGE, "nothing is known yet");
        for milliseconds in 1..=60 {
            peers.answered(NodeId(1), Duration::from_millis(milliseconds));
        }
        let after = peers.hedge_after(NodeId(1));
        assert!((Duration::from_millis(55)..=Duration::from_millis(60)).contains(&after), "{after:?}");
    }
}
