//! What a build for FIPS 140-3 (the feature `fips`) asks of every TLS configuration, here and in `node`: it runs in the
//! validated module with approved suites alone, or it is not made and nothing starts.

use std::sync::Arc;

/// Whether this is such a build.
pub const BUILD: bool = cfg!(feature = "fips");

/// A build for FIPS 140-3 made something that is outside of the module, or more than is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is a build for FIPS 140-3, and {0} would not run by its module alone: nothing is started")]
pub struct NotApproved(&'static str);

impl From<NotApproved> for rustls::Error {
    fn from(error: NotApproved) -> Self {
        Self::Other(rustls::OtherError(Arc::new(error)))
    }
}

/// Whether hashes, MACs, HKDF, signatures, AES-GCM and TLS run in the validated module, as it says itself.
#[must_use]
pub fn in_module() -> bool {
    aws_lc_rs::try_fips_mode().is_ok()
}

/// Lets `what` be used whose configuration says `fips` of itself: everything in the usual build, and in a build for FIPS only
/// what is approved.
///
/// # Errors
/// [`NotApproved`].
pub fn demand(fips: bool, what: &'static str) -> Result<(), NotApproved> {
    admit(BUILD, fips, what)
}

fn admit(is_build: bool, fips: bool, what: &'static str) -> Result<(), NotApproved> {
    if is_build && !fips { Err(NotApproved(what)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    use super::*;

    /// Of TLS 1.3, by this provider.
    fn made_by(provider: CryptoProvider) -> rustls::ClientConfig {
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    }

    #[test]
    fn a_build_for_fips_takes_no_configuration_with_a_suite_that_is_not_approved() {
        let suites = vec![aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
        let config = made_by(CryptoProvider { cipher_suites: suites, ..aws_lc_rs::default_provider() });
        let refused = admit(true, config.fips(), "a test").unwrap_err();
        assert!(rustls::Error::from(refused).to_string().contains("FIPS 140-3, and a test"), "{refused}");
        assert_eq!(admit(false, config.fips(), "a test"), Ok(()), "the usual build takes it");
        // What is really used is approved in such a build, and in no other.
        let usual = made_by(aws_lc_rs::default_provider());
        assert_eq!((usual.fips(), in_module()), (BUILD, BUILD));
        assert_eq!(demand(usual.fips(), "a test"), Ok(()));
    }
}
