//! The three small tools every key here is used through: HKDF-SHA256, AES-256-GCM with a random nonce, and the
//! operating system's randomness. Bulk records have their own path in [`crate::blob`].

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::KeyError;

/// Bytes of every symmetric key.
pub const KEY_LENGTH: usize = 32;
/// Bytes an AES-GCM tag adds.
pub const TAG_LENGTH: usize = 16;
/// Bytes [`AeadKey::seal`] adds: the nonce in front and the tag behind.
pub const SEAL_OVERHEAD: usize = NONCE_LEN + TAG_LENGTH;

/// Key material that wipes itself when dropped.
pub(crate) type Secret = Zeroizing<[u8; KEY_LENGTH]>;

/// Fills `bytes` from the operating system's generator: the only source of randomness in this crate, which a simulated
/// world replaces by its seed.
///
/// # Errors
/// [`KeyError::NoRandomness`] if the system gives none; nothing may be sealed then.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
    #[cfg(feature = "sim")]
    if crate::sim::fill(bytes) {
        return Ok(());
    }
    aws_lc_rs::rand::fill(bytes).map_err(|_| KeyError::NoRandomness)
}

/// A fresh random secret.
pub(crate) fn random_secret() -> Result<Secret, KeyError> {
    let mut secret = Zeroizing::new([0; KEY_LENGTH]);
    fill_random(secret.as_mut_slice())?;
    Ok(secret)
}

/// Derives `N` bytes from `secret` for one purpose. `info` parts are length-prefixed, so that no two lists of parts
/// ever derive the same key.
pub(crate) fn derive<const N: usize>(secret: &[u8], info: &[&[u8]]) -> Result<Zeroizing<[u8; N]>, KeyError> {
    struct Length(usize);
    impl aws_lc_rs::hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut context = Vec::new();
    for part in info {
        let length = u32::try_from(part.len()).map_err(|_| KeyError::Derivation)?;
        context.extend_from_slice(&length.to_be_bytes());
        context.extend_from_slice(part);
    }
    let mut derived = Zeroizing::new([0; N]);
    Salt::new(HKDF_SHA256, b"mediakeep")
        .extract(secret)
        .expand(&[&context], Length(N))
        .and_then(|okm| okm.fill(derived.as_mut_slice()))
        .map_err(|_| KeyError::Derivation)?;
    Ok(derived)
}

/// An AES-256-GCM key for small things: each sealing takes a fresh random nonce, so one key must not seal more than
/// 2^32 of them.
pub struct AeadKey {
    key: LessSafeKey,
}

impl AeadKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// Only if the cipher is not available.
    pub fn new(bytes: &[u8; KEY_LENGTH]) -> Result<Self, KeyError> {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| KeyError::Derivation)?;
        Ok(Self { key: LessSafeKey::new(unbound) })
    }

    /// Seals `plaintext`, bound to `aad`: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`], or a plaintext beyond what GCM can seal.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let mut sealed = vec![0; plaintext.len() + SEAL_OVERHEAD];
        sealed[..NONCE_LEN].copy_from_slice(&nonce);
        let (ciphertext, tag) = sealed[NONCE_LEN..].split_at_mut(plaintext.len());
        self.key
            .seal_out_of_place_scatter(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
            .map_err(|_| KeyError::Unsealable)?;
        Ok(sealed)
    }

    /// Opens what [`AeadKey::seal`] made with the same `aad`.
    ///
    /// # Errors
    /// [`KeyError::Unsealable`] for another key, another `aad` or changed bytes.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let length = sealed.len().checked_sub(SEAL_OVERHEAD).ok_or(KeyError::Unsealable)?;
        let (nonce, rest) = sealed.split_at(NONCE_LEN);
        let (ciphertext, tag) = rest.split_at(length);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Unsealable)?;
        let mut plaintext = Zeroizing::new(vec![0; length]);
        self.key
            .open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, &mut plaintext)
            .map_err(|_| KeyError::Unsealable)?;
        Ok(plaintext)
    }
}

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AeadKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_whole_and_in_its_context() {
        let key = AeadKey::new(&[7; 32]).unwrap();
        let sealed = key.seal(b"context", b"title of a film").unwrap();
        assert_eq!(key.open(b"context", &sealed).unwrap().as_slice(), b"title of a film");
        assert!(key.open(b"contexT", &sealed).is_err());
        assert!(AeadKey::new(&[8; 32]).unwrap().open(b"context", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(b"context", &changed).is_err(), "a change at byte {at} was accepted");
            assert!(key.open(b"context", &sealed[..at]).is_err(), "a cut at byte {at} was accepted");
        }
    }

    #[test]
    fn derivation_separates_purposes() {
        let one = derive::<32>(&[1; 32], &[b"ab", b"c"]).unwrap();
        assert_eq!(one, derive::<32>(&[1; 32], &[b"ab", b"c"]).unwrap());
        assert_ne!(one, derive::<32>(&[1; 32], &[b"a", b"bc"]).unwrap());
        assert_ne!(one, derive::<32>(&[2; 32], &[b"ab", b"c"]).unwrap());
    }
}
