//! How private keys lie on disk: sealed by whoever holds the node's key, never in clear.

use std::path::Path;

use cluster::keyring::StorageKey;
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use super::TlsError;

/// Seals small secrets for this node alone.
pub trait Vault {
    /// Ciphertext of `plain`, bound to `label`.
    fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, TlsError>;
    /// The plaintext, or [`TlsError::Sealed`].
    fn open(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, TlsError>;
}

/// The node's storage key, which its seal protects.
impl Vault for StorageKey {
    fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, TlsError> {
        Self::seal(self, "tls", label.as_bytes(), plain).map_err(|_| TlsError::Sealed)
    }

    fn open(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        Self::open(self, "tls", label.as_bytes(), sealed).map_err(|_| TlsError::Sealed)
    }
}

/// Reads a file, or none when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, TlsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TlsError::File { path: path.to_owned(), source }),
    }
}

/// Removes a file for good; one that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), TlsError> {
    let wrong = |source: std::io::Error| TlsError::File { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(wrong(source)),
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)
}

/// Writes a 0600 file so that after a crash either the old or the new content is there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    let wrong = |source: std::io::Error| TlsError::File { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let fresh = path.with_extension("new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file =
        rustix::fs::open(&fresh, flags, Mode::RUSR | Mode::WUSR).map_err(|error| wrong(error.into()))?;
    let mut file = std::fs::File::from(file);
    std::io::Write::write_all(&mut file, bytes).map_err(wrong)?;
    file.sync_all().map_err(wrong)?;
    std::fs::rename(&fresh, path).map_err(wrong)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)
}
