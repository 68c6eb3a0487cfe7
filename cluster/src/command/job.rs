//! Commands about Jobs: work on an asset, leased to a node by an epoch.

use serde::{Deserialize, Serialize};

use super::values::JobKind;
use crate::id::{AssetId, JobId, NodeId};

/// A change of a Job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobCommand {
    /// Queues work. An asset has at most one active Job of a kind: a second Queue answers with the first.
    Queue {
        /// The Job.
        job: JobId,
        /// On what.
        asset: AssetId,
        /// What to do.
        kind: JobKind,
    },
    /// Takes the Job at the epoch one saw; answers `Outcome::JobEpoch` with the next one, and the former holder is out.
    Lease {
        /// The Job.
        job: JobId,
        /// Who will work.
        node: NodeId,
        /// The epoch seen in State (0 when never leased).
        epoch: u64,
    },
    /// The work is done.
    Finish {
        /// The Job.
        job: JobId,
        /// The lease's epoch.
        epoch: u64,
    },
    /// The work cannot be done; the asset fails with this reason.
    Fail {
        /// The Job.
        job: JobId,
        /// The lease's epoch.
        epoch: u64,
        /// Stable code, such as `unsupported_container`.
        code: String,
        /// For people.
        reason: String,
    },
    /// Stops it; the asset fails as `cancelled` unless it was ready before.
    Cancel {
        /// The Job.
        job: JobId,
    },
    /// Queues a failed or cancelled Job again.
    Retry {
        /// The Job.
        job: JobId,
    },
}
