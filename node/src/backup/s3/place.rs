//! Where a store is, and the way there.

use std::net::SocketAddr;
use std::time::Duration;

use cluster::backup::TargetError;

use super::answer::innermost;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Where a store is, as State keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) region: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) access_key: &'a str,
    pub(crate) authority: Option<&'a str>,
    pub(crate) object_lock: bool,
}

/// A client that reaches this one store at the addresses that were looked at, and nothing else.
pub(super) fn client(
    place: &Place<'_>,
    host: &str,
    addresses: &[SocketAddr],
) -> Result<reqwest::Client, TargetError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("mediakeep/", env!("CARGO_PKG_VERSION")))
        .https_only(place.endpoint.starts_with("https:"))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .resolve_to_addrs(host, addresses);
    if let Some(pem) = place.authority {
        let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
        let bad = |_| TargetError::Forbidden("the authority is not PEM".to_owned());
        builder = builder.tls_certs_only(authorities.map_err(bad)?);
    }
    builder.build().map_err(|error| TargetError::Failed(innermost(&error)))
}
