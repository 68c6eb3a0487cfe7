//! The root secret of one node, and what hangs from it: its key pair and its storage key.

use std::fmt;

use zeroize::Zeroizing;

use super::{
    KEY_LENGTH, KeyError, PrivateKey, PublicKey, Secret, StorageKey, derive, open_with, random_secret,
};
use crate::recovery::RecoveryKey;

const RECOVERY_PURPOSE: &[u8] = b"mediakeep node secrets v1";

/// A node's secrets, unlocked by its [`Seal`](crate::seal::Seal). One random root; everything else is derived from it.
pub struct NodeSecrets {
    root: Secret,
    pair: PrivateKey,
}

impl NodeSecrets {
    /// A new node's secrets.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_root(random_secret()?)
    }

    pub(crate) fn from_root(root: Secret) -> Result<Self, KeyError> {
        let pair = PrivateKey::from_seed(&root, b"node")?;
        Ok(Self { root, pair })
    }

    pub(crate) fn root(&self) -> &[u8; KEY_LENGTH] {
        &self.root
    }

    /// The public half of the node's key pair, for State.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.pair.public()
    }

    /// The key that seals everything this node writes besides Blobs.
    ///
    /// # Errors
    /// Only if derivation is not available.
    pub fn storage_key(&self) -> Result<StorageKey, KeyError> {
        derive(self.root.as_slice(), &[b"node storage"]).map(StorageKey::new)
    }

    /// What this node signs the heads of its audit log by.
    pub(crate) fn signing_seed(&self) -> Result<Secret, KeyError> {
        derive(self.root.as_slice(), &[b"audit heads"])
    }

    /// The root secret sealed to the recovery key. It is kept beside the node's data: without it, a node whose key file
    /// or passphrase is lost could not even read its own log.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`].
    pub fn seal_for_recovery(&self, recovery: &PublicKey) -> Result<Vec<u8>, KeyError> {
        recovery.seal(RECOVERY_PURPOSE, self.public_key().as_bytes(), self.root.as_slice()).map(|sealed| {
            let mut file = self.public_key().as_bytes().to_vec();
            file.extend_from_slice(&sealed);
            file
        })
    }

    /// Gets a node's secrets back from what [`NodeSecrets::seal_for_recovery`] made.
    ///
    /// # Errors
    /// [`KeyError::Unsealable`] for another recovery key or damaged bytes.
    pub fn recover(recovery: &RecoveryKey, sealed: &[u8]) -> Result<Self, KeyError> {
        let (public, sealed) = sealed.split_at_checked(KEY_LENGTH).ok_or(KeyError::Unsealable)?;
        let root = recovery.open(RECOVERY_PURPOSE, public, sealed)?;
        let root: &[u8; KEY_LENGTH] = root.as_slice().try_into().map_err(|_| KeyError::Unsealable)?;
        let secrets = Self::from_root(Zeroizing::new(*root))?;
        if secrets.public_key().as_bytes() == public { Ok(secrets) } else { Err(KeyError::Unsealable) }
    }

    pub(crate) fn open(
        &self,
        purpose: &[u8],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        open_with(&self.pair, purpose, aad, sealed)
    }
}

impl fmt::Debug for NodeSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeSecrets({:?}, redacted)", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_node_key_comes_back_through_the_recovery_key() {
        let secrets = NodeSecrets::generate().unwrap();
        let recovery = RecoveryKey::generate().unwrap();
        let record = secrets.storage_key().unwrap().seal("log", b"1", b"entry").unwrap();
        let file = secrets.seal_for_recovery(&recovery.public_key()).unwrap();
        drop(secrets);

        let back = NodeSecrets::recover(&recovery, &file).unwrap();
        assert_eq!(back.storage_key().unwrap().open("log", b"1", &record).unwrap().as_slice(), b"entry");

        let stranger = RecoveryKey::generate().unwrap();
        assert_eq!(NodeSecrets::recover(&stranger, &file).unwrap_err(), KeyError::Unsealable);
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x40;
            assert!(NodeSecrets::recover(&recovery, &changed).is_err(), "a change at byte {at} was accepted");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let root = Zeroizing::new([0x5A; 32]);
        let printed = format!("{:?}", NodeSecrets::from_root(root).unwrap());
        assert!(printed.contains("redacted") && !printed.contains(&"5a".repeat(32)), "{printed}");
    }
}
