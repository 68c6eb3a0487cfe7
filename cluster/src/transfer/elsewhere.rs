//! Reading what is not here, or not sound here: the nearest copy first, a second one beside it when the first is slow,
//! the next one when a copy is damaged. Nothing leaves that was not verified with the key.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::take_over::{face, read};
use super::{Request, Shared, Standing};
use crate::blob::{BlobName, FormatError, HEADER_LENGTH, TRAILER_LENGTH, read_trailer};
use crate::id::NodeId;
use crate::keyring::DataKey;
use crate::store::face::{Away, WeakAway};
use crate::store::{
    BlobError, BlobReader, Check, Face, HeldFile, MAX_HELD_READ, OpenFace, OtherCopies, Report,
};

/// How often an open Blob on other nodes is looked at while somebody reads it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The Blobs read from other nodes.
#[derive(Default)]
pub(super) struct Elsewhere {
    opened: Mutex<HashMap<BlobName, WeakAway>>,
}

impl Elsewhere {
    fn opened(&self) -> MutexGuard<'_, HashMap<BlobName, WeakAway>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader of a Blob with other holders than this node. `here` is what this node's own store says.
pub(super) async fn reader(
    shared: &Arc<Shared>,
    name: BlobName,
    key: &DataKey,
    here: Result<BlobReader, BlobError>,
) -> Result<BlobReader, BlobError> {
    let others: Arc<dyn OtherCopies> = Arc::new(Others { shared: Arc::clone(shared) });
    match &here {
        Ok(reader) if reader.is_written_here() => return here.map(|reader| reader.with_others(others)),
        Ok(reader) if reader.is_sealed() && is_as_state_says(shared, name).await => {
            return here.map(|reader| reader.with_others(others));
        }
        Err(BlobError::Damaged(FormatError::Key(_))) => return here,
        Err(error) if error.is_damage() => shared.repairs.damaged(name),
        Err(BlobError::NotFound) if shared.map.holders(name.asset).contains(shared.node) => {
            shared.repairs.look_at(name.asset);
        }
        _ => {}
    }
    match away(shared, name, key).await {
        Ok(away) => Ok(away.reader().with_others(others)),
        // What this node alone has may be what a writer that was fenced off left here: nobody may read it. An error of its
        // own says more than that of others.
        Err(error) => Err(here.err().filter(|own| *own != BlobError::NotFound).unwrap_or(error)),
    }
}

/// Whether a copy that is sealed here is the Blob. One that State does not have as sealed may have been sealed by a writer
/// that was fenced off: it may end otherwise than the Blob does.
async fn is_as_state_says(shared: &Shared, name: BlobName) -> bool {
    let wanted = match shared.map.standing(name) {
        Standing::Unknown => return true,
        Standing::Open => return false,
        Standing::Sealed(hash) => hash,
    };
    match shared.blobs.held_report(name).await {
        Ok(Report::Sealed { hash, .. }) if hash != wanted => {
            shared.repairs.look_at(name.asset);
            false
        }
        _ => true,
    }
}

/// The Blob as the other holders have it: the one that is read already, or looked up.
async fn away(shared: &Arc<Shared>, name: BlobName, key: &DataKey) -> Result<Away, BlobError> {
    let known = shared.elsewhere.opened().get(&name).and_then(WeakAway::upgrade);
    if let Some(away) = known {
        return away.for_key(key).map(|()| away);
    }
    let found = look(shared, name, key).await?;
    let mut opened = shared.elsewhere.opened();
    if let Some(quicker) = opened.get(&name).and_then(WeakAway::upgrade) {
        return Ok(quicker);
    }
    opened.retain(|_, away| away.is_read());
    opened.insert(name, found.weak());
    drop(opened);
    if !found.is_sealed() {
        tokio::spawn(follow(Arc::clone(shared), name, key.clone(), found.weak()));
    }
    Ok(found)
}

/// Looks at an open Blob again and again while somebody reads it.
async fn follow(shared: Arc<Shared>, name: BlobName, key: DataKey, followed: WeakAway) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !followed.is_read() {
            return;
        }
        match look(&shared, name, &key).await {
            Ok(newer) => {
                let Some(away) = followed.upgrade() else { return };
                away.advance(&newer);
                if away.is_sealed() {
                    return;
                }
            }
            Err(BlobError::NotFound) => {
                followed.upgrade().inspect(Away::end);
                return;
            }
            // Nobody answers: it is as far as it was.
            Err(_) => {}
        }
    }
}

/// Asks the holders until it is known what is acknowledged: a sealed copy, or what two have where there are two.
async fn look(shared: &Arc<Shared>, name: BlobName, key: &DataKey) -> Result<Away, BlobError> {
    let nodes = shared.nearest(name.asset);
    let standing = shared.map.standing(name);
    let mut answers = Answers { wanted: shared.quorum(name.asset).nodes, ..Answers::default() };
    let mut asked: FuturesUnordered<_> = nodes
        .into_iter()
        .map(|node| async move { (node, face(shared, name, node, &Request::Report(name), key).await) })
        .collect();
    while let Some((node, answer)) = asked.next().await {
        match answer {
            Ok(Face::Sealed { file_length, hash, .. }) => {
                *answers.sealed.entry(hash).or_default() += 1;
                if answers.is_the_blob(standing, &hash) {
                    match sealed(shared, name, key, node, file_length).await {
                        Ok(away) => return Ok(away),
                        Err(error) => answers.failed = Some(error),
                    }
                }
            }
            Ok(Face::Open(open)) => answers.open.push(*open),
            Ok(Face::Absent) => {}
            Err(error) => answers.failed = Some(error),
        }
        if answers.are_enough() {
            break;
        }
    }
    answers.acknowledged().map(|open| shared.blobs.open_elsewhere(open))
}

