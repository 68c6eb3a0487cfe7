//! Places for backups. What opens one is taken and never given out again.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use cluster::backup::{Marker, TargetError, TargetLogin, open_secret, seal_secret};
use cluster::command::{BackupCommand, TargetPlace, TargetSettings};
use cluster::id::{BackupTargetId, NodeId};
use cluster::permission::{Action, Target};
use cluster::state::{BackupTarget, Limits, State};
use cluster::workers::next_planned_ms;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, created, done, ok};
use super::forms;
use crate::access::Caller;
use crate::app::App;
use crate::metrics::BackupFigures;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// A place that is silent for so long when it is tried is not taken: whoever asks waits.
const TRY_WITHIN: Duration = Duration::from_secs(30);

/// Days that a backup is kept unless said otherwise.
const KEEP_DAYS: u16 = 30;

/// Where a place is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PlaceView {
    /// A folder of the machine: a disk or network share that is mounted there.
    Folder {
        /// Its path.
        #[schema(value_type = forms::Name)]
        path: String,
    },
    /// A folder reached by SFTP. Its secret is a password or a private key (OpenSSH).
    Sftp {
        /// Name or address.
        #[schema(value_type = forms::Name)]
        host: String,
        /// 22 unless said otherwise.
        #[schema(value_type = Option<forms::Port>)]
        port: Option<u16>,
        /// The folder.
        #[schema(value_type = forms::Name)]
        path: String,
        /// Who logs in.
        #[schema(value_type = forms::Name)]
        username: String,
        /// The server's key, as `SHA256:...`.
        #[schema(value_type = forms::Name)]
        host_key: String,
    },
    /// An S3-compatible store. Its secret is the secret access key.
    S3 {
        /// Its address, such as `https://s3.example.org`.
        #[schema(value_type = forms::Name)]
        endpoint: String,
        /// Its region; `us-east-1` unless said otherwise.
        #[schema(value_type = Option<forms::Name>)]
        region: Option<String>,
        /// The bucket.
        #[schema(value_type = forms::Name)]
        bucket: String,
        /// What every name begins with.
        prefix: Option<String>,
        /// The name of the access key.
        #[schema(value_type = forms::Name)]
        access_key: String,
        /// The authority that vouches for the store (PEM), when it is not a public one.
        authority: Option<String>,
        /// Lock objects (Object Lock, COMPLIANCE) for as long as a backup that names them is kept. The bucket must have
        /// Object Lock.
        object_lock: Option<bool>,
    },
}

impl From<PlaceView> for TargetPlace {
    fn from(place: PlaceView) -> Self {
        match place {
            PlaceView::Folder { path } => Self::Folder { path },
            PlaceView::Sftp { host, port, path, username, host_key } => {
                Self::Sftp { host, port: port.unwrap_or(22), path, username, host_key }
            }
            PlaceView::S3 { endpoint, region, bucket, prefix, access_key, authority, object_lock } => {
                let region = region.unwrap_or_else(|| "us-east-1".to_owned());
                let (prefix, object_lock) = (prefix.unwrap_or_default(), object_lock.unwrap_or(false));
                Self::S3 { endpoint, region, bucket, prefix, access_key, authority, object_lock }
            }
        }
    }
}

impl From<&TargetPlace> for PlaceView {
    fn from(place: &TargetPlace) -> Self {
        match place.clone() {
            TargetPlace::Folder { path } => Self::Folder { path },
            TargetPlace::Sftp { host, port, path, username, host_key } => {
                Self::Sftp { host, port: Some(port), path, username, host_key }
            }
            TargetPlace::S3 { endpoint, region, bucket, prefix, access_key, authority, object_lock } => {
                let (region, prefix, object_lock) = (Some(region), Some(prefix), Some(object_lock));
                Self::S3 { endpoint, region, bucket, prefix, access_key, authority, object_lock }
            }
        }
    }
}

