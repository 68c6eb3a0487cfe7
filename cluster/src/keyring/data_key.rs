//! The data key of one asset, and what is derived from it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{KEY_LENGTH, KeyError, Secret, derive, random_secret};

/// The key of one asset. Blobs and HLS segments of the asset are sealed with keys derived from it; to forget it is to
/// forget the asset.
#[derive(Clone)]
pub struct DataKey {
    secret: Secret,
}

impl DataKey {
    /// A fresh random key.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn random() -> Result<Self, KeyError> {
        Ok(Self { secret: random_secret()? })
    }

    pub(crate) fn from_secret(secret: Secret) -> Self {
        Self { secret }
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.secret
    }

    /// The AES-128 key of the asset's HLS segments in one key period. Not stored anywhere: the key URI carries the
    /// period.
    ///
    /// # Errors
    /// Only if derivation is not available.
    pub fn content_key(&self, period: u32) -> Result<ContentKey, KeyError> {
        derive(self.secret.as_slice(), &[b"hls", &period.to_be_bytes()]).map(ContentKey)
    }

    /// A subkey for one purpose inside one Blob under one writer epoch.
    pub(crate) fn subkey(
        &self,
        purpose: &[u8],
        blob: &[u8; 16],
        epoch: u64,
    ) -> Result<Zeroizing<[u8; KEY_LENGTH]>, KeyError> {
        derive(self.secret.as_slice(), &[b"blob", purpose, blob, &epoch.to_be_bytes()])
    }
}

/// Compares in constant time.
impl PartialEq for DataKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret.ct_eq(other.secret.as_slice()).into()
    }
}

impl Eq for DataKey {}

impl fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DataKey(redacted)")
    }
}

/// An AES-128 key for HLS segments.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; 16]>);

impl ContentKey {
    /// The 16 bytes a player is given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Compares in constant time.
impl PartialEq for ContentKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for ContentKey {}

impl fmt::Debug for ContentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ContentKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_period_blob_epoch_and_purpose_has_its_own_key() {
        let key = DataKey::random().unwrap();
        assert_eq!(key.content_key(0).unwrap(), key.content_key(0).unwrap());
        assert_ne!(key.content_key(0).unwrap(), key.content_key(1).unwrap());
        let mut seen = std::collections::HashSet::new();
        for purpose in [&b"record"[..], b"tail"] {
            for blob in [[1; 16], [2; 16]] {
                for epoch in [1, 2, 256] {
                    assert!(seen.insert(*key.subkey(purpose, &blob, epoch).unwrap()));
                }
            }
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let key = DataKey::from_secret(Zeroizing::new([0xAB; 32]));
        let printed = format!("{key:?} {:?}", key.content_key(0).unwrap());
        assert_eq!(printed, "DataKey(redacted) ContentKey(redacted)");
    }
}
