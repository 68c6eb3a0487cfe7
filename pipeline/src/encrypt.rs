//! Whole-segment AES-128 of HLS (RFC 8216 section 4.3.2.4): CBC with PKCS7 padding under an explicit IV.
//!
//! Segments are enciphered in place: the plain bytes are overwritten by the ciphertext, so that no second plain copy is
//! left behind. Key schedules are wiped when dropped; the key itself stays the caller's.
use aes::Aes128;
use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use bytes::Bytes;
use zeroize::Zeroize;

/// Bytes of an AES block.
pub const BLOCK: usize = 16;

/// The ciphertext is no whole number of blocks, or its padding is wrong: it is damaged or under another key or IV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the segment does not decipher under this key")]
pub struct BadCiphertext;

/// Length of the ciphertext of `plain` bytes: padding always adds 1 to 16 bytes.
#[must_use]
pub fn ciphertext_length(plain: u64) -> u64 {
    (plain / 16 + 1) * 16
}

/// Enciphers a segment. In place when `plain` has room for the padding; otherwise in a larger copy, and the original is
/// wiped.
#[must_use]
pub fn encrypt_segment(key: &[u8; 16], iv: &[u8; 16], mut plain: Vec<u8>) -> Bytes {
    let length = plain.len();
    let padded = (length / BLOCK + 1) * BLOCK;
    if plain.capacity() < padded {
        let mut roomy = Vec::with_capacity(padded);
        roomy.extend_from_slice(&plain);
        plain.zeroize();
        plain = roomy;
    }
    plain.resize(padded, 0);
    let cipher = cbc::Encryptor::<Aes128>::new(key.into(), iv.into());
    // The buffer has exactly the room that the padding needs, the one thing that could fail.
    let fitted = cipher.encrypt_padded::<Pkcs7>(&mut plain, length).is_ok();
    debug_assert!(fitted, "padding always fits");
    Bytes::from(plain)
}

/// Deciphers a whole segment, in place.
pub fn decrypt_segment(
    key: &[u8; 16],
    iv: &[u8; 16],
    mut ciphertext: Vec<u8>,
) -> Result<Vec<u8>, BadCiphertext> {
    let cipher = cbc::Decryptor::<Aes128>::new(key.into(), iv.into());
    let plain = cipher.decrypt_padded::<Pkcs7>(&mut ciphertext).map_err(|_| BadCiphertext)?.len();
    ciphertext.truncate(plain);
    Ok(ciphertext)
}

/// Deciphers the first blocks of a segment, in place; a last part that is not a whole block is dropped. What is left has
/// no check of its own: the caller got the bytes from a Blob that verifies them.
#[must_use]
pub fn decrypt_prefix(key: &[u8; 16], iv: &[u8; 16], mut ciphertext: Vec<u8>) -> Vec<u8> {
    ciphertext.truncate(ciphertext.len() / BLOCK * BLOCK);
    let cipher = cbc::Decryptor::<Aes128>::new(key.into(), iv.into());
    let whole = cipher.decrypt_padded::<NoPadding>(&mut ciphertext).is_ok();
    debug_assert!(whole, "whole blocks always decipher");
    ciphertext
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    // NIST SP 800-38A, F.2.1 CBC-AES128.Encrypt, first block.
    const KEY: [u8; 16] =
        [0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c];
    const IV: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    const PLAIN: [u8; 16] =
        [0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a];
    const CIPHERTEXT: [u8; 16] =
        [0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46, 0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d];

    #[test]
    fn it_is_the_cipher_of_the_standard() {
        let sealed = encrypt_segment(&KEY, &IV, PLAIN.to_vec());
        assert_eq!(sealed[..16], CIPHERTEXT);
        assert_eq!(sealed.len(), 32, "a full block is followed by a block of padding");
    }

    #[test]
    fn a_wrong_key_or_a_cut_is_an_error_not_noise() {
        let sealed = encrypt_segment(&KEY, &IV, b"forty-two".to_vec()).to_vec();
        assert_eq!(decrypt_segment(&KEY, &IV, sealed[..15].to_vec()), Err(BadCiphertext));
        assert_eq!(decrypt_segment(&KEY, &IV, Vec::new()), Err(BadCiphertext));
        assert_eq!(decrypt_segment(&[7; 16], &IV, sealed), Err(BadCiphertext));
    }

    #[test]
    fn room_for_padding_means_no_copy() {
        let mut plain = Vec::with_capacity(64);
        plain.extend_from_slice(&[9; 40]);
        let before = plain.as_ptr();
        let sealed = encrypt_segment(&KEY, &IV, plain);
        assert_eq!(sealed.as_ptr(), before);
        assert_eq!(sealed.len(), 48);
    }

    proptest! {
        #[test]
        fn any_segment_reads_back(key: [u8; 16], iv: [u8; 16], plain in proptest::collection::vec(any::<u8>(), 0..300)) {
            let sealed = encrypt_segment(&key, &iv, plain.clone());
            assert_eq!(sealed.len() as u64, ciphertext_length(plain.len() as u64));
            let prefix = decrypt_prefix(&key, &iv, sealed[..plain.len()].to_vec());
            assert_eq!(prefix[..], plain[..plain.len() / BLOCK * BLOCK]);
            assert_eq!(decrypt_segment(&key, &iv, sealed.to_vec()), Ok(plain));
        }
    }
}
