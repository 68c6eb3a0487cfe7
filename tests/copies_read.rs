//! Reading: the copy here, else the nearest; damaged ones passed by and noted, open ones followed from afar.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::blob::{BlobKind, RECORD};
use cluster::disk::Survival;
use cluster::id::{BlobId, NodeId};
use cluster::state::Holders;
use cluster::store::{BlobError, BlobReader};
use cluster::transfer::{Flow, Pulled, Standing};

use crate::copies_support::*;

async fn sealed(world: &World, length: usize) {
    let writer = world.create(1).await;
    writer.append(content(length)).await.unwrap();
    writer.mark(b"m").await.unwrap();
    writer.seal().await.unwrap();
    for number in [2, 3] {
        world.sealed_bytes(number).await;
    }
}

#[tokio::test]
async fn a_damaged_copy_is_passed_by_noted_and_replaced() {
    let world = World::three();
    sealed(&world, 4 * RECORD + 55).await;
    let path = world.file_at(2, "blob").await;
    world.at(2).disk.flip_bit(&path, 3 * RECORD, 2);
    let reader = world.reader(2).await;
    assert_eq!(whole(&reader).await, content(4 * RECORD + 55), "right all the same");
    let replicas = &world.at(2).replicas;
    assert_eq!(replicas.repairs().take_damaged(), [NAME]);
    assert!(matches!(replicas.verify(NAME).await, Err(BlobError::Damaged(_))));
    replicas.here().set_aside(NAME).await.unwrap();
    assert_eq!(whole(&reader).await, content(4 * RECORD + 55), "from the others meanwhile");
    assert!(matches!(
        replicas.pull(NAME, &[NodeId(3)], None, &Flow::new(None)).await.unwrap(),
        Pulled::Came(_)
    ));
    replicas.verify(NAME).await.unwrap();
    world.wires.disconnect(NodeId(1));
    world.wires.disconnect(NodeId(3));
    assert_eq!(whole(&reader).await, content(4 * RECORD + 55), "and from the new copy");
    assert_eq!(world.sealed_bytes(2).await, world.sealed_bytes(3).await);
    assert!(world.at(2).disk.files().iter().all(|path| path.extension().is_none_or(|e| e != "corrupt")));
}

#[tokio::test]
async fn what_is_not_here_is_read_from_the_others() {
    let mut world = World::new(1, &["a", "b", "c", "d"], 3);
    sealed(&world, 2 * RECORD + 5).await;
    let reader = world.reader(4).await;
    assert!(reader.is_sealed());
    assert_eq!(reader.marks(0).len(), 1);
    world.crash(NodeId(1), Survival::None);
    world.crash(NodeId(2), Survival::None);
    assert_eq!(whole(&reader).await, content(2 * RECORD + 5), "one of three is enough");
    for (offset, length) in [(0, 1), (RECORD as u64 - 1, 2), (2 * RECORD as u64, 5), (7, 2 * RECORD as u32)] {
        let piece = reader.read(offset, length).await.unwrap();
        let all = content(2 * RECORD + 5);
        let from = offset as usize;
        assert_eq!(piece, all.slice(from..(from + length as usize).min(all.len())));
    }
}

/// Waits until a reader has all of `length` bytes of a Blob that is written on another node. It may have had fewer: two of
/// three copies are enough for the writer, and the ones asked may be another two.
async fn grown(reader: &BlobReader, length: u64) {
    let mut growth = reader.watch_growth();
    let growing = growth.beyond(length - 1);
    tokio::time::timeout(Duration::from_secs(10), growing).await.unwrap().unwrap();
    assert_eq!(whole(reader).await.len() as u64, length);
}

