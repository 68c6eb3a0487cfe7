//! TLS between nodes: both sides show a certificate of the cluster's own authority, and nothing is resumed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::authority::fingerprint;
use crate::fips;

/// What is spoken between nodes.
pub const NODE_VERSIONS: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// What nodes speak to one another.
pub(super) const NODE_PROTOCOL: &[u8] = b"mediakeep-node/1";
/// Offered beside it by whoever opens a connection for bytes, or is an edge, so that it is known before a byte is read where
/// the connection is to be served: not where agreement runs. Never chosen: a release that does not know it goes on as before.
pub(super) const BULK_PROTOCOL: &[u8] = b"mediakeep-bulk/1";
/// What a node that is none yet speaks.
pub(super) const JOIN_PROTOCOL: &[u8] = b"mediakeep-join/1";

/// The certificate this node shows, which is exchanged when it is renewed.
#[derive(Debug)]
pub(crate) struct Shown(ArcSwap<CertifiedKey>);

impl Shown {
    /// From DER: the chain begins with the node's certificate and leads to the authorities that others may know.
    pub(crate) fn new(chain: Vec<Vec<u8>>, key: &[u8]) -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(certified(chain, key)?))))
    }

    /// The certificate itself (DER).
    pub(super) fn certificate(&self) -> Vec<u8> {
        self.0.load().cert.first().map(|certificate| certificate.to_vec()).unwrap_or_default()
    }

    /// From the next connection on, this one is shown.
    pub(crate) fn replace(&self, chain: Vec<Vec<u8>>, key: &[u8]) -> Result<(), rustls::Error> {
        self.0.store(Arc::new(certified(chain, key)?));
        Ok(())
    }
}

fn certified(chain: Vec<Vec<u8>>, key: &[u8]) -> Result<CertifiedKey, rustls::Error> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    let signing = provider().key_provider.load_private_key(key)?;
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match()?;
    Ok(certified)
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(authorities: &[Vec<u8>]) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from(authority.clone()))?;
    }
    Ok(Arc::new(roots))
}

/// For connections of other nodes, which must show a certificate.
pub(super) fn server(
    shown: Arc<Shown>,
    authorities: &[Vec<u8>],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authorities)?, provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let builder = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&NODE_VERSIONS)?
        .with_client_cert_verifier(verifier);
    let config = without_memory(builder.with_cert_resolver(shown), NODE_PROTOCOL);
    fips::demand(config.fips(), "the listener for other nodes")?;
    Ok(Arc::new(config))
}

/// For a node that wants to join and has no certificate yet. It may say one thing only.
pub(super) fn join_server(shown: Arc<Shown>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&NODE_VERSIONS)?
        .with_no_client_auth();
    let config = without_memory(builder.with_cert_resolver(shown), JOIN_PROTOCOL);
    fips::demand(config.fips(), "the listener for nodes that join")?;
    Ok(Arc::new(config))
}

fn without_memory(mut config: ServerConfig, protocol: &[u8]) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

/// For connections to other nodes.
pub(super) fn client(
    shown: Arc<Shown>,
    authorities: &[Vec<u8>],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&NODE_VERSIONS)?
        .with_root_certificates(roots(authorities)?)
        .with_client_cert_resolver(shown);
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![NODE_PROTOCOL.to_vec()];
    fips::demand(config.fips(), "connections to other nodes")?;
    Ok(Arc::new(config))
}

/// As `client`, and says that the connection is for bytes.
pub(super) fn for_bulk(client: &ClientConfig) -> ClientConfig {
    let mut config = client.clone();
    config.alpn_protocols.push(BULK_PROTOCOL.to_vec());
    config
}

/// For a node that joins: it knows the authority by its hash alone.
pub(super) fn join_client(authority_hash: [u8; 32]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&NODE_VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { authority_hash, provider: provider() }))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
    fips::demand(config.fips(), "the connection to join by")?;
    Ok(Arc::new(config))
}

/// Trusts what an authority with this hash has signed.
#[derive(Debug)]
struct Pinned {
    authority_hash: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| fingerprint(certificate) == self.authority_hash)
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let roots = roots(&[authority.to_vec()])?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        // A cluster that has another authority since the token was made leads there from the one the token names.
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
