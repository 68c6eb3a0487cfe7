//! How far a run is, for whoever asks this node.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::id::BackupRunId;

/// What a run is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// Objects looked at.
    pub objects: u64,
    /// Objects there are, as far as is known.
    pub objects_total: u64,
    /// Bytes moved.
    pub bytes: u64,
}

/// The place where a run notes how far it is. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct ProgressCell {
    now: Arc<Mutex<Option<(BackupRunId, Progress)>>>,
}

impl ProgressCell {
    /// How far the run is that this node carries out.
    #[must_use]
    pub fn now(&self) -> Option<(BackupRunId, Progress)> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, run: BackupRunId) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some((run, Progress::default()));
    }

    pub(crate) fn end(&self) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Progress)) {
        if let Some((_, progress)) = &mut *self.now.lock().unwrap_or_else(PoisonError::into_inner) {
            change(progress);
        }
    }
}
