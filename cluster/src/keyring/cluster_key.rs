//! The cluster key in its numbered epochs, and the keyring that holds the epochs this node could open.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::{
    AeadKey, DataKey, KEY_LENGTH, KeyError, NodeSecrets, PublicKey, Secret, WrappedKey, random_secret,
};
use crate::command::KeyEpoch;
use crate::id::AssetId;
use crate::recovery::RecoveryKey;

const PURPOSE: &[u8] = b"mediakeep cluster key v1";

/// One epoch of the cluster key, sealed to one holder's public key. Not secret: State keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedClusterKey {
    /// Which epoch.
    pub epoch: KeyEpoch,
    /// Whose key pair opens it: a core node's, or the recovery key's.
    pub recipient: PublicKey,
    /// What HPKE sealed.
    pub sealed: Vec<u8>,
}

impl SealedClusterKey {
    fn seal(epoch: KeyEpoch, secret: &Secret, recipient: &PublicKey) -> Result<Self, KeyError> {
        let sealed = recipient.seal(PURPOSE, &epoch.to_be_bytes(), secret.as_slice())?;
        Ok(Self { epoch, recipient: *recipient, sealed })
    }
}

/// The cluster key epochs this node holds, opened. Cheap to clone; all clones see the same epochs.
#[derive(Clone)]
pub struct Keyring {
    epochs: Arc<ArcSwap<BTreeMap<KeyEpoch, Epoch>>>,
}

#[derive(Clone)]
struct Epoch {
    secret: Secret,
    wrapping: Arc<AeadKey>,
}

impl Epoch {
    fn new(secret: Secret) -> Result<Self, KeyError> {
        Ok(Self { wrapping: Arc::new(AeadKey::new(&secret)?), secret })
    }
}

impl Keyring {
    /// A keyring with no epoch yet.
    #[must_use]
    pub fn empty() -> Self {
        Self { epochs: Arc::new(ArcSwap::from_pointee(BTreeMap::new())) }
    }

    /// Makes the first epoch, or the next one after the newest held, sealed to every recipient (all core nodes and the
    /// recovery key). It is not held by this keyring until [`Keyring::learn`] is given what was agreed, so that a
    /// proposal that lost leaves nothing behind.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`] for a recipient nobody can seal to, [`KeyError::NoRandomness`].
    pub fn propose_epoch(
        &self,
        recipients: &[PublicKey],
    ) -> Result<(KeyEpoch, Vec<SealedClusterKey>), KeyError> {
        let epoch = self.current_epoch().unwrap_or(0).checked_add(1).ok_or(KeyError::Derivation)?;
        let secret = random_secret()?;
        let sealed = recipients.iter().map(|to| SealedClusterKey::seal(epoch, &secret, to));
        Ok((epoch, sealed.collect::<Result<_, _>>()?))
    }

    /// Takes up an epoch from State. Gives `false`, and changes nothing, when it was sealed to somebody else or is
    /// already held.
    ///
    /// # Errors
    /// [`KeyError::Unsealable`] when it was sealed to this node but does not open.
    pub fn learn(&self, secrets: &NodeSecrets, sealed: &SealedClusterKey) -> Result<bool, KeyError> {
        if sealed.recipient != secrets.public_key() || self.epochs.load().contains_key(&sealed.epoch) {
            return Ok(false);
        }
        let opened = secrets.open(PURPOSE, &sealed.epoch.to_be_bytes(), &sealed.sealed)?;
        self.hold(sealed.epoch, &opened)?;
        Ok(true)
    }

    /// Opens every epoch the recovery key can: for a cluster all of whose nodes lost their keys.
    ///
    /// # Errors
    /// [`KeyError::NoClusterKey`] when nothing there was sealed to this recovery key.
    pub fn recover(recovery: &RecoveryKey, sealed: &[SealedClusterKey]) -> Result<Self, KeyError> {
        let keyring = Self::empty();
        for one in sealed.iter().filter(|one| one.recipient == recovery.public_key()) {
            let opened = recovery.open(PURPOSE, &one.epoch.to_be_bytes(), &one.sealed)?;
            keyring.hold(one.epoch, &opened)?;
        }
        keyring.current_epoch().map(|_| keyring)
    }

    /// Seals every held epoch to one more holder: a node that joins, or a recovered one.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`].
    pub fn seal_all_to(&self, recipient: &PublicKey) -> Result<Vec<SealedClusterKey>, KeyError> {
        let epochs = self.epochs.load();
        epochs
            .iter()
            .map(|(number, epoch)| SealedClusterKey::seal(*number, &epoch.secret, recipient))
            .collect()
    }

