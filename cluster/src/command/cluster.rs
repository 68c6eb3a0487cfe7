//! Commands about the cluster itself and its keys.

use serde::{Deserialize, Serialize};

use super::values::{KeyEpoch, SealedClusterKey, WrappedKey};
use crate::id::{AssetId, NodeId};

/// A change of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterCommand {
    /// The first entry of a cluster: its first node and cluster key epoch 1.
    Initialise {
        /// Random.
        cluster_id: [u8; 16],
        /// The first node.
        node: NodeId,
        /// What people call it.
        node_name: String,
        /// Where it stands.
        site: String,
        /// Its public key.
        node_public_key: [u8; 32],
        /// The recovery key's public half.
        recovery_public_key: [u8; 32],
        /// Cluster key epoch 1, for the node and for the recovery key.
        sealed: Vec<SealedClusterKey>,
    },
    /// A new cluster key: `epoch` must be the current one plus one.
    RotateClusterKey {
        /// The new epoch.
        epoch: KeyEpoch,
        /// The key, for every core node and the recovery key.
        sealed: Vec<SealedClusterKey>,
    },
    /// An asset's data key under the current cluster key.
    RewrapAssetKey {
        /// The asset.
        asset: AssetId,
        /// Its data key.
        wrapped_key: WrappedKey,
        /// The current epoch.
        key_epoch: KeyEpoch,
    },
    /// The operator has re-typed the recovery key.
    ConfirmRecoveryKey,
    /// A new recovery key, with every kept cluster key epoch sealed to it.
    ReplaceRecoveryKey {
        /// Its public half.
        recovery_public_key: [u8; 32],
        /// Every kept epoch.
        sealed: Vec<(KeyEpoch, SealedClusterKey)>,
    },
    /// A node's key was lost and recovered: its new public half, with every kept cluster key epoch sealed to it.
    ReplaceNodeKey {
        /// The node.
        node: NodeId,
        /// Its public half.
        public_key: [u8; 32],
        /// Every kept epoch.
        sealed: Vec<(KeyEpoch, SealedClusterKey)>,
    },
    /// The wall clock jumped: nothing expires until the operator has confirmed the time.
    SetTimeHold {
        /// Hold or go on.
        held: bool,
    },
}
