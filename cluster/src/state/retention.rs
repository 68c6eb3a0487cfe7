//! What ends by itself: assets of collections that keep them for so long and no longer, and applications in the trash.
//!
//! An asset may be in several collections: the longest time of theirs counts, so that no rule deletes what another one
//! keeps. Collections without a rule say nothing. As everything that is deleted by the clock, it goes only when it was due
//! by two stamps an hour apart.

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::apply::Change;
use super::limits::Limits;
use super::shelf::{Position, Shelf, Sort, SortBy};
use super::{Application, Asset, AssetState, Life, State};
use crate::event::Event;
use crate::id::{ApplicationId, AssetId, CollectionId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// Assets are counted up to here before somebody is asked whether they may be deleted.
const COUNTED: usize = 10_000;
/// Assets of an application that are purged in one step.
const PURGED_TOGETHER: usize = 200;
/// From the oldest on.
const OLDEST: Sort = Sort { by: SortBy::Time, descending: false };

/// What ends by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Retention {
    /// Days that a collection's assets are kept.
    #[serde(with = "super::map")]
    rules: OrdMap<CollectionId, u16>,
    /// Assets outside the trash that are due, and when that was noted first.
    #[serde(with = "super::map")]
    noted: OrdMap<AssetId, u64>,
    #[serde(with = "super::map")]
    applications: OrdMap<ApplicationId, TrashedApplication>,
}

impl Retention {
    pub(super) fn forget_collection(&mut self, id: CollectionId) {
        self.rules.remove(&id);
    }

    pub(super) fn forget_note(&mut self, id: AssetId) {
        self.noted.remove(&id);
    }
}

/// An application in the trash: nobody gets at anything in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashedApplication {
    /// Since when.
    pub at_ms: u64,
    /// Until then it can be restored.
    pub until_ms: u64,
    /// When it was first seen that its time is over.
    pub noted_due_ms: Option<u64>,
    /// Its assets are being purged: nothing brings it back.
    pub being_purged: bool,
}

impl State {
    /// How many days the assets of a collection are kept; `None`: for as long as nobody deletes them.
    #[must_use]
    pub fn retention_days(&self, collection: CollectionId) -> Option<u16> {
        self.records.retention.rules.get(&collection).copied()
    }

    /// When the time of an asset is over by the collections it is in; `None`: never.
    #[must_use]
    pub fn ends_ms(&self, asset: &Asset) -> Option<u64> {
        let days = asset.collections.iter().filter_map(|id| self.retention_days(*id)).max()?;
        Some(asset.created_ms.saturating_add(u64::from(days) * Limits::DAY_MS))
    }

    fn is_over(&self, asset: &Asset, now_ms: u64) -> bool {
        // What is still being uploaded ends in its own way.
        asset.state != AssetState::Uploading && self.ends_ms(asset).is_some_and(|until_ms| now_ms >= until_ms)
    }

    /// Collections that keep their assets for so long and no longer.
    pub fn retaining_collections(&self) -> impl Iterator<Item = CollectionId> {
        self.records.retention.rules.keys().copied()
    }

    /// Looks at `most` assets of a collection with a rule, the oldest first and from `after` on: those to end at `now_ms`,
    /// and where to go on, while there may be more.
    #[must_use]
    pub fn over_in(
        &self,
        collection: CollectionId,
        after: Option<&Position>,
        now_ms: u64,
        most: usize,
    ) -> (Vec<AssetId>, Option<Position>) {
        let Some(days) = self.retention_days(collection) else { return (Vec::new(), None) };
        let noted = &self.records.retention.noted;
        let is_too_early = |id: &AssetId| {
            noted.get(id).is_some_and(|noted_ms| now_ms < noted_ms.saturating_add(Limits::DUE_AGAIN_MS))
        };
        let mut over = Vec::new();
        let shelf = Shelf::Collection(collection);
        for (looked_at, (position, id)) in self.indexes.shelves.walk(&shelf, OLDEST, after).enumerate() {
            let Some(asset) = self.asset(id) else { continue };
            // All that come behind are younger.
            if now_ms < asset.created_ms.saturating_add(u64::from(days) * Limits::DAY_MS) {
                return (over, None);
            }
            if asset.legal_hold.is_none() && self.is_over(asset, now_ms) && !is_too_early(&id) {
                over.push(id);
            }
            if looked_at + 1 == most {
                return (over, Some(position));
            }
        }
        (over, None)
    }

