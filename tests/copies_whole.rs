//! Small Blobs written in one go: the same as what a writer makes, on as many nodes as must have it, or nothing at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::blob::{BlobKind, RECORD};
use cluster::disk::{SimulatedDisk, Survival};
use cluster::id::{BlobId, NodeId};
use cluster::store::{BlobError, LARGEST_WHOLE, Report, Sealed};

use crate::copies_support::*;

async fn put(world: &World, number: u64, bytes: Bytes) -> Result<Sealed, BlobError> {
    world.at(number).replicas.put_whole(ASSET, BLOB, BlobKind::Original, &world.key, bytes).await
}

async fn is_sealed_at(world: &World, number: u64, hash: [u8; 32]) -> bool {
    let report = world.at(number).replicas.here().held_report(NAME).await.unwrap();
    matches!(report, Report::Sealed { hash: here, .. } if here == hash)
}

#[tokio::test]
async fn it_is_the_same_file_on_every_holder_and_reads_as_what_a_writer_made() {
    for length in [0, 1, RECORD, 3 * RECORD + 77, LARGEST_WHOLE] {
        let world = World::three();
        let bytes = content(length);
        let sealed = put(&world, 1, bytes.clone()).await.unwrap();
        assert_eq!(sealed.length, length as u64);
        let first = world.sealed_bytes(1).await;
        for number in [2, 3] {
            assert_eq!(world.sealed_bytes(number).await, first, "node {number}");
            assert_eq!(world.read_all(number).await, bytes);
            assert_eq!(world.at(number).replicas.verify(NAME).await.unwrap(), sealed.hash);
        }
        let written = World::three();
        let replicas = &written.at(1).replicas;
        let writer = replicas.create(ASSET, BLOB, BlobKind::Original, 1, &written.key).await.unwrap();
        writer.write(bytes).await.unwrap();
        let by_a_writer = writer.seal().await.unwrap();
        assert_eq!(by_a_writer.plaintext_sha256, sealed.plaintext_sha256);
        assert_eq!(written.sealed_bytes(1).await.len(), first.len(), "{length} bytes");
    }
    let world = World::three();
    assert_eq!(put(&world, 1, content(LARGEST_WHOLE + 1)).await.unwrap_err(), BlobError::Full);
}

#[tokio::test]
async fn a_node_that_holds_nothing_puts_it_down_where_it_belongs() {
    let world = World::new(1, &["a", "b", "c", "d"], 3);
    let bytes = content(100_000);
    put(&world, 4, bytes.clone()).await.unwrap();
    assert!(world.at(4).disk.files().is_empty(), "{:?}", world.at(4).disk.files());
    assert_eq!(world.read_all(2).await, bytes);
}

#[tokio::test]
async fn what_is_promised_is_durable_on_a_second_node() {
    let mut promised = 0;
    for seed in 0..40 {
        let mut world = World::new(seed, &["a", "b", "c"], 3);
        world.wires.lose_one_in(3);
        let bytes = content(1 + world.wires.chance(3 * RECORD as u32) as usize);
        let Ok(sealed) = put(&world, 1, bytes.clone()).await else { continue };
        promised += 1;
        world.wires.heal();
        // The node that promised is gone for good, and the others lose power.
        world.crash(NodeId(1), Survival::None);
        world.restart(NodeId(2), Survival::None);
        world.restart(NodeId(3), Survival::None);
        let next = world.at(2).replicas.take_over(ASSET, BLOB, 2, &world.key).await;
        let Err(BlobError::Sealed(found)) = next else { panic!("seed {seed}: {next:?}") };
        assert_eq!(
            (found.hash, found.plaintext_sha256),
            (sealed.hash, sealed.plaintext_sha256),
            "seed {seed}"
        );
        assert_eq!(world.read_all(2).await, bytes, "seed {seed}");
    }
    assert!(promised > 20, "only {promised} of 40 were promised");
}

#[tokio::test]
async fn nothing_is_promised_with_too_few_nodes_or_sites() {
    let mut world = World::new(1, &["a", "a", "b"], 3);
    world.crash(NodeId(3), Survival::None);
    let refused = put(&world, 1, content(1000)).await;
    assert!(matches!(refused, Err(BlobError::TooFewCopies { have: 2, wanted: 2 })), "{refused:?}");

    let mut world = World::three();
    world.crash(NodeId(2), Survival::None);
    let sealed = put(&world, 1, content(1000)).await.unwrap();
    assert!(is_sealed_at(&world, 3, sealed.hash).await, "the one that is left has it");
    let mut world = World::three();
    world.crash(NodeId(2), Survival::None);
    world.crash(NodeId(3), Survival::None);
    assert!(matches!(
        put(&world, 1, content(1000)).await,
        Err(BlobError::TooFewCopies { have: 1, wanted: 2 })
    ));
}

#[tokio::test]
async fn a_slow_node_is_not_waited_for_and_gets_it_all_the_same() {
    let world = World::three();
    world.wires.delay(NodeId(3), Duration::from_millis(400));
    let sealed = put(&world, 1, content(200_000)).await.unwrap();
    assert!(!is_sealed_at(&world, 3, sealed.hash).await, "it was waited for");
    world.sealed_bytes(3).await;
    assert!(is_sealed_at(&world, 3, sealed.hash).await);
}

