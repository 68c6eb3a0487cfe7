//! Roles as the API writes them.

use cluster::command::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
