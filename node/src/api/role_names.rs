//! Roles and abilities as the API writes them, and which of the two kinds of role a body gives.

use cluster::command::{Abilities, Ability, Role};
use cluster::id::RoleId;
use cluster::state::CustomRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// What somebody may do in an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// Everything, members and keys included.
    Admin,
    /// Uploads, edits, publishes, deletes.
    User,
    /// Sees everything, changes nothing.
    ReadOnly,
    /// Watches what is published.
    Viewer,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::User => Self::User,
            Role::ReadOnly => Self::ReadOnly,
            Role::Viewer => Self::Viewer,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Admin => Self::Admin,
            RoleName::User => Self::User,
            RoleName::ReadOnly => Self::ReadOnly,
            RoleName::Viewer => Self::Viewer,
        }
    }
}

macro_rules! ability_names {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Something a role of the application's own allows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum AbilityName {
            $($(#[$doc])* $name,)*
        }

        impl From<Ability> for AbilityName {
            fn from(ability: Ability) -> Self {
                match ability { $(Ability::$name => Self::$name,)* }
            }
        }

        impl From<AbilityName> for Ability {
            fn from(ability: AbilityName) -> Self {
                match ability { $(AbilityName::$name => Self::$name,)* }
            }
        }
    };
}

ability_names! {
    /// Watching.
    Watch,
    /// Downloading a rendition.
    Download,
    /// Downloading the original.
    DownloadOriginal,
    /// Seeing what is not published, the trash, and work under way.
    SeeAll,
    /// Uploading, and giving up an upload.
    Upload,
    /// Title, description, tags, fields, poster and captions.
    Describe,
    /// Publishing and unpublishing.
    Publish,
    /// Who may watch, and ending running Views.
    Access,
    /// To the trash and back.
    Trash,
    /// Making, renaming and removing collections.
    Collections,
    /// Stopping and repeating work on an asset.
    Process,
    /// Removing for good.
    Purge,
    /// Legal hold.
    Hold,
    /// How long a collection's assets are kept.
    Retention,
    /// Members, invitations and roles.
    Members,
    /// API keys.
    Keys,
    /// The application's name and settings.
    Settings,
    /// The application's audit log.
    Audit,
    /// The node's counters, with an API key.
    Metrics,
}

/// Each ability of a set, in a fixed order.
pub(super) fn names(abilities: Abilities) -> Vec<AbilityName> {
    abilities.iter().map(AbilityName::from).collect()
}

/// A role of the application's own.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NamedRole {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
}

impl NamedRole {
    /// As it is shown beside whoever has it.
    pub(super) fn of(role: &CustomRole) -> Self {
        Self { id: role.id.to_string(), name: role.name.clone() }
    }
}

/// The role that a body gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenRole {
    BuiltIn(Role),
    Custom(RoleId),
}

impl GivenRole {
    /// From a body's `role` and `custom_role`, of which there must be one.
    pub(super) fn of(role: Option<RoleName>, custom_role: Option<&str>) -> Result<Self, Problem> {
        match (role, custom_role) {
            (Some(role), None) => Ok(Self::BuiltIn(role.into())),
            (None, Some(id)) => {
                let malformed = |_| Problem::invalid("invalid", "custom_role is no id of a role.");
                id.parse().map(Self::Custom).map_err(malformed)
            }
            _ => Err(Problem::invalid("invalid", "Give either role or custom_role.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ability_is_written_as_in_audit_records() {
        for ability in Ability::ALL {
            let written = serde_json::to_value(AbilityName::from(*ability)).unwrap();
            assert_eq!(written, ability.word());
            assert_eq!(Ability::from(AbilityName::from(*ability)), *ability);
        }
    }
}
