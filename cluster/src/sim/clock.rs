//! A node's two clocks: both follow the world's time, and the wall clock can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
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
    /// What the world's time has leapt over in which nothing happened, in ms.
    leapt_ms: Arc<AtomicU64>,
}

impl SimulatedClock {
    /// Clocks of which the wall clock is ahead of true time by `ahead_ms`.
    pub(super) fn new(ahead_ms: i64, leapt_ms: Arc<AtomicU64>) -> Self {
        Self { started: Instant::now(), ahead_ms: AtomicI64::new(ahead_ms), leapt_ms }
    }

    fn gone(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.leapt_ms.load(Ordering::Relaxed))
    }

    /// Sets the wall clock.
    pub(super) fn set_ahead(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
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
