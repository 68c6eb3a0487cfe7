//! Fetching a whole sealed copy from another node: in pieces, hashed as it comes, checked, and only then there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Answer, Replicas, Request, Shared, unexpected};
use crate::blob::{BlobName, FormatError};
use crate::id::NodeId;
use crate::store::{BlobError, HeldFile, Report};

/// Bytes asked for at a time.
const PIECE: u32 = 1024 * 1024;
/// How often one piece is asked for.
const TRIES: u32 = 3;

/// What fetching a copy led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// It was here already.
    There,
    /// So many bytes came.
    Came(u64),
}

/// Copies on their way here, so that none is fetched twice at once, and how quickly they may come.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    lanes: Mutex<HashMap<BlobName, Arc<tokio::sync::Mutex<()>>>>,
}

impl Pulls {
    fn of(&self, name: BlobName) -> Arc<tokio::sync::Mutex<()>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        Arc::clone(lanes.entry(name).or_default())
    }
}

/// Holds whoever copies in the background to a rate, so that viewers are never starved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) bytes_per_second: Option<u64>,
}

impl Pace {
    async fn after(&self, bytes: u64) {
        if let Some(rate) = self.bytes_per_second.filter(|rate| *rate > 0) {
            tokio::time::sleep(Duration::from_micros(bytes.saturating_mul(1_000_000) / rate)).await;
        }
    }
}

impl Replicas {
    /// The next bytes of a sealed copy on `from`, as they lie there; none at its end.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] when it is not there sealed; [`BlobError::Unreachable`].
    pub async fn piece(&self, name: BlobName, from: NodeId, offset: u64) -> Result<Bytes, BlobError> {
        piece(&self.shared, name, from, offset).await
    }

    /// Fetches a sealed Blob from `from`, at most so many bytes a second. `wanted` is the hash it must have, when that
    /// is known; without it, the copy must be what its own trailer says.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] when it is not there sealed, [`BlobError::Damaged`] when it is not what it must be.
    pub async fn pull(
        &self,
        name: BlobName,
        from: NodeId,
        wanted: Option<[u8; 32]>,
        bytes_per_second: Option<u64>,
    ) -> Result<Pulled, BlobError> {
        paced_pull(&self.shared, name, from, wanted, Pace { bytes_per_second }).await
    }
}

/// As quickly as it goes.
pub(super) async fn pull(
    shared: &Shared,
    name: BlobName,
    from: NodeId,
    wanted: Option<[u8; 32]>,
) -> Result<Pulled, BlobError> {
    paced_pull(shared, name, from, wanted, Pace { bytes_per_second: None }).await
}

async fn paced_pull(
    shared: &Shared,
    name: BlobName,
    from: NodeId,
    wanted: Option<[u8; 32]>,
    pace: Pace,
) -> Result<Pulled, BlobError> {
    let lane = shared.pull.of(name);
    let _one = lane.lock().await;
    let (answer, _) = shared.ask(from, &Request::Report(name), Bytes::new()).await?;
    let Answer::Report(report) = answer else { return Err(unexpected(&answer)) };
    let Report::Sealed { file_length, hash, .. } = report else { return Err(BlobError::NotFound) };
    if wanted.is_some_and(|wanted| wanted != hash) {
        return Err(FormatError::Damaged("copy on another node").into());
    }
    if matches!(shared.blobs.held_report(name).await, Ok(Report::Sealed { hash: here, .. }) if here == hash) {
        return Ok(Pulled::There);
    }
    let mut part = shared.blobs.part_begin(name, file_length).await?;
    while part.length() < file_length {
        let piece = piece(shared, name, from, part.length()).await?;
        if piece.is_empty() {
            return Err(FormatError::Damaged("copy on another node").into());
        }
        let length = piece.len() as u64;
        part = part.add(piece).await?;
        pace.after(length).await;
    }
    part.finish(hash).await?;
    tracing::info!(asset = %name.asset, blob = %name.blob, %from, bytes = file_length, "a copy came");
    Ok(Pulled::Came(file_length))
}

/// One piece, asked for again when its answer is lost.
async fn piece(shared: &Shared, name: BlobName, from: NodeId, offset: u64) -> Result<Bytes, BlobError> {
    let request = Request::Read { name, file: HeldFile::Records, offset, length: PIECE };
    let mut tried = 1;
    loop {
        match shared.ask(from, &request, Bytes::new()).await {
            Ok((Answer::Bytes, bytes)) => return Ok(bytes),
            Ok((answer, _)) => return Err(unexpected(&answer)),
            Err(BlobError::Unreachable(_)) if tried < TRIES => {
                tokio::time::sleep(Duration::from_millis(100) * tried).await;
                tried += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
