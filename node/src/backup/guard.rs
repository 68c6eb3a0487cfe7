//! Which addresses a backup may be sent to: public ones, and the private networks that the operator of the machine has
//! listed. A name is looked up once, and the connection goes to what was looked at.

use std::net::{IpAddr, SocketAddr};

use cluster::backup::TargetError;
use ipnet::IpNet;

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

/// Looks names up, and lets through only addresses that may be used.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Private networks that may be used. None: whatever the operator names on the command line may.
    networks: Option<Vec<IpNet>>,
    refused: Vec<IpNet>,
}

/// Where a host is.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its addresses that may be used; at least one.
    pub addresses: Vec<SocketAddr>,
    /// The operator has listed its network.
    pub listed: bool,
}

impl Guard {
    /// Public addresses, and those in `networks`.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self { networks: Some(networks.to_vec()), refused: refused() }
    }

    /// Any address: the operator of the machine names it.
    #[must_use]
    pub fn anywhere() -> Self {
        Self { networks: None, refused: refused() }
    }

    fn is_listed(&self, address: IpAddr) -> bool {
        self.networks.as_ref().is_none_or(|networks| networks.iter().any(|known| known.contains(&address)))
    }

    fn may_be_used(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.is_listed(address) || !self.refused.iter().any(|network| network.contains(&address))
    }

    /// Looks `host` up.
    ///
    /// # Errors
    /// [`TargetError::Unreachable`] when it has no address, [`TargetError::Forbidden`] when it has none that may be used.
    pub async fn find(&self, host: &str, port: u16) -> Result<Found, TargetError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let looked_up = tokio::net::lookup_host((bare, port)).await;
        let all: Vec<SocketAddr> = looked_up
            .map_err(|error| TargetError::Unreachable(format!("{bare} cannot be looked up: {error}")))?
            .collect();
        let addresses: Vec<SocketAddr> =
            all.iter().filter(|address| self.may_be_used(address.ip())).copied().collect();
        if addresses.is_empty() {
            let sentence = format!("{bare} is in a private network that the operator has not listed");
            return Err(TargetError::Forbidden(sentence));
        }
        let listed = addresses.iter().all(|address| self.is_listed(address.ip().to_canonical()));
        Ok(Found { addresses, listed })
    }
}

fn refused() -> Vec<IpNet> {
    NOT_PUBLIC.iter().filter_map(|network| network.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_public_addresses_and_listed_networks_are_let_through() {
        assert_eq!(refused().len(), NOT_PUBLIC.len(), "each is a network");
        let strict = Guard::new(&[]);
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
            let refused = strict.find(host, 443).await;
            assert!(matches!(refused, Err(TargetError::Forbidden(_))), "{host}: {refused:?}");
        }
        for host in ["8.8.8.8", "2606:4700::1"] {
            assert!(!strict.find(host, 443).await.unwrap().listed, "{host}");
        }
        let own = Guard::new(&["192.168.1.0/24".parse().unwrap()]);
        assert!(own.find("192.168.1.9", 443).await.unwrap().listed);
        assert!(own.find("192.168.2.9", 443).await.is_err());
        assert!(Guard::anywhere().find("127.0.0.1", 443).await.unwrap().listed);
    }
}
