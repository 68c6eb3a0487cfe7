//! What each operation needs before anything of its body is looked at: one table, one place.
//!
//! [`Routes`](crate::routes::Routes) looks every operation up here and puts [`enforce`] around its handler. So whoever
//! may not do something learns only that, whatever was sent: 401 and 404 and 403 come before 400, 413 and 415. A change
//! is decided once more inside `State::apply`, by the same `cluster::permission::check`.

use std::collections::BTreeMap;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest};
use cluster::command::AuditCommand;
use cluster::id::{ApplicationId, NodeId};
use cluster::permission::{Action, Target};
use cluster::state::State;

use super::Caller;
use crate::problem::Problem;

/// What is named by an operation's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Cluster,
    Application,
    Asset,
    Collection,
    Job,
    User,
    Session,
    ApiKey,
    Invite,
    Member,
    Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nothing, or a proof that only the handler can look at.
    Open,
    /// A credential; the rest depends on what is asked for.
    SignedIn,
    /// A signed-in person.
    Person,
    /// Leave for an action where the path says.
    May(Action, Place),
}

/// What one operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    rule: Rule,
    /// The audit log's word for it, when being refused it is put on record.
    recorded: Option<&'static str>,
    /// Cannot be taken back, or concerns the safety of the whole cluster: the passphrase must have been given lately.
    grave: bool,
}

impl Need {
    /// Nothing has to be looked at before the handler.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.rule == Rule::Open
    }

    /// The audit log's word for the operation, when it changes something or shows something sensitive.
    #[must_use]
    pub fn recorded(self) -> Option<&'static str> {
        self.recorded
    }
}

const OPEN: Need = Need { rule: Rule::Open, recorded: None, grave: false };

fn see(action: Action, place: Place) -> Need {
    Need { rule: Rule::May(action, place), recorded: None, grave: false }
}

fn change(recorded: &'static str, action: Action, place: Place) -> Need {
    Need { rule: Rule::May(action, place), recorded: Some(recorded), grave: false }
}

fn grave(recorded: &'static str, action: Action, place: Place) -> Need {
    Need { grave: true, ..change(recorded, action, place) }
}

/// What the operation of this name needs; none for a name that is not in the table.
#[must_use]
pub fn of(operation: &str) -> Option<Need> {
    open(operation).or_else(|| reads(operation)).or_else(|| people(operation)).or_else(|| assets(operation))
}

fn open(operation: &str) -> Option<Need> {
    Some(match operation {
        "security_contact_view"
        | "docs_view"
        | "docs_style"
        | "docs_script"
        | "openapi_view"
        | "system_view"
        | "system_authority"
        | "health_view"
        | "readiness_view"
        | "upload_options"
        | "play_options" => OPEN,
        // The claim code, passphrase, or secret of a link in the body is the proof.
        "claim_create" | "session_create" | "invite_accept" | "reset_finish" => OPEN,
        // So is the token in the path; counters are also open to listed addresses.
        "play_file" | "download_file" | "metrics_view" => OPEN,
        _ => return None,
    })
}

fn reads(operation: &str) -> Option<Need> {
    use Action as A;
    use Place as P;
    Some(match operation {
        "trashed_application_list" => see(A::ListTrashedApplications, P::Cluster),
        "application_list" => see(A::ListApplications, P::Cluster),
        "application_view" => see(A::SeeApplication, P::Application),
        "api_key_list" => see(A::ListApiKeys, P::Application),
        "asset_list" => see(A::ListAssets, P::Application),
        "collection_list" => see(A::ListCollections, P::Application),
        "role_list" => see(A::ListRoles, P::Application),
        "invite_list" => see(A::ListInvites, P::Application),
        "member_list" => see(A::ListMembers, P::Application),
        "tag_list" => see(A::ListTrash, P::Application),
        "poster_show" | "asset_view" => see(A::SeeAsset, P::Asset),
        "storyboard_show" | "storyboard_index" | "waveform_show" => see(A::SeeContent, P::Asset),
        "asset_detail" | "captions_show" => see(A::SeeAssetDetail, P::Asset),
        "upload_head" => see(A::CreateAsset, P::Asset),
        "event_stream" => see(A::FollowEvents, P::Cluster),
        "system_status" => see(A::SeeStatus, P::Cluster),
        "cluster_view" | "site_map_view" | "edge_list" => see(A::SeeCluster, P::Cluster),
        "alert_list" | "alert_channels_view" => see(A::SeeAlerts, P::Cluster),
        "cryptography_view" => see(A::SeeCryptography, P::Cluster),
        "certificate_view" => see(A::SeeCertificate, P::Cluster),
        "backup_list" | "backup_view" | "backup_target_list" => see(A::SeeBackups, P::Cluster),
        "user_list" => see(A::ListUsers, P::Cluster),
        "user_view" => see(A::SeeUser, P::User),
        "audit_verify" => see(A::VerifyAudit, P::Cluster),
        // Of one application or of all: the query says.
        "audit_list" | "job_list" => Need { rule: Rule::SignedIn, recorded: None, grave: false },
        "me_view" | "session_list" => Need { rule: Rule::Person, recorded: None, grave: false },
        _ => return None,
    })
}

