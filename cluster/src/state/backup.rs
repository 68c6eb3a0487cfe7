//! Rules for backups: where they go, one run at a time, how long a run is kept, and what a running one pins.

use std::sync::Arc;

use super::apply::Change;
use super::limits::Limits;
use super::{BackupRun, BackupTarget, RunState, State, validate};
use crate::command::{BackupCommand, BackupKind, BackupResult, SealedSecret, TargetPlace, TargetSettings};
use crate::event::Event;
use crate::id::{BackupRunId, BackupTargetId, NodeId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn backup(&mut self, command: &BackupCommand) -> Ruled {
        use BackupCommand as C;
        match command {
            C::SetTarget { target, settings, secret } => {
                self.set_backup_target(*target, settings, secret.as_ref())
            }
            C::SetPacedTarget { target, settings, secret, every_minutes } => {
                checked_pace(settings, *every_minutes)?;
                self.set_backup_target(*target, settings, secret.as_ref())?;
                self.set_backup_pace(*target, *every_minutes);
                Ok(Outcome::Done)
            }
            C::RemoveTarget { target } => self.remove_backup_target(*target),
            C::Begin { run, target, node, kind } => self.begin_backup(*run, *target, *node, *kind),
            C::TakeOver { run, node } => self.take_over_backup(*run, *node),
            C::Renew { run, epoch } => {
                let pinned_until_ms = self.now_ms + Limits::BACKUP_PIN_MS;
                let run = self.running_run(*run, *epoch)?;
                self.put_run(BackupRun { pinned_until_ms, ..run })
            }
            C::Finish { run, epoch, result } => self.finish_backup(*run, *epoch, result),
            C::Fail { run, epoch, code, reason } => {
                validate::code("code", code)?;
                validate::lines("reason", reason, Limits::REASON)?;
                let (ended_ms, code, reason) = (self.now_ms, code.clone(), reason.clone());
                let run = self.running_run(*run, *epoch)?;
                self.put_run(BackupRun { state: RunState::Failed { ended_ms, code, reason }, ..run })
            }
            C::Expire { run } => self.expire_backup(*run),
            C::Forget { run } => self.forget_backup(*run),
            C::Restored { node, .. } => {
                self.state.node(*node).map(|_| Outcome::Done).ok_or(Refusal::NotFound(Noun::Node))
            }
        }
    }

    fn set_backup_target(
        &mut self,
        id: BackupTargetId,
        settings: &TargetSettings,
        secret: Option<&SealedSecret>,
    ) -> Ruled {
        let settings = checked_settings(settings)?;
        let records = &self.state.records.backups;
        let known = records.targets.get(&id);
        if known.is_none() {
            self.room(records.targets.len(), Limits::BACKUP_TARGETS, Noun::BackupTarget)?;
        }
        if records.targets.values().any(|other| other.id != id && other.settings.name == settings.name) {
            return Err(Refusal::NameTaken(Noun::BackupTarget));
        }
        if settings.node.is_some_and(|node| self.state.node(node).is_none()) {
            return Err(Refusal::NotFound(Noun::Node));
        }
        if let Some(secret) = secret {
            self.current_key_epoch(secret.key_epoch)?;
            if secret.sealed.is_empty() || secret.sealed.len() > Limits::SEALED_SECRET {
                return Err(Refusal::invalid("secret", Problem::OutOfRange));
            }
        }
        let secret = secret.or(known.and_then(|known| known.secret.as_ref())).cloned();
        let created_ms = known.map_or(self.now_ms, |known| known.created_ms);
        if settings.daily_at_minute.is_none() {
            self.set_backup_pace(id, None);
        }
        let target = BackupTarget { id, settings, secret, created_ms };
        self.state.records.backups.targets.insert(id, Arc::new(target));
        self.forget_unused_keys();
        self.event(Event::BackupsChanged);
        Ok(Outcome::Done)
    }

    fn set_backup_pace(&mut self, id: BackupTargetId, every_minutes: Option<u16>) {
        let paces = &mut self.state.records.backup_paces;
        match every_minutes {
            Some(minutes) => paces.insert(id, minutes),
            None => paces.remove(&id),
        };
    }

    fn remove_backup_target(&mut self, id: BackupTargetId) -> Ruled {
        if self.state.running_backup().is_some_and(|run| run.target == id) {
            return Err(Refusal::BackupRunning);
        }
        let backups = &mut self.state.records.backups;
        backups.targets.remove(&id).ok_or(Refusal::NotFound(Noun::BackupTarget))?;
        let gone: Vec<BackupRunId> =
            backups.runs.values().filter(|run| run.target == id).map(|run| run.id).collect();
        for run in gone {
            backups.runs.remove(&run);
        }
        self.set_backup_pace(id, None);
        self.forget_unused_keys();
        self.event(Event::BackupsChanged);
        Ok(Outcome::Done)
    }

    fn begin_backup(
        &mut self,
        id: BackupRunId,
        target: BackupTargetId,
        node: NodeId,
        kind: BackupKind,
    ) -> Ruled {
        if self.state.backup_target(target).is_none() {
            return Err(Refusal::NotFound(Noun::BackupTarget));
        }
        if self.state.node(node).is_none() {
            return Err(Refusal::NotFound(Noun::Node));
        }
        if self.state.backup_run(id).is_some() {
            return Err(Refusal::DuplicateId(Noun::BackupRun));
        }
        if let Some(of) = kind.of() {
            let looked_at = self.state.backup_run(of).filter(|run| run.target == target);
            let looked_at = looked_at.ok_or(Refusal::NotFound(Noun::BackupRun))?;
            looked_at.whole().ok_or(Refusal::BackupNotWhole)?;
        }
        if self.state.running_backup().is_some() {
            return Err(Refusal::BackupRunning);
        }
        let (began_ms, pinned_until_ms) = (self.now_ms, self.now_ms + Limits::BACKUP_PIN_MS);
        let state = RunState::Running;
        self.forget_old_runs();
        self.put_run(BackupRun { id, target, kind, node, epoch: 1, began_ms, pinned_until_ms, state })
    }

    /// Of checks, and of backups that came to nothing, the newest are kept; of those between two of the schedule, which come
    /// to nothing every few minutes while a place is away, only some: they must not push out the last drill.
    fn forget_old_runs(&mut self) {
        let backups = &mut self.state.records.backups;
        for (interim, most) in [(false, Limits::BACKUP_CHECKS), (true, Limits::FAILED_INTERIM_BACKUPS)] {
            let old = backups.runs.values().filter(|run| run.is_passing());
            let old = old.filter(|run| (run.kind == BackupKind::Interim) == interim);
            let mut old: Vec<(u64, BackupRunId)> = old.map(|run| (run.began_ms, run.id)).collect();
            old.sort_unstable();
            let too_many = old.len().saturating_sub(most);
            for (_, run) in old.into_iter().take(too_many) {
                backups.runs.remove(&run);
            }
        }
    }

    fn take_over_backup(&mut self, id: BackupRunId, node: NodeId) -> Ruled {
        let found = self.run_record(id)?;
        if found.state != RunState::Running {
            return Err(Refusal::BackupOver);
        }
        if self.state.node(node).is_none() {
            return Err(Refusal::NotFound(Noun::Node));
        }
        let pinned_until_ms = self.now_ms + Limits::BACKUP_PIN_MS;
        self.put_run(BackupRun { node, epoch: found.epoch + 1, pinned_until_ms, ..found })
    }

    fn finish_backup(&mut self, id: BackupRunId, epoch: u64, result: &BackupResult) -> Ruled {
        if result.flaws.len() > Limits::BACKUP_FLAWS {
            return Err(Refusal::invalid("flaws", Problem::TooMany(50)));
        }
        result.flaws.iter().try_for_each(|flaw| validate::line("flaws", flaw, Limits::NAME))?;
        let run = self.running_run(id, epoch)?;
        let state = RunState::Done { ended_ms: self.now_ms, noted_due_ms: None, result: result.clone() };
        self.put_run(BackupRun { state, ..run })
    }

    /// A run is given up when it was due by two stamps an hour apart, and never the newest whole one of its target.
    fn expire_backup(&mut self, id: BackupRunId) -> Ruled {
        let run = self.run_record(id)?;
        if self.state.cluster_info().is_some_and(|cluster| cluster.time_held) {
            return Err(Refusal::TimeHeld);
        }
        let RunState::Done { ended_ms, noted_due_ms, result } = run.state.clone() else {
            return Err(Refusal::NotDue);
        };
        if !run.kind.takes_one() || self.now_ms < self.state.kept_until_ms(&run) {
            return Err(Refusal::NotDue);
        }
        if self.state.newest_whole(run.target).is_none_or(|newest| newest.id == id) {
            return Err(Refusal::NotDue);
        }
        match noted_due_ms {
            None => {
                let noted_due_ms = Some(self.now_ms);
                self.put_run(BackupRun { state: RunState::Done { ended_ms, noted_due_ms, result }, ..run })?;
                Ok(Outcome::NotedDue)
            }
            Some(noted_ms) if self.now_ms < noted_ms + Limits::DUE_AGAIN_MS => Err(Refusal::NotDue),
            Some(_) => {
                self.put_run(BackupRun { state: RunState::Expiring, ..run })?;
                Ok(Outcome::Purged)
            }
        }
    }

    fn forget_backup(&mut self, id: BackupRunId) -> Ruled {
        let run = self.run_record(id)?;
        if run.state == RunState::Running || run.whole().is_some() {
            return Err(Refusal::NotDue);
        }
        self.state.records.backups.runs.remove(&id);
        self.event(Event::BackupsChanged);
        Ok(Outcome::Done)
    }

    fn run_record(&self, id: BackupRunId) -> Result<BackupRun, Refusal> {
        self.state.backup_run(id).map(|run| BackupRun::clone(run)).ok_or(Refusal::NotFound(Noun::BackupRun))
    }

    /// A run that is carried out, by whom `epoch` was given to.
    fn running_run(&self, id: BackupRunId, epoch: u64) -> Result<BackupRun, Refusal> {
        let run = self.run_record(id)?;
        if run.state == RunState::Running && run.epoch == epoch { Ok(run) } else { Err(Refusal::BackupOver) }
    }

    fn put_run(&mut self, run: BackupRun) -> Ruled {
        self.state.records.backups.runs.insert(run.id, Arc::new(run));
        self.event(Event::BackupsChanged);
        Ok(Outcome::Done)
    }
}

