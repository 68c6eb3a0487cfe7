//! One try at one part of a job: the video renditions from one segment to another, written to the part's own Blob. Whoever
//! has the job puts them into the renditions.

use std::sync::Arc;

use cluster::command::{BlobKind, JobCommand};
use cluster::id::{AssetId, BlobId, JobId};
use cluster::state::{Asset, Part};
use cluster::store::FIRST_EPOCH;
use pipeline::transcode::{Share, TranscodeEnd, TranscodeSpec};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::part_sink::{PartContent, PartSink, SharedPart};
use super::sink::segment_key;
use super::source::OriginalSource;
use super::work::{TryEnd, end_of, ended, failed, transcode};
use crate::asset_store::{AssetStore, OpenBlob, Resumed, StoreError};
use crate::manifest::Plan;

/// What a try at a part needs.
#[derive(Debug, Clone)]
pub struct PartWork {
    /// Bytes.
    pub store: AssetStore,
    /// Of which job.
    pub job: JobId,
    /// Which part.
    pub number: u16,
    /// The epoch of the part's lease.
    pub epoch: u64,
    /// On what.
    pub asset: AssetId,
    /// Ends the try early.
    pub cancel: CancellationToken,
}

/// The Blob of a part, as a try finds it.
enum Found {
    Open(OpenBlob, PartContent),
    /// Killed between the seal and the word that the part is made.
    Complete {
        damaged: bool,
    },
}

impl PartWork {
    /// Runs the try to its end and tells State, when there is something to tell.
    pub async fn run(self) -> TryEnd {
        let end = self.steps().await.unwrap_or_else(|error| end_of(self.asset, error));
        let TryEnd::Failed { code, .. } = &end else { return end };
        let (job, part, epoch) = (self.job, self.number, self.epoch);
        match self.store.tell_job(JobCommand::FailPart { job, part, epoch, code: code.clone() }).await {
            Ok(()) => end,
            Err(error) => end_of(self.asset, error.into()),
        }
    }

    async fn steps(&self) -> Result<TryEnd, StoreError> {
        let asset = self.store.asset(self.asset)?;
        let Some(part) = self.part() else { return Ok(TryEnd::Over) };
        let Some(plan) = self.store.plan(&asset).await? else { return Ok(TryEnd::Over) };
        let (blob, content) = match self.find(&asset, part.blob).await? {
            Found::Open(blob, content) => (blob, content),
            Found::Complete { damaged } => return self.made(damaged).await,
        };
        let spec = spec_of(&plan, &part, &content);
        let key = segment_key(&self.store, &asset)?;
        let sink = Arc::new(Mutex::new(PartSink::new(blob, key, content)));
        let source = OriginalSource::new(self.store.reader(&asset, asset.original).await?);
        let end = transcode(spec, source.clone(), Box::new(SharedPart(sink.clone())), &self.cancel).await;
        let mut sink = sink.lock().await;
        match end {
            TranscodeEnd::Done(report) => {
                let blob = sink.end(report.damaged).await?;
                self.store.seal(&self.store.node(), self.asset, blob).await?;
                self.made(report.damaged).await
            }
            TranscodeEnd::Cancelled => Ok(TryEnd::Over),
            TranscodeEnd::Failed(failure) => Ok(ended(failure, sink.trouble(), &source)),
            // Nothing was to be passed through.
            TranscodeEnd::Unpassable(_) => Ok(failed(pipeline::Failure::internal("passing through"))),
        }
    }

    fn part(&self) -> Option<Part> {
        let state = self.store.cluster().state();
        let part = state.split(self.job)?.parts.get(usize::from(self.number))?;
        (part.epoch == self.epoch).then(|| part.clone())
    }

    async fn find(&self, asset: &Asset, known: Option<BlobId>) -> Result<Found, StoreError> {
        let node = self.store.node();
        let Some(record) = known.and_then(|blob| asset.blob(blob)) else {
            return Ok(Found::Open(self.open(asset).await?, PartContent::default()));
        };
        let resumed = self.store.resume(&node, asset, record).await?;
        let content = PartContent::read(&self.store.reader(asset, record.id).await?)?;
        Ok(match resumed {
            Resumed::Open(blob) => Found::Open(blob, content),
            Resumed::Sealed(_) => Found::Complete { damaged: content.end.unwrap_or(true) },
        })
    }

    async fn open(&self, asset: &Asset) -> Result<OpenBlob, StoreError> {
        let (job, part, epoch, blob) = (self.job, self.number, self.epoch, BlobId::generate());
        self.store.tell_job(JobCommand::OpenPart { job, part, epoch, blob }).await?;
        let (kind, key) = (BlobKind::Rendition, self.store.key(asset)?);
        let writer = self.store.cluster().bytes().create(asset.id, blob, kind, FIRST_EPOCH, &key).await?;
        Ok(OpenBlob { id: blob, kind, writer })
    }

    async fn made(&self, damaged: bool) -> Result<TryEnd, StoreError> {
        let (job, part, epoch) = (self.job, self.number, self.epoch);
        self.store.tell_job(JobCommand::FinishPart { job, part, epoch, damaged }).await?;
        Ok(TryEnd::Finished)
    }
}

fn spec_of(plan: &Plan, part: &Part, content: &PartContent) -> TranscodeSpec {
    let mut spec = TranscodeSpec::new(plan.probe.clone(), plan.rungs.clone());
    spec.share = Share::Pictures { end: part.end };
    let next = |id| (id, content.next_sequence(id, part.first));
    spec.resume = plan.rungs.iter().map(|rung| next(rung.id)).collect();
    spec
}
