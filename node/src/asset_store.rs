//! One asset's Blobs as the node uses them: the Commands of State and the bytes on disk, kept in step.
//!
//! State is asked first (open, take over), the disk follows; when sealing, the disk is first and State is told. Whatever is
//! killed in between, the next one who comes finds which half is missing and completes it.

use std::sync::Arc;

use bytes::Bytes;
use cluster::Cluster;
use cluster::ProposeError;
use cluster::actor::Actor;
use cluster::command::AssetCommand;
use cluster::command::BlobKind;
use cluster::command::Command;
use cluster::command::JobCommand;
use cluster::command::JobFence;
use cluster::command::JobKind;
use cluster::id::AssetId;
use cluster::id::BlobId;
use cluster::id::JobId;
use cluster::keyring::DataKey;
use cluster::keyring::KeyError;
use cluster::outcome::Outcome;
use cluster::refusal::Noun;
use cluster::refusal::Refusal;
use cluster::state::Asset;
use cluster::state::BlobRecord;
use cluster::store::BlobError;
use cluster::store::BlobReader;
use cluster::store::BlobWriter;
use cluster::store::FIRST_EPOCH;
use cluster::store::LARGEST_WHOLE;
use cluster::store::Sealed;
use thiserror::Error;

use crate::manifest::LARGEST;
use crate::manifest::Manifest;
use crate::manifest::ManifestError;
use crate::manifest::SealedRef;
use crate::problem::Problem;

/// Why bytes of an asset could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The bytes.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Agreement.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// Its manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Larger than such a thing is.
    #[error("{0} bytes are more than this may have")]
    TooLong(u64),
}