fn people(operation: &str) -> Option<Need> {
    use Action as A;
    use Place as P;
    let person = |recorded| Need { rule: Rule::Person, recorded: Some(recorded), grave: false };
    Some(match operation {
        "application_create" => change("application.create", A::CreateApplication, P::Cluster),
        "application_update" => change("application.update", A::UpdateApplication, P::Application),
        "application_delete" => grave("application.trash", A::DeleteApplication, P::Application),
        "trashed_application_restore" => change("application.restore", A::RestoreApplication, P::Cluster),
        "trashed_application_purge" => grave("application.purge", A::PurgeApplication, P::Cluster),
        "api_key_create" => change("api_key.create", A::CreateApiKey, P::Application),
        "api_key_revoke" => change("api_key.revoke", A::RevokeApiKey, P::ApiKey),
        "invite_create" => change("invite.create", A::CreateInvite, P::Application),
        "invite_revoke" => change("invite.revoke", A::RevokeInvite, P::Invite),
        "invite_join" => person("invite.join"),
        "role_create" => change("role.create", A::ManageRoles, P::Application),
        "role_update" => change("role.update", A::ManageRoles, P::Application),
        "role_delete" => change("role.delete", A::ManageRoles, P::Application),
        "member_set" => change("member.set", A::SetMember, P::Application),
        "member_remove" => change("member.remove", A::RemoveMember, P::Member),
        "user_create" => change("user.create", A::CreateUser, P::Cluster),
        "user_update" => change("user.suspend", A::SuspendUser, P::User),
        "user_delete" => grave("user.delete", A::DeleteUser, P::User),
        "user_reset" => grave("user.start_reset", A::StartReset, P::User),
        "me_set_password" => person("user.set_password"),
        "session_end" => change("session.end", A::EndSession, P::Session),
        "session_end_current" => person("session.end"),
        "session_end_others" => person("session.end_all"),
        "session_confirm" => person("session.confirm"),
        "claim_confirm_recovery" => change("cluster.confirm_recovery_key", A::ConfirmRecoveryKey, P::Cluster),
        "recovery_key_replace" => grave("cluster.replace_recovery_key", A::ReplaceRecoveryKey, P::Cluster),
        "join_token_create" => grave("cluster.create_join_token", A::CreateJoinToken, P::Cluster),
        "authority_replace" => grave("cluster.replace_authority", A::ReplaceAuthority, P::Cluster),
        "authority_abandon" => change("cluster.abandon_authority", A::ReplaceAuthority, P::Cluster),
        "cluster_key_rotate" => grave("cluster.rotate_key", A::RotateClusterKey, P::Cluster),
        "site_map_set" => change("cluster.set_site_map", A::SetSiteMap, P::Cluster),
        "edge_token_create" => change("edge.create_token", A::CreateEdgeToken, P::Cluster),
        "edge_remove" => change("edge.remove", A::RemoveEdge, P::Cluster),
        "edge_warm" => change("edge.warm", A::WarmEdge, P::Cluster),
        "edge_warm_end" => change("edge.end_warm", A::WarmEdge, P::Cluster),
        "edge_purge" => change("edge.purge", A::PurgeEdges, P::Cluster),
        "node_drain" => change("node.drain", A::DrainNode, P::Node),
        "node_remove" => grave("node.remove", A::RemoveNode, P::Node),
        "alert_acknowledge" => change("alert.acknowledge", A::AcknowledgeAlert, P::Cluster),
        "alert_channels_set" => change("alert.set_channels", A::SetAlertChannels, P::Cluster),
        "alert_channel_test" => change("alert.test", A::SetAlertChannels, P::Cluster),
        "certificate_install" => grave("certificate.install", A::SetCertificate, P::Cluster),
        "certificate_remove" => grave("certificate.remove", A::SetCertificate, P::Cluster),
        "backup_begin" => change("backup.begin", A::BeginBackup, P::Cluster),
        "backup_verify" => change("backup.verify", A::BeginBackup, P::Cluster),
        "backup_drill" => change("backup.drill", A::BeginBackup, P::Cluster),
        "backup_target_create" | "backup_target_update" => {
            grave("backup.set_target", A::SetBackupTarget, P::Cluster)
        }
        "backup_target_remove" => grave("backup.remove_target", A::SetBackupTarget, P::Cluster),
        _ => return None,
    })
}