    /// An application in the trash.
    #[must_use]
    pub fn trashed_application(&self, id: ApplicationId) -> Option<TrashedApplication> {
        self.records.retention.applications.get(&id).copied()
    }

    /// Applications in the trash, by name.
    pub fn trashed_applications(&self) -> impl Iterator<Item = (&Application, TrashedApplication)> {
        self.applications_by_name()
            .filter_map(|found| self.trashed_application(found.id).map(|trashed| (&**found, trashed)))
    }

    /// Trashed applications whose time is over at `now_ms`.
    pub fn applications_due(&self, now_ms: u64) -> impl Iterator<Item = ApplicationId> {
        let is_due = move |trashed: &TrashedApplication| {
            let too_early = |noted_ms: u64| now_ms < noted_ms.saturating_add(Limits::DUE_AGAIN_MS);
            trashed.being_purged || now_ms >= trashed.until_ms && !trashed.noted_due_ms.is_some_and(too_early)
        };
        let all = self.records.retention.applications.iter();
        all.filter(move |(_, trashed)| is_due(trashed)).map(|(id, _)| *id)
    }

    /// Whether an asset is where people can get at it: not in the trash, and its application is not.
    #[must_use]
    pub fn is_within_reach(&self, asset: &Asset) -> bool {
        asset.is_live() && self.trashed_application(asset.application).is_none()
    }
}

