//! Where a transcode's results go: enciphered, into the asset's Blobs, each with its mark in one barrier, so that every
//! finished segment can be watched at once and none is made twice after a crash.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::actor::Actor;
use cluster::command::{AssetCommand, BlobKind, JobFence};
use cluster::id::{ApplicationId, AssetId};
use cluster::keyring::ContentKey;
use cluster::state::{Asset, BlobRecord};
use pipeline::encrypt::encrypt_segment;
use pipeline::tracks::{BlobMark, RenditionId, SegmentInfo, SegmentMark};
use pipeline::{Progress, Sidecar, Sink, SinkError, Stage};
use tokio::sync::Mutex;

use super::stored_track::StoredTrack;
use crate::asset_store::{AssetStore, OpenBlob, Resumed, StoreError};
use crate::live::{self, Live, Report};
use crate::manifest::SealedRef;

/// The content key period of uploaded video: one key for the whole of it.
const PERIOD: u32 = 0;

/// One rendition's Blob, open or already sealed by an earlier try.
#[derive(Debug)]
enum Output {
    Open { blob: OpenBlob, track: StoredTrack },
    Sealed { stored: SealedRef, track: StoredTrack },
}

impl Output {
    fn track(&self) -> &StoredTrack {
        match self {
            Self::Open { track, .. } | Self::Sealed { track, .. } => track,
        }
    }
}

/// Everything a finished transcode stored.
#[derive(Debug)]
pub struct Outputs {
    /// Renditions with picture or sound.
    pub renditions: HashMap<RenditionId, (SealedRef, StoredTrack)>,
    /// What is beside them.
    pub sidecars: HashMap<Sidecar, SealedRef>,
}

/// The sink of one try at a job.
#[derive(Debug)]
pub struct StoreSink {
    store: AssetStore,
    actor: Actor,
    asset: AssetId,
    fence: JobFence,
    content_key: ContentKey,
    outputs: HashMap<RenditionId, Output>,
    planned: Vec<RenditionId>,
    sidecars: HashMap<Sidecar, SealedRef>,
    watchable: bool,
    trouble: Option<StoreError>,
    live: Arc<Live>,
    application: ApplicationId,
}

impl StoreSink {
    /// Takes over what earlier tries left. `planned` are the renditions with picture or sound there will be.
    pub async fn resume(
        store: &AssetStore,
        asset: &Asset,
        fence: JobFence,
        planned: Vec<RenditionId>,
        live: Arc<Live>,
    ) -> Result<Self, StoreError> {
        let mut sink = Self {
            actor: store.node(),
            content_key: segment_key(store, asset)?,
            store: store.clone(),
            asset: asset.id,
            fence,
            outputs: HashMap::new(),
            planned,
            sidecars: HashMap::new(),
            watchable: asset.watchable,
            trouble: None,
            live,
            application: asset.application,
        };
        for record in &asset.blobs {
            match record.kind {
                BlobKind::Rendition | BlobKind::Audio => sink.take_over(asset, record).await?,
                BlobKind::Poster | BlobKind::Storyboard | BlobKind::Waveform | BlobKind::Subtitles => {
                    sink.keep_or_drop(asset, record).await?;
                }
                _ => {}
            }
        }
        Ok(sink)
    }

    /// For each rendition the first sequence that is not stored yet.
    pub fn resume_points(&self) -> Vec<(RenditionId, u64)> {
        self.outputs.iter().map(|(id, output)| (*id, output.track().next_sequence())).collect()
    }

    /// Seals every rendition and hands over what the manifest is made of.
    pub async fn seal(&mut self) -> Result<Outputs, StoreError> {
        let mut renditions = HashMap::new();
        for (id, output) in self.outputs.drain() {
            let sealed = match output {
                Output::Sealed { stored, track } => (stored, track),
                Output::Open { blob, track } => {
                    (self.store.seal(&self.actor, self.asset, blob).await?.0, track)
                }
            };
            renditions.insert(id, sealed);
        }
        Ok(Outputs { renditions, sidecars: std::mem::take(&mut self.sidecars) })
    }

