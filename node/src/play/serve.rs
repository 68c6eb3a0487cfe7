//! `/play/<asset or token>/...`: playlists, keys and ciphertext, each after the View was checked again.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use cluster::actor::ActorKind;
use cluster::id::{AssetId, NodeId};
use cluster::state::Asset;
use cluster::transfer::Served;

use super::files::{self, File, Kind};
use super::pieces::Pieces;
use super::presentation::names;
use super::range::{self, Part};
use super::steering::{self, Names, Route, SteeringManifest};
use super::view::{self, Presented, ViewClaims, ViewError};
use super::views_api::VIEW_COOKIE;
use crate::access::{Caller, address, allowed_origin, node_origin};
use crate::app::App;
use crate::media::Media;
use crate::problem::Problem;
use crate::token::{TokenError, looks_like_token};

/// In the query of a main playlist's address: the node that sent the viewer here.
const SENT_BY: &str = "sent_by=";

/// Plays: playlists, keys, segments and subtitles of a running View.
///
/// `view` is the asset's id, with the View in the cookie, or the View's token itself.
#[utoipa::path(get, path = "/play/{view}/{file}", tag = "watching", security(()),
    params(("view" = String, Path), ("file" = String, Path, description = "`main.m3u8` and what it names")),
    responses((status = 200, description = "The playlist, key, header, segment or subtitles"),
        (status = 206, description = "A range of it"),
        (status = 307, description = "The main playlist is to be had at a nearer site"),
        (status = 401, body = crate::problem::ProblemBody, description = "No View, or an expired one: renew it"),
        (status = 403, body = crate::problem::ProblemBody, description = "The View is over"),
        (status = 404, body = crate::problem::ProblemBody, description = "Not there")))]
pub async fn play_file(
    request: HttpRequest,
    app: Data<App>,
    media: Data<Media>,
    caller: Result<Caller, Problem>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (view, file) = path.into_inner();
    let in_path = looks_like_token(&view);
    let (asset, claims) = admitted(&request, &media, caller, &view)?;
    let file = File::parse(&file).ok_or_else(Problem::not_found)?;
    // A cookie is for this node alone; a token in the path is good on every node.
    let guided = in_path && matches!(file, File::Main | File::Steering);
    let guide = guided.then(|| Guide::new(&request, &media, &claims));
    let mut answer = match guide.as_ref().filter(|_| file == File::Main).and_then(Guide::elsewhere) {
        Some(address) => redirect(&request, &media, &view, address),
        None => {
            let guide = guide.as_ref().filter(|guide| guide.has_choice());
            let served = file.kind().cacheable().then(|| app.cluster.bytes().viewers().serve());
            let body = match guide.filter(|_| file == File::Steering) {
                Some(guide) => Some(guide.manifest(&view, &names(&media.library, &asset).await?).to_json()),
                None => files::load(&media.library, &media.store, &asset, &file, guide.is_some()).await?,
            };
            ranged(&request, file.kind(), body.ok_or_else(Problem::not_found)?, served)
        }
    };
    if in_path {
        share(&request, &app, &mut answer);
    }
    Ok(answer)
}

/// Where one viewer may play from, as this node sees it.
pub(crate) struct Guide {
    route: Route,
    own_site: String,
    /// Another node has sent the viewer here: whoever is sent on is sent once.
    was_sent: bool,
}

impl Guide {
    fn new(request: &HttpRequest, media: &Media, claims: &ViewClaims) -> Self {
        let me = media.store.cluster().node_id();
        let was_sent = request.query_string().starts_with(SENT_BY);
        Self { was_sent, ..Self::seen_from(media, claims, address(request), me) }
    }

    /// As the edge `edge` sees it, for the viewer at `client`. Whoever is at an edge is sent nowhere else.
    pub(crate) fn at_edge(media: &Media, claims: &ViewClaims, client: Option<IpAddr>, edge: NodeId) -> Self {
        Self { was_sent: true, ..Self::seen_from(media, claims, client, edge) }
    }

    fn seen_from(media: &Media, claims: &ViewClaims, client: Option<IpAddr>, me: NodeId) -> Self {
        let cluster = media.store.cluster();
        let state = cluster.state();
        let places = steering::places(cluster, &media.edges, claims.asset, me);
        let spread = u64::from_le_bytes(claims.view.0[..8].try_into().expect("eight of sixteen bytes"));
        let node = state.node(me).map(|node| node.site.clone());
        let site = node.or_else(|| state.edge(me).map(|edge| edge.site.clone()));
        Self {
            route: Route::choose(client, me, state.site_map(), &places, spread),
            own_site: site.unwrap_or_default(),
            was_sent: false,
        }
    }

    fn elsewhere(&self) -> Option<&str> {
        self.route.elsewhere(&self.own_site).filter(|_| !self.was_sent).map(|place| place.address.as_str())
    }

    /// There is more than one site to play from.
    pub(crate) fn has_choice(&self) -> bool {
        self.route.places.len() > 1
    }

    pub(crate) fn manifest(&self, view: &str, names: &Names) -> SteeringManifest {
        self.route.manifest(&self.own_site, view, names)
    }
}

