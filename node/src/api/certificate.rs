//! The certificate browsers see: the node's own, or one the operator has installed. Chain and key stay on this node;
//! who put which one in is agreed on and on record before anything changes.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use cluster::command::ClusterCommand;
use cluster::permission::{Action, Target};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, ok};
use crate::access::Caller;
use crate::app::App;
use crate::auth::token::SecretText;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;
use crate::tls::{CertificateFacts, Source};

/// Warned of when so little of its life is left.
const SOON_MS: u64 = 21 * 24 * 60 * 60 * 1000;

/// Whose certificate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSource {
    /// Made by the node's own authority.
    Own,
    /// Installed by an operator.
    Installed,
}

/// Something about it that will trouble somebody.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CertificateWarning {
    /// `name_mismatch`, `self_signed` or `ends_soon`.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// The certificate in use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CertificateView {
    /// Whose it is.
    pub source: CertificateSource,
    /// Whom it is for.
    pub subject: String,
    /// Who made it.
    pub issuer: String,
    /// Host names and addresses it vouches for.
    pub names: Vec<String>,
    /// From when.
    pub not_before_ms: u64,
    /// Until when.
    pub not_after_ms: u64,
    /// SHA-256, as browsers show it.
    pub fingerprint: String,
    /// Kind and size of its key.
    pub key: String,
    /// Certificates sent along, itself included.
    pub chain_length: usize,
    /// What will trouble somebody.
    pub warnings: Vec<CertificateWarning>,
}

/// A certificate to serve from now on.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateInstall {
    /// The certificate and those that vouch for it, in that order (PEM).
    pub chain: String,
    /// Its private key (PEM, not protected by a passphrase). Kept sealed, never shown again.
    #[schema(value_type = String)]
    pub key: SecretText,
}

/// The certificate browsers see now. For cluster admins.
#[utoipa::path(get, path = "/system/certificate", tag = "system",
    responses((status = 200, body = CertificateView), (status = 403, body = ProblemBody)))]
pub async fn certificate_view(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::SeeCertificate, Target::Cluster)?;
    shown(&request, &app)
}

/// Serve another certificate from the next connection on. For cluster admins.
///
/// Refused when it cannot be read, does not belong to the key, is over or not yet valid, has a weak key or signature, or
/// is not for servers. A name that does not fit is only warned of: the name may be about to move here.
#[utoipa::path(put, path = "/system/certificate", tag = "system", request_body = CertificateInstall,
    responses((status = 200, body = CertificateView), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub async fn certificate_install(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    body: Body<CertificateInstall>,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    let prepared = app.tls.prepare(&wanted.chain, wanted.key.expose(), app.cluster.now_ms())?;
    let command = ClusterCommand::InstallCertificate {
        node: app.cluster.node_id(),
        fingerprint: prepared.digest(),
        names: prepared.facts.names.clone(),
        expires_ms: prepared.facts.not_after_ms,
    };
    caller.propose(command).await?;
    let node = app.clone();
    let installed =
        web::block(move || node.tls.install(&node.config.dir, prepared, node.cluster.storage_key()));
    installed.await.map_err(Problem::internal)??;
    tracing::info!(fingerprint = app.tls.fingerprint(), "an operator's certificate is served");
    shown(&request, &app)
}

/// Go back to the certificate of the node's own authority. For cluster admins.
#[utoipa::path(delete, path = "/system/certificate", tag = "system",
    responses((status = 200, body = CertificateView), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn certificate_remove(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::SetCertificate, Target::Cluster)?;
    if app.tls.source() == Source::Own {
        return Err(Problem::conflict("no_installed_certificate", "No certificate is installed."));
    }
    caller.propose(ClusterCommand::RemoveCertificate { node: app.cluster.node_id() }).await?;
    let node = app.clone();
    let removed = web::block(move || {
        let names = node.config.certificate_names();
        node.tls.remove(&node.config.dir, &names, node.cluster.storage_key())
    });
    removed.await.map_err(Problem::internal)??;
    shown(&request, &app)
}

fn shown(request: &HttpRequest, app: &App) -> Result<HttpResponse, Problem> {
    let (source, facts) = (app.tls.source(), app.tls.facts()?);
    let warnings = warnings(request, app, source, &facts);
    ok(&CertificateView {
        source: match source {
            Source::Own => CertificateSource::Own,
            Source::Installed => CertificateSource::Installed,
        },
        subject: facts.subject,
        issuer: facts.issuer,
        names: facts.names,
        not_before_ms: facts.not_before_ms,
        not_after_ms: facts.not_after_ms,
        fingerprint: facts.fingerprint,
        key: facts.key,
        chain_length: facts.chain_length,
        warnings,
    })
}

fn warnings(
    request: &HttpRequest,
    app: &App,
    source: Source,
    facts: &CertificateFacts,
) -> Vec<CertificateWarning> {
    let mut found = Vec::new();
    let mut warn = |code: &str, detail: String| {
        found.push(CertificateWarning { code: code.to_owned(), detail });
    };
    let missing: Vec<String> = app
        .config
        .hostnames
        .iter()
        .cloned()
        .chain(asked_for(request))
        .filter(|name| !facts.covers(name))
        .collect();
    if let Some(name) = missing.first() {
        warn(
            "name_mismatch",
            format!("The certificate does not vouch for {name}: browsers that go there refuse it."),
        );
    }
    if source == Source::Installed && facts.self_signed {
        warn("self_signed", "Nobody but itself vouches for the certificate.".to_owned());
    }
    if facts.not_after_ms < app.cluster.now_ms().saturating_add(SOON_MS) {
        warn("ends_soon", "The certificate ends within three weeks.".to_owned());
    }
    found
}

/// The name or address by which the caller got here.
fn asked_for(request: &HttpRequest) -> Option<String> {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()))?;
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    (!bare.is_empty() && bare.len() <= 255 && bare.bytes().all(legal)).then(|| bare.to_owned())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_certificate_view, certificate_view);
    routes.api(__path_certificate_install, certificate_install);
    routes.api(__path_certificate_remove, certificate_remove);
}
