//! A request body into a Blob: in constant memory, whatever its length. The next piece is received while those before it
//! are sealed and written.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use cluster::store::BlobWriter;
use futures_util::StreamExt;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::tus::Checksum;
use super::uploads::UploadError;

/// Bytes handed to the writer at a time.
const PIECE: usize = 1024 * 1024;
/// Pieces that wait for the writer, beside the one that is received and the one that is written.
const PIECES_AHEAD: usize = 2;
/// The largest piece that is checked before it is kept.
pub const LARGEST_CHECKED: u64 = 16 * 1024 * 1024;
/// All pieces being checked at one time together.
const CHECKED_AT_ONCE: usize = 64 * 1024 * 1024;

/// A client that sends nothing for so long has gone: the upload is let go, and whoever comes back goes on with it.
const SILENCE: Duration = Duration::from_secs(60);

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All of it arrived.
    Whole,
    /// The client went away, or somebody asked to let go.
    Cut,
}

/// Room for pieces that are held in memory until their checksum is known.
#[derive(Debug, Clone)]
pub struct CheckedRoom(Arc<Semaphore>);

impl Default for CheckedRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CHECKED_AT_ONCE)))
    }
}

/// The next bytes of a body that is held in memory: whoever says nothing for long gets no more room.
pub(super) async fn next_chunk(body: &mut Payload) -> Result<Option<Bytes>, UploadError> {
    let chunk = tokio::time::timeout(SILENCE, body.next()).await.map_err(|_| UploadError::Cut)?;
    chunk.transpose().map_err(|_| UploadError::Cut)
}

/// Writes the body to the end, to the first error, or until `let_go` rings; at most `room` bytes. What arrived is handed
/// to the writer in every case but a body that is too long.
pub async fn pour(
    body: &mut Payload,
    writer: &BlobWriter,
    room: Option<u64>,
    let_go: &Notify,
) -> Result<Ended, UploadError> {
    let (pieces, mut received) = mpsc::channel(PIECES_AHEAD);
    let write = async {
        while let Some(piece) = received.recv().await {
            writer.write(piece).await?;
        }
        Ok(())
    };
    let (ended, ()) = tokio::try_join!(receive(body, writer.length(), room, let_go, pieces), write)?;
    Ok(ended)
}

/// Receives the body in pieces until it ends or `let_go` rings. `at` is where the upload stands.
async fn receive(
    body: &mut Payload,
    at: u64,
    room: Option<u64>,
    let_go: &Notify,
    pieces: mpsc::Sender<Bytes>,
) -> Result<Ended, UploadError> {
    let mut held = BytesMut::with_capacity(PIECE);
    let mut taken: u64 = 0;
    let mut let_go = std::pin::pin!(let_go.notified());
    let ended = loop {
        let chunk = tokio::select! {
            biased;
            () = &mut let_go => break Ended::Cut,
            chunk = tokio::time::timeout(SILENCE, body.next()) => chunk,
        };
        let chunk = match chunk {
            Ok(None) => break Ended::Whole,
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_))) | Err(_) => break Ended::Cut,
        };
        taken += chunk.len() as u64;
        if let Some(room) = room.filter(|room| taken > *room) {
            return Err(UploadError::TooLong { length: at + room });
        }
        // A piece that would not fit would be copied into more room.
        if !held.is_empty() && held.len() + chunk.len() > PIECE {
            hand_on(&pieces, std::mem::replace(&mut held, BytesMut::with_capacity(PIECE))).await?;
        }
        held.extend_from_slice(&chunk);
    };
    hand_on(&pieces, held).await?;
    Ok(ended)
}

async fn hand_on(pieces: &mpsc::Sender<Bytes>, piece: BytesMut) -> Result<(), UploadError> {
    // Nobody takes them any more only when writing failed, and then that is what the client hears.
    pieces.send(piece.freeze()).await.map_err(|_| UploadError::Cut)
}

/// Takes the whole body into memory, checks it, and only then writes it.
pub async fn pour_checked(
    body: &mut Payload,
    writer: &BlobWriter,
    room: Option<u64>,
    checksum: &Checksum,
    checked: &CheckedRoom,
) -> Result<Ended, UploadError> {
    let too_large = UploadError::PieceTooLarge { limit: LARGEST_CHECKED };
    let permits = u32::try_from(LARGEST_CHECKED).unwrap_or(u32::MAX);
    let _room = checked.0.acquire_many(permits).await.map_err(|_| UploadError::Busy)?;
    let mut held = BytesMut::new();
    while let Some(chunk) = next_chunk(body).await? {
        if (held.len() + chunk.len()) as u64 > LARGEST_CHECKED {
            return Err(too_large);
        }
        held.extend_from_slice(&chunk);
    }
    if room.is_some_and(|room| held.len() as u64 > room) {
        return Err(UploadError::TooLong { length: writer.length() + room.unwrap_or(0) });
    }
    if !checksum.matches(&held) {
        return Err(UploadError::Checksum);
    }
    writer.write(held.freeze()).await?;
    Ok(Ended::Whole)
}
