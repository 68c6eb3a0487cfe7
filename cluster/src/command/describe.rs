//! What the audit log says about each Command: action, target, application, and a few facts without secrets.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;

use super::{
    AccessCommand, AlertCommand, AlertScope, AuditCommand, BackupCommand, BackupKind, ChannelKind,
    ClusterCommand, Command, JobCommand,
};
use crate::actor::Actor;
use crate::audit_record::AuditRecord;
use crate::authority::fingerprint;
use crate::id::{ApplicationId, AssetId};
use crate::refusal::{Problem, Refusal};
use crate::state::{Limits, State};

/// Target, application and facts of one Command.
#[derive(Debug, Default)]
pub(super) struct Subject {
    target: String,
    application: Option<ApplicationId>,
    details: BTreeMap<String, String>,
}

impl Subject {
    pub(super) fn of(noun: &str, id: impl std::fmt::Display) -> Self {
        Self { target: format!("{noun}:{id}"), ..Self::default() }
    }

    pub(super) fn cluster() -> Self {
        Self { target: "cluster".to_owned(), ..Self::default() }
    }

    pub(super) fn inside(mut self, application: Option<ApplicationId>) -> Self {
        self.application = application;
        self
    }

    pub(super) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let value: String = value.to_string().chars().take(Limits::AUDIT_DETAILS.1 as usize).collect();
        self.details.insert(name.to_owned(), value);
        self
    }
}

impl Command {
    /// What is done, such as `asset.trash`. Stable: people filter the audit log by it.
    #[must_use]
    pub fn action_name(&self) -> &str {
        match self {
            Self::Access(command) => command.action_name(),
            Self::Asset(command) => command.action_name(),
            Self::Job(command) => command.action_name(),
            Self::Cluster(command) => command.action_name(),
            Self::Alert(command) => command.action_name(),
            Self::Audit(AuditCommand::Record { action, .. }) => action,
            Self::Backup(command) => command.action_name(),
            Self::Edge(command) => command.action_name(),
            Self::View(command) => command.action_name(),
            Self::Role(command) => command.action_name(),
        }
    }

    /// The audit record of this Command, as if it succeeds; not yet part of the chain.
    pub(crate) fn audit_record(&self, state: &State, actor: &Actor, now_ms: u64) -> AuditRecord {
        let mut result = "ok".to_owned();
        let subject = match self {
            Self::Access(command) => command.subject(state),
            Self::Asset(command) => command.subject(state),
            Self::Job(command) => command.subject(state),
            Self::Cluster(command) => command.subject(state),
            Self::Backup(command) => command.subject(state),
            Self::Alert(command) => command.subject(state),
            Self::Edge(command) => command.subject(state),
            Self::View(command) => command.subject(state),
            Self::Role(command) => command.subject(state),
            Self::Audit(AuditCommand::Record { target, application, result: given, details, .. }) => {
                result = bounded(given, Limits::SHORT);
                let most = Limits::AUDIT_DETAILS;
                let details = details
                    .iter()
                    .take(most.0)
                    .map(|(name, value)| (bounded(name, Limits::SHORT), bounded(value, most.1)));
                Subject {
                    target: bounded(target, most.1),
                    application: *application,
                    details: details.collect(),
                }
            }
        };
        AuditRecord {
            sequence: 0,
            time_ms: now_ms,
            actor: bounded_actor(actor),
            action: bounded(self.action_name(), Limits::SHORT),
            target: subject.target,
            application: subject.application,
            result,
            details: subject.details,
            previous_hash: [0; 32],
            hash: [0; 32],
        }
    }
}

fn bounded(text: &str, most: u32) -> String {
    text.chars().take(most as usize).collect()
}

fn bounded_actor(actor: &Actor) -> Actor {
    Actor { request_id: bounded(&actor.request_id, Limits::SHORT), ..actor.clone() }
}

impl AuditCommand {
    /// Refuses what would be cut in the record.
    pub(crate) fn validate(&self) -> Result<(), Refusal> {
        let Self::Record { action, target, result, details, .. } = self;
        let (most, length) = Limits::AUDIT_DETAILS;
        if details.len() > most {
            return Err(Refusal::invalid("details", Problem::TooMany(16)));
        }
        let short = [("action", action), ("result", result)];
        let names = details.keys().map(|name| ("details", name));
        for (field, text) in short.into_iter().chain(names) {
            within(field, text, Limits::SHORT)?;
        }
        for (field, text) in details.values().map(|value| ("details", value)).chain([("target", target)]) {
            within(field, text, length)?;
        }
        if action.is_empty() { Err(Refusal::invalid("action", Problem::Empty)) } else { Ok(()) }
    }
}

