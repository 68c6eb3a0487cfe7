//! Changes and reads asked of any node: they go to whoever leads, and come back when this node sees them too.

use std::time::Duration;

use openraft::Raft;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::control::{Answer, Ask, ask};
use super::proposer::{self, Proposal};
use super::requests::Requests;
use super::{Cluster, ProposeError, reader};
use crate::actor::{Actor, ActorKind};
use crate::command::Command;
use crate::disk::StopFlag;
use crate::entry::Request;
use crate::id::NodeId;
use crate::net::{Net, NetError};
use crate::outcome::Outcome;
use crate::raft::machine::Shown;
use crate::raft::metrics;
use crate::raft::types::TypeConfig;
use crate::refusal::{Needs, Refusal};

/// Who leads is looked at again after this time at the latest.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// A change that was carried out is waited for here this long at least, however long it took.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// A node says what it runs within this time of its start.
const SAYS_WITHIN: Duration = Duration::from_secs(2);

type Done = Result<(Outcome, u64), ProposeError>;

/// What a change needs on its way to whoever leads.
pub(crate) struct Forwarding<'a> {
    /// This node.
    pub(crate) me: NodeId,
    pub(crate) raft: &'a Raft<TypeConfig>,
    pub(crate) shown: &'a Shown,
    pub(crate) net: &'a dyn Net,
    pub(crate) proposals: &'a mpsc::Sender<Proposal>,
    pub(crate) requests: &'a Requests,
    pub(crate) stop: &'a StopFlag,
    /// How long a change may take, elections included.
    pub(crate) deadline: Duration,
}

impl Cluster {
    /// Who leads, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let running = self.running().ok()?;
        metrics::leader(&running.raft)
    }

    /// Whether this node leads, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leader() == Some(self.inner.node)
    }

    pub(super) fn forwarding(&self) -> Result<Forwarding<'_>, ProposeError> {
        let running = self.running()?;
        Ok(Forwarding {
            me: self.inner.node,
            raft: &running.raft,
            shown: &self.inner.shown,
            net: &*self.inner.net,
            proposals: &running.proposals,
            requests: &self.inner.requests,
            stop: &self.inner.stop,
            deadline: self.inner.config.propose_deadline,
        })
    }

    /// The record that holds all that was acknowledged before this call. For the leader.
    pub(super) async fn read_index(&self) -> Result<u64, ProposeError> {
        reader::read_index(&self.running()?.reads, &self.inner.shown).await
    }
}

impl Forwarding<'_> {
    /// To this node's own consensus, which must lead.
    async fn propose_here(&self, actor: Actor, command: Command, request: Request) -> Done {
        if let Some(reason) = self.stop.reason() {
            return Err(ProposeError::Unavailable(reason));
        }
        self.all_understand(&command).await?;
        proposer::propose(self.proposals, actor, command, Some(request)).await
    }

    /// For another node. It speaks for the people it has let in, and for itself; never for a third.
    pub(crate) async fn propose_for(
        &self,
        from: NodeId,
        actor: Actor,
        command: Command,
        request: Request,
    ) -> Done {
        if request.node != from || matches!(actor.kind, ActorKind::System(node) if node != from) {
            return Err(ProposeError::Refused(Refusal::Forbidden { needs: Needs::Node }));
        }
        self.propose_here(actor, command, request).await
    }

    /// Keeps a Command out of the log that some node could not carry out: it would have to stop there. A node that has
    /// just started or joined is given a moment to say what it runs.
    async fn all_understand(&self, command: &Command) -> Result<(), ProposeError> {
        let needs = command.level();
        if needs == 0 {
            return Ok(());
        }
        let state = || self.shown.state.load();
        let runs = || state().level_with(self.me, Command::LEVEL);
        let mut applied = self.shown.applied.subscribe();
        let all_said = applied.wait_for(|_| needs <= runs() || state().all_have_said(self.me));
        // Late or not: what they have said by now counts.
        drop(timeout(SAYS_WITHIN, all_said).await);
        let runs = runs();
        if needs <= runs { Ok(()) } else { Err(Refusal::NodesTooOld { needs, runs }.into()) }
    }

    /// To whoever leads, until somebody has answered or time is up. Each try is the same request, so that the change is
    /// made once, whatever became of the tries before.
    pub(crate) async fn propose(&self, actor: Actor, command: Command) -> Result<Outcome, ProposeError> {
        self.all_understand(&command).await?;
        let until = Instant::now() + self.deadline;
        let waiting = self.requests.begin();
        let mut may_be_made = false;
        loop {
            match self.propose_to_leader(&actor, &command, waiting.request(), until).await {
                Ok((outcome, index)) => {
                    return self.see(index, until).await.map(|()| outcome);
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
        let leader = metrics::leader(self.raft);
        let asked = async {
            match leader {
                Some(leader) if leader != self.me => {
                    self.forward(leader, actor.clone(), command.clone(), request, until).await
                }
                _ => self.propose_here(actor.clone(), command.clone(), request).await,
            }
        };
        let Some(asked_of) = leader else { return asked.await };
        tokio::select! {
            biased;
            done = asked => done,
            () = leads_no_longer(self.raft, asked_of) => Err(ProposeError::OutcomeUnknown),
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
        match ask(self.net, leader, &question, left).await {
            Ok(Answer::Proposed(result)) => result,
            Ok(_) | Err(NetError::TimedOut(_) | NetError::Lost(_)) => Err(ProposeError::OutcomeUnknown),
            // It was not sent, or not taken: whoever leads next may have it.
            Err(NetError::Unreachable { .. } | NetError::Refused { .. }) => {
                Err(ProposeError::NotLeader { leader: None })
            }
        }
    }

    /// Waits until this node has carried out record `index`, so that whoever made a change here sees it here. One that is
    /// too far behind cannot say what came of it: what it would show is from before.
    async fn see(&self, index: u64, until: Instant) -> Result<(), ProposeError> {
        let within = until.saturating_duration_since(Instant::now()).max(SEEN_WITHIN);
        let mut applied = self.shown.applied.subscribe();
        let seen = applied.wait_for(|applied| applied.last.is_some_and(|last| last.index >= index));
        if timeout(within, seen).await.is_err() {
            tracing::warn!(index, "a change that was made is not seen on this node yet");
            return Err(ProposeError::OutcomeUnknown);
        }
        Ok(())
    }
}

/// Waits until `leader` is not known to lead any more.
pub(super) async fn leads_no_longer(raft: &Raft<TypeConfig>, leader: NodeId) {
    let mut standing = metrics::standing(raft);
    // Consensus that has ended leads nobody either.
    drop(standing.wait_for(|standing| standing.current_leader.map(NodeId) != Some(leader)).await);
}
