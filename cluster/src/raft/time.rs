//! Cluster time: what the leader stamps on every Entry.
//!
//! It starts from the wall clock, is carried on by the monotonic clock, and never goes backwards. A wall clock that jumps
//! does not take it along: the jump is reported, and stays reported until the operator has said which of the two is right.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// How far the wall clock may drift from cluster time before it counts as a jump.
pub const JUMP: Duration = Duration::from_secs(5);

/// Clocks this near one another are left alone.
const NEAR_ENOUGH_MS: u64 = 500;

/// The wall clock and cluster time have come apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockJump {
    /// How far the wall clock is ahead of cluster time, negative when behind, in ms.
    pub ahead_ms: i64,
}

/// Cluster time on this node.
#[derive(Debug)]
pub struct ClusterTime {
    clock: Arc<dyn Clock>,
    state: Mutex<Running>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    /// Cluster time at `since`.
    base_ms: u64,
    since: Duration,
    /// The newest time given out or seen in the log.
    newest_ms: u64,
}

impl ClusterTime {
    /// Time from now on, not before `newest_ms`: the newest stamp in the log.
    pub fn start(clock: Arc<dyn Clock>, newest_ms: u64) -> Self {
        let base_ms = clock.wall_ms().max(newest_ms);
        let state = Mutex::new(Running { base_ms, since: clock.monotonic(), newest_ms });
        Self { clock, state }
    }

    /// Cluster time now.
    pub fn now_ms(&self) -> u64 {
        let running = self.running();
        running.now(self.clock.monotonic())
    }

    /// A stamp for an Entry: not before any stamp given or seen so far.
    pub fn stamp(&self) -> u64 {
        let mut running = self.running();
        running.newest_ms = running.now(self.clock.monotonic());
        running.newest_ms
    }

    /// A stamp was seen in the log: time is at least that.
    pub fn observe(&self, stamp_ms: u64) {
        let mut running = self.running();
        running.newest_ms = running.newest_ms.max(stamp_ms);
    }

    /// The jump there is, if any.
    pub fn jump(&self) -> Option<ClockJump> {
        let now = i128::from(self.now_ms());
        let ahead = i128::from(self.clock.wall_ms()) - now;
        let too_far = ahead.unsigned_abs() > JUMP.as_millis();
        too_far.then(|| ClockJump {
            ahead_ms: i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX }),
        })
    }

    /// The operator says the wall clock is right. Cluster time goes forward to it; it never goes back, so a wall clock
    /// that is behind is only waited for.
    pub fn follow_wall_clock(&self) {
        let mut running = self.running();
        let monotonic = self.clock.monotonic();
        running.newest_ms = running.now(monotonic);
        running.base_ms = self.clock.wall_ms().max(running.newest_ms);
        running.since = monotonic;
    }

    /// Most clocks show `theirs_ms` now: time is what they say, from now on. Stamps never go back all the same. This node's
    /// wall clock has no say here: set between two looks, it would take time along.
    pub fn follow_others(&self, theirs_ms: u64) {
        let mut running = self.running();
        let monotonic = self.clock.monotonic();
        let gone = u64::try_from(monotonic.saturating_sub(running.since).as_millis()).unwrap_or(u64::MAX);
        if running.base_ms.saturating_add(gone).abs_diff(theirs_ms) > NEAR_ENOUGH_MS {
            (running.base_ms, running.since) = (theirs_ms, monotonic);
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn now(&self, monotonic: Duration) -> u64 {
        let gone = u64::try_from(monotonic.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        self.base_ms.saturating_add(gone).max(self.newest_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Hands {
        wall: AtomicU64,
        monotonic: AtomicU64,
    }

    impl Hands {
        fn pass(&self, ms: u64) {
            self.wall.fetch_add(ms, Ordering::Relaxed);
            self.monotonic.fetch_add(ms, Ordering::Relaxed);
        }
    }

    impl Clock for Hands {
        fn wall_ms(&self) -> u64 {
            self.wall.load(Ordering::Relaxed)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.monotonic.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn time_is_what_most_clocks_say_and_stamps_never_go_back() {
        let hands = Arc::new(Hands::default());
        hands.wall.store(1_000_000, Ordering::Relaxed);
        let time = ClusterTime::start(hands.clone(), 0);
        time.follow_others(999_600);
        assert_eq!(time.now_ms(), 1_000_000, "near enough");
        hands.wall.store(4_600_000, Ordering::Relaxed);
        time.follow_others(400_000);
        assert_eq!(time.now_ms(), 400_000);
        assert_eq!(time.stamp(), 400_000);
        time.follow_others(1_050_000);
        assert_eq!(time.stamp(), 1_050_000);
        time.follow_others(1_000_000);
        assert_eq!(time.stamp(), 1_050_000, "a stamp was given");
        hands.pass(60_000);
        assert_eq!(time.stamp(), 1_060_000);
    }

    #[test]
    fn time_goes_on_by_the_monotonic_clock_and_reports_a_jump() {
        let hands = Arc::new(Hands::default());
        hands.wall.store(1_000_000, Ordering::Relaxed);
        let time = ClusterTime::start(hands.clone(), 0);
        assert_eq!((time.stamp(), time.jump()), (1_000_000, None));
        hands.pass(10);
        assert_eq!(time.stamp(), 1_000_010);

        hands.wall.store(9_000_000, Ordering::Relaxed);
        hands.pass(5);
        assert_eq!(time.now_ms(), 1_000_015, "a jump ahead does not take time along");
        assert!(time.jump().unwrap().ahead_ms > 7_000_000);

        hands.wall.store(1_000, Ordering::Relaxed);
        assert_eq!(time.stamp(), 1_000_015, "nor does a jump back");
        assert!(time.jump().unwrap().ahead_ms < 0);

        hands.wall.store(2_000_000, Ordering::Relaxed);
        time.follow_wall_clock();
        assert_eq!((time.now_ms(), time.jump()), (2_000_000, None));
        hands.wall.store(10, Ordering::Relaxed);
        time.follow_wall_clock();
        assert_eq!(time.now_ms(), 2_000_000, "time never goes back, whoever says so");
    }

    #[test]
    fn a_start_with_a_lost_clock_goes_on_from_the_log() {
        let time = ClusterTime::start(Arc::new(Hands::default()), 5_000_000);
        assert_eq!(time.stamp(), 5_000_000);
        assert!(time.jump().is_some());
        time.observe(6_000_000);
        assert_eq!(time.stamp(), 6_000_000);
    }
}
