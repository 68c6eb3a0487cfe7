//! A node's own news to the others: that it has started, where it is, and which certificate it shows. Certificates are
//! renewed when two thirds of their life are over.

use std::time::Duration;

use async_trait::async_trait;

use crate::cluster::{Cluster, ProposeError};
use crate::refusal::Refusal;
use crate::worker::{WorkError, Worked, Worker};

const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct Presence {
    cluster: Cluster,
    reported: bool,
}

impl Presence {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, reported: false }
    }
}

#[async_trait]
impl Worker for Presence {
    fn name(&self) -> &'static str {
        "presence"
    }

    fn status(&self) -> String {
        if self.reported { "the others know where this node is" } else { "not said yet" }.to_owned()
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        if self.cluster.renew_certificate().await.map_err(|error| WorkError::new(&error))? {
            self.reported = false;
        }
        if self.reported {
            return Ok(Worked::Idle);
        }
        match self.cluster.report_presence().await {
            Ok(said) => {
                self.reported = said;
                Ok(Worked::Idle)
            }
            Err(ProposeError::Refused(refusal @ Refusal::StaleIncarnation)) => {
                self.cluster.stop_flag().raise(refusal.to_string());
                Ok(Worked::Idle)
            }
            Err(error) => Err(WorkError::new(&error)),
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(if self.reported { LOOK_AGAIN } else { Duration::from_millis(300) }).await;
    }
}
