//! How a node joins: the token, the request, the answer.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::connect::listen;
use super::ground::prepare;
use super::identity::Identity;
use super::start::{How, start};
use super::{Cluster, ClusterConfig, Inner, OpenError, ProposeError, Transport};
use crate::actor::Actor;
use crate::authority::{Authority, CertificateKey, NodeName, fingerprint, requested_key};
use crate::command::{ClusterCommand, Command, NewNode, SecretHash};
use crate::id::NodeId;
use crate::keyring::{PublicKey, fill_random};
use crate::net::tls::{JoinCallError, Joins, ask_to_join};
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::seal::Seal;

const PREFIX: &str = "MKJ1-";
/// Of a token for an edge: so that nobody takes one for the other.
const EDGE_PREFIX: &str = "MKE1-";
const CHECKSUM: usize = 4;
/// A token names this many addresses at most.
const ADDRESSES: usize = 8;
/// A cluster that is electing is asked again.
const TRIES: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// What lets one node join, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Which cluster.
    pub cluster: [u8; 16],
    /// SHA-256 of the cluster's authority: whoever answers must have a certificate of it.
    pub authority: [u8; 32],
    /// Known to State by its hash only.
    secret: [u8; JoinToken::SECRET_LENGTH],
    /// When it ends, in ms since 1970.
    pub expires_ms: u64,
    /// Where nodes of the cluster are reached.
    pub addresses: Vec<String>,
}

/// Why a text is not a join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// Something else altogether.
    #[error("this is not a join token: one starts with {PREFIX}")]
    NotAToken,
    /// Cut, mistyped or changed.
    #[error("this join token is incomplete or was changed")]
    Damaged,
    /// For an edge, where a node's was wanted.
    #[error("this token is for an edge: use `mediakeep edge join`")]
    ForAnEdge,
    /// For a node, where an edge's was wanted.
    #[error("this token is for a node: use `mediakeep cluster join`")]
    ForANode,
}

impl JoinToken {
    /// Random bytes of a token.
    pub const SECRET_LENGTH: usize = 32;

    /// The token as it is handed over: text without spaces.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        self.written(PREFIX)
    }

    /// The same for a token that an edge joins by.
    #[must_use]
    pub fn to_edge_text(&self) -> Zeroizing<String> {
        self.written(EDGE_PREFIX)
    }

    fn written(&self, prefix: &str) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(postcard::to_allocvec(self).unwrap_or_default());
        let sum = fingerprint(&bytes);
        bytes.extend_from_slice(&sum[..CHECKSUM]);
        Zeroizing::new(format!("{prefix}{}", BASE32_NOPAD.encode(&bytes)))
    }

    /// Reads it back.
    ///
    /// # Errors
    /// [`JoinTokenError`].
    pub fn parse(text: &str) -> Result<Self, JoinTokenError> {
        if text.trim().starts_with(EDGE_PREFIX) {
            return Err(JoinTokenError::ForAnEdge);
        }
        Self::read(text.trim().strip_prefix(PREFIX).ok_or(JoinTokenError::NotAToken)?)
    }

    /// Reads back a token for an edge.
    ///
    /// # Errors
    /// [`JoinTokenError`].
    pub fn parse_edge(text: &str) -> Result<Self, JoinTokenError> {
        if text.trim().starts_with(PREFIX) {
            return Err(JoinTokenError::ForANode);
        }
        Self::read(text.trim().strip_prefix(EDGE_PREFIX).ok_or(JoinTokenError::NotAToken)?)
    }

    fn read(encoded: &str) -> Result<Self, JoinTokenError> {
        let bytes = BASE32_NOPAD.decode(encoded.as_bytes()).map_err(|_| JoinTokenError::Damaged)?;
        let split = bytes.len().checked_sub(CHECKSUM).ok_or(JoinTokenError::Damaged)?;
        let (body, sum) = bytes.split_at(split);
        if fingerprint(body)[..CHECKSUM] != *sum {
            return Err(JoinTokenError::Damaged);
        }
        match postcard::take_from_bytes(body) {
            Ok((token, [])) => Ok(token),
            _ => Err(JoinTokenError::Damaged),
        }
    }

    /// A short form to compare by eye: the same on both sides for the same token. It gives nothing of the secret away.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = fingerprint(&postcard::to_allocvec(self).unwrap_or_default());
        let words: Vec<String> = hash[..8].chunks(2).map(|pair| HEXLOWER.encode(pair)).collect();
        words.join("-")
    }

    pub(super) fn secret_hash(&self) -> SecretHash {
        SecretHash(fingerprint(&self.secret))
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "JoinToken({}, redacted)", self.fingerprint())
    }
}