/// Sends a viewer to the node at `address` that is nearer.
fn redirect(request: &HttpRequest, media: &Media, view: &str, address: &str) -> HttpResponse {
    let sender = media.store.cluster().node_id();
    tracing::debug!(to = address, "a viewer is sent to a nearer site");
    debug_assert!(request.path().ends_with("main.m3u8"));
    HttpResponse::TemporaryRedirect()
        .insert_header((
            header::LOCATION,
            format!("https://{address}/play/{view}/main.m3u8?{SENT_BY}{sender}"),
        ))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// What a page of an allowed origin may ask of a capability path.
#[utoipa::path(options, path = "/play/{view}/{file}", tag = "watching", security(()),
    params(("view" = String, Path), ("file" = String, Path)),
    responses((status = 204, description = "Allowed, when the answer says so")))]
pub async fn play_options(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let mut answer = HttpResponse::NoContent().finish();
    share(&request, &app, &mut answer);
    allow_reading(&mut answer);
    answer
}

/// What a page may send, when the answer is shared with it.
pub(crate) fn allow_reading(answer: &mut HttpResponse) {
    if answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Range"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

/// The asset of a View that may go on now, and what its token says.
fn admitted(
    request: &HttpRequest,
    media: &Media,
    caller: Result<Caller, Problem>,
    view: &str,
) -> Result<(Arc<Asset>, ViewClaims), Problem> {
    let cluster = media.store.cluster();
    let state = cluster.state();
    let (token, presented) = if looks_like_token(view) {
        (view.to_owned(), Presented::InPath { address: address(request) })
    } else {
        let asset: AssetId = view.parse().map_err(|_| Problem::not_found())?;
        let caller = caller.map_or(ActorKind::Anonymous, |caller| caller.actor.kind);
        (view_cookie(request)?, Presented::InCookie { asset, caller })
    };
    let claims = media.tokens.verify(&token).map_err(ViewError::from)?;
    view::check(&claims, &state, cluster.now_ms(), presented)?;
    let asset = state.asset(claims.asset).cloned().ok_or_else(Problem::not_found)?;
    let grace_ms = || state.application(asset.application).map_or(0, |found| found.policy.offline_grace_ms);
    media.outage.may_go_on(claims.started_ms, grace_ms)?;
    Ok((asset, claims))
}

/// The one View cookie. Two of them are two opinions, and neither is believed.
fn view_cookie(request: &HttpRequest) -> Result<String, ViewError> {
    let mut found = None;
    for line in request.headers().get_all(header::COOKIE) {
        let line = line.to_str().map_err(|_| TokenError::Malformed)?;
        for pair in line.split(';').map(str::trim) {
            if let Some((VIEW_COOKIE, value)) = pair.split_once('=')
                && found.replace(value.to_owned()).is_some()
            {
                return Err(ViewError::Misused);
            }
        }
    }
    found.ok_or(ViewError::Missing)
}

/// `body` or the part of it that is asked for. Whoever copies in the background lets it pass, where it is counted by `served`.
pub(crate) fn ranged(request: &HttpRequest, kind: Kind, body: Bytes, served: Option<Served>) -> HttpResponse {
    let length = body.len() as u64;
    let asked = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    // A key or playlist is small and changes: it is given whole.
    let part = if kind.cacheable() { range::parse(asked, length) } else { Part::Whole };
    let (status, body, content_range) = match part {
        Part::Whole => (StatusCode::OK, body, None),
        Part::Range { start, end } => {
            let bounds = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            let slice = bounds.map_or_else(Bytes::new, |(start, end)| body.slice(start..end));
            (StatusCode::PARTIAL_CONTENT, slice, Some(format!("bytes {start}-{}/{length}", end - 1)))
        }
        Part::Unsatisfiable => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new(), Some(format!("bytes */{length}")))
        }
    };
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::CONTENT_TYPE, kind.media_type()));
    if kind.cacheable() {
        answer.insert_header((header::ACCEPT_RANGES, "bytes"));
        // Ciphertext: worthless without the key, which is never cached.
        answer.insert_header((header::CACHE_CONTROL, "private, max-age=86400, immutable"));
    } else {
        answer.insert_header((header::CACHE_CONTROL, "no-store"));
    }
    if let Some(range) = content_range {
        answer.insert_header((header::CONTENT_RANGE, range));
    }
    answer.body(Pieces::new(body, served))
}

/// CORS without credentials, for origins the operator allows and the consoles of the other nodes, and only where the path itself is the right.
fn share(request: &HttpRequest, app: &App, answer: &mut HttpResponse) {
    let origin = allowed_origin(request, &app.config).or_else(|| node_origin(request, &app.cluster.state()));
    share_with(origin, answer);
    debug_assert!(request.method() != Method::POST);
}

/// Lets a page of `origin` read the answer; of none, no page.
pub(crate) fn share_with(origin: Option<&str>, answer: &mut HttpResponse) {
    let headers = answer.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    let origin = origin.and_then(|origin| HeaderValue::from_str(origin).ok());
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Content-Length, Content-Range"),
        );
        let open = HeaderValue::from_static("cross-origin");
        headers.insert(header::HeaderName::from_static("cross-origin-resource-policy"), open);
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        let detail = error.to_string();
        match error {
            ViewError::Refused(refusal) => refusal.into(),
            ViewError::Expired => Self::new(StatusCode::UNAUTHORIZED, "view_expired", detail),
            ViewError::Missing => Self::new(StatusCode::UNAUTHORIZED, "view_missing", detail),
            ViewError::Token(_) | ViewError::Misused => Self::forbidden("view_not_valid", detail),
        }
    }
}
