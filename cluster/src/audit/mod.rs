//! The audit log: every record that applying the log gave, in order, in sealed files that only grow.
//!
//! Records are chained by hash and the head of the chain is in State, so a changed, removed, moved or cut record is found
//! by [`AuditLog::verify`]. A record is written before the State that made it is shown: no audit write, no change.

mod fill;
mod heads;
mod log;
mod query;
mod segment;
mod verify;

pub use fill::Gap;
pub(crate) use heads::HeadSigner;
pub use heads::{HeadBook, SignedHead};
pub use log::AuditLog;
pub use query::{AuditFilter, AuditPage};
pub use verify::{Flaw, Verdict};

/// Why the audit log could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The disk refused. After a failed write nothing more is accepted until the node is started again.
    #[error("the audit log's disk failed: {0}")]
    Io(String),
    /// Stored bytes are not what was written.
    #[error("the audit log is damaged: {0}")]
    Damaged(String),
    /// A record could not be written down: a fault in the program or no randomness.
    #[error("an audit record could not be written down: {0}")]
    Unencodable(String),
    /// A record does not follow the last one.
    #[error("audit record {found} does not follow record {last}")]
    Gap {
        /// The newest record held.
        last: u64,
        /// The one that was to be added.
        found: u64,
    },
}

impl From<std::io::Error> for AuditError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}
