//! Stories of Blobs: one writer at a time, sealed once, named by the manifest.

use cluster::command::{AssetCommand, BlobKind};
use cluster::event::Event;
use cluster::outcome::Outcome;
use cluster::refusal::{Noun, Refusal};
use cluster::state::AssetState;

use crate::world::*;

#[test]
fn a_takeover_shuts_the_former_writer_out() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    let blob = blob_id(20);
    assert_eq!(world.ok(&node(), open(asset, blob, BlobKind::Rendition)), Outcome::BlobEpoch(1));
    let again = world.refused(&node(), open(asset, blob, BlobKind::Rendition));
    assert_eq!(again, Refusal::DuplicateId(Noun::Blob));
    assert_eq!(world.ok(&node(), AssetCommand::TakeOverBlob { asset, blob }), Outcome::BlobEpoch(2));
    assert!(world.events.contains(&Event::BlobTakenOver { asset, blob, epoch: 2 }));
    assert_eq!(world.refused(&node(), seal(asset, blob, 1)), Refusal::StaleBlobEpoch { current: 2 });
    world.ok(&node(), seal(asset, blob, 2));
    let refusal = world.refused(&node(), AssetCommand::TakeOverBlob { asset, blob });
    assert_eq!(refusal, Refusal::BlobSealed);
}

#[test]
fn sealing_twice_the_same_is_done_and_otherwise_refused() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    world.ok(&node(), seal(asset, blob_id(9), 1));
    world.ok(&node(), seal(asset, blob_id(9), 1));
    let other = AssetCommand::SealBlob { asset, blob: blob_id(9), epoch: 1, length: 1, hash: [3; 32] };
    assert_eq!(world.refused(&node(), other), Refusal::BlobSealed);
    assert_eq!(world.refused(&node(), seal(asset, blob_id(50), 1)), Refusal::NotFound(Noun::Blob));
}

#[test]
fn the_manifest_takes_over_the_list_of_blobs() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    for (number, sealed) in [(20, true), (21, true), (22, false)] {
        world.ok(&node(), open(asset, blob_id(number), BlobKind::Rendition));
        if sealed {
            world.ok(&node(), seal(asset, blob_id(number), 1));
        }
    }
    world.ok(&node(), open(asset, blob_id(30), BlobKind::Poster));
    let poster = AssetCommand::SetPoster { asset, blob: Some(blob_id(30)) };
    assert_eq!(world.refused(&node(), poster.clone()), Refusal::BlobOpen);
    world.ok(&node(), seal(asset, blob_id(30), 1));
    world.ok(&node(), poster);
    world.set_manifest(asset, blob_id(40), None);
    let found = world.found(asset);
    let known: Vec<_> = found.blobs.iter().map(|blob| blob.id).collect();
    assert_eq!(known, [9, 22, 30, 40].map(blob_id), "original, what is still open, poster, manifest");
    assert_eq!((found.state.clone(), found.watchable), (AssetState::Ready, true));
    assert_eq!(found.facts.unwrap().top_height, 720);
    for blob in [9, 30, 40] {
        let refusal = world.refused(&node(), AssetCommand::DropBlob { asset, blob: blob_id(blob) });
        assert_eq!(refusal, Refusal::AssetState, "in use");
    }
    world.ok(&node(), AssetCommand::DropBlob { asset, blob: blob_id(22) });
    assert!(world.events.contains(&Event::BlobDropped { asset, blob: blob_id(22) }));
}

#[test]
fn two_people_do_not_overwrite_each_others_manifest() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    let missing = world.refused(&node(), manifest(asset, blob_id(40), None));
    assert_eq!(missing, Refusal::NotFound(Noun::Blob));
    world.ok(&node(), open(asset, blob_id(40), BlobKind::Manifest));
    assert_eq!(world.refused(&node(), manifest(asset, blob_id(40), None)), Refusal::BlobMismatch);
    world.ok(&node(), seal(asset, blob_id(40), 1));
    world.ok(&node(), manifest(asset, blob_id(40), None));
    for number in [41, 42] {
        world.ok(&node(), open(asset, blob_id(number), BlobKind::Manifest));
        world.ok(&node(), seal(asset, blob_id(number), 1));
    }
    let old = Some(blob_id(40));
    world.ok(&node(), manifest(asset, blob_id(41), old));
    assert!(world.events.contains(&Event::BlobDropped { asset, blob: blob_id(40) }));
    assert_eq!(world.refused(&node(), manifest(asset, blob_id(42), old)), Refusal::ManifestChanged);
}

#[test]
fn a_manifest_of_an_unfinished_upload_is_refused() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    world.ok(&node(), open(asset, blob_id(40), BlobKind::Manifest));
    world.ok(&node(), seal(asset, blob_id(40), 1));
    assert_eq!(world.refused(&node(), manifest(asset, blob_id(40), None)), Refusal::AssetState);
}

#[test]
fn there_are_only_so_many_blobs() {
    let mut world = World::claimed();
    let asset = world.asset(200);
    for number in 1..128 {
        world.ok(&node(), open(asset, blob_id(number), BlobKind::Caption));
    }
    let refusal = world.refused(&node(), open(asset, blob_id(199), BlobKind::Caption));
    assert_eq!(refusal, Refusal::TooMany { what: Noun::Blob, limit: 128 });
}
