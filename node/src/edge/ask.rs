//! What an edge asks the cluster's nodes, and what they answer. There is nothing else an edge can ask.
//!
//! Encoded by postcard in the head of a message; bytes of files are in its body.

use std::net::IpAddr;

use cluster::authority::Trusted;
use cluster::command::Incarnation;
use cluster::id::{ApiKeyId, ApplicationId, AssetId, BlobId, NodeId, SessionId, UserId, WarmId};
use cluster::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::play::view::ViewClaims;

/// Bytes of a file that go in one answer.
pub const PIECE: u64 = 1 << 20;
/// Cached assets that are asked about at once.
pub const RECONCILED_AT_ONCE: usize = 2_000;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Question {
    /// I have started, or need a new certificate.
    Introduce(Introduction),
    /// How I do.
    Report(EdgeReport),
    /// What has changed since then? The answer waits for a while for something to change.
    Follow {
        /// From the answer before; none at first.
        since: Option<Mark>,
    },
    /// Which of these, each with the Entry at which it was fetched, must be forgotten?
    Reconcile {
        /// At most [`RECONCILED_AT_ONCE`].
        assets: Vec<(AssetId, u64)>,
    },
    /// May whoever shows this token watch?
    Authorise(ViewRight),
    /// The content key of a View.
    Key {
        /// By what right.
        right: ViewRight,
        /// Of which part of a stream.
        period: u32,
        /// Whom it is sealed to.
        recipient: [u8; 32],
    },
    /// Bytes of one file below `/play/<view>/`; never of a key.
    File {
        /// By what right.
        right: Right,
        /// Which.
        file: String,
        /// From which byte.
        offset: u64,
    },
    /// What am I to hold before anybody asks for it?
    WarmList,
    /// Which files does that mean?
    WarmFiles {
        /// One of [`Question::WarmList`].
        asset: AssetId,
    },
    /// By whom may certificates be?
    Authorities {
        /// SHA-256 of the authority that both certificates of this edge are by; none while they are not by the same.
        shown: Option<[u8; 32]>,
    },
}

/// A View, as it came to the edge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRight {
    /// Its token.
    pub token: String,
    /// Who shows it.
    pub address: Option<IpAddr>,
}

/// A token lets whoever has it watch.
impl std::fmt::Debug for ViewRight {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ViewRight(redacted, {:?})", self.address)
    }
}

/// By what right a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Right {
    /// Somebody watches.
    View(ViewRight),
    /// The edge is to hold this asset.
    Warm(AssetId),
}

/// An edge that has started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Introduction {
    /// Which of its starts this is.
    pub incarnation: Incarnation,
    /// Where people reach it: `host:port`.
    pub public_address: String,
    /// The version it runs.
    pub version: String,
    /// A request (CSR, DER) for the certificate that browsers are shown. For which host is not for the edge to say.
    pub public_request: Vec<u8>,
    /// A request for the certificate that nodes are shown, when that is due.
    pub node_request: Option<Vec<u8>>,
}

/// How an edge does, by its own word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// It serves viewers.
    pub serving: bool,
    /// How long an answer of this node took last, in microseconds.
    pub round_trip_us: u32,
    /// Bytes it holds on its disk.
    pub held_bytes: u64,
    /// Bytes it may hold.
    pub most_bytes: u64,
    /// Views it has let watch and still would.
    pub views: u32,
    /// Since it started.
    pub up_ms: u64,
    /// What it keeps warm, and how far it is.
    pub warm: Vec<WarmProgress>,
}

/// How far an edge is with one thing it keeps warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmProgress {
    /// Which.
    pub warm: WarmId,
    /// Assets that are meant now.
    pub assets: u32,
    /// Of those, the ones it holds whole.
    pub whole: u32,
    /// It has no room for the rest.
    pub no_room: bool,
}

/// How far an edge has followed one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// One start of one node: the numbers of another mean something else.
    pub source: u64,
    /// What has changed is numbered from 1.
    pub at: u64,
}