    /// What went wrong with storage, when that is why the transcode stopped.
    pub fn trouble(&mut self) -> Option<StoreError> {
        self.trouble.take()
    }

    fn note(&mut self, error: StoreError) -> SinkError {
        let told = SinkError(error.to_string());
        self.trouble = Some(error);
        told
    }

    async fn take_over(&mut self, asset: &Asset, record: &BlobRecord) -> Result<(), StoreError> {
        let Ok(id) = record.label.parse::<RenditionId>() else { return Ok(()) };
        let resumed = self.store.resume(&self.actor, asset, record).await?;
        let track = StoredTrack::read(&self.store.reader(asset, record.id).await?).await?;
        let output = match resumed {
            Resumed::Open(blob) => Output::Open { blob, track },
            Resumed::Sealed(stored) => Output::Sealed { stored, track },
        };
        self.outputs.insert(id, output);
        Ok(())
    }

    /// A whole sidecar stays; half a picture is none.
    async fn keep_or_drop(&mut self, asset: &Asset, record: &BlobRecord) -> Result<(), StoreError> {
        let Some(kind) = sidecar_of(&record.label) else { return Ok(()) };
        let Some(sealed) = record.sealed else {
            return self.store.drop_blob(&self.actor, asset.id, record.id).await;
        };
        let (length, hash) = (sealed.length, sealed.hash);
        self.sidecars.insert(kind, SealedRef { blob: record.id, kind: record.kind, length, hash });
        Ok(())
    }

    async fn store_init(&mut self, id: RenditionId, bytes: Bytes) -> Result<(), StoreError> {
        if !self.outputs.contains_key(&id) {
            let kind =
                if matches!(id, RenditionId::Audio(_)) { BlobKind::Audio } else { BlobKind::Rendition };
            let asset = self.store.asset(self.asset)?;
            let blob = self.store.open(&self.actor, &asset, kind, &id.to_string(), Some(self.fence)).await?;
            self.outputs.insert(id, Output::Open { blob, track: StoredTrack::default() });
        }
        let Some(Output::Open { blob, track }) = self.outputs.get_mut(&id) else { return Ok(()) };
        if track.init().is_some() {
            return Ok(());
        }
        let length = u32::try_from(bytes.len()).map_err(|_| StoreError::TooLong(bytes.len() as u64))?;
        blob.writer.append_marked(bytes.clone(), &BlobMark::Init { length }.encode()).await?;
        track.set_init(bytes);
        Ok(())
    }

    async fn store_segment(
        &mut self,
        id: RenditionId,
        info: SegmentInfo,
        bytes: Bytes,
    ) -> Result<(), SinkError> {
        let output = self.outputs.get_mut(&id);
        let Some(Output::Open { blob, track }) = output else {
            return already(output.as_deref(), info.sequence);
        };
        if info.sequence != track.next_sequence() {
            return already(output.as_deref(), info.sequence);
        }
        let (mark, ciphertext) = enciphered(&self.content_key, blob.writer.length(), info, bytes);
        let encoded = BlobMark::Segment(mark.clone()).encode();
        if let Err(error) = blob.writer.append_marked(ciphertext, &encoded).await {
            return Err(self.note(error.into()));
        }
        track.push(mark);
        let announced = self.announce().await;
        announced.map_err(|error| self.note(error))
    }

    /// Takes in the header that a part has for a rendition. `false` when the rendition has another one.
    pub async fn take_header(&mut self, id: RenditionId, bytes: Bytes) -> Result<bool, StoreError> {
        if let Some(known) = self.outputs.get(&id).and_then(|output| output.track().init()) {
            return Ok(*known == bytes);
        }
        self.store_init(id, bytes).await.map(|()| true)
    }

