//! A node's own news to the others: that it has started, what it runs, where it is, and which certificate it shows.
//! Certificates are renewed when two thirds of their life are over.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;

use super::heard;
use crate::actor::Actor;
use crate::cluster::{Cluster, ProposeError};
use crate::command::{ClusterCommand, Command, Release};
use crate::event::Event;
use crate::refusal::Refusal;
use crate::worker::{WorkError, Worked, Worker};

const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct Presence {
    cluster: Cluster,
    events: Receiver<Event>,
    reported: bool,
}

impl Presence {
    pub(super) fn new(cluster: Cluster) -> Self {
        let events = cluster.rarer_events();
        Self { cluster, events, reported: false }
    }

    /// Says which build this node runs, if State has another word for it. Gives `false` while this node's own State does not
    /// hold it yet: one that has just joined is told of before it has caught up.
    async fn report_release(&self) -> Result<bool, ProposeError> {
        let (state, node) = (self.cluster.state(), self.cluster.node_id());
        let release = Release { version: env!("CARGO_PKG_VERSION").to_owned(), level: Command::LEVEL };
        if state.node(node).is_none() {
            return Ok(false);
        }
        if state.release(node) == Some(&release) {
            return Ok(true);
        }
        let command = ClusterCommand::ReportRelease { node, release };
        self.cluster.propose(Actor::system(node), command.into()).await.map(|_| true)
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
        if !self.reported {
            let has_said_release = self.report_release().await.map_err(|error| WorkError::new(&error))?;
            match self.cluster.report_presence().await {
                Ok(said) => self.reported = said && has_said_release,
                Err(ProposeError::Refused(refusal @ Refusal::StaleIncarnation)) => {
                    self.cluster.end_as_a_copy(refusal.to_string());
                    return Ok(Worked::Idle);
                }
                Err(error) => return Err(WorkError::new(&error)),
            }
        }
        self.cluster.report_authority().await.map_err(|error| WorkError::new(&error))?;
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        // Often enough that a certificate is renewed well before its end.
        let settled = LOOK_AGAIN.min(self.cluster.config().certificate_life / 20);
        if !self.reported {
            tokio::time::sleep(Duration::from_millis(300)).await;
            return;
        }
        heard(&mut self.events, settled, |event| matches!(event, Event::ClusterChanged)).await;
    }
}
