//! How consensus on this node reaches the others, over whatever carries messages between nodes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, EmptyNode, OptionalSend};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::log::Durable;
use super::snapshot::{ChunkHash, ChunkRef, ChunkSource, Manifest, Snapshot};
use super::types::{TypeConfig, Vote};
use crate::id::NodeId;
use crate::net::{Message, Net, NetError, Service};

/// How long one piece of a snapshot may take.
const PIECE_WITHIN: Duration = Duration::from_secs(20);
/// Installing a snapshot reads and writes it once more: at least so many bytes in a second, and a moment for the rest. The
/// answer may be lost without a word; until it is given up nothing else is sent to that node, so that it falls behind.
const INSTALLED_A_SECOND: u64 = 10_000_000;
const INSTALL_AT_LEAST: Duration = Duration::from_secs(5);
/// A node that cannot be reached is tried again this soon.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// So long, at most, a message waits until what it says to be agreed is durable here. Less than the time after which
/// silence means that nobody leads: a disk that is slower holds back the news and not the sign of life.
const DURABLE_WITHIN: Duration = Duration::from_millis(50);

/// Which of consensus' messages a message is: its head. The body is postcard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum RaftHead {
    /// Records, or a heartbeat.
    Append,
    /// A request for a vote.
    Vote,
    /// A snapshot is offered: the body is its manifest, the answer the chunks that are wanted.
    Offer,
    /// One chunk: the body is its plain bytes.
    Chunk(ChunkHash),
    /// All chunks are there: the body is vote and manifest again.
    Install,
    /// As [`RaftHead::Offer`], and in which version State is written. A release that does not know this question does not
    /// know that version either: it answers that it does not understand, and is sent nothing that it could not read.
    OfferOf {
        /// Of State.
        state_version: u8,
    },
}

/// The last version of State whose release takes a snapshot without asking for its version.
const BEFORE_VERSIONS_WERE_SAID: u8 = 2;

/// Makes connections to other nodes.
#[derive(Debug, Clone)]
pub struct Network {
    net: Arc<dyn Net>,
    durable: Durable,
}

impl Network {
    /// Over `net`, for a node whose log is durable as far as `durable` says.
    #[must_use]
    pub fn new(net: Arc<dyn Net>, durable: Durable) -> Self {
        Self { net, durable }
    }
}

/// The way to one other node.
#[derive(Debug)]
pub struct Peer {
    node: u64,
    net: Arc<dyn Net>,
    durable: Durable,
    /// That it cannot follow is on record: it is asked again and again, until it can.
    told: bool,
}

/// Why a snapshot did not arrive.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("a message could not be encoded: {0}")]
    Encoding(#[from] postcard::Error),
    #[error("{0}")]
    Snapshot(String),
    #[error(
        "node {node} does not take State in version {state_version} ({reason}): it keeps what it has, and follows once it \
         runs a release that reads it"
    )]
    CannotRead { node: u64, state_version: u8, reason: String },
    #[error("this node leads no longer")]
    Closed,
}

impl Peer {
    async fn ask<T: DeserializeOwned>(
        &self,
        service: Service,
        head: &RaftHead,
        body: Bytes,
        deadline: Duration,
    ) -> Result<T, SendError> {
        let message = Message { head: postcard::to_allocvec(head)?.into(), body };
        let answer = self.net.call(NodeId(self.node), service, message, deadline).await?;
        Ok(postcard::from_bytes(&answer.body)?)
    }