    /// The segment of a rendition that comes next; `None` for one that is complete or not begun.
    pub fn next_sequence(&self, id: RenditionId) -> Option<u64> {
        match self.outputs.get(&id)? {
            Output::Open { track, .. } => Some(track.next_sequence()),
            Output::Sealed { .. } => None,
        }
    }

    /// Takes in the next segment of a rendition as a part has it: it is enciphered already, with the same key.
    pub async fn take_segment(
        &mut self,
        id: RenditionId,
        mark: SegmentMark,
        ciphertext: Bytes,
    ) -> Result<(), StoreError> {
        let Some(Output::Open { blob, track }) = self.outputs.get_mut(&id) else { return Ok(()) };
        let mark = SegmentMark { offset: blob.writer.length(), ..mark };
        blob.writer.append_marked(ciphertext, &BlobMark::Segment(mark.clone()).encode()).await?;
        track.push(mark);
        self.announce().await
    }

    /// Tells State when there is enough to watch: once.
    async fn announce(&mut self) -> Result<(), StoreError> {
        if self.watchable {
            return Ok(());
        }
        if self.is_enough() {
            let fence = Some(self.fence);
            let command = AssetCommand::SetWatchable { asset: self.asset, fence };
            self.store.propose(&self.actor, command).await?;
            self.watchable = true;
        }
        Ok(())
    }

    /// Pictures and sound have begun, each in some rendition. A player reads once what there is: whoever began before the
    /// sound would watch without it to the end.
    fn is_enough(&self) -> bool {
        let furthest = |of_kind: fn(&RenditionId) -> bool| {
            let planned = self.planned.iter().filter(|id| of_kind(id));
            let stored =
                planned.map(|id| self.outputs.get(id).map_or(0, |output| output.track().next_sequence()));
            stored.max()
        };
        let pictures = furthest(|id| matches!(id, RenditionId::Video(_)));
        let sound = furthest(|id| matches!(id, RenditionId::Audio(_)));
        match (pictures, sound) {
            (Some(pictures), Some(sound)) => pictures > 0 && sound > 0,
            // Sound that runs ahead is no video yet.
            (Some(stored), None) | (None, Some(stored)) => stored > 0,
            (None, None) => false,
        }
    }

    async fn store_sidecar(&mut self, kind: Sidecar, bytes: Bytes) -> Result<(), StoreError> {
        let asset = self.store.asset(self.asset)?;
        let (blob_kind, label) = label_of(kind);
        let fence = Some(self.fence);
        let stored = self.store.write_whole(&self.actor, &asset, blob_kind, &label, bytes, fence).await?;
        let before = self.sidecars.insert(kind, stored);
        let shown = asset.poster.is_none_or(|poster| before.is_some_and(|before| before.blob == poster));
        if kind == Sidecar::Poster && shown {
            let command = AssetCommand::SetPoster { asset: asset.id, blob: Some(stored.blob) };
            self.store.propose(&self.actor, command).await?;
        }
        match before {
            Some(before) => self.store.drop_blob(&self.actor, asset.id, before.blob).await,
            None => Ok(()),
        }
    }
}

/// A segment that is stored already is fine; one that leaves a gap is not.
fn already(output: Option<&Output>, sequence: u64) -> Result<(), SinkError> {
    match output {
        Some(output) if sequence < output.track().next_sequence() => Ok(()),
        Some(_) => Err(SinkError("a segment does not follow the one before it".to_owned())),
        None => Err(SinkError("a segment came before its header".to_owned())),
    }
}

/// A segment enciphered under the asset's key for segments, and what is to be noted of it at this place of a Blob.
pub fn enciphered(key: &ContentKey, offset: u64, info: SegmentInfo, bytes: Bytes) -> (SegmentMark, Bytes) {
    let (iv, iframe_iv) = two_vectors();
    let plain_length = bytes.len() as u64;
    // Uniquely held bytes are enciphered where they are.
    let ciphertext = encrypt_segment(key.as_bytes(), &iv, Vec::from(bytes));
    let mark = SegmentMark {
        sequence: info.sequence,
        offset,
        length: ciphertext.len() as u64,
        plain_length,
        start_us: info.start_us,
        duration_us: info.duration_us,
        iv,
        iframe_iv,
        period: PERIOD,
        keyframes: info.keyframes,
    };
    (mark, ciphertext)
}

