//! Roles of an application's own making: a name and the abilities it has. Who has one is noted beside the member, key or
//! invitation, whose built-in role is then the one it sees assets as.
//!
//! Nobody gives more than they have, takes it from whoever has more, or changes a role that allows more.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::apply::Change;
use super::limits::Limits;
use super::shelf::folded;
use super::store::Records;
use super::{ApiKey, Invite, Member, State, validate};
use crate::command::{Abilities, Ability, Role, RoleCommand};
use crate::event::Event;
use crate::id::{ApiKeyId, ApplicationId, InviteId, RoleId, UserId};
use crate::outcome::Outcome;
use crate::permission;
use crate::refusal::{Needs, Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// Names that would be taken for a built-in role.
const BUILT_IN_NAMES: [&str; 5] = ["admin", "user", "read-only", "read_only", "viewer"];

/// A role of an application's own making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// Id.
    pub id: RoleId,
    /// Where.
    pub application: ApplicationId,
    /// Unique in the application but for upper and lower case.
    pub name: String,
    /// What it allows.
    pub abilities: Abilities,
    /// When made.
    pub created_ms: u64,
}

/// The role that somebody is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granted {
    BuiltIn(Role),
    Custom(RoleId),
}

/// The roles, and who has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Roles {
    #[serde(with = "super::map")]
    roles: OrdMap<(ApplicationId, RoleId), Arc<CustomRole>>,
    #[serde(with = "super::map")]
    members: OrdMap<(ApplicationId, UserId), RoleId>,
    #[serde(with = "super::map")]
    keys: OrdMap<ApiKeyId, RoleId>,
    #[serde(with = "super::map")]
    invites: OrdMap<InviteId, RoleId>,
}

impl Roles {
    /// Puts down or takes away what somebody has.
    fn note<K: Ord + Clone>(held: &mut OrdMap<K, RoleId>, who: K, granted: Granted) {
        match granted {
            Granted::Custom(role) => held.insert(who, role),
            Granted::BuiltIn(_) => held.remove(&who),
        };
    }

    /// Whether every role that is held is there, and its holders see as it says. For tests and the doctor.
    pub(super) fn agree(&self, records: &Records) -> bool {
        let sees = |application: ApplicationId, role: &RoleId| {
            self.roles.get(&(application, *role)).map(|role| role.abilities.sees_as())
        };
        let member = |(who, role): (&(ApplicationId, UserId), &RoleId)| {
            records.members.get(who).is_some_and(|found| sees(found.application, role) == Some(found.role))
        };
        let key = |(who, role): (&ApiKeyId, &RoleId)| {
            records.api_keys.get(who).is_some_and(|found| sees(found.application, role) == Some(found.role))
        };
        let invite = |(who, role): (&InviteId, &RoleId)| {
            records.invites.get(who).is_some_and(|found| sees(found.application, role) == Some(found.role))
        };
        let homed = self.roles.keys().all(|(application, _)| records.applications.contains_key(application));
        homed
            && self.members.iter().all(member)
            && self.keys.iter().all(key)
            && self.invites.iter().all(invite)
    }
}

impl State {
    /// The roles of an application's own making.
    pub fn custom_roles_of(&self, application: ApplicationId) -> impl Iterator<Item = &Arc<CustomRole>> {
        let range = (application, RoleId::ZERO)..=(application, RoleId([0xff; 16]));
        self.records.roles.roles.range(range).map(|(_, role)| role)
    }

    /// One of them.
    #[must_use]
    pub fn custom_role(&self, application: ApplicationId, role: RoleId) -> Option<&Arc<CustomRole>> {
        self.records.roles.roles.get(&(application, role))
    }

    /// The role of the application's own that a member has.
    #[must_use]
    pub fn custom_role_of(&self, application: ApplicationId, user: UserId) -> Option<&Arc<CustomRole>> {
        let role = self.records.roles.members.get(&(application, user))?;
        self.custom_role(application, *role)
    }

    /// The role of the application's own that a key has.
    #[must_use]
    pub fn custom_role_of_key(&self, key: &ApiKey) -> Option<&Arc<CustomRole>> {
        self.custom_role(key.application, *self.records.roles.keys.get(&key.id)?)
    }

    /// The role of the application's own that an invitation gives.
    #[must_use]
    pub fn custom_role_of_invite(&self, invite: &Invite) -> Option<&Arc<CustomRole>> {
        self.custom_role(invite.application, *self.records.roles.invites.get(&invite.id)?)
    }

