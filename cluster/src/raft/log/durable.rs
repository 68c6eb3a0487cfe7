//! How far the log on this disk is durable, for whoever speaks of its records.
//!
//! openraft 0.9 waits for the leader's own disk before it sends a record to anybody, so that a change costs the leader's
//! barrier and then the followers'. A log that answers ahead lets it go on at once, and the places where something leaves
//! this node wait instead: the machine before it carries a record out, the leader before it says that one is agreed, a
//! follower before it says that it has one. See `docs/decisions/2026-11-28-the-leaders-disk-beside-the-others.md`.

use std::time::Duration;

use tokio::sync::watch;

use super::LogError;
use crate::disk::StopFlag;
use crate::raft::types::LogId;

/// Follows the log writer. Clones are the same.
#[derive(Debug, Clone)]
pub struct Durable {
    /// Absent where there is no log to wait for.
    last: Option<watch::Receiver<Option<LogId>>>,
    stop: StopFlag,
}

impl Durable {
    pub(super) fn new(last: watch::Receiver<Option<LogId>>, stop: StopFlag) -> Self {
        Self { last: Some(last), stop }
    }

    /// Where no log answers ahead: whatever is known is durable.
    #[must_use]
    pub fn everything() -> Self {
        Self { last: None, stop: StopFlag::new() }
    }

    /// Waits until the log is durable up to `record`.
    ///
    /// # Errors
    /// [`LogError::Stopped`] when it will not be: the disk failed, or the log is closed.
    pub async fn reaches(&self, record: Option<LogId>) -> Result<(), LogError> {
        let Some(mut last) = self.last.clone() else { return Ok(()) };
        if *last.borrow_and_update() >= record {
            return Ok(());
        }
        tokio::select! {
            biased;
            come = last.wait_for(|last| *last >= record) => {
                come.map(drop).map_err(|_| LogError::Stopped("it is closed".to_owned()))
            }
            reason = self.stop.raised() => Err(LogError::Stopped(reason)),
        }
    }

    /// The part of `claimed` that is durable, once all of it is or this much time has passed.
    pub async fn part_of(&self, claimed: Option<LogId>, within: Duration) -> Option<LogId> {
        // Late or not: what is durable by then is what may be said.
        drop(tokio::time::timeout(within, self.reaches(claimed)).await);
        match &self.last {
            Some(last) => claimed.min(*last.borrow()),
            None => claimed,
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    fn record(term: u64, index: u64) -> Option<LogId> {
        Some(LogId::new(CommittedLeaderId::new(term, 1), index))
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_waited_for_until_it_is_durable() {
        let writer = watch::Sender::new(record(1, 4));
        let durable = Durable::new(writer.subscribe(), StopFlag::new());
        durable.reaches(None).await.unwrap();
        durable.reaches(record(1, 4)).await.unwrap();
        assert_eq!(durable.part_of(record(1, 5), SOON).await, record(1, 4), "no more than is true");
        assert_eq!(durable.part_of(record(1, 3), SOON).await, record(1, 3), "no more than was claimed");
        let waiting = tokio::spawn({
            let durable = durable.clone();
            async move { durable.reaches(record(1, 5)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        writer.send_replace(record(1, 5));
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_failed_or_was_closed_keeps_nobody_waiting() {
        let writer = watch::Sender::new(record(1, 4));
        let stop = StopFlag::new();
        let durable = Durable::new(writer.subscribe(), stop.clone());
        let waiting = tokio::spawn({
            let durable = durable.clone();
            async move { durable.reaches(record(1, 5)).await }
        });
        stop.raise("the disk failed");
        assert!(waiting.await.unwrap().unwrap_err().to_string().contains("the disk failed"));
        let durable = Durable::new(writer.subscribe(), StopFlag::new());
        drop(writer);
        durable.reaches(record(1, 5)).await.unwrap_err();
        assert_eq!(durable.part_of(record(1, 5), SOON).await, record(1, 4));
    }
}
