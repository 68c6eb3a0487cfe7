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

/// How many of `nodes` come before `me` in taking `task`; all of them, when it is not one of them. Each is first for
/// some tasks, and all nodes agree on who.
pub fn turn(task: Task, me: NodeId, nodes: &[NodeId]) -> u32 {
    let (job, part) = match task {
        Task::Job(job) => (job, 0),
        Task::Part(job, number) => (job, usize::from(number)),
    };
    let first = usize::from(job.as_bytes()[15]) + part;
    let place = nodes.iter().position(|node| *node == me);
    let before = place.map_or(nodes.len(), |place| (place + nodes.len() - first % nodes.len()) % nodes.len());
    u32::try_from(before).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_hold_an_asset_take_turns_and_the_others_come_after_them() {
        let nodes = [1, 4, 9].map(NodeId);
        for number in 0..7 {
            let task = Task::Part(JobId::generate(), number);
            let mut turns = nodes.map(|me| turn(task, me, &nodes));
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2]);
            assert_eq!((turn(task, NodeId(5), &nodes), turn(task, NodeId(5), &[])), (3, 0));
        }
        let job = JobId::generate();
        let firsts = [0, 1, 2].map(|number| nodes.map(|me| turn(Task::Part(job, number), me, &nodes)));
        let is_first = |at: usize| firsts.iter().any(|turns| turns[at] == 0);
        assert!(is_first(0) && is_first(1) && is_first(2), "the parts of a job go round: {firsts:?}");
    }
}