    /// How many members, keys and invitations have each role of an application that somebody has.
    #[must_use]
    pub fn role_holder_counts(&self, application: ApplicationId) -> BTreeMap<RoleId, usize> {
        let roles = &self.records.roles;
        let everybody = (application, UserId::ZERO)..=(application, UserId([0xff; 16]));
        let members = roles.members.range(everybody).map(|(_, role)| role);
        let keys = self.api_keys_of(application).filter_map(|key| roles.keys.get(&key.id));
        let invites = self.invites_of(application).filter_map(|invite| roles.invites.get(&invite.id));
        let mut counts = BTreeMap::new();
        for role in members.chain(keys).chain(invites) {
            *counts.entry(*role).or_default() += 1;
        }
        counts
    }

    fn role_holders(
        &self,
        application: ApplicationId,
        role: RoleId,
    ) -> (Vec<UserId>, Vec<ApiKeyId>, Vec<InviteId>) {
        let roles = &self.records.roles;
        let everybody = (application, UserId::ZERO)..=(application, UserId([0xff; 16]));
        let members = roles.members.range(everybody).filter(|(_, held)| **held == role);
        let keys = self.api_keys_of(application).filter(|key| roles.keys.get(&key.id) == Some(&role));
        let invites = self.invites_of(application).filter(|one| roles.invites.get(&one.id) == Some(&role));
        (
            members.map(|((_, user), _)| *user).collect(),
            keys.map(|key| key.id).collect(),
            invites.map(|invite| invite.id).collect(),
        )
    }

    pub(super) fn drop_member(&mut self, who: (ApplicationId, UserId)) -> Option<Arc<Member>> {
        self.records.roles.members.remove(&who);
        self.remove_member(who)
    }

    pub(super) fn drop_api_key(&mut self, id: ApiKeyId) -> Option<Arc<ApiKey>> {
        self.records.roles.keys.remove(&id);
        self.remove_api_key(id)
    }

    pub(super) fn drop_invite(&mut self, id: InviteId) -> Option<Arc<Invite>> {
        self.records.roles.invites.remove(&id);
        self.remove_invite(id)
    }

    /// What an invitation gives.
    pub(super) fn granted_by(&self, invite: &Invite) -> Granted {
        let custom = self.records.roles.invites.get(&invite.id);
        custom.map_or(Granted::BuiltIn(invite.role), |role| Granted::Custom(*role))
    }

    /// What a role allows.
    pub(super) fn abilities_of(
        &self,
        application: ApplicationId,
        granted: Granted,
    ) -> Result<Abilities, Refusal> {
        match granted {
            Granted::BuiltIn(role) => Ok(Abilities::of(role)),
            Granted::Custom(role) => {
                let found = self.custom_role(application, role).ok_or(Refusal::NotFound(Noun::Role))?;
                Ok(found.abilities)
            }
        }
    }

    /// What a member has.
    pub(super) fn abilities_of_member(&self, member: &Member) -> Abilities {
        let custom = self.custom_role_of(member.application, member.user);
        custom.map_or(Abilities::of(member.role), |role| role.abilities)
    }

    pub(super) fn note_member_role(&mut self, who: (ApplicationId, UserId), granted: Granted) {
        Roles::note(&mut self.records.roles.members, who, granted);
    }

    pub(super) fn note_key_role(&mut self, key: ApiKeyId, granted: Granted) {
        Roles::note(&mut self.records.roles.keys, key, granted);
    }

    pub(super) fn note_invite_role(&mut self, invite: InviteId, granted: Granted) {
        Roles::note(&mut self.records.roles.invites, invite, granted);
    }

    pub(super) fn forget_roles_of(&mut self, application: ApplicationId) {
        let all: Vec<RoleId> = self.custom_roles_of(application).map(|role| role.id).collect();
        for role in all {
            self.records.roles.roles.remove(&(application, role));
        }
    }
}

