//! A node's two clocks: both follow the world's time, and the wall clock can be set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// When every world begins: ms since the Unix epoch.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// One node's clocks.
#[derive(Debug)]
pub(super) struct SimulatedClock {
    started: Instant,
    ahead_ms: AtomicI64,
}

impl SimulatedClock {
    /// Clocks of which the wall clock is ahead of true time by `ahead_ms`.
    pub(super) fn new(ahead_ms: i64) -> Self {
        Self { started: Instant::now(), ahead_ms: AtomicI64::new(ahead_ms) }
    }

    /// Sets the wall clock.
    pub(super) fn set_ahead(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn wall_ms(&self) -> u64 {
        let gone = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        u64::try_from(BEGINNING_MS.saturating_add(gone).saturating_add(ahead)).unwrap_or(0)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
