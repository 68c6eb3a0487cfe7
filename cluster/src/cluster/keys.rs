//! Keeps the keyring in step with State.

use tokio::sync::broadcast::error::RecvError;

use super::{Cluster, ClusterConfig, OpenError};
use crate::command::{KeyHolder, SealedClusterKey as Stored};
use crate::event::Event;
use crate::id::NodeId;
use crate::keyring::{KeyEpoch, KeyError, Keyring, NodeSecrets, PublicKey, SealedClusterKey};
use crate::raft::log::files;
use crate::state::State;

fn recovery_key(state: &State) -> Option<[u8; 32]> {
    state.cluster_info().map(|info| info.recovery_public_key)
}

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

/// Writes this node's secrets sealed to the recovery key there is now: after a damage of the file nobody would notice until
/// the day it is needed, after a crash between the new key and the new file, and when another node replaced the key.
pub(super) fn keep_recoverable(
    state: &State,
    config: &ClusterConfig,
    secrets: &NodeSecrets,
) -> Result<(), OpenError> {
    let Some(info) = state.cluster_info() else { return Ok(()) };
    let sealed = secrets.seal_for_recovery(&PublicKey::from_bytes(info.recovery_public_key))?;
    Ok(files::write_atomically(&config.recovery_file(), &sealed)?)
}

/// Follows rotations until the node stops.
pub(super) fn spawn(cluster: &Cluster) {
    let mut events = cluster.events();
    let stop = cluster.inner.ending.clone();
    let follower = std::sync::Arc::downgrade(&cluster.inner);
    let mut recovery = recovery_key(&cluster.state());
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            match event {
                Ok(Event::ClusterKeyRotated { .. } | Event::ClusterChanged | Event::StateReplaced)
                | Err(RecvError::Lagged(_)) => {}
                Ok(_) => continue,
                Err(RecvError::Closed) => return,
            }
            let Some(inner) = follower.upgrade() else { return };
            let state = inner.shown.state.load();
            if let Err(error) = learn_all(&state, inner.node, &inner.keyring, &inner.secrets) {
                tracing::error!(%error, "a new cluster key epoch does not open on this node");
            }
            if recovery != recovery_key(&state) {
                recovery = recovery_key(&state);
                if let Err(error) = keep_recoverable(&state, &inner.config, &inner.secrets) {
                    tracing::error!(%error, "this node's secrets cannot be kept for the new recovery key");
                }
            }
        }
    });
}
