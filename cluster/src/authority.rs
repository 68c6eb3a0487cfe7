//! The certificate authority of the cluster: it says who is a node. Its key lies in State, sealed under the cluster key.
//!
//! A node's certificate carries a URI `mediakeep:<cluster>:node:<id>`, an edge's `mediakeep:<cluster>:edge:<id>`. What browsers are shown carries none, and so never
//! passes for a node.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::command::KeyEpoch;
use crate::id::NodeId;
use crate::keyring::{AeadKey, KeyError, Keyring};
use crate::state::ClusterAuthority;

/// The name that every node's certificate carries, whatever its address: nodes know one another by id.
pub const NODE_HOST: &str = "node.mediakeep.internal";
/// How long an authority is good for.
pub const AUTHORITY_DAYS: u64 = 3650;
const HOUR: Duration = Duration::from_secs(3600);
const PURPOSE: &[u8] = b"certificate authority";

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate machinery refused.
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// The key does not open.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The cluster has none yet.
    #[error("the cluster has no certificate authority yet")]
    None,
    /// Not the certificate of an authority of ours.
    #[error("the certificate of the authority does not say its name")]
    Nameless,
    /// Not the certificate of a node.
    #[error("this is not the certificate of a node")]
    NotANode,
}

/// The authority, opened.
pub struct Authority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`].
    pub fn generate() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params(&key).self_signed(&key)?.der().clone();
        Ok(Self { certificate, key })
    }

    /// The certificate (DER) by which whoever trusts this authority trusts `next` too.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`].
    pub fn cross(&self, next: &Self) -> Result<Vec<u8>, AuthorityError> {
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        let mut params = authority_params(&next.key);
        // Under the name that it signs by.
        params.distinguished_name = common_name(&next.name()?);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Ok(params.signed_by(&next.key, &issuer)?.der().to_vec())
    }

    fn name(&self) -> Result<String, AuthorityError> {
        let parsed = x509_parser::parse_x509_certificate(&self.certificate).ok();
        let name =
            parsed.as_ref().and_then(|(_, own)| own.subject().iter_common_name().next()?.as_str().ok());
        name.map(str::to_owned).ok_or(AuthorityError::Nameless)
    }

    /// From its certificate and its private key (PKCS #8), both DER.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`] when the key cannot be read.
    pub fn from_der(certificate: Vec<u8>, key: &[u8]) -> Result<Self, AuthorityError> {
        Ok(Self { certificate: certificate.into(), key: KeyPair::try_from(key)? })
    }

    /// Opens what State keeps.
    ///
    /// # Errors
    /// [`AuthorityError::Key`] when this node does not hold the cluster key.
    pub fn open(stored: &ClusterAuthority, keyring: &Keyring) -> Result<Self, AuthorityError> {
        let key = sealing_key(keyring, stored.key_epoch)?;
        let opened = key.open(&stored.certificate, &stored.sealed_key)?;
        Self::from_der(stored.certificate.clone(), &opened)
    }

    /// As State keeps it, under the current cluster key.
    ///
    /// # Errors
    /// [`AuthorityError::Key`] when this node holds no cluster key.
    pub fn seal(&self, keyring: &Keyring) -> Result<ClusterAuthority, AuthorityError> {
        let key_epoch = keyring.current_epoch()?;
        let key = sealing_key(keyring, key_epoch)?;
        let sealed_key = key.seal(&self.certificate, self.key.serialized_der())?;
        Ok(ClusterAuthority { certificate: self.certificate.to_vec(), sealed_key, key_epoch })
    }

    /// Its certificate (DER).
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its private key (PKCS #8 DER).
    #[must_use]
    pub fn key_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.key.serialized_der().to_vec())
    }

    /// A certificate (DER) for the node `name`, over the public key that `request` (a CSR, DER) proves to be its own.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`] when the request is not one.
    pub fn certify(&self, request: &[u8], name: NodeName, life: Lifetime) -> Result<Vec<u8>, AuthorityError> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let asked = CertificateSigningRequestParams::from_der(&request)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        // Nothing but the key is taken from the request.
        Ok(node_params(name, life)?.signed_by(&asked.public_key, &issuer)?.der().to_vec())
    }

    /// A certificate (DER) that browsers are shown by an edge, for these names and addresses, over the key of `request`.
    /// It names no node, and so never passes for one.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`] when the request is not one, or a name is not.
    pub fn certify_host(
        &self,
        request: &[u8],
        hosts: &[String],
        addresses: &[IpAddr],
        life: Lifetime,
    ) -> Result<Vec<u8>, AuthorityError> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let asked = CertificateSigningRequestParams::from_der(&request)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        let mut params = CertificateParams::new(hosts.to_vec())?;
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = common_name("mediakeep edge");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        between(&mut params, life);
        Ok(params.signed_by(&asked.public_key, &issuer)?.der().to_vec())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authority({}, redacted)", HEXLOWER.encode(&fingerprint(&self.certificate)))
    }
}

