//! `curl -T`: a whole file in one request. It cannot be resumed, so a request that fails leaves nothing. What is small is
//! taken into memory first ([`small`]).

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use cluster::actor::Actor;
use cluster::id::{ApplicationId, AssetId};
use cluster::permission::{Action, Target};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{self, Ended};
use super::finish::finish;
use super::small;
use super::tus::{self, HeaderError, Length, Metadata};
use super::tus_api::header;
use super::uploads::{Hold, UploadError, UploadMark, Uploads};
use crate::access::Caller;
use crate::api::forms;
use crate::media::Media;
use crate::problem::Problem;

/// The asset a file became.
#[derive(Debug, Serialize, ToSchema)]
pub struct Uploaded {
    /// Its id.
    #[schema(value_type = String)]
    pub asset: AssetId,
}

/// Uploads one file in one request, as `curl -T FILE` sends it; the length may be unknown.
#[utoipa::path(put, path = "/applications/{application}/files/{name}", tag = "uploads",
    params(("application" = String, Path), ("name" = forms::FileName, Path, description = "The file's name")),
    request_body(content = forms::Binary, content_type = "application/octet-stream"),
    responses((status = 201, body = Uploaded, description = "Kept; processing begins"),
        (status = 400, body = crate::problem::ProblemBody, description = "Empty, cut off, or a name that is none"),
        (status = 507, body = crate::problem::ProblemBody, description = "No room")))]
pub async fn upload_file(
    request: HttpRequest,
    caller: Caller,
    media: Data<Media>,
    path: Path<(ApplicationId, String)>,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (application, name) = path.into_inner();
    let headers = request.headers();
    let length = match header(headers, "content-length")? {
        Some(text) => tus::length(Some(text), None)?,
        None => Length::Deferred,
    };
    caller.may(&caller.state(), Action::CreateAsset, Target::Application(application))?;
    let metadata = Metadata {
        file_name: Some(tus::file_name(&name)?),
        media_type: header(headers, "content-type")?.and_then(tus::media_type),
        ..Metadata::default()
    };
    if let Length::Known(length) = length
        && let Some(file) = small::take(&mut payload, length, &media.uploads, &media.small).await?
    {
        if file.is_empty() {
            return Err(HeaderError::Empty.into());
        }
        let asset = small::put(&media.uploads, &caller.actor, application, metadata, file).await?;
        return Ok(kept(&media, asset));
    }
    let mark = Some(UploadMark::OneShot);
    let asset = media.uploads.create(&caller.actor, application, metadata, length, mark).await?;
    // From here on, whatever happens to this request, the asset becomes whole or goes away.
    let guard = Unfinished { uploads: media.uploads.clone(), asset: Some(asset.id) };
    media.watch_front(asset.id);
    let hold = media.uploads.hold(asset.id).await?;
    take_all(&media, &caller.actor, hold, &mut payload).await?;
    guard.keep();
    Ok(kept(&media, asset.id))
}

fn kept(media: &Media, asset: AssetId) -> HttpResponse {
    media.jobs.look();
    HttpResponse::Created()
        .insert_header(("Location", format!("{}/assets/{asset}", crate::routes::API_PREFIX)))
        .json(Uploaded { asset })
}

async fn take_all(media: &Media, actor: &Actor, hold: Hold, payload: &mut Payload) -> Result<(), Problem> {
    let declared = hold.length();
    let let_go = hold.let_go.clone();
    let ended = body::pour(payload, &hold.open()?.writer, declared, &let_go).await?;
    // Handed in, that is: sealing makes all of it durable before anybody hears of it.
    let arrived = hold.open()?.writer.length();
    if ended == Ended::Cut || declared.is_some_and(|declared| declared != arrived) {
        return Err(UploadError::Cut.into());
    }
    if arrived == 0 {
        return Err(HeaderError::Empty.into());
    }
    finish(&media.uploads, actor.clone(), hold).await?;
    Ok(())
}

/// Gives the upload up when dropped before it was kept: also when the client is gone and nobody waits for an answer.
struct Unfinished {
    uploads: Uploads,
    asset: Option<AssetId>,
}

impl Unfinished {
    fn keep(mut self) {
        self.asset = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(asset) = self.asset.take() else { return };
        let uploads = self.uploads.clone();
        tokio::spawn(async move {
            let node = uploads.store().node();
            if let Err(error) = uploads.abandon(&node, asset).await {
                // The tender tries again.
                tracing::warn!(%asset, %error, "an upload that failed could not be given up yet");
            }
        });
    }
}
