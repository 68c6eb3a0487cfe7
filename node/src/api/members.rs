//! Who belongs to an application, and how people come in: invitations.

use actix_web::{HttpResponse, web};
use cluster::command::{AccessCommand, Command, RoleCommand, SecretHash};
use cluster::id::{ApplicationId, InviteId, UserId};
use cluster::permission::{Action, Target};
use cluster::state::{Invite, Member, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, created, done, ok};
use super::forms;
use super::paging::{Page, PageQuery, page};
use super::role_names::{GivenRole, NamedRole, RoleName};
use super::sessions::{LoginKind, LoginQuery, create_session, lifetime_ms, logged_in};
use super::users::{checked_passphrase, link_refused, link_token};
use crate::access::{Caller, Visitor};
use crate::app::App;
use crate::auth::token::{SecretText, Token, TokenKind};
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const USUAL_DAYS: u64 = 7;
const MOST_DAYS: u64 = 30;

/// A member.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MemberView {
    /// The person.
    pub user: String,
    /// Its name.
    pub username: String,
    /// Its role; with one of the application's own, the one it sees assets as.
    pub role: RoleName,
    /// The role of the application's own that it has.
    pub custom_role: Option<NamedRole>,
    /// Since when.
    pub joined_ms: u64,
}

impl MemberView {
    fn of(state: &State, member: &Member) -> Self {
        let username = state.user(member.user).map(|user| user.username.clone()).unwrap_or_default();
        Self {
            user: member.user.to_string(),
            username,
            role: member.role.into(),
            custom_role: state
                .custom_role_of(member.application, member.user)
                .map(|role| NamedRole::of(role)),
            joined_ms: member.joined_ms,
        }
    }
}

/// A role to give: a built-in one, or one of the application's own.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberSet {
    /// The built-in role.
    pub role: Option<RoleName>,
    /// The id of the application's own.
    pub custom_role: Option<String>,
}

/// An open invitation.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InviteView {
    /// Its id.
    pub id: String,
    /// The role it gives; with one of the application's own, the one it sees assets as.
    pub role: RoleName,
    /// The role of the application's own that it gives.
    pub custom_role: Option<NamedRole>,
    /// When it was made.
    pub created_ms: u64,
    /// When it stops working.
    pub expires_ms: u64,
    /// The secret to send; shown only when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<SecretText>,
}

impl InviteView {
    fn of(state: &State, invite: &Invite) -> Self {
        Self {
            id: invite.id.to_string(),
            role: invite.role.into(),
            custom_role: state.custom_role_of_invite(invite).map(|role| NamedRole::of(role)),
            created_ms: invite.created_ms,
            expires_ms: invite.expires_ms,
            secret: None,
        }
    }
}

/// A new invitation.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteCreate {
    /// The built-in role it gives.
    pub role: Option<RoleName>,
    /// Or the id of the application's own that it gives.
    pub custom_role: Option<String>,
    /// Days until it stops working: 1 to 30, usually 7.
    #[schema(minimum = 1, maximum = 30)]
    pub days: Option<u64>,
}

/// Comes in by an invitation as a new person.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteAccept {
    /// What the invitation says.
    #[schema(value_type = String)]
    pub secret: SecretText,
    /// The new person's name.
    #[schema(value_type = forms::Username)]
    pub username: String,
    /// The new person's passphrase.
    #[schema(value_type = forms::Passphrase)]
    pub password: SecretText,
}

/// Comes in by an invitation as the person one is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteJoin {
    /// What the invitation says.
    #[schema(value_type = String)]
    pub secret: SecretText,
}

/// An application's members. For its editors and admins.
#[utoipa::path(get, path = "/applications/{app}/members", tag = "members", params(("app" = String, Path, description = "Application"), PageQuery),
    responses((status = 200, body = Page<MemberView>)))]
pub async fn member_list(
    caller: Caller,
    app: web::Path<ApplicationId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListMembers, Target::Application(*app))?;
    let key = |member: &&std::sync::Arc<Member>| member.user.to_string();
    ok(&page(state.members_of(*app), &query, key, |member| MemberView::of(&state, member))?)
}

/// Add a member or change a role. For the application's admins.
#[utoipa::path(put, path = "/applications/{app}/members/{user}", tag = "members",
    params(("app" = String, Path, description = "Application"), ("user" = String, Path, description = "Person")),
    request_body = MemberSet, responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn member_set(
    caller: Caller,
    path: web::Path<(ApplicationId, UserId)>,
    body: Body<MemberSet>,
) -> Result<HttpResponse, Problem> {
    let (application, user) = *path;
    let command: Command = match GivenRole::of(body.0.role, body.0.custom_role.as_deref())? {
        GivenRole::BuiltIn(role) => AccessCommand::SetMember { application, user, role }.into(),
        GivenRole::Custom(role) => RoleCommand::Give { application, user, role }.into(),
    };
    caller.propose(command).await?;
    Ok(done())
}

/// Take a member out, or leave oneself. Ends running Views.
#[utoipa::path(delete, path = "/applications/{app}/members/{user}", tag = "members",
    params(("app" = String, Path, description = "Application"), ("user" = String, Path, description = "Person")),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn member_remove(
    caller: Caller,
    path: web::Path<(ApplicationId, UserId)>,
) -> Result<HttpResponse, Problem> {
    let (application, user) = *path;
    caller.propose(AccessCommand::RemoveMember { application, user }).await?;
    Ok(done())
}

