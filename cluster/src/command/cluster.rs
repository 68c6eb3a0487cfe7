//! Commands about the cluster itself and its keys.

use serde::{Deserialize, Serialize};

use super::values::{
    Incarnation, KeyEpoch, NewNode, Release, SealedClusterKey, SecretHash, SiteNetwork, WrappedKey,
};
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
    /// The certificate authority of the cluster. Its key is sealed under the cluster key, so that every core node can
    /// issue certificates whoever leads.
    SetAuthority {
        /// The authority's certificate (DER).
        certificate: Vec<u8>,
        /// Its private key, sealed.
        sealed_key: Vec<u8>,
        /// The cluster key it is sealed under: the current one.
        key_epoch: KeyEpoch,
    },
    /// A one-use token with which a node may join.
    CreateJoinToken {
        /// Of its secret.
        secret_hash: SecretHash,
        /// When it ends: at most an hour from now.
        expires_ms: u64,
    },
    /// A node joins by a token. Its id is the number of the Entry.
    AdmitNode {
        /// Of the token's secret.
        secret_hash: SecretHash,
        /// What the node says of itself.
        node: NewNode,
        /// Every kept cluster key epoch, sealed to it.
        sealed: Vec<(KeyEpoch, Vec<u8>)>,
    },
    /// A node has started: where it is reached, and by which of its starts.
    ReportNode {
        /// The node.
        node: NodeId,
        /// SHA-256 of the certificate it shows to the others.
        certificate: [u8; 32],
        /// Where the others reach it: `host:port`.
        cluster_address: String,
        /// Where people reach it.
        public_address: String,
        /// Its start.
        incarnation: Incarnation,
    },
    /// A joined node holds what the others hold.
    ActivateNode {
        /// The node.
        node: NodeId,
    },
    /// A node is to give up its part, or to take part again.
    DrainNode {
        /// The node.
        node: NodeId,
        /// Give up or take part.
        draining: bool,
    },
    /// A node is gone for good. Its id never comes back.
    RemoveNode {
        /// The node.
        node: NodeId,
    },
    /// A node serves a certificate of the operator's own from now on. The certificate and its key stay on that node;
    /// what is agreed on is that it is done, by whom, and which one it is.
    InstallCertificate {
        /// Where.
        node: NodeId,
        /// SHA-256 of the certificate.
        fingerprint: [u8; 32],
        /// What it vouches for.
        names: Vec<String>,
        /// When it ends.
        expires_ms: u64,
    },
    /// A node goes back to the certificate of its own authority.
    RemoveCertificate {
        /// Where.
        node: NodeId,
    },
    /// The operator went on without log records that were acknowledged and are lost.
    AcceptLoss {
        /// The node that lost them.
        node: NodeId,
        /// The first of them.
        first: u64,
        /// The last, when it is known.
        last: Option<u64>,
    },
    /// Which site is near to whom. Replaces what was said before.
    SetSiteMap {
        /// The networks, in any order.
        networks: Vec<SiteNetwork>,
    },
    /// The build a node runs from now on.
    ReportRelease {
        /// The node.
        node: NodeId,
        /// Its build.
        release: Release,
    },
    /// Another certificate authority for nodes and edges, in force at once. The one before is trusted until nobody needs it.
    ReplaceAuthority {
        /// The authority's certificate (DER).
        certificate: Vec<u8>,
        /// Its private key, sealed.
        sealed_key: Vec<u8>,
        /// The cluster key it is sealed under: the current one.
        key_epoch: KeyEpoch,
        /// The new authority, certified by the one before (DER).
        crossed: Vec<u8>,
        /// SHA-256 of the certificate of the one before: this exchange is made once.
        replaces: [u8; 32],
    },
    /// A node's certificate is by another authority from now on.
    ReportAuthority {
        /// The node.
        node: NodeId,
        /// SHA-256 of that authority's certificate.
        authority: [u8; 32],
    },
    /// A former authority is trusted no more.
    DropAuthority {
        /// SHA-256 of its certificate.
        authority: [u8; 32],
    },
    /// The exchange is given up: the authority before comes back into force, and the other one is the former one.
    AbandonAuthority {
        /// SHA-256 of the certificate of the one in force.
        authority: [u8; 32],
        /// The one that comes back, certified by the one in force (DER).
        crossed: Vec<u8>,
    },
    /// Most voters were lost for good, and an operator had one that is left go on without them. It is written to that node's
    /// log while the node is stopped, and never put to the vote.
    RecoverQuorum {
        /// The node that goes on.
        survivor: NodeId,
        /// The nodes that are lost.
        lost: Vec<NodeId>,
        /// Why, in the operator's words; may be empty.
        reason: String,
        /// Who did it, by the word of that node's machine.
        operator: String,
        /// The election in which its last record before this was made.
        last_term: u64,
        /// The number of that record.
        last_index: u64,
    },
    /// The secret that goes into every hash of a passphrase, sealed under the cluster key: once, and anew after a rotation.
    SetPepper {
        /// The secret, sealed.
        sealed: Vec<u8>,
        /// The cluster key it is sealed under: the current one.
        key_epoch: KeyEpoch,
    },
}
