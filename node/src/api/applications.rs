//! Applications: spaces with their own assets, members and policy.

use actix_web::{HttpResponse, web};
use cluster::command::{AccessCommand, ApplicationPatch, Policy};
use cluster::id::ApplicationId;
use cluster::permission::{Action, Target};
use cluster::state::{Application, State, folded};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::body::{Body, created, done, ok};
use super::forms;
use super::paging::{Page, PageQuery, page};
use crate::access::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// What holds for everything in an application.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyView {
    /// How long running Views go on while the cluster cannot be asked.
    #[schema(maximum = 86_400_000)]
    pub offline_grace_ms: u64,
    /// Days that something stays in the trash.
    #[schema(maximum = 3650)]
    pub trash_days: u16,
    /// May viewers download?
    pub viewer_may_download: bool,
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            offline_grace_ms: policy.offline_grace_ms,
            trash_days: policy.trash_days,
            viewer_may_download: policy.viewer_may_download,
        }
    }
}

impl From<PolicyView> for Policy {
    fn from(policy: PolicyView) -> Self {
        Self {
            offline_grace_ms: policy.offline_grace_ms,
            trash_days: policy.trash_days,
            viewer_may_download: policy.viewer_may_download,
        }
    }
}

/// An application.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApplicationView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: PolicyView,
    /// How many videos one person, or one API key, may watch at once; without it as many as they like.
    pub views_at_once: Option<u32>,
    /// When it was made.
    pub created_ms: u64,
}

impl ApplicationView {
    fn of(state: &State, application: &Application) -> Self {
        Self {
            id: application.id.to_string(),
            name: application.name.clone(),
            policy: application.policy.into(),
            views_at_once: state.views_at_once(application.id),
            created_ms: application.created_ms,
        }
    }
}

/// A new application.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationCreate {
    /// Its name.
    #[schema(value_type = forms::Name)]
    pub name: String,
}

/// What changes; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationUpdate {
    /// A new name.
    #[schema(value_type = Option<forms::Name>)]
    pub name: Option<String>,
    /// A new policy, whole.
    pub policy: Option<PolicyView>,
    /// How many videos one person, or one API key, may watch at once: 1 to 100; `null` for as many as they like. What is
    /// watched beyond it ends, the oldest first; what began while there was no limit ends, too.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub views_at_once: Option<Option<u32>>,
}

/// Tells `null`, which is a value here, from what is absent.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The applications one may enter, by name.
#[utoipa::path(get, path = "/applications", tag = "applications", params(PageQuery), responses((status = 200, body = Page<ApplicationView>)))]
pub async fn application_list(caller: Caller, query: web::Query<PageQuery>) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListApplications, Target::Cluster)?;
    let seen = state
        .applications_by_name()
        .filter(|found| caller.may(&state, Action::SeeApplication, Target::Application(found.id)).is_ok());
    ok(&page(seen, &query, |found| folded(&found.name), |found| ApplicationView::of(&state, found))?)
}

/// Make an application. For cluster admins.
#[utoipa::path(post, path = "/applications", tag = "applications", request_body = ApplicationCreate,
    responses((status = 201, body = ApplicationView), (status = 403, body = ProblemBody)))]
pub async fn application_create(
    caller: Caller,
    body: Body<ApplicationCreate>,
) -> Result<HttpResponse, Problem> {
    let application = ApplicationId::generate();
    caller.propose(AccessCommand::CreateApplication { application, name: body.0.name }).await?;
    created(&view(&caller, application)?)
}

fn view(caller: &Caller, id: ApplicationId) -> Result<ApplicationView, Problem> {
    let state = caller.state();
    state.application(id).map(|found| ApplicationView::of(&state, found)).ok_or_else(Problem::not_found)
}

/// An application.
#[utoipa::path(get, path = "/applications/{app}", tag = "applications", params(("app" = String, Path, description = "Application")),
    responses((status = 200, body = ApplicationView), (status = 404, body = ProblemBody)))]
pub async fn application_view(
    caller: Caller,
    app: web::Path<ApplicationId>,
) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::SeeApplication, Target::Application(*app))?;
    ok(&view(&caller, *app)?)
}

/// Change an application's name or policy. For its admins.
#[utoipa::path(patch, path = "/applications/{app}", tag = "applications", params(("app" = String, Path, description = "Application")),
    request_body = ApplicationUpdate, responses((status = 200, body = ApplicationView), (status = 403, body = ProblemBody)))]
pub async fn application_update(
    caller: Caller,
    app: web::Path<ApplicationId>,
    body: Body<ApplicationUpdate>,
) -> Result<HttpResponse, Problem> {
    let (application, Body(update)) = (*app, body);
    let patch = ApplicationPatch { name: update.name, policy: update.policy.map(Policy::from) };
    caller
        .propose(match update.views_at_once {
            Some(views_at_once) => AccessCommand::LimitViews { application, patch, views_at_once },
            None => AccessCommand::UpdateApplication { application, patch },
        })
        .await?;
    ok(&view(&caller, application)?)
}

/// Put an application in the trash, with everything in it: nobody gets at it until it is restored, and after as many days as
/// its own trash keeps things it is deleted for good. Not while a legal hold keeps something in it. For cluster admins.
#[utoipa::path(delete, path = "/applications/{app}", tag = "applications", params(("app" = String, Path, description = "Application")),
    responses((status = 204), (status = 409, body = ProblemBody)))]
pub async fn application_delete(
    caller: Caller,
    app: web::Path<ApplicationId>,
) -> Result<HttpResponse, Problem> {
    caller.propose(AccessCommand::TrashApplication { application: *app }).await?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_application_list, application_list);
    routes.api(__path_application_create, application_create);
    routes.api(__path_application_view, application_view);
    routes.api(__path_application_update, application_update);
    routes.api(__path_application_delete, application_delete);
}