impl StoreError {
    /// There is no such asset (any more).
    pub fn gone() -> Self {
        Self::Propose(ProposeError::Refused(Refusal::NotFound(Noun::Asset)))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Propose(error) => Self::from(error),
            StoreError::Blob(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

/// An open Blob with its one writer.
#[derive(Debug, Clone)]
pub struct OpenBlob {
    /// The Blob.
    pub id: BlobId,
    /// What it holds.
    pub kind: BlobKind,
    /// Its writer; the epoch is the writer's.
    pub writer: BlobWriter,
}

/// What taking over a Blob found.
#[derive(Debug)]
pub enum Resumed {
    /// It can be written on.
    Open(OpenBlob),
    /// It is complete, and State knows by now.
    Sealed(SealedRef),
}

/// Reads and writes Blobs of assets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AssetStore {
    cluster: Cluster,
}

impl AssetStore {
    /// Over the node's cluster handle.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// The cluster handle.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// This node, acting by itself.
    pub fn node(&self) -> Actor {
        Actor::system(self.cluster.node_id())
    }

    /// The asset as State has it now.
    pub fn asset(&self, id: AssetId) -> Result<Arc<Asset>, StoreError> {
        self.cluster.state().asset(id).cloned().ok_or_else(StoreError::gone)
    }

    /// The asset's data key.
    pub fn key(&self, asset: &Asset) -> Result<DataKey, StoreError> {
        Ok(self.cluster.keys().open_data_key(&asset.wrapped_key, asset.id, asset.key_epoch)?)
    }

    /// A reader of one of its Blobs.
    pub async fn reader(&self, asset: &Asset, blob: BlobId) -> Result<BlobReader, StoreError> {
        Ok(self.cluster.bytes().reader(asset.id, blob, &self.key(asset)?).await?)
    }

    /// A whole small Blob, of at most `limit` bytes.
    pub async fn read_whole(&self, asset: &Asset, blob: BlobId, limit: u64) -> Result<Bytes, StoreError> {
        let reader = self.reader(asset, blob).await?;
        let length = reader.length();
        if length > limit {
            return Err(StoreError::TooLong(length));
        }
        Ok(reader.read_span(0, length).await?)
    }

    /// The manifest in force, if there is one.
    pub async fn manifest(&self, asset: &Asset) -> Result<Option<Manifest>, StoreError> {
        let Some(named) = asset.manifest else { return Ok(None) };
        let bytes = self.read_whole(asset, named.blob, LARGEST).await?;
        Ok(Some(Manifest::decode(&bytes)?))
    }

    /// Opens a new Blob.
    pub async fn open(
        &self,
        actor: &Actor,
        asset: &Asset,
        kind: BlobKind,
        label: &str,
        fence: Option<JobFence>,
    ) -> Result<OpenBlob, StoreError> {
        let blob = self.begin_blob(actor, asset, kind, label, fence).await?;
        let key = self.key(asset)?;
        let writer = self.cluster.bytes().create(asset.id, blob, kind, FIRST_EPOCH, &key).await?;
        Ok(OpenBlob { id: blob, kind, writer })
    }

    /// Tells State of a new Blob.
    async fn begin_blob(
        &self,
        actor: &Actor,
        asset: &Asset,
        kind: BlobKind,
        label: &str,
        fence: Option<JobFence>,
    ) -> Result<BlobId, StoreError> {
        let (blob, label) = (BlobId::generate(), label.to_owned());
        self.propose(actor, AssetCommand::OpenBlob { asset: asset.id, blob, kind, label, fence }).await?;
        Ok(blob)
    }

    /// Goes on with a Blob somebody began.
    pub async fn resume(
        &self,
        actor: &Actor,
        asset: &Asset,
        blob: &BlobRecord,
    ) -> Result<Resumed, StoreError> {
        if let Some(sealed) = blob.sealed {
            let stored =
                SealedRef { blob: blob.id, kind: blob.kind, length: sealed.length, hash: sealed.hash };
            return Ok(Resumed::Sealed(stored));
        }
        let take_over = AssetCommand::TakeOverBlob { asset: asset.id, blob: blob.id };
        let Outcome::BlobEpoch(epoch) = self.propose(actor, take_over).await? else {
            return Err(StoreError::gone());
        };
        let (blobs, key) = (self.cluster.bytes(), self.key(asset)?);
        let writer = match blobs.take_over(asset.id, blob.id, epoch, &key).await {
            // State was told to open it, and the node was killed before the disk was.
            Err(BlobError::NotFound) => blobs.create(asset.id, blob.id, blob.kind, epoch, &key).await?,
            Err(BlobError::Sealed(sealed)) => {
                let stored = self.tell_sealed(actor, asset.id, blob.id, blob.kind, epoch, sealed).await?;
                return Ok(Resumed::Sealed(stored));
            }
            taken => taken?,
        };
        Ok(Resumed::Open(OpenBlob { id: blob.id, kind: blob.kind, writer }))
    }

    /// Seals a Blob on the disk and in State.
    pub async fn seal(
        &self,
        actor: &Actor,
        asset: AssetId,
        open: OpenBlob,
    ) -> Result<(SealedRef, Sealed), StoreError> {
        let epoch = open.writer.epoch();
        let sealed = open.writer.seal().await?;
        Ok((self.tell_sealed(actor, asset, open.id, open.kind, epoch, sealed).await?, sealed))
    }

    /// Ends an upload: seals the original on the disk, then tells State that it is complete and is to be worked on.
    pub async fn finish_upload(
        &self,
        actor: &Actor,
        asset: AssetId,
        original: OpenBlob,
    ) -> Result<(), StoreError> {
        let (blob, epoch) = (original.id, original.writer.epoch());
        let sealed = original.writer.seal().await?;
        self.tell_uploaded(actor, asset, blob, epoch, sealed).await
    }

    /// Whether so many bytes are written in one go.
    pub fn may_put_whole(&self, length: u64) -> bool {
        length <= LARGEST_WHOLE as u64 && self.cluster.state().level() >= Command::WHOLE_LEVEL
    }

    /// Puts down the original of a new asset in one go, then tells State that the upload is complete and is to be worked on.
    pub async fn put_original(&self, actor: &Actor, asset: AssetId, bytes: Bytes) -> Result<(), StoreError> {
        self.place(asset).await?;
        let record = self.asset(asset)?;
        let (original, key) = (record.original, self.key(&record)?);
        let put = self.cluster.bytes().put_whole(asset, original, BlobKind::Original, &key, bytes);
        self.tell_uploaded(actor, asset, original, FIRST_EPOCH, put.await?).await
    }

    async fn tell_uploaded(
        &self,
        actor: &Actor,
        asset: AssetId,
        blob: BlobId,
        epoch: u64,
        sealed: Sealed,
    ) -> Result<(), StoreError> {
        let Sealed { length, hash, plaintext_sha256 } = sealed;
        let sha256 = plaintext_sha256.ok_or_else(StoreError::gone)?;
        let job = JobId::generate();
        let finish = Command::from(AssetCommand::FinishUpload { asset, epoch, length, hash, sha256, job });
        if finish.level() <= self.cluster.state().level() {
            return Ok(self.cluster.propose(actor.clone(), finish).await.map(drop)?);
        }
        // As long as a node of an older release is in the cluster: the same in the steps it knows.
        self.propose(&self.node(), AssetCommand::SealBlob { asset, blob, epoch, length, hash }).await?;
        self.propose(actor, AssetCommand::UploadFinished { asset, length, sha256 }).await?;
        let queue = JobCommand::Queue { job, asset, kind: JobKind::Transcode };
        Ok(self.cluster.propose(self.node(), queue.into()).await.map(drop)?)
    }

    /// Writes a small Blob in one go and seals it. Nothing of it is visible unless all of it is there.
    pub async fn write_whole(
        &self,
        actor: &Actor,
        asset: &Asset,
        kind: BlobKind,
        label: &str,
        bytes: Bytes,
        fence: Option<JobFence>,
    ) -> Result<SealedRef, StoreError> {
        if !self.may_put_whole(bytes.len() as u64) {
            let open = self.open(actor, asset, kind, label, fence).await?;
            open.writer.write(bytes).await?;
            return Ok(self.seal(actor, asset.id, open).await?.0);
        }
        let blob = self.begin_blob(actor, asset, kind, label, fence).await?;
        let key = self.key(asset)?;
        let put = self.cluster.bytes().put_whole(asset.id, blob, kind, &key, bytes);
        self.tell_sealed(actor, asset.id, blob, kind, FIRST_EPOCH, put.await?).await
    }

    /// Length and SHA-256 of the original's bytes, read through: for an upload whose end was interrupted.
    pub async fn describe_original(&self, asset: &Asset) -> Result<(u64, [u8; 32]), StoreError> {
        let reader = self.reader(asset, asset.original).await?;
        let length = reader.length();
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let mut at = 0;
        while at < length {
            let piece = reader.read_span(at, (length - at).min(u64::from(cluster::store::MAX_READ))).await?;
            at += piece.len() as u64;
            context.update(&piece);
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(context.finish().as_ref());
        Ok((length, sha256))
    }

    /// Tells State where the copies of a new asset go, when this node knows of nodes that are gone or have no room.
    pub async fn place(&self, asset: AssetId) -> Result<(), StoreError> {
        let candidates = self.cluster.bytes().candidates();
        let wanted = cluster::placement::holders_of(asset, &candidates);
        let chosen = self.cluster.state().holders(asset);
        if candidates.len() < 2 || wanted.is_empty() || wanted.iter().eq(chosen.iter()) {
            return Ok(());
        }
        let holders = wanted.iter().collect();
        self.propose(&self.node(), AssetCommand::Place { asset, holders }).await.map(drop)
    }

    /// Gives up a Blob.
    pub async fn drop_blob(&self, actor: &Actor, asset: AssetId, blob: BlobId) -> Result<(), StoreError> {
        self.propose(actor, AssetCommand::DropBlob { asset, blob }).await.map(drop)
    }

    /// Proposes a change of an asset.
    pub async fn propose(&self, actor: &Actor, command: AssetCommand) -> Result<Outcome, StoreError> {
        Ok(self.cluster.propose(actor.clone(), command.into()).await?)
    }

    async fn tell_sealed(
        &self,
        actor: &Actor,
        asset: AssetId,
        blob: BlobId,
        kind: BlobKind,
        epoch: u64,
        sealed: Sealed,
    ) -> Result<SealedRef, StoreError> {
        let (length, hash) = (sealed.length, sealed.hash);
        self.propose(actor, AssetCommand::SealBlob { asset, blob, epoch, length, hash }).await?;
        Ok(SealedRef { blob, kind, length, hash })
    }
}
