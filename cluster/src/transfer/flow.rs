//! How quickly what is copied in the background may come. Viewers share the links with it: as many pieces are under way as
//! keep a link busy, and hardly one more, so that nothing of a viewer's stands in a queue behind them.
//!
//! It is the rule of TCP Vegas, with pieces in place of packets: what a piece takes beyond what one takes at the quickest,
//! it has spent waiting, here for the most part behind other pieces.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::id::NodeId;
use crate::net::BULK_AT_ONCE;

/// Pieces under way at the least: one that comes, and one that is asked for meanwhile, or held back where a viewer is served.
const FEWEST: f64 = 2.0;
/// At the most: what the connections to two nodes carry at once.
const MOST: f64 = 2.0 * BULK_AT_ONCE as f64;
/// With fewer waiting pieces than this, there is room for one more; with more than the other, one less is asked for.
const FEW_WAIT: f64 = 1.0;
const MANY_WAIT: f64 = 2.0;
/// The quickest is found anew so often: the way may have become another.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// What was not asked for in time may be made up for within so long.
const MADE_UP: Duration = Duration::from_millis(50);

/// The pieces of all copies that come for one purpose. Clones are the same flow.
#[derive(Clone)]
pub struct Flow {
    inner: Arc<Inner>,
}

struct Inner {
    most_bytes_per_second: Option<u64>,
    /// Whoever is next; the others queue up here.
    next: tokio::sync::Mutex<()>,
    ended: Notify,
    now: Mutex<Now>,
}

struct Now {
    window: f64,
    under_way: u32,
    /// Of those, the ones asked of each node.
    asked: HashMap<NodeId, u32>,
    quickest: HashMap<NodeId, Duration>,
    found: Instant,
    /// When the next piece may be asked for by the rate alone.
    due: Instant,
}

impl Flow {
    /// Never more than so many bytes a second, or as quickly as the links are.
    #[must_use]
    pub fn new(most_bytes_per_second: Option<u64>) -> Self {
        let (found, due) = (Instant::now(), Instant::now());
        let now =
            Now { window: FEWEST, under_way: 0, asked: HashMap::new(), quickest: HashMap::new(), found, due };
        let (next, ended, now) = (tokio::sync::Mutex::default(), Notify::new(), Mutex::new(now));
        Self { inner: Arc::new(Inner { most_bytes_per_second, next, ended, now }) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.inner.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a piece of so many bytes may be asked for, of one of `nodes`.
    pub(super) async fn turn(&self, bytes: u64, nodes: &[NodeId]) -> Turn<'_> {
        let _next = self.inner.next.lock().await;
        while !self.now().has_room(nodes) {
            self.inner.ended.notified().await;
        }
        let due = self.now().take(bytes, self.inner.most_bytes_per_second);
        // Counted at once: it may be dropped while it waits.
        let turn = Turn { flow: self, asked: None };
        tokio::time::sleep_until(due).await;
        turn
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        write!(formatter, "Flow({} of {:.1} pieces)", now.under_way, now.window)
    }
}

/// A piece that is under way, until this is dropped.
pub(super) struct Turn<'a> {
    flow: &'a Flow,
    asked: Option<(NodeId, Instant)>,
}

impl Turn<'_> {
    /// Which of these nodes to ask for it now: the one with the least to send, the first of several such.
    pub(super) fn ask(&mut self, nodes: &[NodeId]) -> Option<NodeId> {
        let mut now = self.flow.now();
        now.answered(self.asked.take());
        let node = nodes.iter().copied().min_by_key(|node| now.asked.get(node).copied().unwrap_or(0))?;
        *now.asked.entry(node).or_default() += 1;
        drop(now);
        self.asked = Some((node, Instant::now()));
        Some(node)
    }

    /// It came whole from the node that was asked last.
    pub(super) fn came(self) {
        if let Some((node, at)) = self.asked {
            self.flow.now().came(node, at.elapsed());
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut now = self.flow.now();
        now.answered(self.asked.take());
        now.under_way -= 1;
        drop(now);
        self.flow.inner.ended.notify_one();
    }
}

impl Now {
    /// A node does not read on while it has as many questions to answer as one connection carries: whatever else is
    /// sent there would wait, too.
    fn has_room(&self, nodes: &[NodeId]) -> bool {
        let is_full =
            |node: &NodeId| self.asked.get(node).is_some_and(|asked| *asked as usize >= BULK_AT_ONCE);
        f64::from(self.under_way) < self.window.floor() && !nodes.iter().all(is_full)
    }

    fn take(&mut self, bytes: u64, most_bytes_per_second: Option<u64>) -> Instant {
        self.under_way += 1;
        let now = Instant::now();
        let Some(rate) = most_bytes_per_second.filter(|rate| *rate > 0) else { return now };
        let due = self.due.max(now.checked_sub(MADE_UP).unwrap_or(now));
        self.due = due + Duration::from_micros(bytes.saturating_mul(1_000_000) / rate);
        due
    }

