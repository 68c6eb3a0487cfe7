//! One asset as the API shows it, and changes to its description.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use cluster::command::{AccessRule, AssetCommand, AssetPatch};
use cluster::id::{AssetId, CollectionId, UserId};
use cluster::permission::{Action, Target};
use cluster::state::{Asset, AssetState, Life, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::api::body::{Body, ok};
use crate::api::forms;
use crate::app::App;
use crate::live::Progress;
use crate::problem::{Problem, ProblemBody};

/// Who may watch once it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessView {
    /// All members of the application.
    Members,
    /// These people, and editors.
    Users {
        /// Their ids.
        #[schema(value_type = Vec<forms::Id>, max_items = 500)]
        users: Vec<UserId>,
    },
    /// Editors only.
    Editors,
}

impl From<&AccessRule> for AccessView {
    fn from(rule: &AccessRule) -> Self {
        match rule {
            AccessRule::Members => Self::Members,
            AccessRule::Users(users) => Self::Users { users: users.clone() },
            AccessRule::Editors => Self::Editors,
        }
    }
}

impl From<AccessView> for AccessRule {
    fn from(rule: AccessView) -> Self {
        match rule {
            AccessView::Members => Self::Members,
            AccessView::Users { users } => Self::Users(users),
            AccessView::Editors => Self::Editors,
        }
    }
}

/// Where an asset's processing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// The original is not complete.
    Uploading,
    /// What is made from it is not complete.
    Processing,
    /// Complete.
    Ready,
    /// It cannot be processed; see `reason`.
    Failed,
}

/// An asset.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AssetView {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub application: String,
    /// Its title.
    pub title: String,
    /// Free text.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The application's own fields.
    pub fields: BTreeMap<String, String>,
    /// Collections it is in.
    pub collections: Vec<String>,
    /// Name of the uploaded file.
    pub file_name: String,
    /// What the client said it is.
    pub media_type: String,
    /// The person who uploaded it.
    pub owner: Option<String>,
    /// Where its processing stands.
    pub state: StateName,
    /// For `failed`: a stable code.
    pub reason_code: Option<String>,
    /// For `failed`: for people.
    pub reason: Option<String>,
    /// Can already be watched, from the first finished segments on.
    pub watchable: bool,
    /// How far the work on it is, when it is done on this node.
    pub progress: Option<Progress>,
    /// Length in time.
    pub duration_ms: Option<u64>,
    /// Height of the largest picture.
    pub height: Option<u32>,
    /// Bytes of the original.
    pub size: Option<u64>,
    /// SHA-256 of the original, in hexadecimal.
    pub sha256: Option<String>,
    /// Is it published? Viewers see nothing else.
    pub published: bool,
    /// Published from then on.
    pub publish_from_ms: Option<u64>,
    /// Published until then.
    pub publish_until_ms: Option<u64>,
    /// Who may watch once it is published.
    pub access: AccessView,
    /// In the trash since then.
    pub trashed_ms: Option<u64>,
    /// Deleted for good after that: in the trash, or by how long its collections keep it. A hold keeps it for longer.
    pub purge_after_ms: Option<u64>,
    /// Why it must be kept, when it must.
    pub hold: Option<String>,
    /// Has a still picture.
    pub has_poster: bool,
    /// When it was made.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
}

