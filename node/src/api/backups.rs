//! Backups: runs, and checks of them.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use cluster::backup::Progress;
use cluster::command::{BackupCommand, BackupKind};
use cluster::id::{BackupRunId, BackupTargetId, NodeId};
use cluster::permission::{Action, Target};
use cluster::state::{BackupRun, RunState, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{OptionalBody, created, ok};
use super::paging::{Page, PageQuery, page};
use crate::access::Caller;
use crate::app::App;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStateName {
    /// It is carried out.
    Running,
    /// It came to its end. Of a backup: it is whole. Of a check: see `flaw_count`.
    Done,
    /// It came to nothing; see `reason`.
    Failed,
    /// It was kept for long enough, and is being removed.
    Expiring,
}

/// How far a run is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunProgressView {
    /// What it is at: `looking`, `blobs`, `audit`, `state` or `giving_up`.
    pub phase: String,
    /// Of the things it goes through, so many are done.
    pub done: u64,
    /// And so many there are, as far as is known.
    pub total: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// How long what it is at will take yet; none while that cannot be told.
    pub eta_ms: Option<u64>,
}

/// A backup, or a check of one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackupRunView {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub target: String,
    /// `copy`, `interim` (a backup between the daily ones), `verify` or `drill`.
    pub kind: String,
    /// The backup that a check looks at.
    pub of: Option<String>,
    /// Whether a check reads every byte.
    pub full: bool,
    /// Where it stands.
    pub state: RunStateName,
    /// The node that carries it out.
    pub node: String,
    /// When it began.
    pub began_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Until when it is kept at least, for a whole backup.
    pub kept_until_ms: Option<u64>,
    /// How far it is, while it is carried out and its node answers.
    pub progress: Option<RunProgressView>,
    /// The log index it is of.
    pub index: Option<u64>,
    /// Objects it names, or that were looked at.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were sent, or read whole.
    pub moved_objects: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// How many things were found wrong.
    pub flaw_count: u64,
    /// The first of them.
    pub flaws: Vec<String>,
    /// For `failed`: a stable code.
    pub reason_code: Option<String>,
    /// For `failed`: for people.
    pub reason: Option<String>,
}

impl BackupRunView {
    fn of(state: &State, run: &BackupRun, progress: Option<Progress>) -> Self {
        let (name, ended_ms) = match &run.state {
            RunState::Running => (RunStateName::Running, None),
            RunState::Expiring => (RunStateName::Expiring, None),
            RunState::Done { ended_ms, .. } => (RunStateName::Done, Some(*ended_ms)),
            RunState::Failed { ended_ms, .. } => (RunStateName::Failed, Some(*ended_ms)),
        };
        let failure = match &run.state {
            RunState::Failed { code, reason, .. } => Some((code.clone(), reason.clone())),
            _ => None,
        };
        let (reason_code, reason) = failure.unzip();
        let result = match &run.state {
            RunState::Done { result, .. } => Some(result.clone()),
            _ => None,
        };
        let index = result.as_ref().map(|result| result.index);
        let result = result.unwrap_or_default();
        Self {
            id: run.id.to_string(),
            target: run.target.to_string(),
            kind: run.kind.name().to_owned(),
            of: run.kind.of().map(|of| of.to_string()),
            full: matches!(run.kind, BackupKind::Verify { full: true, .. }),
            state: name,
            node: run.node.to_string(),
            began_ms: run.began_ms,
            ended_ms,
            kept_until_ms: run.whole().map(|_| state.kept_until_ms(run)),
            progress: progress.map(|progress| RunProgressView {
                phase: progress.phase.name().to_owned(),
                done: progress.objects,
                total: progress.objects_total,
                bytes: progress.bytes,
                eta_ms: progress.eta_ms,
            }),
            index,
            objects: result.objects,
            bytes: result.bytes,
            moved_objects: result.moved_objects,
            moved_bytes: result.moved_bytes,
            flaw_count: result.flaw_count,
            flaws: result.flaws,
            reason_code,
            reason,
        }
    }
}

/// How far a run is that is carried out, by the word of its node.
async fn progress_of(app: &App, run: &BackupRun) -> Option<Progress> {
    match run.state {
        RunState::Running => app.cluster.progress_of_backup(run.id, run.node).await,
        _ => None,
    }
}

/// Asks for a backup now.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewBackup {
    /// Where to: may be left out when there is one target only.
    pub target: Option<String>,
}

/// Asks for a check.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewVerification {
    /// Read every byte, not only a sample.
    pub full: bool,
}

/// Which runs.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct BackupQuery {
    /// `false` leaves out the whole backups between the daily ones, of which there are many.
    pub interim: Option<bool>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items: 1 to 500, usually 50.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// Backups and checks, the newest first.
#[utoipa::path(get, path = "/backups", tag = "backups", params(BackupQuery),
    responses((status = 200, body = Page<BackupRunView>), (status = 403, body = ProblemBody)))]