fn checked_pace(settings: &TargetSettings, every_minutes: Option<u16>) -> Result<(), Refusal> {
    let Some(minutes) = every_minutes else { return Ok(()) };
    let fits = (1..=Limits::BACKUP_PACE_MINUTES).contains(&minutes) && settings.daily_at_minute.is_some();
    if fits { Ok(()) } else { Err(Refusal::invalid("every_minutes", Problem::OutOfRange)) }
}

fn checked_settings(settings: &TargetSettings) -> Result<TargetSettings, Refusal> {
    let name = validate::name("name", &settings.name)?;
    if settings.keep_days == 0 || settings.keep_days > Limits::BACKUP_KEEP_DAYS {
        return Err(Refusal::invalid("keep_days", Problem::OutOfRange));
    }
    if settings.daily_at_minute.is_some_and(|minute| minute >= 24 * 60) {
        return Err(Refusal::invalid("daily_at_minute", Problem::OutOfRange));
    }
    let required = |field: &str, value: &str| validate::name(field, value).map(drop);
    match &settings.place {
        TargetPlace::Folder { path } => {
            required("path", path)?;
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return Err(Refusal::invalid("path", Problem::Malformed));
            }
        }
        TargetPlace::Sftp { host, port, path, username, host_key } => {
            let fields = [("host", host), ("path", path), ("username", username), ("host_key", host_key)];
            fields.into_iter().try_for_each(|(field, value)| required(field, value))?;
            if *port == 0 {
                return Err(Refusal::invalid("port", Problem::OutOfRange));
            }
        }
        TargetPlace::S3 { endpoint, region, bucket, prefix, access_key, authority, .. } => {
            let fields =
                [("endpoint", endpoint), ("region", region), ("bucket", bucket), ("access_key", access_key)];
            fields.into_iter().try_for_each(|(field, value)| required(field, value))?;
            validate::line("prefix", prefix, Limits::NAME)?;
            if let Some(authority) = authority {
                validate::lines("authority", authority, Limits::AUTHORITY)?;
            }
        }
    }
    Ok(TargetSettings { name, ..settings.clone() })
}

