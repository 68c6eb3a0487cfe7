//! Rules for an asset's bytes: Blobs opened, taken over, sealed and dropped, the upload finished, the manifest set.

use super::apply::Change;
use super::limits::Limits;
use super::validate;
use super::{Asset, AssetState, BlobRecord, JobState, ManifestRef, SealedBlob};
use crate::command::{AssetCommand, BlobKind, JobFence, JobKind, MediaFacts};
use crate::event::Event;
use crate::id::{AssetId, BlobId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// A manifest as proposed.
struct NewManifest {
    blob: BlobId,
    sealed: SealedBlob,
    replaces: Option<BlobId>,
    facts: MediaFacts,
}

impl Change<'_> {
    pub(super) fn asset_bytes(&mut self, command: &AssetCommand) -> Ruled {
        use AssetCommand as C;
        match command {
            C::OpenBlob { asset, blob, kind, label, fence } => {
                self.fenced(*asset, *fence)?;
                self.open_blob(*asset, *blob, *kind, label)
            }
            C::TakeOverBlob { asset, blob } => self.take_over_blob(*asset, *blob),
            C::SealBlob { asset, blob, epoch, length, hash } => {
                self.seal_blob(*asset, *blob, *epoch, SealedBlob { length: *length, hash: *hash })
            }
            C::DropBlob { asset, blob } => self.drop_blob(*asset, *blob),
            C::UploadFinished { asset, length, sha256 } => self.upload_finished(*asset, *length, *sha256),
            C::FinishUpload { asset, epoch, length, hash, sha256, job } => {
                let known = self.live_asset_copy(*asset)?;
                let sealed = SealedBlob { length: *length, hash: *hash };
                self.seal_blob(*asset, known.original, *epoch, sealed)?;
                let finished = self.upload_finished(*asset, *length, *sha256)?;
                // Told again, it is done: the work on it may be over by now.
                let again = known.length.is_some();
                if again { Ok(finished) } else { self.queue(*job, *asset, JobKind::Transcode) }
            }
            C::SetWatchable { asset, fence } => {
                self.fenced(*asset, *fence)?;
                let mut asset = self.live_asset_copy(*asset)?;
                asset.watchable = true;
                self.put_changed(asset);
                Ok(Outcome::Done)
            }
            C::SetManifest { asset, blob, hash, length, replaces, facts, fence } => {
                self.fenced(*asset, *fence)?;
                let new = NewManifest {
                    blob: *blob,
                    sealed: SealedBlob { length: *length, hash: *hash },
                    replaces: *replaces,
                    facts: *facts,
                };
                self.set_manifest(*asset, &new)
            }
            C::SetPoster { asset, blob } => self.set_poster(*asset, *blob),
            // The others are not about bytes and do not come here.
            _ => Err(Refusal::AssetState),
        }
    }

    /// A proposal made under a Job's lease counts only while that lease is the newest.
    fn fenced(&self, asset: AssetId, fence: Option<JobFence>) -> Result<(), Refusal> {
        let Some(JobFence { job, epoch }) = fence else { return Ok(()) };
        let found = self.state.job(job).filter(|job| job.asset == asset);
        let found = found.ok_or(Refusal::NotFound(Noun::Job))?;
        if found.epoch != epoch {
            return Err(Refusal::StaleJobEpoch { current: found.epoch });
        }
        match found.state {
            JobState::Leased { .. } => Ok(()),
            _ => Err(Refusal::JobState),
        }
    }

    pub(super) fn open_blob(&mut self, id: AssetId, blob: BlobId, kind: BlobKind, label: &str) -> Ruled {
        validate::line("label", label, 64)?;
        let mut asset = self.live_asset_copy(id)?;
        if asset.blob(blob).is_some() {
            return Err(Refusal::DuplicateId(Noun::Blob));
        }
        self.room(asset.blobs.len(), Limits::BLOBS_PER_ASSET, Noun::Blob)?;
        asset.blobs.push(BlobRecord { id: blob, kind, label: label.to_owned(), epoch: 1, sealed: None });
        self.put_changed(asset);
        Ok(Outcome::BlobEpoch(1))
    }

    fn take_over_blob(&mut self, id: AssetId, blob: BlobId) -> Ruled {
        let mut asset = self.live_asset_copy(id)?;
        let record = open_record(&mut asset, blob)?;
        record.epoch += 1;
        let epoch = record.epoch;
        self.put_changed(asset);
        self.event(Event::BlobTakenOver { asset: id, blob, epoch });
        Ok(Outcome::BlobEpoch(epoch))
    }

    fn seal_blob(&mut self, id: AssetId, blob: BlobId, epoch: u64, sealed: SealedBlob) -> Ruled {
        let mut asset = self.asset_copy(id)?;
        let record = record_of(&mut asset, blob)?;
        if record.epoch != epoch {
            return Err(Refusal::StaleBlobEpoch { current: record.epoch });
        }
        match record.sealed {
            // Asked again after a lost answer.
            Some(already) if already == sealed => return Ok(Outcome::Done),
            Some(_) => return Err(Refusal::BlobSealed),
            None => record.sealed = Some(sealed),
        }
        self.put_changed(asset);
        Ok(Outcome::Done)
    }

    pub(super) fn drop_blob(&mut self, id: AssetId, blob: BlobId) -> Ruled {
        let mut asset = self.asset_copy(id)?;
        let in_use = asset.original == blob
            || asset.poster == Some(blob)
            || asset.manifest.is_some_and(|manifest| manifest.blob == blob);
        if in_use {
            return Err(Refusal::AssetState);
        }
        let before = asset.blobs.len();
        asset.blobs.retain(|record| record.id != blob);
        if asset.blobs.len() != before {
            self.put_changed(asset);
        }
        // One the manifest named is not known here any more; its file goes all the same.
        self.event(Event::BlobDropped { asset: id, blob });
        Ok(Outcome::Done)
    }

    fn upload_finished(&mut self, id: AssetId, length: u64, sha256: [u8; 32]) -> Ruled {
        let mut asset = self.live_asset_copy(id)?;
        if asset.length == Some(length) && asset.sha256 == Some(sha256) {
            return Ok(Outcome::Done);
        }
        if asset.length.is_some() {
            return Err(Refusal::AssetState);
        }
        let original = asset.blob(asset.original).and_then(|blob| blob.sealed).ok_or(Refusal::BlobOpen)?;
        if original.length != length {
            return Err(Refusal::BlobMismatch);
        }
        asset.length = Some(length);
        asset.sha256 = Some(sha256);
        if asset.state == AssetState::Uploading {
            asset.state = AssetState::Processing;
        }
        self.put_changed(asset);
        Ok(Outcome::Done)
    }

    fn set_manifest(&mut self, id: AssetId, new: &NewManifest) -> Ruled {
        let mut asset = self.live_asset_copy(id)?;
        if asset.manifest.map(|manifest| manifest.blob) != new.replaces {
            return Err(Refusal::ManifestChanged);
        }
        if asset.length.is_none() {
            return Err(Refusal::AssetState);
        }
        let record = asset.blob(new.blob).ok_or(Refusal::NotFound(Noun::Blob))?;
        if record.kind != BlobKind::Manifest || record.sealed != Some(new.sealed) {
            return Err(Refusal::BlobMismatch);
        }
        asset.manifest = Some(ManifestRef { blob: new.blob, sealed: new.sealed });
        asset.facts = Some(new.facts);
        asset.state = AssetState::Ready;
        asset.watchable = true;
        let (original, poster) = (asset.original, asset.poster);
        asset.blobs.retain(|record| {
            let named = [Some(original), Some(new.blob), poster].contains(&Some(record.id));
            named || record.sealed.is_none()
        });
        self.put_changed(asset);
        if let Some(old) = new.replaces {
            self.event(Event::BlobDropped { asset: id, blob: old });
        }
        Ok(Outcome::Done)
    }

    fn set_poster(&mut self, id: AssetId, blob: Option<BlobId>) -> Ruled {
        let mut asset = self.live_asset_copy(id)?;
        if let Some(blob) = blob {
            let record = asset.blob(blob).ok_or(Refusal::NotFound(Noun::Blob))?;
            if record.kind != BlobKind::Poster || record.sealed.is_none() {
                return Err(Refusal::BlobOpen);
            }
        }
        asset.poster = blob;
        self.put_changed(asset);
        Ok(Outcome::Done)
    }
}

fn record_of(asset: &mut Asset, blob: BlobId) -> Result<&mut BlobRecord, Refusal> {
    asset.blobs.iter_mut().find(|record| record.id == blob).ok_or(Refusal::NotFound(Noun::Blob))
}

fn open_record(asset: &mut Asset, blob: BlobId) -> Result<&mut BlobRecord, Refusal> {
    let record = record_of(asset, blob)?;
    if record.sealed.is_some() { Err(Refusal::BlobSealed) } else { Ok(record) }
}
