//! What an operator may set: command line over file over default. Everything has a default that is safe.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use cluster::Distance;
use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use crate::tls::Names;

/// The least a node may be silent before another votes in its place, in seconds.
const VOTER_SILENT_SECONDS_MIN: u32 = 5;

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not the TOML we know.
    #[error("the configuration {path} is not right: {source}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Voters would change with each hiccup of the network.
    #[error("`cluster_voter_silent_seconds` must be at least {VOTER_SILENT_SECONDS_MIN}")]
    VoterSilentTooShort,
    /// A node's certificate would be over at once.
    #[error("`cluster_certificate_minutes` must be at least 1")]
    NoCertificateLife,
    /// An allowed origin is not an origin.
    #[error("`{origin}` is not an origin such as https://example.org")]
    BadOrigin {
        /// What was written.
        origin: String,
    },
    /// Nothing can be connected to there.
    #[error("`self_check_address` must be a name or an address, with or without a port: `{0}` is none")]
    BadSelfCheckAddress(String),
}

/// The configuration of one node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The data folder.
    pub dir: PathBuf,
    /// What people call this node.
    pub name: String,
    /// The site it stands in.
    pub site: String,
    /// Where HTTPS is served.
    pub listen: SocketAddr,
    /// Where plain HTTP is redirected to HTTPS; none to leave it closed.
    pub redirect_listen: Option<SocketAddr>,
    /// Where the other nodes of the cluster connect, e.g. `[::]:7443`; none for a node that stays alone.
    pub cluster_listen: Option<SocketAddr>,
    /// What the other nodes connect to, when it is not what is listened on: a name or address, with or without a port.
    pub cluster_advertise: Option<String>,
    /// How far the nodes are from one another: `near` for round trips up to some 30 ms, `far` for longer and lossy ones. The
    /// same on all of them.
    pub cluster_distance: Distance,
    /// How long a certificate that this node gives to nodes is good for, in minutes; each renews its own in time.
    pub cluster_certificate_minutes: u32,
    /// Another node votes for one that was silent this long, where there is one, in seconds.
    pub cluster_voter_silent_seconds: u32,
    /// Names and addresses the node's certificate carries, besides the machine's own.
    pub hostnames: Vec<String>,
    /// Origins of other web pages that may call the API or embed a player, e.g. `https://intranet.example`.
    pub allowed_origins: Vec<String>,
    /// Where researchers report a vulnerability (RFC 9116), e.g. `mailto:security@example.org`.
    pub security_contact: Option<String>,
    /// Networks that may read `/metrics` without a credential; the machine itself by default.
    pub metrics_from: Vec<IpNet>,
    /// Networks that webhooks, syslog, mail and the like may lead to although they lie inside: this machine's own, say.
    pub outbound_networks: Vec<IpNet>,
    /// Where this node looks at its TLS and headers as browsers see them, when they do not come straight to `listen`: a name or
    /// address, with or without a port, that leads to this node and no other.
    pub self_check_address: Option<String>,
    /// The file holding the node's private key; outside the data folder by default.
    pub key_file: Option<PathBuf>,
    /// Sizes and times that bound what one client may take.
    pub limits: Limits,
    /// Where backups may go.
    pub backup: Backup,
    /// What an edge may take.
    pub edge: EdgeLimits,
}

/// What an edge may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeLimits {
    /// Mebibytes of its disk.
    pub cache_mib: u64,
}

impl EdgeLimits {
    /// The same in bytes.
    #[must_use]
    pub fn cache_bytes(&self) -> u64 {
        self.cache_mib.saturating_mul(1024 * 1024)
    }
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self { cache_mib: 20 * 1024 }
    }
}

/// Where backups may go. Administrators choose a place within this; only the operator of the machine widens it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// A folder for backups lies below one of these.
    pub folders: Vec<PathBuf>,
    /// Private networks, and this machine itself, that a store may be in. Public addresses always may; without an entry
    /// here, no others may.
    pub networks: Vec<IpNet>,
}

impl Default for Backup {
    fn default() -> Self {
        let folders = ["/mnt", "/media", "/srv/backup"].map(PathBuf::from);
        Self { folders: folders.into(), networks: Vec::new() }
    }
}

/// Bounds; see [`crate::limits`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Serving threads; 0 takes one for each core.
    pub workers: usize,
    /// Open connections over all clients.
    pub connections: usize,
    /// Open connections of one address.
    pub connections_per_address: u32,
    /// API requests a second of one address, sustained.
    pub requests_per_second: u32,
    /// API requests of one address in one burst.
    pub request_burst: u32,
    /// Bytes of a JSON body.
    pub json_bytes: usize,
    /// Seconds until a client must have sent its request head.
    pub header_seconds: u64,
    /// Seconds until a body that is read whole (JSON, a poster, captions) must have arrived.
    pub body_seconds: u64,
    /// Seconds after the passphrase was given that a browser is not asked for it again before something grave; 0: never asked.
    pub confirm_seconds: u64,
    /// Seconds a stopping node waits for running requests.
    pub drain_seconds: u64,
    /// Mebibytes of ciphertext kept in memory for viewers; 0 reads every segment from the disk.
    pub hot_cache_mib: u32,
}

impl Limits {
    /// The hot cache's capacity, bytes.
    #[must_use]
    pub fn hot_cache_bytes(&self) -> usize {
        usize::try_from(self.hot_cache_mib).unwrap_or(usize::MAX).saturating_mul(1024 * 1024)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("/var/lib/mediakeep"),
            name: "node".to_owned(),
            site: "s1".to_owned(),
            listen: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 443),
            redirect_listen: None,
            cluster_listen: None,
            cluster_advertise: None,
            cluster_distance: Distance::default(),
            cluster_certificate_minutes: 30 * 24 * 60,
            cluster_voter_silent_seconds: 600,
            hostnames: Vec::new(),
            allowed_origins: Vec::new(),
            security_contact: None,
            metrics_from: vec![IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST)), loopback()],
            outbound_networks: Vec::new(),
            self_check_address: None,
            key_file: None,
            limits: Limits::default(),
            backup: Backup::default(),
            edge: EdgeLimits::default(),
        }
    }
}