impl State {
    /// A place for backups.
    #[must_use]
    pub fn backup_target(&self, id: BackupTargetId) -> Option<&Arc<BackupTarget>> {
        self.records.backups.targets.get(&id)
    }

    /// All places for backups.
    pub fn backup_targets(&self) -> impl Iterator<Item = &Arc<BackupTarget>> {
        self.records.backups.targets.values()
    }

    /// A run.
    #[must_use]
    pub fn backup_run(&self, id: BackupRunId) -> Option<&Arc<BackupRun>> {
        self.records.backups.runs.get(&id)
    }

    /// All runs, the newest first.
    #[must_use]
    pub fn backup_runs(&self) -> Vec<&Arc<BackupRun>> {
        let mut runs: Vec<_> = self.records.backups.runs.values().collect();
        runs.sort_unstable_by_key(|run| std::cmp::Reverse((run.began_ms, run.id)));
        runs
    }

    /// The one that is carried out.
    #[must_use]
    pub fn running_backup(&self) -> Option<&Arc<BackupRun>> {
        self.records.backups.runs.values().find(|run| run.state == RunState::Running)
    }

    /// The newest whole backup at a target.
    #[must_use]
    pub fn newest_whole(&self, target: BackupTargetId) -> Option<&Arc<BackupRun>> {
        self.whole_backups(target).into_iter().next()
    }