fn within(field: &str, text: &str, most: u32) -> Result<(), Refusal> {
    if text.chars().nth(most as usize).is_some() {
        Err(Refusal::invalid(field, Problem::TooLong(most)))
    } else {
        Ok(())
    }
}

impl AccessCommand {
    fn action_name(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "cluster.claim",
            Self::CreateUser { .. } => "user.create",
            Self::CreateInvite { .. } => "invite.create",
            Self::AcceptInvite { .. } => "invite.accept",
            Self::JoinByInvite { .. } => "invite.join",
            Self::RevokeInvite { .. } => "invite.revoke",
            Self::SetPassword { .. } => "user.set_password",
            Self::StartReset { .. } => "user.start_reset",
            Self::FinishReset { .. } => "user.finish_reset",
            Self::SuspendUser { suspended: true, .. } => "user.suspend",
            Self::SuspendUser { suspended: false, .. } => "user.unsuspend",
            Self::DeleteUser { .. } => "user.delete",
            Self::SetClusterAdmin { .. } => "user.set_cluster_admin",
            Self::CreateSession { .. } => "session.create",
            Self::EndSession { .. } => "session.end",
            Self::EndSessions { .. } => "session.end_all",
            Self::CreateApiKey { .. } => "api_key.create",
            Self::RevokeApiKey { .. } => "api_key.revoke",
            Self::CreateApplication { .. } => "application.create",
            Self::UpdateApplication { .. } | Self::LimitViews { .. } => "application.update",
            Self::DeleteApplication { .. } => "application.delete",
            Self::TrashApplication { .. } => "application.trash",
            Self::RestoreApplication { .. } => "application.restore",
            Self::PurgeApplication { .. } => "application.purge",
            Self::ExpireApplication { .. } => "application.expire",
            Self::SetMember { .. } => "member.set",
            Self::RemoveMember { .. } => "member.remove",
            Self::ForgetEndedLinks => "link.forget_ended",
        }
    }

    fn subject(&self, state: &State) -> Subject {
        match self {
            Self::Claim { user, username, application, .. } => {
                Subject::of("user", user).inside(Some(*application)).with("username", username)
            }
            Self::CreateUser { user, username, .. } => Subject::of("user", user).with("username", username),
            Self::CreateInvite { invite, application, role, .. } => {
                Subject::of("invite", invite).inside(Some(*application)).with("role", role_name(*role))
            }
            Self::AcceptInvite { secret_hash, user, username, .. } => Subject::of("user", user)
                .inside(state.invite_by_secret(secret_hash).map(|invite| invite.application))
                .with("username", username),
            Self::JoinByInvite { secret_hash } => match state.invite_by_secret(secret_hash) {
                Some(invite) => Subject::of("invite", invite.id).inside(Some(invite.application)),
                None => Subject { target: "invite".to_owned(), ..Subject::default() },
            },
            Self::RevokeInvite { invite } => {
                Subject::of("invite", invite).inside(state.invite(*invite).map(|invite| invite.application))
            }
            Self::SetPassword { user, .. }
            | Self::StartReset { user, .. }
            | Self::SuspendUser { user, .. }
            | Self::DeleteUser { user }
            | Self::EndSessions { user, .. } => named_user(state, *user),
            Self::SetClusterAdmin { user, admin } => named_user(state, *user).with("admin", admin),
            Self::FinishReset { secret_hash, .. } => match state.reset_by_secret(secret_hash) {
                Some(reset) => named_user(state, reset.user),
                None => Subject { target: "user".to_owned(), ..Subject::default() },
            },
            Self::CreateSession { session, user, user_agent, .. } => {
                named_user(state, *user).with("session", session).with("user_agent", user_agent)
            }
            Self::EndSession { session } => Subject::of("session", session),
            Self::CreateApiKey { key, application, role, name, .. } => Subject::of("api_key", key)
                .inside(Some(*application))
                .with("role", role_name(*role))
                .with("name", name),
            Self::RevokeApiKey { key } => {
                Subject::of("api_key", key).inside(state.api_key(*key).map(|key| key.application))
            }
            Self::CreateApplication { application, name } => {
                Subject::of("application", application).inside(Some(*application)).with("name", name)
            }
            Self::UpdateApplication { application, .. } | Self::DeleteApplication { application } => {
                Subject::of("application", application).inside(Some(*application))
            }
            Self::TrashApplication { application }
            | Self::RestoreApplication { application }
            | Self::PurgeApplication { application }
            | Self::ExpireApplication { application } => {
                let subject = Subject::of("application", application).inside(Some(*application));
                match state.application(*application) {
                    Some(found) => subject.with("name", &found.name),
                    None => subject,
                }
            }
            Self::LimitViews { application, views_at_once, .. } => {
                let limit = views_at_once.map_or("none".to_owned(), |limit| limit.to_string());
                Subject::of("application", application)
                    .inside(Some(*application))
                    .with("views_at_once", limit)
            }
            Self::SetMember { application, user, role } => {
                named_user(state, *user).inside(Some(*application)).with("role", role_name(*role))
            }
            Self::RemoveMember { application, user } => named_user(state, *user).inside(Some(*application)),
            Self::ForgetEndedLinks => Subject::cluster(),
        }
    }
}

