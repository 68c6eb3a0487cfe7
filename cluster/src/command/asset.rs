//! Commands about assets, their Blobs, and collections.

use serde::{Deserialize, Serialize};

use super::values::{AccessRule, BlobKind, JobFence, KeyEpoch, MediaFacts, WrappedKey};
use crate::id::{ApplicationId, AssetId, BlobId, CollectionId, JobId, NodeId};

/// A change of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssetCommand {
    /// A new asset, with its original Blob opened at epoch 1.
    Create {
        /// The asset.
        asset: AssetId,
        /// Where.
        application: ApplicationId,
        /// Its title.
        title: String,
        /// Name of the uploaded file.
        file_name: String,
        /// What the client said it is.
        media_type: String,
        /// How long the client said it is.
        declared_length: Option<u64>,
        /// Its data key under the cluster key.
        wrapped_key: WrappedKey,
        /// Which cluster key.
        key_epoch: KeyEpoch,
        /// The Blob for the uploaded bytes.
        original: BlobId,
    },
    /// Opens a Blob at epoch 1.
    OpenBlob {
        /// Its asset.
        asset: AssetId,
        /// The Blob.
        blob: BlobId,
        /// What it holds.
        kind: BlobKind,
        /// A short name by which its maker finds it again, such as `v720` or `a1`; at most 64 characters.
        label: String,
        /// The Job it is made by, when by one.
        fence: Option<JobFence>,
    },
    /// Takes over writing an open Blob: answers `Outcome::BlobEpoch`, and every lower epoch is out.
    TakeOverBlob {
        /// Its asset.
        asset: AssetId,
        /// The Blob.
        blob: BlobId,
    },
    /// A Blob is complete. Sealing again with the same length and hash is done already.
    SealBlob {
        /// Its asset.
        asset: AssetId,
        /// The Blob.
        blob: BlobId,
        /// The writer's epoch.
        epoch: u64,
        /// Plaintext bytes.
        length: u64,
        /// Hash over the ciphertext.
        hash: [u8; 32],
    },
    /// A Blob is not wanted any more.
    DropBlob {
        /// Its asset.
        asset: AssetId,
        /// The Blob.
        blob: BlobId,
    },
    /// The upload is complete and the original sealed: Uploading becomes Processing (or stays what it is when a
    /// Job has already gone further).
    UploadFinished {
        /// The asset.
        asset: AssetId,
        /// Bytes uploaded.
        length: u64,
        /// SHA-256 of the uploaded bytes.
        sha256: [u8; 32],
    },
    /// The first segments are there: it can be watched.
    SetWatchable {
        /// The asset.
        asset: AssetId,
        /// The Job that made them.
        fence: Option<JobFence>,
    },
    /// The asset's sealed manifest. From now on it names the asset's Blobs, and State forgets every other sealed
    /// Blob but original, manifest and poster. The asset becomes Ready.
    SetManifest {
        /// The asset.
        asset: AssetId,
        /// The sealed manifest Blob.
        blob: BlobId,
        /// Its hash.
        hash: [u8; 32],
        /// Its length.
        length: u64,
        /// The manifest it was made from (`None`: there was none). Another one in between is refused, so that
        /// nothing is lost when two people change captions at once.
        replaces: Option<BlobId>,
        /// What lists show.
        facts: MediaFacts,
        /// The Job that made it, when by one.
        fence: Option<JobFence>,
    },
    /// Title, description, tags, fields, collections.
    Describe {
        /// The asset.
        asset: AssetId,
        /// What changes.
        patch: AssetPatch,
    },
    /// Publishes, within a window of time, or unpublishes.
    Publish {
        /// The asset.
        asset: AssetId,
        /// Publish or not.
        published: bool,
        /// Not before.
        from_ms: Option<u64>,
        /// Not after.
        until_ms: Option<u64>,
    },
    /// Who may watch.
    SetAccess {
        /// The asset.
        asset: AssetId,
        /// Who.
        rule: AccessRule,
    },
    /// Ends every running View of the asset; viewers may start anew.
    EndViews {
        /// The asset.
        asset: AssetId,
    },
    /// To the trash: unplayable at once, restorable until the application's time is over.
    Trash {
        /// The asset.
        asset: AssetId,
    },
    /// Back from the trash.
    Restore {
        /// The asset.
        asset: AssetId,
    },
    /// Forgets the key of a trashed asset. Nothing brings it back.
    Purge {
        /// The asset.
        asset: AssetId,
    },
    /// Gives up an upload that is not finished: purged at once.
    AbandonUpload {
        /// The asset.
        asset: AssetId,
    },
    /// By a node: a trashed asset whose time is over. The first time it is only noted (`Outcome::NotedDue`); when
    /// still due an hour later by cluster time it is purged (`Outcome::Purged`).
    Expire {
        /// The asset.
        asset: AssetId,
    },
    /// Holds an asset against trash and purge, or lets it go.
    SetLegalHold {
        /// The asset.
        asset: AssetId,
        /// Hold or let go.
        hold: bool,
        /// Why.
        reason: String,
    },
    /// The still picture shown in lists: a sealed Blob of this asset, or `None` to take it away.
    SetPoster {
        /// The asset.
        asset: AssetId,
        /// The Blob.
        blob: Option<BlobId>,
    },
    /// A new collection.
    CreateCollection {
        /// The collection.
        collection: CollectionId,
        /// Where.
        application: ApplicationId,
        /// Its name.
        name: String,
    },
    /// Renames a collection.
    UpdateCollection {
        /// Which.
        collection: CollectionId,
        /// Its new name.
        name: String,
    },
    /// Removes a collection; its assets stay.
    DeleteCollection {
        /// Which.
        collection: CollectionId,
    },
    /// By a node: where the copies of a new asset go, when it knows better than State which nodes are alive and have
    /// room. Only as long as nothing of the asset is sealed.
    Place {
        /// The asset.
        asset: AssetId,
        /// Its holders, the first choice first.
        holders: Vec<NodeId>,
    },
    /// By a node: it has a whole, checked copy and holds the asset from now on.
    AddHolder {
        /// The asset.
        asset: AssetId,
        /// Who holds it, too.
        node: NodeId,
        /// The generation of the list of holders this is based on.
        generation: u32,
    },
    /// By a node: a copy is not needed any more. Refused when there would be fewer than there are to be.
    DropHolder {
        /// The asset.
        asset: AssetId,
        /// Who need not hold it any more.
        node: NodeId,
        /// The generation of the list of holders this is based on.
        generation: u32,
    },
    /// By a node: it has a whole, checked copy and holds the asset in the place of another.
    ReplaceHolder {
        /// The asset.
        asset: AssetId,
        /// Who held it.
        old: NodeId,
        /// Who holds it now.
        new: NodeId,
        /// The generation of the list of holders this is based on.
        generation: u32,
    },
    /// The last byte of an upload is here: seals the original, as [`SealBlob`](Self::SealBlob), completes the upload, as
    /// [`UploadFinished`](Self::UploadFinished), and queues the work on it, as
    /// [`Queue`](super::JobCommand::Queue), in one step: all of it or nothing.
    FinishUpload {
        /// The asset.
        asset: AssetId,
        /// The epoch of the original's writer.
        epoch: u64,
        /// Bytes uploaded.
        length: u64,
        /// Hash over the original's ciphertext.
        hash: [u8; 32],
        /// SHA-256 of the uploaded bytes.
        sha256: [u8; 32],
        /// The Job, when there is none on the asset yet.
        job: JobId,
    },
    /// How long the assets of a collection are kept before they are deleted: `None` is for as long as nobody deletes them.
    /// Where an asset is in several collections, the longest time counts.
    SetRetention {
        /// Which.
        collection: CollectionId,
        /// Days from the upload on.
        days: Option<u16>,
        /// Assets that are older already may be deleted. Refused without, when there are some.
        delete_overdue: bool,
    },
}

/// What changes of an asset's description; `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetPatch {
    /// At most 200 characters, not empty.
    pub title: Option<String>,
    /// At most 4,000 characters.
    pub description: Option<String>,
    /// At most 32 of at most 64 characters.
    pub tags: Option<Vec<String>>,
    /// At most 32 names of at most 64 and values of at most 500 characters.
    pub fields: Option<Vec<(String, String)>>,
    /// At most 32 collections of the same application.
    pub collections: Option<Vec<CollectionId>>,
}
