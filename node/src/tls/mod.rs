//! TLS for browsers and API clients: the node's own certificate authority, its certificate, and the server settings.

mod authority;
mod installed;
mod vault;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use authority::{Authority, Names};
pub use vault::{Vault, write as write_private};

/// Why TLS could not be set up, or a certificate not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the TLS folder cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A stored or offered certificate or key is not PEM that we can read.
    #[error("not a usable certificate or key: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// The key does not belong to the certificate, or its kind is not supported.
    #[error("the private key and the certificate do not belong together")]
    Mismatch,
    /// The certificate authority could not make a certificate.
    #[error("cannot make a certificate")]
    Issue(#[from] rcgen::Error),
    /// rustls refused the settings.
    #[error("cannot set up TLS")]
    Settings(#[from] rustls::Error),
    /// The stored key cannot be opened with this node's key.
    #[error("the stored TLS key cannot be opened with this node's key")]
    Sealed,
}

/// The certificate in use, which can be exchanged while connections run.
#[derive(Debug)]
pub struct Served {
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// This node's TLS: what is served now, and the authority to trust.
#[derive(Debug, Clone)]
pub struct Tls {
    served: Arc<Served>,
    authority_pem: Arc<str>,
}

impl Tls {
    /// Opens the TLS folder below `dir`, making authority and certificate at the first start, and a new certificate
    /// when the names changed or less than a third of its life is left. An installed certificate is preferred.
    pub fn open(dir: &Path, names: &Names, vault: &dyn Vault) -> Result<Self, TlsError> {
        let folder = dir.join("tls");
        let authority = Authority::open(&folder, vault)?;
        let certified = match installed::load(&folder, vault)? {
            Some(own) => own,
            None => authority.node_certificate(names)?,
        };
        let served = Arc::new(Served { current: ArcSwap::from_pointee(certified) });
        Ok(Self { served, authority_pem: authority.pem().into() })
    }

    /// The authority's certificate, for clients to trust.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// SHA-256 of the served certificate, as browsers show it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let current = self.served.current.load();
        current.cert.first().map(|leaf| fingerprint(leaf)).unwrap_or_default()
    }

    /// Takes a certificate chain and key (PEM), keeps them, and serves them from the next connection on.
    pub fn install(
        &self,
        dir: &Path,
        chain_pem: &str,
        key_pem: &str,
        vault: &dyn Vault,
    ) -> Result<(), TlsError> {
        let certified = installed::store(&dir.join("tls"), chain_pem, key_pem, vault)?;
        self.served.current.store(Arc::new(certified));
        Ok(())
    }

    /// Settings for the public listener: TLS 1.3 and 1.2, aws-lc-rs only; actix adds `h2` and `http/1.1` to ALPN.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let resolver: Arc<dyn ResolvesServerCert> = self.served.clone();
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.send_tls13_tickets = 2;
        config.max_early_data_size = 0;
        Ok(config)
    }
}

/// The one crypto provider.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// `AB:CD:..` of the certificate's SHA-256.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsError> {
    let signing = provider().key_provider.load_private_key(key)?;
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match().map_err(|_| TlsError::Mismatch)?;
    Ok(certified)
}

#[cfg(test)]
mod tests;
