//! Starting, renewing and ending Views.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use cluster::actor::ActorKind;
use cluster::command::{AuditCommand, ViewCommand};
use cluster::id::{ApplicationId, AssetId, ViewId};
use cluster::permission::{Action, Target, view_subject};
use cluster::refusal::{Noun, Refusal};
use cluster::state::{RunningView, State, Watcher};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::steering;
use super::view::{Carrier, RENEWABLE_MS, RenewalClaims, ViewClaims};
use crate::access::{Caller, address};
use crate::api::body::{Body, OptionalBody, done, ok};
use crate::api::forms;
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
    /// Where only so many Views may run at once: one of your own that ends for this one, from `GET /views`. Nothing
    /// happens to it when it is over already.
    #[schema(value_type = Option<forms::Id>)]
    pub in_place_of: Option<ViewId>,
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
    /// Only so many may run at once where this is watched: say so when it is over, by `DELETE /views/{view}`.
    pub counted: bool,
}

/// A View of one's own where only so many may run at once.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountedView {
    /// Its id.
    pub view: String,
    /// What is watched.
    pub asset: String,
    /// What that is called; absent when one may not see it any more.
    pub title: Option<String>,
    /// Where it is counted.
    pub application: String,
    /// When it began.
    pub started_ms: u64,
    /// When it ends unless renewed.
    pub expires_ms: u64,
}

/// The Views of one's own that are counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountedViews {
    /// Oldest first in each application.
    pub items: Vec<CountedView>,
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
        (status = 409, body = crate::problem::ProblemBody, description = "Nothing to watch yet, or `too_many_views`: as many run as may")))]
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
        view: ViewId::generate(),
        asset: *asset,
        subject: view_subject(&state, &caller.actor, *asset)?,
        started_ms: now_ms,
        expires_ms: now_ms + carrier.lifetime_ms(),
        carrier,
    };
    // Committed before there is a token, and so before the first key: what is watched is on record.
    if limited_in(&state, *asset).is_some() {
        let claims = start_counted(&caller, claims, wanted.in_place_of).await?;
        return answer(&media, &claims, true, HttpResponse::Created());
    }
    record_start(&media, &caller, &claims).await?;
    answer(&media, &claims, false, HttpResponse::Created())
}

/// The application of this asset, if it limits Views.
fn limited_in(state: &State, asset: AssetId) -> Option<ApplicationId> {
    let application = state.asset(asset)?.application;
    state.views_at_once(application).map(|_| application)
}

/// Has the View counted. There is no other way where there is a limit: what cannot be agreed on does not begin.
async fn start_counted(
    caller: &Caller,
    claims: ViewClaims,
    in_place_of: Option<ViewId>,
) -> Result<ViewClaims, Problem> {
    let ViewClaims { view, asset, expires_ms, .. } = claims;
    caller.propose(ViewCommand::Start { view, asset, until_ms: expires_ms, in_place_of }).await?;
    let state = caller.state();
    match own_views(&state, caller).find(|(_, running)| running.id == view) {
        // By its stamp other nodes know whether they are behind.
        Some((_, running)) => Ok(ViewClaims { started_ms: running.started_ms, ..claims }),
        // Another took its place at once. A token with the stamp of this clock would be believed where that is ahead.
        None if limited_in(&state, asset).is_some() => Err(Refusal::ViewEnded.into()),
        // The limit was lifted at once.
        None => Ok(claims),
    }
}

fn own_views<'a>(
    state: &'a State,
    caller: &Caller,
) -> impl Iterator<Item = (ApplicationId, &'a RunningView)> {
    let who = Watcher::of(caller.actor.kind);
    who.into_iter().flat_map(|who| state.all_running_views(who))
}

/// What you are watching where only so many Views may run at once, on whatever device.
#[utoipa::path(get, path = "/views", tag = "watching",
    responses((status = 200, body = CountedViews), (status = 401, body = crate::problem::ProblemBody)))]
pub async fn view_list(caller: Caller, media: Data<Media>) -> Result<HttpResponse, Problem> {
    caller.signed_in()?;
    let (state, now_ms) = (caller.state(), media.store.cluster().now_ms());
    let running = own_views(&state, &caller).filter(|(_, view)| view.until_ms > now_ms);
    let items = running.map(|(application, view)| CountedView {
        view: view.id.to_string(),
        asset: view.asset.to_string(),
        title: title(&state, &caller, view.asset),
        application: application.to_string(),
        started_ms: view.started_ms,
        expires_ms: view.until_ms,
    });
    ok(&CountedViews { items: items.collect() })
}

fn title(state: &State, caller: &Caller, asset: AssetId) -> Option<String> {
    caller.may(state, Action::SeeAsset, Target::Asset(asset)).ok()?;
    state.asset(asset).map(|asset| asset.title.clone())
}

/// Ends a View of your own that is counted: whoever plays it is given nothing more.
#[utoipa::path(delete, path = "/views/{view}", tag = "watching", params(("view" = String, Path)),
    responses((status = 204, description = "Over"), (status = 404, body = crate::problem::ProblemBody)))]
pub async fn view_end(caller: Caller, view: Path<ViewId>) -> Result<HttpResponse, Problem> {
    caller.signed_in()?;
    let state = caller.state();
    let found = own_views(&state, &caller).find(|(_, running)| running.id == *view);
    let (application, _) = found.ok_or(Refusal::NotFound(Noun::View))?;
    caller.propose(ViewCommand::End { view: *view, application }).await?;
    Ok(done())
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
    let state = caller.state();
    cluster::permission::may_watch(&state, &claims.watching(), now_ms)?;
    let application = state.asset(claims.asset).and_then(|asset| state.application(asset.application));
    media
        .outage
        .may_go_on(claims.started_ms, || application.map_or(0, |found| found.policy.offline_grace_ms))?;
    claims.expires_ms = now_ms + claims.carrier.lifetime_ms();
    let counted = limited_in(&state, claims.asset).is_some();
    if counted {
        let ViewClaims { view, asset, expires_ms, .. } = claims;
        caller.propose(ViewCommand::Prolong { view, asset, until_ms: expires_ms }).await?;
    }
    answer(&media, &claims, counted, HttpResponse::Ok())
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
        details: [("view".to_owned(), claims.view.to_string())].into(),
    };
    Ok(media.outage.record_start(caller.actor.clone(), command).await?)
}

fn answer(
    media: &Media,
    claims: &ViewClaims,
    counted: bool,
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
    let (view, expires_ms) = (claims.view.to_string(), claims.expires_ms);
    Ok(answer.json(StartedView { view, playlist_url, expires_ms, renewal, counted }))
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
