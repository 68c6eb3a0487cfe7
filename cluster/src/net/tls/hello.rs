//! What both sides say first on a connection.

use serde::{Deserialize, Serialize};

use crate::command::Incarnation;
use crate::id::NodeId;

/// The oldest version of the protocol this build speaks.
pub(super) const OLDEST: u16 = 1;
/// The newest.
pub(super) const NEWEST: u16 = 1;

/// Which kind of messages a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Lane {
    /// Consensus and control: small, and never behind anything large.
    Urgent,
    /// Bytes.
    Bulk,
}

/// The first frame of whoever opens the connection. What it is in the cluster stands in its certificate.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) oldest: u16,
    pub(super) newest: u16,
    pub(super) incarnation: Incarnation,
    pub(super) lane: Lane,
}

impl Hello {
    pub(super) fn new(incarnation: Incarnation, lane: Lane) -> Self {
        Self { oldest: OLDEST, newest: NEWEST, incarnation, lane }
    }

    /// The newest version both speak.
    pub(super) fn version(&self) -> Option<u16> {
        let common = self.newest.min(NEWEST);
        (common >= self.oldest.max(OLDEST)).then_some(common)
    }
}

/// The answer to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum HelloAnswer {
    /// Go on, in this version.
    Welcome { version: u16, incarnation: Incarnation },
    /// Why not.
    No { reason: String },
}

/// Who may be spoken with, and where they are. It looks at State each time it is asked.
pub trait Membership: Send + Sync + 'static {
    /// Whether `node`, in its start `incarnation`, is one of us.
    ///
    /// # Errors
    /// Why not.
    fn admits(&self, node: NodeId, incarnation: &Incarnation) -> Result<(), String>;

    /// Whether `edge`, in its start `incarnation`, is an edge of ours.
    ///
    /// # Errors
    /// Why not.
    fn admits_edge(&self, edge: NodeId, incarnation: &Incarnation) -> Result<(), String>;

    /// Where `node` is reached: `host:port`.
    fn address(&self, node: NodeId) -> Option<String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_find_a_common_version_and_strangers_do_not() {
        let hello =
            |oldest, newest| Hello { oldest, newest, ..Hello::new(Incarnation::default(), Lane::Bulk) };
        assert_eq!(hello(1, 1).version(), Some(1));
        assert_eq!(hello(1, 2).version(), Some(1), "the next version speaks this one too");
        assert_eq!(hello(2, 3).version(), None);
    }
}
