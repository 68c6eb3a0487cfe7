//! The asset record: what apply, permission and lists need. Everything else is in the asset's manifest.

use serde::{Deserialize, Serialize};

use crate::actor::ActorKind;
use crate::command::{AccessRule, BlobKind, KeyEpoch, MediaFacts, WrappedKey};
use crate::id::{ApplicationId, AssetId, BlobId, CollectionId, JobId, UserId};

/// Where an asset's processing stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetState {
    /// The original is not complete.
    Uploading,
    /// The original is complete, what is made from it is not.
    Processing,
    /// Complete.
    Ready,
    /// It cannot be processed.
    Failed {
        /// Stable code, such as `damaged`.
        code: String,
        /// For people.
        reason: String,
    },
}

/// [`AssetState`] without the reason: for filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetStateKind {
    /// The original is not complete.
    Uploading,
    /// The original is complete, what is made from it is not.
    Processing,
    /// Complete.
    Ready,
    /// It cannot be processed.
    Failed,
}

impl AssetState {
    /// Without the reason.
    #[must_use]
    pub fn kind(&self) -> AssetStateKind {
        match self {
            Self::Uploading => AssetStateKind::Uploading,
            Self::Processing => AssetStateKind::Processing,
            Self::Ready => AssetStateKind::Ready,
            Self::Failed { .. } => AssetStateKind::Failed,
        }
    }
}

/// Whether an asset is in the trash. A purged asset has no record any more, only a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Not in the trash.
    Live,
    /// In the trash: unplayable, restorable.
    Trashed {
        /// Since when.
        at_ms: u64,
        /// Until when it is kept.
        until_ms: u64,
        /// When a node first noted that this time is over.
        noted_due_ms: Option<u64>,
    },
}

/// A Blob State knows of: the original, those being written, those sealed since the last manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// Id.
    pub id: BlobId,
    /// What it holds.
    pub kind: BlobKind,
    /// A short name by which its maker finds it again.
    pub label: String,
    /// The epoch of its writer.
    pub epoch: u64,
    /// Length and hash once sealed.
    pub sealed: Option<SealedBlob>,
}

/// What is final about a sealed Blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedBlob {
    /// Plaintext bytes.
    pub length: u64,
    /// Hash over the ciphertext.
    pub hash: [u8; 32],
}

/// The manifest in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRef {
    /// Its Blob.
    pub blob: BlobId,
    /// Length and hash.
    pub sealed: SealedBlob,
}

/// When viewers may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishWindow {
    /// Not before.
    pub from_ms: Option<u64>,
    /// Not after.
    pub until_ms: Option<u64>,
}

impl PublishWindow {
    /// Whether `now_ms` is inside.
    #[must_use]
    pub fn contains(&self, now_ms: u64) -> bool {
        self.from_ms.is_none_or(|from| now_ms >= from) && self.until_ms.is_none_or(|until| now_ms < until)
    }
}

/// One video, recording or audio file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Id.
    pub id: AssetId,
    /// Where it is.
    pub application: ApplicationId,
    /// Who made it.
    pub created_by: ActorKind,
    /// Its title.
    pub title: String,
    /// Free text.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The application's own fields.
    pub fields: Vec<(String, String)>,
    /// Collections it is in.
    pub collections: Vec<CollectionId>,
    /// Name of the uploaded file.
    pub file_name: String,
    /// What the client said it is.
    pub media_type: String,
    /// How long the client said it is.
    pub declared_length: Option<u64>,
    /// Bytes uploaded, once finished.
    pub length: Option<u64>,
    /// SHA-256 of the uploaded bytes, once finished.
    pub sha256: Option<[u8; 32]>,
    /// When made.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
    /// Where its processing stands.
    pub state: AssetState,
    /// From the first finished segments on.
    pub watchable: bool,
    /// Whether in the trash.
    pub life: Life,
    /// Published, and when.
    pub published: Option<PublishWindow>,
    /// Who may watch when published.
    pub access: AccessRule,
    /// Why it must be kept, when it must.
    pub legal_hold: Option<String>,
    /// Its data key under the cluster key.
    pub wrapped_key: WrappedKey,
    /// Which cluster key.
    pub key_epoch: KeyEpoch,
    /// The Blob of the uploaded bytes.
    pub original: BlobId,
    /// The Blobs State knows of.
    pub blobs: Vec<BlobRecord>,
    /// The manifest in force, once there is one.
    pub manifest: Option<ManifestRef>,
    /// The still picture for lists.
    pub poster: Option<BlobId>,
    /// What lists show about the media, once known.
    pub facts: Option<MediaFacts>,
    /// The newest Job on it.
    pub job: Option<JobId>,
    /// Views made under another number are over.
    pub view_epoch: u32,
}

impl Asset {
    /// Not in the trash.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.life == Life::Live
    }

    /// Published, and `now_ms` is in its window.
    #[must_use]
    pub fn is_published(&self, now_ms: u64) -> bool {
        self.published.is_some_and(|window| window.contains(now_ms))
    }

    /// The person who uploaded it, when a person did.
    #[must_use]
    pub fn owner(&self) -> Option<UserId> {
        match self.created_by {
            ActorKind::User { user, .. } => Some(user),
            _ => None,
        }
    }

    /// The Blob of this id, when State knows of it.
    #[must_use]
    pub fn blob(&self, id: BlobId) -> Option<&BlobRecord> {
        self.blobs.iter().find(|blob| blob.id == id)
    }

    /// Whether no Blob that is final, and no manifest, sets it apart from `other`.
    #[must_use]
    pub fn has_same_files(&self, other: &Self) -> bool {
        let sealed = |asset: &'_ Self| {
            let blobs = asset.blobs.iter().filter_map(|blob| blob.sealed.map(|sealed| (blob.id, sealed)));
            blobs.collect::<Vec<_>>()
        };
        self.manifest == other.manifest && sealed(self) == sealed(other)
    }
}
