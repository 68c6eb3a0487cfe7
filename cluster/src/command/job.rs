//! Commands about Jobs: work on an asset, leased to a node by an epoch.

use serde::{Deserialize, Serialize};

use super::values::JobKind;
use crate::id::{AssetId, BlobId, JobId, NodeId};

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
    /// Divides the pictures of a leased Job into parts, which nodes take one by one; without cuts, no longer. What the parts
    /// had made that is not kept by then is dropped.
    Split {
        /// The Job.
        job: JobId,
        /// The lease's epoch.
        epoch: u64,
        /// The first segment of each part, rising; the last part goes to the end.
        cuts: Vec<u64>,
    },
    /// Takes a part at the epoch one saw; answers `Outcome::JobEpoch` with the next one, and the former holder is out.
    LeasePart {
        /// The Job.
        job: JobId,
        /// Which part.
        part: u16,
        /// Who will work.
        node: NodeId,
        /// The epoch seen in State (0 when never leased).
        epoch: u64,
    },
    /// Opens the Blob that a part is written to.
    OpenPart {
        /// The Job.
        job: JobId,
        /// Which part.
        part: u16,
        /// The epoch of the part's lease.
        epoch: u64,
        /// The new Blob.
        blob: BlobId,
    },
    /// A part is made, and its Blob sealed.
    FinishPart {
        /// The Job.
        job: JobId,
        /// Which part.
        part: u16,
        /// The epoch of the part's lease.
        epoch: u64,
        /// Something in the source could not be decoded.
        damaged: bool,
    },
    /// A part cannot be made: whoever has the Job decides what becomes of it.
    FailPart {
        /// The Job.
        job: JobId,
        /// Which part.
        part: u16,
        /// The epoch of the part's lease.
        epoch: u64,
        /// Stable code, such as `damaged`.
        code: String,
    },
    /// What a part made is in the renditions: its Blob is dropped.
    KeepPart {
        /// The Job.
        job: JobId,
        /// The epoch of the Job's lease.
        epoch: u64,
        /// Which part.
        part: u16,
    },
}

impl JobCommand {
    /// The level a node must have to know of parts.
    pub const PARTS_LEVEL: u32 = 1;

    /// Whether it divides a Job, or is about one of its parts.
    #[must_use]
    pub fn is_about_parts(&self) -> bool {
        matches!(
            self,
            Self::Split { .. }
                | Self::LeasePart { .. }
                | Self::OpenPart { .. }
                | Self::FinishPart { .. }
                | Self::FailPart { .. }
                | Self::KeepPart { .. }
        )
    }
}
