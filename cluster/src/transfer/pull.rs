//! Fetching a whole sealed copy from another node: in pieces, hashed as it comes, checked, and only then there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{Semaphore, mpsc};

use super::{Answer, Flow, Replicas, Request, Shared, unexpected};
use crate::blob::{BlobName, FormatError};
use crate::id::NodeId;
use crate::store::{BlobError, HeldFile, PartCopy, Report};

/// Bytes asked for at a time: little enough that what viewers ask for meanwhile does not wait long behind it.
const PIECE: u32 = 64 * 1024;
/// Bytes of a piece that is asked for by itself.
const LARGE_PIECE: u32 = 1024 * 1024;
/// How often one piece is asked for, of each node.
const TRIES: u32 = 3;
/// Pieces of one copy that may be asked for before those in front of them have come.
const AHEAD: usize = 32;

/// What fetching a copy led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// It was here already.
    There,
    /// So many bytes came.
    Came(u64),
}

/// Copies on their way here, so that none is fetched twice at once.
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

impl Replicas {
    /// The next bytes of a sealed copy on `from`, as they lie there; none at its end.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] when it is not there sealed; [`BlobError::Unreachable`].
    pub async fn piece(&self, name: BlobName, from: NodeId, offset: u64) -> Result<Bytes, BlobError> {
        let request = Request::Read { name, file: HeldFile::Records, offset, length: LARGE_PIECE };
        ask(&self.shared, from, &request).await
    }

    /// Fetches a sealed Blob from all of `from` together, which have the same copy of it. `wanted` is the hash it must have,
    /// when that is known; without it, the copy must be what its own trailer says.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] when it is not there sealed, [`BlobError::Damaged`] when it is not what it must be.
    pub async fn pull(
        &self,
        name: BlobName,
        from: &[NodeId],
        wanted: Option<[u8; 32]>,
        flow: &Flow,
    ) -> Result<Pulled, BlobError> {
        let lane = self.shared.pull.of(name);
        let _one = lane.lock().await;
        Pull { shared: &self.shared, name, from, flow }.run(wanted).await
    }
}

/// As quickly as it goes.
pub(super) async fn pull(
    shared: &Shared,
    name: BlobName,
    from: NodeId,
    wanted: Option<[u8; 32]>,
) -> Result<Pulled, BlobError> {
    let lane = shared.pull.of(name);
    let _one = lane.lock().await;
    Pull { shared, name, from: &[from], flow: &Flow::new(None) }.run(wanted).await
}

/// One copy on its way here.
struct Pull<'a> {
    shared: &'a Shared,
    name: BlobName,
    from: &'a [NodeId],
    flow: &'a Flow,
}

impl Pull<'_> {
    async fn run(&self, wanted: Option<[u8; 32]>) -> Result<Pulled, BlobError> {
        let (shared, name) = (self.shared, self.name);
        let (file_length, hash) = self.report().await?;
        if wanted.is_some_and(|wanted| wanted != hash) {
            return Err(FormatError::Damaged("copy on another node").into());
        }
        if matches!(shared.blobs.held_report(name).await, Ok(Report::Sealed { hash: here, .. }) if here == hash)
        {
            return Ok(Pulled::There);
        }
        let part = shared.blobs.part_begin(name, file_length).await?;
        let (room, (sender, receiver)) = (Semaphore::new(AHEAD), mpsc::channel(AHEAD));
        // Side by side: a piece that has come and is not looked at, because the disk is slow, keeps others from coming.
        let fetching = self.fetch(file_length, &room, sender);
        let ((), part) = tokio::try_join!(fetching, add(part, &room, receiver))?;
        part.finish(hash).await?;
        tracing::info!(asset = %name.asset, blob = %name.blob, from = ?self.from, bytes = file_length, "a copy came");
        Ok(Pulled::Came(file_length))
    }

    /// Hands over one piece after the other, and asks for no more than there is room for.
    async fn fetch(
        &self,
        file_length: u64,
        room: &Semaphore,
        pieces: mpsc::Sender<Bytes>,
    ) -> Result<(), BlobError> {
        let mut places = (0..file_length).step_by(PIECE as usize).peekable();
        let mut coming = FuturesOrdered::new();
        loop {
            tokio::select! {
                Some(piece) = coming.next() => {
                    // There is room for all that was asked for. When nobody takes it, there is an error that says more.
                    let _ = pieces.try_send(piece?);
                }
                Ok(permit) = room.acquire(), if places.peek().is_some() => {
                    permit.forget();
                    coming.extend(places.next().map(|at| self.piece(at, file_length)));
                }
                else => return Ok(()),
            }
        }
    }

    /// Length and hash, from the first that has them.
    async fn report(&self) -> Result<(u64, [u8; 32]), BlobError> {
        let mut outcome = Err(BlobError::NotFound);
        for from in self.from {
            outcome = match self.shared.ask(*from, &Request::Report(self.name), Bytes::new()).await {
                Ok((Answer::Report(Report::Sealed { file_length, hash, .. }), _)) => {
                    return Ok((file_length, hash));
                }
                Ok((Answer::Report(_), _)) => Err(BlobError::NotFound),
                Ok((answer, _)) => Err(unexpected(&answer)),
                Err(error) => Err(error),
            };
        }
        outcome
    }

    /// The bytes at `offset`, from the node that has the least to send; when one does not give them, from another.
    async fn piece(&self, offset: u64, file_length: u64) -> Result<Bytes, BlobError> {
        let wanted = (file_length - offset).min(u64::from(PIECE));
        let mut turn = self.flow.turn(wanted, self.from).await;
        let (failing, sound): (Vec<NodeId>, Vec<NodeId>) =
            self.from.iter().partition(|node| self.shared.peers.is_failing(**node));
        let mut last = Err(BlobError::NotFound);
        for mut nodes in [sound, failing] {
            while let Some(from) = turn.ask(&nodes) {
                match self.piece_of(from, offset).await {
                    Ok(bytes) if bytes.len() as u64 == wanted => {
                        if wanted == u64::from(PIECE) {
                            turn.came();
                        }
                        return Ok(bytes);
                    }
                    Ok(_) => last = Err(FormatError::Damaged("copy on another node").into()),
                    Err(error) => last = Err(error),
                }
                nodes.retain(|node| *node != from);
            }
        }
        last
    }

    async fn piece_of(&self, from: NodeId, offset: u64) -> Result<Bytes, BlobError> {
        let (name, length) = (self.name, PIECE);
        match ask(self.shared, from, &Request::ReadForCopy { name, offset, length }).await {
            // A node of an older version does not know the question.
            Err(BlobError::Io(_)) => {
                ask(self.shared, from, &Request::Read { name, file: HeldFile::Records, offset, length }).await
            }
            answer => answer,
        }
    }
}

/// Adds pieces as they come, until there are no more.
async fn add(
    mut part: PartCopy,
    room: &Semaphore,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<PartCopy, BlobError> {
    while let Some(piece) = pieces.recv().await {
        part = part.add(piece).await?;
        room.add_permits(1);
    }
    Ok(part)
}

/// Asks for bytes, again when the answer is lost.
async fn ask(shared: &Shared, from: NodeId, request: &Request) -> Result<Bytes, BlobError> {
    let mut tried = 1;
    loop {
        match shared.ask(from, request, Bytes::new()).await {
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