pub async fn backup_list(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<BackupQuery>,
) -> Result<HttpResponse, Problem> {
    let BackupQuery { interim, cursor, limit } = query.into_inner();
    let state = caller.state();
    caller.may(&state, Action::SeeBackups, Target::Cluster)?;
    let place = |run: &&Arc<BackupRun>| format!("{:020}{}", u64::MAX - run.began_ms, run.id);
    let mut runs = state.backup_runs();
    let is_settled = |run: &BackupRun| run.whole().is_some() || run.state == RunState::Expiring;
    runs.retain(|run| interim != Some(false) || run.kind != BackupKind::Interim || !is_settled(run));
    runs.sort_by_cached_key(place);
    let mut far = HashMap::new();
    for run in runs.iter().filter(|run| run.state == RunState::Running) {
        far.insert(run.id, progress_of(&app, run).await);
    }
    let view = |run: &Arc<BackupRun>| BackupRunView::of(&state, run, far.get(&run.id).copied().flatten());
    ok(&page(runs.into_iter(), &PageQuery { cursor, limit }, place, view)?)
}

/// One backup, or one check.
#[utoipa::path(get, path = "/backups/{id}", tag = "backups", params(("id" = String, Path,)),
    responses((status = 200, body = BackupRunView), (status = 404, body = ProblemBody)))]
pub async fn backup_view(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<BackupRunId>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeBackups, Target::Cluster)?;
    let run = state.backup_run(*id).ok_or_else(Problem::not_found)?;
    ok(&BackupRunView::of(&state, run, progress_of(&app, run).await))
}

/// A backup now. It is carried out in the background; look at it until it has ended.
#[utoipa::path(post, path = "/backups", tag = "backups", request_body = NewBackup,
    responses((status = 201, body = BackupRunView), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn backup_begin(
    app: web::Data<App>,
    caller: Caller,
    body: OptionalBody<NewBackup>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    let target = match &body.0.target {
        Some(id) => id.parse().map_err(|_| Problem::not_found())?,
        None => only_target(&state)?,
    };
    begin(&app, &caller, target, BackupKind::Copy).await
}

/// Look whether a backup is whole and as it was: its list and the length of everything, and the bytes of a sample or of
/// everything.
#[utoipa::path(post, path = "/backups/{id}/verify", tag = "backups", params(("id" = String, Path,)), request_body = NewVerification,
    responses((status = 201, body = BackupRunView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn backup_verify(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<BackupRunId>,
    body: OptionalBody<NewVerification>,
) -> Result<HttpResponse, Problem> {
    check(&app, &caller, *id, BackupKind::Verify { of: *id, full: body.0.full }).await
}

/// Open a backup as a restore would, in a folder of its own, and decipher some of it.
#[utoipa::path(post, path = "/backups/{id}/drill", tag = "backups", params(("id" = String, Path,)),
    responses((status = 201, body = BackupRunView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn backup_drill(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<BackupRunId>,
) -> Result<HttpResponse, Problem> {
    check(&app, &caller, *id, BackupKind::Drill { of: *id }).await
}

async fn check(
    app: &App,
    caller: &Caller,
    of: BackupRunId,
    kind: BackupKind,
) -> Result<HttpResponse, Problem> {
    // Of a run that is not there, State says so, and that somebody asked is on record.
    let target = caller.state().backup_run(of).map_or(BackupTargetId::ZERO, |run| run.target);
    begin(app, caller, target, kind).await
}

fn only_target(state: &State) -> Result<BackupTargetId, Problem> {
    let mut targets = state.backup_targets();
    match (targets.next(), targets.next()) {
        (Some(only), None) => Ok(only.id),
        (None, _) => {
            Err(Problem::conflict("no_backup_target", "There is no place for backups yet. Set one first."))
        }
        (Some(_), Some(_)) => {
            Err(Problem::invalid("which_backup_target", "There are several places for backups: name one."))
        }
    }
}

async fn begin(
    app: &App,
    caller: &Caller,
    target: BackupTargetId,
    kind: BackupKind,
) -> Result<HttpResponse, Problem> {
    let fixed = caller.state().backup_target(target).and_then(|target| target.settings.node);
    let node: NodeId = fixed.or(app.cluster.status().leader).unwrap_or_else(|| app.cluster.node_id());
    let run = BackupRunId::generate();
    caller.propose(BackupCommand::Begin { run, target, node, kind }).await?;
    let state = caller.state();
    let run = state.backup_run(run).ok_or_else(|| Problem::internal("the run is not in State"))?;
    created(&BackupRunView::of(&state, run, None))
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_backup_list, backup_list);
    routes.api(__path_backup_begin, backup_begin);
    routes.api(__path_backup_view, backup_view);
    routes.api(__path_backup_verify, backup_verify);
    routes.api(__path_backup_drill, backup_drill);
}
