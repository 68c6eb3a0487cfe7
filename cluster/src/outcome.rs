//! What a Command gave to its proposer.

use serde::{Deserialize, Serialize};

use crate::id::{ApplicationId, JobId, NodeId, UserId};

/// What a Command gave. Most only succeed; some answer with what apply decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The epoch granted for writing a Blob (open gives 1, each takeover one more).
    BlobEpoch(u64),
    /// The epoch granted for working on a Job.
    JobEpoch(u64),
    /// The Job that works on the asset: the new one, or the one already active.
    Job {
        /// Its id.
        job: JobId,
        /// It was already there.
        existing: bool,
    },
    /// The person an invitation or reset led to.
    User {
        /// The person.
        user: UserId,
        /// The application joined, for an invitation.
        application: Option<ApplicationId>,
    },
    /// How many things were ended or removed.
    Count(u32),
    /// Expiry: noted as due for the first time; ask again in an hour.
    NotedDue,
    /// Expiry: due by two stamps an hour apart, and now purged.
    Purged,
    /// The id of the node that joined.
    Node(NodeId),
}