    /// Every epoch held.
    #[must_use]
    pub fn epochs(&self) -> Vec<KeyEpoch> {
        self.epochs.load().keys().copied().collect()
    }

    /// The newest epoch held.
    ///
    /// # Errors
    /// [`KeyError::NoClusterKey`] when none is.
    pub fn current_epoch(&self) -> Result<KeyEpoch, KeyError> {
        self.epochs.load().last_key_value().map(|(epoch, _)| *epoch).ok_or(KeyError::NoClusterKey)
    }

    /// A fresh data key for `asset`, with its wrapped form and the epoch it is wrapped under.
    ///
    /// # Errors
    /// [`KeyError::NoClusterKey`], [`KeyError::NoRandomness`].
    pub fn new_data_key(&self, asset: AssetId) -> Result<(DataKey, WrappedKey, KeyEpoch), KeyError> {
        let key = DataKey::random()?;
        let epoch = self.current_epoch()?;
        let wrapped = self.wrap(&key, asset, epoch)?;
        Ok((key, wrapped, epoch))
    }

    /// Opens an asset's data key.
    ///
    /// # Errors
    /// [`KeyError::UnknownEpoch`] when that epoch is not held, [`KeyError::Unsealable`] when the bytes are not this
    /// asset's key under that epoch.
    pub fn open_data_key(
        &self,
        wrapped: &WrappedKey,
        asset: AssetId,
        epoch: KeyEpoch,
    ) -> Result<DataKey, KeyError> {
        let epochs = self.epochs.load();
        let wrapping = &epochs.get(&epoch).ok_or(KeyError::UnknownEpoch(epoch))?.wrapping;
        let opened = wrapping.open(&context(asset, epoch), wrapped.as_bytes())?;
        Ok(DataKey::from_secret(secret_from(&opened)?))
    }

    /// Wraps an asset's data key again, under the newest epoch.
    ///
    /// # Errors
    /// As [`Keyring::open_data_key`].
    pub fn rewrap(
        &self,
        wrapped: &WrappedKey,
        asset: AssetId,
        from: KeyEpoch,
    ) -> Result<(WrappedKey, KeyEpoch), KeyError> {
        let key = self.open_data_key(wrapped, asset, from)?;
        let epoch = self.current_epoch()?;
        Ok((self.wrap(&key, asset, epoch)?, epoch))
    }

    /// Wraps under one given epoch, refusing all but the newest.
    ///
    /// # Errors
    /// [`KeyError::StaleEpoch`] for an older epoch, [`KeyError::UnknownEpoch`] for one not held.
    pub fn wrap(&self, key: &DataKey, asset: AssetId, epoch: KeyEpoch) -> Result<WrappedKey, KeyError> {
        let current = self.current_epoch()?;
        if epoch < current {
            return Err(KeyError::StaleEpoch { got: epoch, current });
        }
        let epochs = self.epochs.load();
        let wrapping = &epochs.get(&epoch).ok_or(KeyError::UnknownEpoch(epoch))?.wrapping;
        wrapping.seal(&context(asset, epoch), key.expose()).map(WrappedKey::from)
    }

    /// A secret that every holder of `epoch` derives alike, for one purpose: the key of View and download tokens.
    ///
    /// # Errors
    /// [`KeyError::UnknownEpoch`] when that epoch is not held.
    pub fn shared_secret(
        &self,
        purpose: &[u8],
        epoch: KeyEpoch,
    ) -> Result<zeroize::Zeroizing<[u8; 32]>, KeyError> {
        let epochs = self.epochs.load();
        let secret = &epochs.get(&epoch).ok_or(KeyError::UnknownEpoch(epoch))?.secret;
        super::derive(secret.as_slice(), &[b"shared", purpose])
    }

    /// Forgets an epoch under which nothing is wrapped any more.
    pub fn forget(&self, epoch: KeyEpoch) {
        self.epochs.rcu(|held| {
            let mut held = BTreeMap::clone(held);
            held.remove(&epoch);
            held
        });
    }

    fn hold(&self, number: KeyEpoch, opened: &[u8]) -> Result<(), KeyError> {
        let epoch = Epoch::new(secret_from(opened)?)?;
        self.epochs.rcu(|held| {
            let mut held = BTreeMap::clone(held);
            held.insert(number, epoch.clone());
            held
        });
        Ok(())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epochs: Vec<_> = self.epochs.load().keys().copied().collect();
        write!(formatter, "Keyring(epochs {epochs:?}, redacted)")
    }
}

fn context(asset: AssetId, epoch: KeyEpoch) -> Vec<u8> {
    [b"mediakeep data key v1".as_slice(), asset.as_bytes(), &epoch.to_be_bytes()].concat()
}

