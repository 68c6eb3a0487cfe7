//! JSON in and out: content type, size and depth are checked before anything is believed.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::{StatusCode, header};
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::config::Limits;
use crate::problem::Problem;

/// Deepest nesting of brackets a body may have.
const DEPTH: usize = 16;

/// A JSON body of type `T`.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limits = request
            .app_data::<web::Data<App>>()
            .map_or_else(Limits::default, |app| app.config.limits.clone());
        let limit = limits.json_bytes;
        let checked = check_head(request, limit);
        let payload = payload.take();
        Box::pin(async move {
            checked?;
            parse(&collect(payload, limit, Duration::from_secs(limits.body_seconds)).await?).map(Self)
        })
    }
}

/// A JSON body that may be left out altogether, or be `null`.
#[derive(Debug, Clone, Default)]
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Box::pin(std::future::ready(Ok(Self::default())));
        }
        let body = Body::<Option<T>>::from_request(request, payload);
        Box::pin(async move { body.await.map(|body| Self(body.0.unwrap_or_default())) })
    }
}

fn check_head(request: &HttpRequest, limit: usize) -> Result<(), Problem> {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: Option<usize> = length.and_then(|text| text.parse().ok());
    if length.is_some_and(|length| length > limit) { Err(Problem::too_large(limit as u64)) } else { Ok(()) }
}

/// A whole body of at most `limit` bytes that arrives within `longest`: whoever sends it byte by byte is not waited for.
///
/// # Errors
/// 400 when it breaks off, 408 when it takes too long, 413 when it is larger.
pub async fn collect(
    payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    limit: usize,
    longest: Duration,
) -> Result<BytesMut, Problem> {
    let timed_out =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timed_out", "The body took too long to arrive.");
    tokio::time::timeout(longest, all_of(payload, limit)).await.map_err(timed_out)?
}

async fn all_of(
    mut payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    limit: usize,
) -> Result<BytesMut, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk
            .map_err(|error| Problem::invalid("body_incomplete", format!("The body broke off: {error}.")))?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::too_large(limit as u64));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if depth(bytes) > DEPTH {
        return Err(Problem::invalid(
            "invalid_body",
            format!("The body is nested deeper than {DEPTH} levels."),
        ));
    }
    // serde would take a list for a struct, field by field.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid("invalid_body", "The body is a list; an object is expected."));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "does not have the expected form",
            _ => "is not JSON",
        };
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::invalid("invalid_body", format!("The body {what} ({place}): {}.", without_values(&error)))
    })
}

/// serde quotes the offending value, which may be a secret in the wrong place; only what was expected is repeated.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default().to_owned();
    match text.find(", expected ") {
        Some(at) if text.starts_with("invalid ") => text[at + 2..].to_owned(),
        _ => text,
    }
}

fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut deepest, mut quoted, mut escaped) = (0usize, 0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// 200 with JSON.
pub fn ok(body: &impl Serialize) -> Result<HttpResponse, Problem> {
    json(HttpResponse::Ok(), body)
}

/// 201 with JSON.
pub fn created(body: &impl Serialize) -> Result<HttpResponse, Problem> {
    json(HttpResponse::Created(), body)
}

/// 204.
#[must_use]
pub fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// As a sentence: with a capital at its beginning and a full stop at its end.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Any status with JSON.
pub fn json(
    mut answer: actix_web::HttpResponseBuilder,
    body: &impl Serialize,
) -> Result<HttpResponse, Problem> {
    let bytes = serde_json::to_vec(body).map_err(Problem::internal)?;
    Ok(answer.content_type("application/json").body(bytes))
}

/// Query settings for every operation: an unknown or malformed parameter is refused in our terms.
#[must_use]
pub fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|error, _| {
        Problem::invalid("invalid_query", format!("The query is not right: {error}.")).into()
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::auth::token::SecretText;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        #[allow(dead_code, reason = "only its errors are looked at")]
        password: SecretText,
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        assert_eq!(depth(br#"{"a":["[[[[", "\"[["]}"#), 2);
        let deep = "[".repeat(17);
        assert_eq!(parse::<serde_json::Value>(deep.as_bytes()).unwrap_err().code(), "invalid_body");
    }

    #[test]
    fn an_error_never_repeats_a_value() {
        for body in
            [r#"{"password":["hunter2"]}"#, r#"{"password":12345678}"#, r#"["hunter2"]"#, r#""hunter2""#]
        {
            let text = parse::<Login>(body.as_bytes()).unwrap_err().to_string();
            assert!(!text.contains("hunter2") && !text.contains("12345678"), "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let text = parse::<Login>(br#"{"password":"x","admin":true}"#).unwrap_err().to_string();
        assert!(text.contains("admin"), "{text}");
    }
}
