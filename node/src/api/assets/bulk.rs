//! One action on many assets: each is decided and answered by itself.

use actix_web::HttpResponse;
use cluster::command::{AssetCommand, AssetPatch};
use cluster::id::{AssetId, CollectionId};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::api::body::{Body, ok};
use crate::api::forms;
use crate::problem::Problem;

const MOST: usize = 200;
/// Proposals under way together; they share the log's barriers.
const TOGETHER: usize = 16;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// Publish without a window.
    Publish,
    /// Take back from viewers.
    Unpublish,
    /// To the trash.
    Trash,
    /// Out of the trash.
    Restore,
    /// For good.
    Purge,
    /// Put into `collection`.
    AddToCollection,
    /// Add `tag`.
    AddTag,
}

/// One action on many assets.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// At most 200.
    #[schema(value_type = Vec<forms::Id>, min_items = 1, max_items = 200)]
    pub ids: Vec<AssetId>,
    /// What to do.
    pub action: BulkAction,
    /// For `add_tag`.
    pub tag: Option<String>,
    /// For `add_to_collection`.
    #[schema(value_type = Option<forms::Id>)]
    pub collection: Option<CollectionId>,
}

/// What became of one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BulkResult {
    /// The asset.
    pub id: String,
    /// `ok`, or the code of the refusal.
    pub result: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What became of each, in the order asked.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// The results.
    pub results: Vec<BulkResult>,
}

/// Do one thing with many assets. Each result stands for itself.
#[utoipa::path(post, path = "/assets/bulk", tag = "assets", request_body = Bulk, responses((status = 200, body = BulkAnswer)))]
pub async fn asset_bulk(caller: Caller, body: Body<Bulk>) -> Result<HttpResponse, Problem> {
    caller.signed_in()?;
    let Body(bulk) = body;
    if bulk.ids.is_empty() || bulk.ids.len() > MOST {
        return Err(Problem::invalid("invalid", format!("ids must name 1 to {MOST} assets.")));
    }
    if matches!(bulk.action, BulkAction::Purge) {
        caller.confirmed()?;
    }
    let work = bulk.ids.iter().map(|id| one(&caller, &bulk, *id));
    let results = stream::iter(work).buffered(TOGETHER).collect().await;
    ok(&BulkAnswer { results })
}

async fn one(caller: &Caller, bulk: &Bulk, asset: AssetId) -> BulkResult {
    let outcome = match command(caller, bulk, asset) {
        Ok(command) => caller.propose(command).await.map(|_| ()),
        Err(problem) => Err(problem),
    };
    let (result, detail) = match outcome {
        Ok(()) => ("ok".to_owned(), None),
        Err(problem) => (problem.code().to_owned(), Some(problem.detail().to_owned())),
    };
    BulkResult { id: asset.to_string(), result, detail }
}

fn command(caller: &Caller, bulk: &Bulk, asset: AssetId) -> Result<AssetCommand, Problem> {
    let publish = |published| AssetCommand::Publish { asset, published, from_ms: None, until_ms: None };
    Ok(match bulk.action {
        BulkAction::Publish => publish(true),
        BulkAction::Unpublish => publish(false),
        BulkAction::Trash => AssetCommand::Trash { asset },
        BulkAction::Restore => AssetCommand::Restore { asset },
        BulkAction::Purge => AssetCommand::Purge { asset },
        BulkAction::AddToCollection => {
            let collection =
                bulk.collection.ok_or_else(|| Problem::invalid("invalid", "collection is missing."))?;
            AssetCommand::Describe { asset, patch: with_collection(caller, asset, collection) }
        }
        BulkAction::AddTag => {
            let tag = bulk.tag.as_deref().ok_or_else(|| Problem::invalid("invalid", "tag is missing."))?;
            AssetCommand::Describe { asset, patch: with_tag(caller, asset, tag) }
        }
    })
}

/// Whether the caller may is decided in apply, by the same check as for any other change.
fn with_collection(caller: &Caller, asset: AssetId, collection: CollectionId) -> AssetPatch {
    let state = caller.state();
    let mut collections = state.asset(asset).map(|asset| asset.collections.clone()).unwrap_or_default();
    if !collections.contains(&collection) {
        collections.push(collection);
    }
    AssetPatch { collections: Some(collections), ..AssetPatch::default() }
}

fn with_tag(caller: &Caller, asset: AssetId, tag: &str) -> AssetPatch {
    let state = caller.state();
    let mut tags = state.asset(asset).map(|asset| asset.tags.clone()).unwrap_or_default();
    if !tags.iter().any(|known| known.to_lowercase() == tag.to_lowercase()) {
        tags.push(tag.to_owned());
    }
    AssetPatch { tags: Some(tags), ..AssetPatch::default() }
}
