//! Signed heads: a node's word for how far its audit log went and what its hash was, kept by the others.
//!
//! A head is signed only when all up to it is durable and held. A log that is shorter later, or has another hash there, was cut
//! off, rolled back or rewritten; whoever does that to one node's disk does not reach what the others keep.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::audit_record::ChainHead;
use crate::id::NodeId;
use crate::keyring::{KeyError, NodeSecrets, StorageKey};
use crate::persist::{self, Persist};
use crate::raft::log::files;

const PURPOSE: &[u8] = b"mediakeep audit head v1";
const SEALED_FOR: &str = "audit heads";

/// How far a node's audit log went, in its own word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// Whose word.
    pub node: NodeId,
    /// Number and hash of the newest record.
    pub head: ChainHead,
    /// Cluster time.
    pub time_ms: u64,
    /// The node's public key for this (Ed25519).
    pub key: [u8; 32],
    /// Over all of the above and the cluster.
    pub signature: Vec<u8>,
}

impl SignedHead {
    fn signed_bytes(&self, cluster: &[u8; 16]) -> Vec<u8> {
        let numbers = [self.node.0, self.head.sequence, self.time_ms].map(u64::to_be_bytes).concat();
        [PURPOSE, cluster, &numbers, &self.head.hash, &self.key].concat()
    }

    /// Whether the holder of its key has signed it, for this cluster.
    #[must_use]
    pub fn is_genuine(&self, cluster: &[u8; 16]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        key.verify(&self.signed_bytes(cluster), &self.signature).is_ok()
    }
}

/// Signs for this node. Its key hangs from the node's own secret.
pub(crate) struct HeadSigner {
    pair: Ed25519KeyPair,
}

impl HeadSigner {
    pub(crate) fn of(secrets: &NodeSecrets) -> Result<Self, KeyError> {
        let seed = secrets.signing_seed()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::Derivation)?;
        Ok(Self { pair })
    }

    pub(crate) fn sign(&self, cluster: &[u8; 16], node: NodeId, head: ChainHead, time_ms: u64) -> SignedHead {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        let mut signed = SignedHead { node, head, time_ms, key, signature: Vec::new() };
        signed.signature = self.pair.sign(&signed.signed_bytes(cluster)).as_ref().to_vec();
        signed
    }
}

impl fmt::Debug for HeadSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HeadSigner(redacted)")
    }
}

/// The newest head of each node.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    newest: BTreeMap<u64, SignedHead>,
}

impl Persist for Kept {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// What the others have signed, in a sealed file of this node.
pub struct HeadBook {
    path: PathBuf,
    key: StorageKey,
    kept: Mutex<Kept>,
}

impl HeadBook {
    /// Reads the book in the data folder `dir`. One that cannot be read is begun anew: the others have theirs.
    #[must_use]
    pub fn open(dir: &Path, key: StorageKey) -> Self {
        let path = dir.join("audit-heads");
        let read = files::read_if_present(&path).ok().flatten().map(|sealed| {
            let plain = key.open(SEALED_FOR, b"", &sealed).ok();
            plain.and_then(|plain| persist::decode::<Kept>(&plain).ok())
        });
        if matches!(read, Some(None)) {
            tracing::warn!("the heads of the others' audit logs cannot be read and are collected anew");
        }
        Self { path, key, kept: Mutex::new(read.flatten().unwrap_or_default()) }
    }

    /// The newest head of `node`.
    #[must_use]
    pub fn newest(&self, node: NodeId) -> Option<SignedHead> {
        self.kept().newest.get(&node.0).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<SignedHead> {
        self.kept().newest.values().cloned().collect()
    }

    /// Keeps `head` if it is the newest of its node, and gives the one that was kept before. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written: nothing is changed then.
    pub fn keep(&self, head: SignedHead) -> std::io::Result<Option<SignedHead>> {
        let mut kept = self.kept();
        let before = kept.newest.get(&head.node.0).cloned();
        if before.as_ref().is_some_and(|before| before.head.sequence >= head.head.sequence) {
            return Ok(before);
        }
        let mut next = Kept { newest: kept.newest.clone() };
        next.newest.insert(head.node.0, head);
        let plain = persist::encode(&next).map_err(std::io::Error::other)?;
        let sealed = self.key.seal(SEALED_FOR, b"", &plain).map_err(std::io::Error::other)?;
        files::write_atomically(&self.path, &sealed)?;
        *kept = next;
        Ok(before)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for HeadBook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HeadBook({})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: [u8; 16] = [4; 16];

    fn head(sequence: u64) -> ChainHead {
        ChainHead { sequence, hash: [9; 32] }
    }

    #[test]
    fn a_head_is_its_nodes_word_for_one_cluster_and_nothing_else() {
        let signer = HeadSigner::of(&NodeSecrets::generate().unwrap()).unwrap();
        let signed = signer.sign(&CLUSTER, NodeId(3), head(7), 100);
        assert!(signed.is_genuine(&CLUSTER) && !signed.is_genuine(&[5; 16]));
        let changes: [fn(&mut SignedHead); 5] = [
            |signed| signed.node = NodeId(4),
            |signed| signed.head.sequence += 1,
            |signed| signed.head.hash[0] ^= 1,
            |signed| signed.time_ms += 1,
            |signed| signed.key[0] ^= 1,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!changed.is_genuine(&CLUSTER), "{changed:?}");
        }
    }

    #[test]
    fn the_newest_of_each_node_outlives_a_restart_and_an_older_one_does_not_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = NodeSecrets::generate().unwrap();
        let signer = HeadSigner::of(&secrets).unwrap();
        let path = folder.path().join("audit-heads");
        let book = || HeadBook::open(folder.path(), secrets.storage_key().unwrap());
        let signed = |node, sequence| signer.sign(&CLUSTER, NodeId(node), head(sequence), 1);
        assert_eq!(book().keep(signed(2, 10)).unwrap(), None);
        let again = book();
        assert_eq!(again.keep(signed(2, 8)).unwrap(), Some(signed(2, 10)));
        assert_eq!(again.keep(signed(3, 8)).unwrap(), None);
        assert_eq!(book().all(), [signed(2, 10), signed(3, 8)]);
        let sealed = std::fs::read(&path).unwrap();
        assert!(!sealed.windows(32).any(|bytes| bytes == [9; 32]), "sealed");
        std::fs::write(&path, b"something else").unwrap();
        assert_eq!(book().newest(NodeId(2)), None, "begun anew");
    }
}
