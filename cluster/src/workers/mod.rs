//! The workers every node has.

mod audit;
mod backup;
mod clock;
mod collect;
mod copy_node;
mod cut;
pub(crate) mod expire;
mod forget;
mod heads;
mod members;
mod moves;
mod pepper;
mod presence;
mod protection;
mod repair;
mod rewrap;
mod scrub;

use std::time::Duration;

pub use backup::next_planned_ms;
pub use collect::Collect;
pub use copy_node::CopyNode;
pub use forget::{Forget, Named};
pub use protection::Count;
pub use repair::{Purpose, Repair};
pub use scrub::Scrub;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cluster::Cluster;
use crate::event::Event;
use crate::worker::Worker;

/// A worker of each kind, for `cluster`.
#[must_use]
pub fn all(cluster: &Cluster) -> Vec<Box<dyn Worker>> {
    vec![
        Box::new(expire::Expire::new(cluster.clone(), expire::EVERY)),
        Box::new(cut::Cut::new(cluster.clone())),
        Box::new(clock::WatchClock::new(cluster.clone())),
        Box::new(audit::FetchAudit::new(cluster.clone())),
        Box::new(heads::SignHeads::new(cluster.clone())),
        Box::new(Repair::new(cluster.clone(), Purpose::Repair)),
        Box::new(Repair::new(cluster.clone(), Purpose::Rebalance)),
        Box::new(Scrub::new(cluster.clone())),
        Box::new(Collect::new(cluster.clone(), collect::GRACE)),
        Box::new(Count::new(cluster.clone())),
        Box::new(members::Members::new(cluster.clone())),
        Box::new(presence::Presence::new(cluster.clone())),
        Box::new(backup::Backup::new(cluster.clone())),
        Box::new(rewrap::Rewrap::new(cluster.clone())),
        Box::new(pepper::KeepPepper::new(cluster.clone())),
    ]
}

/// Waits for an event that `matters`, or until `longest` has passed. Missed events count as one that matters.
async fn heard(events: &mut Receiver<Event>, longest: Duration, matters: impl Fn(&Event) -> bool) -> bool {
    let listen = async {
        loop {
            match events.recv().await {
                Ok(Event::StateReplaced) | Err(RecvError::Lagged(_)) => return true,
                Ok(event) if matters(&event) => return true,
                Ok(_) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    tokio::time::timeout(longest, listen).await.unwrap_or(false)
}
