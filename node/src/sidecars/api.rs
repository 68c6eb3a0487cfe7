//! The operations on posters, storyboards, waveforms and captions.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use cluster::id::{AssetId, BlobId};
use cluster::permission::{Action, Target};
use cluster::state::Asset;
use pipeline::vtt::{Document, MAX_BYTES, Markup};

use super::change;
use crate::access::Caller;
use crate::api::body::collect;
use crate::api::forms;
use crate::app::App;
use crate::manifest::{Sidecars, TextTrack};
use crate::media::Media;
use crate::problem::Problem;

/// The largest picture taken as a poster.
const LARGEST_POSTER: usize = 5 * 1024 * 1024;
/// The largest sidecar the pipeline makes.
const LARGEST_SIDECAR: u64 = 16 * 1024 * 1024;

/// The still picture that stands for the video.
#[utoipa::path(get, path = "/assets/{asset}/poster", tag = "assets", params(("asset" = String, Path)),
    responses((status = 200, description = "JPEG or PNG"), (status = 404, description = "None yet")))]
pub async fn poster_show(
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let record = visible(&caller, &media, *asset)?;
    let blob = record.poster.ok_or_else(Problem::not_found)?;
    let bytes = load(&media, &record, blob).await?;
    let kind = picture_type(&bytes).unwrap_or("application/octet-stream");
    Ok(shown(&request, blob, kind, bytes))
}

/// Chooses the still picture: the body is a JPEG or PNG of at most 5 MiB.
#[utoipa::path(put, path = "/assets/{asset}/poster", tag = "assets", params(("asset" = String, Path)),
    request_body(content((forms::Binary = "image/jpeg"), (forms::Binary = "image/png"))),
    responses((status = 204, description = "Chosen"),
        (status = 413, body = crate::problem::ProblemBody, description = "Too large"),
        (status = 415, body = crate::problem::ProblemBody, description = "No JPEG and no PNG")))]
pub async fn poster_set(
    app: Data<App>,
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::SetAssetMedia, Target::Asset(*asset))?;
    let picture = small_body(&app, payload, LARGEST_POSTER).await?;
    if picture_type(&picture).is_none() {
        return Err(Problem::unsupported_media_type("image/jpeg or image/png"));
    }
    change::set_poster(&media, &caller.actor, *asset, picture).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The sheet of small pictures for seeking.
#[utoipa::path(get, path = "/assets/{asset}/storyboard.jpg", tag = "assets", params(("asset" = String, Path)),
    responses((status = 200, description = "JPEG"), (status = 404, description = "None yet")))]
pub async fn storyboard_show(
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    sidecar(&caller, &media, *asset, &request, "image/jpeg", |all| all.storyboard.map(|one| one.blob)).await
}

/// Which part of the sheet belongs to which time (WebVTT).
#[utoipa::path(get, path = "/assets/{asset}/storyboard.vtt", tag = "assets", params(("asset" = String, Path)),
    responses((status = 200, description = "WebVTT"), (status = 404, description = "None yet")))]
pub async fn storyboard_index(
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let kind = "text/vtt; charset=utf-8";
    sidecar(&caller, &media, *asset, &request, kind, |all| all.storyboard_vtt.map(|one| one.blob)).await
}

/// Loudness over time (JSON).
#[utoipa::path(get, path = "/assets/{asset}/waveform", tag = "assets", params(("asset" = String, Path)),
    responses((status = 200, description = "JSON"), (status = 404, description = "None yet")))]
pub async fn waveform_show(
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    sidecar(&caller, &media, *asset, &request, "application/json", |all| all.waveform.map(|one| one.blob))
        .await
}

/// Captions as a whole (WebVTT): those people put in by their language, those found in the file by their id, such as `s0`.
#[utoipa::path(get, path = "/assets/{asset}/captions/{language}", tag = "assets",
    params(("asset" = String, Path), ("language" = String, Path, description = "The `id` that the asset's detail gives")),
    responses((status = 200, description = "WebVTT"), (status = 404, description = "There are none")))]
