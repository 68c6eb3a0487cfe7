//! Writing to several nodes: the same files everywhere, promises only with enough of them, one that fails left behind.

use std::time::Duration;

use cluster::blob::{BlobKind, RECORD};
use cluster::disk::Survival;
use cluster::id::NodeId;
use cluster::store::BlobError;

use crate::copies_support::*;

#[tokio::test]
async fn what_is_sealed_is_the_same_file_on_every_holder() {
    let world = World::three();
    let writer = world.create(1).await;
    let bytes = content(5 * RECORD + 321);
    for piece in bytes.chunks(77_777) {
        writer.write(bytes.slice_ref(piece)).await.unwrap();
    }
    writer.mark(b"a mark").await.unwrap();
    let sealed = writer.seal().await.unwrap();
    assert_eq!(sealed.length, bytes.len() as u64);
    let first = world.sealed_bytes(1).await;
    for number in [2, 3] {
        assert_eq!(world.sealed_bytes(number).await, first, "node {number}");
        let reader = world.reader(number).await;
        assert_eq!(reader.marks(0).len(), 1);
        assert_eq!(whole(&reader).await, bytes);
    }
}

#[tokio::test]
async fn a_writer_that_holds_nothing_itself_writes_to_those_that_do() {
    let mut world = World::new(1, &["a", "b", "c", "d"], 3);
    let writer = world.create(4).await;
    let bytes = content(3 * RECORD);
    writer.append(bytes.clone()).await.unwrap();
    writer.seal().await.unwrap();
    world.crash(NodeId(4), Survival::None);
    assert_eq!(world.read_all(2).await, bytes);
}

#[tokio::test]
async fn it_goes_on_with_one_holder_gone_and_promises_nothing_with_two_gone() {
    let mut world = World::three();
    let writer = world.create(1).await;
    writer.append(content(100)).await.unwrap();
    world.crash(NodeId(3), Survival::None);
    assert_eq!(writer.append(content(RECORD)).await.unwrap(), 100 + RECORD as u64);
    world.crash(NodeId(2), Survival::None);
    let refused = writer.append(content(10)).await;
    assert!(matches!(refused, Err(BlobError::TooFewCopies { wanted: 2, .. })), "{refused:?}");
    assert_eq!(writer.durable_length(), 100 + RECORD as u64, "what was not promised is not shown");
}

#[tokio::test]
async fn two_copies_in_one_site_are_not_enough_where_there_are_two_sites() {
    let mut world = World::new(1, &["a", "a", "b"], 3);
    let writer = world.create(1).await;
    writer.append(content(100)).await.unwrap();
    world.crash(NodeId(3), Survival::None);
    assert!(matches!(writer.append(content(10)).await, Err(BlobError::TooFewCopies { .. })));
}

#[tokio::test]
async fn what_is_promised_is_durable_on_a_second_node() {
    for seed in 0..8 {
        let mut world = World::new(seed, &["a", "b", "c"], 3);
        world.wires.lose_one_in(7);
        let Ok(writer) = world.at(1).replicas.create(ASSET, BLOB, BlobKind::Rendition, 1, &world.key).await
        else {
            continue;
        };
        let mut promised = 0;
        while promised < 4 * RECORD as u64 {
            let length = 1 + world.wires.chance(2 * RECORD as u32) as usize;
            match writer.append(content(length)).await {
                Ok(length) => promised = length,
                Err(_) => break,
            }
        }
        world.wires.heal();
        // The writer's node is gone for good, and the others lose power.
        world.crash(NodeId(1), Survival::None);
        world.restart(NodeId(2), Survival::None);
        world.restart(NodeId(3), Survival::None);
        let next = world.at(2).replicas.take_over(ASSET, BLOB, 2, &world.key).await.unwrap();
        assert!(next.length() >= promised, "seed {seed}: {promised} promised, {} there", next.length());
    }
}

#[tokio::test]
async fn a_slow_holder_is_left_behind_and_memory_stays_bounded() {
    let world = World::three();
    let writer = world.create(1).await;
    world.wires.delay(NodeId(3), Duration::from_secs(60));
    let piece = content(1 << 20);
    for _ in 0..40 {
        writer.write(piece.clone()).await.unwrap();
    }
    assert_eq!(writer.sync().await.unwrap(), 40 << 20);
    writer.seal().await.unwrap();
    assert_eq!(world.sealed_bytes(2).await, world.sealed_bytes(1).await);
}

#[tokio::test]
async fn many_writes_are_under_way_at_once() {
    let world = World::three();
    let writer = world.create(1).await;
    for number in [2, 3] {
        world.wires.delay(NodeId(number), Duration::from_millis(40));
    }
    for _ in 0..8 {
        writer.write(content(1 << 20)).await.unwrap();
    }
    writer.sync().await.unwrap();
    for number in [2, 3] {
        let most = world.wires.most_under_way(NodeId(number));
        assert!((3..=4).contains(&most), "{most} at once to node {number}");
    }
}