/// How long a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Cluster time now, in ms since 1970.
    pub now_ms: u64,
    /// From now on.
    pub life: Duration,
}

/// Who a certificate says its holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeName {
    /// Which cluster.
    pub cluster: [u8; 16],
    /// Which node.
    pub node: NodeId,
    /// As what it takes part.
    pub part: Part,
}

/// As what the holder of a certificate takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// A node of the cluster: agreement, keys and copies.
    Node,
    /// An edge: it may ask what is meant for edges, and is asked nothing.
    Edge,
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Edge => "edge",
        }
    }
}

impl NodeName {
    /// A node of the cluster.
    #[must_use]
    pub fn node(cluster: [u8; 16], node: NodeId) -> Self {
        Self { cluster, node, part: Part::Node }
    }

    /// An edge.
    #[must_use]
    pub fn edge(cluster: [u8; 16], node: NodeId) -> Self {
        Self { cluster, node, part: Part::Edge }
    }

    fn uri(self) -> String {
        format!("mediakeep:{}:{}:{}", HEXLOWER.encode(&self.cluster), self.part.word(), self.node.0)
    }

    fn parse(uri: &str) -> Option<Self> {
        let (cluster, rest) = uri.strip_prefix("mediakeep:")?.split_once(':')?;
        let (word, node) = rest.split_once(':')?;
        let part = [Part::Node, Part::Edge].into_iter().find(|part| part.word() == word)?;
        let cluster = HEXLOWER.decode(cluster.as_bytes()).ok()?.try_into().ok()?;
        let name = Self { cluster, node: NodeId(node.parse().ok()?), part };
        (name.uri() == uri).then_some(name)
    }

    /// Whose certificate (DER) this is. Whether it is genuine is for TLS to say.
    ///
    /// # Errors
    /// [`AuthorityError::NotANode`].
    pub fn of(certificate: &[u8]) -> Result<Self, AuthorityError> {
        use x509_parser::extensions::GeneralName;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| AuthorityError::NotANode)?;
        let names = parsed.subject_alternative_name().ok().flatten().ok_or(AuthorityError::NotANode)?;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => Self::parse(uri).ok_or(AuthorityError::NotANode),
            _ => Err(AuthorityError::NotANode),
        }
    }
}

/// A key pair for a node's certificate, and the request (CSR) that proves it.
#[derive(Debug)]
pub struct CertificateKey {
    /// The private key (PKCS #8 DER).
    pub key: Zeroizing<Vec<u8>>,
    /// The request (DER).
    pub request: Vec<u8>,
    /// SHA-256 of the public key.
    pub public_hash: [u8; 32],
}

impl CertificateKey {
    /// A new one.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`].
    pub fn generate() -> Result<Self, AuthorityError> {
        Self::of(KeyPair::generate()?)
    }

    /// From a private key kept before (PKCS #8 DER).
    ///
    /// # Errors
    /// [`AuthorityError::Issue`].
    pub fn from_der(key: &[u8]) -> Result<Self, AuthorityError> {
        Self::of(KeyPair::try_from(key)?)
    }

