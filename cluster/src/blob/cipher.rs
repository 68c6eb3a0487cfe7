//! The keys of one Blob: bulk records under a counter nonce, everything small under a random one.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{BlobName, FORMAT_VERSION, FormatError, RECORD};
use crate::keyring::{AeadKey, DataKey, KeyError, TAG_LENGTH};

/// Bytes of a record's associated data.
const RECORD_CONTEXT: usize = 1 + 16 + 16 + 8 + 8 + 1;

/// Seals and opens the records of one writer epoch.
pub struct RecordCipher {
    key: LessSafeKey,
    name: BlobName,
    epoch: u64,
    #[cfg(test)]
    key_fingerprint: [u8; 32],
}

impl RecordCipher {
    fn new(data_key: &DataKey, name: BlobName, epoch: u64) -> Result<Self, KeyError> {
        let subkey = data_key.subkey(b"record", name.blob.as_bytes(), epoch)?;
        let unbound = UnboundKey::new(&AES_256_GCM, subkey.as_slice()).map_err(|_| KeyError::Derivation)?;
        Ok(Self {
            key: LessSafeKey::new(unbound),
            name,
            epoch,
            #[cfg(test)]
            key_fingerprint: *subkey,
        })
    }

    /// The epoch this cipher belongs to.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Seals `plaintext` as record `number` into `sealed`, which is one tag longer. Only a writer may call this, once
    /// per number and flag in the life of its epoch.
    ///
    /// # Errors
    /// [`KeyError::Unsealable`] if the lengths do not fit.
    pub fn seal(&self, number: u64, last: bool, plaintext: &[u8], sealed: &mut [u8]) -> Result<(), KeyError> {
        if plaintext.len() > RECORD || sealed.len() != plaintext.len() + TAG_LENGTH {
            return Err(KeyError::Unsealable);
        }
        #[cfg(test)]
        recorder::note(self.key_fingerprint, nonce(number, last));
        let (ciphertext, tag) = sealed.split_at_mut(plaintext.len());
        self.key
            .seal_out_of_place_scatter(
                Nonce::assume_unique_for_key(nonce(number, last)),
                Aad::from(self.context(number, last)),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
            .map_err(|_| KeyError::Unsealable)
    }

    /// Opens record `number` into `plaintext`, which is one tag shorter. After an error `plaintext` holds nothing.
    ///
    /// # Errors
    /// [`KeyError::Unsealable`] when this is not that record of this Blob and epoch, unchanged.
    pub fn open(&self, number: u64, last: bool, sealed: &[u8], plaintext: &mut [u8]) -> Result<(), KeyError> {
        let length = sealed.len().checked_sub(TAG_LENGTH).ok_or(KeyError::Unsealable)?;
        let (ciphertext, tag) = sealed.split_at(length);
        let opened = self.key.open_separate_gather(
            Nonce::assume_unique_for_key(nonce(number, last)),
            Aad::from(self.context(number, last)),
            ciphertext,
            tag,
            plaintext,
        );
        opened.map_err(|_| {
            plaintext.fill(0);
            KeyError::Unsealable
        })
    }

    /// Format version, asset, Blob, epoch, record number, last flag. Never the length: it is not known yet.
    pub(super) fn context(&self, number: u64, last: bool) -> [u8; RECORD_CONTEXT] {
        let mut context = [0; RECORD_CONTEXT];
        context[0] = FORMAT_VERSION;
        context[1..17].copy_from_slice(self.name.asset.as_bytes());
        context[17..33].copy_from_slice(self.name.blob.as_bytes());
        context[33..41].copy_from_slice(&self.epoch.to_be_bytes());
        context[41..49].copy_from_slice(&number.to_be_bytes());
        context[49] = u8::from(last);
        context
    }
}

impl std::fmt::Debug for RecordCipher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RecordCipher(epoch {}, redacted)", self.epoch)
    }
}

/// The last flag, three zero bytes, the record number.
pub(super) fn nonce(number: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = u8::from(last);
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// All keys of one Blob, made from the asset's data key as they are needed.
#[derive(Debug)]
pub struct BlobKeys {
    data_key: DataKey,
    name: BlobName,
    /// The record ciphers made so far: a Blob has a handful of epochs.
    records: Mutex<Vec<Arc<RecordCipher>>>,
}

impl BlobKeys {
    /// The keys of the Blob `name` under its asset's data key.
    #[must_use]
    pub fn new(data_key: DataKey, name: BlobName) -> Self {
        Self { data_key, name, records: Mutex::new(Vec::new()) }
    }

    /// Which Blob these keys are for.
    #[must_use]
    pub fn name(&self) -> BlobName {
        self.name
    }

    /// The cipher of one epoch's records.
    ///
    /// # Errors
    /// Only if the cipher is not available.
    pub fn records(&self, epoch: u64) -> Result<Arc<RecordCipher>, FormatError> {
        let mut made = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cipher) = made.iter().find(|cipher| cipher.epoch == epoch) {
            return Ok(Arc::clone(cipher));
        }
        let cipher = Arc::new(RecordCipher::new(&self.data_key, self.name, epoch)?);
        made.push(Arc::clone(&cipher));
        Ok(cipher)
    }

    /// The key of one epoch for small parts of one kind: `tail`, `fram`, `indx`.
    pub(super) fn small(&self, part: &[u8; 4], epoch: u64) -> Result<AeadKey, KeyError> {
        AeadKey::new(&*self.data_key.subkey(part, self.name.blob.as_bytes(), epoch)?)
    }
}

/// Remembers every (key, nonce) that sealed a record in this test process.
#[cfg(test)]
pub(crate) mod recorder {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, PoisonError};

    type Seen = HashMap<([u8; 32], [u8; 12]), u64>;
    static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);

    pub(super) fn note(key: [u8; 32], nonce: [u8; 12]) {
        *SEEN.lock().unwrap_or_else(PoisonError::into_inner).entry((key, nonce)).or_default() += 1;
    }

    /// How many sealings there were, and how many of them with a key and nonce used before.
    pub(crate) fn counts() -> (u64, u64) {
        let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.values().sum(), seen.values().map(|count| count - 1).sum())
    }
}