/// The asset's key for segments.
pub fn segment_key(store: &AssetStore, asset: &Asset) -> Result<ContentKey, StoreError> {
    Ok(store.key(asset)?.content_key(PERIOD)?)
}

/// The sink as the transcode holds it, while the job keeps another hold for the end.
#[derive(Debug, Clone)]
pub struct SharedSink {
    sink: Arc<Mutex<StoreSink>>,
    tells_progress: bool,
}

impl SharedSink {
    /// The sink of a transcode that does all of the work.
    pub fn new(sink: Arc<Mutex<StoreSink>>) -> Self {
        Self { sink, tells_progress: true }
    }

    /// The sink of one that does the lesser part of it: how far it is says nothing about the whole.
    pub fn quiet(sink: Arc<Mutex<StoreSink>>) -> Self {
        Self { sink, tells_progress: false }
    }
}

#[async_trait]
impl Sink for SharedSink {
    async fn init(&mut self, rendition: RenditionId, bytes: Bytes) -> Result<(), SinkError> {
        let mut sink = self.sink.lock().await;
        let stored = sink.store_init(rendition, bytes).await;
        stored.map_err(|error| sink.note(error))
    }

    async fn segment(
        &mut self,
        rendition: RenditionId,
        info: SegmentInfo,
        bytes: Bytes,
    ) -> Result<(), SinkError> {
        self.sink.lock().await.store_segment(rendition, info, bytes).await
    }

    async fn sidecar(&mut self, kind: Sidecar, bytes: Bytes) -> Result<(), SinkError> {
        let mut sink = self.sink.lock().await;
        let stored = sink.store_sidecar(kind, bytes).await;
        stored.map_err(|error| sink.note(error))
    }

    async fn progress(&mut self, progress: Progress) -> Result<(), SinkError> {
        if !self.tells_progress {
            return Ok(());
        }
        let sink = self.sink.lock().await;
        sink.live.report(Report {
            asset: sink.asset,
            application: sink.application,
            job: Some(sink.fence.job),
            progress: live::Progress {
                percent: progress.percent.min(100).into(),
                eta_ms: progress.eta_ms,
                stage: Some(stage_name(progress.stage).to_owned()),
            },
        });
        Ok(())
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Opening => "opening",
        Stage::Encoding => "encoding",
        Stage::Finishing => "finishing",
    }
}

/// Two random vectors that differ.
fn two_vectors() -> ([u8; 16], [u8; 16]) {
    loop {
        let pair: ([u8; 16], [u8; 16]) = (rand::random(), rand::random());
        if pair.0 != pair.1 {
            return pair;
        }
    }
}

fn label_of(kind: Sidecar) -> (BlobKind, String) {
    match kind {
        Sidecar::Poster => (BlobKind::Poster, "poster".to_owned()),
        Sidecar::Storyboard => (BlobKind::Storyboard, "storyboard".to_owned()),
        Sidecar::StoryboardVtt => (BlobKind::Storyboard, "storyboard-vtt".to_owned()),
        Sidecar::Waveform => (BlobKind::Waveform, "waveform".to_owned()),
        Sidecar::Subtitles { track } => (BlobKind::Subtitles, format!("s{track}")),
    }
}

fn sidecar_of(label: &str) -> Option<Sidecar> {
    Some(match label {
        "poster" => Sidecar::Poster,
        "storyboard" => Sidecar::Storyboard,
        "storyboard-vtt" => Sidecar::StoryboardVtt,
        "waveform" => Sidecar::Waveform,
        _ => match label.parse().ok()? {
            RenditionId::Subtitles(track) => Sidecar::Subtitles { track: track.into() },
            _ => return None,
        },
    })
}
