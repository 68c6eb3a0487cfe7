//! One asset as players see it, complete or still growing: which renditions there are and where each one's bytes lie.

use std::sync::Arc;

use cluster::command::BlobKind;
use cluster::id::BlobId;
use cluster::state::{Asset, AssetState, BlobRecord};
use pipeline::playlist::{Growth, Multivariant, expected, multivariant};
use pipeline::tracks::{AudioRendition, RenditionId, SubtitleRendition, VideoRendition};

use super::library::Library;
use super::steering::Names;
use crate::asset_store::StoreError;
use crate::jobs::manifest_of::{audio_id, audio_rendition, video_rendition};
use crate::manifest::{Manifest, Plan};

/// Whether more segments will come.
pub fn growth(asset: &Asset) -> Growth {
    match asset.state {
        AssetState::Uploading | AssetState::Processing => Growth::Growing,
        // What failed or was cancelled grows no more: what there is of it ends there.
        AssetState::Ready | AssetState::Failed { .. } => Growth::Ended,
    }
}

/// The Blob of a rendition, by manifest or, while it grows, by State.
pub fn blob_of(asset: &Asset, manifest: Option<&Manifest>, rendition: RenditionId) -> Option<BlobId> {
    match manifest {
        Some(manifest) => {
            let video = manifest.video.iter().map(|track| (track.rendition.id, track.stored.blob));
            let audio = manifest.audio.iter().map(|track| (track.rendition.id, track.stored.blob));
            video.chain(audio).find(|(id, _)| *id == rendition).map(|(_, blob)| blob)
        }
        None => growing(asset, rendition).map(|record| record.id),
    }
}

fn growing(asset: &Asset, rendition: RenditionId) -> Option<&BlobRecord> {
    let label = rendition.to_string();
    let plays = |kind| matches!(kind, BlobKind::Rendition | BlobKind::Audio);
    asset.blobs.iter().find(|blob| plays(blob.kind) && blob.label == label)
}

/// The multivariant playlist, with the address of its steering manifest if players may go to other nodes; `None` while
/// nothing can be played.
pub async fn main_playlist(
    library: &Library,
    asset: &Asset,
    steering: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let Some((video, audio, subtitles)) = playable(library, asset).await? else { return Ok(None) };
    let (video, audio, subtitles) = (&video, &audio, &subtitles);
    Ok(Some(multivariant(&Multivariant { video, audio, subtitles, steering })))
}

/// The names that the multivariant playlist gives to its variants and renditions.
pub async fn names(library: &Library, asset: &Asset) -> Result<Names, StoreError> {
    let Some((video, audio, subtitles)) = playable(library, asset).await? else {
        return Ok(Names::default());
    };
    let sound = audio.iter().map(|track| track.id.to_string());
    Ok(Names {
        // Without pictures the sound is the variant.
        variants: if video.is_empty() {
            sound.clone().collect()
        } else {
            video.iter().map(|rung| rung.id.to_string()).collect()
        },
        audio: sound.collect(),
        subtitles: subtitles.into_iter().map(|track| track.id).collect(),
    })
}

/// What there is to play; `None` when there is nothing.
async fn playable(library: &Library, asset: &Asset) -> Result<Option<Renditions>, StoreError> {
    let (video, audio, subtitles) = match library.manifest(asset).await? {
        Some(manifest) => complete(&manifest),
        None => match library.plan(asset).await? {
            Some(plan) => so_far(library, asset, &plan).await?,
            None => return Ok(None),
        },
    };
    let some = !video.is_empty() || !audio.is_empty();
    Ok(some.then_some((video, audio, subtitles)))
}

type Renditions = (Vec<VideoRendition>, Vec<AudioRendition>, Vec<SubtitleRendition>);

fn complete(manifest: &Arc<Manifest>) -> Renditions {
    let video = manifest.video.iter().map(|track| track.rendition.clone()).collect();
    let audio = manifest.audio.iter().map(|track| track.rendition.clone()).collect();
    // What people uploaded stands before what was found.
    let text = manifest.captions.iter().chain(&manifest.subtitles);
    (video, audio, text.map(|track| track.rendition.clone()).collect())
}

async fn so_far(library: &Library, asset: &Asset, plan: &Plan) -> Result<Renditions, StoreError> {
    let mut video = Vec::new();
    for rung in &plan.rungs {
        let Some(record) = growing(asset, rung.id) else { continue };
        let stored = library.track(asset, record.id).await?.stored().await?;
        let Some(mut rendition) = video_rendition(rung, &stored) else { continue };
        rendition.bandwidth = expected(stored.segments(), rung.bitrate_kbps, rung.max_bitrate_kbps);
        video.push(rendition);
    }
    let mut audio = Vec::new();
    for track in &plan.probe.audio {
        let Some(record) = audio_id(track).and_then(|id| growing(asset, id)) else { continue };
        let stored = library.track(asset, record.id).await?.stored().await?;
        audio.extend(audio_rendition(plan, track, &stored));
    }
    Ok((video, audio, Vec::new()))
}