pub(super) fn named_user(state: &State, user: crate::id::UserId) -> Subject {
    let subject = Subject::of("user", user);
    match state.user(user) {
        Some(user) => subject.with("username", &user.username),
        None => subject,
    }
}

/// A role as written in the API.
fn role_name(role: super::Role) -> &'static str {
    match role {
        super::Role::Viewer => "viewer",
        super::Role::ReadOnly => "read_only",
        super::Role::User => "user",
        super::Role::Admin => "admin",
    }
}

pub(super) fn titled_asset(state: &State, asset: AssetId) -> Subject {
    let subject = Subject::of("asset", asset);
    match state.asset(asset) {
        Some(asset) => subject.inside(Some(asset.application)).with("title", &asset.title),
        None => subject,
    }
}

impl JobCommand {
    fn action_name(&self) -> &'static str {
        match self {
            Self::Queue { .. } => "job.queue",
            Self::Lease { .. } => "job.lease",
            Self::Finish { .. } => "job.finish",
            Self::Fail { .. } => "job.fail",
            Self::Cancel { .. } => "job.cancel",
            Self::Retry { .. } => "job.retry",
            Self::Split { .. } => "job.split",
            Self::LeasePart { .. } => "job.lease_part",
            Self::OpenPart { .. } => "job.open_part",
            Self::FinishPart { .. } => "job.finish_part",
            Self::FailPart { .. } => "job.fail_part",
            Self::KeepPart { .. } => "job.keep_part",
        }
    }

    fn subject(&self, state: &State) -> Subject {
        let (job, facts) = match self {
            Self::Queue { job, asset, .. } => {
                let subject = titled_asset(state, *asset);
                return Subject { target: format!("job:{job}"), ..subject }.with("asset", asset);
            }
            Self::Lease { job, node, .. } => (job, Some(("node", node.to_string()))),
            Self::Fail { job, code, .. } => (job, Some(("code", code.clone()))),
            Self::Finish { job, .. } | Self::Cancel { job } | Self::Retry { job } => (job, None),
            Self::Split { job, cuts, .. } => (job, Some(("parts", cuts.len().to_string()))),
            Self::LeasePart { job, part, .. }
            | Self::OpenPart { job, part, .. }
            | Self::FinishPart { job, part, .. }
            | Self::FailPart { job, part, .. }
            | Self::KeepPart { job, part, .. } => (job, Some(("part", part.to_string()))),
        };
        let subject = Subject::of("job", job);
        let subject = match state.job(*job) {
            Some(job) => subject.inside(Some(job.application)).with("asset", job.asset),
            None => subject,
        };
        match facts {
            Some((name, value)) => subject.with(name, value),
            None => subject,
        }
    }
}

