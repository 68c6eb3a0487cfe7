//! Logging in and out, and a person's own sign-ins.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use cluster::command::{AccessCommand, AuditCommand, Command, PasswordHash, SecretHash};
use cluster::id::SessionId;
use cluster::state::{Session, State, User};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{Body, done, json, ok};
use super::paging::{Page, PageQuery, page};
use super::users::{UserView, own_passphrase};
use crate::access::{Caller, Visitor, confirmed_cookie, end_session_cookie, session_cookie};
use crate::app::App;
use crate::auth::hashing::Verdict;
use crate::auth::token::{SecretText, Token, TokenKind};
use crate::problem::Problem;
use crate::routes::Routes;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const BROWSER_MS: u64 = 14 * DAY_MS;
const TOOL_MS: u64 = 90 * DAY_MS;

/// What proves who somebody is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// User name, in any case.
    pub username: String,
    /// Passphrase.
    #[schema(value_type = String)]
    pub password: SecretText,
}

/// How the sign-in is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginKind {
    /// In a cookie of the browser.
    #[default]
    Cookie,
    /// As a token in the answer, for command line tools.
    Token,
}

/// See [`LoginKind`].
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct LoginQuery {
    /// `cookie` (usual) or `token`.
    #[param(inline)]
    pub kind: LoginKind,
}

/// A new sign-in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LoggedIn {
    /// The person.
    pub user: UserView,
    /// The sign-in.
    pub session: SessionView,
    /// For `kind=token`: send it as `Authorization: Bearer`. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub token: Option<SecretText>,
}

/// One sign-in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// When it began.
    pub created_ms: u64,
    /// When it ends by itself.
    pub expires_ms: u64,
    /// What the browser or tool called itself.
    pub user_agent: String,
    /// Whether this request came with it.
    pub current: bool,
}

impl SessionView {
    fn of(session: &Session, current: SessionId) -> Self {
        Self {
            id: session.id.to_string(),
            created_ms: session.created_ms,
            expires_ms: session.expires_ms,
            user_agent: session.user_agent.clone(),
            current: session.id == current,
        }
    }
}

/// Log in. Slows down after five refusals; a wrong name and a wrong passphrase are answered alike.
#[utoipa::path(post, path = "/sessions", tag = "sessions", params(LoginQuery), request_body = Login, security(()),
    responses((status = 201, body = LoggedIn), (status = 401, body = crate::problem::ProblemBody), (status = 429, body = crate::problem::ProblemBody)))]
pub async fn session_create(
    app: web::Data<App>,
    visitor: Visitor,
    query: web::Query<LoginQuery>,
    body: Body<Login>,
) -> Result<HttpResponse, Problem> {
    let Body(login) = body;
    let now = Instant::now();
    let address = visitor.actor.address;
    if let Some(wait) = app.throttle.wait(&login.username, address, now) {
        app.metrics.refused_logins.inc();
        return Err(Problem::too_many("too_many_logins", wait.as_secs() + 1));
    }
    let state = app.cluster.state();
    let user = state.user_by_name(&login.username).cloned();
    let stored = user.as_ref().map(|user| user.password_hash.0.clone());
    let verdict = app.passphrases.verify(login.password.clone(), stored).await?;
    let user = user.filter(|user| !user.suspended);
    let (Some(user), Verdict::Right { outdated }) = (user, verdict) else {
        refuse(&app, &visitor, &login, &state).await?;
        return Err(Problem::new(
            actix_web::http::StatusCode::UNAUTHORIZED,
            "wrong_credentials",
            "The user name or the passphrase is not right.",
        ));
    };
    app.throttle.succeeded(&login.username, address, now);
    let lifetime_ms = lifetime_ms(query.kind);
    let (session, token) = create_session(&app, &visitor, &user, lifetime_ms).await?;
    if outdated {
        renew_hash(&app, &visitor, &user, session, login.password).await?;
    }
    logged_in(&app, &user, session, token, query.kind)
}

/// Counts the refusal and audits it. The name is recorded only when it is somebody's: people type passphrases there.
async fn refuse(app: &App, visitor: &Visitor, login: &Login, state: &State) -> Result<(), Problem> {
    app.metrics.refused_logins.inc();
    let count = app.throttle.failed(&login.username, visitor.actor.address, Instant::now());
    let target = state
        .user_by_name(&login.username)
        .map_or_else(|| "unknown user".to_owned(), |user| user.id.to_string());
    let details = [("failures_in_a_row".to_owned(), count.to_string())].into();
    let record = AuditCommand::Record {
        action: "session.refuse".to_owned(),
        target,
        application: None,
        result: "wrong_credentials".to_owned(),
        details,
    };
    let actor = node_actor(app, visitor);
    app.cluster.propose(actor, Command::Audit(record)).await?;
    Ok(())
}

/// The stored hash was made with weaker settings, or without the pepper: replace it while the passphrase is at hand.
async fn renew_hash(
    app: &App,
    visitor: &Visitor,
    user: &User,
    session: SessionId,
    passphrase: SecretText,
) -> Result<(), Problem> {
    let password_hash = PasswordHash(app.passphrases.hash(passphrase).await?);
    let actor = cluster::actor::Actor::user(user.id, session)
        .at(visitor.actor.address, visitor.actor.request_id.clone());
    let command = AccessCommand::SetPassword { user: user.id, password_hash, end_other_sessions: false };
    app.cluster.propose(actor, Command::Access(command)).await?;
    Ok(())
}

