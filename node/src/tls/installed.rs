//! An operator's own certificate, kept beside the authority: chain and key in one sealed file, so that after a crash
//! either both are the new ones or both the old.

use std::path::{Path, PathBuf};

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::inspect::{self, CertificateFacts};
use super::{TlsError, Vault, certified, vault};

const LABEL: &str = "tls-installed";
/// Longest chain and key, in bytes of PEM.
const MOST_CHAIN: usize = 64 * 1024;
const MOST_KEY: usize = 16 * 1024;
/// Certificates of one chain.
const MOST_LINKS: usize = 10;

/// A certificate that was found fit, not yet in use.
#[derive(Debug)]
pub struct Prepared {
    pub(super) certified: CertifiedKey,
    /// What it says of itself.
    pub facts: CertificateFacts,
    bundle: Bundle,
}

impl Prepared {
    /// SHA-256 of the certificate.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        if let Some(leaf) = self.certified.cert.first() {
            digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf).as_ref());
        }
        digest
    }
}

/// PEM of chain and key.
struct Bundle(Zeroizing<String>);

impl std::fmt::Debug for Bundle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Bundle(..)")
    }
}

/// Checks that chain and key can be read, belong together and are fit to be served at `now_ms`.
pub(super) fn prepare(chain: &str, key: &str, now_ms: u64) -> Result<Prepared, TlsError> {
    for (what, text, most) in [("chain", chain, MOST_CHAIN), ("key", key, MOST_KEY)] {
        if text.len() > most {
            return Err(TlsError::TooLarge { what, most });
        }
    }
    // A key pasted among the certificates would be shown with them.
    if chain.contains("PRIVATE KEY") {
        return Err(unreadable("the chain holds a private key; send it as the key"));
    }
    if key.contains("ENCRYPTED") {
        return Err(unreadable("the key is protected by a passphrase; take that off first"));
    }
    let certificates = certificates(chain.as_bytes())?;
    let facts = inspect::fit(&certificates, now_ms)?;
    let certified = with_key(certificates, key.as_bytes())?;
    let bundle = Bundle(Zeroizing::new(format!("{}\n{}\n", chain.trim(), key.trim())));
    Ok(Prepared { certified, facts, bundle })
}

/// The installed certificate, if there is one.
pub(super) fn load(folder: &Path, keys: &dyn Vault) -> Result<Option<CertifiedKey>, TlsError> {
    let Some(sealed) = vault::read(&file(folder))? else { return Ok(None) };
    let bundle = keys.open(LABEL, &sealed)?;
    Ok(Some(with_key(certificates(&bundle)?, &bundle)?))
}

/// Keeps what was found fit.
pub(super) fn store(folder: &Path, prepared: &Prepared, keys: &dyn Vault) -> Result<(), TlsError> {
    vault::write(&file(folder), &keys.seal(LABEL, prepared.bundle.0.as_bytes())?)
}

/// Forgets it; one that is not there is fine.
pub(super) fn remove(folder: &Path) -> Result<(), TlsError> {
    vault::remove(&file(folder))
}

fn file(folder: &Path) -> PathBuf {
    folder.join("installed.sealed")
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable("the chain is not PEM"))?;
    if certificates.is_empty() {
        return Err(unreadable("there is no PEM certificate in the chain"));
    }
    if certificates.len() > MOST_LINKS {
        return Err(TlsError::TooLarge { what: "chain", most: MOST_CHAIN });
    }
    Ok(certificates)
}

fn with_key(certificates: Vec<CertificateDer<'static>>, pem: &[u8]) -> Result<CertifiedKey, TlsError> {
    let key =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| unreadable("the key is not a PEM private key"))?;
    certified(certificates, key).map_err(|error| match error {
        TlsError::Settings(_) => unreadable("the key is of a kind that is not supported"),
        other => other,
    })
}

fn unreadable(reason: &str) -> TlsError {
    TlsError::Unreadable { reason: reason.to_owned() }
}
