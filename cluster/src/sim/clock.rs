//! A node's two clocks: both follow the world's time, and the wall clock can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::world::World;
use crate::clock::Clock;

/// When every world begins: ms since the Unix epoch.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// One node's clocks.
#[derive(Debug)]
pub(super) struct SimulatedClock {
    started: Instant,
    ahead_ms: AtomicI64,
    /// It goes so much too quickly, in millionths; too slowly where that is negative.
    drift: i64,
    /// What the world's time has leapt over in which nothing happened, in ms.
    leapt_ms: Arc<AtomicU64>,
}

impl SimulatedClock {
    /// Clocks of which the wall clock is ahead of true time by `ahead_ms`.
    pub(super) fn new(ahead_ms: i64, drift: i64, leapt_ms: Arc<AtomicU64>) -> Self {
        Self { started: Instant::now(), ahead_ms: AtomicI64::new(ahead_ms), drift, leapt_ms }
    }

    fn gone(&self) -> Duration {
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let shown = elapsed.saturating_add(elapsed.saturating_mul(self.drift) / 1_000_000);
        let leapt = Duration::from_millis(self.leapt_ms.load(Ordering::Relaxed));
        Duration::from_micros(u64::try_from(shown).unwrap_or(0)) + leapt
    }

    /// Sets the wall clock.
    pub(super) fn set_ahead(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

/// How often nodes look at one another's clocks.
const LOOK: Duration = Duration::from_millis(500);

/// All nodes take their sense of time from most clocks, as they do where they hear one another's.
pub(super) async fn keep_together(world: World) {
    loop {
        tokio::time::sleep(LOOK).await;
        let up = world.up();
        let mut clocks: Vec<u64> = world
            .seats()
            .values()
            .filter(|seat| seat.node.is_some())
            .map(|seat| seat.clock.wall_ms())
            .collect();
        clocks.sort_unstable();
        if clocks.len() >= 3 {
            up.iter().for_each(|node| node.shown.time.follow_others(clocks[clocks.len() / 2]));
        }
    }
}

impl Clock for SimulatedClock {
    fn wall_ms(&self) -> u64 {
        let gone = i64::try_from(self.gone().as_millis()).unwrap_or(i64::MAX);
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        u64::try_from(BEGINNING_MS.saturating_add(gone).saturating_add(ahead)).unwrap_or(0)
    }

    fn monotonic(&self) -> Duration {
        self.gone()
    }
}
