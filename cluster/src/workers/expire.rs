//! Ends what is over: assets whose time in the trash is up, sign-ins, invitations and reset links past their end.
//!
//! An asset is purged only when it was due by two stamps an hour apart, which State itself sees to: a clock that jumped for a
//! moment deletes nothing.

use std::time::Duration;

use async_trait::async_trait;

use super::copy_node::CopyNode;
use crate::cluster::ProposeError;
use crate::command::{AccessCommand, AssetCommand, Command};
use crate::state::{Life, Limits, State};
use crate::worker::{WorkError, Worked, Worker};

/// How often it looks. An hour more or less in the trash hurts nobody.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// What is ended in one piece of work.
const TOGETHER: usize = 100;

pub(crate) struct Expire<N> {
    node: N,
    every: Duration,
    ended: u64,
}

impl<N: CopyNode> Expire<N> {
    /// For `node`; it looks this often.
    pub(crate) fn new(node: N, every: Duration) -> Self {
        Self { node, every, ended: 0 }
    }
}

#[async_trait]
impl<N: CopyNode> Worker for Expire<N> {
    fn name(&self) -> &'static str {
        "expire"
    }

    fn status(&self) -> String {
        format!("{} ended since start", self.ended)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        if !self.node.leads() {
            return Ok(Worked::Idle);
        }
        let due = due(&self.node.state(), self.node.now_ms());
        let more = due.len() == TOGETHER;
        for command in due {
            match self.node.propose(command).await {
                // What was due may have been changed since.
                Ok(_) | Err(ProposeError::Refused(_)) => self.ended += 1,
                // Whoever leads does the same.
                Err(ProposeError::NotLeader { .. } | ProposeError::ReadOnly(_)) => return Ok(Worked::Idle),
                Err(error) => return Err(WorkError::new(&error)),
            }
        }
        Ok(if more { Worked::Busy } else { Worked::Idle })
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.every).await;
    }
}

/// What is over by `now_ms`, some of it.
fn due(state: &State, now_ms: u64) -> Vec<Command> {
    if state.cluster_info().is_none_or(|cluster| cluster.time_held) {
        return Vec::new();
    }
    let asked_too_early = |noted_ms: u64| now_ms < noted_ms.saturating_add(Limits::DUE_AGAIN_MS);
    let assets = state.assets_due(now_ms).filter(|asset| asset.legal_hold.is_none()).filter(|asset| {
        !matches!(asset.life, Life::Trashed { noted_due_ms: Some(noted_ms), .. } if asked_too_early(noted_ms))
    });
    let assets = assets.map(|asset| Command::Asset(AssetCommand::Expire { asset: asset.id }));
    // A sign-in is of no use from its end on; its record goes an hour later, by the same caution as the rest.
    let sessions = state.users_by_name(None).flat_map(|user| state.sessions_of(user.id));
    let over = sessions.filter(|session| session.expires_ms.saturating_add(Limits::DUE_AGAIN_MS) <= now_ms);
    let sessions = over.map(|session| Command::Access(AccessCommand::EndSession { session: session.id }));
    let (invites, resets) = state.ended_links(now_ms);
    let forgettable = invites.len() + resets.len() > 0 || state.has_ended_views(now_ms);
    let links = forgettable.then_some(Command::Access(AccessCommand::ForgetEndedLinks));
    links.into_iter().chain(assets).chain(sessions).take(TOGETHER).collect()
}