impl AssetView {
    /// As people see it.
    #[must_use]
    pub fn of(known: &State, asset: &Asset, progress: Option<Progress>) -> Self {
        let (state, failure) = state_of(&asset.state);
        let (trashed_ms, purge_after_ms) = match asset.life {
            Life::Live => (None, known.ends_ms(asset)),
            Life::Trashed { at_ms, until_ms, .. } => (Some(at_ms), Some(until_ms)),
        };
        Self {
            id: asset.id.to_string(),
            application: asset.application.to_string(),
            title: asset.title.clone(),
            description: asset.description.clone(),
            tags: asset.tags.clone(),
            fields: asset.fields.iter().cloned().collect(),
            collections: asset.collections.iter().map(ToString::to_string).collect(),
            file_name: asset.file_name.clone(),
            media_type: asset.media_type.clone(),
            owner: asset.owner().map(|user| user.to_string()),
            state,
            reason_code: failure.map(|(code, _)| code.to_owned()),
            reason: failure.map(|(_, reason)| reason.to_owned()),
            watchable: asset.watchable,
            progress,
            duration_ms: asset.facts.map(|facts| facts.duration_ms),
            height: asset.facts.map(|facts| facts.top_height),
            size: asset.length.or(asset.declared_length),
            sha256: asset.sha256.map(|hash| data_encoding::HEXLOWER.encode(&hash)),
            published: asset.published.is_some(),
            publish_from_ms: asset.published.and_then(|window| window.from_ms),
            publish_until_ms: asset.published.and_then(|window| window.until_ms),
            access: (&asset.access).into(),
            trashed_ms,
            purge_after_ms,
            hold: asset.legal_hold.clone(),
            has_poster: asset.poster.is_some(),
            created_ms: asset.created_ms,
            updated_ms: asset.updated_ms,
        }
    }
}

fn state_of(state: &AssetState) -> (StateName, Option<(&str, &str)>) {
    match state {
        AssetState::Uploading => (StateName::Uploading, None),
        AssetState::Processing => (StateName::Processing, None),
        AssetState::Ready => (StateName::Ready, None),
        AssetState::Failed { code, reason } => (StateName::Failed, Some((code, reason))),
    }
}

/// What changes about an asset; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
pub struct AssetUpdate {
    /// A new title.
    #[schema(value_type = Option<forms::Title>)]
    pub title: Option<String>,
    /// A new description.
    #[schema(value_type = Option<forms::Description>)]
    pub description: Option<String>,
    /// All tags from now on.
    #[schema(value_type = Option<forms::Tags>)]
    pub tags: Option<Vec<String>>,
    /// All own fields from now on.
    #[schema(value_type = Option<forms::Fields>)]
    pub fields: Option<BTreeMap<String, String>>,
    /// All collections from now on.
    #[schema(value_type = Option<Vec<forms::Id>>, max_items = 32)]
    pub collections: Option<Vec<CollectionId>>,
    /// Who may watch from now on.
    pub access: Option<AccessView>,
}

/// Answers with an asset as it is now.
pub(super) fn answer(app: &App, caller: &Caller, id: AssetId) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    let asset = state.asset(id).ok_or_else(Problem::not_found)?;
    ok(&AssetView::of(&state, asset, app.live.progress(id)))
}

/// An asset.
#[utoipa::path(get, path = "/assets/{id}", tag = "assets", params(("id" = String, Path, description = "Asset")),
    responses((status = 200, body = AssetView), (status = 404, body = ProblemBody)))]
pub async fn asset_view(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::SeeAsset, Target::Asset(*id))?;
    answer(&app, &caller, *id)
}

/// Change an asset's description or who may watch it.
#[utoipa::path(patch, path = "/assets/{id}", tag = "assets", params(("id" = String, Path, description = "Asset")),
    request_body = AssetUpdate, responses((status = 200, body = AssetView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn asset_update(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AssetId>,
    body: Body<AssetUpdate>,
) -> Result<HttpResponse, Problem> {
    let (asset, Body(update)) = (*id, body);
    let fields = update.fields.map(|fields| fields.into_iter().collect());
    let patch = AssetPatch {
        title: update.title,
        description: update.description,
        tags: update.tags,
        fields,
        collections: update.collections,
    };
    if patch == AssetPatch::default() && update.access.is_none() {
        caller.may(&caller.state(), Action::DescribeAsset, Target::Asset(asset))?;
        return Err(Problem::invalid("nothing_to_change", "Name at least one thing to change."));
    }
    if patch != AssetPatch::default() {
        caller.propose(AssetCommand::Describe { asset, patch }).await?;
    }
    if let Some(rule) = update.access {
        caller.propose(AssetCommand::SetAccess { asset, rule: rule.into() }).await?;
    }
    answer(&app, &caller, asset)
}
