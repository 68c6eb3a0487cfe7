//! Ordered indexes of assets, so that every list pages without sorting.
//!
//! A [`Shelf`] is a list one can ask for. Each asset stands on the shelves of [`shelves_of`], once for each order there
//! is; a page is a walk from a cursor: O(log n + page).

use std::ops::Bound;
use std::sync::LazyLock;

use imbl::{OrdMap, OrdSet};

use super::asset_record::{Asset, AssetStateKind, Life};
use super::limits::Limits;
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

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// Time of upload; in the trash, time of trashing.
    #[default]
    Time,
    /// Title, lower case.
    Title,
    /// Length in time; what is not known comes first.
    Duration,
    /// Bytes of the original; what is not known comes first.
    Size,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// From the largest, newest, last to the smallest.
    pub descending: bool,
}

impl Sort {
    /// Newest first.
    pub const NEWEST: Self = Self { by: SortBy::Time, descending: true };
    /// By title.
    pub const TITLE: Self = Self { by: SortBy::Title, descending: false };
}

impl Default for Sort {
    fn default() -> Self {
        Self::NEWEST
    }
}

/// Where an asset stands on a shelf by number: time, duration or size.
type NumberKey = (Shelf, u64, AssetId);
type TitleKey = (Shelf, String, AssetId);

const LAST: AssetId = AssetId([0xff; 16]);

/// Where an asset stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shelves {
    time: OrdSet<NumberKey>,
    duration: OrdSet<NumberKey>,
    size: OrdSet<NumberKey>,
    title: OrdSet<TitleKey>,
    counts: OrdMap<Shelf, u64>,
}

/// Every shelf `asset` stands on.
pub(super) fn shelves_of(asset: &Asset) -> Vec<Shelf> {
    let application = asset.application;
    if !asset.is_live() {
        return vec![Shelf::Trash(application)];
    }
    let mut shelves = Vec::with_capacity(4 + asset.tags.len() + asset.collections.len());
    shelves.extend([Shelf::Live(application), Shelf::State(application, asset.state.kind())]);
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
    match asset.life {
        Life::Live => asset.created_ms,
        Life::Trashed { at_ms, .. } => at_ms,
    }
}

fn duration_key(asset: &Asset) -> u64 {
    asset.facts.map_or(0, |facts| facts.duration_ms)
}

fn size_key(asset: &Asset) -> u64 {
    asset.length.or(asset.declared_length).unwrap_or(0)
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
            self.time.insert((shelf.clone(), time_key(asset), asset.id));
            self.duration.insert((shelf.clone(), duration_key(asset), asset.id));
            self.size.insert((shelf.clone(), size_key(asset), asset.id));
            self.title.insert((shelf, title.clone(), asset.id));
        }
    }

    fn remove(&mut self, asset: &Asset) {
        let title = folded(&asset.title);
        for shelf in shelves_of(asset) {
            self.uncount(&shelf);
            self.time.remove(&(shelf.clone(), time_key(asset), asset.id));
            self.duration.remove(&(shelf.clone(), duration_key(asset), asset.id));
            self.size.remove(&(shelf.clone(), size_key(asset), asset.id));
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

    /// Ids of `shelf` in order, after `after` when given. A place of another order counts as none.
    pub(super) fn walk<'a>(
        &'a self,
        shelf: &'a Shelf,
        sort: Sort,
        after: Option<&Position>,
    ) -> Box<dyn Iterator<Item = (Position, AssetId)> + 'a> {
        let numbers = match sort.by {
            SortBy::Time => &self.time,
            SortBy::Duration => &self.duration,
            SortBy::Size => &self.size,
            SortBy::Title => {
                let after = match after {
                    Some(Position::Title(title, id)) => Some((title.clone(), *id)),
                    _ => None,
                };
                let walk = walk(&self.title, shelf, (String::new(), LAST_TITLE.clone()), sort, after);
                return Box::new(walk.map(|(title, id)| (Position::Title(title, id), id)));
            }
        };
        let after = match after {
            Some(Position::Number(by, number, id)) if *by == sort.by => Some((*number, *id)),
            _ => None,
        };
        let walk = walk(numbers, shelf, (0, u64::MAX), sort, after);
        Box::new(walk.map(move |(number, id)| (Position::Number(sort.by, number, id), id)))
    }
}

/// Sorts behind every title: it is longer than any, of the last character there is.
static LAST_TITLE: LazyLock<String> = LazyLock::new(|| "\u{10ffff}".repeat(Limits::NAME as usize * 4));

/// What stands on `shelf` between the `least` and the `most` key, in order, after `after`.
fn walk<'a, K: Ord + Clone + 'a>(
    set: &'a OrdSet<(Shelf, K, AssetId)>,
    shelf: &Shelf,
    (least, most): (K, K),
    sort: Sort,
    after: Option<(K, AssetId)>,
) -> Box<dyn Iterator<Item = (K, AssetId)> + 'a> {
    let (mut from, mut to) = (
        Bound::Included((shelf.clone(), least, AssetId::ZERO)),
        Bound::Included((shelf.clone(), most, LAST)),
    );
    if let Some((key, id)) = after {
        let place = Bound::Excluded((shelf.clone(), key, id));
        if sort.descending { to = place } else { from = place }
    }
    let range = set.range((from, to)).map(|(_, key, id)| (key.clone(), *id));
    if sort.descending { Box::new(range.rev()) } else { Box::new(range) }
}

fn stands_alike(before: &Asset, after: &Asset) -> bool {
    before.title == after.title
        && time_key(before) == time_key(after)
        && duration_key(before) == duration_key(after)
        && size_key(before) == size_key(after)
        && shelves_of(before) == shelves_of(after)
}

/// A place in a list, after which the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// In a list by a number: by what, the number, and the asset there.
    Number(SortBy, u64, AssetId),
    /// In a list by title: the folded title, and the asset there.
    Title(String, AssetId),
}
