//! One try at one job: plan, transcode, seal, manifest. Every step finds what an earlier try left and goes on from there.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use cluster::ProposeError;
use cluster::blob::BlobName;
use cluster::command::{AssetCommand, BlobKind, JobCommand, JobFence, MediaFacts};
use cluster::id::AssetId;
use cluster::refusal::Refusal;
use cluster::state::{Asset, BlobRecord};
use cluster::store::BlobError;
use pipeline::ladder;
use pipeline::probe::probe;
use pipeline::tracks::{Probe, RenditionId};
use pipeline::transcode::{Report, Transcode, TranscodeEnd, TranscodeSpec, Unpassable};
use pipeline::{Failure, FailureCode, Sink};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::manifest_of::{audio_id, fill};
use super::sink::{SharedSink, StoreSink};
use super::source::OriginalSource;
use crate::asset_store::{AssetStore, StoreError};
use crate::live::Live;
use crate::manifest::{LARGEST, MANIFEST_LABEL, Manifest, PLAN_LABEL, Plan, TopRung};
use crate::media::AssetLocks;

/// Probers that may die on one file before it is refused.
const PROBES: u32 = 3;

/// How a try ended.
#[derive(Debug)]
pub enum TryEnd {
    /// Everything is stored and State knows.
    Finished,
    /// It cannot be done; State is to be told.
    Failed {
        /// Stable code.
        code: String,
        /// For people.
        reason: String,
    },
    /// Somebody else has the job, or nobody wants it any more.
    Over,
    /// The cluster or the disk did not answer: to be tried again.
    Later(String),
    /// A disk is too full for what is made: to be tried again when there may be room.
    NoRoom,
}

/// What a try needs.
#[derive(Debug, Clone)]
pub struct Work {
    /// Bytes.
    pub store: AssetStore,
    /// Progress.
    pub live: Arc<Live>,
    /// One change of an asset's manifest at a time.
    pub locks: AssetLocks,
    /// By what right.
    pub fence: JobFence,
    /// Set while others do the hard part of the work.
    pub is_light: Arc<AtomicBool>,
    /// On what.
    pub asset: Arc<Asset>,
    /// Ends the try early.
    pub cancel: CancellationToken,
}

impl Work {
    /// Runs the try to its end.
    pub async fn run(self) -> TryEnd {
        match self.steps().await {
            Ok(end) => end,
            Err(error) => end_of(self.asset.id, error),
        }
    }

    async fn steps(&self) -> Result<TryEnd, StoreError> {
        let asset = self.store.asset(self.asset.id)?;
        if asset.manifest.is_some() {
            // Killed between the manifest and the word that the job is done.
            return Ok(TryEnd::Finished);
        }
        let source = OriginalSource::new(self.store.reader(&asset, asset.original).await?);
        let plan = tokio::select! {
            () = self.cancel.cancelled() => return Ok(TryEnd::Over),
            plan = self.plan(&asset, &source) => match plan? {
                Ok(plan) => plan,
                Err(failure) => return Ok(ended(failure, None, &source)),
            },
        };
        let asset = self.store.asset(asset.id)?;
        if let Some(end) = self.divided(&plan, &asset, &source).await? {
            return Ok(end);
        }
        let (end, sink) = self.follow(&plan, &asset, source.clone()).await?;
        if let TranscodeEnd::Unpassable(reason) = end {
            drop(sink);
            let plan = self.without_pass_through(plan, reason).await?;
            let asset = self.store.asset(asset.id)?;
            let (end, sink) = self.follow(&plan, &asset, source.clone()).await?;
            let mut sink = sink.lock().await;
            return self.conclude(&plan, end, &mut sink, &source).await;
        }
        let mut sink = sink.lock().await;
        self.conclude(&plan, end, &mut sink, &source).await
    }

    /// Transcodes by the plan, from where an earlier try ended.
    async fn follow(
        &self,
        plan: &Plan,
        asset: &Asset,
        source: OriginalSource,
    ) -> Result<(TranscodeEnd, Arc<Mutex<StoreSink>>), StoreError> {
        let sink =
            StoreSink::resume(&self.store, asset, self.fence, planned(plan), self.live.clone()).await?;
        let mut spec = TranscodeSpec::new(plan.probe.clone(), plan.rungs.clone());
        spec.pass_through = plan.top_rung == TopRung::PassedThrough;
        spec.resume = sink.resume_points();
        let sink = Arc::new(Mutex::new(sink));
        let shared = Box::new(SharedSink::new(sink.clone()));
        Ok((transcode(spec, source, shared, &self.cancel).await, sink))
    }

