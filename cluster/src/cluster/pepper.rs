//! The pepper of the cluster: made by the leader, sealed anew after a rotation, opened once on every node.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::keys::learn_all;
use super::{Cluster, ProposeError};
use crate::actor::Actor;
use crate::command::{ClusterCommand, Command, SealedSecret};
use crate::keyring::{KeyError, Pepper};

/// The pepper as it was opened last, and from what: a log-in only compares whether State still has that.
pub(super) type Opened = ArcSwapOption<(SealedSecret, Arc<Pepper>)>;

impl Cluster {
    /// The secret that goes into hashes of passphrases; none until all nodes of the cluster understand it.
    ///
    /// # Errors
    /// [`KeyError`] when there is one and this node cannot open it.
    pub fn pepper(&self) -> Result<Option<Arc<Pepper>>, KeyError> {
        let (inner, state) = (&self.inner, self.state());
        let Some(stored) = state.pepper() else { return Ok(None) };
        if let Some(opened) = inner.pepper.load().as_ref().filter(|opened| opened.0 == *stored) {
            return Ok(Some(opened.1.clone()));
        }
        // Just after a rotation it may lie under a key that this node was given and has not taken up yet.
        learn_all(&state, inner.node, &inner.keyring, &inner.secrets)?;
        let pepper = Arc::new(Pepper::open(stored, &inner.keyring)?);
        inner.pepper.store(Some(Arc::new((stored.clone(), pepper.clone()))));
        Ok(Some(pepper))
    }

    /// Makes the pepper where there is none, and seals it anew where it lies under a cluster key before. For the leader.
    /// Gives whether it did.
    pub(crate) async fn keep_pepper(&self) -> Result<bool, ProposeError> {
        // As long as a node is too old for it, nothing is proposed, and nothing is wrong.
        if !self.state().wants_pepper() || !self.learn_keys().await?.wants_pepper() {
            return Ok(false);
        }
        let unavailable = |error: KeyError| ProposeError::Unavailable(error.to_string());
        let pepper = match self.pepper().map_err(unavailable)? {
            Some(known) => known,
            None => Arc::new(Pepper::generate().map_err(unavailable)?),
        };
        let SealedSecret { key_epoch, sealed } = pepper.seal(&self.inner.keyring).map_err(unavailable)?;
        let command = Command::Cluster(ClusterCommand::SetPepper { sealed, key_epoch });
        match self.propose(Actor::system(self.inner.node), command).await {
            Ok(_) => Ok(true),
            // Another leader, another key or a node that is too old came in between: the next look knows.
            Err(ProposeError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
