//! Keys: what a node, a cluster and an asset each hold, and how one is kept under the other.
//!
//! ```text
//! Seal (key file, passphrase) -> NodeSecrets -> StorageKey    seals this node's log, snapshots, audit and queues
//!                                            -> key pair      opens ClusterKey epochs sealed to this node (HPKE)
//! RecoveryKey (paper)         -> key pair      opens the same epochs, and the node's secrets
//! ClusterKey (epoch n)        -> wraps DataKey (one per asset) -> subkeys per Blob and writer epoch, content keys
//!                             -> seals Pepper  goes into every hash of a passphrase
//! ```
//! Every secret wipes itself when dropped and prints nothing.

mod cipher;
mod cluster_key;
mod data_key;
mod edge_key;
mod node_secrets;
mod pepper;
mod public_key;
mod storage_key;

pub use cipher::{AeadKey, KEY_LENGTH, SEAL_OVERHEAD, TAG_LENGTH, fill_random};
pub(crate) use cipher::{Secret, derive, random_secret};
pub use cluster_key::{Keyring, SealedClusterKey};
pub use data_key::{ContentKey, DataKey};
pub use edge_key::EdgeKeys;
pub use node_secrets::NodeSecrets;
pub use pepper::Pepper;
pub use public_key::{HPKE_SUITE, PublicKey};
pub(crate) use public_key::{PrivateKey, open_with};
pub use storage_key::StorageKey;

pub use crate::command::{KeyEpoch, WrappedKey};

/// Why a key could not be made, wrapped or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the system's random generator failed")]
    NoRandomness,
    /// A key could not be derived: a fault in the program.
    #[error("a key could not be derived")]
    Derivation,
    /// Not sealed with this key for this purpose, or changed since.
    #[error("the sealed value does not open: another key, another purpose, or damaged")]
    Unsealable,
    /// Not a public key.
    #[error("the public key is not valid")]
    BadPublicKey,
    /// The cluster key has moved on since this was wrapped or asked for. Ask again with the current epoch.
    #[error("cluster key epoch {got} is stale, the current one is {current}")]
    StaleEpoch {
        /// The epoch that was asked for.
        got: KeyEpoch,
        /// The newest epoch this node holds.
        current: KeyEpoch,
    },
    /// This node does not hold that epoch of the cluster key (yet).
    #[error("cluster key epoch {0} is not held by this node")]
    UnknownEpoch(KeyEpoch),
    /// No epoch at all is held: the cluster is not initialised or this node is not part of it.
    #[error("this node holds no cluster key")]
    NoClusterKey,
}