fn assets(operation: &str) -> Option<Need> {
    use Action as A;
    use Place as P;
    Some(match operation {
        "upload_file" => change("asset.create", A::CreateAsset, P::Application),
        "upload_patch" => change("asset.upload", A::CreateAsset, P::Asset),
        "upload_delete" => change("asset.abandon_upload", A::AbandonUpload, P::Asset),
        "asset_update" => change("asset.describe", A::DescribeAsset, P::Asset),
        "asset_publish" => change("asset.publish", A::PublishAsset, P::Asset),
        "asset_unpublish" => change("asset.unpublish", A::PublishAsset, P::Asset),
        "asset_trash" => change("asset.trash", A::TrashAsset, P::Asset),
        "asset_restore" => change("asset.restore", A::RestoreAsset, P::Asset),
        "asset_purge" => grave("asset.purge", A::PurgeAsset, P::Asset),
        "asset_hold" => change("asset.hold", A::HoldAsset, P::Asset),
        "asset_release_hold" => grave("asset.release_hold", A::HoldAsset, P::Asset),
        "asset_retry" => change("job.retry", A::QueueJob, P::Asset),
        "asset_cancel" => change("job.cancel", A::StopWork, P::Asset),
        "poster_set" => change("asset.set_poster", A::SetAssetMedia, P::Asset),
        "captions_set" | "captions_delete" => change("asset.set_manifest", A::SetAssetMedia, P::Asset),
        "collection_create" => change("collection.create", A::CreateCollection, P::Application),
        "collection_update" => change("collection.update", A::UpdateCollection, P::Collection),
        "retention_set" => grave("collection.set_retention", A::SetRetention, P::Collection),
        "collection_delete" => change("collection.delete", A::DeleteCollection, P::Collection),
        "job_cancel" => change("job.cancel", A::CancelJob, P::Job),
        "job_retry" => change("job.retry", A::RetryJob, P::Job),
        "view_start" => change("view.start", A::WatchAsset, P::Asset),
        // Of which kind, and so whether it is allowed, is in the body.
        "download_create" => change("download.create", A::SeeAsset, P::Asset),
        // Where to, which assets and which View: headers and body say.
        "upload_create" | "asset_bulk" | "view_renew" | "view_list" | "view_end" => {
            Need { rule: Rule::SignedIn, recorded: None, grave: false }
        }
        _ => return None,
    })
}

/// Lets a request through to its handler when `need` is met. A refusal to somebody known is put on record; one to nobody
/// is not, or anybody could fill the log.
///
/// # Errors
/// None of its own: a refusal is an answer.
pub async fn enforce(
    need: Need,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let outcome = decide(need, request.request()).await;
    match outcome {
        Ok(()) => next.call(request).await,
        Err(problem) => {
            let (http, _) = request.into_parts();
            Ok(ServiceResponse::from_err(problem, http))
        }
    }
}

