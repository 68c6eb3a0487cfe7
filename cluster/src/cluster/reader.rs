//! Reads that see every acknowledged change. However many are asked for, one round is under way at a time: on the leader
//! it asks a quorum, elsewhere it asks the leader and waits until this node has come as far.

use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::control::{Answer, Ask, ask};
use super::forward::leads_no_longer;
use super::proposer::stopped;
use super::{Inner, ProposeError};
use crate::id::NodeId;
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

/// What a round needs.
pub(super) struct Reader {
    pub(super) me: NodeId,
    pub(super) raft: Raft<TypeConfig>,
    pub(super) shown: Arc<Shown>,
    /// The node itself, once it is whole: others are asked through it.
    pub(super) inner: Arc<OnceCell<std::sync::Weak<Inner>>>,
}

impl Reader {
    /// Starts the task that makes the rounds, until every sender is gone.
    pub(super) fn spawn(self) -> mpsc::Sender<ReadRequest> {
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
        let leader = metrics::now(&self.raft).current_leader.map(NodeId);
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
        let inner = self.inner.get().and_then(std::sync::Weak::upgrade).ok_or_else(stopped)?;
        let answer = ask(&inner, leader, &Ask::ReadIndex, ROUND_WITHIN).await;
        drop(inner);
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
