//! Everything one can do or see, and what it needs.

use crate::command::{Ability, Role};
use crate::id::{ApiKeyId, ApplicationId, AssetId, CollectionId, InviteId, JobId, NodeId, SessionId, UserId};

/// On what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The cluster as a whole.
    Cluster,
    /// An application, or a list inside it.
    Application(ApplicationId),
    /// An asset.
    Asset(AssetId),
    /// A collection.
    Collection(CollectionId),
    /// A Job.
    Job(JobId),
    /// An invitation.
    Invite(InviteId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// A sign-in.
    Session(SessionId),
    /// A person.
    User(UserId),
    /// A person's place in an application.
    Member(ApplicationId, UserId),
    /// A node.
    Node(NodeId),
}

/// What an action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing: the Command carries its own proof, or is a record of what was tried.
    Anyone,
    /// Anybody signed in, and nodes.
    SignedIn,
    /// A signed-in person.
    Person,
    /// At least this role where the target is.
    Role(Role),
    /// At least this role, and not by an API key: an API key makes no keys and lets nobody in.
    PersonRole(Role),
    /// At least this role, or a node doing its work.
    RoleOrNode(Role),
    /// One's own, or a cluster admin.
    Own,
    /// One's own, a cluster admin, or a node.
    OwnOrNode,
    /// Taking a member out: an admin there, or the member.
    Leave,
    /// A cluster admin.
    ClusterAdmin,
    /// A cluster admin, or an application's admin key: what a monitoring system is given.
    AdminOrKey,
    /// A cluster admin or a node.
    AdminOrNode,
    /// A node.
    Node,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $rule:expr,)*) => {
        /// Everything one can do or see.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub(super) fn rule(self) -> Rule {
                match self {
                    $(Self::$name => $rule,)*
                }
            }
        }
    };
}

