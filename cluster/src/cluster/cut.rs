//! A snapshot of State, and the log cut behind it.

use std::time::Duration;

use openraft::LogIdOptionExt;

use super::Cluster;
use super::ProposeError;

/// How long a snapshot may take before the attempt counts as failed. It is tried again.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(600);

impl Cluster {
    /// Takes a snapshot, cuts the log behind it down to `keep` bytes, and moves the log to a fresh database, so that what
    /// was cut is gone from disk. Audit records are durable before the Entries that made them go.
    ///
    /// # Errors
    /// [`ProposeError::Unavailable`] when a step failed: nothing is lost, and a smaller log is all that did not happen.
    pub async fn cut_log(&self, keep: u64) -> Result<(), ProposeError> {
        fn failed(error: &dyn std::fmt::Display) -> ProposeError {
            ProposeError::Unavailable(error.to_string())
        }
        let running = self.running()?;
        let applied = self.inner.shown.applied.borrow().last.index();
        let Some(applied) = applied else { return Ok(()) };
        running.raft.trigger().snapshot().await.map_err(|error| failed(&error))?;
        let metrics = running
            .raft
            .wait(Some(SNAPSHOT_WITHIN))
            .metrics(|metrics| metrics.snapshot.index() >= Some(applied), "a snapshot")
            .await
            .map_err(|error| failed(&error))?;
        let Some(snapshot) = metrics.snapshot.index() else { return Ok(()) };
        self.inner.audit.sync().await.map_err(|error| failed(&error))?;
        if let Some(upto) = running.log.cut_point(snapshot, keep) {
            running.raft.trigger().purge_log(upto).await.map_err(|error| failed(&error))?;
            running
                .raft
                .wait(Some(SNAPSHOT_WITHIN))
                .metrics(|metrics| metrics.purged.index() >= Some(upto), "the log is cut")
                .await
                .map_err(|error| failed(&error))?;
        }
        running.log.compact().await.map_err(|error| failed(&error))
    }
}
