//! Key pairs of nodes and of the recovery key: X25519, used only to seal a small secret to its holder (HPKE, RFC 9180).

use hpke::aead::{Aead, AesGcm256};
use hpke::kdf::{HkdfSha256, Kdf};
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KEY_LENGTH, KeyError, derive};

/// The suite: the numbers of RFC 9180 for the KEM, the KDF and the AEAD.
pub const HPKE_SUITE: [u16; 3] =
    [<X25519HkdfSha256 as Kem>::KEM_ID, <HkdfSha256 as Kdf>::KDF_ID, <AesGcm256 as Aead>::AEAD_ID];

/// Bytes of the encapsulated key in front of what HPKE seals.
const ENCAPSULATED: usize = 32;

/// The public half of a key pair. Not secret: State holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey([u8; KEY_LENGTH]);

impl PublicKey {
    /// A public key from its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    /// Seals `secret` so that only the holder of the private half opens it, and only for the same `purpose` and `aad`.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`] if these bytes are no key one can seal to.
    pub(crate) fn seal(&self, purpose: &[u8], aad: &[u8], secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        let recipient =
            <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&self.0).map_err(|_| KeyError::BadPublicKey)?;
        let (encapsulated, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &recipient,
            purpose,
            secret,
            aad,
        )
        .map_err(|_| KeyError::BadPublicKey)?;
        let mut sealed = encapsulated.to_bytes().to_vec();
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PublicKey({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// The private half, made from a seed. The library wipes it when dropped.
pub(crate) struct PrivateKey {
    private: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: PublicKey,
}

impl PrivateKey {
    /// The key pair of `seed` for one `purpose`.
    pub(crate) fn from_seed(seed: &[u8; KEY_LENGTH], purpose: &[u8]) -> Result<Self, KeyError> {
        let material = derive::<KEY_LENGTH>(seed, &[b"key pair", purpose])?;
        let (private, public) = X25519HkdfSha256::derive_keypair(material.as_slice());
        let bytes: [u8; KEY_LENGTH] =
            public.to_bytes().as_slice().try_into().map_err(|_| KeyError::Derivation)?;
        Ok(Self { private, public: PublicKey(bytes) })
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }
}

/// Opens what [`PublicKey::seal`] made for `key`.
pub(crate) fn open_with(
    key: &PrivateKey,
    purpose: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED).ok_or(KeyError::Unsealable)?;
    let encapsulated =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| KeyError::Unsealable)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &key.private,
        &encapsulated,
        purpose,
        ciphertext,
        aad,
    )
    .map(Zeroizing::new)
    .map_err(|_| KeyError::Unsealable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_opens_and_only_for_the_same_purpose() {
        let alice = PrivateKey::from_seed(&[1; 32], b"test").unwrap();
        let mallory = PrivateKey::from_seed(&[2; 32], b"test").unwrap();
        let sealed = alice.public().seal(b"purpose", b"aad", b"secret").unwrap();
        assert_eq!(open_with(&alice, b"purpose", b"aad", &sealed).unwrap().as_slice(), b"secret");
        assert!(open_with(&mallory, b"purpose", b"aad", &sealed).is_err());
        assert!(open_with(&alice, b"other", b"aad", &sealed).is_err());
        assert!(open_with(&alice, b"purpose", b"other", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(open_with(&alice, b"purpose", b"aad", &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn a_seed_gives_one_key_pair_per_purpose() {
        let one = PrivateKey::from_seed(&[3; 32], b"node").unwrap().public();
        assert_eq!(one, PrivateKey::from_seed(&[3; 32], b"node").unwrap().public());
        assert_ne!(one, PrivateKey::from_seed(&[3; 32], b"recovery").unwrap().public());
    }
}