/// The node vouches for somebody whose passphrase, claim code or link it has just checked.
pub(super) fn node_actor(app: &App, visitor: &Visitor) -> cluster::actor::Actor {
    cluster::actor::Actor::system(app.cluster.node_id())
        .at(visitor.actor.address, visitor.actor.request_id.clone())
}

/// How long a new sign-in of this kind lasts.
pub(super) fn lifetime_ms(kind: LoginKind) -> u64 {
    if kind == LoginKind::Token { TOOL_MS } else { BROWSER_MS }
}

/// Answers with the new session's cookie or token.
pub(super) fn logged_in(
    app: &App,
    user: &User,
    session: SessionId,
    token: SecretText,
    kind: LoginKind,
) -> Result<HttpResponse, Problem> {
    let state = app.cluster.state();
    let record = state.session(session).ok_or_else(|| Problem::internal("a new session is missing"))?;
    let mut answer = HttpResponse::Created();
    if kind == LoginKind::Cookie {
        answer.cookie(session_cookie(&token, lifetime_ms(kind)));
    }
    let body = LoggedIn {
        user: UserView::of(user),
        session: SessionView::of(record, session),
        token: (kind == LoginKind::Token).then_some(token),
    };
    json(answer, &body)
}

/// Makes a session; gives its id and the token that only the client will know.
pub(super) async fn create_session(
    app: &App,
    visitor: &Visitor,
    user: &User,
    lifetime_ms: u64,
) -> Result<(SessionId, SecretText), Problem> {
    let session = SessionId::generate();
    let token = Token::fresh(TokenKind::Session, session);
    let command = AccessCommand::CreateSession {
        session,
        user: user.id,
        secret_hash: SecretHash(token.hash()),
        expires_ms: app.cluster.now_ms() + lifetime_ms,
        user_agent: visitor.user_agent.clone(),
    };
    app.cluster.propose(node_actor(app, visitor), Command::Access(command)).await?;
    Ok((session, token.reveal()))
}

/// A person's own sign-ins, oldest first.
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(PageQuery), responses((status = 200, body = Page<SessionView>)))]
pub async fn session_list(caller: Caller, query: web::Query<PageQuery>) -> Result<HttpResponse, Problem> {
    let (user, current) = caller.person()?;
    let state = caller.state();
    let key = |session: &&std::sync::Arc<Session>| format!("{:020}{}", session.created_ms, session.id);
    ok(&page(state.sessions_of(user), &query, key, |session| SessionView::of(session, current))?)
}

/// Log out.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions", responses((status = 204)))]
pub async fn session_end_current(caller: Caller) -> Result<HttpResponse, Problem> {
    let (_, session) = caller.person()?;
    caller.propose(Command::Access(AccessCommand::EndSession { session })).await?;
    Ok(HttpResponse::NoContent().cookie(end_session_cookie()).finish())
}

/// The passphrase once more.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Passphrase.
    #[schema(value_type = String)]
    pub password: SecretText,
}

/// Give the passphrase once more. A browser is asked for it (`confirm_needed`) before what cannot be taken back or concerns
/// the safety of the whole cluster, when it was given a quarter of an hour ago or longer; the answer's cookie says that it was
/// given now. Slows down as the log-in does.
#[utoipa::path(post, path = "/sessions/current/confirm", tag = "sessions", request_body = Confirm,
    responses((status = 204), (status = 403, body = crate::problem::ProblemBody), (status = 429, body = crate::problem::ProblemBody)))]
pub async fn session_confirm(
    app: web::Data<App>,
    caller: Caller,
    body: Body<Confirm>,
) -> Result<HttpResponse, Problem> {
    let (user, session) = caller.person()?;
    let user = caller.state().user(user).cloned().ok_or_else(Problem::unauthenticated)?;
    let right = own_passphrase(&app, &caller, &user, body.0.password).await;
    if right.as_ref().is_err_and(|problem| problem.code() != "wrong_credentials") {
        // Nothing was compared, so there is nothing to record.
        return right.map(|()| done());
    }
    let record = AuditCommand::Record {
        action: "session.confirm".to_owned(),
        target: format!("session:{session}"),
        application: None,
        result: right.as_ref().map_or_else(|problem| problem.code().to_owned(), |()| "ok".to_owned()),
        details: [].into(),
    };
    caller.propose(Command::Audit(record)).await?;
    right?;
    Ok(HttpResponse::NoContent().cookie(confirmed_cookie(&app, session)?).finish())
}

/// End all other sign-ins of one's own.
#[utoipa::path(delete, path = "/sessions", tag = "sessions", responses((status = 204)))]
pub async fn session_end_others(caller: Caller) -> Result<HttpResponse, Problem> {
    let (user, session) = caller.person()?;
    caller.propose(Command::Access(AccessCommand::EndSessions { user, except: Some(session) })).await?;
    Ok(done())
}

/// End one sign-in: one's own, or anybody's for a cluster admin.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path, description = "Sign-in")),
    responses((status = 204), (status = 404, body = crate::problem::ProblemBody)))]
pub async fn session_end(caller: Caller, id: web::Path<SessionId>) -> Result<HttpResponse, Problem> {
    caller.propose(Command::Access(AccessCommand::EndSession { session: *id })).await?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_session_create, session_create);
    routes.api(__path_session_list, session_list);
    routes.api(__path_session_end_others, session_end_others);
    routes.api(__path_session_end_current, session_end_current);
    routes.api(__path_session_confirm, session_confirm);
    routes.api(__path_session_end, session_end);
}
