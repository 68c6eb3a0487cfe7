//! A small file that comes in one request: taken into memory, and put down in one go when all of it is here. A body that is
//! cut off leaves nothing behind, since nothing was begun.

use std::sync::Arc;

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use cluster::actor::Actor;
use cluster::id::{ApplicationId, AssetId, BlobId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::next_chunk;
use super::tus::Metadata;
use super::uploads::{UploadError, Uploads};

/// All small files that are in memory at one time, together.
const AT_ONCE: usize = 32 * 1024 * 1024;

/// Room in memory for small files.
#[derive(Debug, Clone)]
pub struct SmallRoom(Arc<Semaphore>);

impl Default for SmallRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl SmallRoom {
    /// Room for so many bytes, if there is any now.
    fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }
}

/// A whole small file, with its room.
#[derive(Debug)]
pub struct Small {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Small {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A body of `length` bytes, when it is small enough to be written in one go and there is room in memory for it now; else it
/// is to be written as it comes.
///
/// # Errors
/// [`UploadError::Cut`] when it ends early, [`UploadError::TooLong`] when it does not end.
pub async fn take(
    body: &mut Payload,
    length: u64,
    uploads: &Uploads,
    room: &SmallRoom,
) -> Result<Option<Small>, UploadError> {
    if !uploads.store().may_put_whole(length) {
        return Ok(None);
    }
    let Some(room) = room.take(length) else { return Ok(None) };
    uploads.room_for(Some(length))?;
    let length = usize::try_from(length).map_err(|_| UploadError::TooLong { length })?;
    let mut held = BytesMut::with_capacity(length);
    while let Some(chunk) = next_chunk(body).await? {
        if held.len() + chunk.len() > length {
            return Err(UploadError::TooLong { length: length as u64 });
        }
        held.extend_from_slice(&chunk);
    }
    if held.len() < length {
        return Err(UploadError::Cut);
    }
    Ok(Some(Small { bytes: held.freeze(), _room: room }))
}

/// Makes an asset of a whole file. Runs to its end even when the request that asked for it is gone.
///
/// # Errors
/// [`UploadError`]; the asset is given up then.
pub async fn put(
    uploads: &Uploads,
    actor: &Actor,
    application: ApplicationId,
    metadata: Metadata,
    file: Small,
) -> Result<AssetId, UploadError> {
    let (uploads, actor) = (uploads.clone(), actor.clone());
    let task = tokio::spawn(async move {
        let (asset, original) = (AssetId::generate(), BlobId::generate());
        let length = Some(file.bytes.len() as u64);
        uploads.propose_create(&actor, asset, original, application, metadata, length).await?;
        match uploads.store().put_original(&actor, asset, file.bytes.clone()).await {
            Ok(()) => Ok(asset),
            Err(error) => {
                if let Err(error) = uploads.abandon(&uploads.store().node(), asset).await {
                    // The tender tries again.
                    tracing::warn!(%asset, %error, "an upload that failed could not be given up yet");
                }
                Err(error.into())
            }
        }
    });
    task.await.map_err(|_| UploadError::Busy)?
}
