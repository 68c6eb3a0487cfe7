//! Gathers proposals into batches, stamps them and puts them to the vote.
//!
//! One batch is under way at a time; whatever is proposed meanwhile goes together in the next. So under load many
//! changes share one barrier, and a lone change waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::ProposeError;
use crate::actor::Actor;
use crate::command::Command;
use crate::entry::{Entry, Request};
use crate::id::NodeId;
use crate::outcome::Outcome;
use crate::raft::log::record::{BATCH_LIMIT, encoded_length};
use crate::raft::machine::Shown;
use crate::raft::types::{Answers, Batch, TypeConfig};

/// Proposals that may wait; more are held back at the door.
const WAITING: usize = 1024;
/// Entries in one batch at most.
const TOGETHER: usize = 256;

/// What came of it, and the record of the log that holds it.
type Answer = Result<(Outcome, u64), ProposeError>;

/// One change to be put to the vote.
#[derive(Debug)]
pub(crate) struct Proposal {
    actor: Actor,
    command: Command,
    request: Option<Request>,
    length: usize,
    answer: oneshot::Sender<Answer>,
}

/// Hands a change to the proposer and waits for its answer.
pub(crate) async fn propose(
    proposals: &mpsc::Sender<Proposal>,
    actor: Actor,
    command: Command,
    request: Option<Request>,
) -> Answer {
    if command.is_never_proposed() {
        return Err(ProposeError::Unavailable("this is done on the disk of a stopped node alone".to_owned()));
    }
    let entry = Entry { time_ms: u64::MAX, actor, command, request };
    let batch = Batch(Arc::new(vec![entry]));
    let length = encoded_length(&batch);
    if length > BATCH_LIMIT {
        return Err(ProposeError::TooLarge { length, limit: BATCH_LIMIT });
    }
    let Some(Entry { actor, command, .. }) = Arc::into_inner(batch.0).and_then(|mut entries| entries.pop())
    else {
        return Err(ProposeError::Unavailable("the change was lost".to_owned()));
    };
    let (answer, reply) = oneshot::channel();
    let proposal = Proposal { actor, command, request, length, answer };
    proposals.send(proposal).await.map_err(|_| stopped())?;
    reply.await.unwrap_or(Err(ProposeError::OutcomeUnknown))
}

/// Puts proposals to the vote until every sender is gone.
pub(crate) struct Proposer {
    pub(crate) raft: Raft<TypeConfig>,
    pub(crate) shown: Arc<Shown>,
    pub(crate) deadline: Duration,
}

impl Proposer {
    /// Starts it.
    pub(crate) fn spawn(self) -> mpsc::Sender<Proposal> {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(self.run(receiver));
        sender
    }

    async fn run(self, mut proposals: mpsc::Receiver<Proposal>) {
        let mut held_over = None;
        loop {
            let first = match held_over.take() {
                Some(proposal) => proposal,
                None => match proposals.recv().await {
                    Some(proposal) => proposal,
                    None => return,
                },
            };
            let gathered;
            (gathered, held_over) = gather(first, &mut proposals);
            self.put_to_vote(gathered).await;
        }
    }

    async fn put_to_vote(&self, gathered: Vec<Proposal>) {
        let time_ms = self.shown.time.stamp();
        let mut entries = Vec::with_capacity(gathered.len());
        let mut waiting = Vec::with_capacity(gathered.len());
        for proposal in gathered {
            let Proposal { actor, command, request, answer, .. } = proposal;
            entries.push(Entry { time_ms, actor, command, request });
            waiting.push(answer);
        }
        let vote = self.raft.client_write(Batch(Arc::new(entries)));
        match tokio::time::timeout(self.deadline, vote).await {
            Ok(Ok(response)) => answer_each(waiting, response.log_id.index, response.data),
            Ok(Err(error)) => answer_all(waiting, &refused(&error)),
            Err(_) => answer_all(waiting, &ProposeError::OutcomeUnknown),
        }
    }
}

/// Takes what waits already, as far as it fits one record and may be in one.
fn gather(first: Proposal, proposals: &mut mpsc::Receiver<Proposal>) -> (Vec<Proposal>, Option<Proposal>) {
    let mut length = first.length;
    let alone = first.command.stands_alone();
    let mut gathered = vec![first];
    while !alone && gathered.len() < TOGETHER {
        let Ok(next) = proposals.try_recv() else { break };
        length += next.length;
        if length > BATCH_LIMIT || next.command.stands_alone() {
            return (gathered, Some(next));
        }
        gathered.push(next);
    }
    (gathered, None)
}

fn answer_each(waiting: Vec<oneshot::Sender<Answer>>, index: u64, answers: Answers) {
    for (reply, answer) in waiting.into_iter().zip(answers.0) {
        // A proposer that has gone away needs no answer.
        let answer = answer.map(|outcome| (outcome, index));
        drop(reply.send(answer.map_err(ProposeError::Refused)));
    }
}

fn answer_all(waiting: Vec<oneshot::Sender<Answer>>, error: &ProposeError) {
    for reply in waiting {
        drop(reply.send(Err(error.clone())));
    }
}

fn refused(error: &RaftError<u64, ClientWriteError<u64, openraft::EmptyNode>>) -> ProposeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            ProposeError::NotLeader { leader: forward.leader_id.map(NodeId) }
        }
        // The write may have reached the log before consensus stopped.
        RaftError::Fatal(_) => ProposeError::OutcomeUnknown,
        RaftError::APIError(other) => ProposeError::Unavailable(other.to_string()),
    }
}

pub(crate) fn stopped() -> ProposeError {
    ProposeError::Unavailable("this node has stopped".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClusterCommand, NewNode, SecretHash};

    fn proposal(command: Command) -> Proposal {
        let (answer, _) = oneshot::channel();
        Proposal { actor: Actor::system(NodeId(1)), command, request: None, length: 100, answer }
    }

    fn admission(number: u8) -> Proposal {
        let node = NewNode {
            name: format!("node {number}"),
            site: "a site".to_owned(),
            public_key: [number; 32],
            certificate_key: [number; 32],
            cluster_address: "node:7443".to_owned(),
            public_address: "node:443".to_owned(),
        };
        proposal(
            ClusterCommand::AdmitNode { secret_hash: SecretHash([number; 32]), node, sealed: Vec::new() }
                .into(),
        )
    }

    fn ordinary() -> Proposal {
        proposal(ClusterCommand::ActivateNode { node: NodeId(1) }.into())
    }

    #[tokio::test]
    async fn a_node_that_is_admitted_has_a_record_of_the_log_to_itself() {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let waiting = [ordinary(), ordinary(), admission(1), admission(2), ordinary(), ordinary()];
        for one in waiting {
            sender.send(one).await.unwrap();
        }
        let (mut together, mut held_over) = (Vec::new(), None);
        while let Some(first) = held_over.take().or_else(|| receiver.try_recv().ok()) {
            let gathered;
            (gathered, held_over) = gather(first, &mut receiver);
            together.push(gathered.len());
        }
        assert_eq!(together, [2, 1, 1, 2]);
    }
}
