//! Connections that this node makes because a person named an address: they lead out, never back inside.
//!
//! A name is looked up once, every address it gives is checked, and only those are connected to: what a name means later,
//! or where an answer redirects to, leads nowhere. Private networks are allowed, as an organisation's own mail and log
//! servers are there; this machine, its neighbours on the same wire and the other nodes are not, unless the operator's
//! configuration says so. What leaves the organisation altogether, as backups may, goes to public addresses and to what the
//! operator has listed.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cluster::state::State;
use ipnet::IpNet;
use url::{Host, Url};

/// How long a look-up may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);
/// How long one exchange may take altogether.
pub const EXCHANGE_WITHIN: Duration = Duration::from_secs(15);

/// Why no connection is made.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Not an HTTPS address with a host and without a user name.
    #[error("the address must be https:// with a host, and without a user name")]
    BadUrl,
    /// No name that a host could have.
    #[error("{0:?} is not the name or the address of a host")]
    BadName(String),
    /// The name has no address, or nobody could say.
    #[error("the name {0} cannot be looked up")]
    UnknownName(String),
    /// It leads to this machine, the link, another node, or to no single machine.
    #[error("the address {0} leads inside and is not connected to")]
    LeadsInside(IpAddr),
    /// The authority to trust is not a PEM certificate.
    #[error("the authority is not a PEM certificate")]
    BadAuthority,
    /// The HTTP client could not be set up.
    #[error("no connection can be set up")]
    Setup(#[source] reqwest::Error),
}

/// Networks that no public host is in.
const NOT_PUBLIC: [&str; 26] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// What is open to connections without being listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    /// Public and private networks: not this machine, the link and the other nodes.
    #[default]
    Outside,
    /// Public networks.
    Public,
    /// Everything: whoever runs this machine names the address.
    Anywhere,
}

/// Decides where connections may lead.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    reach: Reach,
    allowed: Vec<IpNet>,
    /// The nodes' own addresses.
    nodes: BTreeSet<IpAddr>,
}

impl Guard {
    /// For a node that may also connect to `allowed`, whatever is there.
    #[must_use]
    pub fn new(allowed: &[IpNet], state: &State) -> Self {
        let addresses = state.nodes().flat_map(|node| [&node.cluster_address, &node.public_address]);
        let nodes = addresses.filter_map(|address| address.parse::<SocketAddr>().ok());
        let nodes = nodes.map(|address| plain(address.ip())).collect();
        Self { reach: Reach::Outside, allowed: allowed.to_vec(), nodes }
    }

    /// For what leaves the organisation: public addresses, and what is `listed`.
    #[must_use]
    pub fn public_and(listed: &[IpNet]) -> Self {
        Self { reach: Reach::Public, allowed: listed.to_vec(), nodes: BTreeSet::new() }
    }

    /// For addresses that the operator of the machine names on its command line.
    #[must_use]
    pub fn anywhere() -> Self {
        Self { reach: Reach::Anywhere, ..Self::default() }
    }

    /// Whether the operator has named the network of `address`.
    #[must_use]
    pub fn is_listed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.reach == Reach::Anywhere || self.allowed.iter().any(|network| network.contains(&address))
    }

    /// Whether `address` may be connected to.
    ///
    /// # Errors
    /// [`OutboundError::LeadsInside`].
    pub fn check(&self, address: IpAddr) -> Result<(), OutboundError> {
        let inner = plain(address);
        let inside = leads_inside(inner)
            || self.nodes.contains(&inner)
            || self.reach == Reach::Public && !(is_public(address.to_canonical()) && is_public(inner));
        let listed = self.is_listed(address) || self.is_listed(inner);
        if listed || !inside { Ok(()) } else { Err(OutboundError::LeadsInside(inner)) }
    }

    /// The addresses of `host`, all of them checked.
    ///
    /// # Errors
    /// When the name is none or is not known, or any of its addresses leads inside.
    pub async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        let unknown = || OutboundError::UnknownName(host.to_owned());
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_err() && Host::parse(bare).is_err() {
            return Err(OutboundError::BadName(host.to_owned()));
        }
        // The name server's idea of `2130706433` or `0x7f.1` is that of the C library: an address.
        let found = tokio::time::timeout(LOOK_UP_WITHIN, tokio::net::lookup_host((bare, port))).await;
        let found: Vec<SocketAddr> = found.map_err(|_| unknown())?.map_err(|_| unknown())?.collect();
        if found.is_empty() {
            return Err(unknown());
        }
        found.iter().try_for_each(|address| self.check(address.ip()))?;
        Ok(found)
    }

    /// The HTTP client for one exchange with the host of `url`, which trusts `authority` (PEM) alone where given.
    ///
    /// # Errors
    /// When the address is none, leads inside, or the authority is no certificate.
    pub async fn client(&self, url: &Url, authority: Option<&str>) -> Result<reqwest::Client, OutboundError> {
        let plain_form = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        let host = url.host().filter(|_| plain_form).ok_or(OutboundError::BadUrl)?;
        let port = url.port_or_known_default().ok_or(OutboundError::BadUrl)?;
        let addresses = self.look_up(&host.to_string(), port).await?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mediakeep/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(EXCHANGE_WITHIN);
        if let Host::Domain(name) = host {
            builder = builder.resolve_to_addrs(name, &addresses);
        }
        if let Some(pem) = authority {
            let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
            let authorities = authorities.map_err(|_| OutboundError::BadAuthority)?;
            if authorities.is_empty() {
                return Err(OutboundError::BadAuthority);
            }
            builder = builder.tls_certs_only(authorities);
        }
        builder.build().map_err(OutboundError::Setup)
    }
}

