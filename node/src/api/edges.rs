//! Edges: which there are, how they do, what they keep warm, and having them forget.

use ::cluster::command::{EdgeCommand, Selection};
use ::cluster::id::{ApplicationId, AssetId, CollectionId, WarmId};
use ::cluster::permission::{Action, Target};
use ::cluster::state::{Edge, State, Warm};
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::body::{Body, created, done, ok};
use super::cluster::{JoinTokenView, NewJoinToken, node_id};
use super::forms;
use crate::access::Caller;
use crate::app::App;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// One edge, as the node that is asked sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EdgeView {
    /// Its number. Never used again.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// Where people reach it.
    pub public_address: String,
    /// When it was added.
    pub added_ms: u64,
    /// The version it runs; empty until it has said so.
    pub version: String,
    /// Heard within the last seconds.
    pub alive: bool,
    /// It serves viewers, by its own word.
    pub serving: bool,
    /// Since it was heard last; none when it never was.
    pub silent_ms: Option<u64>,
    /// Bytes it holds on its disk, by its own word.
    pub held_bytes: Option<u64>,
    /// Bytes it may hold.
    pub most_bytes: Option<u64>,
    /// Views it has let watch and still would.
    pub views: Option<u32>,
    /// Since it started.
    pub up_ms: Option<u64>,
    /// What it keeps warm.
    pub warm: Vec<WarmView>,
}

/// Something an edge holds before anybody asks for it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WarmView {
    /// Its id.
    pub id: String,
    /// What.
    #[serde(flatten)]
    pub selection: SelectionView,
    /// Since when.
    pub created_ms: u64,
    /// Assets that are meant now, by the edge's own word.
    pub assets: Option<u32>,
    /// Of those, the ones it holds whole.
    pub whole: Option<u32>,
    /// It has no room for the rest.
    pub no_room: bool,
}

/// Which assets: exactly one of `asset`, `collection` and `tag`. Those that come to match later are meant too.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct SelectionView {
    /// One.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// Those of a collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Those of an application with a tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Where the tag is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
}

/// Which assets are meant; see [`forms::selection`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelectionBody {
    /// One.
    pub asset: Option<String>,
    /// Those of a collection.
    pub collection: Option<String>,
    /// Those of an application with a tag.
    pub tag: Option<String>,
    /// Where the tag is.
    pub application: Option<String>,
}

impl PartialSchema for SelectionBody {
    fn schema() -> RefOr<Schema> {
        forms::selection()
    }
}

impl ToSchema for SelectionBody {}

/// Edges.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EdgeList {
    /// By number.
    pub items: Vec<EdgeView>,
}

/// What was begun.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WarmBegun {
    /// Its id.
    pub id: String,
}

impl SelectionBody {
    fn read(&self) -> Result<Selection, Problem> {
        let wrong = || {
            let says = "Say exactly one of asset, collection, and tag with its application.";
            Problem::invalid("selection", says)
        };
        fn id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
            text.parse().map_err(|_| Problem::not_found())
        }
        match (&self.asset, &self.collection, &self.tag, &self.application) {
            (Some(asset), None, None, None) => Ok(Selection::Asset(id::<AssetId>(asset)?)),
            (None, Some(collection), None, None) => {
                Ok(Selection::Collection(id::<CollectionId>(collection)?))
            }
            (None, None, Some(tag), Some(application)) => {
                let application = id::<ApplicationId>(application)?;
                Ok(Selection::Tag { application, tag: tag.clone() })
            }
            _ => Err(wrong()),
        }
    }
}

impl SelectionView {
    fn of(selection: &Selection) -> Self {
        match selection {
            Selection::Asset(asset) => Self { asset: Some(asset.to_string()), ..Self::default() },
            Selection::Collection(collection) => {
                Self { collection: Some(collection.to_string()), ..Self::default() }
            }
            Selection::Tag { application, tag } => {
                Self { tag: Some(tag.clone()), application: Some(application.to_string()), ..Self::default() }
            }
        }
    }
}

/// All edges, and how each does.
#[utoipa::path(get, path = "/edges", tag = "edges",
    responses((status = 200, body = EdgeList), (status = 403, body = ProblemBody)))]
pub async fn edge_list(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeCluster, Target::Cluster)?;
    ok(&EdgeList { items: state.edges().map(|edge| edge_view(&app, &state, edge)).collect() })
}

