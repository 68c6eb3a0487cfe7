//! Stories of Jobs in parts: each part has one holder by epoch and a Blob of its own, and nothing of them outlives the Job.

use cluster::actor::Actor;
use cluster::command::{AssetCommand, JobCommand};
use cluster::event::Event;
use cluster::id::{AssetId, BlobId, JobId, NodeId};
use cluster::outcome::Outcome;
use cluster::refusal::{Needs, Noun, Problem, Refusal};
use cluster::state::{Part, PartState};

use crate::world::*;

/// A leased Job of an asset that is complete.
fn leased(world: &mut World) -> (AssetId, JobId) {
    let asset = world.uploaded(9);
    let job = world.queue(1, asset);
    world.ok(&node(), JobCommand::Lease { job, node: NODE, epoch: 0 });
    (asset, job)
}

fn split(job: JobId, cuts: &[u64]) -> JobCommand {
    JobCommand::Split { job, epoch: 1, cuts: cuts.to_vec() }
}

fn take(job: JobId, part: u16, epoch: u64) -> JobCommand {
    JobCommand::LeasePart { job, part, node: NODE, epoch }
}

fn parts(world: &World, job: JobId) -> Vec<Part> {
    world.state.split(job).map(|split| split.parts.clone()).unwrap_or_default()
}

/// Takes a part, opens its Blob and seals that.
fn written(world: &mut World, asset: AssetId, job: JobId, part: u16, blob: BlobId) {
    world.ok(&node(), take(job, part, 0));
    world.ok(&node(), JobCommand::OpenPart { job, part, epoch: 1, blob });
    world.ok(&node(), seal(asset, blob, 1));
}

#[test]
fn a_job_is_divided_made_in_parts_and_put_together() {
    let mut world = World::claimed();
    let (asset, job) = leased(&mut world);
    world.ok(&node(), split(job, &[0, 5, 10]));
    world.ok(&node(), split(job, &[0, 5, 10]));
    assert_eq!(world.refused(&node(), split(job, &[0, 6])), Refusal::JobState, "it is divided already");
    let spans: Vec<_> = parts(&world, job).iter().map(|part| (part.first, part.end)).collect();
    assert_eq!(spans, [(0, Some(5)), (5, Some(10)), (10, None)]);

    written(&mut world, asset, job, 1, blob_id(21));
    let finish = JobCommand::FinishPart { job, part: 1, epoch: 1, damaged: true };
    let keep = JobCommand::KeepPart { job, epoch: 1, part: 1 };
    assert_eq!(world.refused(&node(), keep.clone()), Refusal::JobState, "it is not made yet");
    world.ok(&node(), finish.clone());
    assert_eq!(world.refused(&node(), finish), Refusal::JobState);
    assert_eq!(parts(&world, job)[1].state, PartState::Made { damaged: true });
    assert_eq!(world.refused(&node(), take(job, 1, 1)), Refusal::JobState, "nobody makes it again");
    world.ok(&node(), keep.clone());
    world.ok(&node(), keep);
    let kept = &parts(&world, job)[1];
    assert_eq!((kept.state.clone(), kept.blob), (PartState::Kept { damaged: true }, None));
    assert!(world.found(asset).blob(blob_id(21)).is_none(), "its bytes are in the renditions");
    world.ok(&node(), JobCommand::Finish { job, epoch: 1 });
    assert!(world.state.split(job).is_none());
}

#[test]
fn a_part_is_taken_over_and_the_former_holder_is_out() {
    let mut world = World::claimed();
    let (asset, job) = leased(&mut world);
    world.ok(&node(), split(job, &[0, 5]));
    let stranger = JobCommand::LeasePart { job, part: 0, node: NodeId(2), epoch: 0 };
    assert_eq!(world.refused(&node(), stranger.clone()), Refusal::Forbidden { needs: Needs::Node });
    assert_eq!(world.refused(&Actor::system(NodeId(2)), stranger), Refusal::Forbidden { needs: Needs::Node });
    assert_eq!(world.refused(&owner(), take(job, 0, 0)), Refusal::Forbidden { needs: Needs::Node });
    assert_eq!(world.ok(&node(), take(job, 0, 0)), Outcome::JobEpoch(1));
    let open = |epoch| JobCommand::OpenPart { job, part: 0, epoch, blob: blob_id(20) };
    world.ok(&node(), open(1));
    assert_eq!(world.refused(&node(), open(1)), Refusal::DuplicateId(Noun::Blob));
    assert_eq!(world.refused(&node(), take(job, 0, 0)), Refusal::StaleJobEpoch { current: 1 });
    assert_eq!(world.ok(&node(), take(job, 0, 1)), Outcome::JobEpoch(2));
    assert_eq!(parts(&world, job)[0].blob, Some(blob_id(20)), "what it has made stays");
    let finish = |epoch| JobCommand::FinishPart { job, part: 0, epoch, damaged: false };
    assert_eq!(world.refused(&node(), finish(1)), Refusal::StaleJobEpoch { current: 2 });
    assert_eq!(world.refused(&node(), finish(2)), Refusal::BlobOpen);
    world.ok(&node(), seal(asset, blob_id(20), 1));
    world.ok(&node(), finish(2));
    assert_eq!(world.refused(&node(), take(job, 7, 0)), Refusal::NotFound(Noun::Job));
}

