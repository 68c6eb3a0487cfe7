//! Rules for the parts of a Job: each is leased, written to a Blob of its own, and kept once its segments are in the
//! renditions. They are gone with the Job's last lease, and so are their Blobs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::apply::Change;
use super::limits::Limits;
use super::validate;
use crate::actor::ActorKind;
use crate::command::{BlobKind, JobCommand};
use crate::event::Event;
use crate::id::{AssetId, BlobId, JobId, NodeId};
use crate::outcome::Outcome;
use crate::refusal::{Needs, Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// How the pictures of a Job are divided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// In order of play; none when it was tried and is not to be tried again.
    pub parts: Vec<Part>,
}

/// Some segments of all video renditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its first segment.
    pub first: u64,
    /// The first segment behind it; `None` for the last part, which goes to the end.
    pub end: Option<u64>,
    /// Where it stands.
    pub state: PartState,
    /// Leases given so far: the epoch of the newest.
    pub epoch: u64,
    /// Where its segments are until they are in the renditions.
    pub blob: Option<BlobId>,
}

/// Where a part stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartState {
    /// Waits for a node.
    Waiting,
    /// A node works on it.
    Leased {
        /// Which.
        node: NodeId,
        /// Since when.
        since_ms: u64,
    },
    /// All of it is in its Blob, which is sealed.
    Made {
        /// Something in the source could not be decoded.
        damaged: bool,
    },
    /// All of it is in the renditions, and its Blob is gone.
    Kept {
        /// Something in the source could not be decoded.
        damaged: bool,
    },
    /// It cannot be made.
    Failed {
        /// Stable code.
        code: String,
    },
}

impl Part {
    fn new(first: u64, end: Option<u64>) -> Self {
        Self { first, end, state: PartState::Waiting, epoch: 0, blob: None }
    }
}

