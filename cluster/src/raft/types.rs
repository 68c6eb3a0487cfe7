//! The types openraft is run with.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::snapshot::SnapshotImage;
use crate::entry::Entry;
use crate::outcome::Outcome;
use crate::refusal::Refusal;

openraft::declare_raft_types!(
    /// How mediakeep runs openraft.
    pub TypeConfig:
        D = Batch,
        R = Answers,
        NodeId = u64,
        Node = openraft::EmptyNode,
        SnapshotData = SnapshotImage,
        AsyncRuntime = super::runtime::Runtime,
);

/// One record of the log: Entries that were proposed close together and share one barrier.
///
/// openraft waits for each append to be durable before it takes the next, so proposals made meanwhile are gathered here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch(pub Arc<Vec<Entry>>);

/// What each Entry of a [`Batch`] gave, in its order. Empty for records of openraft's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers(pub Vec<Result<Outcome, Refusal>>);

/// Position in the log: term, leader and index.
pub type LogId = openraft::LogId<u64>;
/// A promise to a leader.
pub type Vote = openraft::Vote<u64>;
/// A log record in memory.
pub type LogEntry = openraft::Entry<TypeConfig>;
/// What a log record holds.
pub type Payload = openraft::EntryPayload<TypeConfig>;
/// The members in force, and the record that set them.
pub type StoredMembership = openraft::StoredMembership<u64, openraft::EmptyNode>;
/// openraft's storage error.
pub type StorageError = openraft::StorageError<u64>;
