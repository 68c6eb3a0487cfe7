//! The store on a simulated and on a real disk.

use std::sync::Arc;

use bytes::Bytes;

use super::held::*;
use super::*;
use crate::disk::{RealDisk, SimulatedDisk};

const ASSET: AssetId = AssetId([1; 16]);
const BLOB: BlobId = BlobId([2; 16]);

fn bytes(length: usize, seed: u8) -> Bytes {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap() ^ seed).collect::<Vec<u8>>().into()
}

fn store_on(disk: Arc<dyn Disk>) -> Blobs {
    Blobs::open(disk, StopFlag::new(), BlobsConfig::default()).unwrap()
}

async fn whole(reader: &BlobReader) -> Vec<u8> {
    use futures_util::TryStreamExt;
    let pieces: Vec<Bytes> = reader.stream(0..reader.length()).try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test]
async fn what_is_appended_is_read_back_while_open_and_when_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = store_on(Arc::new(RealDisk::open(folder.path()).unwrap()));
    let key = DataKey::random().unwrap();
    let writer = blobs.create(ASSET, BLOB, BlobKind::Original, 1, &key).await.unwrap();
    let reader = blobs.reader(ASSET, BLOB, &key).await.unwrap();
    let mut expected = Vec::new();
    for (number, length) in [10, 70_000, 65_536, 1, 3_000_000, 0].into_iter().enumerate() {
        let piece = bytes(length, u8::try_from(number).unwrap());
        expected.extend_from_slice(&piece);
        let mark = format!("mark {number}");
        assert_eq!(writer.append_marked(piece, mark.as_bytes()).await.unwrap(), expected.len() as u64);
        assert_eq!(reader.length(), expected.len() as u64);
        assert_eq!(reader.marks(number), [(expected.len() as u64, Bytes::from(mark))]);
        assert!(whole(&reader).await == expected);
    }
    let sealed = writer.seal().await.unwrap();
    assert_eq!(sealed.length, expected.len() as u64);
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &expected);
    assert_eq!(sealed.plaintext_sha256.unwrap(), sha256.as_ref());
    assert!(reader.is_sealed() && whole(&reader).await == expected, "the reader goes on over the sealing");

    drop(reader);
    let again = store_on(Arc::new(RealDisk::open(folder.path()).unwrap()));
    let reader = again.reader(ASSET, BLOB, &key).await.unwrap();
    assert!(whole(&reader).await == expected);
    assert_eq!(reader.marks(0).len(), 6);
    assert_eq!(again.take_over(ASSET, BLOB, 2, &key).await.unwrap_err(), BlobError::Sealed(sealed));
}

#[tokio::test]
async fn a_takeover_goes_on_where_the_last_writer_was_and_fences_it() {
    let disk = SimulatedDisk::new(1 << 30);
    let blobs = store_on(Arc::new(disk.clone()));
    let key = DataKey::random().unwrap();
    let first = blobs.create(ASSET, BLOB, BlobKind::Rendition, 1, &key).await.unwrap();
    first.append_marked(bytes(100_000, 1), b"one").await.unwrap();
    let refused = blobs.take_over(ASSET, BLOB, 1, &key).await.unwrap_err();
    assert_eq!(refused, BlobError::Fenced { have: 1, got: 1 });
    first.append(bytes(10, 2)).await.unwrap();

    let second = blobs.take_over(ASSET, BLOB, 5, &key).await.unwrap();
    assert_eq!((second.length(), second.marks(0)), (100_010, vec![(100_000, Bytes::from_static(b"one"))]));
    assert_eq!(first.append(bytes(10, 3)).await.unwrap_err(), BlobError::Fenced { have: 5, got: 1 });
    second.append_marked(bytes(100_000, 4), b"two").await.unwrap();
    drop((first, second));

    let restarted = store_on(Arc::new(disk));
    let third = restarted.take_over(ASSET, BLOB, 6, &key).await.unwrap();
    let fenced = restarted.take_over(ASSET, BLOB, 4, &key).await.unwrap_err();
    assert_eq!(fenced, BlobError::Fenced { have: 6, got: 4 });
    assert_eq!(third.length(), 200_010);
    let sealed = third.seal().await.unwrap();
    let reader = restarted.reader(ASSET, BLOB, &key).await.unwrap();
    let expected = [bytes(100_000, 1), bytes(10, 2), bytes(100_000, 4)].concat();
    assert!(sealed.length == 200_010 && whole(&reader).await == expected);
    assert_eq!(reader.marks(1), [(200_010, Bytes::from_static(b"two"))]);
}

