//! Lists in pages: an opaque cursor names where the next page begins, never an offset.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

const USUAL: usize = 50;
/// Most items of a page.
pub const MOST: usize = 500;

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items: 1 to 500, usually 50.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// One page.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The page size asked for.
pub fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(USUAL),
        Some(limit @ 1..=MOST) => Ok(limit),
        Some(_) => Err(Problem::invalid("invalid_query", format!("limit must be 1 to {MOST}."))),
    }
}

/// The answer to a cursor that no list gave.
#[must_use]
pub fn bad_cursor() -> Problem {
    Problem::invalid("invalid_cursor", "This cursor does not belong to this list. Start again without one.")
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the smallest key.
    Up,
    /// From the largest key.
    Down,
}

/// One page of a list that is in the order of `key`, which must be unique.
pub fn page<T, R>(
    all: impl Iterator<Item = T>,
    query: &PageQuery,
    key: impl Fn(&T) -> String,
    view: impl Fn(T) -> R,
) -> Result<Page<R>, Problem> {
    page_of(all, Way::Up, query, key, view)
}

/// One page of a list that is in the order of `key` one way or the other.
pub fn page_of<T, R>(
    all: impl Iterator<Item = T>,
    way: Way,
    query: &PageQuery,
    key: impl Fn(&T) -> String,
    view: impl Fn(T) -> R,
) -> Result<Page<R>, Problem> {
    let limit = limit(query.limit)?;
    let after = query.cursor.as_deref().map(decode).transpose()?;
    let mut items = Vec::new();
    let mut last: Option<String> = None;
    for item in all {
        let place = key(&item);
        let passed = |after: &String| match way {
            Way::Up => place <= *after,
            Way::Down => place >= *after,
        };
        if after.as_ref().is_some_and(passed) {
            continue;
        }
        if items.len() == limit {
            return Ok(Page { items, next_cursor: last.map(|place| encode(&place)) });
        }
        last = Some(place);
        items.push(view(item));
    }
    Ok(Page { items, next_cursor: None })
}

/// A place as clients carry it.
#[must_use]
pub fn encode(place: &str) -> String {
    BASE64URL_NOPAD.encode(place.as_bytes())
}

/// The place a cursor names.
pub fn decode(cursor: &str) -> Result<String, Problem> {
    if cursor.len() > 2048 {
        return Err(bad_cursor());
    }
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| bad_cursor())?;
    String::from_utf8(bytes).map_err(|_| bad_cursor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(limit: usize) -> Vec<Vec<u32>> {
        let mut pages = Vec::new();
        let mut query = PageQuery { cursor: None, limit: Some(limit) };
        loop {
            let page = page(0..7u32, &query, |item| format!("{item:03}"), |item| item).unwrap();
            pages.push(page.items);
            match page.next_cursor {
                Some(next) => query.cursor = Some(next),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_give_everything_once_and_the_last_has_no_cursor() {
        assert_eq!(walk(3), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(walk(7), [vec![0, 1, 2, 3, 4, 5, 6]]);
    }

    #[test]
    fn a_cursor_of_nowhere_is_refused() {
        assert!(decode("***").is_err());
        assert!(decode(&"a".repeat(3000)).is_err());
        assert!(limit(Some(0)).is_err() && limit(Some(501)).is_err());
    }
}
