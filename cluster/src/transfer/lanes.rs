//! A writer's files on their way to the other holders: one lane each, in order, bounded, several messages under way.
//!
//! A lane that fails drops out and the writer goes on without it, as long as enough nodes are left; repair makes the
//! missing copy once the Blob is sealed.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::Shared;
use super::wire::Request;
use crate::blob::BlobName;
use crate::id::NodeId;
use crate::store::{BlobError, FileWrite, HeldWrite, Mirror};

/// Messages of one lane under way at once.
const UNDER_WAY: usize = 4;
/// Bytes in one message, unless a single write is longer.
const TOGETHER: usize = 1024 * 1024;
/// Bytes on their way to one node beyond which the writer waits for it.
const WINDOW: u64 = 16 * 1024 * 1024;
/// A lane that makes no progress for so long while others do is left behind.
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// How often a message is sent again when its answer is lost.
const TRIES: u32 = 3;

/// How the nodes of one writer stand.
#[derive(Debug, Clone, Default)]
struct Standing {
    lanes: Vec<Lane>,
    fenced: Option<(u64, u64)>,
}

#[derive(Debug, Clone)]
struct Lane {
    node: NodeId,
    site: String,
    /// The newest write that is durable there.
    durable: u64,
    /// Bytes pushed and bytes answered.
    pushed: u64,
    answered: u64,
    failed: bool,
}

/// The other holders of one writer's Blob.
pub(super) struct Lanes {
    standing: watch::Sender<Standing>,
    queues: Vec<mpsc::UnboundedSender<(u64, FileWrite)>>,
    next: std::sync::Mutex<u64>,
    quorum: Quorum,
}

/// How many nodes must have something.
#[derive(Debug, Clone)]
pub(super) struct Quorum {
    /// The site of this node, when it is a holder.
    pub(super) here: Option<String>,
    /// Nodes, this one counted.
    pub(super) nodes: usize,
    /// In so many sites.
    pub(super) sites: usize,
}

impl Quorum {
    /// Whether this node and those in `sites` are enough.
    pub(super) fn is_met<'a>(&self, others: impl Iterator<Item = &'a str>) -> bool {
        let mut sites: Vec<&str> = self.here.as_deref().into_iter().collect();
        for site in others {
            sites.push(site);
        }
        let distinct: HashSet<&str> = sites.iter().copied().collect();
        sites.len() >= self.nodes && distinct.len() >= self.sites
    }
}

impl Lanes {
    /// Begins lanes to `others`, all of which stand where the writer stands.
    pub(super) fn start(
        shared: &Arc<Shared>,
        name: BlobName,
        epoch: u64,
        others: Vec<(NodeId, String)>,
        quorum: Quorum,
    ) -> Arc<Self> {
        let lanes = others.iter().map(|(node, site)| Lane {
            node: *node,
            site: site.clone(),
            durable: 0,
            pushed: 0,
            answered: 0,
            failed: false,
        });
        let standing = watch::Sender::new(Standing { lanes: lanes.collect(), fenced: None });
        let mut queues = Vec::new();
        for (place, (node, _)) in others.into_iter().enumerate() {
            let (queue, writes) = mpsc::unbounded_channel();
            queues.push(queue);
            let sender =
                Sender { shared: Arc::clone(shared), name, epoch, node, place, standing: standing.clone() };
            tokio::spawn(sender.run(writes));
        }
        Arc::new(Self { standing, queues, next: std::sync::Mutex::new(0), quorum })
    }

    /// Whether the lanes that are left can still make a quorum.
    fn hopeless(&self, standing: &Standing) -> Option<BlobError> {
        if let Some((have, got)) = standing.fenced {
            return Some(BlobError::Fenced { have, got });
        }
        let left = standing.lanes.iter().filter(|lane| !lane.failed).map(|lane| lane.site.as_str());
        if self.quorum.is_met(left.clone()) {
            return None;
        }
        let have = left.count() + usize::from(self.quorum.here.is_some());
        Some(BlobError::TooFewCopies { have, wanted: self.quorum.nodes })
    }

