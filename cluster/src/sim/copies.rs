//! A simulated node as its copies see it, what other nodes may ask of it, and its workers on copies.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::Planted;
use super::node::Node;
use crate::actor::Actor;
use crate::cluster::ProposeError;
use crate::cluster::control::{Answer, Ask};
use crate::cluster::reader;
use crate::command::Command;
use crate::event::Event;
use crate::id::{AssetId, BlobId, NodeId};
use crate::net::{Message, Serve};
use crate::outcome::Outcome;
use crate::raft::metrics;
use crate::state::{Asset, State};
use crate::transfer::Replicas;
use crate::worker::{Worked, Worker, Workers};
use crate::workers::expire::Expire;
use crate::workers::{Collect, CopyNode, Forget, Named, Purpose, Repair, Scrub};

/// A copy that is not needed any more stays for so long.
const GRACE: Duration = Duration::from_millis(400);
/// How often what works by the hour elsewhere works here.
const OFTEN: Duration = Duration::from_millis(700);

#[async_trait]
impl CopyNode for Node {
    fn state(&self) -> Arc<State> {
        self.shown.state.load_full()
    }

    async fn linearizable(&self) -> Result<Arc<State>, ProposeError> {
        reader::linearizable(&self.reads).await?;
        Ok(self.shown.state.load_full())
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        self.forwarding().propose(Actor::system(self.id), command).await
    }

    fn leads(&self) -> bool {
        metrics::leader(&self.raft) == Some(self.id)
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.shown.events.subscribe()
    }

    fn now_ms(&self) -> u64 {
        self.shown.time.now_ms()
    }

    fn bytes(&self) -> &Replicas {
        &self.bytes
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "node {} in life {}", self.id, self.life)
    }
}

/// Answers changes for the leader and reads.
pub(super) struct Control(pub(super) Node);

#[async_trait]
impl Serve for Control {
    async fn serve(&self, from: NodeId, message: Message) -> Result<Message, String> {
        let text = |error: &dyn fmt::Display| error.to_string();
        let node = &self.0;
        let answer = match postcard::from_bytes(&message.head).map_err(|error| text(&error))? {
            Ask::Propose { actor, command, request } => {
                Answer::Proposed(node.forwarding().propose_for(from, actor, *command, request).await)
            }
            Ask::ReadIndex => Answer::ReadIndex(reader::read_index(&node.reads, &node.shown).await),
            other => return Err(format!("{other:?} is not asked in a simulated world")),
        };
        let head = postcard::to_allocvec(&answer).map_err(|error| text(&error))?;
        Ok(Message { head: head.into(), body: Bytes::new() })
    }
}

/// Assets of this world have no manifests: State names all Blobs.
struct ByStateAlone;

#[async_trait]
impl Named for ByStateAlone {
    async fn named(&self, _: &Asset) -> Result<Vec<BlobId>, String> {
        Ok(Vec::new())
    }
    fn forget_asset(&self, _: AssetId) {}
    fn forget_blob(&self, _: BlobId) {}
}

/// Sets a node's workers on copies going, until it ends.
pub(super) fn start_workers(node: &Node) {
    let workers: Vec<Box<dyn Worker>> = vec![
        Box::new(Repair::new(node.clone(), Purpose::Repair)),
        Box::new(Repair::new(node.clone(), Purpose::Rebalance)),
        Box::new(Expire::new(node.clone(), OFTEN)),
    ];
    drop(Workers::start(workers, &node.ended));
    until_the_end(node, often(Scrub::new(node.clone())));
    until_the_end(node, often(Collect::new(node.clone(), GRACE)));
    until_the_end(node, Forget::new(node.clone(), ByStateAlone).run());
    if node.planted == Some(Planted::IgnoreGrace) {
        until_the_end(node, remove_what_is_trashed(node.clone()));
    }
}

fn until_the_end(node: &Node, work: impl Future<Output = ()> + Send + 'static) {
    let ended = node.ended.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            () = work => {}
        }
    });
}

/// Works at the pace of this world: what fails is tried again at the next turn.
async fn often(mut worker: impl Worker) {
    loop {
        while matches!(worker.work().await, Ok(Worked::Busy)) {}
        tokio::time::sleep(OFTEN).await;
    }
}

/// A planted fault: what is in the trash is removed as if its time there were over.
async fn remove_what_is_trashed(node: Node) {
    let mut events = CopyNode::events(&node);
    while let Ok(event) = events.recv().await {
        let Event::AssetChanged { asset, .. } = event else { continue };
        if CopyNode::state(&node).asset(asset).is_some_and(|asset| !asset.is_live()) {
            drop(node.bytes.here().remove(asset).await);
        }
    }
}
