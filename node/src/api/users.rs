//! People: oneself, and for cluster admins everybody.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use cluster::command::{Abilities, AccessCommand, Command, PasswordHash, SecretHash};
use cluster::id::UserId;
use cluster::permission::{Action, Target};
use cluster::state::{State, User, folded};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{Body, created, done, ok};
use super::forms;
use super::paging::{Page, PageQuery, Way, page_of};
use super::role_names::{AbilityName, NamedRole, RoleName, names};
use crate::access::{Caller, Visitor};
use crate::app::App;
use crate::auth::hashing::Verdict;
use crate::auth::passphrase;
use crate::auth::token::{SecretText, Token, TokenKind};
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

const RESET_MS: u64 = 24 * 60 * 60 * 1000;

/// A person.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub username: String,
    /// Sees and does everything.
    pub admin: bool,
    /// May not log in.
    pub suspended: bool,
    /// When it was made.
    pub created_ms: u64,
}

impl UserView {
    /// As people see it.
    #[must_use]
    pub fn of(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.clone(),
            admin: user.cluster_admin,
            suspended: user.suspended,
            created_ms: user.created_ms,
        }
    }
}

/// Who asks, and where that person belongs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MeView {
    /// The person.
    pub user: UserView,
    /// The applications the person may enter, by name.
    pub applications: Vec<MyApplication>,
    /// The recovery key is not yet confirmed as written down (told to cluster admins).
    pub recovery_unconfirmed: bool,
}

/// An application one belongs to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MyApplication {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// One's role there; with one of the application's own, the one one sees assets as.
    pub role: RoleName,
    /// The role of the application's own that one has.
    pub custom_role: Option<NamedRole>,
    /// What one may do there.
    pub abilities: Vec<AbilityName>,
}

/// A new passphrase of one's own.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The passphrase so far.
    #[schema(value_type = String)]
    pub current: SecretText,
    /// The passphrase from now on: at least 15 characters.
    #[schema(value_type = forms::Passphrase)]
    pub new: SecretText,
}

/// The order of people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub enum UserSort {
    /// By name.
    #[default]
    #[serde(rename = "username")]
    Name,
    /// By name, from the end.
    #[serde(rename = "-username")]
    NameDown,
}

/// Which people.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// `username` (usual), or `-username` for the other way round.
    #[param(inline)]
    pub sort: UserSort,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items: 1 to 500, usually 50.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// A new person made by a cluster admin, without an application yet.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCreate {
    /// Its name.
    #[schema(value_type = forms::Username)]
    pub username: String,
    /// Its first passphrase.
    #[schema(value_type = forms::Passphrase)]
    pub password: SecretText,
}

/// What changes about a person; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
pub struct UserPatch {
    /// May the person log in?
    pub suspended: Option<bool>,
    /// Is the person a cluster admin?
    pub admin: Option<bool>,
}

/// A link secret for a new passphrase. Shown once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResetLink {
    /// Send it to the person: `POST /resets` takes it.
    #[schema(value_type = String)]
    pub secret: SecretText,
    /// When it stops working.
    pub expires_ms: u64,
}

/// Uses a reset secret.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// What the admin gave.
    #[schema(value_type = String)]
    pub secret: SecretText,
    /// The new passphrase.
    #[schema(value_type = forms::Passphrase)]
    pub password: SecretText,
}

/// Checks the rules and hashes.
pub(super) async fn checked_passphrase(
    app: &App,
    username: &str,
    password: SecretText,
) -> Result<PasswordHash, Problem> {
    passphrase::check(password.expose(), username)?;
    Ok(PasswordHash(app.passphrases.hash(password).await?))
}

/// Oneself.
#[utoipa::path(get, path = "/me", tag = "users", responses((status = 200, body = MeView), (status = 401, body = ProblemBody)))]
pub async fn me_view(caller: Caller) -> Result<HttpResponse, Problem> {
    let (user, _) = caller.person()?;
    let state = caller.state();
    let record = state.user(user).ok_or_else(Problem::unauthenticated)?;
    let confirmed = state.cluster_info().is_none_or(|cluster| cluster.recovery_confirmed);
    ok(&MeView {
        user: UserView::of(record),
        applications: my_applications(&state, user),
        recovery_unconfirmed: record.cluster_admin && !confirmed,
    })
}

