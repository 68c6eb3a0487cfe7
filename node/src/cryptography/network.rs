//! TLS and certificates: read from the configurations and certificates in use.

use std::sync::Arc;

use cluster::authority::AUTHORITY_DAYS;
use cluster::net::tls::NODE_VERSIONS;
use rustls::crypto::CryptoProvider;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::providers;
use super::keys::facts;
use super::media::NO_KEY;
use super::present::Facts;
use super::{CryptographyUse, KeyId, PostQuantum, Present, Rotated, Rotation, Scope, Standing};
use crate::app::App;
use crate::problem::Problem;
use crate::tls::{self, NODE_DAYS, PUBLIC_VERSIONS};

/// One TLS configuration in use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TlsFacts {
    /// `public`, `nodes`, `to_nodes`, `join` or `outgoing`.
    pub name: &'static str,
    /// Versions of the protocol.
    pub versions: Vec<String>,
    /// Cipher suites, the preferred one first.
    pub cipher_suites: Vec<String>,
    /// Groups for the exchange of keys, the preferred one first.
    pub groups: Vec<String>,
    /// It is FIPS 140-3 through and through, as it says itself.
    pub fips: bool,
}

impl TlsFacts {
    fn of(
        name: &'static str,
        provider: &Arc<CryptoProvider>,
        versions: &[&'static SupportedProtocolVersion],
        fips: bool,
    ) -> Self {
        let spoken = |suite: &&SupportedCipherSuite| versions.contains(&suite.version());
        Self {
            name,
            versions: versions.iter().map(|version| format!("{version:?}")).collect(),
            cipher_suites: provider
                .cipher_suites
                .iter()
                .filter(spoken)
                .map(|suite| format!("{:?}", suite.suite()))
                .collect(),
            groups: provider.kx_groups.iter().map(|group| format!("{:?}", group.name())).collect(),
            fips,
        }
    }

    fn is_hybrid(&self) -> bool {
        self.groups.iter().any(|group| group.contains("MLKEM"))
    }

    fn algorithm(&self) -> String {
        let listed = |words: &[String]| words.join(", ");
        format!("{}; {}; {}", listed(&self.versions), listed(&self.cipher_suites), listed(&self.groups))
    }
}

/// What this node listens with and connects by.
pub(super) fn in_use(app: &App) -> Result<Vec<TlsFacts>, Problem> {
    let public = app.tls.server_config()?;
    let outgoing = tls::outgoing()?;
    let mut found = vec![TlsFacts::of("public", public.crypto_provider(), &PUBLIC_VERSIONS, public.fips())];
    if let Some(nodes) = app.cluster.tls() {
        let (server, client, join) = (nodes.server, nodes.client, nodes.join_server);
        found.push(TlsFacts::of("nodes", server.crypto_provider(), &NODE_VERSIONS, server.fips()));
        found.push(TlsFacts::of("to_nodes", client.crypto_provider(), &NODE_VERSIONS, client.fips()));
        found.push(TlsFacts::of("join", join.crypto_provider(), &NODE_VERSIONS, join.fips()));
    }
    found.push(TlsFacts::of("outgoing", outgoing.crypto_provider(), rustls::ALL_VERSIONS, outgoing.fips()));
    Ok(found)
}

pub(super) fn uses(present: &Facts, tls: &[TlsFacts]) -> Vec<CryptographyUse> {
    let mut uses: Vec<_> = tls.iter().map(connection).collect();
    uses.extend([public_certificate(present), authority(present)]);
    uses.extend(present.node_certificate.not_after_ms.map(|_| node_certificate(present)));
    uses.extend([edge_certificate(), certificates_read()]);
    uses
}

fn connection(facts_of: &TlsFacts) -> CryptographyUse {
    let (id, purpose) = match facts_of.name {
        "public" => ("tls.public", "Browsers, players and API clients that connect to this node."),
        "nodes" => {
            ("tls.nodes", "Other nodes and edges that connect to this node; both sides show a certificate.")
        }
        "to_nodes" => {
            ("tls.to_nodes", "Connections of this node to the others; both sides show a certificate.")
        }
        "join" => {
            ("tls.join", "A node or an edge that joins: it knows the authority by its hash, from the token.")
        }
        _ => ("tls.outgoing", "Webhooks, mail and backups to S3."),
    };
    CryptographyUse {
        id,
        purpose,
        algorithm: facts_of.algorithm(),
        key: Some(facts(KeyId::ConnectionKey)),
        scope: Scope::Connection,
        rotation: Rotation {
            how: Rotated::EachUse,
            detail: "Agreed on for each connection, and forgotten with it.",
        },
        state: Present::default(),
        providers: match facts_of.name {
            "public" => providers(["rustls", "aws-lc-rs", "actix-tls"]),
            "outgoing" => providers(["rustls", "aws-lc-rs", "reqwest", "lettre"]),
            _ => providers(["rustls", "aws-lc-rs", "tokio-rustls"]),
        },
        fips: Standing::MODULE,
        post_quantum: if facts_of.is_hybrid() { PostQuantum::Partly } else { PostQuantum::Broken },
    }
}

fn public_certificate(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "certificate.public",
        purpose: "What this node shows to browsers.",
        algorithm: format!(
            "X.509, a key of the kind in the state; by the node's own authority ECDSA P-256 with SHA-256, for {NODE_DAYS} days"
        ),
        key: Some(facts(KeyId::PublicCertificateKey)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::EachStart,
            detail: "The node's own: a new key and certificate at each start and with another authority. An installed one: by whoever \
                     installed it, at any time, without a restart; an alert says when it ends.",
        },
        state: present.public_certificate.clone(),
        providers: providers(["rcgen", "aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Broken,
    }
}

fn node_certificate(present: &Facts) -> CryptographyUse {
    let days = present.cluster_certificate_days;
    CryptographyUse {
        id: "certificate.node",
        purpose: "By which nodes know one another.",
        algorithm: format!("X.509, ECDSA P-256 with SHA-256, for {days} days"),
        key: Some(facts(KeyId::NodeCertificateKey)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::ByItself,
            detail: "A new key and certificate when two thirds of its life are over, and with another authority.",
        },
        state: present.node_certificate.clone(),
        providers: providers(["rcgen", "aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Broken,
    }
}

fn authority(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "certificate.authority",
        purpose: "Makes the certificates of nodes and edges, and those that browsers see.",
        algorithm: format!("X.509, ECDSA P-256 with SHA-256, for {AUTHORITY_DAYS} days"),
        key: Some(facts(KeyId::AuthorityKey)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::OnRequest,
            detail: "`mediakeep cluster rotate-ca`. Nodes and edges change over by themselves; the one before is trusted until all have.",
        },
        state: present.authority.clone(),
        providers: providers(["rcgen", "aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Broken,
    }
}

fn edge_certificate() -> CryptographyUse {
    let days = cluster::EDGE_PUBLIC_LIFE.as_secs() / 86_400;
    CryptographyUse {
        id: "certificate.edge",
        purpose: "What an edge shows to browsers.",
        algorithm: format!("X.509, ECDSA P-256 with SHA-256, for {days} days"),
        key: Some(facts(KeyId::EdgeCertificateKey)),
        scope: Scope::Edge,
        rotation: Rotation {
            how: Rotated::ByItself,
            detail: "A new key and certificate at each start, and when two thirds of its life are over.",
        },
        state: Present::default(),
        providers: providers(["rcgen", "aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Broken,
    }
}

fn certificates_read() -> CryptographyUse {
    CryptographyUse {
        id: "certificate.reading",
        purpose: "Reading certificates and keys: what they say, whether they fit together, by whom they are.",
        algorithm: "X.509 and PEM; SHA-256 as the fingerprint of a certificate".to_owned(),
        key: None,
        scope: Scope::Value,
        rotation: NO_KEY,
        state: Present::default(),
        providers: providers(["x509-parser", "rustls-pki-types", "aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Broken,
    }
}