impl Change<'_> {
    pub(super) fn set_retention(
        &mut self,
        id: CollectionId,
        days: Option<u16>,
        delete_overdue: bool,
    ) -> Ruled {
        let found = self.state.collection(id).ok_or(Refusal::NotFound(Noun::Collection))?;
        let application = found.application;
        if days.is_some_and(|days| days == 0 || days > Limits::RETENTION_DAYS) {
            return Err(Refusal::invalid("retention_days", Problem::OutOfRange));
        }
        let before = self.state.clone();
        match days {
            Some(days) => self.state.records.retention.rules.insert(id, days),
            None => self.state.records.retention.rules.remove(&id),
        };
        let inside = self.inside(id);
        if !delete_overdue {
            self.refuse_new_ends(&before, &inside)?;
        }
        // What was noted under another rule says nothing under this one.
        inside.into_iter().for_each(|asset| self.state.records.retention.forget_note(asset));
        self.event(Event::CollectionChanged { collection: id, application });
        Ok(Outcome::Done)
    }

    /// The assets of a collection, the oldest first.
    pub(super) fn inside(&self, id: CollectionId) -> Vec<AssetId> {
        let shelf = Shelf::Collection(id);
        self.state.indexes.shelves.walk(&shelf, OLDEST, None).map(|(_, asset)| asset).collect()
    }

    /// Refuses what would end assets at once that were to be kept `before`: deleting is asked for by that name.
    pub(super) fn refuse_new_ends(&self, before: &State, assets: &[AssetId]) -> Result<(), Refusal> {
        let ends = |id: &&AssetId| {
            let was_over = before.asset(**id).is_some_and(|asset| before.is_over(asset, self.now_ms));
            let is_over = self.state.asset(**id).is_some_and(|asset| self.state.is_over(asset, self.now_ms));
            is_over && !was_over
        };
        match assets.iter().filter(ends).take(COUNTED).count() {
            0 => Ok(()),
            count => Err(Refusal::WouldEnd { assets: u32::try_from(count).unwrap_or(u32::MAX) }),
        }
    }

    /// Ends an asset outside the trash whose collections keep it no longer.
    pub(super) fn expire_kept(&mut self, asset: &Asset) -> Ruled {
        if !self.state.is_over(asset, self.now_ms) {
            return Err(Refusal::NotDue);
        }
        let now_ms = self.now_ms;
        match self.state.records.retention.noted.get(&asset.id) {
            Some(noted_ms) if now_ms >= noted_ms.saturating_add(Limits::DUE_AGAIN_MS) => {
                self.purge(asset)?;
                Ok(Outcome::Purged)
            }
            Some(_) => Err(Refusal::NotDue),
            None => {
                self.state.records.retention.noted.insert(asset.id, now_ms);
                Ok(Outcome::NotedDue)
            }
        }
    }

    /// Until when an asset that is trashed now stays in the trash: for its time there, but not beyond that of its
    /// collections.
    pub(super) fn trashed_until_ms(&self, asset: &Asset, kept_ms: u64) -> u64 {
        let until_ms = self.now_ms.saturating_add(kept_ms);
        let ends_ms = self.state.ends_ms(asset).unwrap_or(u64::MAX);
        until_ms.min(ends_ms.max(self.now_ms))
    }

    pub(super) fn trash_application(&mut self, id: ApplicationId) -> Ruled {
        let application = self.state.application(id).ok_or(Refusal::NotFound(Noun::Application))?;
        let kept_ms = u64::from(application.policy.trash_days) * Limits::DAY_MS;
        if self.state.has_held_assets(id) {
            return Err(Refusal::LegalHold);
        }
        let until_ms = self.now_ms.saturating_add(kept_ms);
        let trashed =
            TrashedApplication { at_ms: self.now_ms, until_ms, noted_due_ms: None, being_purged: false };
        self.state.records.retention.applications.insert(id, trashed);
        self.state.records.views.forget_application(id);
        self.event(Event::ApplicationRemoved { application: id });
        Ok(Outcome::Done)
    }

    fn trashed(&self, id: ApplicationId) -> Result<TrashedApplication, Refusal> {
        self.state.trashed_application(id).ok_or(Refusal::NotFound(Noun::Application))
    }

    pub(super) fn restore_application(&mut self, id: ApplicationId) -> Ruled {
        if self.trashed(id)?.being_purged {
            return Err(Refusal::BeingPurged);
        }
        self.state.records.retention.applications.remove(&id);
        self.event(Event::ApplicationChanged { application: id });
        Ok(Outcome::Done)
    }

    /// From here on nothing brings it back; a node does the rest, piece by piece.
    pub(super) fn purge_application(&mut self, id: ApplicationId) -> Ruled {
        let trashed = TrashedApplication { being_purged: true, ..self.trashed(id)? };
        self.state.records.retention.applications.insert(id, trashed);
        self.event(Event::ApplicationRemoved { application: id });
        Ok(Outcome::Done)
    }

    pub(super) fn expire_application(&mut self, id: ApplicationId) -> Ruled {
        let mut trashed = self.trashed(id)?;
        if !trashed.being_purged {
            if self.state.cluster_info().is_some_and(|cluster| cluster.time_held) {
                return Err(Refusal::TimeHeld);
            }
            if self.now_ms < trashed.until_ms {
                return Err(Refusal::NotDue);
            }
            match trashed.noted_due_ms {
                Some(noted_ms) if self.now_ms >= noted_ms.saturating_add(Limits::DUE_AGAIN_MS) => {
                    trashed.being_purged = true;
                }
                Some(_) => return Err(Refusal::NotDue),
                None => trashed.noted_due_ms = Some(self.now_ms),
            }
            self.state.records.retention.applications.insert(id, trashed);
            if !trashed.being_purged {
                return Ok(Outcome::NotedDue);
            }
        }
        self.purge_some_of(id)
    }

    fn purge_some_of(&mut self, id: ApplicationId) -> Ruled {
        let all = |shelf: Shelf| -> Vec<AssetId> {
            let walk = self.state.indexes.shelves.walk(&shelf, OLDEST, None);
            walk.map(|(_, asset)| asset).take(PURGED_TOGETHER).collect()
        };
        let found = [all(Shelf::Live(id)), all(Shelf::Trash(id))].concat();
        let mut purged: u32 = 0;
        for asset in found.into_iter().take(PURGED_TOGETHER) {
            let asset = self.asset_copy(asset)?;
            if !matches!(asset.life, Life::Trashed { .. }) {
                self.cancel_active_job(asset.id);
            }
            self.purge(&asset)?;
            purged += 1;
        }
        if purged > 0 {
            return Ok(Outcome::Count(purged));
        }
        self.state.records.retention.applications.remove(&id);
        self.delete_application(id)?;
        Ok(Outcome::Purged)
    }
}
