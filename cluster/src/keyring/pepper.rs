//! The pepper: one secret of the whole cluster that goes into every hash of a passphrase.
//!
//! Hashes lie in State, and so in every log, snapshot and backup. Without the pepper no guess can be tried against them.

use std::fmt;

use super::{AeadKey, KeyError, Keyring, Secret, derive, random_secret};
use crate::command::{KeyEpoch, SealedSecret};

/// The key it is sealed with is its own, so that no other sealed secret can be put in its place.
const PURPOSE: &[u8] = b"passphrase pepper";
const CONTEXT: &[u8] = b"mediakeep pepper v1";

/// The pepper, opened.
pub struct Pepper {
    secret: Secret,
    id: [u8; Self::ID_LENGTH],
}

impl Pepper {
    /// Bytes of its name.
    pub const ID_LENGTH: usize = 8;

    /// A new one.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(random_secret()?)
    }

    fn of(secret: Secret) -> Result<Self, KeyError> {
        let id = *derive(secret.as_slice(), &[PURPOSE, b"id"])?;
        Ok(Self { secret, id })
    }

    /// As State keeps it, under the newest cluster key that is held.
    ///
    /// # Errors
    /// [`KeyError::NoClusterKey`], [`KeyError::NoRandomness`].
    pub fn seal(&self, keyring: &Keyring) -> Result<SealedSecret, KeyError> {
        let key_epoch = keyring.current_epoch()?;
        let sealed = sealing_key(keyring, key_epoch)?.seal(CONTEXT, self.secret.as_slice())?;
        Ok(SealedSecret { key_epoch, sealed })
    }

    /// Opens what State keeps.
    ///
    /// # Errors
    /// [`KeyError::UnknownEpoch`] when this node does not hold that cluster key, [`KeyError::Unsealable`].
    pub fn open(stored: &SealedSecret, keyring: &Keyring) -> Result<Self, KeyError> {
        let opened = sealing_key(keyring, stored.key_epoch)?.open(CONTEXT, &stored.sealed)?;
        let bytes = opened.as_slice().try_into().map_err(|_| KeyError::Unsealable)?;
        Self::of(Secret::new(bytes))
    }

    /// The secret itself; never log it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.secret.as_slice()
    }

    /// Its name, which a hash carries: it tells which pepper was used, and nothing of the secret.
    #[must_use]
    pub fn id(&self) -> [u8; Self::ID_LENGTH] {
        self.id
    }
}

fn sealing_key(keyring: &Keyring, epoch: KeyEpoch) -> Result<AeadKey, KeyError> {
    AeadKey::new(&*keyring.shared_secret(PURPOSE, epoch)?)
}

impl fmt::Debug for Pepper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pepper(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{TargetLogin, seal_secret};
    use crate::id::BackupTargetId;
    use crate::keyring::NodeSecrets;

    fn next_epoch(keyring: &Keyring, secrets: &NodeSecrets) {
        let (_, sealed) = keyring.propose_epoch(&[secrets.public_key()]).unwrap();
        assert!(sealed.iter().all(|one| keyring.learn(secrets, one).unwrap()));
    }

    #[test]
    fn it_is_the_same_secret_under_every_cluster_key_and_opens_with_none_but_its_own() {
        let (keyring, secrets) = (Keyring::empty(), NodeSecrets::generate().unwrap());
        let pepper = Pepper::generate().unwrap();
        assert_eq!(pepper.seal(&keyring), Err(KeyError::NoClusterKey));
        next_epoch(&keyring, &secrets);
        let first = pepper.seal(&keyring).unwrap();
        next_epoch(&keyring, &secrets);
        let again = Pepper::open(&first, &keyring).unwrap();
        let second = again.seal(&keyring).unwrap();
        assert_eq!((first.key_epoch, second.key_epoch), (1, 2));
        let opened = Pepper::open(&second, &keyring).unwrap();
        assert_eq!((opened.expose(), opened.id()), (pepper.expose(), pepper.id()));
        assert_ne!(Pepper::generate().unwrap().id(), pepper.id());

        let swapped = SealedSecret { key_epoch: 1, ..second };
        assert_eq!(Pepper::open(&swapped, &keyring).unwrap_err(), KeyError::Unsealable);
        keyring.forget(1);
        assert_eq!(Pepper::open(&first, &keyring).unwrap_err(), KeyError::UnknownEpoch(1));
    }

    #[test]
    fn no_other_sealed_secret_passes_for_it_and_it_prints_nothing() {
        let (keyring, secrets) = (Keyring::empty(), NodeSecrets::generate().unwrap());
        next_epoch(&keyring, &secrets);
        let login = TargetLogin::new("thirty-two letters of some login".to_owned());
        let other = seal_secret(&keyring, BackupTargetId([1; 16]), &login).unwrap();
        assert_eq!(Pepper::open(&other, &keyring).unwrap_err(), KeyError::Unsealable);
        assert_eq!(format!("{:?}", Pepper::generate().unwrap()), "Pepper(redacted)");
    }
}
