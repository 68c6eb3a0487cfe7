//! Rules for assets: made, described, published, trashed, restored, purged, held.

use super::apply::Change;
use super::limits::Limits;
use super::records::Tombstone;
use super::validate;
use super::{Asset, AssetState, BlobRecord, Life, PublishWindow};
use crate::command::{AccessRule, AssetCommand, AssetPatch, BlobKind, KeyEpoch, WrappedKey};
use crate::event::Event;
use crate::id::{ApplicationId, AssetId, BlobId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// What the proposer of a new asset chose.
struct NewAsset<'a> {
    title: &'a str,
    file_name: &'a str,
    media_type: &'a str,
    declared_length: Option<u64>,
    wrapped_key: &'a WrappedKey,
    key_epoch: KeyEpoch,
    original: BlobId,
}

impl Change<'_> {
    pub(super) fn asset(&mut self, command: &AssetCommand) -> Ruled {
        use AssetCommand as C;
        match command {
            C::Create {
                asset,
                application,
                title,
                file_name,
                media_type,
                declared_length,
                wrapped_key,
                key_epoch,
                original,
            } => {
                let new = NewAsset {
                    title,
                    file_name,
                    media_type,
                    declared_length: *declared_length,
                    wrapped_key,
                    key_epoch: *key_epoch,
                    original: *original,
                };
                self.create_asset(*asset, *application, &new)
            }
            C::Describe { asset, patch } => self.describe(*asset, patch),
            C::Publish { asset, published, from_ms, until_ms } => {
                self.publish(*asset, *published, PublishWindow { from_ms: *from_ms, until_ms: *until_ms })
            }
            C::SetAccess { asset, rule } => self.set_access(*asset, rule),
            C::EndViews { asset } => self.change_asset(*asset, |asset| asset.view_epoch += 1, true),
            C::Trash { asset } => self.trash(*asset),
            C::Restore { asset } => self.restore(*asset),
            C::Purge { asset } => self.purge_trashed(*asset),
            C::AbandonUpload { asset } => self.abandon_upload(*asset),
            C::Expire { asset } => self.expire(*asset),
            C::SetRetention { collection, days, delete_overdue } => {
                self.set_retention(*collection, *days, *delete_overdue)
            }
            C::SetLegalHold { asset, hold, reason } => self.set_legal_hold(*asset, *hold, reason),
            C::CreateCollection { collection, application, name } => {
                self.create_collection(*collection, *application, name)
            }
            C::UpdateCollection { collection, name } => self.update_collection(*collection, name),
            C::DeleteCollection { collection } => self.delete_collection(*collection),
            C::Place { asset, holders } => self.place(*asset, holders),
            C::AddHolder { asset, node, generation } => self.add_holder(*asset, *node, *generation),
            C::DropHolder { asset, node, generation } => self.drop_holder(*asset, *node, *generation),
            C::ReplaceHolder { asset, old, new, generation } => {
                self.replace_holder(*asset, *old, *new, *generation)
            }
            _ => self.asset_bytes(command),
        }
    }

    /// A copy of the asset to change and put back.
    pub(super) fn asset_copy(&self, id: AssetId) -> Result<Asset, Refusal> {
        self.state.asset(id).map(|asset| Asset::clone(asset)).ok_or(Refusal::NotFound(Noun::Asset))
    }

    /// A copy of an asset that is not in the trash.
    pub(super) fn live_asset_copy(&self, id: AssetId) -> Result<Asset, Refusal> {
        let asset = self.asset_copy(id)?;
        if asset.is_live() { Ok(asset) } else { Err(Refusal::Trashed) }
    }

    /// Puts a changed asset back.
    pub(super) fn put_changed(&mut self, mut asset: Asset) {
        asset.updated_ms = self.now_ms;
        let (id, application) = (asset.id, asset.application);
        if self.state.asset(id).is_none_or(|before| !asset.has_same_files(before)) {
            self.event(Event::BlobSealed { asset: id });
        }
        self.state.put_asset(id, asset);
        self.event(Event::AssetChanged { asset: id, application });
    }

    /// Changes a live asset; `views` when running Views must be checked again.
    fn change_asset(&mut self, id: AssetId, change: impl FnOnce(&mut Asset), views: bool) -> Ruled {
        let mut asset = self.live_asset_copy(id)?;
        change(&mut asset);
        self.put_changed(asset);
        if views {
            self.event(Event::WatchRulesChanged { asset: id });
        }
        Ok(Outcome::Done)
    }

    fn create_asset(&mut self, id: AssetId, application: ApplicationId, new: &NewAsset<'_>) -> Ruled {
        let title = validate::title("title", new.title)?;
        validate::line("file_name", new.file_name, Limits::NAME)?;
        validate::line("media_type", new.media_type, Limits::SHORT)?;
        validate::wrapped_key(new.wrapped_key)?;
        self.current_key_epoch(new.key_epoch)?;
        if self.state.asset(id).is_some() || self.state.tombstone(id).is_some() {
            return Err(Refusal::DuplicateId(Noun::Asset));
        }
        self.room(self.state.records.assets.len(), Limits::ASSETS, Noun::Asset)?;
        let original = BlobRecord {
            id: new.original,
            kind: BlobKind::Original,
            label: "original".to_owned(),
            epoch: 1,
            sealed: None,
        };
        let asset = Asset {
            id,
            application,
            created_by: self.actor.kind,
            title,
            description: String::new(),
            tags: Vec::new(),
            fields: Vec::new(),
            collections: Vec::new(),
            file_name: new.file_name.to_owned(),
            media_type: new.media_type.to_owned(),
            declared_length: new.declared_length,
            length: None,
            sha256: None,
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
            state: AssetState::Uploading,
            watchable: false,
            life: Life::Live,
            published: None,
            access: AccessRule::Members,
            legal_hold: None,
            wrapped_key: new.wrapped_key.clone(),
            key_epoch: new.key_epoch,
            original: new.original,
            blobs: vec![original],
            manifest: None,
            poster: None,
            facts: None,
            job: None,
            view_epoch: 0,
        };
        self.place_new(id);
        self.put_changed(asset);
        Ok(Outcome::Done)
    }

    fn describe(&mut self, id: AssetId, patch: &AssetPatch) -> Ruled {
        let mut asset = self.live_asset_copy(id)?;
        if let Some(title) = &patch.title {
            asset.title = validate::title("title", title)?;
        }
        if let Some(description) = &patch.description {
            validate::lines("description", description, Limits::DESCRIPTION)?;
            asset.description.clone_from(description);
        }
        if let Some(tags) = &patch.tags {
            asset.tags = checked_tags(tags)?;
        }
        if let Some(fields) = &patch.fields {
            asset.fields = checked_fields(fields)?;
        }
        if let Some(collections) = &patch.collections {
            validate::distinct("collections", collections, Limits::COLLECTIONS_PER_ASSET)?;
            for collection in collections {
                let found = self.state.collection(*collection);
                if found.is_none_or(|found| found.application != asset.application) {
                    return Err(Refusal::NotFound(Noun::Collection));
                }
            }
            asset.collections.clone_from(collections);
            self.state.records.retention.forget_note(id);
            let before = self.state.clone();
            self.put_changed(asset);
            self.refuse_new_ends(&before, &[id])?;
            return Ok(Outcome::Done);
        }
        self.put_changed(asset);
        Ok(Outcome::Done)
    }

    fn publish(&mut self, id: AssetId, published: bool, window: PublishWindow) -> Ruled {
        if let (Some(from_ms), Some(until_ms)) = (window.from_ms, window.until_ms)
            && from_ms >= until_ms
        {
            return Err(Refusal::invalid("until_ms", Problem::OutOfRange));
        }
        self.change_asset(id, |asset| asset.published = published.then_some(window), true)
    }

    fn set_access(&mut self, id: AssetId, rule: &AccessRule) -> Ruled {
        if let AccessRule::Users(users) = rule {
            validate::distinct("users", users, Limits::RULE_USERS)?;
            let application = self.asset_copy(id)?.application;
            let stranger = users.iter().any(|user| self.state.role_of(*user, application).is_none());
            if stranger {
                return Err(Refusal::NotFound(Noun::Member));
            }
        }
        self.change_asset(id, |asset| asset.access = rule.clone(), true)
    }

    fn trash(&mut self, id: AssetId) -> Ruled {
        let asset = self.live_asset_copy(id)?;
        if asset.legal_hold.is_some() {
            return Err(Refusal::LegalHold);
        }
        let days = self.state.application(asset.application).map_or(0, |found| found.policy.trash_days);
        let (at_ms, kept_ms) = (self.now_ms, u64::from(days) * Limits::DAY_MS);
        let until_ms = self.trashed_until_ms(&asset, kept_ms);
        self.cancel_active_job(id);
        self.state.records.retention.forget_note(id);
        let change = |asset: &mut Asset| {
            asset.life = Life::Trashed { at_ms, until_ms, noted_due_ms: None };
            // A View from before the trash does not come back with the asset.
            asset.view_epoch += 1;
        };
        self.change_asset(id, change, true)
    }

    fn restore(&mut self, id: AssetId) -> Ruled {
        let mut asset = self.asset_copy(id)?;
        if asset.is_live() {
            return Err(Refusal::NotTrashed);
        }
        asset.life = Life::Live;
        // A collection may have been removed in the meantime.
        asset.collections.retain(|collection| self.state.collection(*collection).is_some());
        self.put_changed(asset);
        Ok(Outcome::Done)
    }

    fn purge_trashed(&mut self, id: AssetId) -> Ruled {
        let asset = self.asset_copy(id)?;
        if asset.is_live() {
            return Err(Refusal::NotTrashed);
        }
        self.purge(&asset)
    }

    fn abandon_upload(&mut self, id: AssetId) -> Ruled {
        let asset = self.asset_copy(id)?;
        if asset.state != AssetState::Uploading {
            return Err(Refusal::AssetState);
        }
        self.purge(&asset)
    }

    fn expire(&mut self, id: AssetId) -> Ruled {
        if self.state.cluster_info().is_some_and(|cluster| cluster.time_held) {
            return Err(Refusal::TimeHeld);
        }
        let mut asset = self.asset_copy(id)?;
        if asset.legal_hold.is_some() {
            return Err(Refusal::LegalHold);
        }
        let Life::Trashed { at_ms, until_ms, noted_due_ms } = asset.life else {
            return self.expire_kept(&asset);
        };
        if self.now_ms < until_ms {
            return Err(Refusal::NotDue);
        }
        match noted_due_ms {
            Some(noted_ms) if self.now_ms >= noted_ms.saturating_add(Limits::DUE_AGAIN_MS) => {
                self.purge(&asset)?;
                Ok(Outcome::Purged)
            }
            Some(_) => Err(Refusal::NotDue),
            None => {
                asset.life = Life::Trashed { at_ms, until_ms, noted_due_ms: Some(self.now_ms) };
                self.put_changed(asset);
                Ok(Outcome::NotedDue)
            }
        }
    }

    /// Forgets the asset with its wrapped key. Only a tombstone stays.
    pub(super) fn purge(&mut self, asset: &Asset) -> Ruled {
        if asset.legal_hold.is_some() {
            return Err(Refusal::LegalHold);
        }
        let id = asset.id;
        self.forget_jobs(id);
        self.state.remove_asset(id);
        self.state.records.holders.remove(&id);
        self.state.records.retention.forget_note(id);
        self.state.bury(Tombstone::of(asset, self.now_ms));
        self.forget_unused_keys();
        self.event(Event::AssetPurged { asset: id, application: asset.application });
        self.event(Event::WatchRulesChanged { asset: id });
        Ok(Outcome::Done)
    }

    fn set_legal_hold(&mut self, id: AssetId, hold: bool, reason: &str) -> Ruled {
        validate::lines("reason", reason, Limits::REASON)?;
        if hold && reason.trim().is_empty() {
            return Err(Refusal::invalid("reason", Problem::Empty));
        }
        // Also in the trash: a hold keeps what is about to be purged.
        let mut asset = self.asset_copy(id)?;
        asset.legal_hold = hold.then(|| reason.trim().to_owned());
        self.put_changed(asset);
        Ok(Outcome::Done)
    }
}

fn checked_tags(tags: &[String]) -> Result<Vec<String>, Refusal> {
    let (most, length) = Limits::TAGS;
    let tags: Vec<String> = tags.iter().map(|tag| tag.trim().to_owned()).collect();
    for tag in &tags {
        validate::line("tags", tag, length)?;
        if tag.is_empty() {
            return Err(Refusal::invalid("tags", Problem::Empty));
        }
    }
    let alike: Vec<String> = tags.iter().map(|tag| super::folded(tag)).collect();
    validate::distinct("tags", &alike, most)?;
    Ok(tags)
}

fn checked_fields(fields: &[(String, String)]) -> Result<Vec<(String, String)>, Refusal> {
    let (most, name_length, value_length) = Limits::FIELDS;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.trim().to_owned(), value.clone())).collect();
    for (name, value) in &fields {
        validate::line("fields", name, name_length)?;
        validate::lines("fields", value, value_length)?;
        if name.is_empty() {
            return Err(Refusal::invalid("fields", Problem::Empty));
        }
    }
    let names: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
    validate::distinct("fields", &names, most)?;
    Ok(fields)
}
