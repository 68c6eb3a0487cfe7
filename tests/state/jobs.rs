//! Stories of Jobs: one on an asset, one holder by epoch, ended once.

use cluster::actor::Actor;
use cluster::command::{AssetCommand, BlobKind, JobCommand, JobFence, JobKind};
use cluster::id::{JobId, NodeId};
use cluster::outcome::Outcome;
use cluster::refusal::{Needs, Noun, Problem, Refusal};
use cluster::state::{AssetState, JobState};

use crate::world::*;

fn queue(job: u8, asset: cluster::id::AssetId) -> JobCommand {
    JobCommand::Queue { job: job_id(job), asset, kind: JobKind::Transcode }
}

fn lease(job: JobId, epoch: u64) -> JobCommand {
    JobCommand::Lease { job, node: NODE, epoch }
}

fn fail(job: JobId, epoch: u64) -> JobCommand {
    JobCommand::Fail { job, epoch, code: "damaged".into(), reason: "The file is damaged.".into() }
}

#[test]
fn a_job_is_queued_leased_and_finished() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    assert_eq!(world.ok(&owner(), queue(1, asset)), Outcome::Job { job: job_id(1), existing: false });
    assert_eq!(world.ok(&owner(), queue(2, asset)), Outcome::Job { job: job_id(1), existing: true });
    assert_eq!(world.state.active_jobs().count(), 1);
    let job = job_id(1);
    assert_eq!(world.refused(&owner(), lease(job, 0)), Refusal::Forbidden { needs: Needs::Node });
    assert_eq!(world.ok(&node(), lease(job, 0)), Outcome::JobEpoch(1));
    world.ok(&node(), JobCommand::Finish { job, epoch: 1 });
    assert_eq!(world.refused(&node(), JobCommand::Finish { job, epoch: 1 }), Refusal::JobState);
    assert_eq!(world.state.active_jobs().count(), 0);
    assert_eq!(world.state.ended_jobs().count(), 1);
    assert_eq!(world.ok(&owner(), queue(2, asset)), Outcome::Job { job: job_id(2), existing: false });
    assert_eq!(world.state.jobs_of(APP).count(), 2);
}

#[test]
fn who_lost_the_lease_can_do_nothing_more() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    let job = world.queue(1, asset);
    let stranger = JobCommand::Lease { job, node: NodeId(2), epoch: 0 };
    assert_eq!(world.refused(&node(), stranger), Refusal::Forbidden { needs: Needs::Node });
    let unknown = world.refused(&Actor::system(NodeId(2)), lease(job, 0));
    assert_eq!(unknown, Refusal::Forbidden { needs: Needs::Node });
    world.ok(&node(), lease(job, 0));
    assert_eq!(world.refused(&node(), lease(job, 0)), Refusal::StaleJobEpoch { current: 1 });
    assert_eq!(world.ok(&node(), lease(job, 1)), Outcome::JobEpoch(2), "after a restart it is taken again");
    let stale = Refusal::StaleJobEpoch { current: 2 };
    assert_eq!(world.refused(&node(), JobCommand::Finish { job, epoch: 1 }), stale);
    assert_eq!(world.refused(&node(), fail(job, 1)), stale);
    let fenced = |epoch| AssetCommand::OpenBlob {
        asset,
        blob: blob_id(20),
        kind: BlobKind::Rendition,
        label: "v720".into(),
        fence: Some(JobFence { job, epoch }),
    };
    assert_eq!(world.refused(&node(), fenced(1)), stale);
    world.ok(&node(), fenced(2));
    let watchable = |epoch| AssetCommand::SetWatchable { asset, fence: Some(JobFence { job, epoch }) };
    assert_eq!(world.refused(&node(), watchable(1)), stale);
    world.ok(&node(), watchable(2));
    assert!(world.found(asset).watchable);
    world.ok(&node(), JobCommand::Finish { job, epoch: 2 });
    assert_eq!(world.refused(&node(), watchable(2)), Refusal::JobState);
}

