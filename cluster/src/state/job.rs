//! Rules for Jobs: at most one active on an asset, leased by epochs, ended once.

use super::apply::Change;
use super::limits::Limits;
use super::validate;
use super::{Asset, AssetState, Job, JobState};
use crate::actor::ActorKind;
use crate::command::{JobCommand, JobKind};
use crate::event::Event;
use crate::id::{AssetId, JobId, NodeId};
use crate::outcome::Outcome;
use crate::refusal::{Needs, Noun, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn job(&mut self, command: &JobCommand) -> Ruled {
        match command {
            JobCommand::Queue { job, asset, kind } => self.queue(*job, *asset, *kind),
            JobCommand::Lease { job, node, epoch } => self.lease(*job, *node, *epoch),
            JobCommand::Finish { job, epoch } => self.finish(*job, *epoch),
            JobCommand::Fail { job, epoch, code, reason } => self.fail(*job, *epoch, code, reason),
            JobCommand::Cancel { job } => self.cancel(*job),
            JobCommand::Retry { job } => self.retry(*job),
            parts => self.parts(parts),
        }
    }

    pub(super) fn job_copy(&self, id: JobId) -> Result<Job, Refusal> {
        self.state.job(id).map(|job| Job::clone(job)).ok_or(Refusal::NotFound(Noun::Job))
    }

    fn put_job(&mut self, mut job: Job, state: JobState) {
        job.state = state;
        job.updated_ms = self.now_ms;
        let (id, asset, application) = (job.id, job.asset, job.application);
        if !job.state.is_active() {
            self.forget_parts(id, asset);
        }
        self.state.put_job(id, job);
        self.forget_old_jobs();
        self.event(Event::JobChanged { job: id, asset, application });
    }

    /// Keeps the newest ended Jobs only.
    fn forget_old_jobs(&mut self) {
        while self.state.indexes.ended_jobs.len() > Limits::ENDED_JOBS {
            let Some((_, oldest)) = self.state.indexes.ended_jobs.get_min().copied() else { return };
            self.state.remove_job(oldest);
        }
    }

    pub(super) fn queue(&mut self, id: JobId, asset: AssetId, kind: JobKind) -> Ruled {
        let mut asset = self.live_asset_copy(asset)?;
        if let Some(active) = self.state.active_job_of(asset.id) {
            return Ok(Outcome::Job { job: active.id, existing: true });
        }
        if self.state.job(id).is_some() {
            return Err(Refusal::DuplicateId(Noun::Job));
        }
        let job = Job {
            id,
            asset: asset.id,
            application: asset.application,
            kind,
            state: JobState::Queued,
            epoch: 0,
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
        };
        asset.job = Some(id);
        self.begin_processing(asset);
        self.put_job(job, JobState::Queued);
        Ok(Outcome::Job { job: id, existing: false })
    }

    /// The asset is being worked on (again): Failed and Ready become Processing once it is uploaded.
    fn begin_processing(&mut self, mut asset: Asset) {
        asset.state = if asset.length.is_some() { AssetState::Processing } else { AssetState::Uploading };
        self.put_changed(asset);
    }

    fn lease(&mut self, id: JobId, node: NodeId, epoch: u64) -> Ruled {
        if self.actor.kind != ActorKind::System(node) {
            // A node takes work for itself only.
            return Err(Refusal::Forbidden { needs: Needs::Node });
        }
        let mut job = self.job_copy(id)?;
        if !job.state.is_active() {
            return Err(Refusal::JobState);
        }
        if job.epoch != epoch {
            return Err(Refusal::StaleJobEpoch { current: job.epoch });
        }
        job.epoch += 1;
        let granted = job.epoch;
        self.put_job(job, JobState::Leased { node, since_ms: self.now_ms });
        Ok(Outcome::JobEpoch(granted))
    }

    /// The Job, when `epoch` is its newest lease and it is worked on.
    pub(super) fn leased(&self, id: JobId, epoch: u64) -> Result<Job, Refusal> {
        let job = self.job_copy(id)?;
        if job.epoch != epoch {
            return Err(Refusal::StaleJobEpoch { current: job.epoch });
        }
        match job.state {
            JobState::Leased { .. } => Ok(job),
            _ => Err(Refusal::JobState),
        }
    }

    fn finish(&mut self, id: JobId, epoch: u64) -> Ruled {
        let job = self.leased(id, epoch)?;
        self.put_job(job, JobState::Finished);
        Ok(Outcome::Done)
    }

    fn fail(&mut self, id: JobId, epoch: u64, code: &str, reason: &str) -> Ruled {
        validate::code("code", code)?;
        validate::lines("reason", reason, Limits::REASON)?;
        let job = self.leased(id, epoch)?;
        self.fail_asset(job.asset, code, reason);
        self.put_job(job, JobState::Failed { code: code.to_owned(), reason: reason.to_owned() });
        Ok(Outcome::Done)
    }

    /// What was complete before stays so; what never was has failed.
    fn fail_asset(&mut self, asset: AssetId, code: &str, reason: &str) {
        let Ok(mut asset) = self.asset_copy(asset) else { return };
        asset.state = if asset.manifest.is_some() {
            AssetState::Ready
        } else {
            AssetState::Failed { code: code.to_owned(), reason: reason.to_owned() }
        };
        self.put_changed(asset);
    }

    fn cancel(&mut self, id: JobId) -> Ruled {
        let job = self.job_copy(id)?;
        if !job.state.is_active() {
            return Err(Refusal::JobState);
        }
        self.fail_asset(job.asset, "cancelled", "Processing was cancelled.");
        self.put_job(job, JobState::Cancelled);
        Ok(Outcome::Done)
    }

    fn retry(&mut self, id: JobId) -> Ruled {
        let job = self.job_copy(id)?;
        if !matches!(job.state, JobState::Failed { .. } | JobState::Cancelled) {
            return Err(Refusal::JobState);
        }
        let mut asset = self.live_asset_copy(job.asset)?;
        if self.state.active_job_of(asset.id).is_some() {
            return Err(Refusal::JobState);
        }
        asset.job = Some(id);
        self.begin_processing(asset);
        self.put_job(job, JobState::Queued);
        Ok(Outcome::Done)
    }

    /// Stops the asset's Job, when one is active: the asset goes to the trash.
    pub(super) fn cancel_active_job(&mut self, asset: AssetId) {
        let Some(job) = self.state.active_job_of(asset).map(|job| Job::clone(job)) else { return };
        self.fail_asset(asset, "cancelled", "Processing was cancelled.");
        self.put_job(job, JobState::Cancelled);
    }

    /// Forgets every Job of a purged asset.
    pub(super) fn forget_jobs(&mut self, asset: AssetId) {
        let range = (asset, JobId::ZERO)..=(asset, JobId([0xff; 16]));
        let jobs: Vec<JobId> = self.state.indexes.asset_jobs.range(range).map(|(_, job)| *job).collect();
        for id in jobs {
            if let Some(job) = self.state.remove_job(id) {
                self.state.records.splits.remove(&id);
                self.event(Event::JobChanged { job: id, asset, application: job.application });
            }
        }
    }
}