fn secret_from(opened: &[u8]) -> Result<Secret, KeyError> {
    let bytes: &[u8; KEY_LENGTH] = opened.try_into().map_err(|_| KeyError::Unsealable)?;
    Ok(Secret::new(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILM: AssetId = AssetId([1; 16]);
    const OTHER: AssetId = AssetId([2; 16]);

    /// A keyring that went through `epochs` rotations, and everything State would hold.
    fn rotated(
        secrets: &NodeSecrets,
        recovery: &RecoveryKey,
        epochs: u32,
    ) -> (Keyring, Vec<SealedClusterKey>) {
        let keyring = Keyring::empty();
        let mut state = Vec::new();
        for expected in 1..=epochs {
            let (epoch, sealed) =
                keyring.propose_epoch(&[secrets.public_key(), recovery.public_key()]).unwrap();
            assert_eq!(epoch, expected);
            for one in &sealed {
                keyring.learn(secrets, one).unwrap();
            }
            state.extend(sealed);
        }
        (keyring, state)
    }

    #[test]
    fn a_data_key_opens_only_for_its_asset_and_epoch() {
        let secrets = NodeSecrets::generate().unwrap();
        let (keyring, _) = rotated(&secrets, &RecoveryKey::generate().unwrap(), 2);
        let (key, wrapped, epoch) = keyring.new_data_key(FILM).unwrap();
        assert_eq!(epoch, 2);
        assert_eq!(keyring.open_data_key(&wrapped, FILM, 2).unwrap(), key);
        assert_eq!(keyring.open_data_key(&wrapped, OTHER, 2), Err(KeyError::Unsealable));
        assert_eq!(keyring.open_data_key(&wrapped, FILM, 1), Err(KeyError::Unsealable));
        assert_eq!(keyring.open_data_key(&wrapped, FILM, 9), Err(KeyError::UnknownEpoch(9)));
    }

    #[test]
    fn rotation_rewraps_keys_and_refuses_the_old_epoch() {
        let secrets = NodeSecrets::generate().unwrap();
        let recovery = RecoveryKey::generate().unwrap();
        let (keyring, _) = rotated(&secrets, &recovery, 1);
        let (key, wrapped, first) = keyring.new_data_key(FILM).unwrap();

        let (second, sealed) = keyring.propose_epoch(&[secrets.public_key(), recovery.public_key()]).unwrap();
        assert_eq!(keyring.current_epoch().unwrap(), first, "a proposal alone must change nothing");
        assert_eq!(sealed.iter().filter(|one| keyring.learn(&secrets, one).unwrap()).count(), 1);

        let stale = keyring.wrap(&key, FILM, first).unwrap_err();
        assert_eq!(stale, KeyError::StaleEpoch { got: first, current: second });
        let (rewrapped, epoch) = keyring.rewrap(&wrapped, FILM, first).unwrap();
        assert_eq!((epoch, keyring.open_data_key(&rewrapped, FILM, second).unwrap()), (second, key));

        keyring.forget(first);
        assert_eq!(keyring.open_data_key(&wrapped, FILM, first), Err(KeyError::UnknownEpoch(first)));
    }

    #[test]
    fn the_recovery_key_opens_every_epoch_and_hands_them_to_a_new_node() {
        let recovery = RecoveryKey::generate().unwrap();
        let (keyring, state) = rotated(&NodeSecrets::generate().unwrap(), &recovery, 3);
        let (key, wrapped, epoch) = keyring.new_data_key(FILM).unwrap();

        let recovered = Keyring::recover(&recovery, &state).unwrap();
        let replacement = NodeSecrets::generate().unwrap();
        let new_node = Keyring::empty();
        for one in recovered.seal_all_to(&replacement.public_key()).unwrap() {
            assert!(new_node.learn(&replacement, &one).unwrap());
        }
        assert_eq!(new_node.open_data_key(&wrapped, FILM, epoch).unwrap(), key);

        let stranger = RecoveryKey::generate().unwrap();
        assert_eq!(Keyring::recover(&stranger, &state).unwrap_err(), KeyError::NoClusterKey);
    }

    #[test]
    fn an_epoch_sealed_to_this_node_but_changed_is_an_error_not_silence() {
        let secrets = NodeSecrets::generate().unwrap();
        let (_, mut sealed) = Keyring::empty().propose_epoch(&[secrets.public_key()]).unwrap();
        sealed[0].epoch = 2;
        assert_eq!(Keyring::empty().learn(&secrets, &sealed[0]), Err(KeyError::Unsealable));
    }
}
