//! A small file that comes in one request: taken into memory, and put down in one go when all of it is here. A body that is
//! cut off leaves nothing behind, since nothing was begun.

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use cluster::actor::Actor;
use cluster::id::{ApplicationId, AssetId, BlobId};

use super::body::{CheckedRoom, next_chunk};
use super::tus::Metadata;
use super::uploads::{UploadError, Uploads};

/// A body of `length` bytes, when it is small enough to be written in one go and there is room in memory for it now; else it
/// is to be written as it comes.
///
/// # Errors
/// [`UploadError::Cut`] when it ends early, [`UploadError::TooLong`] when it does not end.
pub async fn take(
    body: &mut Payload,
    length: u64,
    uploads: &Uploads,
    room: &CheckedRoom,
) -> Result<Option<Bytes>, UploadError> {
    let Some(_room) = room.try_take(length).filter(|_| uploads.store().may_put_whole(length)) else {
        return Ok(None);
    };
    uploads.room_for(Some(length))?;
    let length = usize::try_from(length).map_err(|_| UploadError::TooLong { length })?;
    let mut held = BytesMut::with_capacity(length);
    while let Some(chunk) = next_chunk(body).await? {
        if held.len() + chunk.len() > length {
            return Err(UploadError::TooLong { length: length as u64 });
        }
        held.extend_from_slice(&chunk);
    }
    if held.len() == length { Ok(Some(held.freeze())) } else { Err(UploadError::Cut) }
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
    bytes: Bytes,
) -> Result<AssetId, UploadError> {
    let (uploads, actor) = (uploads.clone(), actor.clone());
    let task = tokio::spawn(async move {
        let (asset, original) = (AssetId::generate(), BlobId::generate());
        let length = Some(bytes.len() as u64);
        uploads.propose_create(&actor, asset, original, application, metadata, length).await?;
        match uploads.store().put_original(&actor, asset, bytes).await {
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