impl ClusterCommand {
    fn action_name(&self) -> &'static str {
        match self {
            Self::Initialise { .. } => "cluster.initialise",
            Self::RotateClusterKey { .. } => "cluster.rotate_key",
            Self::RewrapAssetKey { .. } => "asset.rewrap_key",
            Self::ConfirmRecoveryKey => "cluster.confirm_recovery_key",
            Self::ReplaceRecoveryKey { .. } => "cluster.replace_recovery_key",
            Self::ReplaceNodeKey { .. } => "node.replace_key",
            Self::SetTimeHold { .. } => "cluster.set_time_hold",
            Self::SetAuthority { .. } => "cluster.set_authority",
            Self::CreateJoinToken { .. } => "cluster.create_join_token",
            Self::AdmitNode { .. } => "node.admit",
            Self::ReportNode { .. } => "node.report",
            Self::ActivateNode { .. } => "node.activate",
            Self::DrainNode { .. } => "node.drain",
            Self::RemoveNode { .. } => "node.remove",
            Self::InstallCertificate { .. } => "certificate.install",
            Self::RemoveCertificate { .. } => "certificate.remove",
            Self::AcceptLoss { .. } => "log.accept_loss",
            Self::SetSiteMap { .. } => "cluster.set_site_map",
            Self::ReportRelease { .. } => "node.report_release",
            Self::ReplaceAuthority { .. } => "cluster.replace_authority",
            Self::ReportAuthority { .. } => "node.report_authority",
            Self::DropAuthority { .. } => "cluster.drop_authority",
            Self::AbandonAuthority { .. } => "cluster.abandon_authority",
            Self::RecoverQuorum { .. } => "cluster.recover_quorum",
            Self::SetPepper { .. } => "cluster.set_pepper",
        }
    }

    fn subject(&self, state: &State) -> Subject {
        match self {
            Self::Initialise { node, node_name, site, .. } => {
                Subject::cluster().with("node", node).with("name", node_name).with("site", site)
            }
            Self::RotateClusterKey { epoch, .. } | Self::SetPepper { key_epoch: epoch, .. } => {
                Subject::cluster().with("epoch", epoch)
            }
            Self::RewrapAssetKey { asset, key_epoch, .. } => Subject::of("asset", asset)
                .inside(state.asset(*asset).map(|asset| asset.application))
                .with("epoch", key_epoch),
            Self::ConfirmRecoveryKey | Self::ReplaceRecoveryKey { .. } => Subject::cluster(),
            Self::ReplaceNodeKey { node, .. } => Subject::of("node", node),
            Self::SetTimeHold { held } => Subject::cluster().with("held", held),
            Self::SetAuthority { .. } => Subject::cluster(),
            Self::CreateJoinToken { expires_ms, .. } => Subject::cluster().with("expires_ms", expires_ms),
            Self::AdmitNode { node, .. } => Subject::of("node", &node.name)
                .with("site", &node.site)
                .with("cluster_address", &node.cluster_address),
            Self::ReportNode { node, cluster_address, incarnation, .. } => Subject::of("node", node)
                .with("cluster_address", cluster_address)
                .with("start", incarnation.count),
            Self::ActivateNode { node } | Self::RemoveNode { node } => Subject::of("node", node),
            Self::DrainNode { node, draining } => Subject::of("node", node).with("draining", draining),
            Self::InstallCertificate { node, fingerprint, names, expires_ms } => Subject::of("node", node)
                .with("sha256", HEXLOWER.encode(fingerprint))
                .with("names", names.join(" "))
                .with("expires_ms", expires_ms),
            Self::RemoveCertificate { node } => Subject::of("node", node),
            Self::SetSiteMap { networks } => Subject::cluster().with("networks", networks.len()),
            Self::ReportRelease { node, release } => {
                Subject::of("node", node).with("version", &release.version).with("level", release.level)
            }
            Self::ReplaceAuthority { certificate, .. } => {
                Subject::cluster().with("sha256", HEXLOWER.encode(&fingerprint(certificate)))
            }
            Self::ReportAuthority { node, authority } => {
                Subject::of("node", node).with("sha256", HEXLOWER.encode(authority))
            }
            Self::DropAuthority { authority } | Self::AbandonAuthority { authority, .. } => {
                Subject::cluster().with("sha256", HEXLOWER.encode(authority))
            }
            Self::AcceptLoss { node, first, last } => {
                let subject = Subject::of("node", node).with("first_record", first);
                match last {
                    Some(last) => subject.with("last_record", last),
                    None => subject.with("last_record", "not known"),
                }
            }
            Self::RecoverQuorum { survivor, lost, reason, operator, last_term, last_index } => {
                let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
                Subject::of("node", survivor)
                    .with("lost", lost.join(" "))
                    .with("reason", reason)
                    .with("operator", operator)
                    .with("last_term", last_term)
                    .with("last_record", last_index)
            }
        }
    }
}

