//! What the workers on copies need of their node: State, agreement, and the bytes.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::actor::Actor;
use crate::cluster::{Cluster, ProposeError};
use crate::command::Command;
use crate::event::Event;
use crate::outcome::Outcome;
use crate::state::State;
use crate::transfer::Replicas;

/// A node as its copies see it. [`Cluster`] is one; a test may agree with itself.
#[async_trait]
pub trait CopyNode: Clone + fmt::Debug + Send + Sync + 'static {
    /// State as this node knows it.
    fn state(&self) -> Arc<State>;
    /// State with everything that was acknowledged before.
    ///
    /// # Errors
    /// [`ProposeError`] when no quorum can be asked.
    async fn linearizable(&self) -> Result<Arc<State>, ProposeError>;
    /// Proposes a change as this node.
    ///
    /// # Errors
    /// As [`Cluster::propose`].
    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError>;
    /// Whether this node leads, as far as it knows.
    fn leads(&self) -> bool;
    /// What changes from now on.
    fn events(&self) -> broadcast::Receiver<Event>;
    /// Cluster time.
    fn now_ms(&self) -> u64;
    /// The bytes.
    fn bytes(&self) -> &Replicas;
}

#[async_trait]
impl CopyNode for Cluster {
    fn state(&self) -> Arc<State> {
        Self::state(self)
    }

    async fn linearizable(&self) -> Result<Arc<State>, ProposeError> {
        Self::linearizable(self).await
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        Self::propose(self, Actor::system(self.node_id()), command).await
    }

    fn leads(&self) -> bool {
        Self::leads(self)
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.rarer_events()
    }

    fn now_ms(&self) -> u64 {
        Self::now_ms(self)
    }

    fn bytes(&self) -> &Replicas {
        Self::bytes(self)
    }
}
