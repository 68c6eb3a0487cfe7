//! Takes backups when they are due or asked for, checks them, and gives up those that were kept for long enough.
//!
//! Whoever leads begins runs and sees to it that one is gone on with; the node a run names carries it out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::heard;
use crate::actor::Actor;
use crate::backup::{self, BackupError, Marker, Target};
use crate::cluster::{Cluster, ProposeError};
use crate::command::{BackupCommand, BackupKind, BackupResult, Command};
use crate::event::Event;
use crate::id::{BackupRunId, BackupTargetId};
use crate::state::{BackupRun, BackupTarget, Limits, RunState, State};
use crate::worker::{WorkError, Worked, Worker};

/// How often it looks what is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// What another node carries out is looked at this often, and what is due where minutes count.
const LOOK_SOON: Duration = Duration::from_secs(5);
/// A node that carries out a run and was not heard for so long is waited for no more: longer than a restart takes, after
/// which it goes on by itself.
const SILENT_FOR: Duration = Duration::from_secs(15);
/// A run that is carried out says so this often: several times within the time of its pin.
const RENEW_EVERY: Duration = Duration::from_secs(5 * 60);
/// What only runs between two of the schedule named is looked for and removed this often: the place is listed for it.
const SWEEP_EVERY_MS: u64 = 60 * 60 * 1000;
/// Where a backup is taken every few minutes, one is taken this often when nothing was changed: so it is seen to work.
const AT_LEAST_EVERY_MS: u64 = 60 * 60 * 1000;
/// One between two of the schedule that came to nothing is tried again after this, or after its minutes when they are more.
const INTERIM_AGAIN_MS: u64 = 5 * 60 * 1000;
/// A backup that came to nothing is tried again after this.
const TRY_AGAIN_MS: u64 = 60 * 60 * 1000;
/// A sample of the newest backup is read again this often.
const VERIFY_EVERY_MS: u64 = 7 * Limits::DAY_MS;
/// The newest backup is opened as a restore would this often.
const DRILL_EVERY_MS: u64 = 30 * Limits::DAY_MS;

pub(super) struct Backup {
    cluster: Cluster,
    events: Receiver<Event>,
    done: u64,
    failed: u64,
    /// What came to nothing up to then has been cleared away.
    swept_ms: u64,
    /// When each place was looked through last for what nothing names any more.
    cleared_ms: HashMap<BackupTargetId, u64>,
    /// Something could not be removed: it is tried again then.
    sweep_again_ms: u64,
    /// Never waited for, only looked through: nobody is woken for each change of an asset.
    changes: Receiver<Event>,
    /// When something that a backup is for was found changed last.
    changed_ms: u64,
}

