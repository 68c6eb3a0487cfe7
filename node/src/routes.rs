//! The one route table: every operation is added together with its OpenAPI description, so that the server cannot
//! answer what the document does not list, and the document cannot list what the server does not answer.
//!
//! A module that serves something has `pub fn configure(routes: &mut Routes)` and adds its handlers there:
//!
//! ```ignore
//! #[utoipa::path(get, path = "/assets/{id}", responses((status = 200, body = AssetView)))]
//! pub async fn asset_view(..) -> Result<Json<AssetView>, Problem> { .. }
//!
//! routes.api(__path_asset_view, asset_view);
//! ```

use actix_web::body::BoxBody;
use actix_web::dev::{Handler, ServiceRequest, ServiceResponse};
use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, FromRequest, Resource, Responder, Route, Scope, web};
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, Schema};

use crate::access::needs::{self, Need};
use crate::problem::Problem;

/// The media type of a problem document.
const PROBLEM_TYPE: &str = "application/problem+json";
/// Where the versioned API lives.
pub const API_PREFIX: &str = "/api/v1";

/// One operation as the table lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The path as the OpenAPI document writes it.
    pub path: String,
    /// The HTTP method's name.
    pub method: String,
}

/// What `#[utoipa::path]` makes beside a handler.
pub trait Described: utoipa::Path + utoipa::__dev::SchemaReferences + utoipa::__dev::Tags<'static> {}

impl<T: utoipa::Path + utoipa::__dev::SchemaReferences + utoipa::__dev::Tags<'static>> Described for T {}

struct Entry {
    path: String,
    pattern: String,
    method: Method,
    route: Route,
    operation: String,
    describe: fn(&str, &mut OpenApi),
}

/// Collects operations and turns them into actix resources, a list, or the OpenAPI document.
#[derive(Default)]
pub struct Routes {
    entries: Vec<Entry>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.operations()).finish()
    }
}

impl Routes {
    /// Adds an operation below [`API_PREFIX`]; its annotated path is relative to that.
    pub fn api<P, F, Args>(&mut self, operation: P, handler: F)
    where
        P: Described,
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let path = format!("{API_PREFIX}{}", P::path());
        self.add(operation, path.clone(), path, handler);
    }

    /// Adds an operation whose annotated path is absolute (`/play/..`, `/healthz`).
    pub fn root<P, F, Args>(&mut self, operation: P, handler: F)
    where
        P: Described,
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add(operation, P::path(), P::path(), handler);
    }

    /// Like [`Routes::root`], served under another actix pattern, such as `/play/{view}/{file:.*}`.
    pub fn root_at<P, F, Args>(&mut self, pattern: &str, operation: P, handler: F)
    where
        P: Described,
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add(operation, P::path(), pattern.to_owned(), handler);
    }

    fn add<P, F, Args>(&mut self, _operation: P, path: String, pattern: String, handler: F)
    where
        P: Described,
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        for method in P::methods().iter().map(actix_method) {
            self.entries.push(Entry {
                path: path.clone(),
                pattern: pattern.clone(),
                method,
                route: web::route().to(handler.clone()),
                operation: P::operation().operation_id.unwrap_or_default(),
                describe: describe::<P>,
            });
        }
    }

    /// Every operation, sorted.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let mut all: Vec<Operation> = self
            .entries
            .iter()
            .map(|entry| Operation { path: entry.path.clone(), method: entry.method.to_string() })
            .collect();
        all.sort();
        all
    }

    /// The name of every operation, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries.iter().map(|entry| entry.operation.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Writes paths and schemas of every operation into `document`.
    pub fn document(&self, document: &mut OpenApi) {
        for entry in &self.entries {
            (entry.describe)(&entry.path, document);
        }
    }

    /// Registers one resource per pattern; any other method on it answers 405 with `Allow`.
    pub fn register(self, config: &mut web::ServiceConfig) {
        let mut patterns: Vec<(String, Vec<Guarded>)> = Vec::new();
        for entry in self.entries {
            let Entry { pattern, method, route, operation, .. } = entry;
            let guarded = (method, route, needs::of(&operation));
            match patterns.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, methods)) => methods.push(guarded),
                None => patterns.push((pattern, vec![guarded])),
            }
        }
        // Resource after resource is tried with each request, most by a regular expression: so those of a section are asked
        // for only below its path.
        let mut sections: Vec<(String, Vec<Resource>)> = Vec::new();
        for (pattern, methods) in patterns {
            let Some((section, rest)) = split_section(&pattern) else {
                config.service(resource(&pattern, methods));
                continue;
            };
            let resource = resource(rest, methods);
            match sections.iter_mut().find(|(known, _)| known == section) {
                Some((_, resources)) => resources.push(resource),
                None => sections.push((section.to_owned(), vec![resource])),
            }
        }
        for (section, resources) in sections {
            config.service(resources.into_iter().fold(web::scope(&section), Scope::service));
        }
    }
}

