//! Views where they are counted: in an application that limits how many one person, or one API key, runs at once.
//!
//! Elsewhere a View is a token and a line of the audit log, and State knows nothing of it. Where there is a limit, a token
//! alone is no right: `permission::may_watch` asks here whether its View still runs.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::apply::Change;
use super::limits::Limits;
use super::{State, validate};
use crate::actor::ActorKind;
use crate::command::{ApplicationPatch, ViewCommand};
use crate::event::Event;
use crate::id::{ApiKeyId, ApplicationId, AssetId, UserId, ViewId};
use crate::outcome::Outcome;
use crate::permission::{ViewSubject, may_still_watch};
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// Whose Views are counted together: all sign-ins of one person, or one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Watcher {
    /// A person.
    Person(UserId),
    /// Another system.
    Key(ApiKeyId),
}

impl Watcher {
    /// Who that is; nobody for a node and for whoever is not signed in.
    #[must_use]
    pub fn of(actor: ActorKind) -> Option<Self> {
        match actor {
            ActorKind::User { user, .. } => Some(Self::Person(user)),
            ActorKind::ApiKey(key) => Some(Self::Key(key)),
            ActorKind::Anonymous | ActorKind::System(_) => None,
        }
    }
}

/// A View that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningView {
    /// Id.
    pub id: ViewId,
    /// What is watched.
    pub asset: AssetId,
    /// By what right.
    pub subject: ViewSubject,
    /// The stamp of the Entry that began it.
    pub started_ms: u64,
    /// When it ends unless it is prolonged.
    pub until_ms: u64,
}

type Running = Arc<Vec<RunningView>>;

/// The limits, and what runs under them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Views {
    /// How many one watcher may run at once.
    #[serde(with = "super::map")]
    pub limits: OrdMap<ApplicationId, u32>,
    /// What each runs, oldest first.
    #[serde(with = "super::map")]
    pub running: OrdMap<(ApplicationId, Watcher), Running>,
}

impl Views {
    fn of_application(&self, id: ApplicationId) -> Vec<(Watcher, Running)> {
        let range = (id, Watcher::Person(UserId::ZERO))..=(id, Watcher::Key(ApiKeyId([0xff; 16])));
        self.running.range(range).map(|((_, who), running)| (*who, running.clone())).collect()
    }

    fn put(&mut self, key: (ApplicationId, Watcher), running: Vec<RunningView>) {
        if running.is_empty() {
            self.running.remove(&key);
        } else {
            self.running.insert(key, Arc::new(running));
        }
    }

    pub(super) fn forget_application(&mut self, id: ApplicationId) {
        self.limits.remove(&id);
        for (who, _) in self.of_application(id) {
            self.running.remove(&(id, who));
        }
    }

    pub(super) fn forget_watcher(&mut self, who: Watcher) {
        let limited: Vec<ApplicationId> = self.limits.keys().copied().collect();
        for application in limited {
            self.running.remove(&(application, who));
        }
    }
}

impl State {
    /// How many Views one person or key may run at once in this application, if that is limited.
    #[must_use]
    pub fn views_at_once(&self, application: ApplicationId) -> Option<u32> {
        self.records.views.limits.get(&application).copied()
    }

    /// What `who` runs in this application, oldest first, where it is counted; some may be over by now.
    #[must_use]
    pub fn running_views(&self, application: ApplicationId, who: Watcher) -> &[RunningView] {
        self.records.views.running.get(&(application, who)).map_or(&[], |running| running)
    }

    /// What `who` runs anywhere that it is counted.
    pub fn all_running_views(&self, who: Watcher) -> impl Iterator<Item = (ApplicationId, &RunningView)> {
        let limited = self.records.views.limits.keys();
        limited.flat_map(move |id| self.running_views(*id, who).iter().map(|view| (*id, view)))
    }

    /// Views that ended an hour ago or longer are still written down somewhere.
    #[must_use]
    pub fn has_ended_views(&self, now_ms: u64) -> bool {
        self.records
            .views
            .running
            .values()
            .flat_map(|running| running.iter())
            .any(|view| view.is_long_over(now_ms))
    }
}

impl RunningView {
    /// By the caution of everything that expires: a clock that jumped for a moment ends nothing.
    fn is_long_over(&self, now_ms: u64) -> bool {
        self.until_ms.saturating_add(Limits::DUE_AGAIN_MS) <= now_ms
    }
}

