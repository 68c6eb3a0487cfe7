//! The certificate an edge shows to browsers: of the cluster's authority, over a key that lives in memory only.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cluster::authority::CertificateKey;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::tls::{self, TlsError};

/// What is shown now; none until a node has made the first one.
#[derive(Debug, Default)]
pub(super) struct Served(ArcSwapOption<CertifiedKey>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl Served {
    /// From the next connection on, `certificate` is shown. Each of the chain is DER, the certificate first.
    pub(super) fn show(&self, chain: Vec<Vec<u8>>, key: &CertificateKey) -> Result<(), TlsError> {
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.to_vec()));
        let signing = tls::provider().key_provider.load_private_key(private)?;
        let certified = CertifiedKey::new(chain.into_iter().map(Into::into).collect(), signing);
        certified.keys_match().map_err(|_| TlsError::Mismatch)?;
        self.0.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// The settings for the public listener, as a node's.
    pub(super) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = self.clone();
        tls::settings(resolver)
    }
}
