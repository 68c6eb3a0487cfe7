//! Rules for sign-ins and API keys.

use super::apply::Change;
use super::limits::Limits;
use super::roles::Granted;
use super::validate;
use super::{ApiKey, Session, Watcher};
use crate::command::SecretHash;
use crate::event::Event;
use crate::id::{ApiKeyId, ApplicationId, SessionId, UserId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn open_session(
        &mut self,
        id: SessionId,
        user: UserId,
        secret_hash: SecretHash,
        expires_ms: u64,
        user_agent: &str,
    ) -> Ruled {
        if self.state.session(id).is_some() || self.state.session_by_secret(&secret_hash).is_some() {
            return Err(Refusal::DuplicateId(Noun::Session));
        }
        self.make_room_for_session(user);
        let session = Session {
            id,
            user,
            secret_hash,
            created_ms: self.now_ms,
            expires_ms,
            user_agent: user_agent.to_owned(),
        };
        self.state.put_session(id, session);
        Ok(Outcome::Done)
    }

    /// Ends what is over, and the oldest while there are too many.
    fn make_room_for_session(&mut self, user: UserId) {
        let now_ms = self.now_ms;
        let over: Vec<SessionId> = self
            .state
            .sessions_of(user)
            .filter(|session| session.expires_ms <= now_ms)
            .map(|session| session.id)
            .collect();
        over.into_iter().for_each(|session| self.close_session(session));
        let kept: Vec<SessionId> = self.state.sessions_of(user).map(|session| session.id).collect();
        let too_many = (kept.len() + 1).saturating_sub(Limits::SESSIONS_PER_USER);
        kept.into_iter().take(too_many).for_each(|session| self.close_session(session));
    }

    fn close_session(&mut self, id: SessionId) {
        if let Some(session) = self.state.remove_session(id) {
            self.event(Event::SessionEnded { session: id, user: session.user });
        }
    }

    pub(super) fn end_session(&mut self, id: SessionId) -> Ruled {
        if self.state.session(id).is_none() {
            return Err(Refusal::NotFound(Noun::Session));
        }
        self.close_session(id);
        Ok(Outcome::Done)
    }

    /// Ends every sign-in of `user` but `except`; answers how many.
    pub(super) fn end_sessions(&mut self, user: UserId, except: Option<SessionId>) -> u32 {
        let ended: Vec<SessionId> =
            self.state.sessions_of(user).map(|session| session.id).filter(|id| Some(*id) != except).collect();
        let count = u32::try_from(ended.len()).unwrap_or(u32::MAX);
        ended.into_iter().for_each(|session| self.close_session(session));
        count
    }

    pub(super) fn create_api_key(
        &mut self,
        (id, name): (ApiKeyId, &str),
        secret_hash: SecretHash,
        application: ApplicationId,
        granted: Granted,
        expires_ms: Option<u64>,
    ) -> Ruled {
        let role = self.may_give(application, granted)?;
        let name = validate::name("name", name)?;
        if let Some(expires_ms) = expires_ms {
            validate::expiry(self.now_ms, expires_ms, u64::MAX)?;
        }
        if self.state.api_key(id).is_some() || self.state.api_key_by_secret(&secret_hash).is_some() {
            return Err(Refusal::DuplicateId(Noun::ApiKey));
        }
        let have = self.state.api_keys_of(application).count();
        self.room(have, Limits::API_KEYS_PER_APPLICATION, Noun::ApiKey)?;
        let key = ApiKey {
            id,
            name,
            secret_hash,
            application,
            role,
            created_ms: self.now_ms,
            expires_ms,
            created_by: self.actor.kind,
        };
        self.state.put_api_key(id, key);
        self.state.note_key_role(id, granted);
        self.event(Event::ApiKeyChanged { key: id, application });
        Ok(Outcome::Done)
    }

    pub(super) fn revoke_api_key(&mut self, id: ApiKeyId) -> Ruled {
        let key = self.state.drop_api_key(id).ok_or(Refusal::NotFound(Noun::ApiKey))?;
        self.state.records.views.forget_watcher(Watcher::Key(id));
        self.event(Event::ApiKeyChanged { key: id, application: key.application });
        Ok(Outcome::Done)
    }
}