pub async fn captions_show(
    caller: Caller,
    media: Data<Media>,
    path: Path<(AssetId, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asset, wanted) = path.into_inner();
    let record = visible(&caller, &media, asset)?;
    caller.may(&caller.state(), Action::SeeAssetDetail, Target::Asset(asset))?;
    caller.may(&caller.state(), Action::SeeContent, Target::Asset(asset))?;
    let is_wanted = |track: &TextTrack| track.rendition.id == wanted;
    let found = match media.library.manifest(&record).await? {
        Some(manifest) => {
            manifest.captions.iter().chain(&manifest.subtitles).find(|track| is_wanted(track)).cloned()
        }
        None => change::loose_captions(&record).find(is_wanted),
    };
    let blob = found.ok_or_else(Problem::not_found)?.stored.blob;
    let bytes = load(&media, &record, blob).await?;
    Ok(shown(&request, blob, "text/vtt; charset=utf-8", bytes))
}

/// Puts captions of one language in: the body is WebVTT. What is not plain WebVTT is refused.
#[utoipa::path(put, path = "/assets/{asset}/captions/{language}", tag = "assets",
    params(("asset" = String, Path), ("language" = forms::Language, Path, description = "BCP 47, such as `de`")),
    request_body(content = String, content_type = "text/vtt"),
    responses((status = 204, description = "Kept"),
        (status = 400, body = crate::problem::ProblemBody, description = "Not WebVTT that is taken")))]
pub async fn captions_set(
    app: Data<App>,
    caller: Caller,
    media: Data<Media>,
    path: Path<(AssetId, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (asset, language) = path.into_inner();
    let language = language_of(&language)?;
    caller.may(&caller.state(), Action::SetAssetMedia, Target::Asset(asset))?;
    let text = small_body(&app, payload, MAX_BYTES).await?;
    let document = Document::parse(&text, Markup::Refuse)
        .map_err(|error| Problem::invalid(error.code(), error.to_string()))?;
    let clean = Bytes::from(document.to_string());
    change::set_captions(&media, &caller.actor, asset, &language, Some(clean)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes captions of one language out.
#[utoipa::path(delete, path = "/assets/{asset}/captions/{language}", tag = "assets",
    params(("asset" = String, Path), ("language" = forms::Language, Path)),
    responses((status = 204, description = "Gone"), (status = 404, description = "There were none")))]
pub async fn captions_delete(
    caller: Caller,
    media: Data<Media>,
    path: Path<(AssetId, String)>,
) -> Result<HttpResponse, Problem> {
    let (asset, language) = path.into_inner();
    let language = language_of(&language)?;
    caller.may(&caller.state(), Action::SetAssetMedia, Target::Asset(asset))?;
    match change::set_captions(&media, &caller.actor, asset, &language, None).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::not_found()),
    }
}

fn language_of(text: &str) -> Result<String, Problem> {
    pipeline::playlist::language_tag(text).ok_or_else(|| {
        Problem::invalid("bad_language", "Name the language as BCP 47 does, such as `de` or `pt-BR`.")
    })
}

fn visible(caller: &Caller, media: &Media, asset: AssetId) -> Result<std::sync::Arc<Asset>, Problem> {
    caller.signed_in()?;
    caller.may(&caller.state(), Action::SeeAsset, Target::Asset(asset))?;
    Ok(media.store.asset(asset)?)
}

async fn sidecar(
    caller: &Caller,
    media: &Media,
    asset: AssetId,
    request: &HttpRequest,
    kind: &'static str,
    pick: impl Fn(&Sidecars) -> Option<BlobId>,
) -> Result<HttpResponse, Problem> {
    let record = visible(caller, media, asset)?;
    let manifest = media.library.manifest(&record).await?.ok_or_else(Problem::not_found)?;
    let blob = pick(&manifest.sidecars).ok_or_else(Problem::not_found)?;
    let bytes = load(media, &record, blob).await?;
    Ok(shown(request, blob, kind, bytes))
}

async fn load(media: &Media, asset: &Asset, blob: BlobId) -> Result<Bytes, Problem> {
    Ok(media.library.small(asset, blob, LARGEST_SIDECAR).await?)
}

/// Private to the browser and asked for again each time, so that whoever may not see it any more does not.
fn shown(request: &HttpRequest, blob: BlobId, kind: &'static str, bytes: Bytes) -> HttpResponse {
    let tag = format!("\"{blob}\"");
    let known =
        request.headers().get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((header::ETAG, tag));
    answer.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if known {
        return answer.finish();
    }
    answer.insert_header((header::CONTENT_TYPE, kind)).body(bytes)
}

async fn small_body(app: &App, payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let longest = Duration::from_secs(app.config.limits.body_seconds);
    collect(payload, limit, longest).await.map(BytesMut::freeze)
}

/// By the first bytes, whatever the sender calls it.
fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        _ => None,
    }
}
