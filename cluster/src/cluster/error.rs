//! What can go wrong at the handle.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::audit::AuditError;
use crate::id::NodeId;
use crate::keyring::KeyError;
use crate::raft::log::{LogError, MissingRange};
use crate::raft::snapshot::SnapshotError;
use crate::refusal::Refusal;
use crate::seal::SealError;
use crate::store::BlobError;

/// Why a node could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process runs on the same folder.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// There is a cluster in the folder already.
    #[error("there is a node in {} already", .0.display())]
    Exists(PathBuf),
    /// There is none.
    #[error("there is no node in {}", .0.display())]
    Absent(PathBuf),
    /// This node lost acknowledged records and others hold them: it must join again as a new node.
    #[error("this node lost the log records {missing}; it must join again as a new node ({reasons})")]
    MustRejoin {
        /// What is lost.
        missing: MissingRange,
        /// Why.
        reasons: String,
    },
    /// What is left in the folder shows that there was a log, and it is gone: without it a node could undo what it agreed to.
    #[error(
        "the log of this node ({}) is gone, and nothing was made in its place: what is left in the folder is as it was. \
         Put the log back from a copy of this disk, or restore the cluster from a backup; a node of several is removed and \
         joins again as a new node, with an empty folder and a new token",
        .0.display()
    )]
    Wiped(PathBuf),
    /// The folder was written to by a newer build.
    #[error(
        "{} was written by a newer mediakeep (format {found}; this one knows {known}); nothing was changed. \
         Start the newer version again, or restore a backup from before it",
        .dir.display()
    )]
    Newer {
        /// The data folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this build reads.
        known: u32,
    },
    /// Who the node is cannot be read from either copy.
    #[error(
        "who this node is ({}) cannot be read from either copy of the file; nothing was changed. Put one of them back \
         from a copy of this disk, or restore the cluster from a backup; a node of several is removed and joins again as a \
         new node, with an empty folder and a new token",
        .0.display()
    )]
    IdentityDamaged(PathBuf),
    /// The snapshot cannot be read from either copy.
    #[error(
        "what this node knows cannot be read from either copy of its snapshot in {}: {what}. Log, audit records and media \
         are as they were; nothing was changed. Put the snapshot back from a copy of this disk, or restore the cluster from \
         a backup; a node of several is removed and joins again as a new node, with an empty folder and a new token",
        .dir.display()
    )]
    SnapshotDamaged {
        /// The snapshot folder.
        dir: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The log goes on after a snapshot that is not there.
    #[error(
        "the snapshot in {} is gone, and the log goes on only after record {upto}. Log, audit records and media are as they \
         were; nothing was changed. Put the snapshot back from a copy of this disk, or restore the cluster from a backup",
        .dir.display()
    )]
    SnapshotGone {
        /// The snapshot folder.
        dir: PathBuf,
        /// The last record that only the snapshot covered.
        upto: u64,
    },
    /// The others cannot connect.
    #[error("cannot listen for other nodes on {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The node's secrets could not be had.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The snapshot failed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The audit log failed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The Blob store failed.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The disk failed.
    #[error("the data folder failed: {0}")]
    Io(#[from] io::Error),
    /// Consensus did not start.
    #[error("consensus did not start: {0}")]
    Consensus(String),
    /// The operator accepted a loss, and that could not be put on record.
    #[error("the accepted loss could not be put on record: {0}")]
    LossNotRecorded(#[source] ProposeError),
    /// The cluster's first Entry was refused.
    #[error("the new cluster was refused: {0}")]
    Initialise(#[from] ProposeError),
}

/// Why a proposal came to nothing, or is not known to have come to anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ProposeError {
    /// It was agreed on and refused by the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another node leads.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, when known.
        leader: Option<NodeId>,
    },
    /// It is larger than one record of the log.
    #[error("a change of {length} bytes is larger than {limit} bytes")]
    TooLarge {
        /// Its encoded size.
        length: usize,
        /// The most there may be.
        limit: usize,
    },
    /// This node may not change anything: acknowledged records are missing.
    #[error("this node is read-only: the log records {0} are missing")]
    ReadOnly(MissingRange),
    /// It was not put to the vote.
    #[error("the cluster cannot take changes now: {0}")]
    Unavailable(String),
    /// It was put to the vote and the answer did not come: it may yet be agreed.
    #[error("the change was sent and its outcome is not known")]
    OutcomeUnknown,
}