/// Every address of the machine itself.
fn loopback() -> IpNet {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    IpNet::new(address, 8).map_or_else(|_| IpNet::from(address), |network| network.trunc())
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 0,
            connections: 20_000,
            connections_per_address: 512,
            requests_per_second: 100,
            request_burst: 400,
            json_bytes: 256 * 1024,
            header_seconds: 10,
            body_seconds: 30,
            confirm_seconds: 15 * 60,
            drain_seconds: 20,
            hot_cache_mib: 256,
        }
    }
}

impl Config {
    /// Reads `path`, or gives the defaults when none is named.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        config.check()
    }

    /// Refuses what would only fail later.
    pub fn check(self) -> Result<Self, ConfigError> {
        if self.cluster_certificate_minutes == 0 {
            return Err(ConfigError::NoCertificateLife);
        }
        if self.cluster_voter_silent_seconds < VOTER_SILENT_SECONDS_MIN {
            return Err(ConfigError::VoterSilentTooShort);
        }
        if let Some(text) = self.self_check_address.as_deref().filter(|text| host_and_port(text).is_none()) {
            return Err(ConfigError::BadSelfCheckAddress(text.to_owned()));
        }
        for origin in &self.allowed_origins {
            let parsed = Url::parse(origin).ok();
            let same = parsed
                .is_some_and(|url| url.scheme() == "https" && url.origin().ascii_serialization() == *origin);
            if !same {
                return Err(ConfigError::BadOrigin { origin: origin.clone() });
            }
        }
        Ok(self)
    }

    /// The node's private key file.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| {
            let mut name = self.dir.file_name().unwrap_or_default().to_owned();
            name.push(".key");
            self.dir.with_file_name(name)
        })
    }

    /// What the node's own certificate vouches for: the machine, the configured names, and the address that is listened on.
    #[must_use]
    pub fn certificate_names(&self) -> Names {
        let mut names = Names::of_this_machine(&self.hostnames);
        if !self.listen.ip().is_unspecified() {
            names.add(&self.listen.ip().to_string());
        }
        names
    }

    /// Host and port of `self_check_address`.
    #[must_use]
    pub fn self_check_place(&self) -> Option<(String, u16)> {
        self.self_check_address.as_deref().and_then(host_and_port)
    }

    /// The address clients on this machine use.
    #[must_use]
    pub fn local_url(port: u16) -> String {
        format!("https://{}:{port}", Ipv4Addr::LOCALHOST)
    }
}

/// The parts of `media.example`, `media.example:8443` or `[2001:db8::1]:443`; the port is that of HTTPS unless given.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let url = Url::parse(&format!("https://{text}")).ok()?;
    let bare = !text.contains(['/', '@', '?', '#', '\\']);
    let host = url.host_str().filter(|_| bare)?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((host, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_with_its_name() {
        let error = toml::from_str::<Config>("lisden = \"[::]:443\"").unwrap_err();
        assert!(error.to_string().contains("lisden"), "{error}");
    }

    #[test]
    fn an_allowed_origin_must_be_a_bare_https_origin() {
        for bad in ["http://a.example", "https://a.example/", "https://a.example/x", "*", "a.example"] {
            let config = Config { allowed_origins: vec![bad.to_owned()], ..Config::default() };
            assert!(config.check().is_err(), "{bad}");
        }
        let config =
            Config { allowed_origins: vec!["https://a.example:8443".to_owned()], ..Config::default() };
        assert!(config.check().is_ok());
    }

    #[test]
    fn a_time_that_would_do_harm_is_refused_with_its_name() {
        let silent = Config { cluster_voter_silent_seconds: 4, ..Config::default() };
        assert!(silent.check().unwrap_err().to_string().contains("cluster_voter_silent_seconds"));
        let certificate = Config { cluster_certificate_minutes: 0, ..Config::default() };
        assert!(certificate.check().unwrap_err().to_string().contains("cluster_certificate_minutes"));
    }

    #[test]
    fn where_a_node_looks_at_itself_is_a_host_with_or_without_a_port() {
        let place = |text: &str| {
            Config { self_check_address: Some(text.to_owned()), ..Config::default() }.check().map(|config| {
                config.self_check_place().map(|(host, port)| format!("{host} {port}")).unwrap_or_default()
            })
        };
        assert_eq!(place("media.example").unwrap(), "media.example 443");
        assert_eq!(place("[2001:db8::1]:8443").unwrap(), "2001:db8::1 8443");
        for bad in ["", "https://media.example", "media.example/x", "me@media.example", "media.example:99999"]
        {
            assert!(place(bad).unwrap_err().to_string().contains("self_check_address"), "{bad}");
        }
    }

    #[test]
    fn the_own_certificate_vouches_for_the_address_that_is_listened_on() {
        let config = Config { listen: "192.0.2.7:443".parse().unwrap(), ..Config::default() };
        assert!(config.certificate_names().addresses.contains(&IpAddr::from([192, 0, 2, 7])));
        let everywhere = Config::default().certificate_names().addresses;
        assert!(everywhere.iter().all(|address| !address.is_unspecified()), "{everywhere:?}");
    }

    #[test]
    fn the_key_file_lies_beside_the_data_folder() {
        let config = Config { dir: "/srv/media".into(), ..Config::default() };
        assert_eq!(config.key_file(), PathBuf::from("/srv/media.key"));
    }
}