#[test]
fn nothing_of_the_parts_outlives_the_job() {
    type End = fn(&mut World, AssetId, JobId) -> Outcome;
    let ends: [(&str, End); 5] = [
        ("it is one piece again", |world, _, job| world.ok(&node(), split(job, &[]))),
        ("it is cancelled", |world, _, job| world.ok(&owner(), JobCommand::Cancel { job })),
        ("it fails", |world, _, job| {
            let (code, reason) = ("damaged".to_owned(), "Damaged.".to_owned());
            world.ok(&node(), JobCommand::Fail { job, epoch: 1, code, reason })
        }),
        ("it is done", |world, _, job| world.ok(&node(), JobCommand::Finish { job, epoch: 1 })),
        ("the asset is trashed", |world, asset, _| world.ok(&owner(), AssetCommand::Trash { asset })),
    ];
    for (what, end) in ends {
        let mut world = World::claimed();
        let (asset, job) = leased(&mut world);
        world.ok(&node(), split(job, &[0, 5]));
        written(&mut world, asset, job, 0, blob_id(21));
        world.ok(&node(), take(job, 1, 0));
        world.ok(&node(), JobCommand::OpenPart { job, part: 1, epoch: 1, blob: blob_id(22) });
        end(&mut world, asset, job);
        assert!(parts(&world, job).is_empty(), "{what}");
        let found = world.found(asset);
        assert!(found.blobs.iter().all(|blob| blob.id == found.original), "{what}: {:?}", found.blobs);
        let late = JobCommand::FinishPart { job, part: 0, epoch: 1, damaged: false };
        assert_eq!(world.refused(&node(), late), Refusal::NotFound(Noun::Job), "{what}");
    }
}

#[test]
fn the_files_of_parts_are_told_to_be_dropped() {
    let mut world = World::claimed();
    let (asset, job) = leased(&mut world);
    world.ok(&node(), split(job, &[0, 5]));
    written(&mut world, asset, job, 0, blob_id(21));
    let dropped = Event::BlobDropped { asset, blob: blob_id(21) };
    let applied = world.apply(&owner(), JobCommand::Cancel { job });
    assert!(applied.events.contains(&dropped), "{:?}", applied.events);
}

#[test]
fn what_was_tried_is_not_tried_again_until_a_retry() {
    let mut world = World::claimed();
    let (_, job) = leased(&mut world);
    world.ok(&node(), split(job, &[0, 5]));
    world.ok(&node(), take(job, 1, 0));
    world.ok(&node(), JobCommand::FailPart { job, part: 1, epoch: 1, code: "stalled".into() });
    assert_eq!(parts(&world, job)[1].state, PartState::Failed { code: "stalled".into() });
    world.ok(&node(), split(job, &[]));
    assert!(world.state.split(job).is_some_and(|split| split.parts.is_empty()));
    assert_eq!(world.refused(&node(), split(job, &[0, 5])), Refusal::JobState);
    world.ok(&owner(), JobCommand::Cancel { job });
    world.ok(&owner(), JobCommand::Retry { job });
    world.ok(&node(), JobCommand::Lease { job, node: NODE, epoch: 1 });
    world.ok(&node(), JobCommand::Split { job, epoch: 2, cuts: vec![0, 5] });
}

#[test]
fn a_job_is_divided_only_by_its_holder_and_in_order() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    let job = world.queue(1, asset);
    assert_eq!(world.refused(&node(), split(job, &[0, 5])), Refusal::StaleJobEpoch { current: 0 });
    world.ok(&node(), JobCommand::Lease { job, node: NODE, epoch: 0 });
    assert_eq!(world.refused(&owner(), split(job, &[0, 5])), Refusal::Forbidden { needs: Needs::Node });
    for cuts in [&[5, 5][..], &[5, 4]] {
        assert_eq!(world.refused(&node(), split(job, cuts)), Refusal::invalid("cuts", Problem::Malformed));
    }
    let many: Vec<u64> = (0..65).collect();
    assert_eq!(world.refused(&node(), split(job, &many)), Refusal::invalid("cuts", Problem::TooMany(64)));
    world.ok(&node(), split(job, &many[..64]));

    let arriving = world.asset(10);
    let early = world.queue(2, arriving);
    world.ok(&node(), JobCommand::Lease { job: early, node: NODE, epoch: 0 });
    assert_eq!(world.refused(&node(), split(early, &[0, 5])), Refusal::AssetState, "its length is not known");
}
