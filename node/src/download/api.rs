//! Making and using download links.

use actix_web::body::SizedStream;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use cluster::actor::Actor;
use cluster::command::AuditCommand;
use cluster::id::AssetId;
use cluster::permission::{Action, Target, check};
use cluster::state::Asset;
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Content;
use super::claims::{Admission, Client, DownloadClaims, LINK_LIFETIME_MS, What};
use super::name::{content_disposition, with_extension};
use crate::access::{Caller, address};
use crate::answer::RequestId;
use crate::api::body::Body;
use crate::media::Media;
use crate::play::range::{self, Part};
use crate::problem::Problem;

const COOKIE: &str = "__Secure-download";

/// What to download.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedDownload {
    /// `original`, or the name of a rendition such as `v720`.
    #[schema(pattern = "^(original|[asv](0|[1-9][0-9]{0,4}))$")]
    pub what: String,
}

/// A link for one client.
#[derive(Debug, Serialize, ToSchema)]
pub struct DownloadLink {
    /// Where to get it, once.
    pub url: String,
    /// Until when it must have been begun.
    pub expires_ms: u64,
}

/// Makes a link that the first client to use it keeps to itself.
#[utoipa::path(post, path = "/assets/{asset}/downloads", tag = "downloads", params(("asset" = String, Path)),
    request_body = WantedDownload,
    responses((status = 201, body = DownloadLink, description = "The link"),
        (status = 403, body = crate::problem::ProblemBody, description = "Not for you"),
        (status = 404, body = crate::problem::ProblemBody, description = "No such asset or rendition")))]
pub async fn download_create(
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    wanted: Body<WantedDownload>,
) -> Result<HttpResponse, Problem> {
    caller.signed_in()?;
    let what = match wanted.0.what.as_str() {
        "original" => What::Original,
        name => What::Rendition(name.parse().map_err(|_| {
            Problem::invalid("bad_rendition", "Ask for `original` or for a rendition such as `v720`.")
        })?),
    };
    let state = caller.state();
    caller.may(&state, action(what), Target::Asset(*asset))?;
    let record = media.store.asset(*asset)?;
    content(&media, &record, what).await?;
    let expires_ms = media.store.cluster().now_ms() + LINK_LIFETIME_MS;
    let (download, life) = (rand::random(), media.downloads.life());
    let claims = DownloadClaims { download, life, asset: *asset, what, who: caller.actor.kind, expires_ms };
    let token = media.tokens.sign(&claims).map_err(Problem::internal)?;
    Ok(HttpResponse::Created().json(DownloadLink { url: format!("/download/{token}"), expires_ms }))
}

/// Downloads. The first client to ask is the only one; its further ranges go on.
#[utoipa::path(get, path = "/download/{token}", tag = "downloads", security(()), params(("token" = String, Path)),
    responses((status = 200, description = "The file"), (status = 206, description = "A range of it"),
        (status = 403, body = crate::problem::ProblemBody, description = "Another client has it, or it is over")))]
pub async fn download_file(
    request: HttpRequest,
    media: Data<Media>,
    token: Path<String>,
) -> Result<HttpResponse, Problem> {
    let refused =
        || Problem::forbidden("download_not_valid", "This link is not valid (any more); make a new one.");
    let claims: DownloadClaims = media.tokens.verify(&token).map_err(|_| refused())?;
    let cluster = media.store.cluster();
    let (state, now_ms) = (cluster.state(), cluster.now_ms());
    let actor = Actor { kind: claims.who, address: address(&request), request_id: RequestId::of(&request) };
    check(&state, &actor, action(claims.what), Target::Asset(claims.asset), now_ms)?;
    let asset = media.store.asset(claims.asset)?;
    let content = content(&media, &asset, claims.what).await?;
    let asked = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    let part = range::parse(asked, content.length());
    let client = client(&request, &part);
    let mut cookie = None;
    if request.method() == Method::HEAD {
        if !media.downloads.would_admit(&claims, &client, now_ms) {
            return Err(refused());
        }
    } else {
        match media.downloads.admit(&claims, &client, now_ms) {
            Admission::Known => {}
            Admission::Bound(secret) => {
                record(&media, actor, &claims, &asset).await?;
                cookie = Some(secret);
            }
            Admission::Refused => {
                return Err(Problem::forbidden(
                    "download_taken",
                    "Another client has begun this download; make a new link.",
                ));
            }
            Admission::Expired => return Err(refused()),
        }
    }
    let mut answer = answer(&asset, claims.what, content, part).await?;
    if let Some(secret) = cookie {
        let path = format!("/download/{}", token.as_str());
        let cookie = Cookie::build(COOKIE, secret).path(path).secure(true).http_only(true);
        let added = answer.add_cookie(&cookie.same_site(SameSite::Strict).finish());
        added.map_err(|error| Problem::internal(error.to_string()))?;
    }
    Ok(answer)
}