actions! {
    // --- Reads -----------------------------------------------------------------------------------------------------
    /// Node, disk, copies, warnings. On the cluster.
    SeeStatus => Rule::SignedIn,
    /// The stream of events; each event is filtered by what one may see. On the cluster.
    FollowEvents => Rule::SignedIn,
    /// All people. On the cluster.
    ListUsers => Rule::ClusterAdmin,
    /// All applications with their settings. On the cluster.
    ListApplications => Rule::SignedIn,
    /// A person.
    SeeUser => Rule::Role(Role::Viewer),
    /// A person's sign-ins.
    ListSessions => Rule::Own,
    /// An application's name and settings.
    SeeApplication => Rule::Role(Role::Viewer),
    /// Who belongs to an application.
    ListMembers => Rule::Role(Role::User),
    /// An application's own roles, to give one or to know what somebody has.
    ListRoles => Rule::Role(Role::User),
    /// An application's invitations.
    ListInvites => Rule::Role(Role::Admin),
    /// An application's API keys.
    ListApiKeys => Rule::Role(Role::Admin),
    /// An application's collections.
    ListCollections => Rule::Role(Role::Viewer),
    /// An application's assets; each is filtered by `sees_asset`.
    ListAssets => Rule::Role(Role::Viewer),
    /// An application's trash.
    ListTrash => Rule::Role(Role::ReadOnly),
    /// An application's Jobs.
    ListJobs => Rule::Role(Role::ReadOnly),
    /// An asset's title, description, poster and the like.
    SeeAsset => Rule::Role(Role::Viewer),
    /// An asset's tracks, Blobs, holders, Job.
    SeeAssetDetail => Rule::Role(Role::ReadOnly),
    /// Pictures and words of an asset beside a View: storyboard, waveform, captions.
    SeeContent => Rule::Role(Role::Viewer),
    /// Starting a View.
    WatchAsset => Rule::Role(Role::Viewer),
    /// Downloading a rendition.
    DownloadAsset => Rule::Role(Role::Viewer),
    /// Downloading the original.
    DownloadOriginal => Rule::Role(Role::Viewer),
    /// A Job.
    SeeJob => Rule::Role(Role::ReadOnly),
    /// The audit log: of the cluster, or of an application.
    ReadAudit => Rule::Role(Role::Admin),
    /// Checking the whole audit chain. On the cluster.
    VerifyAudit => Rule::ClusterAdmin,
    /// The node's counters. On the cluster.
    ReadMetrics => Rule::AdminOrKey,
    /// The node's certificate. On the cluster.
    SeeCertificate => Rule::ClusterAdmin,
    /// Every use of cryptography. On the cluster.
    SeeCryptography => Rule::ClusterAdmin,
    /// Alerts, and where they are told. On the cluster.
    SeeAlerts => Rule::ClusterAdmin,

    // --- People and access -----------------------------------------------------------------------------------------
    /// First run.
    Claim => Rule::Anyone,
    /// Using an invitation as a new person: its secret is the proof.
    AcceptInvite => Rule::Anyone,
    /// Using an invitation as oneself.
    JoinByInvite => Rule::Person,
    /// Using a reset link: its secret is the proof.
    FinishReset => Rule::Anyone,
    /// Adding a person. On the cluster.
    CreateUser => Rule::ClusterAdmin,
    /// Suspending a person.
    SuspendUser => Rule::ClusterAdmin,
    /// Removing a person.
    DeleteUser => Rule::ClusterAdmin,
    /// Making a person cluster admin.
    SetClusterAdmin => Rule::ClusterAdmin,
    /// A new passphrase.
    SetPassword => Rule::Own,
    /// A reset link.
    StartReset => Rule::AdminOrNode,
    /// A sign-in, verified by the node.
    CreateSession => Rule::Node,
    /// Ending a sign-in.
    EndSession => Rule::OwnOrNode,
    /// Ending all sign-ins of a person.
    EndSessions => Rule::Own,
    /// A new application. On the cluster.
    CreateApplication => Rule::ClusterAdmin,
    /// An application's name and settings.
    UpdateApplication => Rule::PersonRole(Role::Admin),
    /// Removing an application, or to the trash with it.
    DeleteApplication => Rule::ClusterAdmin,
    /// Applications in the trash. On the cluster: in the application itself nobody has a role.
    ListTrashedApplications => Rule::ClusterAdmin,
    /// An application back from the trash. On the cluster.
    RestoreApplication => Rule::ClusterAdmin,
    /// An application out of the trash, for good. On the cluster.
    PurgeApplication => Rule::ClusterAdmin,
    /// Purging what is due of applications. On the cluster.
    ExpireApplication => Rule::Node,
    /// Making, changing and removing an application's own roles.
    ManageRoles => Rule::PersonRole(Role::Admin),
    /// Adding a member or changing a role.
    SetMember => Rule::PersonRole(Role::Admin),
    /// Taking a member out, or leaving.
    RemoveMember => Rule::Leave,
    /// An invitation.
    CreateInvite => Rule::PersonRole(Role::Admin),
    /// Withdrawing an invitation.
    RevokeInvite => Rule::PersonRole(Role::Admin),
    /// An API key.
    CreateApiKey => Rule::PersonRole(Role::Admin),
    /// Withdrawing an API key.
    RevokeApiKey => Rule::PersonRole(Role::Admin),
    /// Forgetting links that ended long ago. On the cluster.
    ForgetEndedLinks => Rule::Node,

    // --- Assets ----------------------------------------------------------------------------------------------------
    /// Uploading. On the application.
    CreateAsset => Rule::Role(Role::User),
    /// Opening, taking over, sealing and dropping Blobs, finishing the upload.
    WriteAsset => Rule::RoleOrNode(Role::User),
    /// Manifest, poster, first segments.
    SetAssetMedia => Rule::RoleOrNode(Role::User),
    /// Title, description, tags, fields, collections.
    DescribeAsset => Rule::Role(Role::User),
    /// Publishing and unpublishing.
    PublishAsset => Rule::Role(Role::User),
    /// Who may watch.
    SetAssetAccess => Rule::Role(Role::User),
    /// Ending a View of one's own. On the application.
    EndOwnView => Rule::Role(Role::Viewer),
    /// Ending running Views.
    EndViews => Rule::Role(Role::User),
    /// To the trash.
    TrashAsset => Rule::Role(Role::User),
    /// Back from the trash.
    RestoreAsset => Rule::Role(Role::User),
    /// Forgetting the key.
    PurgeAsset => Rule::Role(Role::Admin),
    /// Giving up an unfinished upload.
    AbandonUpload => Rule::RoleOrNode(Role::User),
    /// Purging what is due.
    ExpireAsset => Rule::Node,
    /// Which nodes hold the copies.
    PlaceAsset => Rule::Node,
    /// Legal hold.
    HoldAsset => Rule::Role(Role::Admin),
    /// A collection. On the application.
    CreateCollection => Rule::Role(Role::User),
    /// Renaming a collection.
    UpdateCollection => Rule::Role(Role::User),
    /// Removing a collection.
    DeleteCollection => Rule::Role(Role::User),
    /// How long a collection's assets are kept.
    SetRetention => Rule::Role(Role::Admin),

    // --- Jobs ------------------------------------------------------------------------------------------------------
    /// Queueing work on an asset.
    QueueJob => Rule::RoleOrNode(Role::User),
    /// Working: lease, finish, fail.
    WorkOnJob => Rule::Node,
    /// Stopping what is under way for an asset: its work, or its upload. Which of them it is says what else it takes.
    StopWork => Rule::RoleOrNode(Role::User),
    /// Stopping it.
    CancelJob => Rule::RoleOrNode(Role::User),
    /// Queueing it again.
    RetryJob => Rule::RoleOrNode(Role::User),

    // --- The cluster -----------------------------------------------------------------------------------------------
    /// The first entry.
    Initialise => Rule::Node,
    /// A new cluster key.
    RotateClusterKey => Rule::AdminOrNode,
    /// Rewrapping a data key.
    RewrapAssetKey => Rule::Node,
    /// The recovery key is written down.
    ConfirmRecoveryKey => Rule::ClusterAdmin,
    /// A new recovery key.
    ReplaceRecoveryKey => Rule::ClusterAdmin,
    /// A new key of a node.
    ReplaceNodeKey => Rule::Node,
    /// Holding time.
    SetTimeHold => Rule::AdminOrNode,
    /// The cluster's certificate authority.
    SetAuthority => Rule::Node,
    /// The secret that goes into hashes of passphrases.
    SetPepper => Rule::Node,
    /// Another certificate authority for nodes and edges, and giving that up. On the cluster.
    ReplaceAuthority => Rule::ClusterAdmin,
    /// The former authority is trusted no more.
    DropAuthority => Rule::Node,
    /// Who belongs to the cluster and how each node does. On the cluster.
    SeeCluster => Rule::ClusterAdmin,
    /// A token to join by. On the cluster.
    CreateJoinToken => Rule::ClusterAdmin,
    /// Taking in a node that showed a token. On the cluster.
    AdmitNode => Rule::Node,
    /// A node's own news: started, moved, caught up.
    ReportNode => Rule::Node,
    /// Emptying a node.
    DrainNode => Rule::ClusterAdmin,
    /// Removing a node for good.
    RemoveNode => Rule::ClusterAdmin,
    /// Installing and removing a node's own certificate.
    SetCertificate => Rule::ClusterAdmin,
    /// Going on without records that were acknowledged and lost.
    AcceptLoss => Rule::Node,
    /// Going on without most of the voters.
    RecoverQuorum => Rule::Node,
    /// Which site is near to whom. On the cluster.
    SetSiteMap => Rule::ClusterAdmin,
    /// A token for an edge to join by. On the cluster.
    CreateEdgeToken => Rule::ClusterAdmin,
    /// Taking in an edge that showed a token. On the cluster.
    AdmitEdge => Rule::Node,
    /// An edge's own news. On the cluster.
    ReportEdge => Rule::Node,
    /// Removing an edge for good. On the cluster.
    RemoveEdge => Rule::ClusterAdmin,
    /// What an edge holds before anybody asks for it. On the cluster.
    WarmEdge => Rule::ClusterAdmin,
    /// Having all edges forget something. On the cluster.
    PurgeEdges => Rule::ClusterAdmin,
    /// Places for backups, and runs. On the cluster.
    SeeBackups => Rule::ClusterAdmin,
    /// Setting and removing places for backups.
    SetBackupTarget => Rule::ClusterAdmin,
    /// A backup now, or a check of one.
    BeginBackup => Rule::AdminOrNode,
    /// Carrying out a run; giving up old ones.
    WorkOnBackup => Rule::Node,
    /// Saying what is wrong, and what was told.
    ReportAlerts => Rule::Node,
    /// Taking care of an alert. On the cluster.
    AcknowledgeAlert => Rule::ClusterAdmin,
    /// Where alerts are told. On the cluster.
    SetAlertChannels => Rule::ClusterAdmin,
    /// Recording what changes nothing.
    RecordAudit => Rule::Anyone,
}

