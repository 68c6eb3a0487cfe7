//! What opens a target, sealed under the cluster key: every core node can open it, and nobody is shown it.

use super::target::TargetLogin;
use crate::command::SealedSecret;
use crate::id::BackupTargetId;
use crate::keyring::{AeadKey, KeyError, Keyring};

const PURPOSE: &[u8] = b"backup target";

fn key(keyring: &Keyring, epoch: u32) -> Result<AeadKey, KeyError> {
    AeadKey::new(&*keyring.shared_secret(PURPOSE, epoch)?)
}

/// Seals what opens a target, for State.
///
/// # Errors
/// [`KeyError::NoClusterKey`].
pub fn seal_secret(
    keyring: &Keyring,
    target: BackupTargetId,
    login: &TargetLogin,
) -> Result<SealedSecret, KeyError> {
    let key_epoch = keyring.current_epoch()?;
    let sealed = key(keyring, key_epoch)?.seal(target.as_bytes(), login.as_bytes())?;
    Ok(SealedSecret { key_epoch, sealed })
}

/// Opens what State keeps; nothing was kept for a target that needs nothing.
///
/// # Errors
/// [`KeyError::UnknownEpoch`], [`KeyError::Unsealable`].
pub fn open_secret(
    keyring: &Keyring,
    target: BackupTargetId,
    secret: Option<&SealedSecret>,
) -> Result<TargetLogin, KeyError> {
    let Some(secret) = secret else { return Ok(TargetLogin::default()) };
    let opened = key(keyring, secret.key_epoch)?.open(target.as_bytes(), &secret.sealed)?;
    let text = std::str::from_utf8(&opened).map_err(|_| KeyError::Unsealable)?;
    Ok(TargetLogin::new(text.to_owned()))
}
