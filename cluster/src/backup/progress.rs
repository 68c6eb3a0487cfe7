//! How far a run is, for whoever asks this node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::id::BackupRunId;

/// What a run is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It looks at what there is.
    #[default]
    Looking,
    /// Blobs are sent, read or fetched.
    Blobs,
    /// The audit log.
    Audit,
    /// State and lists.
    State,
    /// Old runs are given up.
    GivingUp,
}

impl Phase {
    /// As the API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Looking => "looking",
            Self::Blobs => "blobs",
            Self::Audit => "audit",
            Self::State => "state",
            Self::GivingUp => "giving_up",
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// Objects looked at.
    pub objects: u64,
    /// Objects there are, as far as is known.
    pub objects_total: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// How long what it is at will take yet, by what that has taken so far; none while it cannot be told.
    pub eta_ms: Option<u64>,
}

/// The place where a run notes how far it is. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct ProgressCell {
    now: Arc<Mutex<Option<Noted>>>,
}

/// A run, and since when it is in its phase.
#[derive(Debug)]
struct Noted {
    run: BackupRunId,
    progress: Progress,
    since: Instant,
}

impl ProgressCell {
    /// How far the run is that this node carries out.
    #[must_use]
    pub fn now(&self) -> Option<(BackupRunId, Progress)> {
        let noted = self.noted();
        let Noted { run, progress, since } = noted.as_ref()?;
        let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some((*run, Progress { eta_ms: eta_ms(progress, took_ms), ..*progress }))
    }

    pub(crate) fn begin(&self, run: BackupRunId) {
        *self.noted() = Some(Noted { run, progress: Progress::default(), since: Instant::now() });
    }

    pub(crate) fn end(&self) {
        *self.noted() = None;
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(Noted { progress, since, .. }) = &mut *self.noted() {
            let phase = progress.phase;
            change(progress);
            if progress.phase != phase {
                *since = Instant::now();
            }
        }
    }

    fn noted(&self) -> MutexGuard<'_, Option<Noted>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long for each thing that is left as for each that is done.
fn eta_ms(progress: &Progress, took_ms: u64) -> Option<u64> {
    let left = progress.objects_total.checked_sub(progress.objects)?;
    let all = u128::from(took_ms) * u128::from(left);
    all.checked_div(u128::from(progress.objects)).map(|eta_ms| u64::try_from(eta_ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_is_done() {
        for (objects, objects_total, took_ms, wanted) in [
            (0, 0, 5_000, None),
            (0, 10, 5_000, None),
            (5, 0, 5_000, None),
            (1, 10, 5_000, Some(45_000)),
            (10, 10, 5_000, Some(0)),
            (1, u64::MAX, u64::MAX, Some(u64::MAX)),
        ] {
            let progress = Progress { objects, objects_total, ..Progress::default() };
            assert_eq!(eta_ms(&progress, took_ms), wanted, "{objects} of {objects_total}");
        }
    }
}