fn edge_view(app: &App, state: &State, edge: &Edge) -> EdgeView {
    let contact = app.media.edges.of(edge.id);
    let report = contact.as_ref().map(|contact| &contact.report);
    let warm_view = |warm: &std::sync::Arc<Warm>| {
        let progress = report.and_then(|report| report.warm.iter().find(|one| one.warm == warm.id));
        WarmView {
            id: warm.id.to_string(),
            selection: SelectionView::of(&warm.selection),
            created_ms: warm.created_ms,
            assets: progress.map(|progress| progress.assets),
            whole: progress.map(|progress| progress.whole),
            no_room: progress.is_some_and(|progress| progress.no_room),
        }
    };
    let silent = contact.as_ref().map(|contact| contact.silent_for.as_millis());
    EdgeView {
        id: edge.id.to_string(),
        name: edge.name.clone(),
        site: edge.site.clone(),
        public_address: edge.public_address.clone(),
        added_ms: edge.added_ms,
        version: edge.version.clone(),
        alive: contact.as_ref().is_some_and(crate::edge::Contact::is_alive),
        serving: contact.as_ref().is_some_and(crate::edge::Contact::serves),
        silent_ms: silent.map(|silent| u64::try_from(silent).unwrap_or(u64::MAX)),
        held_bytes: report.map(|report| report.held_bytes),
        most_bytes: report.map(|report| report.most_bytes),
        views: report.map(|report| report.views),
        up_ms: report.map(|report| report.up_ms),
        warm: state.warm_of(edge.id).map(warm_view).collect(),
    }
}

/// A one-use token for an edge to join by. Shown once.
#[utoipa::path(post, path = "/edges/tokens", tag = "edges", request_body = NewJoinToken,
    responses((status = 201, body = JoinTokenView), (status = 403, body = ProblemBody)))]
pub async fn edge_token_create(
    app: web::Data<App>,
    caller: Caller,
    body: Body<NewJoinToken>,
) -> Result<HttpResponse, Problem> {
    let expires_ms = body.0.expires_ms(app.cluster.now_ms())?;
    let token = app.cluster.new_edge_token(caller.actor.clone(), expires_ms).await?;
    created(&JoinTokenView::of(&token, &token.to_edge_text()))
}

/// Remove an edge for good: it is cut off at once and removes what it holds.
#[utoipa::path(delete, path = "/edges/{id}", tag = "edges", params(("id" = String, Path,)),
    responses((status = 204, description = "Removed"), (status = 404, body = ProblemBody)))]
pub async fn edge_remove(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    caller.propose(EdgeCommand::Remove { edge: node_id(&id)? }).await?;
    Ok(done())
}

/// Have an edge hold something before anybody asks for it, now and when more comes to match.
#[utoipa::path(post, path = "/edges/{id}/warm", tag = "edges", params(("id" = String, Path,)),
    request_body = SelectionBody,
    responses((status = 201, body = WarmBegun), (status = 404, body = ProblemBody)))]
pub async fn edge_warm(
    caller: Caller,
    id: web::Path<String>,
    body: Body<SelectionBody>,
) -> Result<HttpResponse, Problem> {
    let (warm, edge, selection) = (WarmId::generate(), node_id(&id)?, body.0.read()?);
    caller.propose(EdgeCommand::Warm { warm, edge, selection }).await?;
    created(&WarmBegun { id: warm.to_string() })
}

/// Let an edge stop keeping something warm. What it holds goes when the room is needed.
#[utoipa::path(delete, path = "/edges/warm/{id}", tag = "edges", params(("id" = String, Path,)),
    responses((status = 204, description = "Ended"), (status = 404, body = ProblemBody)))]
pub async fn edge_warm_end(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let warm = id.parse().map_err(|_| Problem::not_found())?;
    caller.propose(EdgeCommand::EndWarm { warm }).await?;
    Ok(done())
}

/// Have every edge forget what is selected: within seconds, and one that is away before it serves anything again. What
/// may still be watched is fetched anew when somebody watches it.
#[utoipa::path(post, path = "/edges/purges", tag = "edges", request_body = SelectionBody,
    responses((status = 204, description = "In force"), (status = 404, body = ProblemBody)))]
pub async fn edge_purge(caller: Caller, body: Body<SelectionBody>) -> Result<HttpResponse, Problem> {
    caller.propose(EdgeCommand::Purge { selection: body.0.read()? }).await?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_edge_list, edge_list);
    routes.api(__path_edge_token_create, edge_token_create);
    routes.api(__path_edge_purge, edge_purge);
    routes.api(__path_edge_warm_end, edge_warm_end);
    routes.api(__path_edge_remove, edge_remove);
    routes.api(__path_edge_warm, edge_warm);
}
