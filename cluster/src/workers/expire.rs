//! Ends what is over: assets and applications whose time in the trash is up, assets that their collections keep no longer,
//! sign-ins, invitations and reset links past their end.
//!
//! An asset is purged only when it was due by two stamps an hour apart, which State itself sees to: a clock that jumped for a
//! moment deletes nothing.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::copy_node::CopyNode;
use crate::cluster::ProposeError;
use crate::command::{AccessCommand, AssetCommand, Command};
use crate::event::Event;
use crate::id::{AssetId, CollectionId};
use crate::outcome::Outcome;
use crate::state::{Life, Limits, Position, State};
use crate::worker::{WorkError, Worked, Worker};

/// How often it looks. An hour more or less in the trash hurts nobody.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// What is ended in one piece of work.
const TOGETHER: usize = 100;
/// Assets of one collection that are looked at in one piece of work. Some may be old and stay, by a legal hold or by the rule
/// of another collection.
const LOOKED_AT: usize = 2_000;

pub(crate) struct Expire<N> {
    node: N,
    every: Duration,
    ended: u64,
    events: broadcast::Receiver<Event>,
    rounds: Rounds<Position>,
}

impl<N: CopyNode> Expire<N> {
    /// For `node`; it looks this often.
    pub(crate) fn new(node: N, every: Duration) -> Self {
        Self { events: node.events(), node, every, ended: 0, rounds: Rounds::default() }
    }
}

#[async_trait]
impl<N: CopyNode> Worker for Expire<N> {
    fn name(&self) -> &'static str {
        "expire"
    }

    fn status(&self) -> String {
        format!("{} ended since start", self.ended)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        if !self.node.leads() {
            return Ok(Worked::Idle);
        }
        let (state, now_ms) = (self.node.state(), self.node.now_ms());
        if state.cluster_info().is_none_or(|cluster| cluster.time_held) {
            return Ok(Worked::Idle);
        }
        let mut due = due(&state, now_ms);
        due.extend(self.kept_no_longer(&state, now_ms));
        let mut more = due.len() >= TOGETHER || self.rounds.goes_on();
        for command in due {
            match self.node.propose(command).await {
                Ok(outcome) => {
                    // There may be more of what was ended in part.
                    more |= matches!(outcome, Outcome::Count(_));
                    self.ended += 1;
                }
                // What was due may have been changed since.
                Err(ProposeError::Refused(_)) => {}
                // Whoever leads does the same.
                Err(ProposeError::NotLeader { .. } | ProposeError::ReadOnly(_)) => return Ok(Worked::Idle),
                Err(error) => return Err(WorkError::new(&error)),
            }
        }
        Ok(if more { Worked::Busy } else { Worked::Idle })
    }

    async fn wait(&mut self) {
        let begun = async {
            // One that lagged behind may have missed it.
            while !matches!(
                self.events.recv().await,
                Ok(Event::ApplicationRemoved { .. } | Event::CollectionChanged { .. }) | Err(_)
            ) {}
        };
        // Over time, and when a rule has changed, or an application is to be purged at once.
        drop(tokio::time::timeout(self.every, begun).await);
    }
}

impl<N> Expire<N> {
    /// Assets that the rules of their collections keep no longer, some of them.
    fn kept_no_longer(&mut self, state: &State, now_ms: u64) -> Vec<Command> {
        let look = |collection, place: Option<&Position>| state.over_in(collection, place, now_ms, LOOKED_AT);
        let over = self.rounds.look(&state.retaining_collections().collect::<Vec<_>>(), look);
        over.into_iter().map(|asset| Command::Asset(AssetCommand::Expire { asset })).collect()
    }
}

/// Collections that are looked through piece by piece, once each in a round.
#[derive(Debug)]
struct Rounds<P> {
    /// Where to go on in those that were not looked through to their end.
    places: HashMap<CollectionId, P>,
}

impl<P> Default for Rounds<P> {
    fn default() -> Self {
        Self { places: HashMap::new() }
    }
}

impl<P> Rounds<P> {
    fn goes_on(&self) -> bool {
        !self.places.is_empty()
    }

    /// The next piece of each collection that is not at its end, or the first of all when none is left. `look` gives what it
    /// found, and where to go on.
    fn look(
        &mut self,
        collections: &[CollectionId],
        look: impl Fn(CollectionId, Option<&P>) -> (Vec<AssetId>, Option<P>),
    ) -> Vec<AssetId> {
        let mut found = Vec::new();
        self.places.retain(|collection, _| collections.contains(collection));
        // Those that were looked through wait until all are, or two with much that stays would keep each other going for ever.
        let goes_on = self.goes_on();
        for collection in collections {
            let place = self.places.remove(collection);
            if goes_on && place.is_none() {
                continue;
            }
            let (over, next) = look(*collection, place.as_ref());
            self.places.extend(next.map(|next| (*collection, next)));
            found.extend(over);
        }
        found
    }
}

/// What else is over by `now_ms`, some of it.
fn due(state: &State, now_ms: u64) -> Vec<Command> {
    let asked_too_early = |noted_ms: u64| now_ms < noted_ms.saturating_add(Limits::DUE_AGAIN_MS);
    let assets = state.assets_due(now_ms).filter(|asset| asset.legal_hold.is_none()).filter(|asset| {
        !matches!(asset.life, Life::Trashed { noted_due_ms: Some(noted_ms), .. } if asked_too_early(noted_ms))
    });
    let assets = assets.map(|asset| Command::Asset(AssetCommand::Expire { asset: asset.id }));
    // A sign-in is of no use from its end on; its record goes an hour later, by the same caution as the rest.
    let sessions = state.users_by_name(None).flat_map(|user| state.sessions_of(user.id));
    let over = sessions.filter(|session| session.expires_ms.saturating_add(Limits::DUE_AGAIN_MS) <= now_ms);
    let sessions = over.map(|session| Command::Access(AccessCommand::EndSession { session: session.id }));
    let (invites, resets) = state.ended_links(now_ms);
    let forgettable = invites.len() + resets.len() > 0 || state.has_ended_views(now_ms);
    let links = forgettable.then_some(Command::Access(AccessCommand::ForgetEndedLinks));
    let applications = state.applications_due(now_ms);
    let applications =
        applications.map(|application| Command::Access(AccessCommand::ExpireApplication { application }));
    links.into_iter().chain(applications).chain(assets).chain(sessions).take(TOGETHER).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn each_collection_is_looked_through_once_in_a_round_and_the_round_ends() {
        let collections = [1, 2, 3].map(|number| CollectionId([number; 16]));
        let pieces = |collection: CollectionId| usize::from(collection.0[0]);
        let looks = RefCell::new(Vec::new());
        let look = |collection: CollectionId, place: Option<&usize>| {
            let at = place.copied().unwrap_or(0);
            looks.borrow_mut().push((collection.0[0], at));
            (Vec::new(), (at + 1 < pieces(collection)).then_some(at + 1))
        };
        let mut rounds = Rounds::default();
        rounds.look(&collections, look);
        for _ in 0..10 {
            if rounds.goes_on() {
                rounds.look(&collections, look);
            }
        }
        assert_eq!(looks.take(), [(1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2)]);
        // One whose rule is gone is waited for no more, and the next round begins anew.
        rounds.look(&collections, look);
        rounds.look(&collections[..1], look);
        assert!(!rounds.goes_on());
    }
}
