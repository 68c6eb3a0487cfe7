//! How each node does, asked of the node itself: since when it runs, its disk, what it has yet to fetch, and how far its backup
//! is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Cluster;
use super::control::{Answer, Ask, ask};
use crate::backup::Progress;
use crate::id::{BackupRunId, NodeId};

/// A node that does not answer within this time is shown without its own word.
const WITHIN: Duration = Duration::from_millis(300);

/// A node's own word on how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Since it started.
    pub up_ms: u64,
    /// Bytes of its disk; none when it cannot be looked at.
    pub disk_total: Option<u64>,
    /// Bytes free.
    pub disk_free: Option<u64>,
    /// Bytes it has yet to fetch.
    pub missing_bytes: u64,
    /// How long that will take; none while it cannot be told.
    pub missing_ms: Option<u64>,
}

impl Cluster {
    /// How this node does.
    #[must_use]
    pub fn describe_here(&self) -> NodeReport {
        let space = self.blobs().space().ok();
        let protection = self.bytes().protection();
        let up = self.inner.config.clock.monotonic().saturating_sub(self.inner.peers.since());
        NodeReport {
            up_ms: milliseconds(up),
            disk_total: space.map(|space| space.total),
            disk_free: space.map(|space| space.free),
            missing_bytes: protection.missing_bytes,
            missing_ms: protection.missing_time.map(milliseconds),
        }
    }

    /// How `node` does, by its own word; none when it does not answer, or does not know the question yet.
    pub async fn describe(&self, node: NodeId) -> Option<NodeReport> {
        if node == self.node_id() {
            return Some(self.describe_here());
        }
        if !self.peers().is_alive(node) {
            return None;
        }
        match ask(&*self.inner.net, node, &Ask::Describe, WITHIN).await {
            Ok(Answer::Described(report)) => Some(report),
            _ => None,
        }
    }

    /// How far `run` is, which `node` carries out; none when that is not known there, or the node does not answer.
    pub async fn progress_of_backup(&self, run: BackupRunId, node: NodeId) -> Option<Progress> {
        let now = if node == self.node_id() {
            self.backup_progress().now()
        } else if self.peers().is_alive(node) {
            match ask(&*self.inner.net, node, &Ask::BackupProgress, WITHIN).await {
                Ok(Answer::BackupProgress(now)) => now,
                _ => None,
            }
        } else {
            None
        };
        now.filter(|(carried_out, _)| *carried_out == run).map(|(_, progress)| progress)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
