//! What anybody may know of a node, what members may, and whether it is well.

use actix_web::{HttpRequest, HttpResponse, web};
use cluster::permission::{Action, Target};
use cluster::store::Level;
use cluster::transfer::Protection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::ok;
use crate::access::{Caller, address};
use crate::app::App;
use crate::console;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// What anybody may know.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SystemView {
    /// `mediakeep`.
    pub product: String,
    /// The version running.
    pub version: String,
    /// Whether somebody has claimed it.
    pub claimed: bool,
    /// The embedded console's build; none when it was not built.
    pub console: Option<String>,
    /// Where to report a vulnerability.
    pub security_contact: Option<String>,
    /// SHA-256 of the certificate, to compare with what the machine shows.
    pub certificate_fingerprint: String,
}

/// This node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeView {
    /// Its number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
}

/// Room on the disk.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DiskView {
    /// Bytes.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
    /// `fine`, `no_new_uploads` or `no_writes`.
    pub level: String,
}

/// How many nodes hold each asset.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CopiesView {
    /// How many are wanted.
    pub wanted: u32,
    /// The fewest that any asset has on nodes that answer.
    pub held: u32,
    /// Assets with three copies or more on nodes that answer.
    pub assets_with_three: u64,
    /// Assets with two.
    pub assets_with_two: u64,
    /// Assets with one.
    pub assets_with_one: u64,
    /// Assets none of whose nodes answers.
    pub assets_with_none: u64,
    /// So many more nodes may be lost, any of them, and everything is still there.
    pub nodes_to_lose: u32,
    /// So many more sites.
    pub sites_to_lose: u32,
    /// Bytes this node is still to fetch.
    pub missing_bytes: u64,
}

impl CopiesView {
    /// As it was counted last.
    #[must_use]
    pub fn of(protection: &Protection) -> Self {
        let [none, one, two, three] = protection.assets_by_copies;
        let fewest = [none, one, two].iter().position(|assets| *assets > 0);
        let wanted = u32::try_from(protection.copies_wanted).unwrap_or(u32::MAX);
        Self {
            wanted,
            held: fewest.and_then(|copies| u32::try_from(copies).ok()).unwrap_or(wanted),
            assets_with_three: three,
            assets_with_two: two,
            assets_with_one: one,
            assets_with_none: none,
            nodes_to_lose: protection.nodes_to_lose,
            sites_to_lose: protection.sites_to_lose,
            missing_bytes: protection.missing_bytes,
        }
    }
}

/// What members may know.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StatusView {
    /// This node.
    pub node: NodeView,
    /// The version running.
    pub version: String,
    /// Since the node started.
    pub uptime_ms: u64,
    /// Room on the disk.
    pub disk: DiskView,
    /// How many nodes hold each asset.
    pub copies: CopiesView,
    /// `key_file` or `passphrase`.
    pub key_mode: String,
    /// What that means, when it should worry somebody.
    pub key_mode_warning: Option<String>,
    /// The recovery key is confirmed as written down.
    pub recovery_confirmed: bool,
    /// Applied log entries.
    pub applied: u64,
    /// Cluster time now.
    pub time_ms: u64,
    /// SHA-256 of the certificate.
    pub certificate_fingerprint: String,
    /// Whether a node leads, as far as this one can tell: without, nothing can be changed.
    pub has_leader: bool,
}

/// What anybody may know.
#[utoipa::path(get, path = "/system", tag = "system", security(()), responses((status = 200, body = SystemView)))]
pub async fn system_view(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    ok(&SystemView {
        product: "mediakeep".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        claimed: app.cluster.state().is_claimed(),
        console: console::build_id(),
        security_contact: app.config.security_contact.clone(),
        certificate_fingerprint: app.tls.fingerprint(),
    })
}

