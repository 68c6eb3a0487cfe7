//! What State has to do for a node: whole jobs, and parts of those that are divided.

use std::fmt;
use std::sync::Arc;

use cluster::command::JobCommand;
use cluster::id::{JobId, NodeId};
use cluster::state::{Asset, JobState, PartState, State};

/// Something that a node takes and works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// A job.
    Job(JobId),
    /// One part of a job.
    Part(JobId, u16),
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(formatter, "{job}"),
            Self::Part(job, number) => write!(formatter, "{job}/{number}"),
        }
    }
}

impl Task {
    /// Asks for its lease.
    pub fn lease(self, node: NodeId, epoch: u64) -> JobCommand {
        match self {
            Self::Job(job) => JobCommand::Lease { job, node, epoch },
            Self::Part(job, part) => JobCommand::LeasePart { job, part, node, epoch },
        }
    }

    /// Whether the lease of this epoch is the newest, and not over.
    pub fn is_leased(self, state: &State, epoch: u64) -> bool {
        match self {
            Self::Job(job) => state
                .job(job)
                .is_some_and(|job| matches!(job.state, JobState::Leased { .. }) && job.epoch == epoch),
            Self::Part(job, number) => state
                .split(job)
                .and_then(|split| split.parts.get(usize::from(number)))
                .is_some_and(|part| matches!(part.state, PartState::Leased { .. }) && part.epoch == epoch),
        }
    }
}

/// Work that may be taken.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Which.
    pub task: Task,
    /// The epoch of the newest lease.
    pub epoch: u64,
    /// Who has it leased, and is gone or the asking node itself.
    pub holder: Option<NodeId>,
    /// On what.
    pub asset: Arc<Asset>,
    /// Whether its upload still runs.
    pub early: bool,
}

/// What may be taken: parts first, since their jobs have begun. Work of a node for which `is_free` holds, one that is gone, is
/// taken over; its epoch keeps it out, should it come back.
pub fn offers(state: &State, is_free: impl Fn(NodeId) -> bool + Copy) -> impl Iterator<Item = Offer> {
    let parts = state.splits().flat_map(move |(job, split)| {
        (0_u16..).zip(&split.parts).filter_map(move |(number, part)| {
            let holder = match part.state {
                PartState::Waiting => None,
                PartState::Leased { node, .. } if is_free(node) => Some(node),
                _ => return None,
            };
            let asset = state.asset(state.job(job)?.asset)?.clone();
            Some(Offer { task: Task::Part(job, number), epoch: part.epoch, holder, asset, early: false })
        })
    });
    let jobs = state.active_jobs().filter_map(move |job| {
        let holder = match job.state {
            JobState::Queued => None,
            JobState::Leased { node, .. } if is_free(node) => Some(node),
            _ => return None,
        };
        let asset = state.asset(job.asset)?.clone();
        let early = asset.length.is_none();
        Some(Offer { task: Task::Job(job.id), epoch: job.epoch, holder, asset, early })
    });
    parts.chain(jobs)
}