impl Backup {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self {
            events: cluster.rarer_events(),
            done: 0,
            failed: 0,
            swept_ms: 0,
            cleared_ms: HashMap::new(),
            sweep_again_ms: 0,
            changes: cluster.events(),
            changed_ms: cluster.now_ms(),
            cluster,
        }
    }

    async fn propose(&self, command: BackupCommand) -> Result<(), ProposeError> {
        let actor = Actor::system(self.cluster.node_id());
        self.cluster.propose(actor, Command::Backup(command)).await.map(drop)
    }

    /// Opens the place of a target, and looks that it is the one.
    async fn open(&self, state: &State, target: &BackupTarget) -> Result<Arc<dyn Target>, BackupError> {
        let login = backup::open_secret(self.cluster.keys(), target.id, target.secret.as_ref())?;
        let opened = self.cluster.config().targets.open(&target.settings, &login).await?;
        let cluster = state.cluster_info().map(|info| info.id).unwrap_or_default();
        Marker::of(cluster, target.id).expect(&*opened).await?;
        Ok(opened)
    }

    /// Carries out a run of this node, and says how it ended.
    async fn carry_out(&mut self, state: &State, run: &BackupRun) -> Result<(), WorkError> {
        let progress = self.cluster.backup_progress().clone();
        progress.begin(run.id);
        let ended = tokio::select! {
            ended = self.work_on(state, run) => ended,
            () = self.renew(run) => Err(BackupError::Lost),
        };
        progress.end();
        let (run, epoch) = (run.id, run.epoch);
        let command = match ended {
            Ok(result) => {
                self.done += 1;
                BackupCommand::Finish { run, epoch, result }
            }
            // Somebody else goes on with it.
            Err(BackupError::Lost) => return Ok(()),
            // Nobody could be told: it is gone on with when somebody leads again.
            Err(error @ BackupError::Propose(_)) => return Err(WorkError::new(&error)),
            Err(error) => {
                tracing::warn!(%run, %error, "a backup came to nothing");
                self.failed += 1;
                let reason = error.to_string().chars().take(Limits::REASON as usize).collect();
                BackupCommand::Fail { run, epoch, code: error.code().to_owned(), reason }
            }
        };
        match self.propose(command).await {
            Ok(()) | Err(ProposeError::Refused(_)) => Ok(()),
            Err(error) => Err(WorkError::new(&error)),
        }
    }

    async fn work_on(&self, state: &State, run: &BackupRun) -> Result<BackupResult, BackupError> {
        let target = state.backup_target(run.target).ok_or(BackupError::Lost)?;
        let target = self.open(state, target).await?;
        let (cluster, progress) = (&self.cluster, self.cluster.backup_progress());
        match run.kind {
            BackupKind::Copy | BackupKind::Interim => backup::carry_out(cluster, run, target, progress).await,
            BackupKind::Verify { of, full } => backup::verify(cluster, of, full, target, progress).await,
            BackupKind::Drill { of } => backup::drill(cluster, of, target, progress).await,
        }
    }

    /// Whether the node that carries out a run is gone, or not heard any more.
    fn is_silent(&self, state: &State, run: &BackupRun) -> bool {
        let report = self.cluster.peers().report(run.node);
        state.node(run.node).is_none() || report.is_some_and(|report| report.silent_for > SILENT_FOR)
    }

    /// Ends a run whose node is silent: nobody goes on under its name, since that node may still write there.
    async fn cut_off(&self, run: &BackupRun) -> Result<(), WorkError> {
        let reason = "the node that carried it out does not answer".to_owned();
        let command =
            BackupCommand::Fail { run: run.id, epoch: run.epoch, code: "node_silent".to_owned(), reason };
        match self.propose(command).await {
            Ok(()) | Err(ProposeError::Refused(_)) => Ok(()),
            Err(error) => Err(WorkError::new(&error)),
        }
    }

    /// Says again and again that the run is carried out; ends when that is refused.
    async fn renew(&self, run: &BackupRun) {
        loop {
            let renew = BackupCommand::Renew { run: run.id, epoch: run.epoch };
            if let Err(ProposeError::Refused(_)) = self.propose(renew).await {
                return;
            }
            tokio::time::sleep(RENEW_EVERY).await;
        }
    }

    /// Notes whether anything was changed since it looked last that a backup is for.
    fn look_for_changes(&mut self, now_ms: u64) {
        loop {
            match self.changes.try_recv() {
                Ok(Event::BackupsChanged | Event::AlertsChanged | Event::JobChanged { .. }) => {}
                Ok(_) | Err(TryRecvError::Lagged(_)) => self.changed_ms = now_ms,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// What the one who leads has to do when nothing runs.
    async fn lead(&mut self, state: &State) -> Result<Worked, WorkError> {
        let now_ms = self.cluster.now_ms();
        self.look_for_changes(now_ms);
        let due = || due(state, self.cluster.node_id(), now_ms, self.changed_ms);
        let due = expired(state, now_ms).or_else(due);
        if let Some(command) = due {
            return match self.propose(command).await {
                Ok(()) => Ok(Worked::Busy),
                Err(
                    ProposeError::Refused(_) | ProposeError::NotLeader { .. } | ProposeError::ReadOnly(_),
                ) => Ok(Worked::Idle),
                Err(error) => Err(WorkError::new(&error)),
            };
        }
        if now_ms < self.sweep_again_ms {
            return Ok(Worked::Idle);
        }
        for target in state.backup_targets() {
            if target.settings.node.is_none_or(|node| node == self.cluster.node_id())
                && let Err(error) = self.sweep(state, target).await
            {
                tracing::warn!(target = %target.id, %error, "old backups could not be removed");
                self.sweep_again_ms = now_ms + TRY_AGAIN_MS;
            }
        }
        self.swept_ms = now_ms;
        Ok(Worked::Idle)
    }

    /// Removes what only given-up runs name, and what runs that came to nothing left.
    async fn sweep(&mut self, state: &State, target: &BackupTarget) -> Result<(), WorkError> {
        let of_target = |run: &&&Arc<BackupRun>| run.target == target.id;
        let runs = state.backup_runs();
        let expiring = || runs.iter().filter(of_target).filter(|run| matches!(run.state, RunState::Expiring));
        let given_up: Vec<BackupRunId> = expiring().map(|run| run.id).collect();
        let left_over = runs.iter().filter(of_target).any(|run| match &run.state {
            RunState::Failed { ended_ms, .. } => run.kind.takes_one() && *ended_ms > self.swept_ms,
            _ => false,
        });
        let can_wait = expiring().all(|run| run.kind == BackupKind::Interim) && !left_over;
        let cleared_ms = self.cleared_ms.get(&target.id).copied().unwrap_or(0);
        let waited = self.cluster.now_ms() >= cleared_ms + SWEEP_EVERY_MS;
        if given_up.is_empty() && !left_over || can_wait && !waited {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| WorkError::new(&format!("old backups: {error}"));
        let opened = self.open(state, target).await.map_err(|error| failed(&error))?;
        let swept = backup::sweep(&self.cluster, state, target.id, &*opened).await;
        let locked = swept.map_err(|error| failed(&error))?;
        self.cleared_ms.insert(target.id, self.cluster.now_ms());
        for run in given_up {
            if locked.contains(&run) {
                continue;
            }
            match self.propose(BackupCommand::Forget { run }).await {
                Ok(()) | Err(ProposeError::Refused(_)) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Worker for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn status(&self) -> String {
        format!("{} runs carried out here since start, {} came to nothing", self.done, self.failed)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let state = self.cluster.state();
        let me = self.cluster.node_id();
        match state.running_backup() {
            Some(run) if run.node == me => {
                let run = BackupRun::clone(run);
                self.carry_out(&state, &run).await?;
                Ok(Worked::Busy)
            }
            Some(run) if self.cluster.leads() && self.is_silent(&state, run) => {
                self.cut_off(run).await?;
                Ok(Worked::Busy)
            }
            // Its node answers, and does not get on: somebody else goes on.
            Some(run) if self.cluster.leads() && run.pinned_until_ms <= self.cluster.now_ms() => {
                let command = BackupCommand::TakeOver { run: run.id, node: me };
                self.propose(command).await.map_err(|error| WorkError::new(&error))?;
                Ok(Worked::Busy)
            }
            Some(_) => Ok(Worked::Idle),
            None if self.cluster.leads() => self.lead(&state).await,
            None => Ok(Worked::Idle),
        }
    }

    async fn wait(&mut self) {
        let state = self.cluster.state();
        let elsewhere = state.running_backup().is_some();
        let is_paced = state.backup_targets().any(|target| state.backup_pace(target.id).is_some());
        let longest = if elsewhere || is_paced { LOOK_SOON } else { LOOK_EVERY };
        heard(&mut self.events, longest, |event| matches!(event, Event::BackupsChanged)).await;
    }
}

/// The next run that is due.
fn due(state: &State, me: crate::id::NodeId, now_ms: u64, changed_ms: u64) -> Option<BackupCommand> {
    if state.cluster_info().is_none_or(|cluster| cluster.time_held) {
        return None;
    }
    state.backup_targets().find_map(|target| {
        let kind = due_at(state, target, now_ms, changed_ms)?;
        let node = target.settings.node.unwrap_or(me);
        Some(BackupCommand::Begin { run: BackupRunId::generate(), target: target.id, node, kind })
    })
}

/// What is due at a target.
fn due_at(state: &State, target: &BackupTarget, now_ms: u64, changed_ms: u64) -> Option<BackupKind> {
    let mut runs = state.backup_runs();
    runs.retain(|run| run.target == target.id);
    let tried_lately = |kind: &str| {
        let newest = runs.iter().find(|run| run.kind.name() == kind);
        newest.is_some_and(|run| match run.state {
            RunState::Failed { ended_ms, .. } => now_ms < ended_ms + TRY_AGAIN_MS,
            _ => false,
        })
    };
    let newest = runs.iter().find(|run| run.whole().is_some());
    let newest_planned = runs.iter().find(|run| run.kind == BackupKind::Copy && run.whole().is_some());
    if let Some(planned_ms) = last_planned_ms(target, now_ms)
        && newest_planned.is_none_or(|newest| newest.began_ms < planned_ms)
        && !tried_lately("copy")
    {
        return Some(BackupKind::Copy);
    }
    if is_interim_due(state, target, &runs, now_ms, changed_ms) {
        return Some(BackupKind::Interim);
    }
    // A target that is used on demand only is checked on demand only.
    target.settings.daily_at_minute?;
    let of = newest?.id;
    let since = |kind: &str| {
        let checked = runs.iter().filter(|run| run.kind.name() == kind && run.is_passing());
        checked.map(|run| run.began_ms).max().unwrap_or(target.created_ms)
    };
    if now_ms >= since("drill") + DRILL_EVERY_MS && !tried_lately("drill") {
        return Some(BackupKind::Drill { of });
    }
    let verify = now_ms >= since("verify") + VERIFY_EVERY_MS && !tried_lately("verify");
    verify.then_some(BackupKind::Verify { of, full: false })
}

/// Whether a change has waited for long enough for its backup, at a place that does not wait for the time of the day.
fn is_interim_due(
    state: &State,
    target: &BackupTarget,
    runs: &[&Arc<BackupRun>],
    now_ms: u64,
    changed_ms: u64,
) -> bool {
    let Some(minutes) = state.backup_pace(target.id) else { return false };
    let Some(newest) = runs.iter().find(|run| run.kind.takes_one()) else { return true };
    let pace_ms = u64::from(minutes) * 60 * 1000;
    let waited_ms = now_ms.saturating_sub(newest.began_ms);
    match newest.state {
        RunState::Failed { .. } => waited_ms >= pace_ms.max(INTERIM_AGAIN_MS),
        RunState::Running | RunState::Expiring => false,
        RunState::Done { ended_ms, .. } => {
            // A place that is slow is left in peace for as long as it took: to be checked, and to be cleared up.
            let rested = now_ms.saturating_sub(ended_ms) >= ended_ms.saturating_sub(newest.began_ms);
            let is_newer = changed_ms > newest.began_ms;
            rested && waited_ms >= pace_ms && (is_newer || waited_ms >= AT_LEAST_EVERY_MS)
        }
    }
}

/// When a backup was to begin last. None before the first time, which is after the target was set.
fn last_planned_ms(target: &BackupTarget, now_ms: u64) -> Option<u64> {
    let minute_ms = u64::from(target.settings.daily_at_minute?) * 60 * 1000;
    let today_ms = now_ms - now_ms % Limits::DAY_MS + minute_ms;
    let planned_ms = if today_ms <= now_ms { today_ms } else { today_ms.checked_sub(Limits::DAY_MS)? };
    (planned_ms > target.created_ms).then_some(planned_ms)
}

/// When the next backup of a target begins by itself: at the latest, where one is taken when something was changed.
#[must_use]
pub fn next_planned_ms(state: &State, target: &BackupTarget, now_ms: u64) -> Option<u64> {
    let daily_ms = next_daily_ms(target, now_ms)?;
    let of_target = |run: &&Arc<BackupRun>| run.target == target.id && run.kind.takes_one();
    let newest = state.backup_runs().into_iter().find(of_target);
    match (state.backup_pace(target.id), newest) {
        (None, _) => Some(daily_ms),
        (Some(_), None) => Some(now_ms),
        (Some(_), Some(newest)) => Some(daily_ms.min(now_ms.max(newest.began_ms + AT_LEAST_EVERY_MS))),
    }
}

fn next_daily_ms(target: &BackupTarget, now_ms: u64) -> Option<u64> {
    let minute_ms = u64::from(target.settings.daily_at_minute?) * 60 * 1000;
    let today_ms = now_ms - now_ms % Limits::DAY_MS + minute_ms;
    Some(if today_ms > now_ms { today_ms } else { today_ms + Limits::DAY_MS })
}

/// A run that was kept for long enough.
fn expired(state: &State, now_ms: u64) -> Option<BackupCommand> {
    let expired = state.backup_targets().find_map(|target| {
        // The newest stays, however old it is.
        let mut older = state.whole_backups(target.id).into_iter().skip(1);
        older.find(|run| {
            let noted_ms = match run.state {
                RunState::Done { noted_due_ms, .. } => noted_due_ms,
                _ => None,
            };
            let again = noted_ms.is_none_or(|noted_ms| now_ms >= noted_ms + Limits::DUE_AGAIN_MS);
            again && now_ms >= state.kept_until_ms(run)
        })
    });
    expired.map(|run| BackupCommand::Expire { run: run.id })
}
