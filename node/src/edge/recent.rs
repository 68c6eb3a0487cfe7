//! What has changed lately, numbered, for edges that follow this node.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::Cluster;
use cluster::event::Event;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::ask::{Mark, Touched};

/// Changes that are kept. An edge that is further behind is told that everything may have changed.
const KEPT: usize = 4_096;
/// An edge waits so long for a change before it is told that there was none.
const WAIT: Duration = Duration::from_millis(800);

/// Clones share it.
#[derive(Debug, Clone)]
pub struct Recent {
    source: u64,
    kept: Arc<Mutex<VecDeque<(u64, Touched)>>>,
    latest: Arc<watch::Sender<u64>>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { source: rand::random(), kept: Arc::default(), latest: Arc::new(watch::Sender::new(0)) }
    }
}

impl Recent {
    /// Notes what changes, until the process ends.
    pub async fn listen(self, cluster: Cluster) {
        let mut events = cluster.events();
        loop {
            match events.recv().await {
                Ok(Event::StateReplaced) | Err(RecvError::Lagged(_)) => self.forget(),
                Ok(event) => touched(&event).into_iter().for_each(|touched| self.note(touched)),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn note(&self, touched: Touched) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *self.latest.borrow() + 1;
        kept.push_back((number, touched));
        while kept.len() > KEPT {
            kept.pop_front();
        }
        self.latest.send_replace(number);
    }

    /// Something was missed: whoever is here is told that everything may have changed.
    fn forget(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clear();
        let number = *self.latest.borrow() + 2;
        self.latest.send_replace(number);
    }

    /// What has changed since `since`, once something has or some time is over; none when that cannot be told.
    pub async fn since(&self, since: Option<Mark>) -> (Mark, Option<Vec<Touched>>) {
        let since = since.filter(|mark| mark.source == self.source).map(|mark| mark.at);
        if let Some(at) = since {
            let mut latest = self.latest.subscribe();
            // Over time, and a sender that is gone with this node, are no change.
            drop(tokio::time::timeout(WAIT, latest.wait_for(|latest| *latest > at)).await);
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = *self.latest.borrow();
        let mark = Mark { source: self.source, at: latest };
        let Some(at) = since.filter(|at| *at <= latest) else { return (mark, None) };
        let newer: Vec<Touched> =
            kept.iter().filter(|(number, _)| *number > at).map(|(_, touched)| *touched).collect();
        let whole = newer.len() as u64 == latest - at;
        (mark, whole.then_some(newer))
    }
}

/// What an event may end or change for viewers.
fn touched(event: &Event) -> Option<Touched> {
    Some(match event {
        Event::AssetChanged { asset, .. }
        | Event::AssetPurged { asset, .. }
        | Event::BlobDropped { asset, .. }
        | Event::WatchRulesChanged { asset } => Touched::Asset(*asset),
        Event::UserChanged { user } | Event::UserRemoved { user } => Touched::User(*user),
        Event::SessionEnded { session, .. } => Touched::Session(*session),
        Event::ApiKeyChanged { key, .. } => Touched::ApiKey(*key),
        Event::ApplicationChanged { application }
        | Event::ApplicationRemoved { application }
        | Event::CollectionChanged { application, .. }
        | Event::MembersChanged { application } => Touched::Application(*application),
        Event::EdgesChanged => Touched::Edges,
        Event::BlobTakenOver { .. }
        | Event::JobChanged { .. }
        | Event::ClusterKeyRotated { .. }
        | Event::ClusterChanged
        | Event::HoldersChanged { .. }
        | Event::BlobSealed { .. }
        | Event::BackupsChanged
        | Event::AlertsChanged
        | Event::StateReplaced => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_follows_is_told_everything_once_and_whoever_missed_something_is_told_so() {
        let recent = Recent::default();
        let (mark, all) = recent.since(None).await;
        assert_eq!(all, None, "nothing is known of what was before");
        let (quiet, none) = recent.since(Some(mark)).await;
        assert_eq!((quiet, none), (mark, Some(Vec::new())));
        recent.note(Touched::Edges);
        recent.note(Touched::Edges);
        let (next, two) = recent.since(Some(mark)).await;
        assert_eq!(two.map(|two| two.len()), Some(2));
        let waiting = tokio::spawn({
            let recent = recent.clone();
            async move { recent.since(Some(next)).await.1 }
        });
        tokio::task::yield_now().await;
        recent.note(Touched::Edges);
        assert_eq!(waiting.await.unwrap(), Some(vec![Touched::Edges]));
        recent.forget();
        assert_eq!(recent.since(Some(next)).await.1, None, "something was missed");
        let elsewhere = Mark { source: next.source ^ 1, ..next };
        assert_eq!(recent.since(Some(elsewhere)).await.1, None, "another node's numbers");
        let (last, _) = recent.since(None).await;
        (0..=KEPT).for_each(|_| recent.note(Touched::Edges));
        assert_eq!(recent.since(Some(last)).await.1, None, "too far behind");
    }
}
