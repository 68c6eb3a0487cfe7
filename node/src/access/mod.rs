//! Who asks: turns the session cookie or the bearer token of a request into a cluster `Actor`.
//!
//! Reads are decided by [`Caller::may`], changes inside `State::apply`; both by `cluster::permission::check`.
//! A request that carries a credential that no longer counts is refused, never treated as anonymous.

mod confirmed;
mod cookie;
pub mod needs;
mod origin;

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use cluster::actor::{Actor, ActorKind};
use cluster::command::Command;
use cluster::id::{ApiKeyId, ApplicationId, SessionId, UserId};
use cluster::outcome::Outcome;
use cluster::permission::{self, Action, Target};
use cluster::state::State;
use futures_util::future::{Either, LocalBoxFuture};

use crate::answer::RequestId;
use crate::app::App;
use crate::auth::token::{Token, TokenKind};
use crate::problem::Problem;

pub use confirmed::{CONFIRMED_COOKIE, confirmed_cookie};
pub use cookie::{SESSION_COOKIE, end_session_cookie, session_cookie};
pub use origin::{allowed_origin, node_origin, node_origins};

/// The one who asks, authenticated but not yet authorised.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Goes into commands, permission checks and the audit.
    pub actor: Actor,
    /// Somebody at a browser who has not given the passphrase lately.
    must_confirm: bool,
    app: web::Data<App>,
}

impl Caller {
    /// May the caller do or see this now? What the caller may not know of is 404, what is not allowed 403.
    pub fn may(&self, state: &State, action: Action, target: Target) -> Result<(), Problem> {
        permission::check(state, &self.actor, action, target, self.app.cluster.now_ms())
            .map_err(Problem::from)
    }

    /// Proposes a change in the caller's name; apply decides whether it is allowed.
    pub async fn propose(&self, command: impl Into<Command>) -> Result<Outcome, Problem> {
        Ok(self.app.cluster.propose(self.actor.clone(), command.into()).await?)
    }

    /// The person, or 401 for nobody and 403 for an API key.
    pub fn person(&self) -> Result<(UserId, SessionId), Problem> {
        match self.actor.kind {
            ActorKind::User { user, session } => Ok((user, session)),
            ActorKind::ApiKey(_) => {
                Err(Problem::forbidden("person_only", "Only a signed-in person can do this."))
            }
            _ => Err(Problem::unauthenticated()),
        }
    }

    /// Refuses a browser whose passphrase was not given lately: asked for before what cannot be taken back.
    pub fn confirmed(&self) -> Result<(), Problem> {
        if !self.must_confirm {
            return Ok(());
        }
        let detail = "Give the passphrase once more: this cannot be taken back, or concerns the safety of the whole cluster.";
        Err(Problem::forbidden("confirm_needed", detail))
    }

    /// Refuses a request without any credential.
    pub fn signed_in(&self) -> Result<(), Problem> {
        if self.actor.kind == ActorKind::Anonymous { Err(Problem::unauthenticated()) } else { Ok(()) }
    }

    /// Everything this node knows, as it is now.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.app.cluster.state()
    }

    /// An actor for what the node does for somebody it has just verified, such as a log-in.
    #[must_use]
    pub fn as_node(&self) -> Actor {
        Actor::system(self.app.cluster.node_id()).at(self.actor.address, self.actor.request_id.clone())
    }

    /// The applications the caller belongs to in any role; all of them for a cluster admin.
    #[must_use]
    pub fn applications(&self, state: &State) -> Vec<ApplicationId> {
        state
            .applications_by_name()
            .map(|application| application.id)
            .filter(|id| self.may(state, Action::SeeApplication, Target::Application(*id)).is_ok())
            .collect()
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        // Once for each request: whoever guarded the operation has looked already.
        let known = request.extensions().get::<Self>().cloned();
        if known.is_none() && wants_the_latest(request) {
            return Either::Right(Box::pin(identify_with_the_latest(request.clone())));
        }
        match known.map_or_else(|| identify(request), Ok) {
            Err(_) if knows_less_than_the_leader(request) => {
                Either::Right(Box::pin(identify_anew(request.clone())))
            }
            result => Either::Left(ready(result)),
        }
    }
}

/// Whoever reads says by `Cache-Control: no-cache` that what this node knows by itself is not enough.
fn wants_the_latest(request: &HttpRequest) -> bool {
    let directives = request.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let asks = |text: &str| text.split(',').any(|one| one.trim().eq_ignore_ascii_case("no-cache"));
    request.method().is_safe() && directives.is_some_and(asks)
}