fn action(what: What) -> Action {
    match what {
        What::Original => Action::DownloadOriginal,
        What::Rendition(_) => Action::DownloadAsset,
    }
}

async fn content(media: &Media, asset: &Asset, what: What) -> Result<Content, Problem> {
    match what {
        What::Original if asset.length.is_some() => Ok(Content::original(&media.store, asset).await?),
        What::Original => Err(Problem::conflict("upload_not_complete", "The upload is not complete yet.")),
        What::Rendition(rendition) => {
            let found = Content::rendition(&media.store, &media.library, asset, rendition).await?;
            found.ok_or_else(Problem::not_found)
        }
    }
}

fn client(request: &HttpRequest, part: &Part) -> Client {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Client {
        address: address(request),
        user_agent: user_agent.unwrap_or_default().chars().take(200).collect(),
        cookie: request.cookie(COOKIE).map(|cookie| cookie.value().to_owned()),
        goes_on: matches!(part, Part::Range { start, .. } if *start > 0),
    }
}

async fn record(media: &Media, actor: Actor, claims: &DownloadClaims, asset: &Asset) -> Result<(), Problem> {
    let what = match claims.what {
        What::Original => "original".to_owned(),
        What::Rendition(rendition) => rendition.to_string(),
    };
    let command = AuditCommand::Record {
        action: "download.start".to_owned(),
        target: format!("asset:{}", asset.id),
        application: Some(asset.application),
        result: "ok".to_owned(),
        details: [("what".to_owned(), what)].into(),
    };
    media.store.cluster().propose(actor, command.into()).await?;
    Ok(())
}

/// The first piece is read before the answer begins: what cannot be read is then refused in words.
async fn answer(asset: &Asset, what: What, content: Content, part: Part) -> Result<HttpResponse, Problem> {
    let length = content.length();
    let (status, span) = match part {
        Part::Whole => (StatusCode::OK, 0..length),
        Part::Range { start, end } => (StatusCode::PARTIAL_CONTENT, start..end),
        Part::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    let name = match what {
        What::Original => asset.file_name.clone(),
        What::Rendition(rendition) => with_extension(&asset.file_name, &format!("{rendition}.mp4")),
    };
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((header::CONTENT_TYPE, media_type(what)))
        .insert_header((header::CONTENT_DISPOSITION, content_disposition(&name)))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::ETAG, etag(asset, what)));
    match part {
        Part::Range { start, end } => {
            answer.insert_header((header::CONTENT_RANGE, format!("bytes {start}-{}/{length}", end - 1)));
        }
        Part::Unsatisfiable => {
            answer.insert_header((header::CONTENT_RANGE, format!("bytes */{length}")));
        }
        Part::Whole => {}
    }
    let length = span.end - span.start;
    let mut pieces = content.stream(span);
    let first = pieces.next().await.transpose()?;
    Ok(answer.body(SizedStream::new(length, stream::iter(first.map(Ok)).chain(pieces))))
}

/// What an uploaded file claims to be is not repeated: nothing a browser would run comes from here.
fn media_type(what: What) -> &'static str {
    match what {
        What::Original => "application/octet-stream",
        What::Rendition(_) => "video/mp4",
    }
}

fn etag(asset: &Asset, what: What) -> String {
    let which = match what {
        What::Original => asset.original,
        What::Rendition(_) => asset.manifest.map_or(asset.original, |manifest| manifest.blob),
    };
    format!("\"{which}\"")
}
