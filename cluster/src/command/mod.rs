//! Commands: every change there is. A handler builds one, the log agrees on it, `State::apply` carries it out.
//!
//! The encoding (postcard) is on disk: variants and fields are only ever added at the end, with a new version.

mod ability;
mod access;
mod alert;
mod asset;
mod audit;
mod backup;
mod cluster;
mod describe;
mod describe_asset;
mod edge;
mod job;
mod role;
mod values;
mod view;

pub use ability::{Abilities, Ability};
pub use access::{AccessCommand, ApplicationPatch};
pub use alert::{
    AlertChange, AlertChannels, AlertCommand, AlertFact, AlertScope, ChannelKind, ChannelSecret,
    EmailChannel, MailSecurity, Severity, SyslogChannel, SyslogTransport, WebhookChannel,
};
pub use asset::{AssetCommand, AssetPatch};
pub use audit::AuditCommand;
pub use backup::{BackupCommand, BackupKind, BackupResult, SealedSecret, TargetPlace, TargetSettings};
pub use cluster::ClusterCommand;
pub use edge::{EdgeCommand, NewEdge, Selection};
pub use job::JobCommand;
pub use role::RoleCommand;
pub use values::{
    AccessRule, BlobKind, Incarnation, JobFence, JobKind, KeyEpoch, KeyHolder, MediaFacts, NewNode,
    PasswordHash, Policy, Release, Role, SealedClusterKey, SecretHash, SiteNetwork, WrappedKey,
};
pub use view::ViewCommand;

use serde::{Deserialize, Serialize};

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// People, sign-ins, keys, applications and members.
    Access(AccessCommand),
    /// Assets, their Blobs, and collections.
    Asset(AssetCommand),
    /// Work on assets.
    Job(JobCommand),
    /// The cluster itself and its keys.
    Cluster(ClusterCommand),
    /// What is recorded without changing anything else.
    Audit(AuditCommand),
    /// Backups.
    Backup(BackupCommand),
    /// What is wrong, and where it is told.
    Alert(AlertCommand),
    /// Edge nodes.
    Edge(EdgeCommand),
    /// Views, where they are counted.
    View(ViewCommand),
    /// Roles of an application's own making.
    Role(RoleCommand),
}

macro_rules! into_command {
    ($($group:ident($inner:ident))*) => {$(
        impl From<$inner> for Command {
            fn from(command: $inner) -> Self {
                Self::$group(command)
            }
        }
    )*};
}

into_command! {
    Access(AccessCommand)
    Asset(AssetCommand)
    Job(JobCommand)
    Cluster(ClusterCommand)
    Audit(AuditCommand)
    Backup(BackupCommand)
    Alert(AlertCommand)
    Edge(EdgeCommand)
    View(ViewCommand)
    Role(RoleCommand)
}

impl Command {
    /// The newest level there is: what this build understands.
    pub const LEVEL: u32 = 2;

    /// From this level on, nodes take small Blobs whole ([`Replicas::put_whole`](crate::transfer::Replicas::put_whole)).
    pub const WHOLE_LEVEL: u32 = 2;

    /// From this level on, there is a pepper. A node below could not compare a passphrase with a hash that was made with
    /// it; such hashes are only made once [`ClusterCommand::SetPepper`] is carried out, which waits for all nodes.
    pub const PEPPER_LEVEL: u32 = 2;

    /// The level a node must have to understand this Command. What was added after the first release is proposed only
    /// once every node can carry it out ([`State::level`](crate::state::State::level)), so that nodes of two releases
    /// can be one cluster while they are updated one after another.
    #[must_use]
    pub fn level(&self) -> u32 {
        match self {
            Self::Cluster(
                ClusterCommand::SetSiteMap { .. }
                | ClusterCommand::ReplaceAuthority { .. }
                | ClusterCommand::ReportAuthority { .. }
                | ClusterCommand::DropAuthority { .. }
                | ClusterCommand::AbandonAuthority { .. }
                | ClusterCommand::RecoverQuorum { .. },
            )
            | Self::Alert(_)
            | Self::Edge(_)
            | Self::View(_)
            | Self::Access(AccessCommand::LimitViews { .. }) => 1,
            Self::Cluster(ClusterCommand::SetPepper { .. }) => Self::PEPPER_LEVEL,
            Self::Asset(AssetCommand::FinishUpload { .. }) => 1,
            Self::Asset(AssetCommand::SetRetention { .. })
            | Self::Access(
                AccessCommand::TrashApplication { .. }
                | AccessCommand::RestoreApplication { .. }
                | AccessCommand::PurgeApplication { .. }
                | AccessCommand::ExpireApplication { .. },
            )
            | Self::Role(_) => 2,
            Self::Job(command) if command.is_about_parts() => JobCommand::PARTS_LEVEL,
            // The only node there is then is the one that proposes it.
            Self::Backup(BackupCommand::Restored { .. }) => 0,
            Self::Backup(
                BackupCommand::SetPacedTarget { .. } | BackupCommand::Begin { kind: BackupKind::Interim, .. },
            ) => 2,
            Self::Backup(_) => 1,
            _ => 0,
        }
    }

    /// Whether it is only ever written to the log of a stopped node: whoever runs may not propose it.
    #[must_use]
    pub fn is_never_proposed(&self) -> bool {
        matches!(self, Self::Cluster(ClusterCommand::RecoverQuorum { .. }))
    }

    /// Whether it must be alone in its record of the log: a node and an edge get the record's number as their id.
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        matches!(
            self,
            Self::Cluster(ClusterCommand::AdmitNode { .. }) | Self::Edge(EdgeCommand::Admit { .. })
        )
    }
}
