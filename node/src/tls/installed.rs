//! An operator's own certificate, kept beside the authority: the chain in clear, the key sealed.

use std::path::Path;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{TlsError, Vault, certified, vault};

const LABEL: &str = "tls-installed";

/// The installed certificate, if there is one.
pub(super) fn load(folder: &Path, keys: &dyn Vault) -> Result<Option<CertifiedKey>, TlsError> {
    let (Some(chain), Some(sealed)) =
        (vault::read(&folder.join("own.pem"))?, vault::read(&folder.join("own.key.sealed"))?)
    else {
        return Ok(None);
    };
    let key = keys.open(LABEL, &sealed)?;
    parse(&chain, &key).map(Some)
}

/// Checks that chain and key are usable and belong together, keeps them, and gives them ready to serve.
pub(super) fn store(
    folder: &Path,
    chain: &str,
    key: &str,
    keys: &dyn Vault,
) -> Result<CertifiedKey, TlsError> {
    let ready = parse(chain.as_bytes(), key.as_bytes())?;
    vault::write(&folder.join("own.key.sealed"), &keys.seal(LABEL, key.as_bytes())?)?;
    vault::write(&folder.join("own.pem"), chain.as_bytes())?;
    Ok(ready)
}

fn parse(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
    let unreadable = |error: rustls_pki_types::pem::Error| TlsError::Unreadable { reason: error.to_string() };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::Unreadable { reason: "no certificate in the chain".to_owned() });
    }
    certified(chain, PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?)
}