/// What holders said they have of a Blob.
#[derive(Default)]
struct Answers {
    wanted: usize,
    open: Vec<OpenFace>,
    /// So many have it sealed with this hash.
    sealed: BTreeMap<[u8; 32], usize>,
    failed: Option<BlobError>,
}

impl Answers {
    /// Whether a sealed copy is the Blob: State says so, or as many have it as must before State is told. A writer that was
    /// fenced off may have sealed another.
    fn is_the_blob(&self, standing: Standing, hash: &[u8; 32]) -> bool {
        match standing {
            Standing::Unknown => true,
            Standing::Open => self.sealed.get(hash).is_some_and(|have| *have >= self.wanted),
            Standing::Sealed(wanted) => wanted == *hash,
        }
    }

    /// Whether as many as are wanted have what the newest writer among them wrote: what another wrote before it may have been
    /// promised by nobody.
    fn are_enough(&self) -> bool {
        let newest = self.open.iter().map(|open| open.rank().0).max();
        self.open.iter().filter(|open| Some(open.rank().0) == newest).count() >= self.wanted
    }

    /// The furthest that as many as are wanted have in common. What fewer have, a writer may have left there that was fenced
    /// off.
    fn acknowledged(mut self) -> Result<OpenFace, BlobError> {
        self.open.sort_by_key(|open| std::cmp::Reverse(open.rank()));
        let (have, wanted) = (self.open.len(), self.wanted);
        if have == 0 && self.sealed.is_empty() {
            return Err(self.failed.unwrap_or(BlobError::NotFound));
        }
        if have < wanted {
            return Err(self.failed.unwrap_or(BlobError::TooFewCopies { have, wanted }));
        }
        let mut furthest = self.open.into_iter().take(wanted.max(1));
        let first = furthest.next().ok_or(BlobError::NotFound)?;
        Ok(furthest.fold(first, |common, next| {
            if next.rank().0 == common.rank().0 { next } else { next.in_common_with(&common) }
        }))
    }
}

/// The length of a header or a trailer, as a read asks for it.
fn length_of_one(part: usize) -> u32 {
    u32::try_from(part).expect("a header and a trailer are 64 bytes")
}

/// A sealed copy: its header, index and trailer.
async fn sealed(
    shared: &Shared,
    name: BlobName,
    key: &DataKey,
    node: NodeId,
    file_length: u64,
) -> Result<Away, BlobError> {
    let piece = |offset, length| read(shared, name, node, HeldFile::Records, offset, length);
    let damaged = || FormatError::Damaged("copy on another node");
    let trailer_at = file_length.checked_sub(TRAILER_LENGTH as u64).ok_or_else(damaged)?;
    let trailer_bytes = piece(trailer_at, length_of_one(TRAILER_LENGTH)).await?;
    let footer_at = read_trailer(&trailer_bytes)?.footer_at(file_length)?;
    let mut pieces = vec![(0, piece(0, length_of_one(HEADER_LENGTH)).await?), (trailer_at, trailer_bytes)];
    let mut at = footer_at;
    while at < trailer_at {
        let length = u32::try_from(trailer_at - at).unwrap_or(u32::MAX).min(MAX_HELD_READ);
        let bytes = piece(at, length).await?;
        if bytes.is_empty() {
            return Err(damaged().into());
        }
        let next = at + bytes.len() as u64;
        pieces.push((at, bytes));
        at = next;
    }
    shared.blobs.sealed_elsewhere(name, key, file_length, pieces)
}

/// The copies of other holders, as a reader goes on with them.
struct Others {
    shared: Arc<Shared>,
}

impl fmt::Debug for Others {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Others(..)")
    }
}

impl Others {
    async fn one(
        &self,
        node: NodeId,
        name: BlobName,
        offset: u64,
        length: u32,
        check: Check,
    ) -> Result<Bytes, BlobError> {
        let bytes = read(&self.shared, name, node, HeldFile::Records, offset, length).await?;
        let checked = check(&bytes);
        if matches!(checked, Err(BlobError::Corrupt { .. })) {
            tracing::warn!(%node, blob = ?name, "a copy on another node is damaged");
            if node == self.shared.node {
                self.shared.repairs.damaged(name);
            }
        }
        checked
    }
}

#[async_trait]
impl OtherCopies for Others {
    async fn read(&self, name: BlobName, offset: u64, length: u32, check: Check) -> Result<Bytes, BlobError> {
        let peers = &self.shared.peers;
        peers.count_read();
        let mut left = self.shared.nearest(name.asset).into_iter();
        let mut asked = FuturesUnordered::new();
        let Some(first) = left.next() else { return Err(BlobError::NotFound) };
        asked.push(self.one(first, name, offset, length, Arc::clone(&check)));
        let mut slow = Box::pin(tokio::time::sleep(peers.hedge_after(first)));
        let mut hedged = false;
        let mut failed = BlobError::NotFound;
        loop {
            tokio::select! {
                answer = asked.next() => match answer {
                    Some(Ok(bytes)) => return Ok(bytes),
                    Some(Err(error)) => {
                        failed = error;
                        if let Some(next) = left.next() {
                            asked.push(self.one(next, name, offset, length, Arc::clone(&check)));
                        }
                    }
                    None => return Err(failed),
                },
                () = &mut slow, if !hedged => {
                    hedged = true;
                    if peers.may_hedge() && let Some(next) = left.next() {
                        asked.push(self.one(next, name, offset, length, Arc::clone(&check)));
                    }
                }
            }
        }
    }

    fn damaged(&self, name: BlobName) {
        self.shared.repairs.damaged(name);
    }
}
