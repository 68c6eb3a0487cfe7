//! What is said of one use of cryptography.

use serde::Serialize;
use utoipa::ToSchema;

use super::Present;
use super::dependencies::DIRECT;

/// One use of cryptography.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CryptographyUse {
    /// Stable name, such as `blob.records`.
    pub id: &'static str,
    /// What for.
    pub purpose: &'static str,
    /// The algorithm with its parameters.
    pub algorithm: String,
    /// Which key; none for what has none.
    pub key: Option<KeyFacts>,
    /// For how much one key or value is good.
    pub scope: Scope,
    /// How the key is exchanged for another.
    pub rotation: Rotation,
    /// How it stands now.
    pub state: Present,
    /// The crates that do it.
    pub providers: Vec<Provider>,
    /// Whether it runs in a module validated by FIPS 140-3.
    pub fips: Standing,
    /// Whether a quantum computer would break it.
    pub post_quantum: PostQuantum,
}

/// A key, never its bytes nor anything made of them.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct KeyFacts {
    /// Which.
    pub id: KeyId,
    /// What people call it.
    pub name: &'static str,
    /// Kind and length.
    pub kind: &'static str,
    /// Where it lies.
    pub kept: &'static str,
    /// What protects it there.
    pub protected_by: &'static str,
}

/// Every key there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyId {
    /// Of one asset.
    DataKey,
    /// Of one Blob and writer epoch.
    BlobKey,
    /// Of the HLS segments of one asset.
    ContentKey,
    /// Of the cluster, in epochs.
    ClusterKey,
    /// What is derived from the cluster key for one purpose.
    ClusterSecretKey,
    /// The root secret of one node.
    NodeKey,
    /// What seals a node's files.
    StorageKey,
    /// On paper.
    RecoveryKey,
    /// Of one backup.
    BackupKey,
    /// Of one start of an edge.
    EdgeKey,
    /// Of the certificate that browsers see.
    PublicCertificateKey,
    /// Of the certificate that other nodes see.
    NodeCertificateKey,
    /// Of the certificate that browsers see at an edge.
    EdgeCertificateKey,
    /// Of the certificate authority.
    AuthorityKey,
    /// Of one TLS connection.
    ConnectionKey,
    /// What a node signs its audit log by.
    AuditKey,
    /// What Views and download links are signed by.
    TokenKey,
    /// What alerts are signed by.
    WebhookSecret,
    /// What opens a place for backups.
    TargetLogin,
    /// Of a person.
    Passphrase,
    /// What goes into the hashes of passphrases.
    Pepper,
    /// Of a sign-in, a key of another system, a link or a joining node.
    Token,
}

/// For how much one key or value is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One asset.
    Asset,
    /// One Blob and one writer epoch of it.
    Blob,
    /// The whole cluster.
    Cluster,
    /// One node.
    Node,
    /// One edge.
    Edge,
    /// One connection.
    Connection,
    /// One backup.
    Backup,
    /// One place for backups.
    Place,
    /// One person.
    Person,
    /// One token or link.
    Token,
    /// One value that is hashed, drawn or compared.
    Value,
}

/// How a key is exchanged for another.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Rotation {
    /// In one word.
    pub how: Rotated,
    /// In a sentence, with the reason where it never is.
    pub detail: &'static str,
}

/// By what a key is exchanged for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rotated {
    /// Without anybody's doing.
    ByItself,
    /// When somebody asks for it.
    OnRequest,
    /// At each start of the process.
    EachStart,
    /// A new one for each use.
    EachUse,
    /// Never; the sentence says why.
    Never,
    /// There is no key.
    NoKey,
}

/// A crate, or this product itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Provider {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Provider {
    /// The crate of this name that our own depend on; this product for its own name.
    pub(super) fn of(name: &'static str) -> Self {
        if name == OWN {
            return Self { name, version: env!("CARGO_PKG_VERSION") };
        }
        let known = DIRECT.iter().find(|(known, _)| *known == name);
        Self { name, version: known.map_or("", |(_, version)| version) }
    }
}

/// What is not done by a crate of others.
pub(super) const OWN: &str = "mediakeep";

pub(super) fn providers<const N: usize>(names: [&'static str; N]) -> Vec<Provider> {
    names.into_iter().map(Provider::of).collect()
}

/// Whether it runs in a module validated by FIPS 140-3.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Standing {
    /// Where. `outside` for everything in the usual build.
    pub runs: RunsIn,
    /// What does not run there in a build for FIPS 140-3, or not as a service that its certificate covers.
    pub note: Option<&'static str>,
}

/// Where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunsIn {
    /// In the validated module.
    Module,
    /// Part of it does.
    Partly,
    /// None of it does.
    Outside,
}

impl Standing {
    pub(super) const MODULE: Self = Self { runs: RunsIn::Module, note: None };

    pub(super) const fn module(note: &'static str) -> Self {
        Self { runs: RunsIn::Module, note: Some(note) }
    }

    pub(super) const fn partly(note: &'static str) -> Self {
        Self { runs: RunsIn::Partly, note: Some(note) }
    }

    pub(super) const fn outside(note: &'static str) -> Self {
        Self { runs: RunsIn::Outside, note: Some(note) }
    }
}

/// Whether a quantum computer would break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostQuantum {
    /// It would not: symmetric ciphers, hashes, random values.
    Safe,
    /// Not what is agreed with another side that speaks ML-KEM; what is signed it would.
    Partly,
    /// It would.
    Broken,
}