/// A place for backups, as it is set.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBackupTarget {
    /// What people call it.
    #[schema(value_type = forms::Name)]
    pub name: String,
    /// Where it is.
    pub place: PlaceView,
    /// What opens it; left out, the one that is known stays, unless another server or name is given.
    #[serde(default)]
    pub secret: Option<String>,
    /// How many days a backup is kept: 1 to 3650, 30 unless said otherwise.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub keep_days: Option<u16>,
    /// The minute of the day (UTC) at which a backup begins; null for backups on demand only.
    #[serde(default)]
    #[schema(maximum = 1439)]
    pub daily_at_minute: Option<u16>,
    /// Between the daily ones, a backup begins at the latest so many minutes after something was changed; null for the
    /// daily ones only. Such a backup is as whole as they are, and is kept for a day.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 360)]
    pub every_minutes: Option<u16>,
    /// The number of the one node that reaches it; null for whoever leads.
    #[serde(default)]
    #[schema(value_type = Option<forms::NodeNumber>)]
    pub node: Option<String>,
}

impl std::fmt::Debug for SetBackupTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SetBackupTarget({:?}, redacted)", self.name)
    }
}

/// A place for backups.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackupTargetView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub place: PlaceView,
    /// Whether something that opens it is kept.
    pub has_secret: bool,
    /// How many days a backup is kept.
    pub keep_days: u16,
    /// The minute of the day (UTC) at which a backup begins.
    pub daily_at_minute: Option<u16>,
    /// So many minutes after a change a backup begins at the latest.
    pub every_minutes: Option<u16>,
    /// The one node that reaches it.
    pub node: Option<String>,
    /// When the next backup begins by itself, at the latest.
    pub next_ms: Option<u64>,
    /// When the newest whole backup was taken.
    pub last_whole_ms: Option<u64>,
    /// When the newest drill ended, and whether everything was well.
    pub last_drill_ms: Option<u64>,
    /// Whether everything was well in the newest drill.
    pub last_drill_ok: Option<bool>,
    /// When it was set first.
    pub created_ms: u64,
}

impl BackupTargetView {
    fn of(state: &State, target: &BackupTarget, now_ms: u64) -> Self {
        let drill = state.newest_drill(target.id);
        let settings = &target.settings;
        Self {
            id: target.id.to_string(),
            name: settings.name.clone(),
            place: (&settings.place).into(),
            has_secret: target.secret.is_some(),
            keep_days: settings.keep_days,
            daily_at_minute: settings.daily_at_minute,
            every_minutes: state.backup_pace(target.id),
            node: settings.node.map(|node| node.to_string()),
            next_ms: next_planned_ms(state, target, now_ms),
            last_whole_ms: state.newest_whole(target.id).map(|run| run.began_ms),
            last_drill_ms: drill.map(|(ended_ms, _)| ended_ms),
            last_drill_ok: drill.map(|(_, well)| well),
            created_ms: target.created_ms,
        }
    }
}

/// How each target does, for the metrics.
#[must_use]
pub fn figures(state: &State) -> Vec<BackupFigures> {
    let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let of = |target: &std::sync::Arc<BackupTarget>| {
        let drill = state.newest_drill(target.id);
        BackupFigures {
            target: target.id.to_string(),
            last_whole_seconds: state.newest_whole(target.id).map_or(0, |run| seconds(run.began_ms)),
            last_drill_seconds: drill.map_or(0, |(ended_ms, _)| seconds(ended_ms)),
            last_drill_ok: drill.is_some_and(|(_, well)| well),
        }
    };
    state.backup_targets().map(of).collect()
}

/// Places for backups.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackupTargetList {
    /// All of them.
    pub items: Vec<BackupTargetView>,
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Self {
        let code = error.code();
        let sentence = super::body::sentence(&error.to_string());
        match error {
            TargetError::Full | TargetError::NotOurs(_) => Self::conflict(code, sentence),
            _ => Self::invalid(code, sentence),
        }
    }
}

/// Places for backups.
#[utoipa::path(get, path = "/backup-targets", tag = "backups",
    responses((status = 200, body = BackupTargetList), (status = 403, body = ProblemBody)))]
pub async fn backup_target_list(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeBackups, Target::Cluster)?;
    let now_ms = app.cluster.now_ms();
    let items = state.backup_targets().map(|target| BackupTargetView::of(&state, target, now_ms)).collect();
    ok(&BackupTargetList { items })
}

