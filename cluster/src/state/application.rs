//! Rules for applications and their members.

use super::Application;
use super::apply::Change;
use super::limits::Limits;
use super::roles::Granted;
use super::shelf::{Shelf, folded};
use super::validate;
use crate::actor::ActorKind;
use crate::command::{ApplicationPatch, Policy};
use crate::event::Event;
use crate::id::{ApplicationId, UserId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn create_application(&mut self, id: ApplicationId, name: &str) -> Ruled {
        let name = validate::name("name", name)?;
        if self.state.application(id).is_some() {
            return Err(Refusal::DuplicateId(Noun::Application));
        }
        self.application_name_free(id, &name)?;
        self.room(self.state.records.applications.len(), Limits::APPLICATIONS, Noun::Application)?;
        let application = Application { id, name, policy: Policy::default(), created_ms: self.now_ms };
        self.state.put_application(id, application);
        self.event(Event::ApplicationChanged { application: id });
        Ok(Outcome::Done)
    }

    fn application_name_free(&self, id: ApplicationId, name: &str) -> Result<(), Refusal> {
        match self.state.indexes.application_names.get(&folded(name)) {
            Some(holder) if *holder != id => Err(Refusal::NameTaken(Noun::Application)),
            _ => Ok(()),
        }
    }

    pub(super) fn update_application(&mut self, id: ApplicationId, patch: &ApplicationPatch) -> Ruled {
        let found = self.state.application(id).ok_or(Refusal::NotFound(Noun::Application))?;
        let mut application = Application::clone(found);
        if let Some(name) = &patch.name {
            application.name = validate::name("name", name)?;
            self.application_name_free(id, &application.name)?;
        }
        if let Some(policy) = patch.policy {
            validate::policy(&policy)?;
            application.policy = policy;
        }
        self.state.put_application(id, application);
        self.event(Event::ApplicationChanged { application: id });
        Ok(Outcome::Done)
    }

    pub(super) fn delete_application(&mut self, id: ApplicationId) -> Ruled {
        if self.state.count(&Shelf::Live(id)) + self.state.count(&Shelf::Trash(id)) > 0 {
            return Err(Refusal::ApplicationNotEmpty);
        }
        let members: Vec<_> = self.state.members_of(id).map(|member| member.user).collect();
        let keys: Vec<_> = self.state.api_keys_of(id).map(|key| key.id).collect();
        let invites: Vec<_> = self.state.invites_of(id).map(|invite| invite.id).collect();
        let collections: Vec<_> = self.state.collections_of(id).map(|collection| collection.id).collect();
        let jobs: Vec<_> = self.state.jobs_of(id).map(|job| job.id).collect();
        members.into_iter().for_each(|user| drop(self.state.drop_member((id, user))));
        keys.into_iter().for_each(|key| drop(self.state.drop_api_key(key)));
        invites.into_iter().for_each(|invite| drop(self.state.drop_invite(invite)));
        for collection in collections {
            self.state.remove_collection(collection);
            self.state.records.retention.forget_collection(collection);
        }
        jobs.into_iter().for_each(|job| drop(self.state.remove_job(job)));
        self.state.records.views.forget_application(id);
        self.state.forget_roles_of(id);
        self.state.remove_application(id).ok_or(Refusal::NotFound(Noun::Application))?;
        self.event(Event::ApplicationRemoved { application: id });
        Ok(Outcome::Done)
    }

    pub(super) fn set_member(&mut self, application: ApplicationId, user: UserId, granted: Granted) -> Ruled {
        if self.state.user(user).is_none() {
            return Err(Refusal::NotFound(Noun::User));
        }
        self.may_change_member(application, user)?;
        let role = self.may_give(application, granted)?;
        self.put_member(application, user, granted, role);
        Ok(Outcome::Done)
    }

    pub(super) fn remove_member(&mut self, application: ApplicationId, user: UserId) -> Ruled {
        // Everybody may leave; whether they may be put out depends on what they may.
        if !matches!(self.actor.kind, ActorKind::User { user: own, .. } if own == user) {
            self.may_change_member(application, user)?;
        }
        self.state.drop_member((application, user)).ok_or(Refusal::NotFound(Noun::Member))?;
        self.event(Event::MembersChanged { application });
        Ok(Outcome::Done)
    }
}
