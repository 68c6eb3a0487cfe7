//! Taking over: the fence, the longest prefix of two holders, and everybody brought to it.

use bytes::Bytes;
use cluster::blob::RECORD;
use cluster::disk::Survival;
use cluster::id::NodeId;
use cluster::store::{BlobError, BlobWriter};

use crate::copies_support::*;

async fn take_over(world: &World, number: u64, epoch: u64) -> Result<BlobWriter, BlobError> {
    world.at(number).replicas.take_over(ASSET, BLOB, epoch, &world.key).await
}

#[tokio::test]
async fn the_writer_before_is_over_wherever_it_is() {
    let world = World::three();
    let first = world.create(1).await;
    first.append(content(1_000)).await.unwrap();
    let second = take_over(&world, 2, 2).await.unwrap();
    let refused = first.append(content(1)).await;
    assert!(matches!(refused, Err(BlobError::Fenced { .. } | BlobError::WriterOver)), "{refused:?}");
    second.append(content(10)).await.unwrap();
    second.seal().await.unwrap();
    for number in 1..=3 {
        let expected: Bytes = [content(1_000), content(10)].concat().into();
        assert_eq!(world.read_all(number).await, expected, "node {number}");
    }
}

#[tokio::test]
async fn a_lower_epoch_is_refused_after_a_restart_too() {
    let mut world = World::three();
    let first = world.create(1).await;
    first.append(content(1_000)).await.unwrap();
    // Fenced at a moment when nothing else of the new writer is on any disk.
    for number in [2, 3] {
        world.at(number).replicas.here().held_fence(NAME, 5).await.unwrap();
        world.restart(NodeId(number), Survival::None);
    }
    let refused = first.append(content(1)).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(take_over(&world, 1, 4).await.unwrap_err(), BlobError::Fenced { have: 5, got: 4 });
    let writer = take_over(&world, 3, 6).await.unwrap();
    assert!(writer.length() >= 1_000);
}

#[tokio::test]
async fn two_holders_must_answer() {
    let mut world = World::three();
    world.create(1).await.append(content(1_000)).await.unwrap();
    world.crash(NodeId(2), Survival::None);
    world.crash(NodeId(3), Survival::None);
    let refused = take_over(&world, 1, 2).await.unwrap_err();
    assert_eq!(refused, BlobError::TooFewCopies { have: 1, wanted: 2 });
}

#[tokio::test]
async fn a_holder_that_went_its_own_way_is_brought_back() {
    let mut world = World::three();
    let first = world.create(1).await;
    first.append(content(3 * RECORD + 9)).await.unwrap();
    // Nobody else hears of what node 1 writes now.
    for other in [2, 3] {
        world.wires.cut(NodeId(1), NodeId(other));
    }
    assert!(first.append(Bytes::from(vec![7; 3 * RECORD])).await.is_err());
    let disk = world.crash(NodeId(1), Survival::All);
    let second = take_over(&world, 2, 2).await.unwrap();
    assert_eq!(second.length(), 3 * RECORD as u64 + 9);
    second.append(content(2 * RECORD)).await.unwrap();
    world.wires.heal();
    world.start(NodeId(1), disk);
    let third = take_over(&world, 3, 3).await.unwrap();
    third.mark(b"end").await.unwrap();
    third.seal().await.unwrap();
    let expected: Bytes = [content(3 * RECORD + 9), content(2 * RECORD)].concat().into();
    for number in 1..=3 {
        assert_eq!(world.read_all(number).await, expected, "node {number}");
    }
    assert_eq!(world.sealed_bytes(1).await, world.sealed_bytes(3).await);
}

#[tokio::test]
async fn a_blob_sealed_on_one_node_only_is_on_two_before_state_is_told() {
    let mut world = World::three();
    let first = world.create(1).await;
    first.append(content(5_000)).await.unwrap();
    for other in [2, 3] {
        world.wires.cut(NodeId(1), NodeId(other));
    }
    assert!(first.seal().await.is_err());
    world.wires.heal();
    let Err(BlobError::Sealed(sealed)) = take_over(&world, 2, 2).await else { panic!("it is sealed") };
    assert_eq!(sealed.length, 5_000);
    world.crash(NodeId(1), Survival::None);
    assert_eq!(world.read_all(3).await, content(5_000));
}