    /// How many minutes a change waits for its backup at most, where it does not wait for the time of the day.
    #[must_use]
    pub fn backup_pace(&self, id: BackupTargetId) -> Option<u16> {
        self.records.backup_paces.get(&id).copied()
    }

    /// For how long, in ms, a target with a daily schedule has had no newer whole backup: since the newest one began, or,
    /// before the first, since the target was set. None for a target that is used on demand only.
    #[must_use]
    pub fn backup_age_ms(&self, target: &BackupTarget, now_ms: u64) -> Option<u64> {
        target.settings.daily_at_minute?;
        let since_ms = self.newest_whole(target.id).map_or(target.created_ms, |run| run.began_ms);
        Some(now_ms.saturating_sub(since_ms))
    }

    /// When the newest drill at a target ended (ms since 1970), and whether everything was well.
    #[must_use]
    pub fn newest_drill(&self, target: BackupTargetId) -> Option<(u64, bool)> {
        let runs = self.backup_runs().into_iter();
        let mut drills = runs.filter(|run| run.target == target && run.kind.name() == "drill");
        drills.find_map(|run| match &run.state {
            RunState::Done { ended_ms, result, .. } => Some((*ended_ms, result.flaw_count == 0)),
            RunState::Failed { ended_ms, .. } => Some((*ended_ms, false)),
            RunState::Running | RunState::Expiring => None,
        })
    }

    /// The whole backups at a target, the newest first.
    #[must_use]
    pub fn whole_backups(&self, target: BackupTargetId) -> Vec<&Arc<BackupRun>> {
        let mut runs = self.backup_runs();
        runs.retain(|run| run.target == target && run.whole().is_some());
        runs
    }

    /// For how many days a run of this kind is kept at a target.
    #[must_use]
    pub fn kept_days(&self, target: BackupTargetId, kind: BackupKind) -> u16 {
        match kind {
            BackupKind::Interim => 1,
            _ => self.backup_target(target).map_or(0, |target| target.settings.keep_days),
        }
    }

    /// Until when a run is kept at least.
    #[must_use]
    pub fn kept_until_ms(&self, run: &BackupRun) -> u64 {
        let days = self.kept_days(run.target, run.kind);
        let ended_ms = match run.state {
            RunState::Done { ended_ms, .. } | RunState::Failed { ended_ms, .. } => ended_ms,
            RunState::Running | RunState::Expiring => run.began_ms,
        };
        ended_ms.saturating_add(u64::from(days) * Limits::DAY_MS)
    }

    /// Until when nothing that is on the disks may be removed, because a run that is carried out may name it. The pin of
    /// a run whose node is gone ends by itself.
    #[must_use]
    pub fn backup_pin(&self, now_ms: u64) -> Option<u64> {
        self.running_backup().map(|run| run.pinned_until_ms).filter(|until_ms| *until_ms > now_ms)
    }

    /// The oldest cluster key that the secret of a target is sealed under.
    pub(super) fn oldest_backup_epoch(&self) -> Option<u32> {
        let secrets = self.backup_targets().filter_map(|target| target.secret.as_ref());
        secrets.map(|secret| secret.key_epoch).min()
    }
}