/// How this node is.
#[utoipa::path(get, path = "/system/status", tag = "system", responses((status = 200, body = StatusView), (status = 401, body = ProblemBody)))]
pub async fn system_status(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeStatus, Target::Cluster)?;
    let space = app.cluster.blobs().space()?;
    let status = app.cluster.status();
    let stolen = status.stolen_machine_can_be_read;
    let warning = "The node's key lies in a file on this machine: a stolen machine can be read.";
    ok(&StatusView {
        node: NodeView {
            id: app.cluster.node_id().to_string(),
            name: app.config.name.clone(),
            site: app.config.site.clone(),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: u64::try_from(app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        disk: DiskView { total: space.total, free: space.free, level: level_name(space.level).to_owned() },
        copies: CopiesView::of(&status.protection),
        key_mode: if stolen { "key_file" } else { "passphrase" }.to_owned(),
        key_mode_warning: stolen.then(|| warning.to_owned()),
        recovery_confirmed: state.cluster_info().is_some_and(|cluster| cluster.recovery_confirmed),
        applied: state.last_applied(),
        time_ms: app.cluster.now_ms(),
        certificate_fingerprint: app.tls.fingerprint(),
        has_leader: app.cluster.has_leader(),
    })
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Fine => "fine",
        Level::NoNewUploads => "no_new_uploads",
        Level::NoWrites => "no_writes",
    }
}

/// The authority that signed the node's certificate, for clients to trust.
#[utoipa::path(get, path = "/system/ca.pem", tag = "system", security(()), responses((status = 200, description = "PEM")))]
pub async fn system_authority(app: web::Data<App>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/x-pem-file").body(app.tls.authority_pem())
}

/// Is the process alive?
#[utoipa::path(get, path = "/healthz", tag = "system", security(()), responses((status = 200, description = "Alive")))]
pub async fn health_view() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// What a node must be ready for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ReadinessQuery {
    /// `true`: for changes, too, and not for playing alone. 503 while no leader is heard of from here.
    pub changes: Option<bool>,
}

/// Can it do its work? 503 while it stops, or when its disk failed.
#[utoipa::path(get, path = "/readyz", tag = "system", security(()), params(ReadinessQuery),
    responses((status = 200, description = "Ready"), (status = 503, body = ProblemBody)))]
pub async fn readiness_view(
    app: web::Data<App>,
    query: web::Query<ReadinessQuery>,
) -> Result<HttpResponse, Problem> {
    if app.shutdown.begun() {
        return Err(Problem::unavailable("stopping", "This node is stopping."));
    }
    let status = app.cluster.status();
    if let Some(failure) = status.failure {
        return Err(Problem::unavailable("failed", "This node has stopped taking part.").caused_by(failure));
    }
    if status.read_only.is_some() {
        return Err(Problem::unavailable(
            "read_only",
            "This node is read-only: acknowledged records are missing.",
        ));
    }
    if query.changes == Some(true) && !app.cluster.has_leader() {
        return Err(Problem::unavailable(
            "no_leader",
            "No leader is heard of from here: nothing can be changed.",
        ));
    }
    app.cluster.blobs().space()?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"))
}

/// Counters for Prometheus: for the addresses the operator lists (the machine itself, unless told otherwise), and for
/// whoever comes with the credential of a cluster admin or an API key of the role admin.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, description = "Exposition text"),
    (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub async fn metrics_view(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse, Problem> {
    let from_listed = address(&request)
        .is_some_and(|from| app.config.metrics_from.iter().any(|known| known.contains(&from)));
    if !from_listed {
        caller.may(&caller.state(), Action::ReadMetrics, Target::Cluster)?;
    }
    app.metrics.backups(&super::backup_targets::figures(&app.cluster.state()));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(kind).body(app.metrics.text()))
}

/// Where to report a vulnerability (RFC 9116).
#[utoipa::path(get, path = "/.well-known/security.txt", tag = "system", security(()),
    responses((status = 200, description = "RFC 9116"), (status = 404, body = ProblemBody)))]
pub async fn security_contact_view(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let contact = app.config.security_contact.clone().ok_or_else(Problem::not_found)?;
    let in_a_year = std::time::SystemTime::now() + std::time::Duration::from_secs(364 * 86_400);
    let expires = rfc3339_day(in_a_year);
    let text = format!("Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en, de\n");
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text))
}

fn rfc3339_day(time: std::time::SystemTime) -> String {
    let date = actix_web::cookie::time::OffsetDateTime::from(time).date();
    format!("{:04}-{:02}-{:02}T00:00:00Z", date.year(), u8::from(date.month()), date.day())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_system_view, system_view);
    routes.api(__path_system_status, system_status);
    routes.api(__path_system_authority, system_authority);
    routes.root(__path_health_view, health_view);
    routes.root(__path_readiness_view, readiness_view);
    routes.root(__path_metrics_view, metrics_view);
    routes.root(__path_security_contact_view, security_contact_view);
}
