//! The OpenAPI 3.1 document, made from the route table; a copy is committed as `node/openapi.json`.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Info, License, OpenApi, OpenApiBuilder, RefOr, Schema, Server};

use crate::headers;
use crate::problem::ProblemBody;
use crate::routes::Routes;

static TEXT: LazyLock<String> = LazyLock::new(text);
const DESCRIPTION: &str = "Every error is an application/problem+json document with a stable `code`.

Any node takes any request. A change is answered once most voters have it on disk, and is seen at once on the node that was \
asked. A read is answered from what that node has heard, usually some milliseconds behind; with `Cache-Control: no-cache` \
it waits for everything that was acknowledged before, and is answered 503 where most voters cannot be asked.";
const DOCS: &str = include_str!("pages/docs.html");
const DOCS_SCRIPT: &str = include_str!("pages/docs.js");
const DOCS_STYLE: &str = include_str!("pages/docs.css");

/// The whole document.
#[must_use]
pub fn document() -> OpenApi {
    let mut info = Info::new("mediakeep", "1");
    info.description = Some(DESCRIPTION.to_owned());
    info.license = Some(License::new("Apache-2.0"));
    let mut components = Components::new();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-session")));
    components.add_security_scheme("session", cookie);
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    components.add_security_scheme("token", bearer);
    let schema = <ProblemBody as utoipa::PartialSchema>::schema();
    components.schemas.insert("ProblemBody".to_owned(), schema);
    components.schemas.extend(crate::api::forms::of_parameters());
    let mut document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .components(Some(components))
        .security(Some(["session", "token"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()))))
        .build();
    let mut routes = Routes::default();
    crate::api::configure_all(&mut routes);
    routes.document(&mut document);
    if let Some(components) = &mut document.components {
        close(components, &["AccessView", "PlaceView"]);
    }
    document
}

/// Says of schemas that are one of several objects that none of these has more properties: serde refuses them, and the
/// derive only says so of plain objects.
fn close(components: &mut Components, names: &[&str]) {
    for name in names {
        let Some(RefOr::T(Schema::OneOf(choice))) = components.schemas.get_mut(*name) else { continue };
        for item in &mut choice.items {
            if let RefOr::T(Schema::Object(object)) = item {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

/// The document as it is committed and served.
#[must_use]
pub fn text() -> String {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
#[utoipa::path(get, path = "/openapi.json", tag = "docs", security(()), responses((status = 200, description = "This document")))]
pub async fn openapi_view() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type("application/json")
        .body(TEXT.as_str())
}

/// The document, readable.
#[utoipa::path(get, path = "/api/docs", tag = "docs", security(()), responses((status = 200, description = "A page")))]
pub async fn docs_view() -> HttpResponse {
    let policy = headers::console_policy("none", std::iter::empty());
    HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .content_type("text/html; charset=utf-8")
        .body(DOCS)
}

/// The page's script.
#[utoipa::path(get, path = "/api/docs/docs.js", tag = "docs", security(()), responses((status = 200, description = "A script")))]
pub async fn docs_script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(DOCS_SCRIPT)
}

/// The page's style.
#[utoipa::path(get, path = "/api/docs/docs.css", tag = "docs", security(()), responses((status = 200, description = "A style sheet")))]
pub async fn docs_style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(DOCS_STYLE)
}

/// Adds the document and its page.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_openapi_view, openapi_view);
    routes.root(__path_docs_view, docs_view);
    routes.root(__path_docs_script, docs_script);
    routes.root(__path_docs_style, docs_style);
}
