//! Takes snapshots and cuts the log: when it has grown, and after a purge, so that a forgotten key is gone from log and
//! snapshots in time.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;

use super::heard;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::worker::{WorkError, Worked, Worker};

/// How often the log's size is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// When the log is first cut whatever its size, so that frequent restarts do not put it off for ever.
const AFTER_START: Duration = Duration::from_secs(600);

pub(super) struct Cut {
    cluster: Cluster,
    events: Receiver<Event>,
    /// When what was purged must be forgotten.
    forget_by: Option<tokio::time::Instant>,
    cuts: u64,
}

impl Cut {
    pub(super) fn new(cluster: Cluster) -> Self {
        // Something may have been purged just before the restart.
        let soon = cluster.config().forget_within.min(AFTER_START);
        let forget_by = Some(tokio::time::Instant::now() + soon);
        Self { events: cluster.rarer_events(), cluster, forget_by, cuts: 0 }
    }
}

#[async_trait]
impl Worker for Cut {
    fn name(&self) -> &'static str {
        "cut"
    }

    fn status(&self) -> String {
        format!(
            "the log holds {} bytes, cut {} times since start",
            self.cluster.status().log_bytes,
            self.cuts
        )
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let forget = self.forget_by.is_some_and(|by| tokio::time::Instant::now() >= by);
        let config = self.cluster.config();
        let keep = if forget { 0 } else { config.log_bytes_kept };
        if forget || self.cluster.status().log_bytes > config.log_bytes {
            if forget {
                // What is purged from now on has its own time.
                self.forget_by = None;
            }
            if let Err(error) = self.cluster.cut_log(keep).await {
                self.forget_by = self.forget_by.or(forget.then(tokio::time::Instant::now));
                return Err(WorkError::new(&error));
            }
            self.cuts += 1;
        }
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        let forgotten =
            |event: &Event| matches!(event, Event::AssetPurged { .. } | Event::ClusterKeyRotated { .. });
        if heard(&mut self.events, EVERY, forgotten).await && self.forget_by.is_none() {
            self.forget_by = Some(tokio::time::Instant::now() + self.cluster.config().forget_within);
        }
    }
}
