//! What nodes ask one another besides consensus: changes for the leader, read indexes, signs of life, hand-overs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::audit_heads::AuditWalk;
use super::survivor::Position;
use super::{Cluster, Inner, NodeReport, ProposeError};
use crate::actor::Actor;
use crate::audit::SignedHead;
use crate::backup::Progress;
use crate::command::Command;
use crate::entry::Request;
use crate::id::{BackupRunId, NodeId};
use crate::net::{Message, Net, NetError, Serve, Service};
use crate::outcome::Outcome;

/// A question to another node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// To the leader: put this to the vote.
    Propose { actor: Actor, command: Box<Command>, request: Request },
    /// To the leader: which record must I have applied, to see all that is acknowledged?
    ReadIndex,
    /// Are you there?
    Ping,
    /// To a voter: stand for election now.
    StandForElection,
    /// The newest audit records before this number. The answer is their bytes alone.
    AuditRecords { before: u64 },
    /// How do you do?
    Describe,
    /// Keep this: how far my audit log goes, and where it ended when I started.
    KeepHead { head: SignedHead, opened: u64 },
    /// Is your audit log whole, and what do you keep of the others?
    WalkAudit,
    /// How far is the backup, or the check of one, that you carry out?
    BackupProgress,
    /// Where do you stand in agreement?
    Position,
}

/// Its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Proposed(Result<(Outcome, u64), ProposeError>),
    ReadIndex(Result<u64, ProposeError>),
    Pong { wall_ms: u64 },
    Standing,
    Described(NodeReport),
    HeadKept(Option<SignedHead>),
    AuditWalked(AuditWalk),
    BackupProgress(Option<(BackupRunId, Progress)>),
    Position(Position),
}

/// Asks `node`.
pub(crate) async fn ask(
    net: &dyn Net,
    node: NodeId,
    question: &Ask,
    deadline: Duration,
) -> Result<Answer, NetError> {
    let refused = |reason: String| NetError::Refused { node, reason };
    let head = postcard::to_allocvec(question).map_err(|error| refused(error.to_string()))?;
    let message = Message { head: head.into(), body: Bytes::new() };
    let answer = net.call(node, Service::Control, message, deadline).await?;
    postcard::from_bytes(&answer.head).map_err(|error| refused(error.to_string()))
}

/// Answers them.
pub(super) struct Control(pub(super) Weak<Inner>);

#[async_trait]
impl Serve for Control {
    async fn serve(&self, from: NodeId, message: Message) -> Result<Message, String> {
        let question: Ask =
            postcard::from_bytes(&message.head).map_err(|error| format!("not understood: {error}"))?;
        let cluster = self.0.upgrade().map(|inner| Cluster { inner }).ok_or("this node is stopping")?;
        let answer = match question {
            Ask::Propose { actor, command, request } => {
                let forwarding = cluster.forwarding();
                Answer::Proposed(match forwarding {
                    Ok(forwarding) => forwarding.propose_for(from, actor, *command, request).await,
                    Err(error) => Err(error),
                })
            }
            Ask::ReadIndex => Answer::ReadIndex(cluster.read_index().await),
            Ask::Ping => Answer::Pong { wall_ms: cluster.inner.config.clock.wall_ms() },
            Ask::AuditRecords { before } => return cluster.audit_records_before(before).await,
            Ask::StandForElection => {
                if cluster.clock_is_off() {
                    return Err("the clock of this node is off".to_owned());
                }
                let running = cluster.running().map_err(|error| error.to_string())?;
                running.raft.trigger().elect().await.map_err(|error| error.to_string())?;
                Answer::Standing
            }
            Ask::Describe => Answer::Described(cluster.describe_here()),
            Ask::KeepHead { head, opened } => Answer::HeadKept(cluster.keep_head(from, head, opened).await?),
            Ask::WalkAudit => Answer::AuditWalked(cluster.walk_audit().await),
            Ask::BackupProgress => Answer::BackupProgress(cluster.backup_progress().now()),
            Ask::Position => Answer::Position(cluster.position_here().await?),
        };
        let head = postcard::to_allocvec(&answer).map_err(|error| error.to_string())?;
        Ok(Message { head: head.into(), body: Bytes::new() })
    }
}

impl Cluster {
    pub(super) fn serve_control(&self) {
        let control = Arc::new(Control(Arc::downgrade(&self.inner)));
        self.inner.services.register(Service::Control, control);
    }
}
