//! The node-wide stop flag. When a sync fails nobody knows any more what is on the disk, and asking again would lie
//! (the kernel reports a lost write once): the flag goes up and stays up, everything that would acknowledge something
//! refuses, and the node shuts down.

use std::sync::Arc;

use tokio::sync::watch;

/// Raised once, never cleared. Clones share it.
#[derive(Debug, Clone)]
pub struct StopFlag {
    reason: Arc<watch::Sender<Option<String>>>,
}

impl StopFlag {
    /// A flag that is down.
    #[must_use]
    pub fn new() -> Self {
        Self { reason: Arc::new(watch::Sender::new(None)) }
    }

    /// Raises the flag. The first reason stays.
    pub fn raise(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.reason.send_if_modified(|held| {
            let first = held.is_none();
            if first {
                tracing::error!(%reason, "the node must stop");
            }
            held.get_or_insert(reason);
            first
        });
    }

    /// Why the node must stop, if it must.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Whether the flag is up.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Waits until the flag goes up and gives the reason.
    pub async fn raised(&self) -> String {
        let mut receiver = self.reason.subscribe();
        let reason = receiver.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }
}

impl Default for StopFlag {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_and_wakes_everybody() {
        let flag = StopFlag::new();
        let waiting = tokio::spawn({
            let flag = flag.clone();
            async move { flag.raised().await }
        });
        assert!(!flag.is_raised());
        flag.raise("first");
        flag.raise("second");
        assert_eq!(waiting.await.unwrap(), "first");
        assert_eq!(flag.reason().as_deref(), Some("first"));
    }
}