    async fn wait_until(&self, reached: impl Fn(&Standing) -> bool) -> Result<(), BlobError> {
        let mut receiver = self.standing.subscribe();
        let ended = || BlobError::WriterOver;
        let seen = receiver.wait_for(|standing| reached(standing) || self.hopeless(standing).is_some()).await;
        let seen = seen.map_err(|_| ended())?;
        if reached(&seen) { Ok(()) } else { Err(self.hopeless(&seen).unwrap_or_else(ended)) }
    }

    /// Gives up lanes that are behind by a whole window.
    fn leave_behind(&self) {
        self.standing.send_modify(|standing| {
            for lane in standing.lanes.iter_mut().filter(|lane| lane.is_full() && !lane.failed) {
                tracing::warn!(node = %lane.node, "a node is too slow for a writer and gets its copy later");
                lane.failed = true;
            }
        });
    }
}

impl Lane {
    fn is_full(&self) -> bool {
        self.pushed - self.answered > WINDOW
    }
}

#[async_trait]
impl Mirror for Lanes {
    fn push(&self, write: FileWrite) -> u64 {
        // Held while the write goes into every queue, so that all have the same order.
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *next += 1;
        let length = length_of(&write) as u64;
        self.standing.send_if_modified(|standing| {
            standing.lanes.iter_mut().for_each(|lane| lane.pushed += length);
            false
        });
        for (place, queue) in self.queues.iter().enumerate() {
            let failed = self.standing.borrow().lanes.get(place).is_none_or(|lane| lane.failed);
            if !failed {
                // A lane that ended is marked as failed by itself.
                let _ = queue.send((*next, write.clone()));
            }
        }
        *next
    }

    async fn room(&self) -> Result<(), BlobError> {
        let roomy = |standing: &Standing| standing.lanes.iter().all(|lane| lane.failed || !lane.is_full());
        loop {
            let waiting = tokio::time::timeout(STALLED_AFTER, self.wait_until(roomy));
            if let Ok(outcome) = waiting.await {
                return outcome;
            }
            // Only when the others are enough without it: else the writer is as slow as it must be.
            let standing = self.standing.borrow().clone();
            let rest = standing.lanes.iter().filter(|lane| !lane.failed && !lane.is_full());
            if self.quorum.is_met(rest.map(|lane| lane.site.as_str())) {
                self.leave_behind();
            }
        }
    }

    async fn settled(&self, number: u64) -> Result<(), BlobError> {
        self.wait_until(|standing| {
            let durable = standing.lanes.iter().filter(|lane| lane.durable >= number);
            self.quorum.is_met(durable.map(|lane| lane.site.as_str()))
        })
        .await
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lanes({:?})", self.standing.borrow().lanes)
    }
}

fn length_of(write: &FileWrite) -> usize {
    match write {
        FileWrite::Data { bytes, .. } | FileWrite::Frames { bytes, .. } => bytes.len(),
        FileWrite::Barrier { slot, .. } => slot.len(),
        FileWrite::Seal { trailer, .. } => trailer.len(),
    }
}

/// The task of one lane.
struct Sender {
    shared: Arc<Shared>,
    name: BlobName,
    epoch: u64,
    node: NodeId,
    place: usize,
    standing: watch::Sender<Standing>,
}

/// Writes that go in one message.
struct Batch {
    writes: Vec<HeldWrite>,
    bytes: Vec<Bytes>,
    length: usize,
    /// The last write, when it is a barrier or the sealing.
    durable: Option<u64>,
}

impl Batch {
    fn of(number: u64, write: FileWrite) -> Self {
        let mut batch = Self { writes: Vec::new(), bytes: Vec::new(), length: 0, durable: None };
        batch.add(number, write);
        batch
    }

