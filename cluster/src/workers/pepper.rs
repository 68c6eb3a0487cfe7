//! The leader sees to the pepper of passphrases: that there is one as soon as all nodes understand it, and that it lies under
//! the cluster key in force.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;

use super::heard;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::worker::{WorkError, Worked, Worker};

/// Whoever begins to lead looks this often whether there is anything to do.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct KeepPepper {
    cluster: Cluster,
    events: Receiver<Event>,
}

impl KeepPepper {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { events: cluster.rarer_events(), cluster }
    }
}

#[async_trait]
impl Worker for KeepPepper {
    fn name(&self) -> &'static str {
        "pepper"
    }

    fn status(&self) -> String {
        let state = self.cluster.state();
        let status = match state.pepper() {
            None => "passphrases are hashed without a pepper",
            Some(_) if state.wants_pepper() => "the pepper is to be sealed anew",
            Some(_) => "passphrases are hashed with a pepper",
        };
        status.to_owned()
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        if self.cluster.leads() {
            self.cluster.keep_pepper().await.map_err(|error| WorkError::new(&error))?;
        }
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        heard(&mut self.events, LOOK_EVERY, |event| {
            matches!(event, Event::ClusterChanged | Event::ClusterKeyRotated { .. })
        })
        .await;
    }
}
