//! Rules for collections.

use super::apply::Change;
use super::limits::Limits;
use super::shelf::folded;
use super::validate;
use super::{Asset, Collection};
use crate::event::Event;
use crate::id::{ApplicationId, CollectionId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn create_collection(
        &mut self,
        id: CollectionId,
        application: ApplicationId,
        name: &str,
    ) -> Ruled {
        let name = validate::name("name", name)?;
        if self.state.collection(id).is_some() {
            return Err(Refusal::DuplicateId(Noun::Collection));
        }
        self.collection_name_free(id, application, &name)?;
        let have = self.state.collections_of(application).count();
        self.room(have, Limits::COLLECTIONS_PER_APPLICATION, Noun::Collection)?;
        self.state.put_collection(id, Collection { id, application, name, created_ms: self.now_ms });
        self.event(Event::CollectionChanged { collection: id, application });
        Ok(Outcome::Done)
    }

    fn collection_name_free(
        &self,
        id: CollectionId,
        application: ApplicationId,
        name: &str,
    ) -> Result<(), Refusal> {
        match self.state.indexes.collection_names.get(&(application, folded(name))) {
            Some(holder) if *holder != id => Err(Refusal::NameTaken(Noun::Collection)),
            _ => Ok(()),
        }
    }

    pub(super) fn update_collection(&mut self, id: CollectionId, name: &str) -> Ruled {
        let name = validate::name("name", name)?;
        let found = self.state.collection(id).ok_or(Refusal::NotFound(Noun::Collection))?;
        let collection = Collection { name, ..Collection::clone(found) };
        let application = collection.application;
        self.collection_name_free(id, application, &collection.name)?;
        self.state.put_collection(id, collection);
        self.event(Event::CollectionChanged { collection: id, application });
        Ok(Outcome::Done)
    }

    pub(super) fn delete_collection(&mut self, id: CollectionId) -> Ruled {
        let before = self.state.clone();
        let found = self.state.remove_collection(id).ok_or(Refusal::NotFound(Noun::Collection))?;
        let had_rule = self.state.retention_days(id).is_some();
        self.state.records.retention.forget_collection(id);
        // Assets in the trash keep the name of a collection that is gone; restoring drops it.
        let inside = self.inside(id);
        for asset in inside.iter().copied() {
            let mut asset: Asset = self.asset_copy(asset)?;
            asset.collections.retain(|collection| *collection != id);
            self.state.records.retention.forget_note(asset.id);
            self.put_changed(asset);
        }
        if had_rule {
            self.refuse_new_ends(&before, &inside)?;
        }
        self.event(Event::CollectionChanged { collection: id, application: found.application });
        Ok(Outcome::Done)
    }
}
