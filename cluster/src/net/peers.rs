//! When each other node was heard last, and how long an answer from it takes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::id::NodeId;

/// A node heard within this time counts as alive.
pub const ALIVE_WITHIN: Duration = Duration::from_secs(4);
/// Parts of eight that a new round trip counts in the average.
const NEW_IN_EIGHT: u32 = 2;

/// What is known of the other nodes' health. Clones share it.
#[derive(Clone)]
pub struct Peers {
    clock: Arc<dyn Clock>,
    /// Since when this node listens, by the monotonic clock.
    since: Duration,
    heard: Arc<RwLock<HashMap<NodeId, Contact>>>,
}

#[derive(Debug, Clone, Copy)]
struct Contact {
    at: Duration,
    round_trip: Duration,
    /// What its wall clock showed at zero of this node's monotonic clock, in ms: a wall clock of this node that jumps
    /// changes nothing about it.
    wall_at_zero_ms: i64,
}

/// One other node, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerReport {
    /// Which.
    pub node: NodeId,
    /// How long nothing was heard of it.
    pub silent_for: Duration,
    /// How long an answer takes, averaged with more weight on newer ones.
    pub round_trip: Duration,
    /// What its wall clock shows now if nobody has set it since its last answer, in ms. By this node's monotonic clock: to
    /// set the clock here changes nothing about it.
    pub wall_ms: i64,
}

impl PeerReport {
    /// Whether it was heard lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.silent_for <= ALIVE_WITHIN
    }
}

impl Peers {
    /// Nobody was heard yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let since = clock.monotonic();
        Self { clock, since, heard: Arc::default() }
    }

    /// Since when this node listens, by the monotonic clock.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.since
    }

    /// `node` answered after `round_trip`; its wall clock shows `wall_ms` now.
    pub fn answered(&self, node: NodeId, round_trip: Duration, wall_ms: u64) {
        let at = self.clock.monotonic();
        let wall_at_zero_ms = signed(wall_ms) - ms(at);
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        let contact = heard.entry(node).or_insert(Contact { at, round_trip, wall_at_zero_ms });
        contact.at = at;
        contact.wall_at_zero_ms = wall_at_zero_ms;
        contact.round_trip = (contact.round_trip * (8 - NEW_IN_EIGHT) + round_trip * NEW_IN_EIGHT) / 8;
    }

    /// `node` is no node any more.
    pub fn forget(&self, node: NodeId) {
        self.heard.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// What is known of `node`; none when it was never heard.
    #[must_use]
    pub fn report(&self, node: NodeId) -> Option<PeerReport> {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        heard.get(&node).map(|contact| self.report_of(node, *contact))
    }

    /// All that were ever heard, by id.
    #[must_use]
    pub fn reports(&self) -> Vec<PeerReport> {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        let mut reports: Vec<_> =
            heard.iter().map(|(node, contact)| self.report_of(*node, *contact)).collect();
        reports.sort_by_key(|report| report.node);
        reports
    }

    /// Whether `node` was heard lately.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.report(node).is_some_and(|report| report.is_alive())
    }

    /// How long `node` was not heard, or how long this node listens where it never was.
    #[must_use]
    pub fn silent_for(&self, node: NodeId) -> Duration {
        let listens = || self.clock.monotonic().saturating_sub(self.since);
        self.report(node).map_or_else(listens, |report| report.silent_for)
    }

    fn report_of(&self, node: NodeId, contact: Contact) -> PeerReport {
        let now = self.clock.monotonic();
        let silent_for = now.saturating_sub(contact.at);
        let wall_ms = contact.wall_at_zero_ms + ms(now);
        PeerReport { node, silent_for, round_trip: contact.round_trip, wall_ms }
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Times beyond any clock are as good as one another.
pub(crate) fn signed(wall_ms: u64) -> i64 {
    i64::try_from(wall_ms).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

impl fmt::Debug for Peers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.reports()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Hands(AtomicU64, AtomicU64);

    impl Clock for Hands {
        fn wall_ms(&self) -> u64 {
            self.1.load(Ordering::Relaxed)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_clock_that_jumps_here_changes_nothing_and_one_that_jumps_there_is_seen_with_its_next_answer() {
        let hands = Arc::new(Hands::default());
        hands.1.store(1_000_000, Ordering::Relaxed);
        let peers = Peers::new(hands.clone());
        let wall = || peers.report(NodeId(7)).map(|report| report.wall_ms);
        peers.answered(NodeId(7), Duration::from_millis(8), 1_000_200);
        assert_eq!(wall(), Some(1_000_200));
        hands.0.fetch_add(500, Ordering::Relaxed);
        hands.1.fetch_add(500, Ordering::Relaxed);
        assert_eq!(wall(), Some(1_000_700), "it went on");
        hands.1.fetch_add(3_600_000, Ordering::Relaxed);
        assert_eq!(wall(), Some(1_000_700), "ours jumped");
        peers.answered(NodeId(7), Duration::from_millis(8), 90_000_000);
        assert_eq!(wall(), Some(90_000_000));
    }

    #[test]
    fn a_node_is_alive_while_it_answers() {
        let hands = Arc::new(Hands::default());
        let peers = Peers::new(hands.clone());
        let node = NodeId(7);
        assert!(!peers.is_alive(node), "never heard");
        peers.answered(node, Duration::from_millis(8), 0);
        assert!(peers.is_alive(node));
        hands.0.store(4001, Ordering::Relaxed);
        assert!(!peers.is_alive(node), "silent for too long");
        peers.answered(node, Duration::from_millis(16), 0);
        assert_eq!(peers.report(node).map(|report| report.round_trip), Some(Duration::from_millis(10)));
        peers.forget(node);
        assert_eq!(peers.report(node), None);
    }
}