    fn answered(&mut self, asked: Option<(NodeId, Instant)>) {
        if let Some(asked) = asked.and_then(|(node, _)| self.asked.get_mut(&node)) {
            *asked -= 1;
        }
    }

    fn came(&mut self, node: NodeId, took: Duration) {
        if self.found.elapsed() >= AGAIN_AFTER {
            self.quickest.clear();
            (self.found, self.window) = (Instant::now(), FEWEST);
        }
        let quickest = self.quickest.entry(node).or_insert(took);
        *quickest = took.min(*quickest);
        let share = quickest.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let waiting = self.window * (1.0 - share);
        // One more or less for each time that all of them came.
        if waiting < FEW_WAIT {
            self.window = (self.window + 1.0 / self.window).min(MOST);
        } else if waiting > MANY_WAIT {
            self.window = (self.window - 1.0 / self.window).max(FEWEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(2);

    /// Pieces over a link that takes `each` for one of them, one after the other, and `way` there and back. Gives how long
    /// all took, and the longest time that one waited for others.
    async fn over_a_link(flow: &Flow, way: Duration, each: Duration, pieces: u32) -> (Duration, Duration) {
        let began = Instant::now();
        let free = Arc::new(Mutex::new(began));
        let waited = Arc::new(Mutex::new(Duration::ZERO));
        let mut coming = tokio::task::JoinSet::new();
        for number in 0..pieces {
            let (flow, free, waited) = (flow.clone(), free.clone(), waited.clone());
            coming.spawn(async move {
                let mut turn = flow.turn(1, &[NODE]).await;
                turn.ask(&[NODE]);
                let asked = Instant::now();
                let begins = (*free.lock().unwrap()).max(asked);
                *free.lock().unwrap() = begins + each;
                if number > 400 {
                    let mut waited = waited.lock().unwrap();
                    *waited = (*waited).max(begins - asked);
                }
                tokio::time::sleep_until(begins + each + way).await;
                turn.came();
            });
        }
        coming.join_all().await;
        let waited = *waited.lock().unwrap();
        (began.elapsed(), waited)
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_and_a_long_way_are_both_kept_busy_and_neither_gets_a_queue() {
        for way in [1, 60] {
            let flow = Flow::new(None);
            let (way, each) = (Duration::from_millis(way), Duration::from_millis(10));
            let (took, waited) = over_a_link(&flow, way, each, 2000).await;
            let ideal = each * 2000;
            assert!(took < ideal + ideal / 8, "{took:?} where {ideal:?} would do, over {way:?}");
            assert!(waited <= each * 2, "one waited {waited:?} for others, over {way:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_comes_more_quickly_than_it_may() {
        let flow = Flow::new(Some(100));
        let (took, _) = over_a_link(&flow, Duration::ZERO, Duration::from_millis(1), 500).await;
        assert!(took >= Duration::from_millis(4_900) && took < Duration::from_millis(5_200), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_while_it_waits_leaves_its_place_to_another() {
        let flow = Flow::new(None);
        let first = flow.turn(1, &[NODE]).await;
        let _second = flow.turn(1, &[NODE]).await;
        let late = tokio::time::timeout(Duration::from_secs(1), flow.turn(1, &[NODE])).await;
        assert!(late.is_err(), "there is no room for a third");
        drop(first);
        drop(flow.turn(1, &[NODE]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn no_node_is_asked_for_more_than_its_connection_carries() {
        let (flow, other) = (Flow::new(None), NodeId(3));
        over_a_link(&flow, Duration::from_millis(60), Duration::from_micros(100), 600).await;
        let mut asked = Vec::new();
        for _ in 0..BULK_AT_ONCE {
            let mut turn = flow.turn(1, &[NODE]).await;
            turn.ask(&[NODE]);
            asked.push(turn);
        }
        let one_more = tokio::time::timeout(Duration::from_secs(1), flow.turn(1, &[NODE])).await;
        assert!(one_more.is_err(), "{flow:?}");
        drop(one_more);
        assert_eq!(flow.turn(1, &[NODE, other]).await.ask(&[NODE, other]), Some(other));
    }

    #[tokio::test]
    async fn who_has_the_least_to_send_is_asked() {
        let flow = Flow::new(None);
        let both = [NODE, NodeId(3)];
        let mut held_back = flow.turn(1, &[NODE]).await;
        assert_eq!(held_back.ask(&both), Some(NODE));
        for _ in 0..3 {
            let mut turn = flow.turn(1, &[NODE]).await;
            assert_eq!(turn.ask(&both), Some(NodeId(3)), "the first still has one to send");
        }
        assert_eq!(held_back.ask(&both[1..]), Some(NodeId(3)), "another one is asked for the same piece");
        let mut turn = flow.turn(1, &[NODE]).await;
        assert_eq!(turn.ask(&both), Some(NODE));
        assert_eq!(turn.ask(&[]), None);
    }
}
