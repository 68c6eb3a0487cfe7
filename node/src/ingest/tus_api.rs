//! The tus 1.0 operations: create, ask, go on, give up, options.

use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::StatusCode};
use cluster::id::{ApplicationId, AssetId};
use cluster::permission::{Action, Target};

use super::body::{self, Ended};
use super::finish::finish;
use super::tus::{self, Checksum, HeaderError, Length};
use super::uploads::{EXPIRES_AFTER, Hold, UploadError};
use crate::access::Caller;
use crate::api::forms;
use crate::media::Media;
use crate::problem::Problem;
use crate::routes::API_PREFIX;

/// How often, and how far apart, an upload that is being finished is looked at before its client is told.
const FINISH_LOOKS: u32 = 50;
const FINISH_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// What tus says of this server.
#[utoipa::path(options, path = "/uploads", tag = "uploads", security(()),
    responses((status = 204, description = "Version, extensions, largest upload and checksum algorithms, as headers")))]
pub async fn upload_options() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header(("Tus-Resumable", tus::VERSION))
        .insert_header(("Tus-Version", tus::VERSION))
        .insert_header(("Tus-Extension", tus::EXTENSIONS))
        .insert_header(("Tus-Max-Size", tus::MAX_SIZE.to_string()))
        .insert_header(("Tus-Checksum-Algorithm", tus::ALGORITHMS))
        .finish()
}

/// Begins an upload (tus creation, creation-with-upload, creation-defer-length).
///
/// `Upload-Metadata` may name `filename`, `title`, `filetype` and `application`; the last may be left out by whoever
/// belongs to one application only. The answer's `Location` ends in the id of the new asset.
#[utoipa::path(post, path = "/uploads", tag = "uploads",
    params(("Tus-Resumable" = forms::TusVersion, Header), ("Upload-Length" = Option<forms::FileLength>, Header),
        ("Upload-Defer-Length" = Option<String>, Header, pattern = "^1$", description = "Instead of `Upload-Length`"),
        ("Upload-Metadata" = Option<String>, Header, max_length = 8192, description = "Keys and base64 values")),
    responses((status = 201, description = "Begun; `Location` is where to go on"),
        (status = 400, body = crate::problem::ProblemBody, description = "A header is missing or wrong"),
        (status = 413, body = crate::problem::ProblemBody, description = "Larger than this server takes"),
        (status = 507, body = crate::problem::ProblemBody, description = "No room")))]
pub async fn upload_create(
    request: HttpRequest,
    caller: Caller,
    media: Data<Media>,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let headers = request.headers();
    speaks_tus(headers)?;
    let length = tus::length(header(headers, "upload-length")?, header(headers, "upload-defer-length")?)?;
    let metadata = tus::metadata(header(headers, "upload-metadata")?.unwrap_or_default())?;
    let application = application(&caller, metadata.application.as_deref())?;
    caller.may(&caller.state(), Action::CreateAsset, Target::Application(application))?;
    let with_upload = header(headers, "content-type")? == Some(tus::OFFSET_OCTET_STREAM);
    let announced = body_length(headers)?;
    if let (Length::Known(length), Some(announced), true) = (length, announced, with_upload)
        && announced > length
    {
        return Err(UploadError::TooLong { length }.into());
    }
    let asset = media.uploads.create(&caller.actor, application, metadata, length, None).await?;
    media.watch_front(asset.id);
    let mut offset = 0;
    if with_upload && announced != Some(0) {
        let hold = media.uploads.hold(asset.id).await?;
        offset = go_on(&media, &caller, hold, headers, &mut payload).await?;
    }
    Ok(answer(StatusCode::CREATED)
        .insert_header(("Location", format!("{API_PREFIX}/uploads/{}", asset.id)))
        .insert_header(("Upload-Offset", offset.to_string()))
        .finish())
}

/// Where an upload stands.
#[utoipa::path(head, path = "/uploads/{asset}", tag = "uploads",
    params(("asset" = String, Path), ("Tus-Resumable" = forms::TusVersion, Header)),
    responses((status = 200, description = "`Upload-Offset` bytes are kept"),
        (status = 404, description = "No such upload"), (status = 410, description = "Complete")))]
pub async fn upload_head(
    request: HttpRequest,
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    speaks_tus(request.headers())?;
    caller.may(&caller.state(), Action::CreateAsset, Target::Asset(*asset))?;
    if let Some(length) = complete_length(&media, *asset) {
        return Ok(standing(length, Some(length)));
    }
    match media.uploads.hold_after_letting_go(*asset).await {
        Ok(hold) => Ok(standing(hold.offset().await?, hold.length())),
        // Complete, or about to be (sealed before a kill, and being finished now): the client must hear that nothing is
        // missing, not that the upload is gone.
        Err(UploadError::Complete) => {
            let length = finished_length(&media, *asset).await.ok_or(UploadError::Complete)?;
            Ok(standing(length, Some(length)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Goes on with an upload at `Upload-Offset`.
#[utoipa::path(patch, path = "/uploads/{asset}", tag = "uploads",
    params(("asset" = String, Path), ("Tus-Resumable" = forms::TusVersion, Header),
        ("Upload-Offset" = forms::FileOffset, Header), ("Upload-Length" = Option<forms::FileLength>, Header),
        ("Upload-Checksum" = Option<String>, Header, description = "An algorithm and a base64 digest")),
    request_body(content = forms::Piece, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "Kept; `Upload-Offset` says how much there is"),
        (status = 409, body = crate::problem::ProblemBody, description = "The upload stands elsewhere"),
        (status = 423, body = crate::problem::ProblemBody, description = "Another request is writing"),
        (status = 460, body = crate::problem::ProblemBody, description = "The checksum does not fit")))]
pub async fn upload_patch(
    request: HttpRequest,
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let headers = request.headers();
    speaks_tus(headers)?;
    if header(headers, "content-type")? != Some(tus::OFFSET_OCTET_STREAM) {
        return Err(HeaderError::ContentType.into());
    }
    let text = header(headers, "upload-offset")?.ok_or(HeaderError::Missing("Upload-Offset"))?;
    let from = tus::number("Upload-Offset", text)?;
    caller.may(&caller.state(), Action::CreateAsset, Target::Asset(*asset))?;
    let mut hold = media.uploads.hold(*asset).await?;
    if let Some(text) = header(headers, "upload-length")? {
        hold.tell_length(tus::number("Upload-Length", text)?).await?;
    }
    let at = hold.offset().await?;
    if from != at {
        return Err(UploadError::WrongOffset { at }.into());
    }
    let offset = go_on(&media, &caller, hold, headers, &mut payload).await?;
    Ok(answer(StatusCode::NO_CONTENT).insert_header(("Upload-Offset", offset.to_string())).finish())
}

/// Gives an upload up; nothing of it stays.
#[utoipa::path(delete, path = "/uploads/{asset}", tag = "uploads",
    params(("asset" = String, Path), ("Tus-Resumable" = forms::TusVersion, Header)),
    responses((status = 204, description = "Gone"), (status = 404, description = "No such upload")))]
