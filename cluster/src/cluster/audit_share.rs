//! Audit records for a node that came after they were made.

use std::time::Duration;

use bytes::Bytes;

use super::control::Ask;
use super::{Cluster, ProposeError};
use crate::audit::{AuditFilter, Gap};
use crate::audit_record::AuditRecord;
use crate::id::NodeId;
use crate::net::{Message, Net, Service};

/// Records in one answer at most.
const TOGETHER: usize = 500;
/// Bytes of one answer at most; a single record is always smaller.
const ANSWER: usize = 1024 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

impl Cluster {
    /// The newest records before number `before`, in order, as another node asks for them.
    pub(super) async fn audit_records_before(&self, before: u64) -> Result<Message, String> {
        let page = self.inner.audit.query(AuditFilter::default(), Some(before), TOGETHER).await;
        let mut records = page.map_err(|error| error.to_string())?.records;
        loop {
            let mut in_order = records.clone();
            in_order.sort_unstable_by_key(|record| record.sequence);
            let body = postcard::to_allocvec(&in_order).map_err(|error| error.to_string())?;
            if body.len() <= ANSWER || records.len() <= 1 {
                return Ok(Message { head: Bytes::new(), body: body.into() });
            }
            // The page is newest first: its end is what another question gives.
            records.truncate(records.len() / 2);
        }
    }

    /// Fills the end of `gap` from `node`. Gives how many records came.
    pub(crate) async fn fetch_audit(&self, gap: Gap, node: NodeId) -> Result<u64, ProposeError> {
        let failed = |error: &dyn std::fmt::Display| ProposeError::Unavailable(error.to_string());
        let question = Ask::AuditRecords { before: gap.last + 1 };
        let head = postcard::to_allocvec(&question).map_err(|error| failed(&error))?;
        let message = Message { head: head.into(), body: Bytes::new() };
        let answer = self.inner.net.call(node, Service::Control, message, ANSWER_WITHIN).await;
        let answer = answer.map_err(|error| failed(&error))?;
        let mut records: Vec<AuditRecord> =
            postcard::from_bytes(&answer.body).map_err(|error| failed(&error))?;
        records.retain(|record| record.sequence >= gap.first);
        let count = records.len() as u64;
        self.inner.audit.fill(gap, records).await.map_err(|error| failed(&error))?;
        Ok(count)
    }
}
