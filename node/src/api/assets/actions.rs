//! What one does with an asset.

use actix_web::{HttpResponse, web};
use cluster::command::{AssetCommand, Command, JobCommand};
use cluster::id::AssetId;
use cluster::permission::{Action, Target};
use cluster::state::AssetState;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{AssetView, answer};
use crate::access::Caller;
use crate::api::body::{OptionalBody, done};
use crate::api::forms;
use crate::app::App;
use crate::problem::{Problem, ProblemBody};

/// When viewers may watch; always when nothing is named.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PublishWindow {
    /// Not before.
    #[schema(value_type = Option<forms::Milliseconds>)]
    pub from_ms: Option<u64>,
    /// Not after.
    #[schema(value_type = Option<forms::Milliseconds>)]
    pub until_ms: Option<u64>,
}

/// Why an asset must be kept.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hold {
    /// The reason.
    #[schema(value_type = forms::Reason)]
    pub reason: String,
}

async fn act(
    app: &App,
    caller: &Caller,
    asset: AssetId,
    command: AssetCommand,
) -> Result<HttpResponse, Problem> {
    caller.propose(command).await?;
    answer(app, caller, asset)
}

/// Publish: viewers may watch, within the window when one is given.
#[utoipa::path(post, path = "/assets/{id}/publish", tag = "assets", params(("id" = String, Path, description = "Asset")),
    request_body = Option<PublishWindow>, responses((status = 200, body = AssetView), (status = 404, body = ProblemBody)))]
pub async fn asset_publish(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
    body: OptionalBody<PublishWindow>,
) -> Result<HttpResponse, Problem> {
    let OptionalBody(PublishWindow { from_ms, until_ms }) = body;
    act(&app, &caller, *id, AssetCommand::Publish { asset: *id, published: true, from_ms, until_ms }).await
}

/// Take back from viewers. Ends their running Views.
#[utoipa::path(post, path = "/assets/{id}/unpublish", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = AssetView), (status = 404, body = ProblemBody)))]
pub async fn asset_unpublish(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    let command = AssetCommand::Publish { asset: *id, published: false, from_ms: None, until_ms: None };
    act(&app, &caller, *id, command).await
}

/// Put in the trash: unplayable at once, restorable for the application's days.
#[utoipa::path(post, path = "/assets/{id}/trash", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = AssetView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn asset_trash(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    act(&app, &caller, *id, AssetCommand::Trash { asset: *id }).await
}

/// Take out of the trash.
#[utoipa::path(post, path = "/assets/{id}/restore", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = AssetView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn asset_restore(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    act(&app, &caller, *id, AssetCommand::Restore { asset: *id }).await
}

/// Delete for good: the key is forgotten. For the application's admins.
#[utoipa::path(post, path = "/assets/{id}/purge", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn asset_purge(caller: Caller, id: web::Path<AssetId>) -> Result<HttpResponse, Problem> {
    caller.propose(AssetCommand::Purge { asset: *id }).await?;
    Ok(done())
}

/// Legal hold: neither trash nor purge until it is released. For the application's admins.
#[utoipa::path(post, path = "/assets/{id}/hold", tag = "assets", params(("id" = String, Path, description = "Asset")),
    request_body = Option<Hold>, responses((status = 200, body = AssetView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn asset_hold(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
    body: OptionalBody<Hold>,
) -> Result<HttpResponse, Problem> {
    let reason = if body.0.reason.is_empty() { "legal hold".to_owned() } else { body.0.reason };
    act(&app, &caller, *id, AssetCommand::SetLegalHold { asset: *id, hold: true, reason }).await
}

/// End a legal hold.
#[utoipa::path(post, path = "/assets/{id}/release-hold", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = AssetView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn asset_release_hold(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    let command = AssetCommand::SetLegalHold { asset: *id, hold: false, reason: "released".to_owned() };
    act(&app, &caller, *id, command).await
}

/// Process a failed or cancelled asset again.
#[utoipa::path(post, path = "/assets/{id}/retry", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = AssetView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn asset_retry(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::QueueJob, Target::Asset(*id))?;
    let job = state.asset(*id).and_then(|asset| asset.job);
    let job =
        job.ok_or_else(|| Problem::conflict("nothing_to_retry", "Nothing was ever started for this asset."))?;
    caller.propose(JobCommand::Retry { job }).await?;
    answer(&app, &caller, *id)
}

/// Stop the work on an asset, or give up its unfinished upload.
#[utoipa::path(post, path = "/assets/{id}/cancel", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = AssetView), (status = 204, description = "The unfinished upload is gone"),
    (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn asset_cancel(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::StopWork, Target::Asset(*id))?;
    let asset = state.asset(*id).ok_or_else(Problem::not_found)?;
    if asset.state == AssetState::Uploading {
        caller.propose(AssetCommand::AbandonUpload { asset: *id }).await?;
        return Ok(done());
    }
    let job = state.active_job_of(*id).map(|job| job.id);
    let job =
        job.ok_or_else(|| Problem::conflict("nothing_to_cancel", "Nothing is under way for this asset."))?;
    caller.propose(Command::Job(JobCommand::Cancel { job })).await?;
    answer(&app, &caller, *id)
}