#[tokio::test]
async fn an_open_blob_grows_for_readers_elsewhere() {
    let world = World::new(1, &["a", "b", "c", "d"], 3);
    // The second copy lags behind, and is asked when somebody reads there.
    world.wires.delay(NodeId(2), Duration::from_millis(50));
    let writer = world.create(1).await;
    writer.append(content(10)).await.unwrap();
    for number in [2, 4] {
        let reader = world.reader(number).await;
        assert!(!reader.is_sealed());
        grown(&reader, writer.length()).await;
        writer.append(content(RECORD)).await.unwrap();
        grown(&reader, writer.length()).await;
    }
    let reader = world.reader(4).await;
    writer.seal().await.unwrap();
    let mut growth = reader.watch_growth();
    let sealed = async { while !growth.changed().await.unwrap().sealed {} };
    if !reader.is_sealed() {
        tokio::time::timeout(Duration::from_secs(10), sealed).await.unwrap();
    }
}

#[tokio::test]
async fn a_slow_copy_is_not_waited_for() {
    let world = World::new(1, &["a", "b", "c", "a"], 3);
    sealed(&world, RECORD).await;
    let reader = world.reader(4).await;
    world.wires.delay(NodeId(1), Duration::from_secs(3));
    let started = tokio::time::Instant::now();
    assert_eq!(whole(&reader).await, content(RECORD));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_copy_with_another_hash_is_never_taken() {
    let world = World::new(1, &["a", "b", "c", "d"], 3);
    sealed(&world, 3 * RECORD).await;
    let path = world.file_at(1, "blob").await;
    world.at(1).disk.flip_bit(&path, 2 * RECORD, 1);
    let replicas = &world.at(4).replicas;
    assert!(matches!(
        replicas.pull(NAME, &[NodeId(1)], None, &Flow::new(None)).await,
        Err(BlobError::Damaged(_))
    ));
    let files = world.at(4).disk.files();
    assert!(files.is_empty(), "nothing of it is left: {files:?}");
    let wrong = replicas.pull(NAME, &[NodeId(2)], Some([0; 32]), &Flow::new(None)).await;
    assert!(matches!(wrong, Err(BlobError::Damaged(_))), "not the one State names");
    replicas.pull(NAME, &[NodeId(2)], None, &Flow::new(None)).await.unwrap();
    assert_eq!(replicas.pull(NAME, &[NodeId(3)], None, &Flow::new(None)).await.unwrap(), Pulled::There);
}

#[tokio::test]
async fn a_copy_comes_from_all_that_have_it_and_goes_on_when_one_of_them_is_lost() {
    let world = World::new(1, &["a", "b", "c", "d"], 3);
    sealed(&world, 40 * RECORD).await;
    for number in 1..=3 {
        world.wires.delay(NodeId(number), Duration::from_millis(20));
    }
    let (replicas, flow) = (&world.at(4).replicas, Flow::new(None));
    let from = [NodeId(1), NodeId(2), NodeId(3)];
    let before = from.map(|node| world.wires.calls(node));
    let pulling = replicas.pull(NAME, &from, None, &flow);
    let losing = async {
        while from.iter().zip(before).any(|(node, before)| world.wires.calls(*node) == before) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.wires.disconnect(NodeId(2));
    };
    // Each of them is asked for something before the second one is lost.
    let both = async { tokio::join!(pulling, losing) };
    let (pulled, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("all are asked");
    assert!(matches!(pulled, Ok(Pulled::Came(_))), "{pulled:?}");
    assert_eq!(world.sealed_bytes(4).await, world.sealed_bytes(1).await);
}

#[tokio::test]
async fn a_copy_made_in_the_background_waits_for_viewers_and_a_reader_does_not() {
    let world = World::new(1, &["a", "b", "c", "d"], 3);
    sealed(&world, RECORD).await;
    let _viewer = world.at(1).replicas.viewers().serve();
    let (replicas, flow) = (&world.at(4).replicas, Flow::new(None));
    let began = tokio::time::Instant::now();
    replicas.piece(NAME, NodeId(1), 0).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(90), "a piece by itself: {:?}", began.elapsed());
    let began = tokio::time::Instant::now();
    replicas.pull(NAME, &[NodeId(1)], None, &flow).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(90), "it was held back {:?}", began.elapsed());
}