/// Open invitations. For the application's admins.
#[utoipa::path(get, path = "/applications/{app}/invites", tag = "members", params(("app" = String, Path, description = "Application"), PageQuery),
    responses((status = 200, body = Page<InviteView>)))]
pub async fn invite_list(
    caller: Caller,
    app: web::Path<ApplicationId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListInvites, Target::Application(*app))?;
    ok(&page(
        state.invites_of(*app),
        &query,
        |invite| invite.id.to_string(),
        |invite| InviteView::of(&state, invite),
    )?)
}

/// Make an invitation. The answer shows its secret once.
#[utoipa::path(post, path = "/applications/{app}/invites", tag = "members", params(("app" = String, Path, description = "Application")),
    request_body = InviteCreate, responses((status = 201, body = InviteView), (status = 403, body = ProblemBody)))]
pub async fn invite_create(
    app_data: web::Data<App>,
    caller: Caller,
    app: web::Path<ApplicationId>,
    body: Body<InviteCreate>,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    let days = wanted.days.unwrap_or(USUAL_DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Problem::invalid("invalid", format!("days must be 1 to {MOST_DAYS}.")));
    }
    let invite = InviteId::generate();
    let token = Token::fresh(TokenKind::Invite, invite);
    let (application, secret_hash) = (*app, SecretHash(token.hash()));
    let expires_ms = app_data.cluster.now_ms() + days * DAY_MS;
    let command: Command = match GivenRole::of(wanted.role, wanted.custom_role.as_deref())? {
        GivenRole::BuiltIn(role) => {
            AccessCommand::CreateInvite { invite, application, role, secret_hash, expires_ms }.into()
        }
        GivenRole::Custom(role) => {
            RoleCommand::Invite { invite, application, role, secret_hash, expires_ms }.into()
        }
    };
    caller.propose(command).await?;
    let state = caller.state();
    let record = state.invite(invite).ok_or_else(|| Problem::internal("a new invitation is missing"))?;
    created(&InviteView { secret: Some(token.reveal()), ..InviteView::of(&state, record) })
}

/// Withdraw an invitation.
#[utoipa::path(delete, path = "/applications/{app}/invites/{id}", tag = "members",
    params(("app" = String, Path, description = "Application"), ("id" = String, Path, description = "Invitation")),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn invite_revoke(
    caller: Caller,
    path: web::Path<(ApplicationId, InviteId)>,
) -> Result<HttpResponse, Problem> {
    let (application, invite) = *path;
    let state = caller.state();
    caller.may(&state, Action::SeeApplication, Target::Application(application))?;
    if state.invite(invite).is_some_and(|found| found.application != application) {
        return Err(Problem::not_found());
    }
    caller.propose(AccessCommand::RevokeInvite { invite }).await?;
    Ok(done())
}

/// Come in by an invitation as a new person; logs in.
#[utoipa::path(post, path = "/invites/accept", tag = "members", params(LoginQuery), request_body = InviteAccept, security(()),
    responses((status = 201, body = super::sessions::LoggedIn), (status = 400, body = ProblemBody)))]
pub async fn invite_accept(
    app: web::Data<App>,
    visitor: Visitor,
    query: web::Query<LoginQuery>,
    body: Body<InviteAccept>,
) -> Result<HttpResponse, Problem> {
    let Body(accept) = body;
    let kind: LoginKind = query.kind;
    let token = link_token(&app, &visitor, &accept.secret, TokenKind::Invite)?;
    let secret_hash = SecretHash(token.hash());
    if app.cluster.state().invite_by_secret(&secret_hash).is_none() {
        return Err(link_refused(&app, &visitor));
    }
    let password_hash = checked_passphrase(&app, &accept.username, accept.password).await?;
    let user = UserId::generate();
    let command = AccessCommand::AcceptInvite { secret_hash, user, username: accept.username, password_hash };
    app.cluster.propose(visitor.actor.clone(), command.into()).await?;
    let record = app.cluster.state().user(user).cloned();
    let record = record.ok_or_else(|| Problem::internal("a new person is missing"))?;
    let (session, token) = create_session(&app, &visitor, &record, lifetime_ms(kind)).await?;
    logged_in(&app, &record, session, token, kind)
}

/// Come in by an invitation as the person one is.
#[utoipa::path(post, path = "/invites/join", tag = "members", request_body = InviteJoin,
    responses((status = 204), (status = 400, body = ProblemBody)))]
pub async fn invite_join(
    app: web::Data<App>,
    visitor: Visitor,
    caller: Caller,
    body: Body<InviteJoin>,
) -> Result<HttpResponse, Problem> {
    caller.person()?;
    let token = link_token(&app, &visitor, &body.0.secret, TokenKind::Invite)?;
    let secret_hash = SecretHash(token.hash());
    if app.cluster.state().invite_by_secret(&secret_hash).is_none() {
        return Err(link_refused(&app, &visitor));
    }
    caller.propose(AccessCommand::JoinByInvite { secret_hash }).await?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_member_list, member_list);
    routes.api(__path_member_set, member_set);
    routes.api(__path_member_remove, member_remove);
    routes.api(__path_invite_list, invite_list);
    routes.api(__path_invite_create, invite_create);
    routes.api(__path_invite_revoke, invite_revoke);
    routes.api(__path_invite_accept, invite_accept);
    routes.api(__path_invite_join, invite_join);
}