fn my_applications(state: &State, user: UserId) -> Vec<MyApplication> {
    let mine = |application: &std::sync::Arc<cluster::state::Application>| {
        let role = state.role_of(user, application.id)?;
        let admin = state.user(user).is_some_and(|user| user.cluster_admin);
        let custom = state.custom_role_of(application.id, user).filter(|_| !admin);
        Some(MyApplication {
            id: application.id.to_string(),
            name: application.name.clone(),
            role: role.into(),
            custom_role: custom.map(|role| NamedRole::of(role)),
            abilities: names(custom.map_or(Abilities::of(role), |custom| custom.abilities)),
        })
    };
    state.applications_by_name().filter_map(mine).collect()
}

/// Change one's own passphrase. Ends all other sign-ins.
#[utoipa::path(put, path = "/me/password", tag = "users", request_body = PasswordChange,
    responses((status = 204), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub async fn me_set_password(
    app: web::Data<App>,
    caller: Caller,
    body: Body<PasswordChange>,
) -> Result<HttpResponse, Problem> {
    let (user, _) = caller.person()?;
    let Body(change) = body;
    let record = caller.state().user(user).cloned().ok_or_else(Problem::unauthenticated)?;
    own_passphrase(&app, &caller, &record, change.current).await?;
    let who = record.username.as_str();
    let password_hash = checked_passphrase(&app, who, change.new).await?;
    let command = AccessCommand::SetPassword { user, password_hash, end_other_sessions: true };
    caller.propose(Command::Access(command)).await?;
    Ok(done())
}

/// Compares the passphrase of somebody who is signed in already; guesses are slowed down as at a log-in.
pub(super) async fn own_passphrase(
    app: &App,
    caller: &Caller,
    user: &User,
    passphrase: SecretText,
) -> Result<(), Problem> {
    let (who, address, now) = (user.username.as_str(), caller.actor.address, Instant::now());
    if let Some(wait) = app.throttle.wait(who, address, now) {
        return Err(Problem::too_many("too_many_logins", wait.as_secs() + 1));
    }
    let verdict = app.passphrases.verify(passphrase, Some(user.password_hash.0.clone())).await?;
    if verdict == Verdict::Wrong {
        app.throttle.failed(who, address, now);
        return Err(Problem::forbidden("wrong_credentials", "The current passphrase is not right."));
    }
    Ok(())
}

/// All people, by name. For cluster admins.
#[utoipa::path(get, path = "/users", tag = "users", params(UserQuery), responses((status = 200, body = Page<UserView>)))]
pub async fn user_list(caller: Caller, query: web::Query<UserQuery>) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListUsers, Target::Cluster)?;
    let UserQuery { sort, cursor, limit } = query.into_inner();
    let query = PageQuery { cursor, limit };
    let key = |user: &&std::sync::Arc<User>| folded(&user.username);
    let all = state.users_by_name(None);
    ok(&match sort {
        UserSort::Name => page_of(all, Way::Up, &query, key, |user| UserView::of(user))?,
        UserSort::NameDown => page_of(all.rev(), Way::Down, &query, key, |user| UserView::of(user))?,
    })
}

/// Add a person. For cluster admins; usually people are invited instead.
#[utoipa::path(post, path = "/users", tag = "users", request_body = UserCreate,
    responses((status = 201, body = UserView), (status = 409, body = ProblemBody)))]
pub async fn user_create(
    app: web::Data<App>,
    caller: Caller,
    body: Body<UserCreate>,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    caller.may(&caller.state(), Action::CreateUser, Target::Cluster)?;
    let password_hash = checked_passphrase(&app, &wanted.username, wanted.password).await?;
    let user = UserId::generate();
    caller.propose(AccessCommand::CreateUser { user, username: wanted.username, password_hash }).await?;
    created(&view(&caller, user)?)
}

/// A person.
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = String, Path, description = "Person")),
    responses((status = 200, body = UserView), (status = 404, body = ProblemBody)))]
pub async fn user_view(caller: Caller, id: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::SeeUser, Target::User(*id))?;
    ok(&view(&caller, *id)?)
}

fn view(caller: &Caller, id: UserId) -> Result<UserView, Problem> {
    caller.state().user(id).map(|user| UserView::of(user)).ok_or_else(Problem::not_found)
}

