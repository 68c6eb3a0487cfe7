//! The library: an application's assets, filtered, sorted and paged from the ordered indexes of State.

use actix_web::{HttpResponse, web};
use cluster::id::{ApplicationId, CollectionId, UserId};
use cluster::permission::{self, Action, Target};
use cluster::state::{Asset, AssetQuery, AssetStateKind, Shelf, Sort, SortBy, folded};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::view::{AssetView, StateName};
use crate::access::Caller;
use crate::api::body::ok;
use crate::api::forms;
use crate::api::paging::{Page, bad_cursor, limit};
use crate::app::App;
use crate::problem::{Problem, ProblemBody};

/// The order of a list; a minus turns it round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub enum SortName {
    /// Newest first.
    #[default]
    #[serde(rename = "-created")]
    Newest,
    /// Oldest first.
    #[serde(rename = "created")]
    Oldest,
    /// By title.
    #[serde(rename = "title")]
    Title,
    /// By title, from the end.
    #[serde(rename = "-title")]
    TitleDown,
    /// Shortest first.
    #[serde(rename = "duration")]
    Shortest,
    /// Longest first.
    #[serde(rename = "-duration")]
    Longest,
    /// Smallest first.
    #[serde(rename = "size")]
    Smallest,
    /// Largest first.
    #[serde(rename = "-size")]
    Largest,
}

impl From<SortName> for Sort {
    fn from(name: SortName) -> Self {
        let (by, descending) = match name {
            SortName::Newest => (SortBy::Time, true),
            SortName::Oldest => (SortBy::Time, false),
            SortName::Title => (SortBy::Title, false),
            SortName::TitleDown => (SortBy::Title, true),
            SortName::Shortest => (SortBy::Duration, false),
            SortName::Longest => (SortBy::Duration, true),
            SortName::Smallest => (SortBy::Size, false),
            SortName::Largest => (SortBy::Size, true),
        };
        Self { by, descending }
    }
}

/// Which assets.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AssetFilter {
    /// Words that title, description, tags, file name or fields must contain.
    pub q: Option<String>,
    /// Where processing stands.
    #[param(inline)]
    pub state: Option<StateName>,
    /// With this tag.
    pub tag: Option<String>,
    /// In this collection.
    #[param(value_type = Option<forms::Id>)]
    pub collection: Option<CollectionId>,
    /// Uploaded by this person.
    #[param(value_type = Option<forms::Id>)]
    pub owner: Option<UserId>,
    /// The trash instead of the library.
    pub trashed: Option<bool>,
    /// `created`, `title`, `duration` or `size`, with a minus for the other way round; usual is `-created`.
    #[param(inline)]
    pub sort: SortName,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items: 1 to 500, usually 50.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// An application's assets. A page may hold fewer than `limit` items although more follow: go by `next_cursor`.
#[utoipa::path(get, path = "/applications/{app}/assets", tag = "assets", params(("app" = String, Path, description = "Application"), AssetFilter),
    responses((status = 200, body = Page<AssetView>), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn asset_list(
    data: web::Data<App>,
    caller: Caller,
    app: web::Path<ApplicationId>,
    filter: web::Query<AssetFilter>,
) -> Result<HttpResponse, Problem> {
    let (application, filter) = (*app, filter.into_inner());
    let state = caller.state();
    let trashed = filter.trashed.unwrap_or(false);
    let action = if trashed { Action::ListTrash } else { Action::ListAssets };
    caller.may(&state, action, Target::Application(application))?;
    let after = filter.cursor.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?;
    let query = AssetQuery {
        shelf: shelf(application, &filter),
        sort: filter.sort.into(),
        after,
        limit: limit(filter.limit)?,
    };
    let now_ms = data.cluster.now_ms();
    let standing = permission::standing(&state, &caller.actor, now_ms)?;
    let words = words(filter.q.as_deref());
    let page = state.list_assets(&query, |asset| {
        asset.application == application
            && fits(asset, &filter)
            && contains(asset, &words)
            && permission::sees_asset(&state, &standing, asset, now_ms)
    });
    let items =
        page.assets.iter().map(|asset| AssetView::of(&state, asset, data.live.progress(asset.id))).collect();
    ok(&Page { items, next_cursor: page.next.map(|cursor| cursor.to_string()) })
}

/// The narrowest list that holds everything asked for.
fn shelf(application: ApplicationId, filter: &AssetFilter) -> Shelf {
    if filter.trashed.unwrap_or(false) {
        return Shelf::Trash(application);
    }
    if let Some(collection) = filter.collection {
        return Shelf::Collection(collection);
    }
    if let Some(tag) = &filter.tag {
        return Shelf::Tag(application, folded(tag));
    }
    if let Some(owner) = filter.owner {
        return Shelf::Owner(application, owner);
    }
    filter.state.map_or(Shelf::Live(application), |state| Shelf::State(application, kind(state)))
}

fn kind(state: StateName) -> AssetStateKind {
    match state {
        StateName::Uploading => AssetStateKind::Uploading,
        StateName::Processing => AssetStateKind::Processing,
        StateName::Ready => AssetStateKind::Ready,
        StateName::Failed => AssetStateKind::Failed,
    }
}

fn fits(asset: &Asset, filter: &AssetFilter) -> bool {
    let tag = filter.tag.as_deref().map(folded);
    filter.state.is_none_or(|state| asset.state.kind() == kind(state))
        && filter.collection.is_none_or(|collection| asset.collections.contains(&collection))
        && filter.owner.is_none_or(|owner| asset.owner() == Some(owner))
        && tag.is_none_or(|tag| asset.tags.iter().any(|known| folded(known) == tag))
        && asset.is_live() != filter.trashed.unwrap_or(false)
}

fn words(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split_whitespace().take(16).map(folded).collect()
}

fn contains(asset: &Asset, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let mut text = folded(&asset.title);
    let fields = asset.fields.iter().map(|(_, value)| value);
    for part in [&asset.description, &asset.file_name].into_iter().chain(&asset.tags).chain(fields) {
        text.push('\n');
        text.push_str(&folded(part));
    }
    words.iter().all(|word| text.contains(word.as_str()))
}
