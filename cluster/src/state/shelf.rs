//! Ordered indexes of assets, so that every list pages without sorting.
//!
//! A [`Shelf`] is a list one can ask for. Each asset stands on the shelves of [`shelves_of`], once by time and once by
//! title; a page is a walk from a cursor: O(log n + page).

use imbl::{OrdMap, OrdSet};

use super::asset_record::{Asset, AssetStateKind, Life};
use crate::id::{ApplicationId, AssetId, CollectionId, UserId};

/// A list of assets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// Everything in an application but its trash.
    Live(ApplicationId),
    /// What viewers may find: published (perhaps not yet, or no more: the window is looked at when listing).
    Published(ApplicationId),
    /// In one state.
    State(ApplicationId, AssetStateKind),
    /// With a tag (lower case).
    Tag(ApplicationId, String),
    /// Uploaded by a person.
    Owner(ApplicationId, UserId),
    /// In a collection.
    Collection(CollectionId),
    /// The trash; by time of trashing.
    Trash(ApplicationId),
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Newest first.
    #[default]
    Newest,
    /// By title, lower case.
    Title,
}

/// Newest first: the complement of the time.
type NewestKey = (Shelf, u64, AssetId);
type TitleKey = (Shelf, String, AssetId);

/// Where an asset stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shelves {
    newest: OrdSet<NewestKey>,
    title: OrdSet<TitleKey>,
    counts: OrdMap<Shelf, u64>,
}

/// Every shelf `asset` stands on.
pub(super) fn shelves_of(asset: &Asset) -> Vec<Shelf> {
    let application = asset.application;
    if !asset.is_live() {
        return vec![Shelf::Trash(application)];
    }
    let mut shelves = vec![Shelf::Live(application), Shelf::State(application, asset.state.kind())];
    if asset.published.is_some() {
        shelves.push(Shelf::Published(application));
    }
    if let Some(owner) = asset.owner() {
        shelves.push(Shelf::Owner(application, owner));
    }
    shelves.extend(asset.tags.iter().map(|tag| Shelf::Tag(application, folded(tag))));
    shelves.extend(asset.collections.iter().map(|id| Shelf::Collection(*id)));
    shelves.sort_unstable();
    shelves.dedup();
    shelves
}

/// Lower case, for comparing names.
#[must_use]
pub fn folded(text: &str) -> String {
    text.to_lowercase()
}

fn time_key(asset: &Asset) -> u64 {
    let time_ms = match asset.life {
        Life::Live => asset.created_ms,
        Life::Trashed { at_ms, .. } => at_ms,
    };
    u64::MAX - time_ms
}

impl Shelves {
    /// Moves an asset from where `before` stood to where `after` stands.
    pub(super) fn replace(&mut self, before: Option<&Asset>, after: Option<&Asset>) {
        if let (Some(before), Some(after)) = (before, after)
            && stands_alike(before, after)
        {
            return;
        }
        if let Some(before) = before {
            self.remove(before);
        }
        if let Some(after) = after {
            self.insert(after);
        }
    }

    fn insert(&mut self, asset: &Asset) {
        let title = folded(&asset.title);
        for shelf in shelves_of(asset) {
            *self.counts.entry(shelf.clone()).or_insert(0) += 1;
            self.newest.insert((shelf.clone(), time_key(asset), asset.id));
            self.title.insert((shelf, title.clone(), asset.id));
        }
    }

    fn remove(&mut self, asset: &Asset) {
        let title = folded(&asset.title);
        for shelf in shelves_of(asset) {
            self.uncount(&shelf);
            self.newest.remove(&(shelf.clone(), time_key(asset), asset.id));
            self.title.remove(&(shelf, title.clone(), asset.id));
        }
    }

    fn uncount(&mut self, shelf: &Shelf) {
        match self.counts.get(shelf).copied() {
            Some(count) if count > 1 => {
                self.counts.insert(shelf.clone(), count - 1);
            }
            _ => {
                self.counts.remove(shelf);
            }
        }
    }

    /// How many stand on `shelf`.
    pub(super) fn count(&self, shelf: &Shelf) -> u64 {
        self.counts.get(shelf).copied().unwrap_or(0)
    }

    /// Every shelf that holds something.
    pub(super) fn filled(&self) -> impl Iterator<Item = &Shelf> {
        self.counts.keys()
    }

    /// Filled shelves from `start` on, with how many stand there.
    pub(super) fn filled_from(&self, start: Shelf) -> impl Iterator<Item = (&Shelf, u64)> {
        self.counts.range(start..).map(|(shelf, count)| (shelf, *count))
    }

    /// Ids of `shelf` in order, after `after` when given.
    pub(super) fn walk<'a>(
        &'a self,
        shelf: &'a Shelf,
        sort: Sort,
        after: Option<&Position>,
    ) -> Box<dyn Iterator<Item = (Position, AssetId)> + 'a> {
        let skip = after.is_some();
        match sort {
            Sort::Newest => {
                let (time, id) = match after {
                    Some(Position::Newest(time, id)) => (*time, *id),
                    _ => (0, AssetId::ZERO),
                };
                let start = (shelf.clone(), time, id);
                Box::new(
                    self.newest
                        .range(start.clone()..)
                        .skip_while(move |key| skip && **key == start)
                        .take_while(move |key| key.0 == *shelf)
                        .map(|key| (Position::Newest(key.1, key.2), key.2)),
                )
            }
            Sort::Title => {
                let (title, id) = match after {
                    Some(Position::Title(title, id)) => (title.clone(), *id),
                    _ => (String::new(), AssetId::ZERO),
                };
                let start = (shelf.clone(), title, id);
                Box::new(
                    self.title
                        .range(start.clone()..)
                        .skip_while(move |key| skip && **key == start)
                        .take_while(move |key| key.0 == *shelf)
                        .map(|key| (Position::Title(key.1.clone(), key.2), key.2)),
                )
            }
        }
    }
}

fn stands_alike(before: &Asset, after: &Asset) -> bool {
    before.title == after.title
        && time_key(before) == time_key(after)
        && shelves_of(before) == shelves_of(after)
}

/// A place in a list, after which the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// In a list by time: complement of the time, and the asset there.
    Newest(u64, AssetId),
    /// In a list by title: the folded title, and the asset there.
    Title(String, AssetId),
}