/// Suspend or free a person, or make it cluster admin. Suspending ends its sign-ins and Views at once.
#[utoipa::path(patch, path = "/users/{id}", tag = "users", params(("id" = String, Path, description = "Person")),
    request_body = UserPatch, responses((status = 200, body = UserView), (status = 404, body = ProblemBody)))]
pub async fn user_update(
    caller: Caller,
    id: web::Path<UserId>,
    body: Body<UserPatch>,
) -> Result<HttpResponse, Problem> {
    let (user, Body(patch)) = (*id, body);
    if patch.suspended.is_none() && patch.admin.is_none() {
        return Err(Problem::invalid("nothing_to_change", "Name at least one of suspended and admin."));
    }
    if patch.admin.is_some() {
        caller.confirmed()?;
    }
    if let Some(suspended) = patch.suspended {
        caller.propose(AccessCommand::SuspendUser { user, suspended }).await?;
    }
    if let Some(admin) = patch.admin {
        caller.propose(AccessCommand::SetClusterAdmin { user, admin }).await?;
    }
    ok(&view(&caller, user)?)
}

/// Remove a person. What the person uploaded stays.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", params(("id" = String, Path, description = "Person")),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn user_delete(caller: Caller, id: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    caller.propose(AccessCommand::DeleteUser { user: *id }).await?;
    Ok(done())
}

/// Make a link with which the person sets a new passphrase. It works once, for a day.
#[utoipa::path(post, path = "/users/{id}/reset", tag = "users", params(("id" = String, Path, description = "Person")),
    responses((status = 201, body = ResetLink), (status = 404, body = ProblemBody)))]
pub async fn user_reset(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<UserId>,
) -> Result<HttpResponse, Problem> {
    let token = Token::fresh(TokenKind::Reset, *id);
    let expires_ms = app.cluster.now_ms() + RESET_MS;
    let secret_hash = SecretHash(token.hash());
    caller.propose(AccessCommand::StartReset { user: *id, secret_hash, expires_ms }).await?;
    created(&ResetLink { secret: token.reveal(), expires_ms })
}

/// Set a new passphrase with a reset secret. Ends all sign-ins of that person.
#[utoipa::path(post, path = "/resets", tag = "users", request_body = Reset, security(()),
    responses((status = 204), (status = 400, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub async fn reset_finish(
    app: web::Data<App>,
    visitor: Visitor,
    body: Body<Reset>,
) -> Result<HttpResponse, Problem> {
    let Body(reset) = body;
    let token = link_token(&app, &visitor, &reset.secret, TokenKind::Reset)?;
    let state = app.cluster.state();
    let secret_hash = SecretHash(token.hash());
    let user = state.reset_by_secret(&secret_hash).and_then(|reset| state.user(reset.user));
    let Some(user) = user else { return Err(link_refused(&app, &visitor)) };
    let password_hash = checked_passphrase(&app, &user.username, reset.password).await?;
    app.cluster
        .propose(visitor.actor, AccessCommand::FinishReset { secret_hash, password_hash }.into())
        .await?;
    Ok(done())
}

/// Reads a link secret, slowing down whoever tries many.
pub(super) fn link_token(
    app: &App,
    visitor: &Visitor,
    secret: &SecretText,
    kind: TokenKind,
) -> Result<Token, Problem> {
    if let Some(wait) = app.throttle.wait("link", visitor.actor.address, Instant::now()) {
        return Err(Problem::too_many("too_many_links", wait.as_secs() + 1));
    }
    let token: Option<Token> = secret.expose().parse().ok();
    token.filter(|token| token.kind == kind).ok_or_else(|| link_refused(app, visitor))
}

/// Counts a wrong link secret.
pub(super) fn link_refused(app: &App, visitor: &Visitor) -> Problem {
    app.throttle.failed("link", visitor.actor.address, Instant::now());
    Problem::new(StatusCode::BAD_REQUEST, "link_not_valid", "This link is not valid, or not any more.")
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_me_view, me_view);
    routes.api(__path_me_set_password, me_set_password);
    routes.api(__path_user_list, user_list);
    routes.api(__path_user_create, user_create);
    routes.api(__path_user_view, user_view);
    routes.api(__path_user_update, user_update);
    routes.api(__path_user_delete, user_delete);
    routes.api(__path_user_reset, user_reset);
    routes.api(__path_reset_finish, reset_finish);
}