impl Change<'_> {
    pub(super) fn view(&mut self, command: &ViewCommand) -> Ruled {
        match *command {
            ViewCommand::Start { view, asset, until_ms, in_place_of } => {
                self.start_view(view, asset, until_ms, in_place_of)
            }
            ViewCommand::Prolong { view, asset, until_ms } => self.prolong_view(view, asset, until_ms),
            ViewCommand::End { view, application } => self.end_view(view, application),
        }
    }

    fn watcher(&self) -> Result<Watcher, Refusal> {
        Watcher::of(self.actor.kind).ok_or(Refusal::NotSignedIn)
    }

    fn start_view(
        &mut self,
        id: ViewId,
        asset: AssetId,
        until_ms: u64,
        in_place_of: Option<ViewId>,
    ) -> Ruled {
        validate::expiry(self.now_ms, until_ms, Limits::VIEW_MS)?;
        let found = self.state.asset(asset).ok_or(Refusal::NotFound(Noun::Asset))?;
        let (application, view_epoch) = (found.application, found.view_epoch);
        // The limit was lifted a moment ago: it is on record, and that is all there is to it.
        let Some(limit) = self.state.views_at_once(application) else { return Ok(Outcome::Done) };
        let key = (application, self.watcher()?);
        let before = self.state.running_views(application, key.1).to_vec();
        if before.iter().any(|view| view.id == id) {
            return Err(Refusal::DuplicateId(Noun::View));
        }
        // What can be watched no more is not only left out but dropped: it must not come back beside its successor.
        let (mut kept, over): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|view| Some(view.id) != in_place_of && self.still_runs(view));
        if kept.len() >= limit as usize {
            return Err(Refusal::TooManyViews { limit });
        }
        let subject = ViewSubject { who: self.actor.kind, view_epoch };
        kept.push(RunningView { id, asset, subject, started_ms: self.now_ms, until_ms });
        self.state.records.views.put(key, kept);
        self.views_ended(&over);
        Ok(Outcome::Done)
    }

    fn still_runs(&self, view: &RunningView) -> bool {
        view.until_ms > self.now_ms
            && may_still_watch(self.state, &view.subject, view.asset, self.now_ms).is_ok()
    }

    fn prolong_view(&mut self, id: ViewId, asset: AssetId, until_ms: u64) -> Ruled {
        validate::expiry(self.now_ms, until_ms, Limits::VIEW_MS)?;
        let found = self.state.asset(asset).ok_or(Refusal::NotFound(Noun::Asset))?;
        let application = found.application;
        if self.state.views_at_once(application).is_none() {
            return Ok(Outcome::Done);
        }
        let key = (application, self.watcher()?);
        let mut running = self.state.running_views(application, key.1).to_vec();
        let view = running.iter_mut().find(|view| view.id == id && view.asset == asset);
        let view = view.ok_or(Refusal::ViewEnded)?;
        view.until_ms = view.until_ms.max(until_ms);
        self.state.records.views.put(key, running);
        Ok(Outcome::Done)
    }

    fn end_view(&mut self, id: ViewId, application: ApplicationId) -> Ruled {
        let key = (application, self.watcher()?);
        let before = self.state.running_views(application, key.1).to_vec();
        let (over, kept): (Vec<_>, Vec<_>) = before.into_iter().partition(|view| view.id == id);
        if over.is_empty() {
            return Err(Refusal::NotFound(Noun::View));
        }
        self.state.records.views.put(key, kept);
        self.views_ended(&over);
        Ok(Outcome::Done)
    }

    pub(super) fn limit_views(
        &mut self,
        application: ApplicationId,
        patch: &ApplicationPatch,
        views_at_once: Option<u32>,
    ) -> Ruled {
        self.update_application(application, patch)?;
        let Some(limit) = views_at_once else {
            self.state.records.views.forget_application(application);
            return Ok(Outcome::Done);
        };
        if limit == 0 || limit > Limits::VIEWS_AT_ONCE {
            return Err(Refusal::invalid("views_at_once", Problem::OutOfRange));
        }
        self.state.records.views.limits.insert(application, limit);
        for (who, running) in self.state.records.views.of_application(application) {
            // What is over takes no place from what runs.
            let running: Vec<_> = running.iter().filter(|view| self.still_runs(view)).copied().collect();
            let beyond = running.len().saturating_sub(limit as usize);
            self.state.records.views.put((application, who), running[beyond..].to_vec());
        }
        Ok(Outcome::Done)
    }

    /// Drops what ended an hour ago or longer; answers how many.
    pub(super) fn forget_ended_views(&mut self) -> usize {
        let mut count = 0;
        let all: Vec<_> =
            self.state.records.views.running.iter().map(|(key, running)| (*key, running.clone())).collect();
        for (key, running) in all {
            let kept: Vec<_> =
                running.iter().filter(|view| !view.is_long_over(self.now_ms)).copied().collect();
            if kept.len() < running.len() {
                count += running.len() - kept.len();
                self.state.records.views.put(key, kept);
            }
        }
        count
    }

    /// Whoever answers viewers from memory looks again.
    fn views_ended(&mut self, views: &[RunningView]) {
        for view in views {
            self.event(Event::WatchRulesChanged { asset: view.asset });
        }
    }
}
