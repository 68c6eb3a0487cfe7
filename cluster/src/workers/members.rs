//! The leader's care for the members: whoever is admitted learns, catches up, and votes; whoever is removed goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;

use super::heard;
use crate::actor::Actor;
use crate::authority::Authority;
use crate::cluster::{Cluster, Step};
use crate::command::{ClusterCommand, Command};
use crate::event::Event;
use crate::id::NodeId;
use crate::state::NodeState;
use crate::worker::{WorkError, Worked, Worker};

/// A learner votes once it has been caught up for this long.
const STABLE_FOR: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const SETTLED: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Members {
    cluster: Cluster,
    events: Receiver<Event>,
    /// Since when each learner has been caught up, by the monotonic clock.
    since: BTreeMap<NodeId, Duration>,
    wait: Duration,
    status: String,
}

impl Members {
    pub(super) fn new(cluster: Cluster) -> Self {
        let events = cluster.rarer_events();
        Self { cluster, events, since: BTreeMap::new(), wait: LOOK_AGAIN, status: "does not lead".to_owned() }
    }

    /// Who has been caught up without a break for long enough.
    fn stable(&mut self) -> Result<BTreeSet<NodeId>, WorkError> {
        let now = self.cluster.config().clock.monotonic();
        let caught_up = self.cluster.caught_up().map_err(|error| WorkError::new(&error))?;
        self.since.retain(|node, _| caught_up.contains(node));
        for node in caught_up {
            self.since.entry(node).or_insert(now);
        }
        let long = |since: &Duration| now.saturating_sub(*since) >= STABLE_FOR;
        Ok(self.since.iter().filter(|(_, since)| long(since)).map(|(node, _)| *node).collect())
    }

    async fn propose(&self, command: ClusterCommand) -> Result<(), WorkError> {
        let me = Actor::system(self.cluster.node_id());
        let done = self.cluster.propose(me, Command::Cluster(command)).await;
        done.map(drop).map_err(|error| WorkError::new(&error))
    }

    /// After a rotation the authority's key lies under the cluster key before, which could never be forgotten.
    async fn keep_authority(&self) -> Result<bool, WorkError> {
        let state = self.cluster.state();
        let current = state.cluster_info().map(|info| info.key_epoch);
        let former = state.former_authority().map(|former| &former.authority);
        let mut both = state.authority().into_iter().chain(former);
        let Some(stored) = both.find(|stored| Some(stored.key_epoch) != current) else {
            return Ok(false);
        };
        let authority =
            Authority::open(stored, self.cluster.keys()).map_err(|error| WorkError::new(&error))?;
        self.cluster.keep_authority(&authority).await.map_err(|error| WorkError::new(&error))?;
        Ok(true)
    }
}

#[async_trait]
impl Worker for Members {
    fn name(&self) -> &'static str {
        "members"
    }

    fn status(&self) -> String {
        self.status.clone()
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        self.wait = LOOK_AGAIN;
        if !self.cluster.leads() {
            self.since.clear();
            "does not lead".clone_into(&mut self.status);
            return Ok(Worked::Idle);
        }
        if self.keep_authority().await? {
            return Ok(Worked::Busy);
        }
        if self.cluster.drop_former_authority().await.map_err(|error| WorkError::new(&error))? {
            return Ok(Worked::Busy);
        }
        let stable = self.stable()?;
        let state = self.cluster.state();
        let me = self.cluster.node_id();
        let ready = state.nodes().find(|node| node.state == NodeState::Joining && stable.contains(&node.id));
        if let Some(node) = ready {
            self.propose(ClusterCommand::ActivateNode { node: node.id }).await?;
            return Ok(Worked::Busy);
        }
        if state.node(me).is_some_and(|node| node.state == NodeState::Draining) {
            "hands over".clone_into(&mut self.status);
            self.cluster.hand_over().await;
            return Ok(Worked::Idle);
        }
        let step = self.cluster.step_membership(&stable).await.map_err(|error| WorkError::new(&error))?;
        self.status = format!("{} nodes, {step:?}", state.nodes().count());
        match step {
            Step::Changed => Ok(Worked::Busy),
            Step::Waiting => Ok(Worked::Idle),
            Step::Settled => {
                self.wait = SETTLED;
                Ok(Worked::Idle)
            }
        }
    }

    async fn wait(&mut self) {
        // A node that starts to lead must look soon, so the wait is short for whoever does not lead.
        let wait = self.wait;
        heard(&mut self.events, wait, |event| {
            matches!(event, Event::ClusterChanged | Event::ClusterKeyRotated { .. })
        })
        .await;
    }
}
