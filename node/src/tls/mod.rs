//! TLS for browsers and API clients: the node's own certificate authority, its certificate, and the server settings.

mod authority;
mod inspect;
mod installed;
mod vault;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use cluster::fips;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

pub use authority::{Authority, NODE_DAYS, Names};
pub use inspect::{CertificateFacts, facts, fit};
pub use installed::Prepared;
pub use vault::{Vault, write as write_private};

/// What is spoken with browsers and API clients.
pub const PUBLIC_VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS13, &rustls::version::TLS12];

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
    /// Longer than any real chain or key.
    #[error("the {what} is too large: at most {most} bytes")]
    TooLarge {
        /// `chain` or `key`.
        what: &'static str,
        /// Bytes.
        most: usize,
    },
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// It names no host, and so no client takes it for any.
    #[error("the certificate names no host and no address")]
    Nameless,
    /// Its key or signature can be forged.
    #[error("the certificate is too weak: {what}")]
    Weak {
        /// What is weak about it.
        what: String,
    },
    /// It is meant for something else, such as clients or mail.
    #[error("the certificate is not meant for servers")]
    NotForServers,
    /// A certificate of the chain was not made by the one after it.
    #[error("the chain is broken: each certificate must be followed by the one that vouches for it")]
    BrokenChain,
    /// The key does not belong to the certificate, or its kind is not supported.
    #[error("the private key and the certificate do not belong together")]
    Mismatch,
    /// The certificate authority could not make a certificate.
    #[error("cannot make a certificate")]
    Issue(#[from] rcgen::Error),
    /// rustls refused the settings.
    #[error("cannot set up TLS")]
    Settings(#[from] rustls::Error),
    /// More than a build for FIPS 140-3 may use.
    #[error(transparent)]
    NotApproved(#[from] fips::NotApproved),
    /// The stored key cannot be opened with this node's key.
    #[error("the stored TLS key cannot be opened with this node's key")]
    Sealed,
    /// The authority is there, and not whole.
    #[error(
        "the certificate authority of this node is damaged: {reason}. Put {} back from a copy of this disk; or remove the \
         folder {}, and a new authority is made, which every browser and every `login` must then be told to trust",
        .file.display(), .folder.display()
    )]
    AuthorityDamaged {
        /// The file to put back.
        file: std::path::PathBuf,
        /// The TLS folder.
        folder: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl TlsError {
    /// The stable code for an offered certificate that is not taken; none for what is our own fault.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreadable { .. } => "certificate_unreadable",
            Self::TooLarge { .. } => "certificate_too_large",
            Self::Expired => "certificate_expired",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::Nameless => "certificate_nameless",
            Self::Weak { .. } => "certificate_weak",
            Self::NotForServers => "certificate_not_for_servers",
            Self::BrokenChain => "certificate_chain_broken",
            Self::Mismatch => "certificate_mismatch",
            Self::File { .. }
            | Self::Issue(_)
            | Self::Settings(_)
            | Self::NotApproved(_)
            | Self::Sealed
            | Self::AuthorityDamaged { .. } => return None,
        })
    }
}

/// Whose certificate is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The node's own authority's.
    Own,
    /// One an operator has installed.
    Installed,
}

/// An authority's certificate and private key (PKCS #8), DER.
pub type AuthorityDer = (Vec<u8>, zeroize::Zeroizing<Vec<u8>>);

/// The authority this node had before it was one of several, when it had one.
pub fn authority_before(dir: &Path, seal: &dyn cluster::seal::Seal) -> anyhow::Result<Option<AuthorityDer>> {
    let folder = dir.join("tls");
    // Whoever has an identity has it from an authority that is in State: what is in the folder is only a copy of that.
    if dir.join("identity").exists() || !folder.join("ca.key.sealed").exists() {
        return Ok(None);
    }
    let vault = seal.unlock()?.storage_key()?;
    Ok(Some(Authority::open(&folder, &vault)?.to_der()?))
}

/// The certificate in use, which can be exchanged while connections run.
#[derive(Debug)]
pub struct Served {
    current: ArcSwap<Current>,
    changed: watch::Sender<()>,
    /// Held while it is decided what is served next.
    changing: Mutex<()>,
}

impl Served {
    fn new(current: Arc<Current>) -> Self {
        let changed = watch::Sender::new(());
        Self { current: ArcSwap::new(current), changed, changing: Mutex::default() }
    }

    fn show(&self, next: Arc<Current>) {
        self.current.store(next);
        self.changed.send_replace(());
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Current {
    source: Source,
    certified: Arc<CertifiedKey>,
}

impl Current {
    fn new(source: Source, certified: CertifiedKey) -> Arc<Self> {
        Arc::new(Self { source, certified: Arc::new(certified) })
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().certified))
    }
}

/// This node's TLS: what is served now, and the authority to trust.
#[derive(Debug, Clone)]
pub struct Tls {
    served: Arc<Served>,
    authority: Arc<ArcSwap<Published>>,
}

/// What clients are to trust.
#[derive(Debug, PartialEq, Eq)]
struct Published {
    pem: String,
    /// The authority, certified by the one before (DER).
    crossed: Option<Vec<u8>>,
}

/// The cluster's authority, as this node serves by it.
#[derive(Debug)]
pub struct Adopted {
    /// Its certificate (DER).
    pub certificate: Vec<u8>,
    /// Its private key (PKCS #8 DER).
    pub key: zeroize::Zeroizing<Vec<u8>>,
    /// The same authority, certified by the one before (DER), when there was one.
    pub crossed: Option<Vec<u8>>,
}

