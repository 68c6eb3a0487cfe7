//! Puts the segments of a job's parts into its renditions, part after part, each segment as soon as it is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::command::JobCommand;
use cluster::id::{BlobId, JobId};
use cluster::state::{Asset, Part, PartState};
use cluster::store::{BlobError, BlobReader};
use pipeline::tracks::{BlobMark, RenditionId};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::part_sink::{PartMark, marks};
use super::sink::StoreSink;
use super::work::Work;
use crate::asset_store::{AssetStore, StoreError};
use crate::live::{Live, Progress, Report};
use crate::manifest::Plan;

/// Looks at least so often how far the parts are.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How gathering ended.
#[derive(Debug)]
pub enum Gathered {
    /// All parts are in the renditions.
    All {
        /// Something in the source could not be decoded.
        damaged: bool,
    },
    /// A part cannot be had, or does not fit, for this reason.
    Unfit(&'static str),
    /// Stopped before that, or somebody else has the job.
    Stopped,
}

/// What becomes of the part that is next.
enum Step {
    /// It has more to come.
    Wait,
    /// All of it is in.
    Complete,
    Unfit(&'static str),
}

/// What became of one header or segment.
enum Taken {
    In,
    Unfit(&'static str),
    /// It could not be read now.
    Unread,
}

/// Bytes that are damaged in every copy do not come back; all else may.
fn unread(error: &BlobError) -> Taken {
    match error {
        error if error.is_damage() => Taken::Unfit("a part cannot be read"),
        _ => Taken::Unread,
    }
}

/// The putting together of one job.
#[derive(Debug)]
pub struct Gather<'work> {
    store: &'work AssetStore,
    live: &'work Live,
    asset: &'work Asset,
    job: JobId,
    epoch: u64,
    rungs: Vec<RenditionId>,
    /// Segments there will be, as far as the source says.
    segments: u64,
    sink: Arc<Mutex<StoreSink>>,
    readers: HashMap<BlobId, BlobReader>,
    /// Marks of the part that is next which are in already.
    taken: usize,
    begun: Instant,
    begun_at: Option<f64>,
}

impl<'work> Gather<'work> {
    /// Of this job's parts into this sink.
    pub fn new(work: &'work Work, plan: &Plan, asset: &'work Asset, sink: Arc<Mutex<StoreSink>>) -> Self {
        let spec = pipeline::transcode::TranscodeSpec::new(plan.probe.clone(), plan.rungs.clone());
        Self {
            store: &work.store,
            live: &work.live,
            asset,
            job: work.fence.job,
            epoch: work.fence.epoch,
            rungs: plan.rungs.iter().map(|rung| rung.id).collect(),
            segments: pipeline::transcode::divisible(&spec).map_or(0, |whole| whole.segments),
            sink,
            readers: HashMap::new(),
            taken: 0,
            begun: Instant::now(),
            begun_at: None,
        }
    }

