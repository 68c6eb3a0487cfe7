//! Fetches audit records that were made before this node came, so that every node can be asked for all of them.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;

use super::heard;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::id::NodeId;
use crate::worker::{WorkError, Worked, Worker};

/// A node that has just joined looks soon.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const SETTLED: Duration = Duration::from_secs(600);

/// See the module.
pub(super) struct FetchAudit {
    cluster: Cluster,
    events: Receiver<Event>,
    /// Nothing is missing up to this record.
    whole: u64,
    came: u64,
    /// Whom to ask next, counted over the others.
    turn: usize,
    wait: Duration,
}

impl FetchAudit {
    pub(super) fn new(cluster: Cluster) -> Self {
        let events = cluster.rarer_events();
        Self { cluster, events, whole: 0, came: 0, turn: 0, wait: LOOK_AGAIN }
    }

    /// Another node that was heard lately.
    fn source(&mut self) -> Option<NodeId> {
        let (state, me) = (self.cluster.state(), self.cluster.node_id());
        let others = state.nodes().map(|node| node.id);
        let others: Vec<NodeId> =
            others.filter(|node| *node != me && self.cluster.peers().is_alive(*node)).collect();
        self.turn += 1;
        others.get(self.turn % others.len().max(1)).copied()
    }
}

#[async_trait]
impl Worker for FetchAudit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn status(&self) -> String {
        format!("records 1 to {} are here, {} came from other nodes", self.whole, self.came)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let state = self.cluster.state();
        let head = state.chain_head();
        // A lone node misses only what it lost, and nobody else has that.
        if state.nodes().count() < 2 || head.sequence == 0 {
            self.wait = SETTLED;
            return Ok(Worked::Idle);
        }
        let gap = self.cluster.audit().newest_gap(self.whole, head).await;
        let Some(gap) = gap.map_err(|error| WorkError::new(&error))? else {
            self.whole = self.whole.max(head.sequence);
            self.wait = SETTLED;
            return Ok(Worked::Idle);
        };
        self.wait = LOOK_AGAIN;
        let Some(source) = self.source() else { return Ok(Worked::Idle) };
        let came = self.cluster.fetch_audit(gap, source).await.map_err(|error| WorkError::new(&error))?;
        self.came += came;
        Ok(Worked::Busy)
    }

    async fn wait(&mut self) {
        let wait = self.wait;
        heard(&mut self.events, wait, |event| matches!(event, Event::ClusterChanged)).await;
    }
}
