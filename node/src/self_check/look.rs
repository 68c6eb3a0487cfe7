//! One look at a public face: as a browser of today comes to it, and as clients of long ago would.
//!
//! No certificate is trusted here and none refused: what is shown is compared with what the node means to serve. Nothing secret
//! is sent.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::finding::Finding;
use super::hello::OUTDATED;
use crate::{headers, tls};

/// How long a look may take altogether.
const WITHIN: Duration = Duration::from_secs(10);
/// A page of the console, and an answer that is none.
const PATHS: [&str; 2] = ["/", "/healthz"];

/// What is looked at, and how it should be.
#[derive(Debug, Clone)]
pub struct Face {
    /// What is connected to.
    pub address: SocketAddr,
    /// The name or address that people type.
    pub name: String,
    /// The certificate and what is sent along with it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Where plain HTTP is redirected, if it is.
    pub plain: Option<SocketAddr>,
    /// By this time (ms since 1970) a certificate is valid or is not.
    pub now_ms: u64,
}

/// Looks at it once: a few connections one after the other, within ten seconds. Gives what is weaker than it should be.
pub async fn look(face: &Face) -> BTreeSet<Finding> {
    let mut found = BTreeSet::new();
    let seen = tokio::time::timeout(WITHIN, see(face, &mut found)).await;
    // Everything that is not as it should be with a connection comes to the same for whoever wants to come in.
    if !matches!(seen, Ok(Ok(()))) {
        found.insert(Finding::NoAnswer);
    }
    found
}

/// Why it could not be seen to the end.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error("nobody can be connected to")]
    Connect(#[from] io::Error),
    #[error("no answer comes")]
    Answer(#[from] reqwest::Error),
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

async fn see(face: &Face, found: &mut BTreeSet<Finding>) -> Result<(), Unseen> {
    let agreed = agree(face, found).await?;
    for outdated in &OUTDATED {
        if outdated.is_accepted(face.address, &face.name).await? {
            found.insert(outdated.finding);
        }
    }
    let client = client(face)?;
    if agreed {
        for path in PATHS {
            let answered = client.get(format!("{}{path}", origin(face))).send().await?;
            found.extend(weakened(answered.headers()).map(Finding::Header));
        }
    }
    if let Some(plain) = face.plain
        && !is_redirected(&client, plain).await
    {
        found.insert(Finding::NoRedirect);
    }
    Ok(())
}

/// Comes as a browser of today. Gives whether TLS was agreed on at all.
async fn agree(face: &Face, found: &mut BTreeSet<Finding>) -> Result<bool, Unseen> {
    let witness = Arc::new(Witness::default());
    let mut config = settings(&witness)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(face.address).await?;
    let Ok(stream) = TlsConnector::from(Arc::new(config)).connect(server_name(face), stream).await else {
        found.insert(Finding::NoCurrentTls);
        return Ok(false);
    };
    let (_, connection) = stream.get_ref();
    // Offered both, whoever has TLS 1.3 takes it.
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        found.insert(Finding::NoTls13);
    }
    if connection.alpn_protocol() != Some(b"h2") {
        found.insert(Finding::NoHttp2);
    }
    let chain = connection.peer_certificates().unwrap_or_default();
    judge(face, chain, found);
    // A key too small to be taken proves nothing, and is named already.
    let has_no_proof = witness.has_no_proof.load(Ordering::Relaxed);
    if chain != face.chain || has_no_proof && !found.contains(&Finding::CertificateWeak) {
        found.insert(Finding::CertificateOther);
    }
    Ok(true)
}

fn judge(face: &Face, chain: &[CertificateDer<'_>], found: &mut BTreeSet<Finding>) {
    if let Err(error) = tls::fit(chain, face.now_ms) {
        found.insert(Finding::of_certificate(&error));
    }
    if tls::facts(chain).is_ok_and(|facts| !facts.covers(&face.name)) {
        found.insert(Finding::CertificateName);
    }
}

fn weakened(answer: &HeaderMap) -> impl Iterator<Item = &'static str> {
    let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers::weakened(|name| answer.get_all(name).iter().map(text).collect()).into_iter()
}

async fn is_redirected(client: &reqwest::Client, plain: SocketAddr) -> bool {
    let Ok(answer) = client.get(format!("http://{plain}/")).send().await else { return false };
    let leads_to = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    answer.status().is_redirection() && leads_to.is_some_and(|location| location.starts_with("https://"))
}

/// By HTTP/1.1, which whatever stands in front understands; headers are the same in HTTP/2.
fn client(face: &Face) -> Result<reqwest::Client, Unseen> {
    let mut config = settings(&Arc::new(Witness::default()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = reqwest::Client::builder()
        .user_agent(concat!("mediakeep/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(config)
        .http1_only()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .resolve(&face.name, face.address);
    Ok(client.build()?)
}

/// Where requests go. A name is asked for by name, so that whatever goes by it leads to the node.
fn origin(face: &Face) -> String {
    let by_name = format!("https://{}:{}", face.name, face.address.port());
    let is_name = face.name.parse::<IpAddr>().is_err() && url::Url::parse(&by_name).is_ok();
    if is_name { by_name } else { format!("https://{}", face.address) }
}

fn server_name(face: &Face) -> ServerName<'static> {
    ServerName::try_from(face.name.clone()).unwrap_or_else(|_| face.address.ip().into())
}

fn settings(witness: &Arc<Witness>) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    // Whoever takes up a session shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Takes every certificate, and notes whether whoever shows it has its key.
#[derive(Debug)]
struct Witness {
    algorithms: WebPkiSupportedAlgorithms,
    has_no_proof: AtomicBool,
}

impl Default for Witness {
    fn default() -> Self {
        let algorithms = tls::provider().signature_verification_algorithms;
        Self { algorithms, has_no_proof: AtomicBool::new(false) }
    }
}

type Proof = Result<HandshakeSignatureValid, rustls::Error>;

impl Witness {
    fn note(&self, proof: &Proof) -> Proof {
        if proof.is_err() {
            self.has_no_proof.store(true, Ordering::Relaxed);
        }
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Proof {
        self.note(&verify_tls12_signature(message, certificate, signature, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Proof {
        self.note(&verify_tls13_signature(message, certificate, signature, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
