//! After the cluster key was rotated, the leader wraps every asset's data key under the new one. No media is touched.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;

use super::heard;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::worker::{WorkError, Worked, Worker};

/// Whoever begins to lead in the middle of it looks this often whether there is anything to do.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Rewrap {
    cluster: Cluster,
    events: Receiver<Event>,
    done: usize,
}

impl Rewrap {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { events: cluster.rarer_events(), cluster, done: 0 }
    }
}

#[async_trait]
impl Worker for Rewrap {
    fn name(&self) -> &'static str {
        "rewrap"
    }

    fn status(&self) -> String {
        format!("{} data keys wrapped anew", self.done)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        if !self.cluster.leads() {
            return Ok(Worked::Idle);
        }
        let (done, failed) = self.cluster.rewrap_some().await.map_err(|error| WorkError::new(&error))?;
        self.done += done;
        match (done, failed) {
            (0, 0) => Ok(Worked::Idle),
            (0, failed) => Err(WorkError::new(&format!("the data keys of {failed} assets do not open"))),
            _ => Ok(Worked::Busy),
        }
    }

    async fn wait(&mut self) {
        heard(&mut self.events, LOOK_EVERY, |event| matches!(event, Event::ClusterKeyRotated { .. })).await;
    }
}
