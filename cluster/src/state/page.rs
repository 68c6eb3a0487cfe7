//! Pages of assets: a walk along one shelf, filtered as it goes, bounded in work as well as in length.

use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::shelf::{Position, Shelf, Sort, SortBy};
use super::{Asset, State};
use crate::id::AssetId;

/// How many assets one page looks at before it stops with what it has.
const LOOKED_AT: usize = 5_000;

/// Where a list goes on. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Position);

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct CursorError;

#[derive(Serialize, Deserialize)]
enum Written {
    Time(u64, AssetId),
    Title(String, AssetId),
    Duration(u64, AssetId),
    Size(u64, AssetId),
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let written = match &self.0 {
            Position::Number(SortBy::Duration, number, id) => Written::Duration(*number, *id),
            Position::Number(SortBy::Size, number, id) => Written::Size(*number, *id),
            Position::Number(_, number, id) => Written::Time(*number, *id),
            Position::Title(title, id) => Written::Title(title.clone(), *id),
        };
        let bytes = postcard::to_allocvec(&written).map_err(|_| std::fmt::Error)?;
        formatter.write_str(&BASE64URL_NOPAD.encode(&bytes))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > 2_048 {
            return Err(CursorError);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| CursorError)?;
        let written = postcard::from_bytes(&bytes).map_err(|_| CursorError)?;
        Ok(Self(match written {
            Written::Time(number, id) => Position::Number(SortBy::Time, number, id),
            Written::Duration(number, id) => Position::Number(SortBy::Duration, number, id),
            Written::Size(number, id) => Position::Number(SortBy::Size, number, id),
            Written::Title(title, id) => Position::Title(title, id),
        }))
    }
}

/// What to list. Choose the narrowest shelf; further wishes go into the filter.
#[derive(Debug, Clone)]
pub struct AssetQuery {
    /// Which list.
    pub shelf: Shelf,
    /// In which order.
    pub sort: Sort,
    /// Go on after here. A cursor of the other order starts anew.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
}

/// One page.
#[derive(Debug, Clone)]
pub struct AssetPage {
    /// The assets, in order. May be fewer than asked for, even none, with more to come.
    pub assets: Vec<Arc<Asset>>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl State {
    /// One page of a list, with those that `keep` admits. Callers pass `permission::sees_asset` (at least) there.
    pub fn list_assets(&self, query: &AssetQuery, mut keep: impl FnMut(&Asset) -> bool) -> AssetPage {
        let after = query.after.as_ref().map(|cursor| &cursor.0);
        let mut assets = Vec::new();
        let mut last = None;
        let walk = self.indexes.shelves.walk(&query.shelf, query.sort, after);
        for (looked_at, (position, id)) in walk.enumerate() {
            if assets.len() >= query.limit || looked_at >= LOOKED_AT {
                return AssetPage { assets, next: last.map(Cursor) };
            }
            if let Some(asset) = self.asset(id).filter(|asset| keep(asset)) {
                assets.push(Arc::clone(asset));
            }
            last = Some(position);
        }
        AssetPage { assets, next: None }
    }

    /// Every shelf that holds something: for an application's tags and the like.
    pub fn shelves(&self) -> impl Iterator<Item = (&Shelf, u64)> {
        self.indexes.shelves.filled().map(|shelf| (shelf, self.count(shelf)))
    }

    /// The tags in use in an application, with how many assets have each, in order.
    pub fn tags_of(&self, application: crate::id::ApplicationId) -> impl Iterator<Item = (&str, u64)> {
        self.indexes.shelves.filled_from(Shelf::Tag(application, String::new())).map_while(
            move |(shelf, count)| match shelf {
                Shelf::Tag(owner, tag) if *owner == application => Some((tag.as_str(), count)),
                _ => None,
            },
        )
    }
}