async fn decide(need: Need, http: &HttpRequest) -> Result<(), Problem> {
    let caller = Caller::extract(http).await?;
    let confirmed = || if need.grave { caller.confirmed() } else { Ok(()) };
    let refusal = match allowed(need.rule, &caller, http).and_then(|()| confirmed()) {
        Ok(()) => {
            http.extensions_mut().insert(caller);
            return Ok(());
        }
        Err(refusal) => refusal,
    };
    if let Some(action) = need.recorded.filter(|_| caller.signed_in().is_ok()) {
        record(&caller, action, need.rule, http, &refusal).await?;
    }
    Err(refusal)
}

fn allowed(rule: Rule, caller: &Caller, http: &HttpRequest) -> Result<(), Problem> {
    match rule {
        Rule::Open => Ok(()),
        Rule::SignedIn => caller.signed_in(),
        Rule::Person => caller.person().map(drop),
        Rule::May(action, place) => {
            caller.signed_in()?;
            let target = place.target(http).ok_or_else(Problem::not_found)?;
            caller.may(&caller.state(), action, target)
        }
    }
}

async fn record(
    caller: &Caller,
    action: &'static str,
    rule: Rule,
    http: &HttpRequest,
    refusal: &Problem,
) -> Result<(), Problem> {
    let target = match rule {
        Rule::May(_, place) => place.target(http),
        _ => Some(Target::Cluster),
    };
    // What is no id at all is a mistyped address, and no attempt on anything.
    let Some(target) = target else { return Ok(()) };
    let (target, application) = subject(&caller.state(), target);
    let record = AuditCommand::Record {
        action: action.to_owned(),
        target,
        application,
        result: refusal.code().to_owned(),
        details: BTreeMap::new(),
    };
    caller.propose(record).await.map(drop)
}

/// As the audit log writes it, and the application whose admins may read it.
fn subject(state: &State, target: Target) -> (String, Option<ApplicationId>) {
    match target {
        Target::Cluster => ("cluster".to_owned(), None),
        Target::Application(id) => (format!("application:{id}"), state.application(id).map(|found| found.id)),
        Target::Asset(id) => (format!("asset:{id}"), state.asset(id).map(|found| found.application)),
        Target::Collection(id) => {
            (format!("collection:{id}"), state.collection(id).map(|found| found.application))
        }
        Target::Job(id) => (format!("job:{id}"), state.job(id).map(|found| found.application)),
        Target::Invite(id) => (format!("invite:{id}"), state.invite(id).map(|found| found.application)),
        Target::ApiKey(id) => (format!("api_key:{id}"), state.api_key(id).map(|found| found.application)),
        Target::Member(id, user) => (format!("user:{user}"), state.application(id).map(|found| found.id)),
        Target::Session(id) => (format!("session:{id}"), None),
        Target::User(id) => (format!("user:{id}"), None),
        Target::Node(id) => (format!("node:{id}"), None),
    }
}

impl Place {
    /// The target in the path; none when what stands there is no id.
    fn target(self, http: &HttpRequest) -> Option<Target> {
        let values = http.match_info();
        let any = |names: [&str; 2]| names.into_iter().find_map(|name| values.get(name));
        let id = || values.get("id");
        Some(match self {
            Self::Cluster => Target::Cluster,
            Self::Application => Target::Application(any(["app", "application"])?.parse().ok()?),
            Self::Asset => Target::Asset(any(["asset", "id"])?.parse().ok()?),
            Self::Collection => Target::Collection(id()?.parse().ok()?),
            Self::Job => Target::Job(id()?.parse().ok()?),
            Self::User => Target::User(id()?.parse().ok()?),
            Self::Session => Target::Session(id()?.parse().ok()?),
            Self::ApiKey => Target::ApiKey(id()?.parse().ok()?),
            Self::Invite => Target::Invite(id()?.parse().ok()?),
            Self::Node => Target::Node(NodeId(id()?.parse().ok()?)),
            Self::Member => {
                Target::Member(values.get("app")?.parse().ok()?, values.get("user")?.parse().ok()?)
            }
        })
    }
}