/// An IPv4 address is one, however it is dressed as IPv6: mapped, compatible, behind NAT64 or in 6to4.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        _ => IpAddr::V6(v6),
    }
}

fn is_public(address: IpAddr) -> bool {
    let networks = NOT_PUBLIC.iter().filter_map(|network| network.parse::<IpNet>().ok());
    !networks.into_iter().any(|network| network.contains(&address))
}

fn leads_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || first == 0
                || first >= 240
                // Between a provider and its customers: cloud platforms keep their own services there.
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.segments()[0] & 0xffc0 == 0xfe80
                || v6.segments()[0] & 0xffc0 == 0xfec0
                || v6 == METADATA
        }
    }
}

/// Where a cloud's machines ask for their secrets.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(guard: &Guard, address: &str) -> bool {
        guard.check(address.parse().unwrap()).is_ok()
    }

    #[tokio::test]
    async fn what_is_no_name_is_told_from_a_name_that_is_not_known() {
        let guard = Guard::default();
        for wrong in ["", "two words", "a/b", "user@host", "host:443", "\u{ad}", "[::1", "a\u{0}b", "x<y"] {
            let refused = guard.look_up(wrong, 514).await;
            // An address that is a bracket short is one all the same, and leads inside.
            let is_none = matches!(refused, Err(OutboundError::BadName(_) | OutboundError::LeadsInside(_)));
            assert!(is_none, "{wrong:?}: {refused:?}");
        }
        let unknown = guard.look_up("nobody.invalid", 514).await;
        assert!(matches!(unknown, Err(OutboundError::UnknownName(_))), "{unknown:?}");
    }

    #[test]
    fn what_leads_inside_is_refused_however_it_is_written() {
        let guard = Guard::default();
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "::ffff:169.254.169.254",
        ] {
            assert!(!checks(&guard, inside), "{inside} must be refused");
        }
        for outside in ["192.0.2.1", "10.1.2.3", "192.168.1.20", "2001:db8::1", "fd12::5", "::ffff:8.8.8.8"] {
            assert!(checks(&guard, outside), "{outside} must be allowed");
        }
    }

    #[test]
    fn the_other_nodes_are_inside_and_what_the_operator_allows_is_not() {
        let nodes = BTreeSet::from(["10.0.0.7".parse().unwrap()]);
        let allowed = vec!["127.0.0.0/8".parse().unwrap()];
        let guard = Guard { allowed, nodes, ..Guard::default() };
        assert!(!checks(&guard, "10.0.0.7") && !checks(&guard, "::ffff:10.0.0.7"));
        assert!(checks(&guard, "10.0.0.8") && checks(&guard, "127.0.0.1"));
        assert!(!checks(&guard, "::1"), "only what is named");
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_means_and_a_number_by_what_it_is() {
        let guard = Guard::default();
        for host in ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"] {
            let found = guard.look_up(host, 443).await;
            assert!(found.is_err(), "{host} gave {found:?}");
        }
        for url in
            ["http://example.org/", "https://user@example.org/", "ftp://example.org/", "https://127.0.0.1/"]
        {
            assert!(guard.client(&Url::parse(url).unwrap(), None).await.is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn only_public_addresses_and_listed_networks_are_let_through() {
        assert!(NOT_PUBLIC.iter().all(|network| network.parse::<IpNet>().is_ok()));
        let strict = Guard::public_and(&[]);
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "[::1]",
            "localhost",
        ];
        for host in private {
            let refused = strict.look_up(host, 443).await;
            assert!(matches!(refused, Err(OutboundError::LeadsInside(_))), "{host}: {refused:?}");
        }
        for host in ["8.8.8.8", "2606:4700::1"] {
            let found = strict.look_up(host, 443).await.unwrap();
            assert!(!strict.is_listed(found[0].ip()), "{host}");
        }
        let own = Guard::public_and(&["192.168.1.0/24".parse().unwrap()]);
        let found = own.look_up("192.168.1.9", 443).await.unwrap();
        assert!(own.is_listed(found[0].ip()));
        assert!(own.look_up("192.168.2.9", 443).await.is_err());
        assert!(Guard::anywhere().look_up("127.0.0.1", 443).await.is_ok());
    }
}
