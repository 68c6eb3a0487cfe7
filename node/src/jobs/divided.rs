//! A job whose pictures are made in parts by whichever nodes are free: whoever has the job makes sound and sidecars, and puts
//! the segments of the parts into the renditions in order, as they come. So nobody but this one writes what is watched.
//!
//! When a part cannot be made, or does not fit the others, the job becomes one piece of work again, which goes on behind what
//! the renditions have by then: what is wrong with the source then has the outcome that it has on one node.

use std::sync::Arc;

use cluster::command::JobCommand;
use cluster::id::{JobId, NodeId};
use cluster::state::{Asset, JobState, Limits, NodeState, State};
use pipeline::transcode::{Divisible, Report, Share, TranscodeEnd, TranscodeSpec, divisible};
use tokio::sync::Mutex;

use super::gather::{Gather, Gathered};
use super::sink::{SharedSink, StoreSink};
use super::source::OriginalSource;
use super::stored_track::StoredTrack;
use super::work::{TryEnd, Work, end_of, failed, planned, transcode};
use crate::asset_store::StoreError;
use crate::manifest::{Plan, TopRung};

/// Segments of the shortest part: each costs a worker's start, and what is encoded before it for nothing.
const LEAST_SEGMENTS: u64 = 5;
/// Length of play of the longest part, so that a node that comes later finds something to take.
const LONGEST_MS: u64 = 5 * 60 * 1000;
/// Parts for each node that is free: who is slow takes fewer of them.
const PARTS_PER_NODE: u64 = 2;

/// The first segments of the parts that the segments from `first` on are divided into; none when they are too few for two.
fn cuts(first: u64, whole: Divisible, nodes: u64) -> Vec<u64> {
    let left = whole.segments.saturating_sub(first);
    let least = (left * whole.segment_ms).div_ceil(LONGEST_MS);
    let most = (left / LEAST_SEGMENTS).min(Limits::PARTS_PER_JOB.into());
    if nodes < 2 || most < 2 {
        return Vec::new();
    }
    // As many for one node as for another: nobody waits for the last one. With too few for that, what there is.
    let rounds = PARTS_PER_NODE.max(least.div_ceil(nodes)).min(most / nodes);
    let parts = if rounds > 0 { nodes * rounds } else { most };
    (0..parts).map(|part| first + left * part / parts).collect()
}

/// How the pictures divide, when they are made anew.
fn divisible_by(plan: &Plan) -> Option<Divisible> {
    let mut spec = TranscodeSpec::new(plan.probe.clone(), plan.rungs.clone());
    spec.pass_through = plan.top_rung == TopRung::PassedThrough;
    divisible(&spec)
}

/// Whether `node` works on something that takes one of its places.
fn is_busy(state: &State, node: NodeId, job: JobId) -> bool {
    let is_whole = |id| state.split(id).is_none_or(|split| split.parts.is_empty());
    let works = state.active_jobs().any(|other| {
        let is_his = matches!(other.state, JobState::Leased { node: holder, .. } if holder == node);
        is_his && other.id != job && is_whole(other.id)
    });
    works || state.splits().any(|(_, split)| split.is_worked_on_by(node))
}

impl Work {
    /// Makes the pictures in parts, when that is begun or worth beginning. `None` when the job is one piece of work.
    pub(super) async fn divided(
        &self,
        plan: &Plan,
        asset: &Asset,
        source: &OriginalSource,
    ) -> Result<Option<TryEnd>, StoreError> {
        let state = self.store.cluster().state();
        let is_divided = match state.split(self.fence.job) {
            Some(split) => !split.parts.is_empty(),
            None => self.divide(plan, asset, &state).await?,
        };
        if !is_divided {
            return Ok(None);
        }
        self.set_light(true);
        let end = self.put_together(plan, asset, source).await;
        self.set_light(false);
        end
    }

    /// Divides the job, when it is long enough and more than one node is free.
    async fn divide(&self, plan: &Plan, asset: &Asset, state: &State) -> Result<bool, StoreError> {
        let cuts = self.cuts(plan, asset, state).await?;
        if cuts.is_empty() {
            return Ok(false);
        }
        let (job, epoch) = (self.fence.job, self.fence.epoch);
        tracing::info!(%job, parts = cuts.len(), "a job is divided");
        self.set_light(true);
        self.store.tell_job(JobCommand::Split { job, epoch, cuts }).await?;
        Ok(true)
    }

    /// Where the job is to be divided; nowhere when it is not.
    async fn cuts(&self, plan: &Plan, asset: &Asset, state: &State) -> Result<Vec<u64>, StoreError> {
        let whole =
            divisible_by(plan).filter(|_| asset.length.is_some() && state.level() >= JobCommand::PARTS_LEVEL);
        let Some(whole) = whole else { return Ok(Vec::new()) };
        Ok(cuts(self.begun(plan, asset).await?, whole, self.free_nodes(state)))
    }

    fn set_light(&self, is_light: bool) {
        self.is_light.store(is_light, std::sync::atomic::Ordering::Relaxed);
    }