/// Why a node could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is a node in the folder already.
    #[error("there is a node in {} already", .0.display())]
    Exists(std::path::PathBuf),
    /// The configuration names no port to listen on.
    #[error("a node that joins must listen for the others")]
    NoTransport,
    /// No node of the cluster could be asked.
    #[error(transparent)]
    Call(#[from] JoinCallError),
    /// The cluster said no.
    #[error(transparent)]
    Refused(#[from] ProposeError),
    /// This node failed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

#[derive(Serialize, Deserialize)]
struct Request {
    secret: [u8; 32],
    node: NewNode,
    /// A CSR (DER).
    request: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Admitted {
    node: NodeId,
    authority: Vec<u8>,
    certificate: Vec<u8>,
    seeds: Vec<(NodeId, String)>,
}

type Answer = Result<Admitted, ProposeError>;

#[cfg(feature = "sim")]
impl JoinToken {
    /// For tests: one that opens nothing.
    #[must_use]
    pub fn example() -> Self {
        Self {
            cluster: [1; 16],
            authority: [2; 32],
            secret: [3; 32],
            expires_ms: 1_900_000_000_000,
            addresses: vec!["192.0.2.1:7443".to_owned()],
        }
    }
}

/// For tests and fuzzing: reads bytes as a request to join and as its answer.
#[cfg(feature = "sim")]
pub(crate) fn read_join_messages(bytes: &[u8]) {
    if let Ok(request) = postcard::from_bytes::<Request>(bytes) {
        drop(requested_key(&request.request));
    }
    drop(postcard::from_bytes::<Answer>(bytes));
}

/// Answers nodes that want to join, on any node of the cluster.
pub(super) struct Door(pub(super) Weak<Inner>);

#[async_trait]
impl Joins for Door {
    async fn join(&self, request: Bytes) -> Result<Bytes, String> {
        let request: Request =
            postcard::from_bytes(&request).map_err(|_| "this is not a request to join".to_owned())?;
        let cluster = self.0.upgrade().map(|inner| Cluster { inner }).ok_or("this node is stopping")?;
        let answer: Answer = cluster.admit(request).await;
        postcard::to_allocvec(&answer).map(Bytes::from).map_err(|error| error.to_string())
    }
}

impl Cluster {
    /// A token for one node to join by, until `expires_ms`.
    ///
    /// # Errors
    /// [`ProposeError`] when `actor` may not make one, or the cluster cannot agree on it.
    pub async fn new_join_token(&self, actor: Actor, expires_ms: u64) -> Result<JoinToken, ProposeError> {
        let token = self.draw_token(expires_ms)?;
        let command = ClusterCommand::CreateJoinToken { secret_hash: token.secret_hash(), expires_ms };
        self.propose(actor, Command::Cluster(command)).await?;
        Ok(token)
    }

    /// A token of which State does not know yet.
    pub(super) fn draw_token(&self, expires_ms: u64) -> Result<JoinToken, ProposeError> {
        let unavailable = |reason: &str| ProposeError::Unavailable(reason.to_owned());
        let state = self.state();
        let info = state.cluster_info().ok_or_else(|| unavailable("there is no cluster yet"))?;
        let authority =
            state.authority().ok_or_else(|| unavailable("this node does not listen for other nodes"))?;
        let places = self.whereabouts().into_iter();
        let addresses = places.map(|place| place.cluster_address).take(ADDRESSES).collect();
        let mut secret = [0; 32];
        fill_random(&mut secret).map_err(|error| ProposeError::Unavailable(error.to_string()))?;
        Ok(JoinToken {
            cluster: info.id,
            authority: fingerprint(&authority.certificate),
            secret,
            expires_ms,
            addresses,
        })
    }

    async fn admit(&self, request: Request) -> Answer {
        let unavailable = |error: &dyn std::fmt::Display| ProposeError::Unavailable(error.to_string());
        let malformed =
            || ProposeError::Refused(Refusal::invalid("request", crate::refusal::Problem::Malformed));
        let asked = requested_key(&request.request).map_err(|_| malformed())?;
        if asked != request.node.certificate_key {
            return Err(malformed());
        }
        let secret_hash = SecretHash(fingerprint(&request.secret));
        // A node that joins says where the others reach it; an edge has no such place.
        let is_edge = request.node.cluster_address.is_empty();
        self.knows_token(&secret_hash, is_edge).await?;
        let node = if is_edge {
            self.admit_edge(secret_hash, request.node).await?
        } else {
            self.admit_node(secret_hash, request.node).await?
        };
        let state = self.state();
        let stored = state.authority().ok_or_else(|| unavailable(&"the cluster has no authority"))?;
        let cluster = state.cluster_info().map(|info| info.id).unwrap_or_default();
        let authority = Authority::open(stored, &self.inner.keyring).map_err(|error| unavailable(&error))?;
        let name = if is_edge { NodeName::edge(cluster, node) } else { NodeName::node(cluster, node) };
        let certificate = authority
            .certify(&request.request, name, self.certificate_life())
            .map_err(|error| unavailable(&error))?;
        let seeds = self.whereabouts().into_iter().filter(|place| place.node != node);
        let seeds = seeds.map(|place| (place.node, place.cluster_address)).collect();
        tracing::info!(%node, is_edge, "a node was admitted");
        Ok(Admitted { node, authority: stored.certificate.clone(), certificate, seeds })
    }

    /// Whether anybody made such a token. Whoever knocks without one is nobody, and may not fill the log, nor the audit log.
    async fn knows_token(&self, secret_hash: &SecretHash, is_edge: bool) -> Result<(), ProposeError> {
        let known = |state: &crate::state::State| match is_edge {
            true => state.edge_token(secret_hash).is_some(),
            false => state.join_token(secret_hash).is_some(),
        };
        // One that was just made may not have come here yet.
        if known(&self.state()) || known(&*self.linearizable().await?) {
            return Ok(());
        }
        tracing::warn!(is_edge, "somebody who wants to join has no token of this cluster");
        Err(ProposeError::Refused(Refusal::JoinTokenUnknown))
    }

    async fn admit_node(&self, secret_hash: SecretHash, node: NewNode) -> Result<NodeId, ProposeError> {
        let malformed =
            || ProposeError::Refused(Refusal::invalid("request", crate::refusal::Problem::Malformed));
        let recipient = PublicKey::from_bytes(node.public_key);
        let sealed = self.inner.keyring.seal_all_to(&recipient).map_err(|_| malformed())?;
        let sealed = sealed.into_iter().map(|one| (one.epoch, one.sealed)).collect();
        let command = ClusterCommand::AdmitNode { secret_hash, node, sealed };
        match self.propose(Actor::system(self.inner.node), Command::Cluster(command)).await? {
            Outcome::Node(node) => Ok(node),
            _ => Err(ProposeError::Unavailable("no id was given".to_owned())),
        }
    }

    /// Joins a cluster by `token` with the empty folder `config.dir`, and opens the node once it knows all the others know.
    ///
    /// # Errors
    /// [`JoinError`] says whether the token, the cluster or this node is at fault. Nothing is left that looks like a node.
    pub async fn join(
        config: ClusterConfig,
        seal: Arc<dyn Seal>,
        token: &JoinToken,
    ) -> Result<Self, JoinError> {
        if ClusterConfig::is_initialised(&config.dir) || config.identity_file().exists() {
            return Err(JoinError::Exists(config.dir));
        }
        let (listener, cluster_address) = listen(&config)?.ok_or(JoinError::NoTransport)?;
        let Transport::Tls(settings) = &config.transport else { return Err(JoinError::NoTransport) };
        let (secrets, storage_key) = prepare(&config, &*seal)?;
        let key = CertificateKey::generate().map_err(super::connect::certificates)?;
        let new = NewNode {
            name: config.node_name.clone(),
            site: config.site.clone(),
            public_key: *secrets.public_key().as_bytes(),
            certificate_key: key.public_hash,
            cluster_address: cluster_address.clone(),
            public_address: settings.public_address.clone(),
        };
        let identity = be_admitted(token, new, &key).await?;
        identity.write(&config, &storage_key)?;
        drop(secrets);
        let cluster = start(config, seal, How::Join).await?;
        if let Err(error) = cluster.connect(Some((listener, cluster_address))).await {
            cluster.shutdown().await;
            return Err(error.into());
        }
        Ok(cluster)
    }
}

/// Has `new` admitted by `token`, and gives who it is from then on: nothing of it is kept yet.
pub(super) async fn be_admitted(
    token: &JoinToken,
    new: NewNode,
    key: &CertificateKey,
) -> Result<Identity, JoinError> {
    let request = Request { secret: token.secret, node: new, request: key.request.clone() };
    let admitted = knock(token, &request).await?;
    Ok(Identity {
        node: admitted.node,
        cluster: token.cluster,
        authority: admitted.authority,
        certificate: admitted.certificate,
        key: key.key.to_vec(),
        starts: 0,
        seeds: admitted.seeds,
        settled: false,
    })
}

/// Asks every address of the token in turn, and again while the cluster cannot agree.
async fn knock(token: &JoinToken, request: &Request) -> Result<Admitted, JoinError> {
    let encoded = postcard::to_allocvec(request).map_err(|error| OpenError::Consensus(error.to_string()))?;
    let encoded = Bytes::from(encoded);
    let mut failed = JoinError::Call(JoinCallError::Refused("the token names no address".to_owned()));
    for _ in 0..TRIES {
        for address in &token.addresses {
            let answer = match ask_to_join(address, token.authority, encoded.clone()).await {
                Ok(answer) => answer,
                Err(error @ JoinCallError::WrongAuthority(_)) => return Err(error.into()),
                Err(error) => {
                    // A clock that is wrong matters with every node; that another one is away says less.
                    if !matches!(failed, JoinError::Call(JoinCallError::WrongTime(_))) {
                        failed = error.into();
                    }
                    continue;
                }
            };
            let answer: Answer =
                postcard::from_bytes(&answer).map_err(|error| OpenError::Consensus(error.to_string()))?;
            match answer {
                Ok(admitted) => return Ok(admitted),
                // The same request may be sent again: it is told the same.
                Err(
                    error @ (ProposeError::NotLeader { .. }
                    | ProposeError::OutcomeUnknown
                    | ProposeError::Unavailable(_)
                    | ProposeError::Refused(Refusal::StaleKeyEpoch { .. })),
                ) => failed = error.into(),
                Err(error) => return Err(error.into()),
            }
        }
        if token.addresses.is_empty() {
            break;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            cluster: [1; 16],
            authority: [2; 32],
            secret: [3; 32],
            expires_ms: 1_900_000_000_000,
            addresses: vec!["192.0.2.1:7443".to_owned(), "[2001:db8::1]:7443".to_owned()],
        }
    }

    #[test]
    fn a_token_is_read_back_and_every_slip_is_noticed() {
        let text = token().to_text();
        let again = JoinToken::parse(&format!("  {}\n", *text)).unwrap();
        assert_eq!((&again, again.fingerprint()), (&token(), token().fingerprint()));
        for at in PREFIX.len()..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(JoinToken::parse(&changed).map(drop), Err(JoinTokenError::Damaged), "at {at}");
            assert!(JoinToken::parse(&text[..at]).is_err());
        }
        assert_eq!(JoinToken::parse("hello").map(drop), Err(JoinTokenError::NotAToken));
        let edge = token().to_edge_text();
        assert_eq!(JoinToken::parse_edge(&edge).unwrap(), token());
        assert_eq!(JoinToken::parse(&edge).map(drop), Err(JoinTokenError::ForAnEdge));
        assert_eq!(JoinToken::parse_edge(&text).map(drop), Err(JoinTokenError::ForANode));
    }

    #[test]
    fn a_printed_token_gives_no_secret_away() {
        let printed = format!("{:?}", token());
        assert!(printed.contains("redacted") && !printed.contains("3, 3"), "{printed}");
    }
}