/// Everything that was acknowledged before, by whichever node, is known here when this has found out who asks.
async fn identify_with_the_latest(request: HttpRequest) -> Result<Caller, Problem> {
    // Nobody makes the cluster work without a credential that this node knows, or may know soon.
    if identify(&request).is_ok_and(|caller| caller.actor.kind == ActorKind::Anonymous) {
        return identify(&request);
    }
    if let Some(app) = request.app_data::<web::Data<App>>() {
        app.cluster.linearizable().await?;
    }
    identify(&request)
}

/// A sign-in made on another node a moment ago may not have come here yet.
fn knows_less_than_the_leader(request: &HttpRequest) -> bool {
    request.app_data::<web::Data<App>>().is_some_and(|app| !app.cluster.leads())
}

/// Looks again once this node knows all that was acknowledged. Calls made together share one round.
async fn identify_anew(request: HttpRequest) -> Result<Caller, Problem> {
    if let Some(app) = request.app_data::<web::Data<App>>() {
        // Without a quorum, what is known here decides.
        drop(app.cluster.linearizable().await);
    }
    identify(&request)
}

/// Somebody who has not said who they are: for log-in, claim, invitations and resets, which ignore any credential.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Always anonymous.
    pub actor: Actor,
    /// What the browser or tool calls itself, shortened and cleaned.
    pub user_agent: String,
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let user_agent =
            user_agent.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(120).collect();
        let actor = Actor::anonymous(address(request), RequestId::of(request));
        ready(Ok(Self { actor, user_agent }))
    }
}

/// The client's address. The node is the TLS end, so that is the peer, whatever headers claim.
#[must_use]
pub fn address(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip().to_canonical())
}

fn identify(request: &HttpRequest) -> Result<Caller, Problem> {
    let app = request
        .app_data::<web::Data<App>>()
        .cloned()
        .ok_or_else(|| Problem::internal("no App in the request"))?;
    let kind = match bearer(request)? {
        Some(token) => by_token(&app, &token)?,
        None => match cookie::session_token(request) {
            Some(token) => {
                origin::check(request, &app.config)?;
                by_session(&app, &token)?
            }
            None => ActorKind::Anonymous,
        },
    };
    let is_browser = !request.headers().contains_key(header::AUTHORIZATION);
    let must_confirm = match kind {
        ActorKind::User { session, .. } if is_browser => !confirmed::is_fresh(request, &app, session),
        _ => false,
    };
    let actor = Actor { kind, address: address(request), request_id: RequestId::of(request) };
    Ok(Caller { actor, must_confirm, app })
}

fn bearer(request: &HttpRequest) -> Result<Option<Token>, Problem> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().parse().ok()).flatten()
    });
    token.map(Some).ok_or_else(Problem::unauthenticated)
}

fn by_token(app: &App, token: &Token) -> Result<ActorKind, Problem> {
    match token.kind {
        TokenKind::Session => by_session(app, token),
        TokenKind::ApiKey => by_api_key(app, token),
        TokenKind::Invite | TokenKind::Reset => Err(Problem::unauthenticated()),
    }
}

fn by_session(app: &App, token: &Token) -> Result<ActorKind, Problem> {
    let state = app.cluster.state();
    let id: SessionId = token.id.parse().map_err(|_| Problem::unauthenticated())?;
    let session = state.session(id).filter(|session| token.matches(&session.secret_hash.0));
    let session = session.filter(|session| session.expires_ms > app.cluster.now_ms());
    let session =
        session.filter(|_| token.kind == TokenKind::Session).ok_or_else(Problem::unauthenticated)?;
    let user = state.user(session.user).ok_or_else(Problem::unauthenticated)?;
    if user.suspended {
        return Err(Problem::unauthenticated());
    }
    Ok(ActorKind::User { user: user.id, session: session.id })
}

fn by_api_key(app: &App, token: &Token) -> Result<ActorKind, Problem> {
    let state = app.cluster.state();
    let id: ApiKeyId = token.id.parse().map_err(|_| Problem::unauthenticated())?;
    let key = state.api_key(id).filter(|key| token.matches(&key.secret_hash.0));
    let now_ms = app.cluster.now_ms();
    let key = key.filter(|key| key.expires_ms.is_none_or(|expires| expires > now_ms));
    key.map(|key| ActorKind::ApiKey(key.id)).ok_or_else(Problem::unauthenticated)
}
