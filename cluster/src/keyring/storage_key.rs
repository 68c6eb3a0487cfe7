//! The node storage key: everything a node writes that is not a Blob (log records, snapshots, audit, queues) is sealed
//! with it, for titles and names are private too.

use zeroize::Zeroizing;

use super::{AeadKey, KeyError, derive};

/// Seals this node's own records. One key per purpose is derived from it, so that a log record can never be passed off
/// as a snapshot.
#[derive(Clone)]
pub struct StorageKey {
    secret: super::Secret,
}

impl StorageKey {
    pub(crate) fn new(secret: super::Secret) -> Self {
        Self { secret }
    }

    /// The sealing key for one purpose (`"raft log"`, `"snapshot"`, ...).
    ///
    /// # Errors
    /// Only if the cipher is not available.
    pub fn purpose(&self, purpose: &str) -> Result<AeadKey, KeyError> {
        AeadKey::new(&*derive(self.secret.as_slice(), &[b"storage", purpose.as_bytes()])?)
    }

    /// Seals one value; `aad` ties it to its place (an index, a file name).
    ///
    /// # Errors
    /// See [`AeadKey::seal`].
    pub fn seal(&self, purpose: &str, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.purpose(purpose)?.seal(aad, plaintext)
    }

    /// Opens what [`StorageKey::seal`] made for the same purpose and place.
    ///
    /// # Errors
    /// See [`AeadKey::open`].
    pub fn open(&self, purpose: &str, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.purpose(purpose)?.open(aad, sealed)
    }
}

impl std::fmt::Debug for StorageKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StorageKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_places_do_not_mix() {
        let key = StorageKey::new(Zeroizing::new([5; 32]));
        let sealed = key.seal("raft log", b"17", b"an entry").unwrap();
        assert_eq!(key.open("raft log", b"17", &sealed).unwrap().as_slice(), b"an entry");
        assert!(key.open("snapshot", b"17", &sealed).is_err());
        assert!(key.open("raft log", b"18", &sealed).is_err());
    }
}
