//! Keeps the keyring in step with State.

use tokio::sync::broadcast::error::RecvError;

use super::Cluster;
use crate::command::{KeyHolder, SealedClusterKey as Stored};
use crate::event::Event;
use crate::id::NodeId;
use crate::keyring::{KeyEpoch, KeyError, Keyring, NodeSecrets, PublicKey, SealedClusterKey};
use crate::state::State;

/// As State keeps it.
pub(super) fn stored(sealed: SealedClusterKey, holder: KeyHolder) -> Stored {
    Stored { holder, sealed: sealed.sealed }
}

/// Takes up every epoch that State has for this node.
pub(super) fn learn_all(
    state: &State,
    node: NodeId,
    keyring: &Keyring,
    secrets: &NodeSecrets,
) -> Result<(), KeyError> {
    for (epoch, holders) in state.sealed_keys() {
        for stored in holders.iter().filter(|stored| stored.holder == KeyHolder::Node(node)) {
            keyring.learn(secrets, &as_sealed(stored, epoch, secrets.public_key()))?;
        }
    }
    Ok(())
}

fn as_sealed(stored: &Stored, epoch: KeyEpoch, recipient: PublicKey) -> SealedClusterKey {
    SealedClusterKey { epoch, recipient, sealed: stored.sealed.clone() }
}

/// Follows rotations until the node stops.
pub(super) fn spawn(cluster: &Cluster) {
    let mut events = cluster.events();
    let stop = cluster.inner.ending.clone();
    let follower = std::sync::Arc::downgrade(&cluster.inner);
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            match event {
                Ok(Event::ClusterKeyRotated { .. } | Event::ClusterChanged) | Err(RecvError::Lagged(_)) => {}
                Ok(_) => continue,
                Err(RecvError::Closed) => return,
            }
            let Some(inner) = follower.upgrade() else { return };
            let state = inner.shown.state.load();
            if let Err(error) = learn_all(&state, inner.node, &inner.keyring, &inner.secrets) {
                tracing::error!(%error, "a new cluster key epoch does not open on this node");
            }
        }
    });
}
