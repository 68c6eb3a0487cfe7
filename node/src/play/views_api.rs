//! Starting and renewing Views.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use cluster::actor::ActorKind;
use cluster::command::AuditCommand;
use cluster::id::AssetId;
use cluster::permission::{Action, Target, view_subject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::steering;
use super::view::{Carrier, RENEWABLE_MS, RenewalClaims, ViewClaims};
use crate::access::{Caller, address};
use crate::api::body::{Body, OptionalBody};
use crate::media::Media;
use crate::problem::Problem;

/// The cookie of a View in the console; valid below `/play/<asset>` only.
pub const VIEW_COOKIE: &str = "__Secure-view";

/// How to watch.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartView {
    /// `cookie` for the console, `path` for any other player. Without it, whoever came with the session cookie gets a
    /// cookie and everybody else a path.
    pub carrier: Option<CarrierKind>,
    /// Lets any network address use the path; without it only the one that asks.
    pub any_address: bool,
    /// The player knows content steering: where there are several sites to play from, it gets a path that is good at
    /// all of them, whatever `carrier` says.
    pub steered: bool,
}

/// How the View's token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CarrierKind {
    /// In a cookie.
    Cookie,
    /// In the path.
    Path,
}

/// A View that has begun or goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedView {
    /// Names the View in the audit log.
    pub view: String,
    /// What a player opens.
    pub playlist_url: String,
    /// When it ends unless renewed.
    pub expires_ms: u64,
    /// What `POST /views/renew` takes.
    pub renewal: String,
}

/// Asks for a View to go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewView {
    /// From the View's start or its last renewal.
    pub renewal: String,
}

/// Starts to watch: the answer's `playlist_url` is what a player opens.
#[utoipa::path(post, path = "/assets/{asset}/views", tag = "watching", params(("asset" = String, Path)),
    request_body = Option<StartView>,
    responses((status = 201, body = StartedView, description = "Begun"),
        (status = 403, body = crate::problem::ProblemBody, description = "Not for you"),
        (status = 404, body = crate::problem::ProblemBody, description = "No such asset"),
        (status = 409, body = crate::problem::ProblemBody, description = "Nothing to watch yet")))]
pub async fn view_start(
    request: HttpRequest,
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    wanted: OptionalBody<StartView>,
) -> Result<HttpResponse, Problem> {
    let OptionalBody(wanted) = wanted;
    caller.signed_in()?;
    let state = caller.state();
    caller.may(&state, Action::WatchAsset, Target::Asset(*asset))?;
    media.outage.may_begin()?;
    let now_ms = media.store.cluster().now_ms();
    let wanted = match wanted.steered && steering::reaches_far(media.store.cluster(), &media.edges, *asset) {
        true => StartView { carrier: Some(CarrierKind::Path), ..wanted },
        false => wanted,
    };
    let carrier = carrier(&request, &caller, &wanted)?;
    let claims = ViewClaims {
        view: rand::random(),
        asset: *asset,
        subject: view_subject(&state, &caller.actor, *asset)?,
        started_ms: now_ms,
        expires_ms: now_ms + carrier.lifetime_ms(),
        carrier,
    };
    // Committed before there is a token, and so before the first key: what is watched is on record.
    record_start(&media, &caller, &claims).await?;
    answer(&media, &claims, HttpResponse::Created())
}

/// Goes on watching beyond the end of the token; asked for by the page before it is over.
#[utoipa::path(post, path = "/views/renew", tag = "watching", request_body = RenewView,
    responses((status = 200, body = StartedView, description = "It goes on"),
        (status = 403, body = crate::problem::ProblemBody, description = "It is over")))]
pub async fn view_renew(
    caller: Caller,
    media: Data<Media>,
    asked: Body<RenewView>,
) -> Result<HttpResponse, Problem> {
    caller.signed_in()?;
    let over = || Problem::forbidden("view_over", "This view is over; start to watch again.");
    let RenewalClaims(mut claims) = media.tokens.verify(&asked.0.renewal).map_err(|_| over())?;
    let now_ms = media.store.cluster().now_ms();
    if claims.subject.who != caller.actor.kind || now_ms > claims.started_ms + RENEWABLE_MS {
        return Err(over());
    }
    cluster::permission::may_watch(&caller.state(), &claims.subject, claims.asset, now_ms)?;
    let state = caller.state();
    let application = state.asset(claims.asset).and_then(|asset| state.application(asset.application));
    media
        .outage
        .may_go_on(claims.started_ms, || application.map_or(0, |found| found.policy.offline_grace_ms))?;
    claims.expires_ms = now_ms + claims.carrier.lifetime_ms();
    answer(&media, &claims, HttpResponse::Ok())
}

fn carrier(request: &HttpRequest, caller: &Caller, wanted: &StartView) -> Result<Carrier, Problem> {
    let by_cookie = matches!(caller.actor.kind, ActorKind::User { .. })
        && !request.headers().contains_key("authorization");
    let kind = wanted.carrier.unwrap_or(if by_cookie { CarrierKind::Cookie } else { CarrierKind::Path });
    match kind {
        CarrierKind::Path if wanted.any_address => Ok(Carrier::Path { address: None }),
        CarrierKind::Path => Ok(Carrier::Path { address: address(request) }),
        CarrierKind::Cookie if by_cookie => Ok(Carrier::Cookie),
        CarrierKind::Cookie => Err(Problem::invalid(
            "cookie_needs_session",
            "A view in a cookie is for the console; ask for `\"carrier\": \"path\"`.",
        )),
    }
}

async fn record_start(media: &Media, caller: &Caller, claims: &ViewClaims) -> Result<(), Problem> {
    let state = caller.state();
    let command = AuditCommand::Record {
        action: "view.start".to_owned(),
        target: format!("asset:{}", claims.asset),
        application: state.asset(claims.asset).map(|asset| asset.application),
        result: "ok".to_owned(),
        details: [("view".to_owned(), name(claims))].into(),
    };
    Ok(media.outage.record_start(caller.actor.clone(), command).await?)
}

fn answer(
    media: &Media,
    claims: &ViewClaims,
    mut answer: actix_web::HttpResponseBuilder,
) -> Result<HttpResponse, Problem> {
    let token = media.tokens.sign(claims).map_err(Problem::internal)?;
    let renewal = media.tokens.sign(&RenewalClaims(*claims)).map_err(Problem::internal)?;
    let playlist_url = match claims.carrier {
        Carrier::Cookie => {
            answer.cookie(cookie(claims, token));
            format!("/play/{}/main.m3u8", claims.asset)
        }
        Carrier::Path { .. } => format!("/play/{token}/main.m3u8"),
    };
    answer.insert_header(("Cache-Control", "no-store"));
    Ok(answer.json(StartedView { view: name(claims), playlist_url, expires_ms: claims.expires_ms, renewal }))
}

fn cookie(claims: &ViewClaims, token: String) -> Cookie<'static> {
    let seconds = i64::try_from(claims.carrier.lifetime_ms() / 1000).unwrap_or(0);
    Cookie::build(VIEW_COOKIE, token)
        .path(format!("/play/{}", claims.asset))
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(seconds))
        .finish()
}

fn name(claims: &ViewClaims) -> String {
    data_encoding::HEXLOWER.encode(&claims.view)
}
