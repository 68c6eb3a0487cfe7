//! The node's own certificate authority: made once, its key sealed; it issues the certificate browsers see.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use cluster::authority::public_chain;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{TlsError, Vault, certified, vault};

const AUTHORITY_DAYS: u64 = 3650;
/// Within what browsers take and Mozilla's profile asks for. Each start makes a new one.
pub const NODE_DAYS: u64 = 365;
const LABEL: &str = "tls-authority";

/// What the node's certificate vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub hosts: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

impl Names {
    /// `localhost`, the loopback addresses, the machine's name, and what the operator configured.
    #[must_use]
    pub fn of_this_machine(configured: &[String]) -> Self {
        let mut names = Self { hosts: vec!["localhost".to_owned()], addresses: Vec::new() };
        names.addresses.push(IpAddr::from([127, 0, 0, 1]));
        names.addresses.push(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
        let machine = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        for name in std::iter::once(machine).chain(configured.iter().cloned()) {
            names.add(&name);
        }
        names
    }

    /// Adds a host name or an address, once; what is neither is left out.
    pub fn add(&mut self, name: &str) {
        if let Ok(address) = name.parse::<IpAddr>() {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
            return;
        }
        let legal = !name.is_empty()
            && name.len() <= 253
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.');
        if legal && !self.hosts.iter().any(|host| host == name) {
            self.hosts.push(name.to_owned());
        }
    }
}

/// The authority, opened.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    key: KeyPair,
}

impl Authority {
    /// Opens the authority in `folder`, or makes it at the first start. A damaged or missing certificate is made anew for
    /// the same key, so that whoever trusts the one before trusts it too. A lost key is never replaced unasked: nobody would
    /// trust the new one.
    pub fn open(folder: &Path, keys: &dyn Vault) -> Result<Self, TlsError> {
        let (pem_file, key_file) = (folder.join("ca.pem"), folder.join("ca.key.sealed"));
        let damaged = |reason: &str| TlsError::AuthorityDamaged {
            file: key_file.clone(),
            folder: folder.to_owned(),
            reason: reason.to_owned(),
        };
        let key = match (vault::read(&key_file)?, vault::read(&pem_file)?) {
            (Some(sealed), pem) => {
                let plain = keys
                    .open(LABEL, &sealed)
                    .map_err(|_| damaged("its key does not open with this node's key"))?;
                let key = KeyPair::try_from(plain.as_slice())?;
                let pem = pem.and_then(|pem| String::from_utf8(pem).ok());
                if let Some(pem) = pem.filter(|pem| vouches_for_itself(pem, &key)) {
                    return Ok(Self { pem, key });
                }
                tracing::warn!(
                    "the authority's certificate is made anew for its key: it was not there, or damaged"
                );
                key
            }
            (None, Some(_)) => return Err(damaged("its key is not there")),
            (None, None) => {
                let key = KeyPair::generate()?;
                vault::write(&key_file, &keys.seal(LABEL, key.serialized_der())?)?;
                key
            }
        };
        let pem = authority_params().self_signed(&key)?.pem();
        vault::write(&pem_file, pem.as_bytes())?;
        Ok(Self { pem, key })
    }

    /// The one of this certificate and private key (PKCS #8), DER.
    pub fn of(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self { pem: pem_of(certificate), key: KeyPair::try_from(key)? })
    }

    /// Takes over the cluster's authority in place of this node's own.
    pub fn adopt(folder: &Path, certificate: &[u8], key: &[u8], keys: &dyn Vault) -> Result<(), TlsError> {
        let (pem_file, key_file) = (folder.join("ca.pem"), folder.join("ca.key.sealed"));
        let pem = pem_of(certificate);
        let same_key = vault::read(&key_file)?
            .and_then(|sealed| keys.open(LABEL, &sealed).ok())
            .is_some_and(|plain| plain.as_slice() == key);
        if same_key && vault::read(&pem_file)?.as_deref() == Some(pem.as_bytes()) {
            return Ok(());
        }
        vault::write(&key_file, &keys.seal(LABEL, key)?)?;
        vault::write(&pem_file, pem.as_bytes())
    }

    /// Its certificate and its private key (PKCS #8), DER.
    pub fn to_der(&self) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), TlsError> {
        let certificate = CertificateDer::from_pem_slice(self.pem.as_bytes())
            .map_err(|error| TlsError::Unreadable { reason: error.to_string() })?;
        Ok((certificate.to_vec(), Zeroizing::new(self.key.serialize_der())))
    }

    /// The authority's certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A fresh certificate and key for this node. The key lives in memory only: each start makes a new one. `crossed` (DER)
    /// leads to the authority before, which is all that some clients were told to trust.
    pub fn node_certificate(&self, names: &Names, crossed: Option<&[u8]>) -> Result<CertifiedKey, TlsError> {
        let authority = CertificateDer::from_pem_slice(self.pem.as_bytes())
            .map_err(|error| TlsError::Unreadable { reason: error.to_string() })?;
        let issuer = Issuer::from_ca_cert_der(&authority, &self.key)?;
        let key = KeyPair::generate()?;
        let certificate = node_params(names)?.signed_by(&key, &issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let crossed = crossed.map(|crossed| CertificateDer::from(crossed.to_vec()));
        certified(public_chain(certificate.der().clone(), authority, crossed), private)
    }
}

/// Whether this is the certificate of `key`, byte for byte as it was signed.
fn vouches_for_itself(pem: &str, key: &KeyPair) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    let Ok((rest, certificate)) = X509Certificate::from_der(&der) else { return false };
    let verifying = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key_raw());
    let signed = certificate.tbs_certificate.as_ref();
    rest.is_empty() && verifying.verify(signed, &certificate.signature_value.data).is_ok()
}

pub(super) fn pem_of(certificate: &[u8]) -> String {
    let encoded = data_encoding::BASE64.encode(certificate);
    let lines: Vec<String> =
        encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("mediakeep certificate authority");
    // It may have to certify the one that follows it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lifetime(&mut params, AUTHORITY_DAYS);
    params
}

fn node_params(names: &Names) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(names.hosts.clone())?;
    params.subject_alt_names.extend(names.addresses.iter().copied().map(SanType::IpAddress));
    params.distinguished_name = common_name("mediakeep node");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    lifetime(&mut params, NODE_DAYS);
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From an hour ago, for clients whose clock is a little behind.
fn lifetime(params: &mut CertificateParams, days: u64) {
    let start = SystemTime::now() - Duration::from_secs(3600);
    params.not_before = start.into();
    params.not_after = (start + Duration::from_secs(days * 86_400)).into();
}
