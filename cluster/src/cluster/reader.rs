//! Reads that see every acknowledged change. However many are asked for, one round is under way at a time: on the leader
//! it asks a quorum, elsewhere it asks the leader and waits until this node has come as far.

use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::ProposeError;
use super::control::{Answer, Ask, ask};
use super::forward::leads_no_longer;
use super::proposer::stopped;
use crate::id::NodeId;
use crate::net::Net;
use crate::raft::machine::Shown;
use crate::raft::metrics;
use crate::raft::types::TypeConfig;

/// Reads that may wait; more are held back at the door.
const WAITING: usize = 4096;
/// How long a round may take, elections included.
const ROUND_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(15);

/// Somebody waits for a round that begins after this was sent.
pub(crate) type ReadRequest = oneshot::Sender<Result<(), ProposeError>>;

/// Waits for a round that begins from now on.
pub(crate) async fn linearizable(reads: &mpsc::Sender<ReadRequest>) -> Result<(), ProposeError> {
    let (sender, done) = oneshot::channel();
    reads.send(sender).await.map_err(|_| stopped())?;
    done.await.map_err(|_| stopped())?
}

/// The record that holds all that was acknowledged before this call. For the leader.
pub(crate) async fn read_index(
    reads: &mpsc::Sender<ReadRequest>,
    shown: &Shown,
) -> Result<u64, ProposeError> {
    linearizable(reads).await?;
    Ok(shown.applied.borrow().last.map_or(0, |last| last.index))
}

/// What a round needs.
pub(crate) struct Reader {
    pub(crate) me: NodeId,
    pub(crate) raft: Raft<TypeConfig>,
    pub(crate) shown: Arc<Shown>,
    /// The way to the others.
    pub(crate) net: Arc<dyn Net>,
}

impl Reader {
    /// Starts the task that makes the rounds, until every sender is gone.
    pub(crate) fn spawn(self) -> mpsc::Sender<ReadRequest> {
        let (sender, mut receiver) = mpsc::channel::<ReadRequest>(WAITING);
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            while receiver.recv_many(&mut waiting, WAITING).await > 0 {
                let result = self.round().await;
                for request in waiting.drain(..) {
                    // A reader that has gone away needs no answer.
                    drop(request.send(result.clone()));
                }
            }
        });
        sender
    }

    async fn round(&self) -> Result<(), ProposeError> {
        let until = Instant::now() + ROUND_WITHIN;
        loop {
            let tried = timeout_at(until, self.try_round()).await;
            match tried {
                Ok(Err(ProposeError::NotLeader { .. })) if Instant::now() < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Ok(result) => return result,
                Err(_) => return Err(ProposeError::Unavailable("no quorum answers".to_owned())),
            }
        }
    }

    async fn try_round(&self) -> Result<(), ProposeError> {
        let leader = metrics::leader(&self.raft);
        match leader {
            Some(leader) if leader != self.me => tokio::select! {
                biased;
                read = self.ask_leader(leader) => read,
                () = leads_no_longer(&self.raft, leader) => Err(ProposeError::NotLeader { leader: None }),
            },
            _ => self.raft.ensure_linearizable().await.map(drop).map_err(|error| refused(&error)),
        }
    }

    async fn ask_leader(&self, leader: NodeId) -> Result<(), ProposeError> {
        let nobody = ProposeError::NotLeader { leader: None };
        let answer = ask(&*self.net, leader, &Ask::ReadIndex, ROUND_WITHIN).await;
        let Ok(Answer::ReadIndex(index)) = answer else { return Err(nobody) };
        let index = index?;
        let mut applied = self.shown.applied.subscribe();
        let come = applied.wait_for(|applied| applied.last.is_some_and(|last| last.index >= index)).await;
        come.map(drop).map_err(|_| stopped())
    }
}

/// A quorum that did not answer in time may do so in the next round, so that is no reason to give up either.
fn refused(error: &RaftError<u64, CheckIsLeaderError<u64, openraft::EmptyNode>>) -> ProposeError {
    match error {
        RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)) => {
            ProposeError::NotLeader { leader: forward.leader_id.map(NodeId) }
        }
        RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => {
            ProposeError::NotLeader { leader: None }
        }
        other => ProposeError::Unavailable(other.to_string()),
    }
}
