//! Commands about roles of an application's own making.

use serde::{Deserialize, Serialize};

use super::ability::{Abilities, Ability};
use super::describe::{Subject, named_user};
use super::values::SecretHash;
use crate::id::{ApiKeyId, ApplicationId, InviteId, RoleId, UserId};
use crate::state::State;

/// A change of an application's own roles, or of who has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleCommand {
    /// A new role.
    Create {
        /// Where.
        application: ApplicationId,
        /// The role.
        role: RoleId,
        /// What people call it.
        name: String,
        /// What it allows.
        abilities: Abilities,
    },
    /// Another name for a role, or other abilities: at once for everybody who has it.
    Update {
        /// Where.
        application: ApplicationId,
        /// Which.
        role: RoleId,
        /// What people call it.
        name: String,
        /// What it allows.
        abilities: Abilities,
    },
    /// Removes a role that nobody has.
    Delete {
        /// Where.
        application: ApplicationId,
        /// Which.
        role: RoleId,
    },
    /// Adds a person to an application with such a role, or gives it to a member.
    Give {
        /// Where.
        application: ApplicationId,
        /// Whom.
        user: UserId,
        /// Which.
        role: RoleId,
    },
    /// An invitation to join an application with such a role.
    Invite {
        /// The invitation.
        invite: InviteId,
        /// What one joins.
        application: ApplicationId,
        /// As what.
        role: RoleId,
        /// Hash of the secret in the link.
        secret_hash: SecretHash,
        /// When it ends.
        expires_ms: u64,
    },
    /// A key for another system, with such a role.
    CreateApiKey {
        /// The key.
        key: ApiKeyId,
        /// What people call it.
        name: String,
        /// Hash of its secret.
        secret_hash: SecretHash,
        /// The one application it is for.
        application: ApplicationId,
        /// As what.
        role: RoleId,
        /// When it ends; `None`: when revoked.
        expires_ms: Option<u64>,
    },
}

impl RoleCommand {
    /// What is done, as the audit log writes it: who gets a role is what it is with a built-in one.
    pub(super) fn action_name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "role.create",
            Self::Update { .. } => "role.update",
            Self::Delete { .. } => "role.delete",
            Self::Give { .. } => "member.set",
            Self::Invite { .. } => "invite.create",
            Self::CreateApiKey { .. } => "api_key.create",
        }
    }

    pub(super) fn subject(&self, state: &State) -> Subject {
        match self {
            Self::Create { application, role, name, abilities }
            | Self::Update { application, role, name, abilities } => {
                let words: Vec<_> = abilities.completed().iter().map(Ability::word).collect();
                Subject::of("role", role)
                    .inside(Some(*application))
                    .with("name", name)
                    .with("abilities", words.join(" "))
            }
            Self::Delete { application, role } => {
                named(Subject::of("role", role), state, *application, *role)
            }
            Self::Give { application, user, role } => {
                let subject = named_user(state, *user).with("role", role);
                named(subject, state, *application, *role)
            }
            Self::Invite { invite, application, role, .. } => {
                let subject = Subject::of("invite", invite).with("role", role);
                named(subject, state, *application, *role)
            }
            Self::CreateApiKey { key, application, role, name, .. } => {
                let subject = Subject::of("api_key", key).with("role", role).with("name", name);
                named(subject, state, *application, *role)
            }
        }
    }
}

/// With the name the role has now.
fn named(subject: Subject, state: &State, application: ApplicationId, role: RoleId) -> Subject {
    let subject = subject.inside(Some(application));
    match state.custom_role(application, role) {
        Some(found) => subject.with("role_name", &found.name),
        None => subject,
    }
}
