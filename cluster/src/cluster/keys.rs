//! Keeps the keyring in step with State.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;

use super::{Cluster, ClusterConfig, OpenError, ProposeError};
use crate::actor::Actor;
use crate::backup::{open_secret, seal_secret};
use crate::command::{BackupCommand, ClusterCommand, Command, KeyHolder, SealedClusterKey as Stored};
use crate::event::Event;
use crate::id::NodeId;
use crate::keyring::{KeyEpoch, KeyError, Keyring, NodeSecrets, PublicKey, SealedClusterKey};
use crate::raft::log::files;
use crate::refusal::Refusal;
use crate::state::State;

/// Proposals to wrap a key anew that are under way together.
const REWRAPPED_AT_ONCE: usize = 64;

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

/// Forgets what State has forgotten, but for the epoch before the newest: running Views were begun under it.
fn forget_unused(state: &State, keyring: &Keyring) {
    let Some(info) = state.cluster_info() else { return };
    let kept = |epoch: KeyEpoch| state.sealed_keys().any(|(kept, _)| kept == epoch);
    for epoch in keyring.epochs().into_iter().filter(|epoch| epoch.saturating_add(1) < info.key_epoch) {
        if !kept(epoch) {
            keyring.forget(epoch);
        }
    }
}

impl Cluster {
    /// Takes up every cluster key that was agreed on before this call: whoever was told that theirs is not the one in force
    /// asks for this, and tries again.
    ///
    /// # Errors
    /// [`ProposeError`] when nobody can be asked, or one does not open on this node.
    pub async fn learn_keys(&self) -> Result<Arc<State>, ProposeError> {
        let state = self.linearizable().await?;
        learn_all(&state, self.inner.node, &self.inner.keyring, &self.inner.secrets)
            .map_err(|error| unavailable(&error))?;
        Ok(state)
    }

    /// Puts a new cluster key in force in place of `replaces`. What was wrapped under the one before is wrapped anew by the
    /// leader, beside everything else, and then the one before is forgotten. Gives the new one's number.
    ///
    /// # Errors
    /// [`ProposeError`] when `actor` may not, `replaces` is not the one in force, or the cluster cannot agree on it.
    pub async fn rotate_key(&self, actor: Actor, replaces: KeyEpoch) -> Result<KeyEpoch, ProposeError> {
        let state = self.learn_keys().await?;
        let info = state.cluster_info().ok_or_else(|| unavailable(&"there is no cluster yet"))?;
        let current = info.key_epoch;
        if current != replaces {
            return Err(ProposeError::Refused(Refusal::StaleKeyEpoch { current }));
        }
        let nodes = state.nodes().map(|node| (KeyHolder::Node(node.id), node.public_key));
        let holders: Vec<_> = nodes.chain([(KeyHolder::Recovery, info.recovery_public_key)]).collect();
        let recipients: Vec<_> = holders.iter().map(|(_, key)| PublicKey::from_bytes(*key)).collect();
        let proposed = self.inner.keyring.propose_epoch(&recipients);
        let (epoch, sealed) = proposed.map_err(|error| unavailable(&error))?;
        let sealed = sealed.into_iter().zip(&holders).map(|(sealed, (holder, _))| stored(sealed, *holder));
        let command = ClusterCommand::RotateClusterKey { epoch, sealed: sealed.collect() };
        self.propose(actor.clone(), Command::Cluster(command)).await?;
        let state = self.learn_keys().await?;
        self.reseal_targets(&state, actor).await?;
        Ok(epoch)
    }

    /// What opens places for backups is sealed under the cluster key, too.
    async fn reseal_targets(&self, state: &State, actor: Actor) -> Result<(), ProposeError> {
        let current = state.cluster_info().map(|info| info.key_epoch);
        for target in state.backup_targets() {
            let Some(secret) = target.secret.as_ref().filter(|secret| Some(secret.key_epoch) != current)
            else {
                continue;
            };
            let keyring = &self.inner.keyring;
            let login = open_secret(keyring, target.id, Some(secret)).map_err(|error| unavailable(&error))?;
            let sealed = seal_secret(keyring, target.id, &login).map_err(|error| unavailable(&error))?;
            let (target, settings) = (target.id, target.settings.clone());
            let command = BackupCommand::SetTarget { target, settings, secret: Some(sealed) };
            match self.propose(actor.clone(), Command::Backup(command)).await {
                // Its settings are of the past, such as a node that is gone: the key before stays for it until it is set anew.
                Err(ProposeError::Refused(refusal)) => {
                    tracing::warn!(%target, %refusal, "what opens a place for backups stays under the key before");
                }
                outcome => outcome.map(drop)?,
            }
        }
        Ok(())
    }

    /// Wraps the data keys of some assets that lie under a cluster key before under the one in force. For the leader. Gives
    /// how many, and how many could not be.
    pub(crate) async fn rewrap_some(&self) -> Result<(usize, usize), ProposeError> {
        let state = self.state();
        learn_all(&state, self.inner.node, &self.inner.keyring, &self.inner.secrets)
            .map_err(|error| unavailable(&error))?;
        let actor = Actor::system(self.inner.node);
        let mut failed = 0;
        let mut commands = Vec::new();
        for asset in state.assets_to_rewrap() {
            match self.inner.keyring.rewrap(&asset.wrapped_key, asset.id, asset.key_epoch) {
                Ok((wrapped_key, key_epoch)) => {
                    commands.push(ClusterCommand::RewrapAssetKey { asset: asset.id, wrapped_key, key_epoch });
                }
                Err(error) => {
                    tracing::error!(asset = %asset.id, %error, "the key of an asset does not open");
                    failed += 1;
                }
            }
            if commands.len() >= REWRAPPED_AT_ONCE {
                break;
            }
        }
        let done = commands.len();
        let proposed =
            commands.into_iter().map(|command| self.propose(actor.clone(), Command::Cluster(command)));
        for outcome in futures_util::future::join_all(proposed).await {
            match outcome {
                // The asset is gone, or the key is another one again: the next look knows.
                Ok(_) | Err(ProposeError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((done, failed))
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> ProposeError {
    ProposeError::Unavailable(error.to_string())
}

/// Follows rotations until the node stops.
pub(super) fn spawn(cluster: &Cluster) {
    let mut events = cluster.rarer_events();
    let stop = cluster.inner.ending.clone();
    let follower = Arc::downgrade(&cluster.inner);
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
            forget_unused(&state, &inner.keyring);
            if recovery != recovery_key(&state) {
                recovery = recovery_key(&state);
                if let Err(error) = keep_recoverable(&state, &inner.config, &inner.secrets) {
                    tracing::error!(%error, "this node's secrets cannot be kept for the new recovery key");
                }
            }
        }
    });
}