/// Something that may end or change what viewers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Touched {
    /// An asset.
    Asset(AssetId),
    /// A person.
    User(UserId),
    /// A sign-in.
    Session(SessionId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// An application, or who belongs to it.
    Application(ApplicationId),
    /// What edges keep warm or must forget.
    Edges,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Question::Introduce`]: certificates (DER).
    Introduced {
        /// For browsers.
        public_certificate: Vec<u8>,
        /// For nodes, when it was asked for.
        node_certificate: Option<Vec<u8>>,
    },
    /// To [`Question::Report`]: the cluster's nodes, each with where edges and where people reach it.
    Noted {
        /// The nodes.
        nodes: Vec<(NodeId, String, String)>,
    },
    /// To [`Question::Follow`].
    Followed {
        /// How far this goes.
        mark: Mark,
        /// Somebody leads the cluster, as far as this node can tell. What one that cannot tell says counts for nothing.
        leads: bool,
        /// Cluster time.
        now_ms: u64,
        /// What has changed; none when that cannot be told, and so everything may have.
        touched: Option<Vec<Touched>>,
    },
    /// To [`Question::Reconcile`].
    Reconciled {
        /// Those to forget.
        gone: Vec<AssetId>,
        /// Up to which Entry this was decided.
        index: u64,
    },
    /// To [`Question::Authorise`].
    Admitted(Box<Admission>),
    /// To [`Question::Key`].
    Key {
        /// Sealed to the edge that asked.
        sealed: Vec<u8>,
    },
    /// To [`Question::File`]: a part of it is in the body.
    File {
        /// Bytes of the whole file.
        length: u64,
        /// SHA-256 of the whole file, with its first part.
        hash: Option<[u8; 32]>,
    },
    /// To [`Question::WarmList`]: in the body, a [`WarmList`].
    WarmList,
    /// To [`Question::WarmFiles`]: in the body, a [`WarmFiles`].
    WarmFiles,
    /// The viewer is not given it.
    Denied(Denial),
    /// This node failed; another may not.
    Failed(String),
    /// To [`Question::Authorities`].
    Authorities(Trusted),
}

/// A View that may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// What its token says.
    pub claims: ViewClaims,
    /// Where the asset is.
    pub application: ApplicationId,
    /// How long it may go on without the cluster, in ms.
    pub grace_ms: u64,
    /// When this must be asked again at the latest, by cluster time.
    pub until_ms: u64,
    /// The Entry up to which the node knew everything.
    pub index: u64,
    /// What there is to watch.
    pub edition: Edition,
}

/// The Blobs behind the files of an asset: a file of the same Blob never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edition {
    /// Behind playlists and subtitles; none while the asset grows, and so changes.
    pub manifest: Option<BlobId>,
    /// Behind headers and segments, by the rendition's name.
    pub renditions: Vec<(String, BlobId)>,
}

impl Edition {
    /// The Blob of a rendition.
    #[must_use]
    pub fn blob(&self, rendition: &str) -> Option<BlobId> {
        self.renditions.iter().find(|(name, _)| name == rendition).map(|(_, blob)| *blob)
    }
}

/// What an edge is to keep warm: the assets meant by each entry, each with its manifest. With the same manifest there is
/// nothing new to fetch.
pub type WarmList = Vec<(WarmId, Vec<(AssetId, BlobId)>)>;

/// The files of an asset that is kept warm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmFiles {
    /// The Entry up to which the node knew everything.
    pub index: u64,
    /// What there is to watch.
    pub edition: Edition,
    /// Each file below `/play/<view>/`, with its bytes where they are known.
    pub files: Vec<(String, u64)>,
}

/// Why a viewer is given nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Denial {
    /// No such thing.
    NotFound,
    /// The token is not one, or not for this use.
    NotValid,
    /// Its time is over.
    Expired,
    /// The right has ended.
    Refused(Refusal),
    /// Nobody leads the cluster, and nothing new may begin.
    NoNewView,
    /// Nobody leads the cluster, and the grace is over.
    GraceOver,
}

/// Reads a head.
///
/// # Errors
/// When it is none.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err("bytes after the end".to_owned()),
        Err(error) => Err(format!("not understood: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_reads_back_and_a_token_is_not_printed() {
        let right = ViewRight { token: "v1SECRET".to_owned(), address: None };
        let question = Question::Authorise(right);
        let bytes = postcard::to_stdvec(&question).unwrap();
        assert!(
            matches!(read::<Question>(&bytes), Ok(Question::Authorise(again)) if again.token == "v1SECRET")
        );
        assert!(!format!("{question:?}").contains("SECRET"));
        for cut in 0..bytes.len() {
            assert!(read::<Question>(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read::<Question>(&[&bytes[..], b"x"].concat()).is_err());
    }
}
