//! A small Blob put down in one go on all its holders. It is promised once as many have it as must; the others go on by
//! themselves, and repair makes what they do not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Replicas, Request, Shared};
use crate::blob::{BlobKind, BlobName};
use crate::id::{AssetId, BlobId, NodeId};
use crate::keyring::DataKey;
use crate::store::{BlobError, FIRST_EPOCH, Sealed, Whole};

/// How often a holder is asked when its answer is lost.
const TRIES: u32 = 3;

/// Bytes of files that are still on their way to holders nobody waits for. A node that hangs keeps no more than this in memory;
/// what is not sent to it, it fetches by itself once State says that it is there.
const STRAGGLING: usize = 32 * 1024 * 1024;

/// What one holder, at this site, came to.
type Put = (String, Result<(), BlobError>);

/// Room for what is still on its way.
#[derive(Debug)]
pub(super) struct Straggling(Arc<Semaphore>);

impl Default for Straggling {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STRAGGLING)))
    }
}

impl Straggling {
    /// Lets a file of so many bytes get to the holders that do not have it yet, or gives them up for now.
    fn see_off(&self, mut putting: JoinSet<Put>, bytes: usize) {
        let Ok(bytes) = u32::try_from(bytes) else { return };
        if putting.is_empty() {
            return;
        }
        let Ok(room) = Arc::clone(&self.0).try_acquire_many_owned(bytes) else { return };
        tokio::spawn(async move {
            while putting.join_next().await.is_some() {}
            drop(room);
        });
    }
}

impl Replicas {
    /// Writes and seals a new Blob of at most [`LARGEST_WHOLE`](crate::store::LARGEST_WHOLE) bytes, after State opened it and
    /// before anybody else wrote to it: nothing of it can be read unless all of it is there. Durable on as many nodes as it
    /// must be when this returns; State is told afterwards by the Command that seals it there. All nodes must be of
    /// [`Command::WHOLE_LEVEL`](crate::command::Command::WHOLE_LEVEL).
    ///
    /// # Errors
    /// As [`Replicas::create`], and [`BlobError::Full`] for more bytes.
    pub async fn put_whole(
        &self,
        asset: AssetId,
        blob: BlobId,
        kind: BlobKind,
        key: &DataKey,
        plaintext: Bytes,
    ) -> Result<Sealed, BlobError> {
        let shared = &self.shared;
        shared.known(asset)?;
        let whole = shared.blobs.seal_whole(BlobName { asset, blob }, kind, key, plaintext).await?;
        let sealed = whole.sealed;
        put_down(shared, whole).await?;
        Ok(sealed)
    }
}

async fn put_down(shared: &Arc<Shared>, whole: Whole) -> Result<(), BlobError> {
    let name = whole.name;
    let mut quorum = shared.quorum(name.asset);
    let mut putting: JoinSet<Put> = JoinSet::new();
    // This node counts once it has it.
    if let Some(site) = quorum.here.take() {
        let (blobs, whole) = (shared.blobs.clone(), whole.clone());
        putting.spawn(async move { (site, blobs.put_whole(whole).await) });
    }
    for (node, site) in shared.others(name.asset) {
        let (shared, whole) = (Arc::clone(shared), whole.clone());
        putting.spawn(async move { (site, send(&shared, node, &whole).await) });
    }
    let mut have: Vec<String> = Vec::new();
    let mut failed = None;
    while let Some(put) = putting.join_next().await {
        match put {
            Ok((site, Ok(()))) => have.push(site),
            Ok((_, Err(error @ BlobError::Fenced { .. }))) => return Err(error),
            Ok((_, Err(error))) => failed = failed.filter(|first| *first == BlobError::Full).or(Some(error)),
            Err(error) => failed = failed.or(Some(BlobError::Io(error.to_string()))),
        }
        if !have.is_empty() && quorum.is_met(have.iter().map(String::as_str)) {
            shared.straggling.see_off(putting, whole.file.len());
            return Ok(());
        }
    }
    let too_few = BlobError::TooFewCopies { have: have.len(), wanted: quorum.nodes };
    // A full disk says more than a count; so does the one node that there is.
    Err(failed.filter(|error| *error == BlobError::Full || quorum.nodes < 2).unwrap_or(too_few))
}

/// To another holder, again when its answer is lost: the same file.
async fn send(shared: &Shared, node: NodeId, whole: &Whole) -> Result<(), BlobError> {
    let request = Request::Whole { name: whole.name, epoch: FIRST_EPOCH, hash: whole.sealed.hash };
    let mut tried = 1;
    let answer = loop {
        match shared.ask(node, &request, whole.file.clone()).await {
            Err(BlobError::Unreachable(_)) if tried < TRIES => {
                tokio::time::sleep(Duration::from_millis(50) * tried).await;
                tried += 1;
            }
            answer => break answer.map(drop),
        }
    };
    answer.inspect_err(|error| {
        tracing::warn!(%node, blob = ?whole.name, %error, "a holder did not take a small Blob");
    })
}
