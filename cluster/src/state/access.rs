//! Rules for people: claim, invitations, passphrases, suspension, removal.

use super::apply::Change;
use super::limits::Limits;
use super::roles::Granted;
use super::validate;
use super::{Invite, Member, Reset, User, Watcher};
use crate::actor::ActorKind;
use crate::command::{AccessCommand, PasswordHash, Role, SecretHash};
use crate::event::Event;
use crate::id::{ApplicationId, InviteId, SessionId, UserId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn access(&mut self, command: &AccessCommand) -> Ruled {
        use AccessCommand as C;
        match command {
            C::Claim { user, username, password_hash, application, application_name } => {
                self.claim((*user, username, password_hash), *application, application_name)
            }
            C::CreateUser { user, username, password_hash } => {
                self.create_user(*user, username, password_hash, false)
            }
            C::CreateInvite { invite, application, role, secret_hash, expires_ms } => {
                let granted = Granted::BuiltIn(*role);
                self.create_invite(*invite, *application, granted, *secret_hash, *expires_ms)
            }
            C::AcceptInvite { secret_hash, user, username, password_hash } => {
                self.accept_invite(secret_hash, *user, username, password_hash)
            }
            C::JoinByInvite { secret_hash } => self.join_by_invite(secret_hash),
            C::RevokeInvite { invite } => {
                self.state.drop_invite(*invite).ok_or(Refusal::NotFound(Noun::Invite))?;
                Ok(Outcome::Done)
            }
            C::SetPassword { user, password_hash, end_other_sessions } => {
                self.set_password(*user, password_hash, *end_other_sessions)
            }
            C::StartReset { user, secret_hash, expires_ms } => {
                self.start_reset(*user, *secret_hash, *expires_ms)
            }
            C::FinishReset { secret_hash, password_hash } => self.finish_reset(secret_hash, password_hash),
            C::SuspendUser { user, suspended } => self.suspend_user(*user, *suspended),
            C::DeleteUser { user } => self.delete_user(*user),
            C::SetClusterAdmin { user, admin } => self.set_cluster_admin(*user, *admin),
            C::CreateSession { session, user, secret_hash, expires_ms, user_agent } => {
                self.create_session(*session, *user, *secret_hash, *expires_ms, user_agent)
            }
            C::EndSession { session } => self.end_session(*session),
            C::EndSessions { user, except } => Ok(Outcome::Count(self.end_sessions(*user, *except))),
            C::CreateApiKey { key, name, secret_hash, application, role, expires_ms } => {
                let granted = Granted::BuiltIn(*role);
                self.create_api_key((*key, name), *secret_hash, *application, granted, *expires_ms)
            }
            C::RevokeApiKey { key } => self.revoke_api_key(*key),
            C::CreateApplication { application, name } => self.create_application(*application, name),
            C::UpdateApplication { application, patch } => self.update_application(*application, patch),
            C::DeleteApplication { application } => self.delete_application(*application),
            C::SetMember { application, user, role } => {
                self.set_member(*application, *user, Granted::BuiltIn(*role))
            }
            C::RemoveMember { application, user } => self.remove_member(*application, *user),
            C::ForgetEndedLinks => self.forget_ended_links(),
            C::TrashApplication { application } => self.trash_application(*application),
            C::RestoreApplication { application } => self.restore_application(*application),
            C::PurgeApplication { application } => self.purge_application(*application),
            C::ExpireApplication { application } => self.expire_application(*application),
            C::LimitViews { application, patch, views_at_once } => {
                self.limit_views(*application, patch, *views_at_once)
            }
        }
    }

    fn claim(
        &mut self,
        (user, username, password_hash): (UserId, &str, &PasswordHash),
        application: ApplicationId,
        application_name: &str,
    ) -> Ruled {
        let cluster = self.state.records.cluster.as_mut().ok_or(Refusal::NotInitialised)?;
        if cluster.claimed_ms.is_some() {
            return Err(Refusal::AlreadyClaimed);
        }
        cluster.claimed_ms = Some(self.now_ms);
        self.create_user(user, username, password_hash, true)?;
        self.create_application(application, application_name)?;
        self.put_member(application, user, Granted::BuiltIn(Role::Admin), Role::Admin);
        self.event(Event::ClusterChanged);
        Ok(Outcome::User { user, application: Some(application) })
    }

    fn create_user(
        &mut self,
        id: UserId,
        username: &str,
        password_hash: &PasswordHash,
        cluster_admin: bool,
    ) -> Ruled {
        let username = validate::normalised_username(username)?;
        validate::password_hash(password_hash)?;
        if self.state.user(id).is_some() {
            return Err(Refusal::DuplicateId(Noun::User));
        }
        if self.state.user_by_name(&username).is_some() {
            return Err(Refusal::NameTaken(Noun::User));
        }
        self.room(self.state.records.users.len(), Limits::USERS, Noun::User)?;
        let user = User {
            id,
            username,
            password_hash: password_hash.clone(),
            cluster_admin,
            suspended: false,
            created_ms: self.now_ms,
            password_set_ms: self.now_ms,
        };
        self.state.put_user(id, user);
        self.event(Event::UserChanged { user: id });
        Ok(Outcome::User { user: id, application: None })
    }

    /// Refuses one more than `limit`.
    pub(super) fn room(&self, have: usize, limit: usize, what: Noun) -> Result<(), Refusal> {
        if have < limit {
            return Ok(());
        }
        Err(Refusal::TooMany { what, limit: u32::try_from(limit).unwrap_or(u32::MAX) })
    }

    pub(super) fn create_invite(
        &mut self,
        id: InviteId,
        application: ApplicationId,
        granted: Granted,
        secret_hash: SecretHash,
        expires_ms: u64,
    ) -> Ruled {
        let role = self.may_give(application, granted)?;
        validate::expiry(self.now_ms, expires_ms, Limits::LINK_MS)?;
        if self.state.invite(id).is_some() || self.state.invite_by_secret(&secret_hash).is_some() {
            return Err(Refusal::DuplicateId(Noun::Invite));
        }
        self.forget_ended_invites(application);
        let open = self.state.invites_of(application).count();
        self.room(open, Limits::INVITES_PER_APPLICATION, Noun::Invite)?;
        let invite = Invite {
            id,
            application,
            role,
            secret_hash,
            created_ms: self.now_ms,
            expires_ms,
            created_by: self.actor.kind,
        };
        self.state.put_invite(id, invite);
        self.state.note_invite_role(id, granted);
        Ok(Outcome::Done)
    }

    pub(super) fn forget_ended_invites(&mut self, application: ApplicationId) {
        let ended: Vec<InviteId> = self
            .state
            .invites_of(application)
            .filter(|invite| invite.expires_ms <= self.now_ms)
            .map(|invite| invite.id)
            .collect();
        for id in ended {
            self.state.drop_invite(id);
        }
    }

    /// Drops what ended an hour ago or longer, so that a clock that jumped for a moment drops nothing.
    fn forget_ended_links(&mut self) -> Ruled {
        let (invites, resets) = self.state.ended_links(self.now_ms);
        let views = self.forget_ended_views();
        let count = u32::try_from(invites.len() + resets.len() + views).unwrap_or(u32::MAX);
        if count == 0 {
            return Err(Refusal::NotDue);
        }
        for id in invites {
            self.state.drop_invite(id);
        }
        for secret in resets {
            self.state.records.resets.remove(&secret);
        }
        Ok(Outcome::Count(count))
    }

    /// The invitation with this secret, used up.
    fn take_invite(&mut self, secret_hash: &SecretHash) -> Result<(ApplicationId, Granted, Role), Refusal> {
        let invite = self.state.invite_by_secret(secret_hash).ok_or(Refusal::LinkNotValid)?;
        if invite.expires_ms <= self.now_ms || self.state.trashed_application(invite.application).is_some() {
            return Err(Refusal::LinkNotValid);
        }
        let (id, application, role) = (invite.id, invite.application, invite.role);
        let granted = self.state.granted_by(invite);
        self.state.drop_invite(id);
        Ok((application, granted, role))
    }

    fn accept_invite(
        &mut self,
        secret_hash: &SecretHash,
        user: UserId,
        username: &str,
        password_hash: &PasswordHash,
    ) -> Ruled {
        let (application, granted, role) = self.take_invite(secret_hash)?;
        self.create_user(user, username, password_hash, false)?;
        self.put_member(application, user, granted, role);
        Ok(Outcome::User { user, application: Some(application) })
    }

    fn join_by_invite(&mut self, secret_hash: &SecretHash) -> Ruled {
        let ActorKind::User { user, .. } = self.actor.kind else {
            return Err(Refusal::NotSignedIn);
        };
        let (application, granted, role) = self.take_invite(secret_hash)?;
        let given = self.state.abilities_of(application, granted)?;
        let present =
            self.state.member(application, user).map(|member| self.state.abilities_of_member(member));
        // An invitation never takes away: who may anything that it does not give stays what they are.
        if present.is_none_or(|present| present.is_within(given)) {
            self.put_member(application, user, granted, role);
        }
        Ok(Outcome::User { user, application: Some(application) })
    }

    /// Writes a member down; `role` is the built-in one that stands for what is granted.
    pub(super) fn put_member(
        &mut self,
        application: ApplicationId,
        user: UserId,
        granted: Granted,
        role: Role,
    ) {
        let joined_ms = self.state.member(application, user).map_or(self.now_ms, |member| member.joined_ms);
        self.state.put_member((application, user), Member { application, user, role, joined_ms });
        self.state.note_member_role((application, user), granted);
        self.event(Event::MembersChanged { application });
    }

    /// Changes a person's record.
    fn change_user(&mut self, id: UserId, change: impl FnOnce(&mut User)) -> Result<(), Refusal> {
        let mut user = User::clone(self.state.user(id).ok_or(Refusal::NotFound(Noun::User))?);
        change(&mut user);
        self.state.put_user(id, user);
        self.event(Event::UserChanged { user: id });
        Ok(())
    }

    fn set_password(&mut self, user: UserId, hash: &PasswordHash, end_other_sessions: bool) -> Ruled {
        validate::password_hash(hash)?;
        let now_ms = self.now_ms;
        self.change_user(user, |record| {
            record.password_hash = hash.clone();
            record.password_set_ms = now_ms;
        })?;
        self.forget_resets(user);
        let (own, session) = match self.actor.kind {
            ActorKind::User { user: by, session } => (by == user, Some(session)),
            _ => (false, None),
        };
        // Set by somebody else, every sign-in ends: whoever had the old passphrase is out.
        if !own {
            self.end_sessions(user, None);
        } else if end_other_sessions {
            self.end_sessions(user, session);
        }
        Ok(Outcome::Done)
    }

    fn start_reset(&mut self, user: UserId, secret_hash: SecretHash, expires_ms: u64) -> Ruled {
        validate::expiry(self.now_ms, expires_ms, Limits::LINK_MS)?;
        if self.state.user(user).is_none() {
            return Err(Refusal::NotFound(Noun::User));
        }
        if self.state.records.resets.contains_key(&secret_hash) {
            return Err(Refusal::DuplicateId(Noun::User));
        }
        self.forget_resets(user);
        self.room(self.state.records.resets.len(), Limits::RESETS, Noun::User)?;
        self.state.records.resets.insert(secret_hash, Reset { user, expires_ms }.into());
        Ok(Outcome::Done)
    }

    /// Drops the reset links of `user`, and those whose time is over.
    fn forget_resets(&mut self, user: UserId) {
        let now_ms = self.now_ms;
        let gone: Vec<SecretHash> = self
            .state
            .records
            .resets
            .iter()
            .filter(|(_, reset)| reset.user == user || reset.expires_ms <= now_ms)
            .map(|(secret, _)| *secret)
            .collect();
        for secret in gone {
            self.state.records.resets.remove(&secret);
        }
    }

    fn finish_reset(&mut self, secret_hash: &SecretHash, hash: &PasswordHash) -> Ruled {
        validate::password_hash(hash)?;
        let reset = self.state.reset_by_secret(secret_hash).ok_or(Refusal::LinkNotValid)?;
        if reset.expires_ms <= self.now_ms {
            return Err(Refusal::LinkNotValid);
        }
        let user = reset.user;
        let now_ms = self.now_ms;
        self.change_user(user, |record| {
            record.password_hash = hash.clone();
            record.password_set_ms = now_ms;
        })?;
        self.forget_resets(user);
        self.end_sessions(user, None);
        Ok(Outcome::User { user, application: None })
    }

    /// Refuses to lose the last cluster admin who may sign in.
    fn keep_an_admin(&self, without: UserId) -> Result<(), Refusal> {
        let admins = &self.state.indexes.admins;
        let last = admins.contains(&without) && admins.len() == 1;
        if last { Err(Refusal::LastClusterAdmin) } else { Ok(()) }
    }

    fn suspend_user(&mut self, user: UserId, suspended: bool) -> Ruled {
        if suspended {
            self.keep_an_admin(user)?;
        }
        self.change_user(user, |record| record.suspended = suspended)?;
        if suspended {
            self.forget_resets(user);
            self.end_sessions(user, None);
        }
        Ok(Outcome::Done)
    }

    fn set_cluster_admin(&mut self, user: UserId, admin: bool) -> Ruled {
        if !admin {
            self.keep_an_admin(user)?;
        }
        self.change_user(user, |record| record.cluster_admin = admin)?;
        Ok(Outcome::Done)
    }

    fn delete_user(&mut self, user: UserId) -> Ruled {
        self.keep_an_admin(user)?;
        self.end_sessions(user, None);
        self.forget_resets(user);
        let joined: Vec<ApplicationId> =
            self.state.memberships_of(user).map(|member| member.application).collect();
        for application in joined {
            self.state.drop_member((application, user));
            self.event(Event::MembersChanged { application });
        }
        self.state.records.views.forget_watcher(Watcher::Person(user));
        self.state.remove_user(user).ok_or(Refusal::NotFound(Noun::User))?;
        self.event(Event::UserRemoved { user });
        Ok(Outcome::Done)
    }

    fn create_session(
        &mut self,
        id: SessionId,
        user: UserId,
        secret_hash: SecretHash,
        expires_ms: u64,
        user_agent: &str,
    ) -> Ruled {
        let found = self.state.user(user).ok_or(Refusal::NotFound(Noun::User))?;
        if found.suspended {
            return Err(Refusal::Suspended);
        }
        validate::expiry(self.now_ms, expires_ms, Limits::SESSION_MS)?;
        validate::line("user_agent", user_agent, Limits::REASON)
            .map_err(|_| Refusal::invalid("user_agent", Problem::Malformed))?;
        self.open_session(id, user, secret_hash, expires_ms, user_agent)
    }
}