    /// Works until all parts are in, one cannot be, or `stop`.
    pub async fn run(mut self, stop: &CancellationToken) -> Result<Gathered, StoreError> {
        let mut next = 0;
        loop {
            let Some(parts) = self.parts() else { return Ok(Gathered::Stopped) };
            let Some(part) = parts.get(next) else {
                let is_damaged = |part: &Part| matches!(part.state, PartState::Kept { damaged: true });
                return Ok(Gathered::All { damaged: parts.iter().any(is_damaged) });
            };
            match self.step(part).await? {
                Step::Complete => {
                    self.keep(next, part).await?;
                    (next, self.taken) = (next + 1, 0);
                    continue;
                }
                Step::Unfit(why) => return Ok(Gathered::Unfit(why)),
                Step::Wait => {}
            }
            self.tell_progress(&parts).await;
            tokio::select! {
                () = stop.cancelled() => return Ok(Gathered::Stopped),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn parts(&self) -> Option<Vec<Part>> {
        let state = self.store.cluster().state();
        let split = state.split(self.job)?;
        (!split.parts.is_empty()).then(|| split.parts.clone())
    }

    async fn keep(&mut self, number: usize, part: &Part) -> Result<(), StoreError> {
        if matches!(part.state, PartState::Kept { .. }) {
            return Ok(());
        }
        let part_number = u16::try_from(number).unwrap_or(u16::MAX);
        let keep = JobCommand::KeepPart { job: self.job, epoch: self.epoch, part: part_number };
        self.store.tell_job(keep).await?;
        part.blob.and_then(|blob| self.readers.remove(&blob));
        Ok(())
    }

    /// Takes in what the part has by now.
    async fn step(&mut self, part: &Part) -> Result<Step, StoreError> {
        match part.state {
            PartState::Failed { .. } => return Ok(Step::Unfit("a part failed")),
            // Put in by whoever had the job before; what is not there is missed by the part behind it.
            PartState::Kept { .. } => return Ok(Step::Complete),
            PartState::Waiting | PartState::Leased { .. } | PartState::Made { .. } => {}
        }
        let Some(blob) = part.blob else { return Ok(Step::Wait) };
        let reader = match self.reader(blob).await {
            Ok(reader) => reader,
            // Not written yet, or being taken over.
            Err(StoreError::Blob(_)) => return Ok(Step::Wait),
            Err(error) => return Err(error),
        };
        let new = marks(&reader, self.taken)?;
        for (end, mark) in new {
            match self.take(&reader, end, mark).await? {
                Taken::In => self.taken += 1,
                Taken::Unfit(why) => return Ok(Step::Unfit(why)),
                Taken::Unread => {
                    // Its writer was replaced, or no holder answers: looked at anew soon.
                    self.readers.remove(&blob);
                    return Ok(Step::Wait);
                }
            }
        }
        let is_made = matches!(part.state, PartState::Made { .. });
        let is_read = reader.is_sealed() && self.taken >= reader.progress().marks;
        if !is_made || !is_read {
            return Ok(Step::Wait);
        }
        Ok(if self.is_complete(part).await { Step::Complete } else { Step::Unfit("a part ends early") })
    }

    async fn reader(&mut self, blob: BlobId) -> Result<BlobReader, StoreError> {
        if let Some(known) = self.readers.get(&blob).filter(|known| !known.is_gone()) {
            return Ok(known.clone());
        }
        let reader = self.store.reader(self.asset, blob).await?;
        self.readers.insert(blob, reader.clone());
        Ok(reader)
    }

    /// Takes one header or segment in.
    async fn take(&self, reader: &BlobReader, end: u64, mark: PartMark) -> Result<Taken, StoreError> {
        let mut sink = self.sink.lock().await;
        match mark {
            PartMark::End { .. } => Ok(Taken::In),
            PartMark::Media(id, BlobMark::Init { length }) => {
                let at = end.saturating_sub(length.into());
                let header = match reader.read_span(at, length.into()).await {
                    Ok(header) => header,
                    Err(error) => return Ok(unread(&error)),
                };
                let fits = sink.take_header(id, header).await?;
                Ok(if fits { Taken::In } else { Taken::Unfit("a part has another header") })
            }
            PartMark::Media(id, BlobMark::Segment(segment)) => {
                // One that is sealed has everything.
                let Some(next) = sink.next_sequence(id) else { return Ok(Taken::In) };
                if segment.sequence > next {
                    return Ok(Taken::Unfit("segments are missing before a part"));
                }
                if segment.sequence == next {
                    match reader.read_span(segment.offset, segment.length).await {
                        Ok(ciphertext) => sink.take_segment(id, segment, ciphertext).await?,
                        Err(error) => return Ok(unread(&error)),
                    }
                }
                Ok(Taken::In)
            }
        }
    }

    /// Whether all rungs have everything up to the end of a part; of the last one, equally much, and as much as there should
    /// be if it met damage: whether that is the source's is for one piece of work to find out.
    async fn is_complete(&self, part: &Part) -> bool {
        let sink = self.sink.lock().await;
        let mut ends = self.rungs.iter().map(|id| sink.next_sequence(*id));
        match part.end {
            Some(end) => ends.all(|next| next.is_none_or(|next| next >= end)),
            None => {
                let ends: Vec<u64> = ends.flatten().collect();
                let is_sound = matches!(part.state, PartState::Made { damaged: false });
                let reaches = |end: &u64| is_sound || *end >= self.segments;
                ends.windows(2).all(|pair| pair[0] == pair[1]) && ends.iter().all(reaches)
            }
        }
    }

    async fn tell_progress(&mut self, parts: &[Part]) {
        let mut done = parts.first().map_or(0.0, |first| as_f64(first.first));
        for part in parts {
            done += self.done_of(part).await;
        }
        let share = (done / as_f64(self.segments.max(1))).min(0.99);
        let begun_at = *self.begun_at.get_or_insert(share);
        let spent_ms = self.begun.elapsed().as_secs_f64() * 1000.0;
        let eta_ms = (share > begun_at).then(|| spent_ms * (1.0 - share) / (share - begun_at));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that is left")]
        let eta_ms = eta_ms.map(|left| left.max(0.0) as u64);
        self.live.report(Report {
            asset: self.asset.id,
            application: self.asset.application,
            job: Some(self.job),
            progress: Progress {
                percent: (share * 100.0).floor(),
                eta_ms,
                stage: Some("encoding".to_owned()),
            },
        });
    }

    /// Segments of a part that are made, of all rungs.
    async fn done_of(&mut self, part: &Part) -> f64 {
        let end = part.end.unwrap_or(self.segments);
        let whole = as_f64(end.saturating_sub(part.first));
        match (&part.state, part.blob) {
            (PartState::Made { .. } | PartState::Kept { .. }, _) => whole,
            (PartState::Leased { .. }, Some(blob)) => match self.reader(blob).await {
                Ok(reader) => {
                    let rungs = self.rungs.len().max(1);
                    let segments = reader.progress().marks.saturating_sub(rungs);
                    (as_f64(segments as u64) / as_f64(rungs as u64)).min(whole)
                }
                Err(_) => 0.0,
            },
            _ => 0.0,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "segments of a film, for a share of it")]
fn as_f64(segments: u64) -> f64 {
    segments as f64
}