    fn of(pair: KeyPair) -> Result<Self, AuthorityError> {
        let request = CertificateParams::default().serialize_request(&pair)?.der().to_vec();
        let public_hash = fingerprint(&pair.subject_public_key_info());
        Ok(Self { key: Zeroizing::new(pair.serialize_der()), request, public_hash })
    }
}

/// SHA-256 of the public key that a request (CSR, DER) asks to have certified.
///
/// # Errors
/// [`AuthorityError::Issue`] when it is not a request, or does not prove its key.
pub fn requested_key(request: &[u8]) -> Result<[u8; 32], AuthorityError> {
    let request = CertificateSigningRequestDer::from(request.to_vec());
    let asked = CertificateSigningRequestParams::from_der(&request)?;
    Ok(fingerprint(&asked.public_key.subject_public_key_info()))
}

/// By whom certificates may be (DER, each).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// The authority that every new certificate is by.
    pub in_force: Vec<u8>,
    /// The one before, while some certificate may be by it.
    pub former: Option<Vec<u8>>,
    /// The one in force, certified by the one before: whoever knows only that one trusts the new one by it.
    pub crossed: Option<Vec<u8>>,
}

impl Trusted {
    /// What browsers are shown: `certificate`, by the authority in force, and what leads from it to the one before, which is
    /// all that some of them were told to trust.
    #[must_use]
    pub fn public_chain(&self, certificate: Vec<u8>) -> Vec<Vec<u8>> {
        public_chain(certificate, self.in_force.clone(), self.crossed.clone())
    }
}

/// A certificate, what leads from its authority to the one before, and the authority, in this order: OpenSSL goes by the first
/// that fits, and would end at an authority that it does not trust.
#[must_use]
pub fn public_chain<C>(certificate: C, authority: C, crossed: Option<C>) -> Vec<C> {
    std::iter::once(certificate).chain(crossed).chain([authority]).collect()
}

/// Whether `authority` has signed `certificate` (both DER). Dates and uses are for TLS to judge.
#[must_use]
pub fn is_issued_by(certificate: &[u8], authority: &[u8]) -> bool {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let (Ok((_, certificate)), Ok((_, authority))) = (parsed, x509_parser::parse_x509_certificate(authority))
    else {
        return false;
    };
    let key = &authority.tbs_certificate.subject_pki.subject_public_key.data;
    let signed = certificate.tbs_certificate.as_ref();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
    key.verify(signed, &certificate.signature_value.data).is_ok()
}

/// When two thirds of a certificate's (DER) life are over, in ms since 1970; `None` for what is not a certificate.
#[must_use]
pub fn renew_at_ms(certificate: &[u8]) -> Option<u64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let (from, to) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    u64::try_from((from + (to - from) * 2 / 3) * 1000).ok()
}

/// Whether a certificate (DER) is to be made anew at `now_ms`: two thirds of its life are over, or it is of a time to come, as
/// a machine makes one whose clock is wrong.
#[must_use]
pub fn is_to_be_renewed(certificate: &[u8], now_ms: u64) -> bool {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let begins_ms = parsed.ok().and_then(|(_, parsed)| {
        u64::try_from(parsed.validity().not_before.timestamp().saturating_mul(1000)).ok()
    });
    let is_good = |begins_ms, renew_at_ms| (begins_ms..renew_at_ms).contains(&now_ms);
    !begins_ms.zip(renew_at_ms(certificate)).is_some_and(|(begins, renew_at)| is_good(begins, renew_at))
}

/// When a certificate (DER) ends, in ms since 1970; `None` for what is not a certificate.
#[must_use]
pub fn ends_at_ms(certificate: &[u8]) -> Option<u64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    u64::try_from(parsed.validity().not_after.timestamp() * 1000).ok()
}

/// SHA-256.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

fn sealing_key(keyring: &Keyring, epoch: KeyEpoch) -> Result<AeadKey, KeyError> {
    AeadKey::new(&*keyring.shared_secret(PURPOSE, epoch)?)
}

/// Named after its key: two authorities of one cluster are told apart.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let short = HEXLOWER.encode(&fingerprint(&key.subject_public_key_info())[..4]);
    params.distinguished_name = common_name(&format!("mediakeep certificate authority {short}"));
    // It may have to certify the one that follows it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lifetime(&mut params, AUTHORITY_DAYS);
    params
}

