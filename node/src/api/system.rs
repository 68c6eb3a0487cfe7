//! What anybody may know of a node, and whether it is well.

use actix_web::{HttpResponse, web};

use crate::app::App;
use crate::problem::Problem;
use crate::routes::Routes;

/// Is the process alive?
#[utoipa::path(get, path = "/healthz", tag = "system", responses((status = 200, description = "Alive")))]
pub async fn health_view() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// Counters for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, description = "Exposition text")))]
pub async fn metrics_view(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(kind).body(app.metrics.text()))
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.root(__path_health_view, health_view);
    routes.root(__path_metrics_view, metrics_view);
}