impl Change<'_> {
    pub(super) fn role(&mut self, command: &RoleCommand) -> Ruled {
        use RoleCommand as C;
        match command {
            C::Create { application, role, name, abilities } => {
                self.create_role(*application, *role, name, *abilities)
            }
            C::Update { application, role, name, abilities } => {
                self.update_role(*application, *role, name, *abilities)
            }
            C::Delete { application, role } => self.delete_role(*application, *role),
            C::Give { application, user, role } => {
                self.set_member(*application, *user, Granted::Custom(*role))
            }
            C::Invite { invite, application, role, secret_hash, expires_ms } => {
                let granted = Granted::Custom(*role);
                self.create_invite(*invite, *application, granted, *secret_hash, *expires_ms)
            }
            C::CreateApiKey { key, name, secret_hash, application, role, expires_ms } => {
                let granted = Granted::Custom(*role);
                self.create_api_key((*key, name), *secret_hash, *application, granted, *expires_ms)
            }
        }
    }

    /// The built-in role to write down for a granted one, when whoever asks may give it.
    pub(super) fn may_give(&self, application: ApplicationId, granted: Granted) -> Result<Role, Refusal> {
        let abilities = self.state.abilities_of(application, granted)?;
        self.refuse_beyond(application, abilities)?;
        Ok(match granted {
            Granted::BuiltIn(role) => role,
            Granted::Custom(_) => abilities.sees_as(),
        })
    }

    /// Refuses to give, take or change what whoever asks does not have.
    pub(super) fn refuse_beyond(
        &self,
        application: ApplicationId,
        abilities: Abilities,
    ) -> Result<(), Refusal> {
        let own = permission::abilities_in(self.state, self.actor, application, self.now_ms);
        match abilities.beyond(own).iter().next() {
            Some(missing) => Err(Refusal::Forbidden { needs: Needs::Ability(missing) }),
            None => Ok(()),
        }
    }

    /// Refuses to change the place of a member who may more than whoever asks, or of any without leave to.
    pub(super) fn may_change_member(&self, application: ApplicationId, user: UserId) -> Result<(), Refusal> {
        let member = self.state.member(application, user);
        let theirs = member.map_or(Abilities::NONE, |member| self.state.abilities_of_member(member));
        self.refuse_beyond(application, theirs.with(Ability::Members))
    }

    fn checked_role(
        &self,
        application: ApplicationId,
        id: RoleId,
        name: &str,
        abilities: Abilities,
    ) -> Result<CustomRole, Refusal> {
        let name = validate::name("name", name)?;
        let taken = |other: &&Arc<CustomRole>| other.id != id && folded(&other.name) == folded(&name);
        let built_in = BUILT_IN_NAMES.contains(&folded(&name).as_str());
        if built_in || self.state.custom_roles_of(application).any(|other| taken(&other)) {
            return Err(Refusal::NameTaken(Noun::Role));
        }
        if abilities.known() != abilities {
            return Err(Refusal::invalid("abilities", Problem::Malformed));
        }
        let abilities = abilities.completed();
        self.refuse_beyond(application, abilities)?;
        Ok(CustomRole { id, application, name, abilities, created_ms: self.now_ms })
    }

    fn create_role(
        &mut self,
        application: ApplicationId,
        id: RoleId,
        name: &str,
        abilities: Abilities,
    ) -> Ruled {
        if self.state.custom_role(application, id).is_some() {
            return Err(Refusal::DuplicateId(Noun::Role));
        }
        let role = self.checked_role(application, id, name, abilities)?;
        self.room(
            self.state.custom_roles_of(application).count(),
            Limits::ROLES_PER_APPLICATION,
            Noun::Role,
        )?;
        self.put_role(role)
    }

    fn put_role(&mut self, role: CustomRole) -> Ruled {
        let application = role.application;
        self.state.records.roles.roles.insert((application, role.id), Arc::new(role));
        self.event(Event::MembersChanged { application });
        Ok(Outcome::Done)
    }

    fn update_role(
        &mut self,
        application: ApplicationId,
        id: RoleId,
        name: &str,
        abilities: Abilities,
    ) -> Ruled {
        let before = self.state.custom_role(application, id).ok_or(Refusal::NotFound(Noun::Role))?.clone();
        self.refuse_beyond(application, before.abilities)?;
        let role = self.checked_role(application, id, name, abilities)?;
        let sees_as = role.abilities.sees_as();
        self.put_role(CustomRole { created_ms: before.created_ms, ..role })?;
        if sees_as != before.abilities.sees_as() {
            self.holders_see_as(application, id, sees_as);
        }
        Ok(Outcome::Done)
    }

    fn holders_see_as(&mut self, application: ApplicationId, id: RoleId, role: Role) {
        let (members, keys, invites) = self.state.role_holders(application, id);
        for user in members {
            let Some(member) = self.state.member(application, user).cloned() else { continue };
            self.state.put_member((application, user), Member { role, ..Member::clone(&member) });
        }
        for key in keys {
            let Some(found) = self.state.api_key(key).cloned() else { continue };
            self.state.put_api_key(key, ApiKey { role, ..ApiKey::clone(&found) });
            self.event(Event::ApiKeyChanged { key, application });
        }
        for invite in invites {
            let Some(found) = self.state.invite(invite).cloned() else { continue };
            self.state.put_invite(invite, Invite { role, ..Invite::clone(&found) });
        }
    }

    fn delete_role(&mut self, application: ApplicationId, id: RoleId) -> Ruled {
        let role = self.state.custom_role(application, id).ok_or(Refusal::NotFound(Noun::Role))?;
        self.refuse_beyond(application, role.abilities)?;
        self.forget_ended_invites(application);
        let holders = self.state.role_holder_counts(application).remove(&id).unwrap_or(0);
        if holders > 0 {
            let holders = u32::try_from(holders).unwrap_or(u32::MAX);
            return Err(Refusal::RoleInUse { holders });
        }
        self.state.records.roles.roles.remove(&(application, id));
        self.event(Event::MembersChanged { application });
        Ok(Outcome::Done)
    }
}