/// A writer at node 1 that only the others have fenced off: what it went on to write is on its own disk.
async fn left_behind(world: &mut World, seals: bool) -> Bytes {
    *world.map.standing.lock().unwrap() = Standing::Open;
    let first = world.create(1).await;
    first.append(content(1_000)).await.unwrap();
    for other in [2, 3, 4] {
        world.wires.cut(NodeId(1), NodeId(other));
        world.wires.cut(NodeId(other), NodeId(1));
    }
    let went_on = if seals { first.seal().await.map(|_| 0) } else { first.append(content(RECORD)).await };
    assert!(went_on.is_err(), "{went_on:?}");
    world.restart(NodeId(1), Survival::All);
    let second = world.at(2).replicas.take_over(ASSET, BLOB, 2, &world.key).await.unwrap();
    second.append(vec![7; 2_000].into()).await.unwrap();
    let sealed = second.seal().await.unwrap();
    *world.map.standing.lock().unwrap() = Standing::Sealed(sealed.hash);
    [content(1_000), vec![7; 2_000].into()].concat().into()
}

#[tokio::test]
async fn what_a_fenced_off_writer_went_on_to_write_is_read_by_nobody() {
    for seals in [false, true] {
        let mut world = World::new(1, &["a", "b", "c", "d"], 3);
        let agreed = left_behind(&mut world, seals).await;
        let alone = world.at(1).replicas.reader(ASSET, BLOB, &world.key).await;
        assert!(alone.is_err(), "sealed: {seals}; it reads {:?}", alone.map(|reader| reader.length()));
        world.wires.heal();
        for number in [1, 2, 3, 4] {
            assert_eq!(world.read_all(number).await, agreed, "node {number}, sealed: {seals}");
        }
    }
}

/// Of two copies the one of the newer writer does not have all that the other writer left: what both have was promised.
#[tokio::test]
async fn of_copies_of_two_writers_only_what_they_have_in_common_is_read() {
    for (more, left_over) in [(500, 1_000), (RECORD, 0)] {
        let mut world = World::new(1, &["a", "b", "c", "d"], 3);
        let first = world.create(1).await;
        first.append(content(1_000)).await.unwrap();
        for other in [2, 3] {
            world.wires.cut(NodeId(1), NodeId(other));
            world.wires.cut(NodeId(other), NodeId(1));
        }
        let alone: Bytes = vec![9; more].into();
        assert!(first.append(alone).await.is_err(), "nobody else has it");
        world.restart(NodeId(1), Survival::All);
        let second = world.at(2).replicas.take_over(ASSET, BLOB, 2, &world.key).await.unwrap();
        second.append(vec![7; 2_000].into()).await.unwrap();
        world.crash(NodeId(3), Survival::None);
        // What fills a record is sealed by its own writer: the beginning of that one is not compared.
        assert_eq!(world.read_all(4).await, content(left_over), "{more} bytes more at the node alone");
    }
}

#[tokio::test]
async fn what_state_does_not_know_is_neither_read_nor_written() {
    let mut world = World::new(1, &["a", "b", "c", "d"], 3);
    sealed(&world, RECORD).await;
    let behind =
        Sites { knows: false, ..Sites::of(world.map.sites.clone(), Holders::of(&[NodeId(1)]).unwrap()) };
    world.start_believing(NodeId(4), world.at(4).disk.clone(), Arc::new(behind));
    let replicas = &world.at(4).replicas;
    let read = replicas.reader(ASSET, BLOB, &world.key).await;
    assert!(matches!(read, Err(BlobError::NotFound)), "{:?}", read.map(|reader| reader.length()));
    let created = replicas.create(ASSET, BlobId([9; 16]), BlobKind::Rendition, 1, &world.key).await;
    assert!(matches!(created, Err(BlobError::NotFound)), "{created:?}");
    let taken = replicas.take_over(ASSET, BLOB, 2, &world.key).await;
    assert!(matches!(taken, Err(BlobError::NotFound)), "{taken:?}");
}