impl Action {
    /// One of these is what a role must have; none for what goes by rank or by other rules alone.
    ///
    /// For a built-in role it comes to the same as the rank in the action's rule.
    pub(super) fn abilities(self) -> &'static [Ability] {
        match self {
            Self::WatchAsset => &[Ability::Watch],
            // Whoever describes a video has to know what is in it.
            Self::SeeContent => &[Ability::Watch, Ability::Describe],
            Self::DownloadAsset => &[Ability::Download],
            Self::DownloadOriginal => &[Ability::DownloadOriginal],
            Self::CreateAsset => &[Ability::Upload],
            Self::WriteAsset => &[Ability::Upload, Ability::Describe],
            Self::StopWork => &[Ability::Process, Ability::Upload, Ability::Trash],
            Self::AbandonUpload => &[Ability::Upload, Ability::Trash],
            Self::SetAssetMedia | Self::DescribeAsset => &[Ability::Describe],
            Self::PublishAsset => &[Ability::Publish],
            Self::SetAssetAccess | Self::EndViews => &[Ability::Access],
            // Whoever says who may watch must know who there is.
            Self::ListMembers => &[Ability::Access, Ability::Members],
            Self::ListRoles => &[Ability::Access, Ability::Members, Ability::Keys],
            Self::TrashAsset | Self::RestoreAsset => &[Ability::Trash],
            Self::CreateCollection | Self::UpdateCollection | Self::DeleteCollection => {
                &[Ability::Collections]
            }
            Self::QueueJob | Self::CancelJob | Self::RetryJob => &[Ability::Process],
            Self::PurgeAsset => &[Ability::Purge],
            Self::HoldAsset => &[Ability::Hold],
            Self::SetRetention => &[Ability::Retention],
            Self::ListInvites
            | Self::CreateInvite
            | Self::RevokeInvite
            | Self::SetMember
            | Self::RemoveMember
            | Self::ManageRoles => &[Ability::Members],
            Self::ListApiKeys | Self::CreateApiKey | Self::RevokeApiKey => &[Ability::Keys],
            Self::UpdateApplication => &[Ability::Settings],
            Self::ReadAudit => &[Ability::Audit],
            Self::ReadMetrics => &[Ability::Metrics],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_built_in_role_is_let_do_by_rank_it_has_the_ability_for() {
        for action in Action::ALL.iter().filter(|action| !action.abilities().is_empty()) {
            let least = action.abilities().iter().map(|ability| ability.least()).min();
            match action.rule() {
                Rule::Role(rank) | Rule::PersonRole(rank) | Rule::RoleOrNode(rank) => {
                    assert_eq!(least, Some(rank), "{action:?}");
                }
                Rule::Leave | Rule::AdminOrKey => assert_eq!(least, Some(Role::Admin), "{action:?}"),
                other => panic!("{action:?} has abilities, and goes by {other:?}"),
            }
        }
    }
}
