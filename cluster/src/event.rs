//! What changed: to workers, to the search index and to the console's event stream.

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, ApplicationId, AssetId, BlobId, CollectionId, JobId, SessionId, UserId};

/// A change of State. An Event names what changed; the reader looks at State for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Something about an asset, including its creation.
    AssetChanged {
        /// The asset.
        asset: AssetId,
        /// Where it is.
        application: ApplicationId,
    },
    /// An asset is purged: its key is forgotten, its files are to be removed.
    AssetPurged {
        /// The asset.
        asset: AssetId,
        /// Where it was.
        application: ApplicationId,
    },
    /// A Blob is no longer wanted; its file is to be removed.
    BlobDropped {
        /// Its asset.
        asset: AssetId,
        /// The Blob.
        blob: BlobId,
    },
    /// A Blob has a new writer epoch: a writer of a lower one must stop.
    BlobTakenOver {
        /// Its asset.
        asset: AssetId,
        /// The Blob.
        blob: BlobId,
        /// The epoch now granted.
        epoch: u64,
    },
    /// A Job was queued, leased, ended, cancelled or retried.
    JobChanged {
        /// The Job.
        job: JobId,
        /// What it works on.
        asset: AssetId,
        /// Where.
        application: ApplicationId,
    },
    /// Running Views of this asset must be checked again.
    WatchRulesChanged {
        /// The asset.
        asset: AssetId,
    },
    /// A collection was made, renamed or removed.
    CollectionChanged {
        /// The collection.
        collection: CollectionId,
        /// Where.
        application: ApplicationId,
    },
    /// A person was added, renamed, suspended, freed or made admin, or their passphrase changed.
    UserChanged {
        /// The person.
        user: UserId,
    },
    /// A person is gone.
    UserRemoved {
        /// The person.
        user: UserId,
    },
    /// A sign-in is over.
    SessionEnded {
        /// The sign-in.
        session: SessionId,
        /// Whose.
        user: UserId,
    },
    /// An API key was made or revoked.
    ApiKeyChanged {
        /// The key.
        key: ApiKeyId,
        /// Where.
        application: ApplicationId,
    },
    /// An application was made or changed.
    ApplicationChanged {
        /// The application.
        application: ApplicationId,
    },
    /// An application is gone with its members, keys and assets.
    ApplicationRemoved {
        /// The application.
        application: ApplicationId,
    },
    /// Who belongs to an application, or with which role.
    MembersChanged {
        /// The application.
        application: ApplicationId,
    },
    /// The cluster key has a new epoch: assets are to be rewrapped.
    ClusterKeyRotated {
        /// The new epoch.
        epoch: u32,
    },
    /// The cluster was initialised, claimed, or its settings changed.
    ClusterChanged,
    /// Other nodes hold an asset than before.
    HoldersChanged {
        /// The asset.
        asset: AssetId,
    },
    /// A place for backups, or a run, was made, changed or has ended.
    BackupsChanged,
    /// An alert came, went or was acknowledged, or alerts are told elsewhere.
    AlertsChanged,
    /// An edge came, went or started, or what edges keep warm or must forget was changed.
    EdgesChanged,
    /// State came whole, from a snapshot: anything may have changed since the event before.
    StateReplaced,
    /// A Blob of an asset, or its manifest, is final: whoever holds the asset is to have it.
    BlobSealed {
        /// The asset.
        asset: AssetId,
    },
}
