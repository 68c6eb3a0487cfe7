//! Keys with which other systems use the API: one application, one role, shown once.

use actix_web::{HttpResponse, web};
use cluster::command::{AccessCommand, Command, RoleCommand, SecretHash};
use cluster::id::{ApiKeyId, ApplicationId};
use cluster::permission::{Action, Target};
use cluster::state::{ApiKey, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, created, done, ok};
use super::forms;
use super::paging::{Page, PageQuery, page};
use super::role_names::{GivenRole, NamedRole, RoleName};
use crate::access::Caller;
use crate::auth::token::{SecretText, Token, TokenKind};
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// A key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApiKeyView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its application.
    pub application: String,
    /// Its role there; with one of the application's own, the one it sees assets as.
    pub role: RoleName,
    /// The role of the application's own that it has.
    pub custom_role: Option<NamedRole>,
    /// When it was made.
    pub created_ms: u64,
    /// When it stops working.
    pub expires_ms: Option<u64>,
    /// The key itself; shown only when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<SecretText>,
}

impl ApiKeyView {
    fn of(state: &State, key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            application: key.application.to_string(),
            role: key.role.into(),
            custom_role: state.custom_role_of_key(key).map(|role| NamedRole::of(role)),
            created_ms: key.created_ms,
            expires_ms: key.expires_ms,
            secret: None,
        }
    }
}

/// A new key.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyCreate {
    /// What people call it.
    #[schema(value_type = forms::Name)]
    pub name: String,
    /// Its role, if a built-in one.
    pub role: Option<RoleName>,
    /// Or the id of the application's own.
    pub custom_role: Option<String>,
    /// When it stops working; never when absent.
    #[schema(value_type = Option<forms::Milliseconds>)]
    pub expires_ms: Option<u64>,
}

/// An application's keys. For its admins.
#[utoipa::path(get, path = "/applications/{app}/api-keys", tag = "api keys", params(("app" = String, Path, description = "Application"), PageQuery),
    responses((status = 200, body = Page<ApiKeyView>)))]
pub async fn api_key_list(
    caller: Caller,
    app: web::Path<ApplicationId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListApiKeys, Target::Application(*app))?;
    ok(&page(state.api_keys_of(*app), &query, |key| key.id.to_string(), |key| ApiKeyView::of(&state, key))?)
}

/// Make a key. The answer shows it once.
#[utoipa::path(post, path = "/applications/{app}/api-keys", tag = "api keys", params(("app" = String, Path, description = "Application")),
    request_body = ApiKeyCreate, responses((status = 201, body = ApiKeyView), (status = 403, body = ProblemBody)))]
pub async fn api_key_create(
    caller: Caller,
    app: web::Path<ApplicationId>,
    body: Body<ApiKeyCreate>,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    let key = ApiKeyId::generate();
    let token = Token::fresh(TokenKind::ApiKey, key);
    let (application, secret_hash) = (*app, SecretHash(token.hash()));
    let (name, expires_ms) = (wanted.name, wanted.expires_ms);
    let command: Command = match GivenRole::of(wanted.role, wanted.custom_role.as_deref())? {
        GivenRole::BuiltIn(role) => {
            AccessCommand::CreateApiKey { key, name, secret_hash, application, role, expires_ms }.into()
        }
        GivenRole::Custom(role) => {
            RoleCommand::CreateApiKey { key, name, secret_hash, application, role, expires_ms }.into()
        }
    };
    caller.propose(command).await?;
    let state = caller.state();
    let record = state.api_key(key).ok_or_else(|| Problem::internal("a new key is missing"))?;
    created(&ApiKeyView { secret: Some(token.reveal()), ..ApiKeyView::of(&state, record) })
}

/// Withdraw a key: it is refused from the next request on.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "api keys", params(("id" = String, Path, description = "Key")),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn api_key_revoke(caller: Caller, id: web::Path<ApiKeyId>) -> Result<HttpResponse, Problem> {
    caller.propose(AccessCommand::RevokeApiKey { key: *id }).await?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_api_key_list, api_key_list);
    routes.api(__path_api_key_create, api_key_create);
    routes.api(__path_api_key_revoke, api_key_revoke);
}
