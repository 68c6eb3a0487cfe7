//! Content keys on their way to an edge: sealed to a key pair that lives as long as the edge's process, so that no buffer
//! on the way, and nothing the edge writes, ever holds one in clear.

use zeroize::Zeroizing;

use super::{ContentKey, KeyError, PrivateKey, PublicKey, open_with, random_secret};
use crate::id::AssetId;

/// Bytes of a content key.
const CONTENT_KEY: usize = 16;
const PURPOSE: &[u8] = b"mediakeep content key for an edge v1";

/// The key pair of one start of an edge. Never kept.
pub struct EdgeKeys(PrivateKey);

impl EdgeKeys {
    /// A new pair.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(PrivateKey::from_seed(&*random_secret()?, b"edge")?))
    }

    /// Its public half, which goes with each question for a key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// Opens what [`PublicKey::seal_content_key`] made for the same asset and period.
    ///
    /// # Errors
    /// [`KeyError::Unsealable`] for another asset, another period, another edge or damaged bytes.
    pub fn open(&self, asset: AssetId, period: u32, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        // On the heap, since what is moved on the stack leaves copies behind.
        let opened = open_with(&self.0, PURPOSE, &place(asset, period), sealed)?;
        if opened.len() == CONTENT_KEY { Ok(opened) } else { Err(KeyError::Unsealable) }
    }
}

impl PublicKey {
    /// Seals one content key so that only the edge with the private half opens it, and for this asset and period alone.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`] if these bytes are no key one can seal to.
    pub fn seal_content_key(
        &self,
        asset: AssetId,
        period: u32,
        key: &ContentKey,
    ) -> Result<Vec<u8>, KeyError> {
        self.seal(PURPOSE, &place(asset, period), key.as_bytes())
    }
}

fn place(asset: AssetId, period: u32) -> Vec<u8> {
    [&asset.as_bytes()[..], &period.to_be_bytes()].concat()
}

impl std::fmt::Debug for EdgeKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("EdgeKeys(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::DataKey;

    #[test]
    fn a_content_key_opens_at_the_edge_that_asked_and_for_its_asset_and_period_alone() {
        let (edge, other) = (EdgeKeys::generate().unwrap(), EdgeKeys::generate().unwrap());
        let (asset, key) = (AssetId([7; 16]), DataKey::random().unwrap().content_key(3).unwrap());
        let sealed = edge.public().seal_content_key(asset, 3, &key).unwrap();
        assert_eq!(edge.open(asset, 3, &sealed).unwrap().as_slice(), key.as_bytes());
        assert!(!sealed.windows(16).any(|part| part == key.as_bytes()));
        assert!(other.open(asset, 3, &sealed).is_err());
        assert!(edge.open(asset, 4, &sealed).is_err());
        assert!(edge.open(AssetId([8; 16]), 3, &sealed).is_err());
        assert_eq!(format!("{edge:?}"), "EdgeKeys(redacted)");
    }
}
