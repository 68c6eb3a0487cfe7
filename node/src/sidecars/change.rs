//! Changing what stands beside a video: a new Blob, a new manifest that names it, and the old one dropped.
//!
//! While a video is processed there is no manifest; what people add then waits as a sealed Blob under its label, and the
//! job puts it into the manifest it ends with.

use bytes::Bytes;
use cluster::actor::Actor;
use cluster::command::{AssetCommand, BlobKind};
use cluster::id::{AssetId, BlobId};
use cluster::state::{Asset, BlobRecord};
use pipeline::playlist::language_tag;
use pipeline::tracks::SubtitleRendition;

use crate::asset_store::{AssetStore, StoreError};
use crate::manifest::{Manifest, SealedRef, TextTrack};
use crate::media::Media;

const CAPTION_PREFIX: &str = "caption-";
const CHOSEN_POSTER: &str = "chosen-poster";

/// Puts captions of one language in, or takes them out.
pub async fn set_captions(
    media: &Media,
    actor: &Actor,
    asset: AssetId,
    language: &str,
    text: Option<Bytes>,
) -> Result<bool, StoreError> {
    let _lock = media.locks.lock(asset).await;
    let (store, asset) = (&media.store, media.store.asset(asset)?);
    let label = format!("{CAPTION_PREFIX}{language}");
    let stored = match text {
        Some(text) => Some(store.write_whole(actor, &asset, BlobKind::Caption, &label, text, None).await?),
        None => None,
    };
    let Some(mut manifest) = store.manifest(&asset).await? else {
        return drop_labelled(store, actor, &asset, &label, stored.map(|new| new.blob)).await;
    };
    let before = manifest.captions.iter().position(|track| track.rendition.id == language);
    let before = before.map(|at| manifest.captions.remove(at).stored.blob);
    manifest.captions.extend(stored.map(|stored| caption(language, stored)));
    manifest.captions.sort_by(|one, other| one.rendition.id.cmp(&other.rendition.id));
    if stored.is_none() && before.is_none() {
        return Ok(false);
    }
    store.set_manifest(actor, &asset, &manifest, None).await?;
    if let Some(before) = before {
        store.drop_blob(actor, asset.id, before).await?;
    }
    Ok(true)
}

/// Makes a picture the one that stands for the video.
pub async fn set_poster(
    media: &Media,
    actor: &Actor,
    asset: AssetId,
    picture: Bytes,
) -> Result<(), StoreError> {
    let _lock = media.locks.lock(asset).await;
    let (store, asset) = (&media.store, media.store.asset(asset)?);
    let stored = store.write_whole(actor, &asset, BlobKind::Poster, CHOSEN_POSTER, picture, None).await?;
    let command = AssetCommand::SetPoster { asset: asset.id, blob: Some(stored.blob) };
    store.propose(actor, command).await?;
    let Some(mut manifest) = store.manifest(&asset).await? else {
        drop_labelled(store, actor, &asset, CHOSEN_POSTER, Some(stored.blob)).await?;
        return Ok(());
    };
    let before = manifest.sidecars.chosen_poster.replace(stored);
    store.set_manifest(actor, &asset, &manifest, None).await?;
    if let Some(before) = before {
        store.drop_blob(actor, asset.id, before.blob).await?;
    }
    Ok(())
}

/// Drops every Blob of a label but one; whether there was any.
async fn drop_labelled(
    store: &AssetStore,
    actor: &Actor,
    asset: &Asset,
    label: &str,
    keep: Option<BlobId>,
) -> Result<bool, StoreError> {
    let mut dropped = keep.is_some();
    for old in asset.blobs.iter().filter(|blob| blob.label == label && Some(blob.id) != keep) {
        store.drop_blob(actor, asset.id, old.id).await?;
        dropped = true;
    }
    Ok(dropped)
}

impl AssetStore {
    /// Puts what people added while a video was processed into its first manifest.
    pub fn collect_loose(asset: &Asset, manifest: &mut Manifest) {
        for record in &asset.blobs {
            let Some(stored) = sealed(record) else { continue };
            if record.label == CHOSEN_POSTER {
                manifest.sidecars.chosen_poster = Some(stored);
            }
        }
        manifest.captions.extend(loose_captions(asset));
    }
}

/// Captions that people gave to a video without a manifest (yet).
pub fn loose_captions(asset: &Asset) -> impl Iterator<Item = TextTrack> + '_ {
    asset.blobs.iter().filter_map(|record| {
        let language = record.label.strip_prefix(CAPTION_PREFIX)?;
        Some(caption(language, sealed(record)?))
    })
}

/// Whether somebody chose the picture that stands for the video.
pub fn is_poster_chosen(asset: &Asset, manifest: Option<&Manifest>) -> bool {
    match manifest {
        Some(manifest) => manifest.sidecars.chosen_poster.is_some(),
        None => asset.blobs.iter().any(|record| record.label == CHOSEN_POSTER && record.sealed.is_some()),
    }
}

fn sealed(record: &BlobRecord) -> Option<SealedRef> {
    let sealed = record.sealed?;
    Some(SealedRef { blob: record.id, kind: record.kind, length: sealed.length, hash: sealed.hash })
}

fn caption(language: &str, stored: SealedRef) -> TextTrack {
    let rendition = SubtitleRendition {
        id: language.to_owned(),
        language: language_tag(language),
        name: language.to_owned(),
        default: false,
        forced: false,
    };
    TextTrack { rendition, stored }
}
