//! Changes and reads asked of any node: they go to whoever leads, and come back when this node sees them too.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::control::{Answer, Ask, ask};
use super::{Cluster, ProposeError, proposer, reader};
use crate::actor::Actor;
use crate::command::Command;
use crate::id::NodeId;
use crate::net::NetError;
use crate::outcome::Outcome;
use crate::refusal::Refusal;

/// How long nobody may lead before a change is given up.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// A change that was carried out is waited for here at most this long.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

impl Cluster {
    /// Who leads, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let running = self.running().ok()?;
        running.raft.metrics().borrow().current_leader.map(NodeId)
    }

    /// Whether this node leads, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leader() == Some(self.inner.node)
    }

    /// To this node's own consensus, which must lead.
    pub(super) async fn propose_here(
        &self,
        actor: Actor,
        command: Command,
    ) -> Result<(Outcome, u64), ProposeError> {
        self.may_propose()?;
        self.all_understand(&command)?;
        proposer::propose(&self.running()?.proposals, actor, command).await
    }

    /// Keeps a Command out of the log that some node could not carry out: it would have to stop there.
    fn all_understand(&self, command: &Command) -> Result<(), ProposeError> {
        let (needs, runs) = (command.level(), self.state().level());
        let understood = needs <= runs;
        if understood { Ok(()) } else { Err(ProposeError::Refused(Refusal::NodesTooOld { needs, runs })) }
    }

    /// To whoever leads, until somebody does or time is up. A change that may have reached the log is never sent twice.
    pub(super) async fn propose_anywhere(
        &self,
        actor: Actor,
        command: Command,
    ) -> Result<Outcome, ProposeError> {
        self.all_understand(&command)?;
        let until = Instant::now() + self.inner.config.propose_deadline;
        loop {
            let result = match self.leader() {
                Some(leader) if leader != self.inner.node => {
                    self.forward(leader, actor.clone(), command.clone(), until).await
                }
                _ => self.propose_here(actor.clone(), command.clone()).await,
            };
            match result {
                Ok((outcome, index)) => {
                    self.see(index).await;
                    return Ok(outcome);
                }
                Err(ProposeError::NotLeader { .. }) if Instant::now() < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn forward(
        &self,
        leader: NodeId,
        actor: Actor,
        command: Command,
        until: Instant,
    ) -> Result<(Outcome, u64), ProposeError> {
        let left = until.saturating_duration_since(Instant::now());
        match ask(&self.inner, leader, &Ask::Propose { actor, command: Box::new(command) }, left).await {
            Ok(Answer::Proposed(result)) => result,
            Ok(_) | Err(NetError::TimedOut(_) | NetError::Lost(_)) => Err(ProposeError::OutcomeUnknown),
            // It was not sent, or not taken: whoever leads next may have it.
            Err(NetError::Unreachable { .. } | NetError::Refused { .. }) => {
                Err(ProposeError::NotLeader { leader: None })
            }
        }
    }

    /// Waits until this node has carried out record `index`, so that whoever made a change here sees it here.
    async fn see(&self, index: u64) {
        let mut applied = self.inner.shown.applied.subscribe();
        let seen = applied.wait_for(|applied| applied.last.is_some_and(|last| last.index >= index));
        if timeout(SEEN_WITHIN, seen).await.is_err() {
            tracing::warn!(index, "a change that was made is not seen on this node yet");
        }
    }

    /// The record that holds all that was acknowledged before this call. For the leader.
    pub(super) async fn read_index(&self) -> Result<u64, ProposeError> {
        reader::linearizable(&self.running()?.reads).await?;
        Ok(self.inner.shown.applied.borrow().last.map_or(0, |last| last.index))
    }
}
