//! The session cookie: `__Host-` binds it to this host and to HTTPS; scripts cannot read it, other sites cannot send it.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};

use crate::auth::token::{SecretText, Token};

/// Its name.
pub const SESSION_COOKIE: &str = "__Host-session";

/// The cookie of a new session.
#[must_use]
pub fn session_cookie(token: &SecretText, lifetime_ms: u64) -> Cookie<'static> {
    let seconds = i64::try_from(lifetime_ms / 1000).unwrap_or(0);
    build(token.expose().to_owned(), Duration::seconds(seconds))
}

/// The cookie that makes a browser forget the session.
#[must_use]
pub fn end_session_cookie() -> Cookie<'static> {
    build(String::new(), Duration::ZERO)
}

fn build(value: String, lifetime: Duration) -> Cookie<'static> {
    Cookie::build(SESSION_COOKIE, value)
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(lifetime)
        .finish()
}

/// The token in the request's cookie, when it carries one that can be a token.
pub(super) fn session_token(request: &HttpRequest) -> Option<Token> {
    request.cookie(SESSION_COOKIE)?.value().parse().ok()
}
