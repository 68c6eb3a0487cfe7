//! Faults put in on purpose: what the other tests look at would tell, were the code wrong in this way.

use std::path::PathBuf;
use std::sync::Arc;

use cluster::blob::RECORD;
use cluster::disk::{Disk, SimulatedDisk, Survival};
use cluster::id::NodeId;
use cluster::state::Holders;
use cluster::store::BlobError;
use cluster::transfer::Flow;

use crate::copies_support::*;

/// Bytes promised by a writer on node 1, and bytes the others have when node 1 is gone for good.
async fn promised_and_kept(mut world: World) -> (u64, u64) {
    let writer = world.create(1).await;
    let promised = writer.append(content(RECORD + 5)).await.unwrap();
    world.crash(NodeId(1), Survival::None);
    let taken = world.at(2).replicas.take_over(ASSET, BLOB, 2, &world.key).await;
    (promised, taken.map_or(0, |writer| writer.length()))
}

#[tokio::test]
async fn a_writer_that_promises_with_one_copy_is_found_out() {
    let (promised, kept) = promised_and_kept(World::three()).await;
    assert!(kept >= promised);
    let mut careless = World::three();
    let map = Arc::new(Sites::of(careless.map.sites.clone(), Holders::of(&[NodeId(1)]).unwrap()));
    let disk = careless.crash(NodeId(1), Survival::None);
    careless.start_believing(NodeId(1), disk, map);
    let (promised, kept) = promised_and_kept(careless).await;
    assert!(kept < promised, "the fault shows");
}

#[tokio::test]
async fn a_holder_that_forgets_its_fence_is_found_out() {
    for forgets in [false, true] {
        let mut world = World::three();
        world.create(1).await.append(content(1_000)).await.unwrap();
        for number in [1, 2, 3] {
            world.at(number).replicas.here().held_fence(NAME, 5).await.unwrap();
            let disk = world.crash(NodeId(number), Survival::None);
            if forgets {
                let fence =
                    disk.files().into_iter().find(|path| path.extension().is_some_and(|e| e == "fence"));
                disk.remove_file(&fence.unwrap()).unwrap();
            }
            world.start(NodeId(number), disk);
        }
        let lower = world.at(3).replicas.take_over(ASSET, BLOB, 4, &world.key).await;
        match lower {
            Err(BlobError::Fenced { have: 5, got: 4 }) => assert!(!forgets),
            other => assert!(forgets && other.is_ok(), "the fault shows: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_copy_that_goes_before_the_new_one_is_checked_is_found_out() {
    for careless in [false, true] {
        let world = World::new(1, &["a", "b", "c", "d"], 3);
        let writer = world.create(1).await;
        writer.append(content(2 * RECORD)).await.unwrap();
        writer.seal().await.unwrap();
        for number in [2, 3] {
            world.sealed_bytes(number).await;
        }
        // The copy to move away is read from a disk that has gone bad in between.
        let path = world.file_at(3, "blob").await;
        let before = world.good_copies().await;
        world.at(1).disk.flip_bit(&world.file_at(1, "blob").await, RECORD, 1);
        let good = before - 1;
        if careless {
            world.at(3).replicas.here().remove_blob(ASSET, BLOB).await.unwrap();
            assert!(!world.at(3).disk.files().contains(&path));
        }
        let moved = world.at(4).replicas.pull(NAME, &[NodeId(1)], None, &Flow::new(None)).await;
        assert!(matches!(moved, Err(BlobError::Damaged(_))), "{moved:?}");
        let after = world.good_copies().await;
        assert_eq!(after < good, careless, "the fault shows");
    }
}

/// Every file of a Blob on a disk.
fn endings(disk: &SimulatedDisk) -> Vec<String> {
    let ending = |path: PathBuf| path.extension().map(|ending| ending.to_string_lossy().into_owned());
    disk.files().into_iter().filter_map(ending).collect()
}

#[tokio::test]
async fn a_holder_that_loses_power_at_any_operation_comes_back_whole() {
    // How many operations a holder does in this story, and then a power cut at each of them.
    let mut cut_at = None;
    for step in 0.. {
        let mut world = World::new(step, &["a", "b", "c"], 3);
        if step > 0 {
            world.at(3).disk.cut_power_at(step - 1);
        }
        let writer = world.create(1).await;
        let mut promised = 0;
        for piece in [content(RECORD / 2), content(2 * RECORD), content(7)] {
            promised = writer.append(piece).await.unwrap();
        }
        writer.seal().await.unwrap();
        if step == 0 {
            world.sealed_bytes(3).await;
            cut_at = Some(world.at(3).disk.operations());
            continue;
        }
        world.wires.disconnect(NodeId(2));
        world.restart(NodeId(3), Survival::Random(step));
        let replicas = &world.at(3).replicas;
        let files = endings(&world.at(3).disk);
        let pulled = replicas.pull(NAME, &[NodeId(1)], None, &Flow::new(None)).await;
        assert!(pulled.is_ok(), "step {step}: {pulled:?}, {files:?}");
        assert_eq!(world.sealed_bytes(3).await, world.sealed_bytes(1).await);
        assert_eq!(promised, world.read_all(3).await.len() as u64);
        if cut_at.is_some_and(|operations| step >= operations) {
            return;
        }
    }
}