/// The part of the API that a pattern belongs to, as `/api/v1/assets`, and the rest of it.
fn split_section(pattern: &str) -> Option<(&str, &str)> {
    let name = pattern.strip_prefix(API_PREFIX)?.strip_prefix('/')?;
    let end = name.find('/').unwrap_or(name.len());
    let is_plain = !name.get(..end)?.contains('{');
    is_plain.then(|| pattern.split_at(API_PREFIX.len() + 1 + end))
}

/// An operation's method, handler, and what it needs; none for one that the table of needs forgot.
type Guarded = (Method, Route, Option<Need>);

fn resource(pattern: &str, methods: Vec<Guarded>) -> Resource {
    let own_head = methods.iter().any(|(method, ..)| *method == Method::HEAD);
    let mut allowed: Vec<String> = methods.iter().map(|(method, ..)| method.to_string()).collect();
    if !own_head && allowed.iter().any(|method| method == "GET") {
        allowed.push("HEAD".to_owned());
    }
    allowed.sort();
    let allow = allowed.join(", ");
    let mut resource = web::resource(pattern.to_owned());
    for (method, route, need) in methods {
        let route = route.guard(method_guard(method, own_head));
        resource = resource.route(match need {
            Some(need) if need.is_open() => route,
            Some(need) => route.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
                needs::enforce(need, request, next)
            })),
            // A test sees to it that there is none; should there be one, nobody gets in.
            None => route.wrap(from_fn(|request: ServiceRequest, _: Next<BoxBody>| async move {
                let (http, _) = request.into_parts();
                Ok::<_, Error>(ServiceResponse::from_err(Problem::not_found(), http))
            })),
        });
    }
    resource.default_service(web::route().to(move || {
        let problem = Problem::method_not_allowed(allow.clone());
        async move { Err::<&'static str, Problem>(problem) }
    }))
}

/// GET answers HEAD too, as HTTP asks, unless the path has a HEAD operation of its own.
fn method_guard(method: Method, own_head: bool) -> impl Guard {
    guard::fn_guard(move |context| {
        let asked = &context.head().method;
        *asked == method || (method == Method::GET && !own_head && *asked == Method::HEAD)
    })
}

fn actix_method(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
        _ => Method::GET,
    }
}

/// Every operation may answer with a problem that any operation may answer with (401, 413, 429, 503, ...): `default` says
/// so. Those it names are of the media type that problems have.
fn add_problems(operation: &mut utoipa::openapi::path::Operation) {
    let problem = || RefOr::T(Content::new(Some(Ref::from_schema_name("ProblemBody"))));
    let mut default = Response::new("A problem");
    default.content.insert(PROBLEM_TYPE.to_owned(), problem());
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let failed = status.starts_with('4') || status.starts_with('5');
        if failed && response.content.shift_remove("application/json").is_some() {
            response.content.insert(PROBLEM_TYPE.to_owned(), problem());
        }
    }
    operation.responses.responses.insert("default".to_owned(), RefOr::T(default));
}

fn describe<P: Described>(path: &str, document: &mut OpenApi) {
    let mut schemas: Vec<(String, RefOr<Schema>)> = Vec::new();
    P::schemas(&mut schemas);
    let components = document.components.get_or_insert_with(Default::default);
    components.schemas.extend(schemas);
    let mut operation = P::operation();
    add_problems(&mut operation);
    operation.tags = Some(P::tags().into_iter().map(str::to_owned).collect());
    document.paths.add_path_operation(path, P::methods(), operation);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_the_api_belongs_to_a_section() {
        assert_eq!(split_section("/api/v1/assets"), Some(("/api/v1/assets", "")));
        assert_eq!(split_section("/api/v1/assets/{id}/views"), Some(("/api/v1/assets", "/{id}/views")));
        assert_eq!(split_section("/api/v1/{id}"), None);
        assert_eq!(split_section("/play/{view}/{file:.*}"), None);
    }
}
