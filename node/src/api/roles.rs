//! Roles of an application's own making: a name, and what it allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use cluster::command::RoleCommand;
use cluster::id::{ApplicationId, RoleId};
use cluster::permission::{Action, Target};
use cluster::state::CustomRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, created, done, ok};
use super::forms;
use super::paging::{Page, PageQuery, page};
use super::role_names::{AbilityName, names};
use crate::access::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// A role of the application's own.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CustomRoleView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it allows. Whoever changes assets sees them all.
    pub abilities: Vec<AbilityName>,
    /// How many members, API keys and open invitations have it.
    pub holders: usize,
    /// When it was made.
    pub created_ms: u64,
}

impl CustomRoleView {
    fn of(holders: &BTreeMap<RoleId, usize>, role: &CustomRole) -> Self {
        Self {
            id: role.id.to_string(),
            name: role.name.clone(),
            abilities: names(role.abilities),
            holders: holders.get(&role.id).copied().unwrap_or(0),
            created_ms: role.created_ms,
        }
    }
}

/// What a role is to be.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomRoleSet {
    /// What people call it; not that of a built-in role.
    #[schema(value_type = forms::Name)]
    pub name: String,
    /// What it allows; nothing that whoever makes it may not do.
    #[schema(max_items = 100)]
    pub abilities: Vec<AbilityName>,
}

/// An application's own roles. For its editors and admins.
#[utoipa::path(get, path = "/applications/{app}/roles", tag = "members", params(("app" = String, Path, description = "Application"), PageQuery),
    responses((status = 200, body = Page<CustomRoleView>)))]
pub async fn role_list(
    caller: Caller,
    app: web::Path<ApplicationId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListRoles, Target::Application(*app))?;
    let holders = state.role_holder_counts(*app);
    let key = |role: &&Arc<CustomRole>| role.id.to_string();
    ok(&page(state.custom_roles_of(*app), &query, key, |role| CustomRoleView::of(&holders, role))?)
}

/// Make a role. Nobody makes one that allows more than their own.
#[utoipa::path(post, path = "/applications/{app}/roles", tag = "members", params(("app" = String, Path, description = "Application")),
    request_body = CustomRoleSet, responses((status = 201, body = CustomRoleView), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn role_create(
    caller: Caller,
    app: web::Path<ApplicationId>,
    body: Body<CustomRoleSet>,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    let role = RoleId::generate();
    let abilities = wanted.abilities.into_iter().map(Into::into).collect();
    caller.propose(RoleCommand::Create { application: *app, role, name: wanted.name, abilities }).await?;
    created(&view(&caller, *app, role)?)
}

/// Rename a role, or change what it allows: at once for everybody who has it, running Views included.
#[utoipa::path(put, path = "/applications/{app}/roles/{role}", tag = "members",
    params(("app" = String, Path, description = "Application"), ("role" = String, Path, description = "Role")),
    request_body = CustomRoleSet, responses((status = 200, body = CustomRoleView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn role_update(
    caller: Caller,
    path: web::Path<(ApplicationId, RoleId)>,
    body: Body<CustomRoleSet>,
) -> Result<HttpResponse, Problem> {
    let (application, role) = *path;
    let Body(wanted) = body;
    let abilities = wanted.abilities.into_iter().map(Into::into).collect();
    caller.propose(RoleCommand::Update { application, role, name: wanted.name, abilities }).await?;
    ok(&view(&caller, application, role)?)
}

/// Remove a role that nobody has.
#[utoipa::path(delete, path = "/applications/{app}/roles/{role}", tag = "members",
    params(("app" = String, Path, description = "Application"), ("role" = String, Path, description = "Role")),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn role_delete(
    caller: Caller,
    path: web::Path<(ApplicationId, RoleId)>,
) -> Result<HttpResponse, Problem> {
    let (application, role) = *path;
    caller.propose(RoleCommand::Delete { application, role }).await?;
    Ok(done())
}

fn view(caller: &Caller, application: ApplicationId, role: RoleId) -> Result<CustomRoleView, Problem> {
    let state = caller.state();
    let found = state.custom_role(application, role);
    let found = found.ok_or_else(|| Problem::internal("a role that was just set is missing"))?;
    Ok(CustomRoleView::of(&state.role_holder_counts(application), found))
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_role_list, role_list);
    routes.api(__path_role_create, role_create);
    routes.api(__path_role_update, role_update);
    routes.api(__path_role_delete, role_delete);
}
