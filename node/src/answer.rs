//! The outermost layer around every request: gives it an id, turns every error into problem+json, sets the header
//! set, counts, and writes the one log line. No secret and no capability path reaches that line.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use rand::RngExt;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::app::App;
use crate::limits::Connection;
use crate::linger::{Dropped, Rest};
use crate::problem::Problem;
use crate::{access, headers, logs};

/// Names one request in answers, log and audit.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl RequestId {
    fn fresh() -> Self {
        let bytes: [u8; 10] = rand::rng().random();
        Self(data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }

    /// The id of this request.
    #[must_use]
    pub fn of(request: &HttpRequest) -> String {
        request.extensions().get::<Self>().map(|id| id.0.clone()).unwrap_or_default()
    }
}

/// The middleware.
pub async fn around(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let id = RequestId::fresh();
    request.extensions_mut().insert(id.clone());
    let app = request.app_data::<web::Data<App>>().cloned();
    if let Some(refusal) = app.as_ref().and_then(|app| refuse_crowd(app, request.request())) {
        let answer = refusal.answer(&id.0);
        return Ok(finish(request.into_response(answer), app.as_ref(), began, &id.0));
    }
    if let Some(answer) = app.as_ref().and_then(|app| preflight(app, request.request())) {
        return Ok(finish(request.into_response(answer), app.as_ref(), began, &id.0));
    }
    let running = app.as_ref().map(|app| app.shutdown.request());
    let rest = Rest::of(&mut request);
    // The router needs the request to itself: no clone of it may live across this call.
    let mut response = next.call(request).await?.map_into_boxed_body();
    if let Some(error) = response.response().error() {
        let answer = problem_answer(error, &id.0);
        let (request, _) = response.into_parts();
        response = ServiceResponse::new(request, answer);
    }
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let rest = rest.filter(|_| refused).map(Rest::dropped);
    let response = response.map_body(|_, body| BoxBody::new(Held { body, rest, _running: running }));
    Ok(finish(response, app.as_ref(), began, &id.0))
}

/// A body whose request counts as running until all of it is handed on.
struct Held {
    body: BoxBody,
    /// What is still to come of a request that is refused.
    rest: Option<Dropped>,
    _running: Option<TaskTrackerToken>,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = ready!(Pin::new(&mut self.body).poll_next(context));
        if let (None, Some(rest)) = (&piece, &mut self.rest) {
            ready!(rest.poll(context));
        }
        Poll::Ready(piece)
    }
}

fn finish(
    mut response: ServiceResponse<BoxBody>,
    app: Option<&web::Data<App>>,
    began: Instant,
    id: &str,
) -> ServiceResponse<BoxBody> {
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    if let Some(origin) = app.and_then(|app| api_origin(app, response.request())) {
        headers::allow_origin(&origin, response.headers_mut());
    }
    headers::apply(response.headers_mut());
    record(app.map(|app| app.get_ref()), &response, began, id);
    response
}

/// The allow-listed origin whose page asks the API. Never with credentials: such pages send a token of their own.
fn api_origin(app: &App, http: &HttpRequest) -> Option<String> {
    let api = http.path().starts_with("/api/");
    access::allowed_origin(http, &app.config).filter(|_| api).map(str::to_owned)
}

/// Answers a browser that asks on behalf of an allow-listed origin what it may send.
fn preflight(app: &App, http: &HttpRequest) -> Option<actix_web::HttpResponse> {
    let asked = http.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let origin = (*http.method() == Method::OPTIONS && asked).then(|| api_origin(app, http)).flatten()?;
    let mut answer = actix_web::HttpResponse::NoContent().finish();
    headers::allow_methods(&origin, answer.headers_mut());
    Some(answer)
}

/// One network may neither open connections without end nor call the API faster than its bucket fills.
fn refuse_crowd(app: &App, http: &HttpRequest) -> Option<Problem> {
    let crowded = http.conn_data::<std::sync::Arc<Connection>>().is_some_and(|connection| connection.crowded);
    if crowded {
        app.metrics.throttled.inc();
        return Some(Problem::too_many("too_many_connections", 5));
    }
    if !http.path().starts_with("/api/") {
        return None;
    }
    let address = http.peer_addr()?.ip();
    let wait = app.limiter.request(address, Instant::now()).err()?;
    app.metrics.throttled.inc();
    Some(Problem::too_many("too_many_requests", wait.as_secs() + 1))
}

/// Renders the error; the one place where a fault of ours is logged, once, with its causes.
fn problem_answer(error: &Error, id: &str) -> actix_web::HttpResponse {
    let mapped;
    let problem = match error.as_error::<Problem>() {
        Some(problem) => problem,
        None => {
            mapped = Problem::from_actix(error);
            &mapped
        }
    };
    let cause = std::error::Error::source(problem).map(logs::chain);
    if let Some(cause) = cause {
        tracing::error!(request_id = id, code = problem.code(), %cause, "a request failed");
    }
    problem.answer(id)
}

fn record(app: Option<&App>, response: &ServiceResponse<BoxBody>, began: Instant, id: &str) {
    let http = response.request();
    let status = response.status().as_u16();
    let route = http.match_pattern().unwrap_or_else(|| "-".to_owned());
    if let Some(app) = app {
        app.metrics.request(http.method().as_str(), &route, status, began.elapsed());
    }
    tracing::debug!(
        request_id = id,
        method = %http.method(),
        path = %logs::redact_path(http.path()),
        status,
        ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "request"
    );
}

/// The same address by HTTPS. Only a host name the request could have meant is repeated.
#[must_use]
pub fn to_https(request: &HttpRequest, port: u16) -> actix_web::HttpResponse {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    let name = name.filter(|name| !name.is_empty() && name.bytes().all(is_host_byte));
    let Some(name) = name else { return actix_web::HttpResponse::BadRequest().finish() };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let location = format!("https://{name}{port}{path}");
    actix_web::HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish()
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'[' | b']' | b':')
}