/// A new place. It is tried before it is taken: something is written there and read back.
#[utoipa::path(post, path = "/backup-targets", tag = "backups", request_body = SetBackupTarget,
    responses((status = 201, body = BackupTargetView), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn backup_target_create(
    app: web::Data<App>,
    caller: Caller,
    body: Body<SetBackupTarget>,
) -> Result<HttpResponse, Problem> {
    created(&set(&app, &caller, BackupTargetId::generate(), body.0).await?)
}

/// Change a place. It is tried before it is taken.
#[utoipa::path(put, path = "/backup-targets/{id}", tag = "backups", params(("id" = String, Path,)), request_body = SetBackupTarget,
    responses((status = 200, body = BackupTargetView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn backup_target_update(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<BackupTargetId>,
    body: Body<SetBackupTarget>,
) -> Result<HttpResponse, Problem> {
    caller.state().backup_target(*id).ok_or_else(Problem::not_found)?;
    ok(&set(&app, &caller, *id, body.0).await?)
}

/// Use a place no more. What lies there stays there.
#[utoipa::path(delete, path = "/backup-targets/{id}", tag = "backups", params(("id" = String, Path,)),
    responses((status = 204, description = "Removed"), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn backup_target_remove(
    caller: Caller,
    id: web::Path<BackupTargetId>,
) -> Result<HttpResponse, Problem> {
    caller.propose(BackupCommand::RemoveTarget { target: *id }).await?;
    Ok(done())
}

async fn set(
    app: &App,
    caller: &Caller,
    target: BackupTargetId,
    asked: SetBackupTarget,
) -> Result<BackupTargetView, Problem> {
    let node: Option<NodeId> = match &asked.node {
        Some(text) => Some(NodeId(text.parse().map_err(|_| Problem::not_found())?)),
        None => None,
    };
    if node.is_some_and(|node| node != app.cluster.node_id()) {
        let detail = "Ask the node that reaches this place: it tries it before it is taken.";
        return Err(Problem::conflict("ask_that_node", detail));
    }
    let settings = TargetSettings {
        name: asked.name,
        place: asked.place.into(),
        keep_days: asked.keep_days.unwrap_or(KEEP_DAYS),
        daily_at_minute: asked.daily_at_minute,
        node,
    };
    if !(1..=Limits::BACKUP_KEEP_DAYS).contains(&settings.keep_days) {
        let detail = format!("A backup is kept for 1 to {} days.", Limits::BACKUP_KEEP_DAYS);
        return Err(Problem::invalid("invalid", detail));
    }
    let every_minutes = asked.every_minutes;
    if every_minutes.is_some() && settings.daily_at_minute.is_none() {
        let detail = "Every_minutes is for between the daily backups: give daily_at_minute, too.";
        return Err(Problem::invalid("invalid", detail));
    }
    let known = caller.state().backup_target(target).cloned();
    let login = asked.secret.map(TargetLogin::new);
    let secret = login.as_ref().map(|login| seal_secret(app.cluster.keys(), target, login)).transpose()?;
    let login = match login {
        Some(login) => login,
        None => {
            let kept = known.as_ref().filter(|known| known.secret.is_some());
            if kept.is_some_and(|kept| !settings.place.may_be_shown_the_secret_of(&kept.settings.place)) {
                let detail = "This is another place now. Give its secret too: the one that is kept is for the place before.";
                return Err(Problem::invalid("secret_needed", detail));
            }
            open_secret(app.cluster.keys(), target, kept.and_then(|kept| kept.secret.as_ref()))?
        }
    };
    let cluster = caller.state().cluster_info().map(|info| info.id).unwrap_or_default();
    let marker = Marker::of(cluster, target);
    let is_known = |other: &str| other.parse().is_ok_and(|id| caller.state().backup_target(id).is_some());
    let trying = async {
        let opened = app.cluster.config().targets.open(&settings, &login).await?;
        marker.claim(&*opened, is_known).await
    };
    let tried = tokio::time::timeout(TRY_WITHIN, trying).await;
    tried.map_err(|_| TargetError::Unreachable("it does not answer".to_owned()))??;
    let is_paced = every_minutes.is_some() || caller.state().backup_pace(target).is_some();
    caller
        .propose(if is_paced {
            BackupCommand::SetPacedTarget { target, settings, secret, every_minutes }
        } else {
            BackupCommand::SetTarget { target, settings, secret }
        })
        .await?;
    let state = caller.state();
    let kept = state.backup_target(target).ok_or_else(|| Problem::internal("the target is not in State"))?;
    Ok(BackupTargetView::of(&state, kept, app.cluster.now_ms()))
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_backup_target_list, backup_target_list);
    routes.api(__path_backup_target_create, backup_target_create);
    routes.api(__path_backup_target_update, backup_target_update);
    routes.api(__path_backup_target_remove, backup_target_remove);
}
