//! What a certificate says, and whether it is fit to be served to browsers.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::{TlsError, fingerprint};

/// Smaller RSA keys are refused by browsers, and rightly.
const RSA_BITS: usize = 2048;
/// SHA-1 and MD5 signatures, with RSA, DSA and ECDSA.
const WEAK_SIGNATURES: [&str; 5] = [
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10040.4.3",
    "1.2.840.10045.4.1",
    "1.3.14.3.2.29",
];

/// What a served certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it is for.
    pub subject: String,
    /// Who made it.
    pub issuer: String,
    /// Host names and addresses it vouches for.
    pub names: Vec<String>,
    /// From when, ms since 1970.
    pub not_before_ms: u64,
    /// Until when, ms since 1970.
    pub not_after_ms: u64,
    /// SHA-256, as browsers show it.
    pub fingerprint: String,
    /// Kind and size of its key, such as `RSA 2048`.
    pub key: String,
    /// Certificates sent along, itself included.
    pub chain_length: usize,
    /// Nobody but itself vouches for it.
    pub self_signed: bool,
}

impl CertificateFacts {
    /// Whether a client that asks for `host` would take it.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        self.names.iter().any(|name| {
            let name = name.to_ascii_lowercase();
            let wild = name.strip_prefix("*.").zip(host.split_once('.'));
            name == host || wild.is_some_and(|(domain, (first, rest))| !first.is_empty() && rest == domain)
        })
    }
}

/// Reads the facts of a chain, the certificate itself first.
///
/// # Errors
/// [`TlsError::Unreadable`] when it is no certificate.
pub fn facts(chain: &[CertificateDer<'_>]) -> Result<CertificateFacts, TlsError> {
    let leaf = chain.first().ok_or_else(|| unreadable("there is no certificate in it"))?;
    let parsed = parse(leaf)?;
    let validity = parsed.validity();
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    Ok(CertificateFacts {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names: names(&parsed),
        not_before_ms: ms(validity.not_before.timestamp()),
        not_after_ms: ms(validity.not_after.timestamp()),
        fingerprint: fingerprint(leaf),
        key: key_kind(&parsed),
        chain_length: chain.len(),
        self_signed: parsed.subject() == parsed.issuer(),
    })
}

/// Refuses what no client should be shown: over, not yet begun, weak, not for servers, or a chain of strangers.
///
/// # Errors
/// The first thing that is wrong.
pub fn fit(chain: &[CertificateDer<'_>], now_ms: u64) -> Result<CertificateFacts, TlsError> {
    let facts = facts(chain)?;
    if now_ms >= facts.not_after_ms {
        return Err(TlsError::Expired);
    }
    if now_ms < facts.not_before_ms {
        return Err(TlsError::NotYetValid);
    }
    if facts.names.is_empty() {
        return Err(TlsError::Nameless);
    }
    let parsed = chain.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    for certificate in &parsed {
        strong(certificate)?;
    }
    let usage = parsed.first().and_then(|leaf| leaf.extended_key_usage().ok().flatten());
    if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        return Err(TlsError::NotForServers);
    }
    let follows = parsed.windows(2).all(|pair| pair[0].issuer() == pair[1].subject());
    if follows { Ok(facts) } else { Err(TlsError::BrokenChain) }
}

fn strong(certificate: &X509Certificate<'_>) -> Result<(), TlsError> {
    let weak = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() < RSA_BITS,
        Ok(PublicKey::DSA(_)) => true,
        _ => false,
    };
    if weak {
        return Err(TlsError::Weak { what: key_kind(certificate) });
    }
    // What vouches for itself is trusted or not by other means than its signature.
    let own = certificate.subject() == certificate.issuer();
    let signature = certificate.signature_algorithm.algorithm.to_id_string();
    if !own && WEAK_SIGNATURES.contains(&signature.as_str()) {
        return Err(TlsError::Weak { what: "a signature with SHA-1 or MD5".to_owned() });
    }
    Ok(())
}

fn key_kind(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        _ => "Ed25519 or another".to_owned(),
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    alternative.value.general_names.iter().filter_map(shown).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, TlsError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(unreadable("a certificate is followed by something else")),
        Err(_) => Err(unreadable("a certificate cannot be read")),
    }
}

fn unreadable(reason: &str) -> TlsError {
    TlsError::Unreadable { reason: reason.to_owned() }
}