/// A holder that was left on its way has a part of what the others have, and the number of a later barrier beside it.
#[tokio::test]
async fn a_holder_that_was_left_on_its_way_outranks_nobody() {
    for step in 1..=24 {
        let mut world = World::three();
        let first = world.create(1).await;
        first.append(content(4 * RECORD + 20_000)).await.unwrap();
        // From now on it has no part in what is written, and is behind.
        world.restart(NodeId(2), Survival::All);
        let promised = first.append(content(RECORD + 30_000)).await.unwrap();
        world.wires.cut(NodeId(1), NodeId(3));
        assert!(first.append(content(RECORD)).await.is_err(), "node 1 has it alone, and promises nothing");
        let disk = &world.at(2).disk;
        disk.fail_write_at(disk.operations() + step);
        let second = take_over(&world, 1, 2).await;
        world.wires.heal();
        world.restart(NodeId(2), Survival::All);
        world.wires.cut(NodeId(3), NodeId(1));
        let third = take_over(&world, 3, 3).await.unwrap();
        assert!(third.length() >= promised, "step {step}: {promised} promised, {} there", third.length());
        if second.is_ok() {
            return;
        }
    }
    panic!("node 2 is never brought along");
}

/// Writers come and go on random nodes while nodes lose power and messages are lost: nothing promised is ever missing.
async fn random_life(seed: u64) {
    let mut world = World::new(seed, &["a", "b", "c"], 3);
    let mut promised = Bytes::new();
    let mut writer = Some((world.create(1).await, NodeId(1)));
    let mut epoch = 1;
    let mut attempts = 0;
    while promised.len() < 6 * RECORD && attempts < 120 {
        attempts += 1;
        match world.wires.chance(10) {
            0 => world.wires.lose_one_in(2 + world.wires.chance(8)),
            1 => world.wires.heal(),
            2 => {
                let cut = NodeId(1 + u64::from(world.wires.chance(3)));
                let from = NodeId(1 + u64::from(world.wires.chance(3)));
                world.wires.cut(from, cut);
            }
            3 => {
                let id = NodeId(1 + u64::from(world.wires.chance(3)));
                let survival = Survival::Random(u64::from(world.wires.chance(1 << 30)));
                if writer.as_ref().is_some_and(|(_, at)| *at == id) {
                    writer = None;
                }
                world.restart(id, survival);
            }
            _ => {}
        }
        if writer.is_none() {
            epoch += 1;
            let number = 1 + u64::from(world.wires.chance(3));
            if let Ok(taken) = take_over(&world, number, epoch).await {
                assert_prefix(&taken, &promised, seed, &world, number).await;
                promised = whole(&world.reader(number).await).await;
                writer = Some((taken, NodeId(number)));
            }
            continue;
        }
        let length = 1 + world.wires.chance(RECORD as u32) as usize;
        let more: Bytes = vec![epoch as u8; length].into();
        let appended = match &writer {
            Some((writer, _)) => writer.append(more.clone()).await,
            None => continue,
        };
        match appended {
            Ok(length) => {
                promised = [promised, more].concat().into();
                assert_eq!(length, promised.len() as u64, "seed {seed}");
            }
            Err(_) => writer = None,
        }
    }
    world.wires.heal();
    let last = take_over(&world, 1, epoch + 1).await.unwrap();
    assert_prefix(&last, &promised, seed, &world, 1).await;
    last.seal().await.unwrap();
    for number in 1..=3 {
        assert!(world.read_all(number).await.starts_with(&promised), "seed {seed}, node {number}");
    }
}

async fn assert_prefix(writer: &BlobWriter, promised: &Bytes, seed: u64, world: &World, number: u64) {
    assert!(
        writer.length() >= promised.len() as u64,
        "seed {seed}: {} promised, {} there",
        promised.len(),
        writer.length()
    );
    assert!(world.read_all(number).await.starts_with(promised), "seed {seed}: other bytes");
}

#[tokio::test]
async fn nothing_promised_is_lost_whoever_writes_and_whatever_fails() {
    for seed in 0..40 {
        random_life(seed).await;
    }
}
