//! Which Action on which Target each Command is.

use super::action::{Action, Target};
use crate::command::{
    AccessCommand, AlertCommand, AssetCommand, BackupCommand, ClusterCommand, Command, EdgeCommand,
    JobCommand, RoleCommand, ViewCommand,
};

/// What `command` needs to be allowed.
#[must_use]
pub fn required(command: &Command) -> (Action, Target) {
    match command {
        Command::Access(command) => access(command),
        Command::Asset(command) => asset(command),
        Command::Job(command) => job(command),
        Command::Cluster(command) => cluster(command),
        Command::Audit(_) => (Action::RecordAudit, Target::Cluster),
        Command::Backup(command) => (backup(command), Target::Cluster),
        Command::Alert(command) => (alert(command), Target::Cluster),
        Command::Edge(command) => (edge(command), Target::Cluster),
        Command::View(command) => view(command),
        Command::Role(command) => role(command),
    }
}

fn access(command: &AccessCommand) -> (Action, Target) {
    use AccessCommand as C;
    match command {
        C::Claim { .. } => (Action::Claim, Target::Cluster),
        C::CreateUser { .. } => (Action::CreateUser, Target::Cluster),
        C::AcceptInvite { .. } => (Action::AcceptInvite, Target::Cluster),
        C::JoinByInvite { .. } => (Action::JoinByInvite, Target::Cluster),
        C::FinishReset { .. } => (Action::FinishReset, Target::Cluster),
        C::CreateInvite { application, .. } => (Action::CreateInvite, Target::Application(*application)),
        C::RevokeInvite { invite } => (Action::RevokeInvite, Target::Invite(*invite)),
        C::SetPassword { user, .. } => (Action::SetPassword, Target::User(*user)),
        C::StartReset { user, .. } => (Action::StartReset, Target::User(*user)),
        C::SuspendUser { user, .. } => (Action::SuspendUser, Target::User(*user)),
        C::DeleteUser { user } => (Action::DeleteUser, Target::User(*user)),
        C::SetClusterAdmin { user, .. } => (Action::SetClusterAdmin, Target::User(*user)),
        C::CreateSession { user, .. } => (Action::CreateSession, Target::User(*user)),
        C::EndSession { session } => (Action::EndSession, Target::Session(*session)),
        C::EndSessions { user, .. } => (Action::EndSessions, Target::User(*user)),
        C::CreateApiKey { application, .. } => (Action::CreateApiKey, Target::Application(*application)),
        C::RevokeApiKey { key } => (Action::RevokeApiKey, Target::ApiKey(*key)),
        C::CreateApplication { .. } => (Action::CreateApplication, Target::Cluster),
        C::UpdateApplication { application, .. } | C::LimitViews { application, .. } => {
            (Action::UpdateApplication, Target::Application(*application))
        }
        C::DeleteApplication { application } => {
            (Action::DeleteApplication, Target::Application(*application))
        }
        C::TrashApplication { application } => (Action::DeleteApplication, Target::Application(*application)),
        C::RestoreApplication { .. } => (Action::RestoreApplication, Target::Cluster),
        C::PurgeApplication { .. } => (Action::PurgeApplication, Target::Cluster),
        C::ExpireApplication { .. } => (Action::ExpireApplication, Target::Cluster),
        C::SetMember { application, .. } => (Action::SetMember, Target::Application(*application)),
        C::ForgetEndedLinks => (Action::ForgetEndedLinks, Target::Cluster),
        C::RemoveMember { application, user } => (Action::RemoveMember, Target::Member(*application, *user)),
    }
}

