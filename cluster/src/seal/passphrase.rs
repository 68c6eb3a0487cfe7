//! The passphrase seal: the node's root secret under a key that argon2id makes of a passphrase.

use std::path::PathBuf;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Seal, SealError, SealMode, read_private, write_private};
use crate::keyring::{AeadKey, KEY_LENGTH, KeyError, NodeSecrets, fill_random};
use crate::persist::{self, Persist};

/// What one guess at the passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassphraseCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl PassphraseCost {
    /// About a second of one core.
    pub const STANDARD: Self = Self { memory_kib: 256 * 1024, passes: 3 };
    /// Computed side by side.
    pub const LANES: u32 = 1;
    /// A file that asks for more is not believed: a changed file must not be able to exhaust the machine.
    const HIGHEST: Self = Self { memory_kib: 1024 * 1024, passes: 16 };
}

#[derive(Serialize, Deserialize)]
struct Stored {
    salt: [u8; 16],
    cost: PassphraseCost,
    sealed: Vec<u8>,
}

impl Persist for Stored {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// A seal by passphrase. The file may lie in the data folder.
pub struct PassphraseSeal {
    path: PathBuf,
    passphrase: Zeroizing<String>,
    cost: PassphraseCost,
}

impl PassphraseSeal {
    /// A seal by `passphrase`, kept in the file at `path`.
    ///
    /// # Errors
    /// [`SealError::EmptyPassphrase`].
    pub fn new(path: impl Into<PathBuf>, passphrase: Zeroizing<String>) -> Result<Self, SealError> {
        Self::with_cost(path, passphrase, PassphraseCost::STANDARD)
    }

    /// The same at another cost, which is kept in the file.
    ///
    /// # Errors
    /// [`SealError::EmptyPassphrase`].
    pub fn with_cost(
        path: impl Into<PathBuf>,
        passphrase: Zeroizing<String>,
        cost: PassphraseCost,
    ) -> Result<Self, SealError> {
        if passphrase.is_empty() {
            return Err(SealError::EmptyPassphrase);
        }
        Ok(Self { path: path.into(), passphrase, cost })
    }

    fn key(&self, salt: &[u8], cost: PassphraseCost) -> Result<AeadKey, SealError> {
        let params = Params::new(cost.memory_kib, cost.passes, PassphraseCost::LANES, Some(KEY_LENGTH));
        let params = params.map_err(|_| KeyError::Derivation)?;
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.passphrase.as_bytes(), salt, key.as_mut_slice())
            .map_err(|_| KeyError::Derivation)?;
        Ok(AeadKey::new(&key)?)
    }
}

const CONTEXT: &[u8] = b"mediakeep node key by passphrase 1";

impl Seal for PassphraseSeal {
    fn mode(&self) -> SealMode {
        SealMode::Passphrase
    }

    fn unlock(&self) -> Result<NodeSecrets, SealError> {
        let damaged = |reason| SealError::Damaged { path: self.path.clone(), reason };
        let stored: Stored =
            persist::decode(&read_private(&self.path)?).map_err(|_| damaged("not a sealed node key"))?;
        let highest = PassphraseCost::HIGHEST;
        if stored.cost.memory_kib > highest.memory_kib || stored.cost.passes > highest.passes {
            return Err(damaged("it asks for an absurd amount of work"));
        }
        let key = self.key(&stored.salt, stored.cost)?;
        let root = key.open(CONTEXT, &stored.sealed).map_err(|_| SealError::WrongPassphrase)?;
        let root: &[u8; KEY_LENGTH] = root.as_slice().try_into().map_err(|_| damaged("wrong length"))?;
        Ok(NodeSecrets::from_root(Zeroizing::new(*root))?)
    }

    fn store(&self, secrets: &NodeSecrets) -> Result<(), SealError> {
        let mut salt = [0; 16];
        fill_random(&mut salt)?;
        let sealed = self.key(&salt, self.cost)?.seal(CONTEXT, secrets.root())?;
        let stored =
            persist::encode(&Stored { salt, cost: self.cost, sealed }).map_err(|_| KeyError::Derivation)?;
        write_private(&self.path, &stored)
    }
}

impl std::fmt::Debug for PassphraseSeal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PassphraseSeal({}, redacted)", self.path.display())
    }
}