impl Tls {
    /// Opens the TLS folder below `dir`, making authority and certificate at the first start, and a new certificate
    /// when the names changed or less than a third of its life is left. An installed certificate is preferred. The
    /// cluster's authority, when there is one, takes the place of the node's own.
    pub fn open(
        dir: &Path,
        names: &Names,
        vault: &dyn Vault,
        cluster: Option<Adopted>,
    ) -> Result<Self, TlsError> {
        let folder = dir.join("tls");
        if let Some(adopted) = &cluster {
            Authority::adopt(&folder, &adopted.certificate, &adopted.key, vault)?;
        }
        let crossed = cluster.and_then(|adopted| adopted.crossed);
        let authority = Authority::open(&folder, vault)?;
        let current = match installed::load(&folder, vault) {
            Ok(Some(installed)) => Current::new(Source::Installed, installed),
            Ok(None) => Current::new(Source::Own, authority.node_certificate(names, crossed.as_deref())?),
            // A node whose certificate is damaged must still be reachable, to have another one installed.
            Err(error) => {
                tracing::error!(%error, "the installed certificate is of no use; the node's own is served");
                Current::new(Source::Own, authority.node_certificate(names, crossed.as_deref())?)
            }
        };
        let served = Arc::new(Served::new(current));
        let published = Published { pem: authority.pem().to_owned(), crossed };
        Ok(Self { served, authority: Arc::new(ArcSwap::from_pointee(published)) })
    }

    /// Serves by another authority from the next connection on; an installed certificate stays. Gives whether it is another,
    /// or another leads to it.
    ///
    /// # Errors
    /// When it cannot be kept or no certificate be made; then the one before stays.
    pub fn adopt(
        &self,
        dir: &Path,
        names: &Names,
        vault: &dyn Vault,
        next: Adopted,
    ) -> Result<bool, TlsError> {
        let _alone = self.served.change();
        let published = Published { pem: authority::pem_of(&next.certificate), crossed: next.crossed };
        if **self.authority.load() == published {
            return Ok(false);
        }
        let folder = dir.join("tls");
        // Served before it is published: whoever knows the one before is led to it, and whoever reads the file may come at once.
        if self.source() == Source::Own {
            let own = Authority::of(&next.certificate, &next.key)?
                .node_certificate(names, published.crossed.as_deref())?;
            self.served.show(Current::new(Source::Own, own));
        }
        Authority::adopt(&folder, &next.certificate, &next.key, vault)?;
        self.authority.store(Arc::new(published));
        Ok(true)
    }

    /// The authority's certificate, for clients to trust.
    #[must_use]
    pub fn authority_pem(&self) -> String {
        self.authority.load().pem.clone()
    }

    /// SHA-256 of the served certificate, as browsers show it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let current = self.served.current.load();
        current.certified.cert.first().map(|leaf| fingerprint(leaf)).unwrap_or_default()
    }

    /// The certificate that is served, and what is sent along with it.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.served.current.load().certified.cert.clone()
    }

    /// Tells when another certificate is served.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.served.changed.subscribe()
    }

    /// Whose certificate is served.
    #[must_use]
    pub fn source(&self) -> Source {
        self.served.current.load().source
    }

    /// What the served certificate says of itself.
    ///
    /// # Errors
    /// [`TlsError::Unreadable`], should it not be readable.
    pub fn facts(&self) -> Result<CertificateFacts, TlsError> {
        inspect::facts(&self.served.current.load().certified.cert)
    }

    /// Finds out whether a certificate chain and key (PEM) can be served at `now_ms` (since 1970). Changes nothing.
    ///
    /// # Errors
    /// What is wrong with them; see [`TlsError::code`].
    pub fn prepare(&self, chain: &str, key: &str, now_ms: u64) -> Result<Prepared, TlsError> {
        installed::prepare(chain, key, now_ms)
    }

    /// Keeps a certificate, and serves it from the next connection on.
    ///
    /// # Errors
    /// When it cannot be kept; then the one before stays.
    pub fn install(&self, dir: &Path, prepared: Prepared, vault: &dyn Vault) -> Result<(), TlsError> {
        let _alone = self.served.change();
        installed::store(&dir.join("tls"), &prepared, vault)?;
        self.served.show(Current::new(Source::Installed, prepared.certified));
        Ok(())
    }

    /// Forgets the installed certificate and goes back to one of the node's own authority.
    ///
    /// # Errors
    /// When the file cannot be removed or no certificate be made; then the one before stays.
    pub fn remove(&self, dir: &Path, names: &Names, vault: &dyn Vault) -> Result<(), TlsError> {
        let _alone = self.served.change();
        let folder = dir.join("tls");
        let crossed = self.authority.load().crossed.clone();
        let own = Authority::open(&folder, vault)?.node_certificate(names, crossed.as_deref())?;
        installed::remove(&folder)?;
        self.served.show(Current::new(Source::Own, own));
        Ok(())
    }

    /// Settings for the public listener: TLS 1.3 and 1.2, aws-lc-rs only; actix adds `h2` and `http/1.1` to ALPN.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        settings(self.served.clone())
    }
}

/// Settings for a public listener that shows what `resolver` says.
pub(crate) fn settings(resolver: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&PUBLIC_VERSIONS)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.send_tls13_tickets = 2;
    config.max_early_data_size = 0;
    fips::demand(config.fips(), "the listener for browsers")?;
    Ok(config)
}

/// Settings as those clients have them that make their own by the process's provider: webhooks, mail, backups to S3 and the
/// command line. Whether one may be used is asked once, when the process starts: the provider stays.
///
/// # Errors
/// [`TlsError::NotApproved`] in a build for FIPS 140-3 whose provider is not.
pub fn outgoing() -> Result<ClientConfig, TlsError> {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(provider);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    fips::demand(config.fips(), "outgoing connections")?;
    Ok(config)
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