#[test]
fn a_failure_has_a_reason_and_can_be_retried() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    let job = world.queue(1, asset);
    assert_eq!(world.refused(&node(), fail(job, 0)), Refusal::JobState, "not leased");
    world.ok(&node(), lease(job, 0));
    let bad = JobCommand::Fail { job, epoch: 1, code: "Not A Code".into(), reason: String::new() };
    assert_eq!(world.refused(&node(), bad), Refusal::invalid("code", Problem::Malformed));
    world.ok(&node(), fail(job, 1));
    let failed = AssetState::Failed { code: "damaged".into(), reason: "The file is damaged.".into() };
    assert_eq!(world.found(asset).state, failed);
    world.ok(&owner(), JobCommand::Retry { job });
    assert_eq!(world.found(asset).state, AssetState::Processing);
    assert_eq!(world.refused(&owner(), JobCommand::Retry { job }), Refusal::JobState);
    assert_eq!(world.refused(&node(), lease(job, 0)), Refusal::StaleJobEpoch { current: 1 });
    assert_eq!(world.ok(&node(), lease(job, 1)), Outcome::JobEpoch(2));
}

#[test]
fn cancelling_stops_the_worker_and_fails_what_never_was_ready() {
    let mut world = World::claimed();
    let (fresh, ready) = (world.uploaded(9), world.ready(10));
    let (first, second) = (world.queue(1, fresh), world.queue(2, ready));
    world.ok(&node(), lease(first, 0));
    for job in [first, second] {
        world.ok(&owner(), JobCommand::Cancel { job });
        assert_eq!(world.refused(&owner(), JobCommand::Cancel { job }), Refusal::JobState);
    }
    assert_eq!(world.refused(&node(), JobCommand::Finish { job: first, epoch: 1 }), Refusal::JobState);
    assert!(matches!(world.found(fresh).state, AssetState::Failed { code, .. } if code == "cancelled"));
    assert_eq!(world.found(ready).state, AssetState::Ready, "what was complete stays so");
}

#[test]
fn the_trash_cancels_and_a_purge_forgets() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    let job = world.queue(1, asset);
    world.ok(&owner(), AssetCommand::Trash { asset });
    assert_eq!(world.job(job).state, JobState::Cancelled);
    assert_eq!(world.refused(&owner(), JobCommand::Retry { job }), Refusal::Trashed);
    assert_eq!(world.refused(&owner(), queue(2, asset)), Refusal::Trashed);
    world.ok(&owner(), AssetCommand::Restore { asset });
    world.ok(&owner(), JobCommand::Retry { job });
    world.ok(&owner(), AssetCommand::Trash { asset });
    world.ok(&owner(), AssetCommand::Purge { asset });
    assert_eq!(world.refused(&owner(), JobCommand::Retry { job }), Refusal::NotFound(Noun::Job));
}

#[test]
fn processing_may_begin_before_the_upload_ends() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    let job = world.queue(1, asset);
    world.ok(&node(), lease(job, 0));
    world.ok(&node(), AssetCommand::SetWatchable { asset, fence: None });
    assert_eq!(world.found(asset).state, AssetState::Uploading);
    world.finish_upload(asset);
    let found = world.found(asset);
    assert_eq!((found.state, found.watchable), (AssetState::Processing, true));
}

#[test]
fn only_the_newest_ended_jobs_are_kept() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    for number in 0..1_010_u32 {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let job = JobId(bytes);
        world.later(1);
        world.quick(&node(), JobCommand::Queue { job, asset, kind: JobKind::Transcode });
        world.quick(&owner(), JobCommand::Cancel { job });
    }
    assert!(world.state.indexes_agree());
    assert_eq!(world.state.ended_jobs().count(), 1_000);
    assert!(world.state.job(JobId([0; 16])).is_none(), "the oldest is gone");
}