    async fn conclude(
        &self,
        plan: &Plan,
        end: TranscodeEnd,
        sink: &mut StoreSink,
        source: &OriginalSource,
    ) -> Result<TryEnd, StoreError> {
        match end {
            TranscodeEnd::Cancelled => Ok(TryEnd::Over),
            TranscodeEnd::Failed(failure) => Ok(ended(failure, sink.trouble(), source)),
            TranscodeEnd::Done(report) => self.finish(plan, sink, report).await,
            // Nothing was to be passed through any more.
            TranscodeEnd::Unpassable(_) => Ok(failed(Failure::internal("passing through"))),
        }
    }

    /// Drops the pictures made so far and settles that all rungs are encoded. Killed at any point in between, the next try
    /// finds a plan that leads here again, or no plan, or the new one.
    async fn without_pass_through(&self, plan: Plan, reason: Unpassable) -> Result<Plan, StoreError> {
        tracing::info!(asset = %self.asset.id, %reason, "the source cannot be passed through; all rungs are encoded");
        let node = self.store.node();
        let asset = self.store.asset(self.asset.id)?;
        let is_old = |record: &&BlobRecord| record.kind == BlobKind::Rendition || record.label == PLAN_LABEL;
        for record in asset.blobs.iter().filter(is_old) {
            self.store.drop_blob(&node, asset.id, record.id).await?;
        }
        let plan = Plan { top_rung: TopRung::Refused(reason), ..plan };
        self.store_plan(&asset, &plan).await?;
        Ok(plan)
    }

    async fn store_plan(&self, asset: &Asset, plan: &Plan) -> Result<(), StoreError> {
        let (bytes, fence) = (encode(plan)?, Some(self.fence));
        let node = self.store.node();
        self.store.write_whole(&node, asset, BlobKind::Manifest, PLAN_LABEL, bytes, fence).await.map(drop)
    }

    /// The plan of an earlier try, or a new one.
    async fn plan(
        &self,
        asset: &Asset,
        source: &OriginalSource,
    ) -> Result<Result<Plan, Failure>, StoreError> {
        if let Some(plan) = self.store.plan(asset).await? {
            return Ok(Ok(plan));
        }
        let node = self.store.node();
        for record in asset.blobs.iter().filter(|record| record.label == PLAN_LABEL) {
            self.store.drop_blob(&node, asset.id, record.id).await?;
        }
        let probe = match self.probe(source).await {
            Ok(probe) => probe,
            Err(failure) => return Ok(Err(failure)),
        };
        let rungs = probe.video.first().map(ladder::choose).unwrap_or_default();
        if rungs.is_empty() && probe.audio.is_empty() {
            return Ok(Err(Failure::new(FailureCode::NoPlayableTracks)));
        }
        let plan = Plan::new(probe, rungs);
        self.store_plan(asset, &plan).await?;
        Ok(Ok(plan))
    }

    /// Asks more than once: a prober that dies may have been killed from outside, and that is not the file's fault.
    async fn probe(&self, source: &OriginalSource) -> Result<Probe, Failure> {
        let mut answer = probe(Arc::new(source.clone())).await;
        for _ in 1..PROBES {
            match &answer {
                Err(failure) if failure.code == FailureCode::DecoderCrashed => {
                    answer = probe(Arc::new(source.clone())).await;
                }
                _ => break,
            }
        }
        answer
    }

    pub(super) async fn finish(
        &self,
        plan: &Plan,
        sink: &mut StoreSink,
        report: Report,
    ) -> Result<TryEnd, StoreError> {
        let outputs = sink.seal().await?;
        let _lock = self.locks.lock(self.asset.id).await;
        let asset = self.store.asset(self.asset.id)?;
        let mut manifest = Manifest::new(asset.id, plan.probe.clone());
        manifest.original_sha256 = asset.sha256.map(|hash| data_encoding::HEXLOWER.encode(&hash));
        manifest.damaged = report.damaged;
        manifest.left_out = plan.probe.left_out.iter().cloned().chain(report.left_out).collect();
        fill(&mut manifest, plan, &outputs);
        if manifest.video.is_empty() && manifest.audio.is_empty() {
            return Ok(failed(Failure::new(FailureCode::NoPlayableTracks)));
        }
        AssetStore::collect_loose(&asset, &mut manifest);
        let node = self.store.node();
        self.store.set_manifest(&node, &asset, &manifest, Some(self.fence)).await?;
        for plan in asset.blobs.iter().filter(|record| record.label == PLAN_LABEL) {
            self.store.drop_blob(&node, asset.id, plan.id).await?;
        }
        Ok(TryEnd::Finished)
    }
}

/// Transcodes until the end, or until `cancel` says so.
pub(super) async fn transcode(
    spec: TranscodeSpec,
    source: OriginalSource,
    sink: Box<dyn Sink>,
    cancel: &CancellationToken,
) -> TranscodeEnd {
    let Ok(mut transcode) = Transcode::begin(spec, Arc::new(source), sink) else {
        return TranscodeEnd::Failed(Failure::internal("finding the worker program"));
    };
    tokio::select! {
        end = transcode.ended() => end,
        () = cancel.cancelled() => {
            transcode.cancel();
            // The worker's process is gone when this returns: nothing it made arrives later.
            transcode.ended().await;
            TranscodeEnd::Cancelled
        }
    }
}

