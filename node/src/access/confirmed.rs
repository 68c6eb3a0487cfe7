//! Whether the person at the browser has given the passphrase lately. Whoever finds a browser left open, or gets hold of its
//! cookie, shall not do with it what cannot be taken back.
//!
//! Signing in counts; later, a second cookie says when the passphrase was given again. It is a token of the cluster, good
//! on every node and for one sign-in. Tools that carry their credential themselves are not asked.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use cluster::id::SessionId;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::problem::Problem;
use crate::token::Claims;

/// Its name.
pub const CONFIRMED_COOKIE: &str = "__Host-confirmed";

/// The passphrase was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Confirmation {
    session: SessionId,
    at_ms: u64,
}

impl Claims for Confirmation {
    const PURPOSE: &'static str = "confirmation";
}

/// How long a passphrase counts; `None`: for ever.
fn counts_ms(app: &App) -> Option<u64> {
    let seconds = app.config.limits.confirm_seconds;
    (seconds > 0).then(|| seconds.saturating_mul(1000))
}

/// Whether the passphrase of this sign-in was given so lately that it need not be given again.
pub(super) fn is_fresh(request: &HttpRequest, app: &App, session: SessionId) -> bool {
    let Some(counts_ms) = counts_ms(app) else { return true };
    let now_ms = app.cluster.now_ms();
    let is_recent = |at_ms: u64| now_ms < at_ms.saturating_add(counts_ms);
    let signed_in = app.cluster.state().session(session).map(|session| session.created_ms);
    let confirmed = || {
        let cookie = request.cookie(CONFIRMED_COOKIE)?;
        let claims: Confirmation = app.media.tokens.verify(cookie.value()).ok()?;
        (claims.session == session).then_some(claims.at_ms)
    };
    signed_in.is_some_and(is_recent) || confirmed().is_some_and(is_recent)
}

/// The cookie that says that the passphrase was given now.
pub fn confirmed_cookie(app: &App, session: SessionId) -> Result<Cookie<'static>, Problem> {
    let token = app.media.tokens.sign(&Confirmation { session, at_ms: app.cluster.now_ms() });
    let token = token.map_err(Problem::internal)?;
    let seconds = i64::try_from(app.config.limits.confirm_seconds).unwrap_or(i64::MAX);
    Ok(Cookie::build(CONFIRMED_COOKIE, token)
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(seconds))
        .finish())
}