/// With bytes past the last record, before and after the first record: they are hashed once.
#[tokio::test]
async fn an_upload_that_was_taken_over_has_the_hash_of_all_its_bytes() {
    let key = DataKey::random().unwrap();
    for (before, after) in [(10, 20), (10, 2_000_000), (70_000, 10), (700_000, 700_000), (0, 5)] {
        let blobs = store_on(Arc::new(SimulatedDisk::new(1 << 30)));
        let first = blobs.create(ASSET, BLOB, BlobKind::Original, 1, &key).await.unwrap();
        first.append(bytes(before, 1)).await.unwrap();
        let second = blobs.take_over(ASSET, BLOB, 2, &key).await.unwrap();
        second.append(bytes(after, 2)).await.unwrap();
        let sealed = second.seal().await.unwrap();
        let whole = [bytes(before, 1), bytes(after, 2)].concat();
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &whole);
        assert_eq!(sealed.plaintext_sha256.unwrap(), sha256.as_ref(), "{before}, then {after}");
    }
}

/// Draws for a random life of a Blob; the seed is in every message.
struct Dice {
    rng: rand::rngs::Xoshiro256PlusPlus,
}

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        use rand::Rng;
        self.rng.next_u64() % bound
    }
}

/// One random life: appends, failed writes, lost writers, kills, power cuts and takeovers, and at times sealing.
async fn random_life(seed: u64, key: &DataKey) {
    use crate::disk::Survival;
    use rand::SeedableRng;
    let mut dice = Dice { rng: rand::rngs::Xoshiro256PlusPlus::seed_from_u64(seed) };
    let blob = BlobId(u128::from(seed).to_be_bytes());
    let mut disk = SimulatedDisk::new(1 << 30);
    let mut blobs = store_on(Arc::new(disk.clone()));
    let mut writer = blobs.create(ASSET, blob, BlobKind::Rendition, 1, key).await.unwrap();
    for epoch in 2..8 {
        for _ in 0..dice.below(4) {
            let length = usize::try_from(dice.below(150_000)).unwrap();
            let operations = disk.operations();
            match dice.below(8) {
                0 => disk.fail_write_at(operations),
                1 => disk.cut_power_at(operations + dice.below(6)),
                _ => {}
            }
            if dice.below(3) == 0 {
                let _ = writer.write(bytes(length, 9)).await;
            } else {
                let _ = writer.append(bytes(length, 5)).await;
            }
        }
        if dice.below(12) == 0 {
            let _ = writer.seal().await;
        }
        let survival = match dice.below(3) {
            0 => Survival::None,
            1 => Survival::All,
            _ => Survival::Random(seed),
        };
        disk = disk.after_power_cut(survival);
        blobs = store_on(Arc::new(disk.clone()));
        writer = match blobs.take_over(ASSET, blob, epoch, key).await {
            Ok(writer) => writer,
            Err(BlobError::Sealed(_)) => return,
            Err(error) => panic!("seed {seed}, epoch {epoch}: {error}"),
        };
    }
}

