//! Who an actor is, now: the sign-in or key looked at, not believed.

use crate::actor::{Actor, ActorKind};
use crate::command::{Abilities, Role};
use crate::id::{ApiKeyId, ApplicationId, SessionId, UserId};
use crate::refusal::{Needs, Refusal};
use crate::state::{CustomRole, State};

/// Who an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody signed in.
    Nobody,
    /// A node of this cluster.
    Node,
    /// A person with a sign-in that is good.
    Person {
        /// Who.
        user: UserId,
        /// The sign-in.
        session: SessionId,
        /// Sees and does everything.
        cluster_admin: bool,
    },
    /// Another system with a key that is good.
    Key {
        /// The key.
        key: ApiKeyId,
        /// Where.
        application: ApplicationId,
        /// As what.
        role: Role,
    },
}

/// Who `actor` is at `now_ms`.
///
/// # Errors
/// `SessionEnded` when the sign-in or key is unknown or over, `Suspended`, `Forbidden` for an unknown node.
pub fn standing(state: &State, actor: &Actor, now_ms: u64) -> Result<Standing, Refusal> {
    match actor.kind {
        ActorKind::Anonymous => Ok(Standing::Nobody),
        ActorKind::System(node) => match state.node(node) {
            Some(_) => Ok(Standing::Node),
            None => Err(Refusal::Forbidden { needs: Needs::Node }),
        },
        ActorKind::User { user, session } => person(state, user, session, now_ms),
        ActorKind::ApiKey(key) => {
            let found = state.api_key(key).ok_or(Refusal::SessionEnded)?;
            if found.expires_ms.is_some_and(|expires_ms| now_ms >= expires_ms) {
                return Err(Refusal::SessionEnded);
            }
            Ok(Standing::Key { key, application: found.application, role: found.role })
        }
    }
}

fn person(state: &State, user: UserId, session: SessionId, now_ms: u64) -> Result<Standing, Refusal> {
    // A suspended person has no sign-ins left, but is told why.
    let found = state.user(user).ok_or(Refusal::SessionEnded)?;
    if found.suspended {
        return Err(Refusal::Suspended);
    }
    let good = state.session(session).is_some_and(|found| found.user == user && now_ms < found.expires_ms);
    if !good {
        return Err(Refusal::SessionEnded);
    }
    Ok(Standing::Person { user, session, cluster_admin: found.cluster_admin })
}

impl Standing {
    /// The role in an application. A cluster admin is admin in every one there is; in one in the trash nobody has a role.
    #[must_use]
    pub fn role_in(&self, state: &State, application: ApplicationId) -> Option<Role> {
        match self {
            Self::Nobody | Self::Node => None,
            Self::Person { user, .. } => state.role_of(*user, application),
            Self::Key { application: own, role, .. } => {
                let is_there = *own == application && state.trashed_application(application).is_none();
                is_there.then_some(*role)
            }
        }
    }

    /// The role of the application's own that they have there.
    pub(super) fn custom_role_in<'a>(
        &self,
        state: &'a State,
        application: ApplicationId,
    ) -> Option<&'a CustomRole> {
        let role = match self {
            Self::Person { user, cluster_admin: false, .. } => state.custom_role_of(application, *user),
            Self::Key { key, application: own, .. } if *own == application => {
                state.custom_role_of_key(state.api_key(*key)?)
            }
            _ => None,
        };
        role.map(|role| &**role)
    }

    /// What they may in an application.
    #[must_use]
    pub fn abilities_in(&self, state: &State, application: ApplicationId) -> Abilities {
        let Some(role) = self.role_in(state, application) else { return Abilities::NONE };
        self.custom_role_in(state, application).map_or(Abilities::of(role), |custom| custom.abilities)
    }

    /// Where a key is for.
    pub(super) fn application_of_key(&self) -> Option<ApplicationId> {
        match self {
            Self::Key { application, .. } => Some(*application),
            _ => None,
        }
    }

    /// The person, when it is one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Person { user, .. } => Some(*user),
            _ => None,
        }
    }

    /// Whether a cluster admin.
    #[must_use]
    pub fn is_cluster_admin(&self) -> bool {
        matches!(self, Self::Person { cluster_admin: true, .. })
    }
}