    async fn rpc<T: DeserializeOwned, E: std::error::Error>(
        &self,
        head: RaftHead,
        request: &(impl Serialize + Sync),
        option: &RPCOption,
    ) -> Result<T, RPCError<u64, EmptyNode, E>> {
        let asked = async {
            let body = postcard::to_allocvec(request)?.into();
            self.ask(Service::Raft, &head, body, option.hard_ttl()).await
        };
        asked.await.map_err(|error: SendError| match &error {
            SendError::Net(NetError::TimedOut(_)) => RPCError::Network(NetworkError::new(&error)),
            _ => RPCError::Unreachable(Unreachable::new(&error)),
        })
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: &Snapshot,
    ) -> Result<SnapshotResponse<u64>, SendError> {
        let image = &snapshot.snapshot;
        let manifest: &Manifest = image
            .manifest
            .as_ref()
            .ok_or_else(|| SendError::Snapshot("there is no snapshot to send".to_owned()))?;
        let offer = Bytes::from(postcard::to_allocvec(&(vote, manifest))?);
        let wanted = self.offer(manifest, &image.source, offer.clone()).await?;
        for number in wanted {
            let Some(chunk) = manifest.chunks.get(number as usize).copied() else { continue };
            let bytes = read(&image.source, chunk).await?;
            let head = RaftHead::Chunk(chunk.hash);
            let () = self.ask(Service::Snapshot, &head, bytes.into(), PIECE_WITHIN).await?;
        }
        // Asked for twice, it is done once: what is installed already is not newer.
        self.ask(Service::Snapshot, &RaftHead::Install, offer, install_within(manifest)).await
    }
}

impl Peer {
    /// Offers a snapshot to a node that can read it, and gives the places of the chunks it wants.
    async fn offer(
        &self,
        manifest: &Manifest,
        source: &Arc<dyn ChunkSource>,
        offer: Bytes,
    ) -> Result<Vec<u32>, SendError> {
        // State begins with its version.
        let first = match manifest.chunks.first() {
            Some(chunk) => read(source, *chunk).await?.first().copied(),
            None => None,
        };
        let state_version = first.ok_or_else(|| SendError::Snapshot("the snapshot is empty".to_owned()))?;
        if state_version <= BEFORE_VERSIONS_WERE_SAID {
            return self.ask(Service::Snapshot, &RaftHead::Offer, offer, PIECE_WITHIN).await;
        }
        let head = RaftHead::OfferOf { state_version };
        let wanted = self.ask(Service::Snapshot, &head, offer, PIECE_WITHIN).await;
        wanted.map_err(|error| match error {
            SendError::Net(NetError::Refused { reason, .. }) => {
                SendError::CannotRead { node: self.node, state_version, reason }
            }
            other => other,
        })
    }
}

async fn read(source: &Arc<dyn ChunkSource>, chunk: ChunkRef) -> Result<Vec<u8>, SendError> {
    let source = source.clone();
    crate::blocking::blocking(move || source.chunk(&chunk))
        .await
        .map_err(|error| SendError::Snapshot(error.to_string()))?
        .map_err(|error| SendError::Snapshot(error.to_string()))
}

fn install_within(manifest: &Manifest) -> Duration {
    let bytes: u64 = manifest.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    INSTALL_AT_LEAST + Duration::from_secs(bytes / INSTALLED_A_SECOND)
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Peer {
        Peer { node: target, net: self.net.clone(), durable: self.durable.clone(), told: false }
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        // Consensus counts this node among those that have a record before its disk has it.
        request.leader_commit = self.durable.part_of(request.leader_commit, DURABLE_WITHIN).await;
        self.rpc(RaftHead::Append, &request, &option).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        self.rpc(RaftHead::Vote, &request, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let sent = tokio::select! {
            sent = self.send_snapshot(vote, &snapshot) => sent,
            _ = cancel => Err(SendError::Closed),
        };
        if let Err(error @ SendError::CannotRead { .. }) = &sent
            && !std::mem::replace(&mut self.told, true)
        {
            tracing::error!(%error, "a node cannot follow");
        }
        sent.map_err(|error| match &error {
            SendError::Net(_) | SendError::CannotRead { .. } => {
                StreamingError::Unreachable(Unreachable::new(&error))
            }
            _ => StreamingError::Network(NetworkError::new(&AnyError::new(&error))),
        })
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(TRY_AGAIN))
    }
}

#[cfg(test)]
mod tests;
