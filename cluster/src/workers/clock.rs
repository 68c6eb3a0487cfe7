//! Watches the wall clock: when it jumps, nothing expires until the operator has said which time is right.

use std::time::Duration;

use async_trait::async_trait;

use crate::actor::Actor;
use crate::cluster::{Cluster, ProposeError};
use crate::command::{ClusterCommand, Command};
use crate::worker::{WorkError, Worked, Worker};

const EVERY: Duration = Duration::from_secs(10);

pub(super) struct WatchClock {
    cluster: Cluster,
}

impl WatchClock {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }
}

#[async_trait]
impl Worker for WatchClock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn status(&self) -> String {
        match self.cluster.status().clock_jump {
            Some(_) if self.cluster.clock_is_off() => {
                "the wall clock of this node is off by most others, so it does not lead".to_owned()
            }
            Some(jump) => format!("the wall clock is {} ms ahead of cluster time", jump.ahead_ms),
            None => "the wall clock agrees with cluster time".to_owned(),
        }
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let jumped = self.cluster.status().clock_jump.is_some();
        let held = self.cluster.state().cluster_info().is_none_or(|cluster| cluster.time_held);
        // Where others can be asked, most clocks decide, and whoever is off does not lead.
        let others_decide = self.cluster.clock_ahead_ms().is_some();
        if !jumped || held || others_decide || !self.cluster.leads() {
            return Ok(Worked::Idle);
        }
        let hold = Command::Cluster(ClusterCommand::SetTimeHold { held: true });
        match self.cluster.propose(Actor::system(self.cluster.node_id()), hold).await {
            Ok(_) | Err(ProposeError::NotLeader { .. } | ProposeError::ReadOnly(_)) => Ok(Worked::Idle),
            Err(error) => Err(WorkError::new(&error)),
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(EVERY).await;
    }
}
