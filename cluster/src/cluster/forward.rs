//! Changes and reads asked of any node: they go to whoever leads, and come back when this node sees them too.

use std::time::Duration;

use openraft::Raft;
use tokio::time::{Instant, timeout};

use super::control::{Answer, Ask, ask};
use super::{Cluster, ProposeError, proposer, reader};
use crate::actor::Actor;
use crate::command::Command;
use crate::entry::Request;
use crate::id::NodeId;
use crate::net::NetError;
use crate::outcome::Outcome;
use crate::raft::metrics;
use crate::raft::types::TypeConfig;
use crate::refusal::Refusal;

/// Who leads is looked at again after this time at the latest.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// A change that was carried out is waited for here at most this long.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// A node says what it runs within this time of its start.
const SAYS_WITHIN: Duration = Duration::from_secs(2);

type Done = Result<(Outcome, u64), ProposeError>;

impl Cluster {
    /// Who leads, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let running = self.running().ok()?;
        metrics::now(&running.raft).current_leader.map(NodeId)
    }

    /// Whether this node leads, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leader() == Some(self.inner.node)
    }

    /// To this node's own consensus, which must lead.
    pub(super) async fn propose_here(&self, actor: Actor, command: Command, request: Request) -> Done {
        self.may_propose()?;
        self.all_understand(&command).await?;
        proposer::propose(&self.running()?.proposals, actor, command, Some(request)).await
    }

    /// Keeps a Command out of the log that some node could not carry out: it would have to stop there. A node that has
    /// just started or joined is given a moment to say what it runs.
    async fn all_understand(&self, command: &Command) -> Result<(), ProposeError> {
        let needs = command.level();
        if needs == 0 {
            return Ok(());
        }
        let runs = || self.state().level_with(self.inner.node, Command::LEVEL);
        let mut applied = self.inner.shown.applied.subscribe();
        let all_said = applied.wait_for(|_| needs <= runs() || self.state().all_have_said(self.inner.node));
        // Late or not: what they have said by now counts.
        drop(timeout(SAYS_WITHIN, all_said).await);
        let runs = runs();
        if needs <= runs { Ok(()) } else { Err(Refusal::NodesTooOld { needs, runs }.into()) }
    }

    /// To whoever leads, until somebody has answered or time is up. Each try is the same request, so that the change is
    /// made once, whatever became of the tries before.
    pub(super) async fn propose_anywhere(
        &self,
        actor: Actor,
        command: Command,
    ) -> Result<Outcome, ProposeError> {
        self.all_understand(&command).await?;
        let until = Instant::now() + self.inner.config.propose_deadline;
        let waiting = self.inner.requests.begin();
        let mut may_be_made = false;
        loop {
            match self.propose_to_leader(&actor, &command, waiting.request(), until).await {
                Ok((outcome, index)) => {
                    self.see(index).await;
                    return Ok(outcome);
                }
                Err(ProposeError::Refused(Refusal::RequestOver)) => return Err(ProposeError::OutcomeUnknown),
                Err(ProposeError::Refused(refusal)) => return Err(refusal.into()),
                Err(error @ (ProposeError::NotLeader { .. } | ProposeError::OutcomeUnknown)) => {
                    may_be_made |= error == ProposeError::OutcomeUnknown;
                    if Instant::now() >= until {
                        return Err(if may_be_made { ProposeError::OutcomeUnknown } else { error });
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(_) if may_be_made => return Err(ProposeError::OutcomeUnknown),
                Err(error) => return Err(error),
            }
        }
    }

    /// One try. It is given up as soon as whoever was asked leads no longer: a leader that was lost never answers.
    async fn propose_to_leader(
        &self,
        actor: &Actor,
        command: &Command,
        request: Request,
        until: Instant,
    ) -> Done {
        let leader = self.leader();
        let asked = async {
            match leader {
                Some(leader) if leader != self.inner.node => {
                    self.forward(leader, actor.clone(), command.clone(), request, until).await
                }
                _ => self.propose_here(actor.clone(), command.clone(), request).await,
            }
        };
        let Some(asked_of) = leader else { return asked.await };
        tokio::select! {
            biased;
            done = asked => done,
            () = leads_no_longer(&self.running()?.raft, asked_of) => Err(ProposeError::OutcomeUnknown),
        }
    }

    async fn forward(
        &self,
        leader: NodeId,
        actor: Actor,
        command: Command,
        request: Request,
        until: Instant,
    ) -> Done {
        let left = until.saturating_duration_since(Instant::now());
        let question = Ask::Propose { actor, command: Box::new(command), request };
        match ask(&self.inner, leader, &question, left).await {
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

/// Waits until `leader` is not known to lead any more.
pub(super) async fn leads_no_longer(raft: &Raft<TypeConfig>, leader: NodeId) {
    let mut metrics = metrics::changes(raft);
    // Consensus that has ended leads nobody either.
    drop(metrics.wait_for(|metrics| metrics.current_leader.map(NodeId) != Some(leader)).await);
}
