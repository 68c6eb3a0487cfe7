//! Collections: named groups of assets inside an application.

use actix_web::{HttpResponse, web};
use cluster::command::AssetCommand;
use cluster::id::{ApplicationId, CollectionId};
use cluster::permission::{Action, Target};
use cluster::state::{Collection, Shelf, State, folded};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, created, done, ok};
use super::forms;
use super::paging::{Page, PageQuery, page};
use crate::access::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// A collection.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CollectionView {
    /// Its id.
    pub id: String,
    /// Its application.
    pub application: String,
    /// Its name.
    pub name: String,
    /// How many assets are in it.
    pub asset_count: u64,
    /// Days after their upload that its assets are deleted for good; without it they are kept.
    pub retention_days: Option<u16>,
    /// When it was made.
    pub created_ms: u64,
}

impl CollectionView {
    fn of(state: &State, collection: &Collection) -> Self {
        Self {
            id: collection.id.to_string(),
            application: collection.application.to_string(),
            name: collection.name.clone(),
            asset_count: state.count(&Shelf::Collection(collection.id)),
            retention_days: state.retention_days(collection.id),
            created_ms: collection.created_ms,
        }
    }
}

/// A collection's name.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionName {
    /// The name.
    #[schema(value_type = forms::Name)]
    pub name: String,
}

/// How long a collection's assets are kept.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionSet {
    /// Days after their upload that assets are deleted for good: 1 to 36,500; `null` for never.
    #[schema(required, minimum = 1, maximum = 36_500)]
    #[serde(deserialize_with = "Option::deserialize")]
    pub days: Option<u16>,
    /// Assets that are older already may be deleted. Without it, they are counted and the request is refused.
    #[serde(default)]
    pub delete_overdue: bool,
}

/// A word to find assets by, and how many have it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TagView {
    /// The tag.
    pub tag: String,
    /// How many assets have it.
    pub asset_count: u64,
}

/// An application's collections, by name.
#[utoipa::path(get, path = "/applications/{app}/collections", tag = "collections", params(("app" = String, Path, description = "Application"), PageQuery),
    responses((status = 200, body = Page<CollectionView>)))]
pub async fn collection_list(
    caller: Caller,
    app: web::Path<ApplicationId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListCollections, Target::Application(*app))?;
    let all = state.collections_of(*app);
    ok(&page(all, &query, |found| folded(&found.name), |found| CollectionView::of(&state, found))?)
}

/// Make a collection.
#[utoipa::path(post, path = "/applications/{app}/collections", tag = "collections", params(("app" = String, Path, description = "Application")),
    request_body = CollectionName, responses((status = 201, body = CollectionView), (status = 403, body = ProblemBody)))]
pub async fn collection_create(
    caller: Caller,
    app: web::Path<ApplicationId>,
    body: Body<CollectionName>,
) -> Result<HttpResponse, Problem> {
    let collection = CollectionId::generate();
    caller
        .propose(AssetCommand::CreateCollection { collection, application: *app, name: body.0.name })
        .await?;
    created(&view(&caller, collection)?)
}

fn view(caller: &Caller, id: CollectionId) -> Result<CollectionView, Problem> {
    let state = caller.state();
    state.collection(id).map(|found| CollectionView::of(&state, found)).ok_or_else(Problem::not_found)
}

/// Rename a collection.
#[utoipa::path(patch, path = "/collections/{id}", tag = "collections", params(("id" = String, Path, description = "Collection")),
    request_body = CollectionName, responses((status = 200, body = CollectionView), (status = 404, body = ProblemBody)))]
pub async fn collection_update(
    caller: Caller,
    id: web::Path<CollectionId>,
    body: Body<CollectionName>,
) -> Result<HttpResponse, Problem> {
    caller.propose(AssetCommand::UpdateCollection { collection: *id, name: body.0.name }).await?;
    ok(&view(&caller, *id)?)
}

/// Say how long a collection's assets are kept. Where an asset is in several collections the longest time counts, and a
/// legal hold keeps it in any case. Assets that would be deleted at once are counted first: `would_end` tells how many, and
/// nothing changes until the request says `delete_overdue`. For the application's admins.
#[utoipa::path(put, path = "/collections/{id}/retention", tag = "collections", params(("id" = String, Path, description = "Collection")),
    request_body = RetentionSet, responses((status = 200, body = CollectionView), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody, description = "`would_end`: assets are older than that already")))]
pub async fn retention_set(
    caller: Caller,
    id: web::Path<CollectionId>,
    body: Body<RetentionSet>,
) -> Result<HttpResponse, Problem> {
    let RetentionSet { days, delete_overdue } = body.0;
    caller.propose(AssetCommand::SetRetention { collection: *id, days, delete_overdue }).await?;
    ok(&view(&caller, *id)?)
}

/// Remove a collection; its assets stay.
#[utoipa::path(delete, path = "/collections/{id}", tag = "collections", params(("id" = String, Path, description = "Collection")),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn collection_delete(caller: Caller, id: web::Path<CollectionId>) -> Result<HttpResponse, Problem> {
    caller.propose(AssetCommand::DeleteCollection { collection: *id }).await?;
    Ok(done())
}

/// The tags in use, in order. For those who see every asset of the application.
#[utoipa::path(get, path = "/applications/{app}/tags", tag = "collections", params(("app" = String, Path, description = "Application"), PageQuery),
    responses((status = 200, body = Page<TagView>)))]
pub async fn tag_list(
    caller: Caller,
    app: web::Path<ApplicationId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListTrash, Target::Application(*app))?;
    let view = |(tag, asset_count): (&str, u64)| TagView { tag: tag.to_owned(), asset_count };
    ok(&page(state.tags_of(*app), &query, |(tag, _)| (*tag).to_owned(), view)?)
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_collection_list, collection_list);
    routes.api(__path_collection_create, collection_create);
    routes.api(__path_collection_update, collection_update);
    routes.api(__path_collection_delete, collection_delete);
    routes.api(__path_retention_set, retention_set);
    routes.api(__path_tag_list, tag_list);
}