pub async fn upload_delete(
    request: HttpRequest,
    caller: Caller,
    media: Data<Media>,
    asset: Path<AssetId>,
) -> Result<HttpResponse, Problem> {
    speaks_tus(request.headers())?;
    caller.may(&caller.state(), Action::AbandonUpload, Target::Asset(*asset))?;
    let hold = media.uploads.hold_after_letting_go(*asset).await?;
    media.uploads.abandon(&caller.actor, hold.asset.id).await?;
    Ok(answer(StatusCode::NO_CONTENT).finish())
}

/// Writes the body where the upload stands, and ends the upload when that was all of it. Gives the new offset.
async fn go_on(
    media: &Data<Media>,
    caller: &Caller,
    hold: Hold,
    headers: &HeaderMap,
    payload: &mut Payload,
) -> Result<u64, Problem> {
    let at = hold.offset().await?;
    let room = hold.length().map(|length| length.saturating_sub(at));
    if let (Some(room), Some(announced)) = (room, body_length(headers)?)
        && announced > room
    {
        return Err(UploadError::TooLong { length: at + room }.into());
    }
    let checksum = header(headers, "upload-checksum")?.map(Checksum::parse).transpose()?;
    let let_go = hold.let_go.clone();
    let writer = &hold.open()?.writer;
    let ended = match &checksum {
        Some(checksum) => body::pour_checked(payload, writer, room, checksum, &media.checked).await?,
        None => body::pour(payload, writer, room, &let_go).await?,
    };
    let arrived = writer.length();
    if hold.length() == Some(arrived) {
        // Sealing makes all of it durable, and only then is it answered for.
        finish(&media.uploads, caller.actor.clone(), hold).await?;
        media.jobs.look();
        return Ok(arrived);
    }
    let offset = hold.offset().await?;
    if ended == Ended::Cut { Err(UploadError::Cut.into()) } else { Ok(offset) }
}

/// The length of an upload whose last byte is here, once it is finished.
async fn finished_length(media: &Media, asset: AssetId) -> Option<u64> {
    for _ in 0..FINISH_LOOKS {
        if let Some(length) = complete_length(media, asset) {
            return Some(length);
        }
        tokio::time::sleep(FINISH_PAUSE).await;
    }
    complete_length(media, asset)
}

/// The length of an upload that is over, for a client that did not hear the last answer.
fn complete_length(media: &Media, asset: AssetId) -> Option<u64> {
    media.store.asset(asset).ok().and_then(|asset| asset.length)
}

fn standing(offset: u64, length: Option<u64>) -> HttpResponse {
    let mut answer = answer(StatusCode::OK);
    answer.insert_header(("Upload-Offset", offset.to_string()));
    match length {
        Some(length) => answer.insert_header(("Upload-Length", length.to_string())),
        None => answer.insert_header(("Upload-Defer-Length", "1")),
    };
    answer.insert_header(("Cache-Control", "no-store")).finish()
}

fn answer(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer.insert_header(("Tus-Resumable", tus::VERSION));
    let expires = std::time::SystemTime::now() + EXPIRES_AFTER;
    answer.insert_header(("Upload-Expires", actix_web::http::header::HttpDate::from(expires).to_string()));
    answer
}

fn speaks_tus(headers: &HeaderMap) -> Result<(), HeaderError> {
    if header(headers, "tus-resumable")? == Some(tus::VERSION) { Ok(()) } else { Err(HeaderError::Version) }
}

fn body_length(headers: &HeaderMap) -> Result<Option<u64>, HeaderError> {
    header(headers, "content-length")?.map(|text| tus::number("Content-Length", text)).transpose()
}

/// The one value of a header. Two values are two opinions, and neither is believed.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, HeaderError> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(HeaderError::Twice(name));
    }
    value.to_str().map(Some).map_err(|_| HeaderError::Metadata("a header is not plain text"))
}

/// The application that is named, or the only one the caller belongs to.
fn application(caller: &Caller, named: Option<&str>) -> Result<ApplicationId, Problem> {
    if let Some(text) = named {
        return text.parse().map_err(|_| Problem::not_found());
    }
    caller.signed_in()?;
    match caller.applications(&caller.state()).as_slice() {
        [only] => Ok(*only),
        _ => Err(Problem::invalid(
            "application_missing",
            "Name the application to upload to in Upload-Metadata: `application <base64 of its id>`.",
        )),
    }
}