#[tokio::test]
async fn what_waits_for_a_node_that_does_not_answer_is_bounded() {
    let world = World::three();
    world.wires.delay(NodeId(3), Duration::from_secs(60));
    for number in 0..60 {
        let (replicas, bytes) = (&world.at(1).replicas, content(LARGEST_WHOLE));
        let put = replicas.put_whole(ASSET, BlobId([number; 16]), BlobKind::Poster, &world.key, bytes);
        put.await.unwrap();
    }
    let most = world.wires.most_under_way(NodeId(3));
    assert!((2..30).contains(&most), "{most} files of 1.5 MiB each wait in memory for one node");
}

#[tokio::test]
async fn one_that_comes_after_a_later_writer_is_refused() {
    let world = World::three();
    let nobody = world.at(2).replicas.take_over(ASSET, BLOB, 2, &world.key).await;
    assert_eq!(nobody.unwrap_err(), BlobError::NotFound);
    let late = put(&world, 1, content(5000)).await;
    assert!(matches!(late, Err(BlobError::Fenced { have: 2, got: 1 })), "{late:?}");
    for number in 1..=3 {
        let report = world.at(number).replicas.here().held_report(NAME).await.unwrap();
        assert_eq!(report, Report::Absent, "node {number}");
    }
}

#[tokio::test]
async fn nothing_is_put_down_where_nobody_knows_of_the_asset() {
    let mut world = World::new(1, &["a", "b"], 2);
    let forgetful =
        Sites { knows: false, ..Sites::of(world.map.sites.clone(), *world.map.holders.lock().unwrap()) };
    let disk = world.crash(NodeId(2), Survival::All);
    world.start_believing(NodeId(2), disk, Arc::new(forgetful));
    let refused = put(&world, 1, content(1000)).await;
    assert!(matches!(refused, Err(BlobError::TooFewCopies { have: 1, wanted: 2 })), "{refused:?}");
    assert!(
        world.at(2).disk.files().is_empty(),
        "it would lie there for good: {:?}",
        world.at(2).disk.files()
    );
}

#[tokio::test]
async fn a_holder_takes_no_other_file_than_the_one_it_was_told_of() {
    let world = World::three();
    let sealed = put(&world, 1, content(90_000)).await.unwrap();
    let file = Bytes::from(world.sealed_bytes(1).await);
    let empty = World::three();
    let here = empty.at(1).replicas.here();
    let mut damaged = file.to_vec();
    damaged[70_000] ^= 1;
    for wrong in [damaged, file[..file.len() - 1].to_vec(), file[..40].to_vec(), Vec::new()] {
        let refused = here.held_whole(NAME, 1, sealed.hash, wrong.into()).await;
        assert!(refused.as_ref().is_err_and(BlobError::is_damage), "{refused:?}");
    }
    assert!(here.held_whole(NAME, 2, sealed.hash, file.clone()).await.is_err(), "of another writer");
    assert!(empty.at(1).disk.files().is_empty());
    here.held_whole(NAME, 1, sealed.hash, file.clone()).await.unwrap();
    here.held_whole(NAME, 1, sealed.hash, file).await.unwrap();
    // Another one of the same name is none that this writer made.
    let other = World::three();
    let sealed = put(&other, 1, content(10)).await.unwrap();
    let file = Bytes::from(other.sealed_bytes(1).await);
    assert_eq!(here.held_whole(NAME, 1, sealed.hash, file).await, Err(BlobError::Exists));
}

#[tokio::test]
async fn after_a_power_cut_at_any_operation_it_is_whole_or_not_there() {
    let calm = World::new(1, &["a"], 1);
    let began = calm.at(1).disk.operations();
    put(&calm, 1, content(RECORD + 9)).await.unwrap();
    let operations = calm.at(1).disk.operations();
    assert!(operations - began >= 6, "{operations} operations since {began}");
    for cut in began..=operations {
        for survival in [Survival::None, Survival::All, Survival::Random(cut), Survival::Random(cut + 1000)] {
            let case = format!("cut at operation {cut} of {operations}, {survival:?}");
            let mut world = World::new(1, &["a"], 1);
            world.at(1).disk.cut_power_at(cut);
            let bytes = content(RECORD + 9);
            let promised = put(&world, 1, bytes.clone()).await;
            world.restart(NodeId(1), survival);
            match world.at(1).replicas.here().held_report(NAME).await.unwrap() {
                Report::Sealed { .. } => assert_eq!(world.read_all(1).await, bytes, "{case}"),
                other => {
                    assert_eq!(other, Report::Absent, "{case}");
                    assert!(promised.is_err(), "{case}: it was promised");
                    assert!(world.at(1).disk.files().is_empty(), "{case}: {:?}", world.at(1).disk.files());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_named_where_too_few_are_left() {
    let mut world = World::three();
    for number in [2, 3] {
        world.start(NodeId(number), SimulatedDisk::new(10_000));
    }
    assert_eq!(put(&world, 1, content(100_000)).await.unwrap_err(), BlobError::Full);
}
