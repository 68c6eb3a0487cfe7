//! Taking a Blob over from wherever it was written: fence the holders, find the copy that is furthest, bring this node
//! to it and then the others to this node, and go on.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{ADOPT_WITHIN, Answer, Request, Shared, unexpected};
use crate::blob::{BlobName, SEALED_RECORD};
use crate::id::NodeId;
use crate::keyring::DataKey;
use crate::store::face::{OPEN_HEAD, place_of};
use crate::store::{BlobError, BlobWriter, Face, HeldFile, HeldWrite, MAX_HELD_READ, OpenFace, Report};

/// Records brought at a time.
const RECORDS_TOGETHER: u64 = 16;
/// Frames sent in one message.
const FRAMES_TOGETHER: usize = 1024 * 1024;
/// A holder that is further behind is left to repair, unless it is needed.
const TOO_FAR_BEHIND: u64 = 1024;
/// How often fetching a copy is waited for before a holder counts as failing.
const ADOPT_TRIES: u32 = 20;

/// What each node that answered has.
type Faces = Vec<(NodeId, Face)>;

pub(super) async fn take_over(
    shared: &Arc<Shared>,
    name: BlobName,
    epoch: u64,
    key: &DataKey,
) -> Result<BlobWriter, BlobError> {
    let faces = fence_all(shared, name, epoch, key).await?;
    let best = faces.iter().max_by_key(|(node, face)| (face.rank(), *node == shared.node));
    let Some((source, best)) = best else { return Err(BlobError::NotFound) };
    match best {
        Face::Absent => return Err(BlobError::NotFound),
        Face::Sealed { hash, .. } => share_sealed(shared, name, *source, *hash).await?,
        Face::Open(best) if *source != shared.node => {
            let here = faces.iter().find(|(node, _)| *node == shared.node).map(|(_, face)| face);
            let bringing = Bringing { shared, name, epoch, source: *source, target: shared.node };
            bringing.bring(best, here.unwrap_or(&Face::Absent)).await?;
        }
        Face::Open(_) => {}
    }
    let writer = shared.blobs.take_over(name.asset, name.blob, epoch, key).await?;
    bring_others(shared, &writer, &faces).await?;
    Ok(writer)
}

/// Fences this node and all holders, and looks at what they have. At least two holders must answer, where there are two.
async fn fence_all(
    shared: &Arc<Shared>,
    name: BlobName,
    epoch: u64,
    key: &DataKey,
) -> Result<Faces, BlobError> {
    let holders = shared.map.holders(name.asset);
    let mut nodes: Vec<NodeId> = holders.iter().collect();
    if !nodes.contains(&shared.node) {
        nodes.push(shared.node);
    }
    let asked = nodes.into_iter().map(|node| async move {
        let request = Request::Fence { name, epoch };
        (node, face(shared, name, node, &request, key).await)
    });
    let mut faces = Vec::new();
    for (node, answer) in join_all(asked).await {
        match answer {
            Ok(face) => faces.push((node, face)),
            Err(BlobError::Fenced { have, got }) => return Err(BlobError::Fenced { have, got }),
            Err(error) => tracing::warn!(%node, blob = ?name, %error, "a holder did not say what it has"),
        }
    }
    let answered = faces.iter().filter(|(node, _)| holders.contains(*node)).count();
    let wanted = holders.len().min(2);
    if answered < wanted {
        return Err(BlobError::TooFewCopies { have: answered, wanted });
    }
    Ok(faces)
}

/// What a node has of a Blob, read with the key.
pub(super) async fn face(
    shared: &Shared,
    name: BlobName,
    node: NodeId,
    request: &Request,
    key: &DataKey,
) -> Result<Face, BlobError> {
    let (answer, _) = shared.ask(node, request, Bytes::new()).await?;
    let Answer::Report(report) = answer else { return Err(unexpected(&answer)) };
    match report {
        Report::Absent => Ok(Face::Absent),
        Report::Sealed { file_length, epoch, hash } => Ok(Face::Sealed { epoch, hash, file_length }),
        Report::Open { open_length, .. } => {
            let mut file = Vec::new();
            // The slots first, the frames they acknowledge after them.
            for (from, to) in [(0, OPEN_HEAD.min(open_length)), (OPEN_HEAD, open_length)] {
                let mut at = from;
                while at < to {
                    let length = u32::try_from(to - at).unwrap_or(u32::MAX).min(MAX_HELD_READ);
                    let piece = read(shared, name, node, HeldFile::Open, at, length).await?;
                    if piece.is_empty() {
                        break;
                    }
                    at += piece.len() as u64;
                    file.extend_from_slice(&piece);
                }
            }
            Face::open(name, key, file.into())
        }
    }
}

/// A piece of a file of a node.
pub(super) async fn read(
    shared: &Shared,
    name: BlobName,
    node: NodeId,
    file: HeldFile,
    offset: u64,
    length: u32,
) -> Result<Bytes, BlobError> {
    let request = Request::Read { name, file, offset, length };
    match shared.ask(node, &request, Bytes::new()).await? {
        (Answer::Bytes, bytes) => Ok(bytes),
        (answer, _) => Err(unexpected(&answer)),
    }
}