impl BackupCommand {
    fn action_name(&self) -> &'static str {
        match self {
            Self::SetTarget { .. } | Self::SetPacedTarget { .. } => "backup.set_target",
            Self::RemoveTarget { .. } => "backup.remove_target",
            Self::Begin { kind: BackupKind::Copy | BackupKind::Interim, .. } => "backup.begin",
            Self::Begin { kind: BackupKind::Verify { .. }, .. } => "backup.verify",
            Self::Begin { kind: BackupKind::Drill { .. }, .. } => "backup.drill",
            Self::TakeOver { .. } => "backup.take_over",
            Self::Renew { .. } => "backup.renew",
            Self::Finish { .. } => "backup.finish",
            Self::Fail { .. } => "backup.fail",
            Self::Expire { .. } => "backup.expire",
            Self::Forget { .. } => "backup.forget",
            Self::Restored { .. } => "backup.restore",
        }
    }

    fn subject(&self, state: &State) -> Subject {
        match self {
            Self::SetTarget { target, settings, secret } => Subject::of("backup_target", target)
                .with("name", &settings.name)
                .with("secret_changed", secret.is_some()),
            Self::SetPacedTarget { target, settings, secret, every_minutes } => {
                let subject = Subject::of("backup_target", target)
                    .with("name", &settings.name)
                    .with("secret_changed", secret.is_some());
                match every_minutes {
                    Some(minutes) => subject.with("every_minutes", minutes),
                    None => subject,
                }
            }
            Self::RemoveTarget { target } => {
                let subject = Subject::of("backup_target", target);
                match state.backup_target(*target) {
                    Some(kept) => subject.with("name", &kept.settings.name),
                    None => subject,
                }
            }
            Self::Begin { run, target, node, kind } => {
                let subject = Subject::of("backup", run).with("target", target).with("node", node);
                match kind.of() {
                    Some(of) => subject.with("of", of),
                    None if *kind == BackupKind::Interim => subject.with("kind", kind.name()),
                    None => subject,
                }
            }
            Self::TakeOver { run, node } => Subject::of("backup", run).with("node", node),
            Self::Renew { run, .. } | Self::Expire { run } | Self::Forget { run } => {
                Subject::of("backup", run)
            }
            Self::Finish { run, result, .. } => Subject::of("backup", run)
                .with("index", result.index)
                .with("objects", result.objects)
                .with("bytes", result.bytes)
                .with("flaws", result.flaw_count),
            Self::Fail { run, code, .. } => Subject::of("backup", run).with("code", code),
            Self::Restored { node, from_cluster, run, index, missing } => Subject::of("backup", run)
                .with("node", node)
                .with("cluster", HEXLOWER.encode(from_cluster))
                .with("index", index)
                .with("missing", missing),
        }
    }
}

impl AlertCommand {
    fn action_name(&self) -> &'static str {
        match self {
            Self::Observe { .. } => "alert.observe",
            Self::Acknowledge { .. } => "alert.acknowledge",
            Self::SetChannels { .. } => "alert.set_channels",
            Self::NoteDelivery { .. } => "alert.deliver",
        }
    }

    fn subject(&self, state: &State) -> Subject {
        let about = |alert: u64| {
            let subject = Subject::of("alert", alert);
            match state.alert(alert) {
                Some(found) => subject.with("kind", &found.fact.kind).with("about", &found.fact.subject),
                None => subject,
            }
        };
        match self {
            Self::Observe { scope, open } => {
                let kinds: Vec<&str> = open.iter().map(|fact| fact.kind.as_str()).collect();
                let subject = match scope {
                    AlertScope::Cluster => Subject::cluster(),
                    AlertScope::Node(node) => Subject::of("node", node),
                };
                subject.with("open", open.len()).with("kinds", kinds.join(" "))
            }
            Self::Acknowledge { alert } => about(*alert),
            // Where to, without any secret.
            Self::SetChannels { channels } => {
                let set: Vec<&str> = ChannelKind::ALL
                    .into_iter()
                    .filter(|channel| channels.has(*channel))
                    .map(ChannelKind::name)
                    .collect();
                Subject::cluster().with("channels", set.join(" "))
            }
            Self::NoteDelivery { alert, channel, change, delivered } => about(*alert)
                .with("channel", channel.name())
                .with("change", change.name())
                .with("delivered", delivered),
        }
    }
}