fn node_params(name: NodeName, life: Lifetime) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(vec![NODE_HOST.to_owned()])?;
    params.subject_alt_names.push(SanType::URI(name.uri().try_into()?));
    params.distinguished_name = common_name(&format!("mediakeep node {}", name.node.0));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    between(&mut params, life);
    Ok(params)
}

/// From a little earlier than now: a clock that is a little behind takes it too.
fn between(params: &mut CertificateParams, life: Lifetime) {
    let start = UNIX_EPOCH + Duration::from_millis(life.now_ms);
    params.not_before = (start - HOUR.min(life.life / 4)).into();
    params.not_after = (start + life.life).into();
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From an hour ago, for a clock that is a little behind.
fn lifetime(params: &mut CertificateParams, days: u64) {
    let start = SystemTime::now() - HOUR;
    params.not_before = start.into();
    params.not_after = (start + Duration::from_secs(days * 86_400)).into();
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: NodeName = NodeName { cluster: [3; 16], node: NodeId(42), part: Part::Node };

    #[test]
    fn a_certificate_names_the_node_it_was_made_for() {
        let authority = Authority::generate().unwrap();
        let key = CertificateKey::generate().unwrap();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() * 1000;
        let life = Lifetime { now_ms, life: Duration::from_secs(30 * 86_400) };
        let certificate = authority.certify(&key.request, NAME, life).unwrap();
        assert_eq!(NodeName::of(&certificate).unwrap(), NAME);
        assert_eq!(requested_key(&key.request).unwrap(), key.public_hash);
        assert!(NodeName::of(authority.certificate()).is_err(), "the authority is no node");
        let mut forged = key.request.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(authority.certify(&forged, NAME, life).is_err(), "the request does not prove its key");
        let renew = renew_at_ms(&certificate).unwrap();
        let year_ms = 365 * 86_400_000;
        assert!(!is_to_be_renewed(&certificate, now_ms) && !is_to_be_renewed(&certificate, renew - 1));
        assert!(is_to_be_renewed(&certificate, renew) && is_to_be_renewed(&certificate, renew + year_ms));
        assert!(is_to_be_renewed(&certificate, now_ms - year_ms), "made while the clock was wrong");
        assert!(is_to_be_renewed(b"no certificate", now_ms));
        assert!(
            (19 * 86_400_000..=20 * 86_400_000).contains(&(renew - now_ms)),
            "after two thirds of 30 days"
        );
        assert_eq!(ends_at_ms(&certificate), Some(now_ms + 30 * 86_400_000));
    }

    #[test]
    fn a_certificate_is_by_the_authority_that_signed_it_and_a_crossed_one_leads_from_the_one_before() {
        let (before, next) = (Authority::generate().unwrap(), Authority::generate().unwrap());
        let crossed = before.cross(&next).unwrap();
        let key = CertificateKey::generate().unwrap();
        let life = Lifetime { now_ms: 1_800_000_000_000, life: HOUR };
        let certificate = next.certify(&key.request, NAME, life).unwrap();
        assert!(is_issued_by(&certificate, next.certificate()) && is_issued_by(&certificate, &crossed));
        assert!(is_issued_by(&crossed, before.certificate()));
        assert!(!is_issued_by(&certificate, before.certificate()));
        assert!(!is_issued_by(b"nothing", before.certificate()) && !is_issued_by(&certificate, b"nothing"));
    }

    #[test]
    fn only_the_one_spelling_of_a_name_is_read() {
        let uri = NAME.uri();
        assert_eq!(NodeName::parse(&uri), Some(NAME));
        for other in [uri.to_uppercase(), uri.replace("42", "042"), uri.replace("42", "+42"), uri + " "] {
            assert_eq!(NodeName::parse(&other), None, "{other}");
        }
        let edge = NodeName::edge(NAME.cluster, NAME.node);
        assert_eq!(NodeName::parse(&edge.uri()), Some(edge), "and an edge is not the node of its number");
        assert_ne!(edge, NAME);
    }
}