fn asset(command: &AssetCommand) -> (Action, Target) {
    use AssetCommand as C;
    let (action, asset) = match command {
        C::Create { application, .. } => return (Action::CreateAsset, Target::Application(*application)),
        C::CreateCollection { application, .. } => {
            return (Action::CreateCollection, Target::Application(*application));
        }
        C::UpdateCollection { collection, .. } => {
            return (Action::UpdateCollection, Target::Collection(*collection));
        }
        C::DeleteCollection { collection } => {
            return (Action::DeleteCollection, Target::Collection(*collection));
        }
        C::SetRetention { collection, .. } => {
            return (Action::SetRetention, Target::Collection(*collection));
        }
        C::OpenBlob { asset, .. }
        | C::TakeOverBlob { asset, .. }
        | C::SealBlob { asset, .. }
        | C::DropBlob { asset, .. }
        | C::UploadFinished { asset, .. }
        | C::FinishUpload { asset, .. } => (Action::WriteAsset, asset),
        C::SetWatchable { asset, .. } | C::SetManifest { asset, .. } | C::SetPoster { asset, .. } => {
            (Action::SetAssetMedia, asset)
        }
        C::Describe { asset, .. } => (Action::DescribeAsset, asset),
        C::Publish { asset, .. } => (Action::PublishAsset, asset),
        C::SetAccess { asset, .. } => (Action::SetAssetAccess, asset),
        C::EndViews { asset } => (Action::EndViews, asset),
        C::Trash { asset } => (Action::TrashAsset, asset),
        C::Restore { asset } => (Action::RestoreAsset, asset),
        C::Purge { asset } => (Action::PurgeAsset, asset),
        C::AbandonUpload { asset } => (Action::AbandonUpload, asset),
        C::Expire { asset } => (Action::ExpireAsset, asset),
        C::SetLegalHold { asset, .. } => (Action::HoldAsset, asset),
        C::Place { asset, .. }
        | C::AddHolder { asset, .. }
        | C::DropHolder { asset, .. }
        | C::ReplaceHolder { asset, .. } => (Action::PlaceAsset, asset),
    };
    (action, Target::Asset(*asset))
}

fn job(command: &JobCommand) -> (Action, Target) {
    match command {
        JobCommand::Queue { asset, .. } => (Action::QueueJob, Target::Asset(*asset)),
        JobCommand::Lease { job, .. }
        | JobCommand::Finish { job, .. }
        | JobCommand::Fail { job, .. }
        | JobCommand::Split { job, .. }
        | JobCommand::LeasePart { job, .. }
        | JobCommand::OpenPart { job, .. }
        | JobCommand::FinishPart { job, .. }
        | JobCommand::FailPart { job, .. }
        | JobCommand::KeepPart { job, .. } => (Action::WorkOnJob, Target::Job(*job)),
        JobCommand::Cancel { job } => (Action::CancelJob, Target::Job(*job)),
        JobCommand::Retry { job } => (Action::RetryJob, Target::Job(*job)),
    }
}

