//! The small value types that Commands carry and State keeps.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::id::{NodeId, UserId};

/// Number of a cluster key. The first is 1; rotation adds one.
pub type KeyEpoch = u32;

/// A hash of a high-entropy secret (session, API key, invitation, reset): SHA-256, made by the proposer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(redacted)")
    }
}

/// A passphrase's argon2id hash in PHC text form, made by the proposer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(redacted)")
    }
}

/// A data key sealed under the cluster key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey(Vec<u8>);

impl WrappedKey {
    /// The wrapped bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for WrappedKey {
    fn from(sealed: Vec<u8>) -> Self {
        Self(sealed)
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WrappedKey({} bytes)", self.0.len())
    }
}

/// Whom a cluster key is sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyHolder {
    /// A core node.
    Node(NodeId),
    /// The recovery key, kept on paper.
    Recovery,
}

/// One cluster-key epoch, sealed (HPKE) to one holder.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedClusterKey {
    /// To whom.
    pub holder: KeyHolder,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedClusterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealedClusterKey({:?}, {} bytes)", self.holder, self.sealed.len())
    }
}

/// What one may do in an application; each role may do what those below it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watches what is published.
    Viewer,
    /// Sees everything, published or not, and changes nothing.
    ReadOnly,
    /// Uploads, edits, publishes, trashes.
    User,
    /// Also members, keys, policy, holds and purging.
    Admin,
}

/// Who may watch a published asset. People who may edit it always may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessRule {
    /// Every member of the application, viewers included.
    Members,
    /// These members only.
    Users(Vec<UserId>),
    /// Only those who may edit.
    Editors,
}

/// What a Blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobKind {
    /// The uploaded file.
    Original,
    /// A video rendition.
    Rendition,
    /// An audio rendition.
    Audio,
    /// Subtitles found in the file.
    Subtitles,
    /// The still picture.
    Poster,
    /// The sheet of thumbnails and its index.
    Storyboard,
    /// The loudness picture.
    Waveform,
    /// The asset's manifest.
    Manifest,
    /// Captions uploaded by a person.
    Caption,
    /// A segment of the audit log.
    Audit,
}

/// What a Job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Makes everything playable from the original.
    Transcode,
}

/// Proof that the proposer works on the asset by the right of a Job's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFence {
    /// The Job.
    pub job: crate::id::JobId,
    /// The epoch its lease gave.
    pub epoch: u64,
}

/// An application's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long running Views go on while the cluster cannot be heard.
    pub offline_grace_ms: u64,
    /// Days between trash and purge.
    pub trash_days: u16,
    /// Whether viewers may download what they may watch.
    pub viewer_may_download: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { offline_grace_ms: 5 * 60 * 1000, trash_days: 30, viewer_may_download: false }
    }
}

/// What lists show about the media, found while it was processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFacts {
    /// Length of the media.
    pub duration_ms: u64,
    /// Height of the top rendition, 0 for audio only.
    pub top_height: u32,
    /// There is moving picture.
    pub has_video: bool,
    /// There is sound.
    pub has_audio: bool,
    /// Bytes of everything made from the original.
    pub stored_bytes: u64,
}

/// One start of a node. A copy of its disk that is started beside it, or in its place later, cannot have the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// How often the node was started.
    pub count: u64,
    /// Random, new at every start.
    pub instance: [u8; 16],
}

impl Incarnation {
    /// Whether a node that shows this may be the one whose newest known start is `known`.
    #[must_use]
    pub fn follows(&self, known: &Self) -> bool {
        self.count > known.count || self == known
    }
}

/// What a node that wants to join says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNode {
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// Cluster keys are sealed to it.
    pub public_key: [u8; 32],
    /// SHA-256 of the public key its certificate is to carry.
    pub certificate_key: [u8; 32],
    /// Where the others reach it: `host:port`.
    pub cluster_address: String,
    /// Where people reach it.
    pub public_address: String,
}

/// A network, and the site its viewers are to be sent to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SiteNetwork {
    /// Whoever comes from one of these addresses.
    pub network: IpNet,
    /// Where such a viewer is near.
    pub site: String,
    /// How near, in milliseconds there and back, where one network is near to several sites. The nearest leads; one
    /// that does not say is nearer than all that do.
    pub round_trip_ms: Option<u32>,
}

/// Which build a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its version, for people.
    pub version: String,
    /// The newest Commands it understands.
    pub level: u32,
}
