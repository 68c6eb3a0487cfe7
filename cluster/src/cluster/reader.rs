//! Reads that see every acknowledged change. However many are asked for, one round is under way at a time.

use openraft::Raft;
use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::ProposeError;
use super::proposer::stopped;
use crate::id::NodeId;
use crate::raft::types::TypeConfig;

/// Reads that may wait; more are held back at the door.
const WAITING: usize = 4096;

/// Somebody waits for a round that begins after this was sent.
pub(super) type ReadRequest = oneshot::Sender<Result<(), ProposeError>>;

/// Waits for a round that begins from now on.
pub(super) async fn linearizable(reads: &mpsc::Sender<ReadRequest>) -> Result<(), ProposeError> {
    let (sender, done) = oneshot::channel();
    reads.send(sender).await.map_err(|_| stopped())?;
    done.await.map_err(|_| stopped())?
}

/// Starts the task that makes the rounds, until every sender is gone.
pub(super) fn spawn(raft: Raft<TypeConfig>) -> mpsc::Sender<ReadRequest> {
    let (sender, mut receiver) = mpsc::channel::<ReadRequest>(WAITING);
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        while receiver.recv_many(&mut waiting, WAITING).await > 0 {
            let result = raft.ensure_linearizable().await.map(drop).map_err(|error| refused(&error));
            for request in waiting.drain(..) {
                // A reader that has gone away needs no answer.
                drop(request.send(result.clone()));
            }
        }
    });
    sender
}

fn refused(error: &RaftError<u64, CheckIsLeaderError<u64, openraft::EmptyNode>>) -> ProposeError {
    match error {
        RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)) => {
            ProposeError::NotLeader { leader: forward.leader_id.map(NodeId) }
        }
        other => ProposeError::Unavailable(other.to_string()),
    }
}
