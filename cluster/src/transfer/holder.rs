//! The holder's side: what other nodes may ask of the copies here. It needs no key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::{Answer, Failure, Listed, Request, Shared, wire};
use crate::blob::BlobName;
use crate::id::{AssetId, NodeId};
use crate::net::{Message, Serve};
use crate::store::{BlobError, HeldFile, Report, StoredState};

/// How long it may take until State here has a new asset that somebody writes to.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// Assets one question may be about.
pub(super) const LISTED_TOGETHER: usize = 64;
/// Blobs one answer names: what fits a head.
const MOST_LISTED: usize = 800;

/// Serves [`Service::Blob`](crate::net::Service::Blob).
#[derive(Debug)]
pub struct BlobService {
    shared: Arc<Shared>,
}

impl BlobService {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Serve for BlobService {
    async fn serve(&self, from: NodeId, message: Message) -> Result<Message, String> {
        if self.shared.map.site_of(from).is_none() {
            return Err(format!("node {from} does not belong to the cluster"));
        }
        let request: Request = wire::head(&message)?;
        let answer = answer(&self.shared, request, message.body).await;
        let (head, body) =
            answer.unwrap_or_else(|error| (Answer::Failed(Failure::from(error)), Bytes::new()));
        wire::message(&head, body).map_err(|error| error.to_string())
    }
}

/// Carries out one request on the copies here.
pub(super) async fn answer(
    shared: &Shared,
    request: Request,
    body: Bytes,
) -> Result<(Answer, Bytes), BlobError> {
    let blobs = &shared.blobs;
    let done = |()| (Answer::Done, Bytes::new());
    match request {
        Request::Fence { name, epoch } => {
            Ok((Answer::Report(blobs.held_fence(name, epoch).await?), Bytes::new()))
        }
        Request::Report(name) => Ok((Answer::Report(blobs.held_report(name).await?), Bytes::new())),
        Request::Read { name, file, offset, length } => {
            Ok((Answer::Bytes, blobs.held_read(name, file, offset, length).await?))
        }
        Request::ReadForCopy { name, offset, length } => {
            shared.viewers.let_pass().await;
            Ok((Answer::Bytes, blobs.held_read(name, HeldFile::Records, offset, length).await?))
        }
        Request::Begin { name, beginning } => {
            known(shared, name).await?;
            blobs.held_begin(name, beginning, body).await.map(done)
        }
        Request::Write { name, epoch, writes } => blobs.held_write(name, epoch, writes, body).await.map(done),
        Request::Whole { name, epoch, hash } => {
            known(shared, name).await?;
            blobs.held_whole(name, epoch, hash, body).await.map(done)
        }
        Request::List(assets) => Ok((Answer::List(list(shared, assets).await?), Bytes::new())),
        Request::Adopt { name, from, hash } => {
            super::pull::pull(shared, name, from, Some(hash)).await.map(|_| done(()))
        }
    }
}

/// Nothing is begun of an asset that State here does not have: a message that was long on its way may be about one that is
/// purged, and nobody would look for its files again. Whoever writes to a new asset may know of it a little earlier.
///
/// # Errors
/// [`BlobError::NotFound`] when it is not known in time.
async fn known(shared: &Shared, name: BlobName) -> Result<(), BlobError> {
    let (until, mut pause) = (Instant::now() + KNOWN_WITHIN, Duration::from_millis(1));
    while !shared.map.knows(name.asset) {
        if Instant::now() >= until {
            return Err(BlobError::NotFound);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

async fn list(shared: &Shared, assets: Vec<AssetId>) -> Result<Vec<Listed>, BlobError> {
    let wanted: BTreeSet<AssetId> = assets.into_iter().take(LISTED_TOGETHER).collect();
    let mut listed = Vec::new();
    for asset in wanted {
        for stored in shared.blobs.list_asset(asset).await? {
            if stored.state != StoredState::Sealed || listed.len() >= MOST_LISTED {
                continue;
            }
            let name = BlobName { asset, blob: stored.blob };
            // One that cannot even be described is not offered to anybody.
            if let Ok(Report::Sealed { file_length, hash, .. }) = shared.blobs.held_report(name).await {
                listed.push(Listed { asset, blob: stored.blob, file_length, hash });
            }
        }
    }
    Ok(listed)
}