    fn add(&mut self, number: u64, write: FileWrite) {
        self.length += length_of(&write);
        let length = u32::try_from(length_of(&write)).unwrap_or(u32::MAX);
        let (head, bytes) = match write {
            FileWrite::Data { offset, bytes } => (HeldWrite::Data { offset, length }, bytes),
            FileWrite::Frames { offset, bytes } => (HeldWrite::Frames { offset, length }, bytes),
            FileWrite::Barrier { sequence, slot } => (HeldWrite::Barrier { sequence, length }, slot),
            FileWrite::Seal { offset, trailer, hash } => (HeldWrite::Seal { hash, offset, length }, trailer),
        };
        if matches!(head, HeldWrite::Barrier { .. } | HeldWrite::Seal { .. }) {
            self.durable = Some(number);
        }
        self.writes.push(head);
        self.bytes.push(bytes);
    }

    /// One write goes as it is; several are put together.
    fn body(&mut self) -> Bytes {
        if self.bytes.len() == 1 {
            return self.bytes.swap_remove(0);
        }
        let mut together = BytesMut::with_capacity(self.length);
        self.bytes.iter().for_each(|piece| together.extend_from_slice(piece));
        together.freeze()
    }
}

impl Sender {
    async fn run(self, mut writes: mpsc::UnboundedReceiver<(u64, FileWrite)>) {
        let outcome = self.send_all(&mut writes).await;
        if let Err(error) = &outcome {
            tracing::warn!(node = %self.node, blob = ?self.name, %error, "a node dropped out of a writer");
        }
        self.standing.send_modify(|standing| {
            if let Err(BlobError::Fenced { have, got }) = outcome {
                standing.fenced = Some((have, got));
            }
            standing.lanes[self.place].failed = true;
        });
    }

    /// Until the writer is gone. A message that makes something durable goes alone, after all before it.
    async fn send_all(
        &self,
        writes: &mut mpsc::UnboundedReceiver<(u64, FileWrite)>,
    ) -> Result<(), BlobError> {
        let mut under_way = FuturesUnordered::new();
        let mut next = None;
        loop {
            let Some((number, write)) = (match next.take() {
                Some(write) => Some(write),
                None => tokio::select! {
                    write = writes.recv() => write,
                    Some(sent) = under_way.next() => { self.note(sent?, None); continue; }
                },
            }) else {
                return Ok(());
            };
            if self.standing.borrow().lanes[self.place].failed {
                return Err(BlobError::Unreachable("it fell behind".to_owned()));
            }
            let mut batch = Batch::of(number, write);
            while batch.durable.is_none() {
                let Ok((number, write)) = writes.try_recv() else { break };
                if batch.length + length_of(&write) > TOGETHER {
                    next = Some((number, write));
                    break;
                }
                batch.add(number, write);
            }
            let durable = batch.durable;
            let most = if durable.is_some() { 0 } else { UNDER_WAY - 1 };
            while under_way.len() > most {
                let Some(sent) = under_way.next().await else { break };
                self.note(sent?, None);
            }
            let sending = self.send(batch);
            if durable.is_some() {
                self.note(sending.await?, durable);
            } else {
                under_way.push(sending);
            }
        }
    }

    /// Sends one message, again when its answer is lost: the same bytes at the same place. Gives its length.
    async fn send(&self, mut batch: Batch) -> Result<u64, BlobError> {
        let body = batch.body();
        let length = body.len() as u64;
        let request = Request::Write { name: self.name, epoch: self.epoch, writes: batch.writes };
        let mut tried = 1;
        loop {
            match self.shared.ask(self.node, &request, body.clone()).await {
                Err(BlobError::Unreachable(_)) if tried < TRIES => {
                    tokio::time::sleep(Duration::from_millis(50) * tried).await;
                    tried += 1;
                }
                answer => return answer.map(|_| length),
            }
        }
    }

    fn note(&self, answered: u64, durable: Option<u64>) {
        self.standing.send_modify(|standing| {
            let lane = &mut standing.lanes[self.place];
            lane.answered += answered;
            lane.durable = durable.unwrap_or(lane.durable);
        });
    }
}
