//! Signs how far this node's audit log goes, and gives that to the others.

use std::time::Duration;

use async_trait::async_trait;

use crate::cluster::Cluster;
use crate::worker::{WorkError, Worked, Worker};

/// A head is signed after so many records, or after this time when there are any.
const RECORDS: u64 = 200;
const EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct SignHeads {
    cluster: Cluster,
    /// Where the log ended when it was opened, until that is held against what was signed before.
    opened: Option<u64>,
    /// Nothing is missing up to this record.
    whole: u64,
    signed: u64,
    signed_at: Option<Duration>,
}

impl SignHeads {
    pub(super) fn new(cluster: Cluster) -> Self {
        let opened = Some(cluster.audit().opened_last());
        Self { cluster, opened, whole: 0, signed: 0, signed_at: None }
    }

    fn is_due(&self, newest: u64) -> bool {
        let since = self.signed_at.map(|at| self.cluster.config().clock.monotonic().saturating_sub(at));
        newest > self.signed && (newest >= self.signed + RECORDS || since.is_none_or(|since| since >= EVERY))
    }
}

#[async_trait]
impl Worker for SignHeads {
    fn name(&self) -> &'static str {
        "audit_heads"
    }

    fn status(&self) -> String {
        format!("signed up to record {}", self.signed)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let state = self.cluster.state();
        let head = state.chain_head();
        if !self.is_due(head.sequence) || state.node(self.cluster.node_id()).is_none() {
            return Ok(Worked::Idle);
        }
        let failed = |error: &dyn std::fmt::Display| WorkError::new(error);
        let audit = self.cluster.audit();
        let durable = audit.sync().await.map_err(|error| failed(&error))?;
        let gap = audit.newest_gap(self.whole, head).await.map_err(|error| failed(&error))?;
        if durable < head.sequence || gap.is_some() {
            // What came before this node is fetched first.
            return Ok(Worked::Idle);
        }
        self.whole = head.sequence;
        let opened = self.opened.unwrap_or(u64::MAX);
        let given = self.cluster.give_head(head, opened).await;
        let (signed, before) = given.map_err(|error| failed(&error))?;
        let hash = data_encoding::HEXLOWER.encode(&signed.head.hash);
        let signature = data_encoding::HEXLOWER.encode(&signed.signature);
        tracing::info!(record = signed.head.sequence, hash, signature, "the head of the audit log is signed");
        self.signed = head.sequence;
        self.signed_at = Some(self.cluster.config().clock.monotonic());
        let Some(before) = before else { return Ok(Worked::Idle) };
        if let Some(before) = before.filter(|before| before.head.sequence > opened) {
            let recorded = self.cluster.record_shortened(opened, &before).await;
            recorded.map_err(|error| failed(&error))?;
        }
        // Some other node has said what it knows: that is settled for this start.
        self.opened = None;
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