/// A sealed copy that State was not told of: enough nodes must have it before it is.
async fn share_sealed(
    shared: &Arc<Shared>,
    name: BlobName,
    source: NodeId,
    hash: [u8; 32],
) -> Result<(), BlobError> {
    super::pull::pull(shared, name, source, Some(hash)).await?;
    let request = Request::Adopt { name, from: shared.node, hash };
    let adopting = shared.others(name.asset).into_iter().map(|(node, site)| {
        let request = &request;
        async move {
            let mut tries = 0;
            loop {
                let answer = shared.ask_within(node, request, Bytes::new(), ADOPT_WITHIN).await;
                tries += 1;
                match answer {
                    Ok(_) => return Some(site),
                    // It may still be fetching: asked again, it waits for what is under way.
                    Err(BlobError::Unreachable(_))
                        if tries < ADOPT_TRIES && !shared.peers.is_failing(node) => {}
                    Err(error) => {
                        tracing::warn!(%node, blob = ?name, %error, "a holder did not take a sealed copy");
                        return None;
                    }
                }
            }
        }
    });
    let have: Vec<String> = join_all(adopting).await.into_iter().flatten().collect();
    enough(shared, name, have.iter().map(String::as_str))
}

/// Whether this node and others in these sites are as many as must have something.
fn enough<'a>(
    shared: &Shared,
    name: BlobName,
    sites: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), BlobError> {
    let quorum = shared.quorum(name.asset);
    if quorum.is_met(sites.clone()) {
        return Ok(());
    }
    let have = sites.count() + usize::from(quorum.here.is_some());
    Err(BlobError::TooFewCopies { have, wanted: quorum.nodes })
}

/// Brings the other holders to where `writer`, which has written nothing yet, stands, and lets it write to them. `faces`
/// is what they said they have; a new Blob has none anywhere.
pub(super) async fn bring_others(
    shared: &Arc<Shared>,
    writer: &BlobWriter,
    faces: &[(NodeId, Face)],
) -> Result<(), BlobError> {
    let (name, epoch) = (writer.name(), writer.epoch());
    let target = OpenFace::of_writer(writer).await?;
    let is_new = faces.is_empty();
    let known = |node: NodeId| match faces.iter().find(|(answered, _)| *answered == node) {
        Some((_, face)) => Some(face),
        None => is_new.then_some(&Face::Absent),
    };
    let others: Vec<_> = shared.others(name.asset).into_iter().collect();
    let behind = |face: &Face| target.records() - face.records_in_common(&target);
    let (near, far): (Vec<_>, Vec<_>) = others
        .into_iter()
        .filter_map(|(node, site)| Some((node, site, known(node)?)))
        .partition(|(_, _, face)| behind(face) <= TOO_FAR_BEHIND);
    let mut ready: Vec<(NodeId, String)> = Vec::new();
    for group in [near, far] {
        if enough(shared, name, ready.iter().map(|(_, site)| site.as_str())).is_ok() && !ready.is_empty() {
            break;
        }
        let target = &target;
        let bringing = group.into_iter().map(|(node, site, face)| async move {
            let bringing = Bringing { shared, name, epoch, source: shared.node, target: node };
            match bringing.bring(target, face).await {
                Ok(()) => Ok(Some((node, site))),
                Err(BlobError::Fenced { have, got }) => Err(BlobError::Fenced { have, got }),
                Err(error) => {
                    tracing::warn!(%node, blob = ?name, %error, "a holder could not be brought along");
                    Ok(None)
                }
            }
        });
        for brought in join_all(bringing).await {
            ready.extend(brought?);
        }
    }
    enough(shared, name, ready.iter().map(|(_, site)| site.as_str()))?;
    writer.attach(shared.lanes(writer, ready));
    Ok(())
}

/// One node on its way to where another stands.
struct Bringing<'a> {
    shared: &'a Arc<Shared>,
    name: BlobName,
    epoch: u64,
    source: NodeId,
    target: NodeId,
}

impl Bringing<'_> {
    /// At every moment the target's copy is a whole Blob with all that was acknowledged of it.
    async fn bring(&self, to: &OpenFace, from: &Face) -> Result<(), BlobError> {
        let keep = from.records_in_common(to);
        let next = if keep < to.records() { self.records(keep, 1).await? } else { Bytes::new() };
        let (beginning, beside) = to.beginning(self.epoch, keep, &next)?;
        let request = Request::Begin { name: self.name, beginning };
        self.shared.ask(self.target, &request, beside).await?;
        if keep >= to.records() {
            return Ok(());
        }
        let mut at = keep;
        while at < to.records() {
            let count = (to.records() - at).min(RECORDS_TOGETHER);
            let bytes = self.records(at, count).await?;
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.write(vec![HeldWrite::Data { offset: place_of(at), length }], bytes).await?;
            at += count;
        }
        let (frames, sequence, slot) = to.end()?;
        let mut offset = 0;
        for piece in frames.chunks(FRAMES_TOGETHER) {
            let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            self.write(vec![HeldWrite::Frames { offset, length }], frames.slice_ref(piece)).await?;
            offset += u64::from(length);
        }
        let length = u32::try_from(slot.len()).unwrap_or(u32::MAX);
        self.write(vec![HeldWrite::Barrier { sequence, length }], slot).await
    }

    async fn records(&self, first: u64, count: u64) -> Result<Bytes, BlobError> {
        let wanted = u32::try_from(count * SEALED_RECORD as u64).unwrap_or(u32::MAX);
        let at = place_of(first);
        let bytes = read(self.shared, self.name, self.source, HeldFile::Records, at, wanted).await?;
        if bytes.len() == wanted as usize { Ok(bytes) } else { Err(BlobError::Corrupt { record: first }) }
    }

    async fn write(&self, writes: Vec<HeldWrite>, bytes: Bytes) -> Result<(), BlobError> {
        let request = Request::Write { name: self.name, epoch: self.epoch, writes };
        self.shared.ask(self.target, &request, bytes).await.map(drop)
    }
}
