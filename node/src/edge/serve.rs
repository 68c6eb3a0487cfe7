//! What an edge serves: playlists, keys and ciphertext of running Views, exactly as a node does, and its own health.
//! Everything else is served by the nodes of the cluster.

use std::sync::{Arc, PoisonError};

use actix_web::http::{Method, header};
use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::{Edge, Gate, metrics};
use crate::access::{address, allowed_origin};
use crate::limits::Connection;
use crate::play::files::File;
use crate::play::outage::SILENT_AFTER;
use crate::play::serve::{allow_reading, ranged, share_with};
use crate::problem::Problem;
use crate::token::looks_like_token;

/// A player at an edge that is cut off has nowhere else to go.
const ALONE: &[u8] = br#"{"VERSION":1,"TTL":10,"PATHWAY-PRIORITY":["."]}"#;

/// Registers everything an edge serves.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/play/{view}/{file:.*}")
                .route(web::get().to(play))
                .route(web::head().to(play))
                .route(web::method(Method::OPTIONS).to(options))
                .default_service(web::route().to(wrong_method)),
        )
        .service(web::resource("/healthz").route(web::get().to(healthy)))
        .service(web::resource("/readyz").route(web::get().to(ready)))
        .service(web::resource("/metrics").route(web::get().to(counters)))
        .default_service(web::route().to(elsewhere));
}

async fn play(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    refuse_crowd(&request)?;
    let (view, path) = path.into_inner();
    // A cookie is for the node that gave it.
    let file = File::parse(&path).filter(|_| looks_like_token(&view)).ok_or_else(Problem::not_found)?;
    let (right, admission) = edge.admit(&view, address(&request)).await?;
    let body = match &file {
        File::Key(period) => edge.key(&right, &admission, *period).await?,
        File::Steering if is_cut_off(&edge) => Bytes::from_static(ALONE),
        _ => edge.file(&right, &admission, &file, &path).await?,
    };
    let mut answer = ranged(&request, file.kind(), body, None);
    share_with(origin(&request, &edge).as_deref(), &mut answer);
    Ok(answer)
}

async fn options(request: HttpRequest, edge: Data<Edge>) -> HttpResponse {
    let mut answer = HttpResponse::NoContent().finish();
    share_with(origin(&request, &edge).as_deref(), &mut answer);
    allow_reading(&mut answer);
    answer
}

async fn healthy() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

async fn ready(edge: Data<Edge>) -> Result<HttpResponse, Problem> {
    if *edge.gate.borrow() == Gate::Shut || is_cut_off(&edge) {
        return Err(Problem::unavailable("cluster_away", "This edge does not hear its cluster."));
    }
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"))
}

/// For the addresses the operator lists: nobody can log in to an edge.
async fn counters(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, Problem> {
    let from_listed = address(&request)
        .is_some_and(|from| edge.config.metrics_from.iter().any(|known| known.contains(&from)));
    if !from_listed {
        return Err(Problem::not_found());
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(kind).body(metrics::text(&edge)))
}

/// Whoever opens an edge's address in a browser is sent to a node; anything else is not here.
async fn elsewhere(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, Problem> {
    let nodes = edge.public.read().unwrap_or_else(PoisonError::into_inner);
    match nodes.first().filter(|_| request.method() == Method::GET && request.path() == "/") {
        Some(node) => Ok(HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, format!("https://{node}/")))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish()),
        None => Err(Problem::not_found()),
    }
}

async fn wrong_method() -> Result<HttpResponse, Problem> {
    Err(Problem::method_not_allowed("GET, HEAD, OPTIONS".to_owned()))
}

fn is_cut_off(edge: &Edge) -> bool {
    edge.silence().is_none_or(|silence| silence >= SILENT_AFTER)
}

fn refuse_crowd(request: &HttpRequest) -> Result<(), Problem> {
    let crowded = request.conn_data::<Arc<Connection>>().is_some_and(|connection| connection.crowded);
    if crowded { Err(Problem::too_many("too_many_connections", 5)) } else { Ok(()) }
}

/// The page that asks, when it may read the answer: one the operator allows, or the console of a node.
fn origin(request: &HttpRequest, edge: &Edge) -> Option<String> {
    if let Some(allowed) = allowed_origin(request, &edge.config) {
        return Some(allowed.to_owned());
    }
    let origin = request.headers().get(header::ORIGIN)?.to_str().ok()?;
    let nodes = edge.public.read().unwrap_or_else(PoisonError::into_inner);
    let known =
        nodes.iter().any(|node| origin == format!("https://{}", node.strip_suffix(":443").unwrap_or(node)));
    known.then(|| origin.to_owned())
}