    /// The first segment that some rung lacks.
    async fn begun(&self, plan: &Plan, asset: &Asset) -> Result<u64, StoreError> {
        let mut least = u64::MAX;
        for rung in &plan.rungs {
            let label = rung.id.to_string();
            let Some(record) = asset.blobs.iter().find(|record| record.label == label) else { return Ok(0) };
            let track = StoredTrack::read(&self.store.reader(asset, record.id).await?).await?;
            least = least.min(track.next_sequence());
        }
        Ok(least)
    }

    fn free_nodes(&self, state: &State) -> u64 {
        let (bytes, here) = (self.store.cluster().bytes(), self.store.cluster().node_id());
        let free = state.nodes().filter(|node| {
            let answers = node.id == here || bytes.is_alive(node.id);
            node.state == NodeState::Active && answers && !is_busy(state, node.id, self.fence.job)
        });
        free.count() as u64
    }

    /// Sound and sidecars are made here, beside putting in what the parts make.
    async fn put_together(
        &self,
        plan: &Plan,
        asset: &Asset,
        source: &OriginalSource,
    ) -> Result<Option<TryEnd>, StoreError> {
        let sink =
            StoreSink::resume(&self.store, asset, self.fence, planned(plan), self.live.clone()).await?;
        let mut spec = TranscodeSpec::new(plan.probe.clone(), plan.rungs.clone());
        spec.share = Share::Beside;
        spec.resume = sink.resume_points();
        let sink = Arc::new(Mutex::new(sink));
        let stop = self.cancel.child_token();
        let beside = async {
            let quiet = Box::new(SharedSink::quiet(sink.clone()));
            let end = transcode(spec, source.clone(), quiet, &stop).await;
            if !matches!(end, TranscodeEnd::Done(_)) {
                stop.cancel();
            }
            end
        };
        let gathering = async {
            let gathered = Gather::new(self, plan, asset, sink.clone()).run(&stop).await;
            if !matches!(gathered, Ok(Gathered::All { .. })) {
                stop.cancel();
            }
            gathered
        };
        let (beside, gathered) = tokio::join!(beside, gathering);
        let mut sink = sink.lock().await;
        self.conclude_divided(plan, beside, gathered?, &mut sink).await
    }

    async fn conclude_divided(
        &self,
        plan: &Plan,
        beside: TranscodeEnd,
        gathered: Gathered,
        sink: &mut StoreSink,
    ) -> Result<Option<TryEnd>, StoreError> {
        let end = match (beside, gathered) {
            (TranscodeEnd::Failed(failure), _) => sink.trouble().map_or(failed(failure), end_of),
            (_, Gathered::Unfit(why)) => {
                let (job, epoch) = (self.fence.job, self.fence.epoch);
                tracing::warn!(%job, why, "a job is one piece of work again");
                self.store.tell_job(JobCommand::Split { job, epoch, cuts: Vec::new() }).await?;
                return Ok(None);
            }
            (TranscodeEnd::Done(report), Gathered::All { damaged }) => {
                let report = Report { damaged: report.damaged || damaged, ..report };
                self.finish(plan, sink, report).await?
            }
            _ => TryEnd::Over,
        };
        Ok(Some(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(segments: u64) -> Divisible {
        Divisible { segments, segment_ms: 4_000 }
    }

    #[test]
    fn what_is_short_or_has_one_node_stays_whole() {
        assert!(cuts(0, of(9), 3).is_empty());
        assert!(cuts(70, of(75), 3).is_empty());
        assert!(cuts(0, of(75), 1).is_empty());
        assert!(cuts(0, of(0), 3).is_empty());
        assert!(cuts(80, of(75), 3).is_empty());
    }

    #[test]
    fn parts_follow_nodes_and_length() {
        assert_eq!(cuts(0, of(10), 3), [0, 5]);
        assert_eq!(cuts(0, of(15), 3), [0, 5, 10]);
        assert_eq!(cuts(0, of(75), 3), [0, 12, 25, 37, 50, 62]);
        assert_eq!(cuts(15, of(75), 2), [15, 30, 45, 60]);
        assert_eq!(cuts(0, of(22), 3), [0, 7, 14]);
        // Two hours, and a day.
        assert_eq!(cuts(0, of(1_800), 3).len(), 24);
        assert_eq!(cuts(0, of(21_600), 3).len(), 63);
    }

    proptest::proptest! {
        #[test]
        fn parts_are_in_order_and_none_is_too_short(first in 0u64..2_000, segments in 0u64..30_000, nodes in 0u64..20) {
            let cuts = cuts(first, of(segments), nodes);
            assert!(cuts.first().is_none_or(|cut| *cut == first));
            assert!(cuts.len() != 1 && cuts.len() <= 64);
            let ends = cuts.iter().skip(1).copied().chain([segments]);
            assert!(cuts.iter().zip(ends).all(|(cut, end)| end >= cut + LEAST_SEGMENTS));
        }
    }
}