impl Change<'_> {
    /// Commands about parts; all others are not for here.
    pub(super) fn parts(&mut self, command: &JobCommand) -> Ruled {
        match command {
            JobCommand::Split { job, epoch, cuts } => self.split(*job, *epoch, cuts),
            JobCommand::LeasePart { job, part, node, epoch } => self.lease_part(*job, *part, *node, *epoch),
            JobCommand::OpenPart { job, part, epoch, blob } => self.open_part(*job, *part, *epoch, *blob),
            JobCommand::FinishPart { job, part, epoch, damaged } => {
                self.finish_part(*job, *part, *epoch, *damaged)
            }
            JobCommand::FailPart { job, part, epoch, code } => {
                validate::code("code", code)?;
                self.leased_part(*job, *part, *epoch)?;
                self.change_part(*job, *part, |part| part.state = PartState::Failed { code: code.clone() })
            }
            JobCommand::KeepPart { job, epoch, part } => self.keep_part(*job, *epoch, *part),
            _ => Err(Refusal::JobState),
        }
    }

    fn split(&mut self, id: JobId, epoch: u64, cuts: &[u64]) -> Ruled {
        let job = self.leased(id, epoch)?;
        if cuts.len() > Limits::PARTS_PER_JOB as usize {
            return Err(Refusal::invalid("cuts", Problem::TooMany(Limits::PARTS_PER_JOB)));
        }
        if !cuts.is_sorted_by(|one, next| one < next) {
            return Err(Refusal::invalid("cuts", Problem::Malformed));
        }
        if self.live_asset_copy(job.asset)?.length.is_none() {
            // How long it is, is not known yet.
            return Err(Refusal::AssetState);
        }
        if let Some(before) = self.state.split(id).filter(|_| !cuts.is_empty()) {
            let same = before.parts.iter().map(|part| part.first).eq(cuts.iter().copied());
            return if same { Ok(Outcome::Done) } else { Err(Refusal::JobState) };
        }
        self.forget_parts(id, job.asset);
        let ends = cuts.iter().skip(1).map(|end| Some(*end)).chain([None]);
        let parts = cuts.iter().zip(ends).map(|(first, end)| Part::new(*first, end)).collect();
        self.state.records.splits.insert(id, Arc::new(Split { parts }));
        self.event(Event::JobChanged { job: id, asset: job.asset, application: job.application });
        Ok(Outcome::Done)
    }

    fn part(&self, job: JobId, part: u16) -> Result<&Part, Refusal> {
        let found = self.state.split(job).and_then(|split| split.parts.get(usize::from(part)));
        found.ok_or(Refusal::NotFound(Noun::Job))
    }

    fn change_part(&mut self, id: JobId, number: u16, change: impl FnOnce(&mut Part)) -> Ruled {
        let job = self.job_copy(id)?;
        let split = self.state.records.splits.get_mut(&id);
        let part = split.and_then(|split| Arc::make_mut(split).parts.get_mut(usize::from(number)));
        change(part.ok_or(Refusal::NotFound(Noun::Job))?);
        self.event(Event::JobChanged { job: id, asset: job.asset, application: job.application });
        Ok(Outcome::Done)
    }

    fn lease_part(&mut self, id: JobId, number: u16, node: NodeId, epoch: u64) -> Ruled {
        if self.actor.kind != ActorKind::System(node) {
            // A node takes work for itself only.
            return Err(Refusal::Forbidden { needs: Needs::Node });
        }
        let (part, since_ms) = (self.part(id, number)?, self.now_ms);
        if !matches!(part.state, PartState::Waiting | PartState::Leased { .. }) {
            return Err(Refusal::JobState);
        }
        if part.epoch != epoch {
            return Err(Refusal::StaleJobEpoch { current: part.epoch });
        }
        self.change_part(id, number, |part| {
            part.epoch = epoch + 1;
            part.state = PartState::Leased { node, since_ms };
        })?;
        Ok(Outcome::JobEpoch(epoch + 1))
    }

    /// The part, when `epoch` is its newest lease and it is worked on.
    fn leased_part(&self, job: JobId, part: u16, epoch: u64) -> Result<&Part, Refusal> {
        let part = self.part(job, part)?;
        if part.epoch != epoch {
            return Err(Refusal::StaleJobEpoch { current: part.epoch });
        }
        if matches!(part.state, PartState::Leased { .. }) { Ok(part) } else { Err(Refusal::JobState) }
    }

    fn open_part(&mut self, id: JobId, number: u16, epoch: u64, blob: BlobId) -> Ruled {
        if self.leased_part(id, number, epoch)?.blob.is_some() {
            return Err(Refusal::DuplicateId(Noun::Blob));
        }
        let asset = self.job_copy(id)?.asset;
        let opened = self.open_blob(asset, blob, BlobKind::Rendition, &format!("part-{number}"))?;
        self.change_part(id, number, |part| part.blob = Some(blob))?;
        Ok(opened)
    }

    fn finish_part(&mut self, id: JobId, number: u16, epoch: u64, damaged: bool) -> Ruled {
        let blob = self.leased_part(id, number, epoch)?.blob.ok_or(Refusal::BlobOpen)?;
        let asset = self.live_asset_copy(self.job_copy(id)?.asset)?;
        let record = asset.blob(blob).ok_or(Refusal::NotFound(Noun::Blob))?;
        if record.sealed.is_none() {
            return Err(Refusal::BlobOpen);
        }
        self.change_part(id, number, |part| part.state = PartState::Made { damaged })
    }

    fn keep_part(&mut self, id: JobId, epoch: u64, number: u16) -> Ruled {
        let job = self.leased(id, epoch)?;
        let part = self.part(id, number)?;
        let (blob, damaged) = match part.state {
            PartState::Made { damaged } => (part.blob, damaged),
            PartState::Kept { .. } => return Ok(Outcome::Done),
            _ => return Err(Refusal::JobState),
        };
        if let Some(blob) = blob {
            self.drop_blob(job.asset, blob)?;
        }
        self.change_part(id, number, |part| (part.state, part.blob) = (PartState::Kept { damaged }, None))
    }

    /// The Job is one piece of work again, or over: the parts and their Blobs go.
    pub(super) fn forget_parts(&mut self, job: JobId, asset: AssetId) {
        let Some(split) = self.state.records.splits.remove(&job) else { return };
        for blob in split.parts.iter().filter_map(|part| part.blob) {
            // An asset that is gone has taken its Blobs along.
            let _ = self.drop_blob(asset, blob);
        }
    }
}

impl Split {
    /// Whether `node` works on a part of it.
    #[must_use]
    pub fn is_worked_on_by(&self, node: NodeId) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part.state, PartState::Leased { node: holder, .. } if holder == node))
    }
}