fn cluster(command: &ClusterCommand) -> (Action, Target) {
    match command {
        ClusterCommand::Initialise { .. } => (Action::Initialise, Target::Cluster),
        ClusterCommand::RotateClusterKey { .. } => (Action::RotateClusterKey, Target::Cluster),
        ClusterCommand::RewrapAssetKey { asset, .. } => (Action::RewrapAssetKey, Target::Asset(*asset)),
        ClusterCommand::ConfirmRecoveryKey => (Action::ConfirmRecoveryKey, Target::Cluster),
        ClusterCommand::ReplaceRecoveryKey { .. } => (Action::ReplaceRecoveryKey, Target::Cluster),
        ClusterCommand::ReplaceNodeKey { node, .. } => (Action::ReplaceNodeKey, Target::Node(*node)),
        ClusterCommand::SetTimeHold { .. } => (Action::SetTimeHold, Target::Cluster),
        ClusterCommand::SetAuthority { .. } => (Action::SetAuthority, Target::Cluster),
        ClusterCommand::SetPepper { .. } => (Action::SetPepper, Target::Cluster),
        ClusterCommand::CreateJoinToken { .. } => (Action::CreateJoinToken, Target::Cluster),
        ClusterCommand::AdmitNode { .. } => (Action::AdmitNode, Target::Cluster),
        ClusterCommand::ReportNode { node, .. }
        | ClusterCommand::ActivateNode { node }
        | ClusterCommand::ReportRelease { node, .. }
        | ClusterCommand::ReportAuthority { node, .. } => (Action::ReportNode, Target::Node(*node)),
        ClusterCommand::ReplaceAuthority { .. } | ClusterCommand::AbandonAuthority { .. } => {
            (Action::ReplaceAuthority, Target::Cluster)
        }
        ClusterCommand::DropAuthority { .. } => (Action::DropAuthority, Target::Cluster),
        ClusterCommand::DrainNode { node, .. } => (Action::DrainNode, Target::Node(*node)),
        ClusterCommand::RemoveNode { node } => (Action::RemoveNode, Target::Node(*node)),
        ClusterCommand::InstallCertificate { .. } | ClusterCommand::RemoveCertificate { .. } => {
            (Action::SetCertificate, Target::Cluster)
        }
        ClusterCommand::AcceptLoss { .. } => (Action::AcceptLoss, Target::Cluster),
        ClusterCommand::RecoverQuorum { survivor, .. } => (Action::RecoverQuorum, Target::Node(*survivor)),
        ClusterCommand::SetSiteMap { .. } => (Action::SetSiteMap, Target::Cluster),
    }
}

fn role(command: &RoleCommand) -> (Action, Target) {
    match command {
        RoleCommand::Create { application, .. }
        | RoleCommand::Update { application, .. }
        | RoleCommand::Delete { application, .. } => (Action::ManageRoles, Target::Application(*application)),
        RoleCommand::Give { application, .. } => (Action::SetMember, Target::Application(*application)),
        RoleCommand::Invite { application, .. } => (Action::CreateInvite, Target::Application(*application)),
        RoleCommand::CreateApiKey { application, .. } => {
            (Action::CreateApiKey, Target::Application(*application))
        }
    }
}

fn view(command: &ViewCommand) -> (Action, Target) {
    match command {
        ViewCommand::Start { asset, .. } | ViewCommand::Prolong { asset, .. } => {
            (Action::WatchAsset, Target::Asset(*asset))
        }
        ViewCommand::End { application, .. } => (Action::EndOwnView, Target::Application(*application)),
    }
}

fn edge(command: &EdgeCommand) -> Action {
    match command {
        EdgeCommand::CreateToken { .. } => Action::CreateEdgeToken,
        EdgeCommand::Admit { .. } => Action::AdmitEdge,
        EdgeCommand::Report { .. } | EdgeCommand::ReportAuthority { .. } => Action::ReportEdge,
        EdgeCommand::Remove { .. } => Action::RemoveEdge,
        EdgeCommand::Warm { .. } | EdgeCommand::EndWarm { .. } => Action::WarmEdge,
        EdgeCommand::Purge { .. } => Action::PurgeEdges,
    }
}

fn backup(command: &BackupCommand) -> Action {
    match command {
        BackupCommand::SetTarget { .. }
        | BackupCommand::SetPacedTarget { .. }
        | BackupCommand::RemoveTarget { .. } => Action::SetBackupTarget,
        BackupCommand::Begin { .. } => Action::BeginBackup,
        BackupCommand::TakeOver { .. }
        | BackupCommand::Renew { .. }
        | BackupCommand::Finish { .. }
        | BackupCommand::Fail { .. }
        | BackupCommand::Expire { .. }
        | BackupCommand::Forget { .. }
        | BackupCommand::Restored { .. } => Action::WorkOnBackup,
    }
}

fn alert(command: &AlertCommand) -> Action {
    match command {
        AlertCommand::Observe { .. } | AlertCommand::NoteDelivery { .. } => Action::ReportAlerts,
        AlertCommand::Acknowledge { .. } => Action::AcknowledgeAlert,
        AlertCommand::SetChannels { .. } => Action::SetAlertChannels,
    }
}