#[tokio::test]
async fn no_key_and_nonce_ever_seal_twice() {
    let key = DataKey::random().unwrap();
    let first_seed = std::env::var("MEDIAKEEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1000);
    for seed in first_seed..first_seed + 200 {
        random_life(seed, &key).await;
        let (sealed, twice) = crate::blob::cipher::recorder::counts();
        assert_eq!(twice, 0, "seed {seed}: {twice} of {sealed} records sealed under a used key and nonce");
    }
    let (sealed, _) = crate::blob::cipher::recorder::counts();
    assert!(sealed > 1000, "only {sealed} records were sealed: the lives are too short to show anything");
}

#[tokio::test]
async fn nothing_of_an_asset_that_is_gone_for_good_comes_back() {
    let disk = SimulatedDisk::new(1 << 30);
    let blobs = Blobs::open(Arc::new(disk.clone()), StopFlag::new(), BlobsConfig::default()).unwrap();
    let (asset, blob) = (AssetId([7; 16]), BlobId([8; 16]));
    let name = BlobName { asset, blob };
    let key = DataKey::random().unwrap();
    let writer = blobs.create(asset, blob, BlobKind::Original, 1, &key).await.unwrap();
    writer.append(Bytes::from_static(b"some")).await.unwrap();
    let late = blobs.part_begin(BlobName { asset, blob: BlobId([9; 16]) }, 1000).await.unwrap();
    blobs.forget(asset).await.unwrap();
    assert!(writer.append(Bytes::from_static(b"more")).await.is_err());
    assert!(late.finish([0; 32]).await.is_err());
    assert_eq!(blobs.part_begin(name, 1000).await.err(), Some(BlobError::NotFound));
    assert_eq!(blobs.held_fence(name, 2).await.err(), Some(BlobError::NotFound));
    let other = blobs.create(asset, BlobId([9; 16]), BlobKind::Poster, 1, &key).await;
    assert_eq!(other.err(), Some(BlobError::NotFound));
    assert_eq!(blobs.assets().await.unwrap(), []);
    // One that was only given to other nodes may come again.
    let moved = AssetId([5; 16]);
    blobs.remove(moved).await.unwrap();
    blobs.create(moved, blob, BlobKind::Original, 1, &key).await.unwrap();
}

#[tokio::test]
async fn a_blob_that_was_dropped_is_not_begun_and_no_copy_of_it_arrives() {
    let disk = SimulatedDisk::new(1 << 30);
    let blobs = Blobs::open(Arc::new(disk.clone()), StopFlag::new(), BlobsConfig::default()).unwrap();
    let (asset, blob) = (AssetId([7; 16]), BlobId([8; 16]));
    let (name, key) = (BlobName { asset, blob }, DataKey::random().unwrap());
    blobs.forget_blob(asset, blob).await.unwrap();
    assert_eq!(blobs.part_begin(name, 1000).await.err(), Some(BlobError::NotFound));
    // State was told to open it, and dropped it before the disk was told.
    let late = blobs.create(asset, blob, BlobKind::Rendition, 1, &key).await;
    assert_eq!(late.err(), Some(BlobError::NotFound));
    // A writer elsewhere does not know yet, and brings this copy along.
    assert_eq!(blobs.held_fence(name, 2).await.err(), Some(BlobError::NotFound));
    let beginning =
        Beginning { kind: BlobKind::Rendition, epoch: 1, keep_records: 0, sequence: 1, slot_length: 4 };
    let begun = blobs.held_begin(name, beginning, Bytes::from_static(b"slot")).await;
    assert_eq!(begun.err(), Some(BlobError::NotFound));
    assert_eq!(blobs.traces(asset).await.unwrap(), BTreeSet::new());
    // One that was only removed here may come again.
    let other = BlobId([9; 16]);
    blobs.part_begin(BlobName { asset, blob: other }, 1000).await.unwrap();
    assert_eq!(blobs.traces(asset).await.unwrap(), BTreeSet::from([other]));
    blobs.remove_blob(asset, other).await.unwrap();
    blobs.part_begin(BlobName { asset, blob: other }, 1000).await.unwrap();
}

/// A copy that a writer elsewhere has begun, and a barrier of that writer.
async fn begun_elsewhere(blobs: &Blobs, name: BlobName) -> impl AsyncFn() -> Result<(), BlobError> {
    let beginning =
        Beginning { kind: BlobKind::Original, epoch: 1, keep_records: 0, sequence: 1, slot_length: 4 };
    blobs.held_begin(name, beginning, Bytes::from_static(b"slot")).await.unwrap();
    let blobs = blobs.clone();
    async move || {
        let barrier = HeldWrite::Barrier { sequence: 2, length: 4 };
        blobs.held_write(name, 1, vec![barrier], Bytes::from_static(b"slot")).await
    }
}

#[tokio::test]
async fn a_writer_elsewhere_is_over_where_its_copy_is_removed_and_keeps_no_file_open() {
    let disk = SimulatedDisk::new(1 << 30);
    let blobs = Blobs::open(Arc::new(disk.clone()), StopFlag::new(), BlobsConfig::default()).unwrap();
    let name = |number| BlobName { asset: AssetId([number; 16]), blob: BlobId([number; 16]) };
    for number in 1..=4 {
        let barrier = begun_elsewhere(&blobs, name(number)).await;
        barrier().await.unwrap();
        let BlobName { asset, blob } = name(number);
        match number {
            1 => blobs.forget(asset).await.unwrap(),
            2 => blobs.remove(asset).await.unwrap(),
            3 => blobs.forget_blob(asset, blob).await.unwrap(),
            _ => blobs.remove_blob(asset, blob).await.unwrap(),
        }
        assert!(barrier().await.is_err(), "what is written to a removed file {number} is acknowledged");
        assert_eq!(blobs.writers_elsewhere(), 0);
    }
}

#[tokio::test]
async fn a_writer_elsewhere_is_over_where_the_whole_copy_has_come_from_another_node() {
    let open = || {
        let disk = Arc::new(SimulatedDisk::new(1 << 30));
        Blobs::open(disk, StopFlag::new(), BlobsConfig::default()).unwrap()
    };
    let (blobs, other, key) = (open(), open(), DataKey::random().unwrap());
    let name = BlobName { asset: AssetId([7; 16]), blob: BlobId([8; 16]) };
    let writer = other.create(name.asset, name.blob, BlobKind::Original, 1, &key).await.unwrap();
    writer.append(Bytes::from_static(b"some")).await.unwrap();
    writer.seal().await.unwrap();
    let barrier = begun_elsewhere(&blobs, name).await;
    let (length, hash) = (other.length_of(name).await.unwrap(), other.held_verify(name).await.unwrap());
    let whole = other.held_read(name, HeldFile::Records, 0, MAX_HELD_READ).await.unwrap();
    let part = blobs.part_begin(name, length).await.unwrap().add(whole).await.unwrap();
    part.finish(hash).await.unwrap();
    assert_eq!(barrier().await, Err(BlobError::WriterOver));
    assert_eq!(blobs.writers_elsewhere(), 0);
    assert_eq!(blobs.held_verify(name).await.unwrap(), hash);
}
