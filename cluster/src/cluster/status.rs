//! How this node does, for the console, health checks and metrics.

use openraft::ServerState;

use super::{Inner, Mode};
use crate::id::NodeId;
use crate::raft::log::MissingRange;
use crate::raft::metrics;
use crate::raft::time::ClockJump;
use crate::transfer::Protection;

/// What part a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It follows without a vote.
    Learner,
    /// It stands for election.
    Candidate,
    /// It takes no part: see `read_only` and `failure`.
    Stopped,
}

/// A node at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The node.
    pub node: NodeId,
    /// Its part.
    pub role: Role,
    /// Who leads, when known.
    pub leader: Option<NodeId>,
    /// Voters.
    pub voters: Vec<NodeId>,
    /// The election count.
    pub term: u64,
    /// Entries carried out, ever.
    pub applied: u64,
    /// Bytes in the log, as in [`LogStore::bytes`](crate::raft::log::LogStore::bytes).
    pub log_bytes: u64,
    /// Acknowledged records that are missing: nothing can be changed.
    pub read_only: Option<MissingRange>,
    /// Why the node stopped taking part, when it did.
    pub failure: Option<String>,
    /// What had to be repaired at start, one sentence each.
    pub repairs: Vec<String>,
    /// The wall clock and cluster time have come apart.
    pub clock_jump: Option<ClockJump>,
    /// How far the wall clock is ahead of most voters' clocks, in ms; none when too few were heard.
    pub clock_ahead_ms: Option<i64>,
    /// How well everything is kept, as it was counted last.
    pub protection: Protection,
    /// Whoever steals this machine can read what is on it.
    pub stolen_machine_can_be_read: bool,
}

pub(super) fn of(inner: &Inner) -> ClusterStatus {
    let mut status = ClusterStatus {
        node: inner.node,
        role: Role::Stopped,
        leader: None,
        voters: Vec::new(),
        term: 0,
        applied: inner.shown.applied.borrow().entries,
        log_bytes: 0,
        read_only: None,
        failure: inner.stop.reason(),
        repairs: inner.repairs.clone(),
        clock_jump: inner.shown.time.jump(),
        clock_ahead_ms: super::clocks::ahead_of_median_ms(inner),
        protection: inner.bytes.protection(),
        stolen_machine_can_be_read: inner.seal_mode.stolen_machine_can_be_read(),
    };
    let running = match &inner.mode {
        Mode::ReadOnly(missing) => {
            status.read_only = Some(*missing);
            return status;
        }
        Mode::Running(running) => running,
    };
    let metrics = metrics::now(&running.raft);
    status.role = match metrics.state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Learner => Role::Learner,
        ServerState::Candidate => Role::Candidate,
        ServerState::Shutdown => Role::Stopped,
    };
    status.leader = metrics.current_leader.map(NodeId);
    status.voters = metrics.membership_config.voter_ids().map(NodeId).collect();
    status.term = metrics.current_term;
    status.log_bytes = running.log.bytes();
    let stopped = metrics.running_state.as_ref().err().map(ToString::to_string);
    status.failure = status.failure.or(stopped);
    status
}