impl AssetStore {
    /// Writes a manifest and puts it in force.
    pub async fn set_manifest(
        &self,
        actor: &cluster::actor::Actor,
        asset: &Asset,
        manifest: &Manifest,
        fence: Option<JobFence>,
    ) -> Result<(), StoreError> {
        let node = self.node();
        let bytes = encode(manifest)?;
        let written =
            self.write_whole(&node, asset, BlobKind::Manifest, MANIFEST_LABEL, bytes, fence).await?;
        let command = AssetCommand::SetManifest {
            asset: asset.id,
            blob: written.blob,
            hash: written.hash,
            length: written.length,
            replaces: asset.manifest.map(|manifest| manifest.blob),
            facts: facts(manifest),
            fence,
        };
        self.propose(actor, command).await?;
        Ok(())
    }

    /// The plan by which the asset is being worked on, once it is settled.
    pub async fn plan(&self, asset: &Asset) -> Result<Option<Plan>, StoreError> {
        let is_settled = |record: &&BlobRecord| record.label == PLAN_LABEL && record.sealed.is_some();
        let Some(record) = asset.blobs.iter().find(is_settled) else { return Ok(None) };
        Ok(Some(Plan::decode(&self.read_whole(asset, record.id, LARGEST).await?)?))
    }

    /// Tells State how a job ended.
    pub async fn tell_job(&self, command: JobCommand) -> Result<(), ProposeError> {
        self.cluster().propose(self.node(), command.into()).await.map(drop)
    }
}

fn facts(manifest: &Manifest) -> MediaFacts {
    MediaFacts {
        duration_ms: manifest.duration_ms,
        top_height: manifest.video.iter().map(|track| track.rendition.height).max().unwrap_or(0),
        has_video: !manifest.video.is_empty(),
        has_audio: !manifest.audio.is_empty(),
        stored_bytes: manifest.stored_bytes(),
    }
}

pub(super) fn planned(plan: &Plan) -> Vec<RenditionId> {
    let video = plan.rungs.iter().map(|rung| rung.id);
    video.chain(plan.probe.audio.iter().filter_map(audio_id)).collect()
}

fn encode(value: &impl serde::Serialize) -> Result<Bytes, StoreError> {
    let bytes = serde_json::to_vec(value).map_err(crate::manifest::ManifestError::from)?;
    Ok(bytes.into())
}

pub(super) fn failed(failure: Failure) -> TryEnd {
    TryEnd::Failed { code: failure.code.as_str().to_owned(), reason: failure.reason }
}

/// What a failure of the pipeline means for the job: where it had its results refused, or found bytes missing, why.
pub(super) fn ended(failure: Failure, trouble: Option<StoreError>, source: &OriginalSource) -> TryEnd {
    let BlobName { asset, blob } = source.name();
    if let Some(trouble) = trouble {
        return end_of(asset, trouble);
    }
    if failure.code != FailureCode::SourceUnreadable {
        return failed(failure);
    }
    match source.trouble() {
        Some(error) if error.is_damage() => {
            tracing::error!(%asset, %blob, %error, "an original cannot be read");
            failed(failure)
        }
        Some(error) => end_of(asset, error.into()),
        None => {
            tracing::error!(%asset, %blob, "a worker could not read an original that was read for it without trouble");
            failed(failure)
        }
    }
}

/// What a failure of storage or agreement means for the job on this asset.
pub fn end_of(asset: AssetId, error: StoreError) -> TryEnd {
    match error {
        StoreError::Propose(ProposeError::Refused(
            Refusal::StaleJobEpoch { .. }
            | Refusal::StaleBlobEpoch { .. }
            | Refusal::JobState
            | Refusal::NotFound(_)
            | Refusal::Trashed,
        ))
        | StoreError::Blob(BlobError::Fenced { .. } | BlobError::NotFound) => TryEnd::Over,
        StoreError::Propose(ProposeError::Refused(refusal)) => internal(&refusal),
        StoreError::Propose(error) => TryEnd::Later(error.to_string()),
        // Other nodes are down or cut off: what was acknowledged is there when they are back.
        StoreError::Blob(error @ (BlobError::TooFewCopies { .. } | BlobError::Unreachable(_))) => {
            TryEnd::Later(error.to_string())
        }
        StoreError::Blob(BlobError::Full) => TryEnd::NoRoom,
        StoreError::Blob(error) if error.is_damage() => {
            tracing::error!(%asset, %error, "what is stored of an asset cannot be read");
            failed(Failure::new(FailureCode::SourceUnreadable))
        }
        other => internal(&other),
    }
}

fn internal(error: &dyn std::error::Error) -> TryEnd {
    tracing::error!(%error, "a job cannot go on");
    failed(Failure::new(FailureCode::Internal))
}
