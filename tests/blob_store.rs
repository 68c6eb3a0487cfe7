//! A node's store of Blobs from outside: ranges, growth, shared barriers, full and failing disks, removal.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test may panic

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use cluster::blob::{BlobKind, MAX_MARK, RECORD};
use cluster::disk::{RealDisk, SimulatedDisk, StopFlag, Survival};
use cluster::id::{AssetId, BlobId};
use cluster::keyring::DataKey;
use cluster::store::{
    BlobError, BlobReader, BlobWriter, Blobs, BlobsConfig, Level, MAX_READ, StoredState, Watermarks,
};
use futures_util::TryStreamExt;
use futures_util::future::join_all;

const ASSET: AssetId = AssetId([1; 16]);
const BLOB: BlobId = BlobId([2; 16]);
const ROOMY: u64 = 1 << 30;

fn content(length: usize) -> Bytes {
    (0..length).map(|at| (at * 131 % 253) as u8).collect::<Vec<u8>>().into()
}

struct Bench {
    disk: SimulatedDisk,
    blobs: Blobs,
    key: DataKey,
}

impl Bench {
    fn new() -> Self {
        Self::on(SimulatedDisk::new(ROOMY), DataKey::random().unwrap())
    }

    fn on(disk: SimulatedDisk, key: DataKey) -> Self {
        let blobs = Blobs::open(Arc::new(disk.clone()), StopFlag::new(), BlobsConfig::default()).unwrap();
        Self { disk, blobs, key }
    }

    /// The same disk after a restart.
    fn restarted(&self) -> Self {
        Self::on(self.disk.after_power_cut(Survival::None), self.key.clone())
    }

    async fn create(&self, kind: BlobKind) -> BlobWriter {
        self.blobs.create(ASSET, BLOB, kind, 1, &self.key).await.unwrap()
    }

    async fn sealed(&self, length: usize) -> BlobReader {
        let writer = self.create(BlobKind::Rendition).await;
        writer.write(content(length)).await.unwrap();
        writer.seal().await.unwrap();
        self.reader().await
    }

    async fn reader(&self) -> BlobReader {
        self.blobs.reader(ASSET, BLOB, &self.key).await.unwrap()
    }

    fn file(&self, ending: &str) -> PathBuf {
        let found =
            self.disk.files().into_iter().find(|path| path.extension().is_some_and(|known| known == ending));
        found.unwrap_or_else(|| panic!("no .{ending} file in {:?}", self.disk.files()))
    }
}

#[tokio::test]
async fn every_range_gives_exactly_its_bytes_open_and_sealed() {
    let record = RECORD as u64;
    let length = 2 * RECORD + 777;
    let whole = content(length);
    let bench = Bench::new();
    let writer = bench.create(BlobKind::Rendition).await;
    writer.append(whole.clone()).await.unwrap();
    let edges =
        [0, 1, record - 1, record, record + 1, 2 * record - 1, 2 * record, length as u64 - 1, length as u64];
    for sealing in [false, true] {
        if sealing {
            writer.clone().seal().await.unwrap();
        }
        let reader = if sealing { bench.restarted().reader().await } else { bench.reader().await };
        for from in edges {
            for to in edges.into_iter().filter(|to| *to >= from) {
                let got = reader.read(from, (to - from) as u32).await.unwrap();
                assert!(got == whole[from as usize..to as usize], "{from}..{to}, sealed: {sealing}");
            }
            let beyond = reader.read(from, MAX_READ).await.unwrap();
            assert!(beyond == whole[from as usize..], "{from} to beyond the end, sealed: {sealing}");
        }
        assert!(reader.read(length as u64 + 1, 10).await.unwrap().is_empty());
        assert!(reader.read(u64::MAX, u32::MAX).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn one_read_is_bounded_and_a_stream_gives_the_rest() {
    let length = 3 * MAX_READ as usize + 5;
    let reader = Bench::new().sealed(length).await;
    assert_eq!(reader.read(0, u32::MAX).await.unwrap().len(), MAX_READ as usize);
    for range in [0..length as u64, 1_000_000..2_500_000, 7..7, 10..u64::MAX] {
        let pieces: Vec<Bytes> = reader.stream(range.clone()).try_collect().await.unwrap();
        assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= MAX_READ as usize));
        let end = range.end.min(length as u64) as usize;
        assert!(pieces.concat() == content(length)[range.start as usize..end], "{range:?}");
    }
}

#[tokio::test]
async fn an_empty_blob_and_one_of_whole_records_are_sealed_and_read() {
    for length in [0, RECORD, 3 * RECORD] {
        let bench = Bench::new();
        drop(bench.sealed(length).await);
        let reader = bench.restarted().reader().await;
        assert_eq!(reader.length(), length as u64);
        let pieces: Vec<Bytes> = reader.stream(0..reader.length()).try_collect().await.unwrap();
        assert!(pieces.concat() == content(length));
    }
}

/// Every bit that is flipped anywhere in a sealed Blob is noticed before a wrong byte leaves, and named.
#[tokio::test]
async fn a_flipped_bit_in_a_sealed_blob_is_never_served() {
    let length = 2 * RECORD + 300;
    let bench = Bench::new();
    drop(bench.sealed(length).await);
    let file_length = bench.disk.contents(&bench.file("blob")).unwrap().len();
    let stride = RECORD + 16;
    for (number, at) in (0..file_length).step_by(487).chain(file_length - 600..file_length).enumerate() {
        let damaged = bench.restarted();
        damaged.disk.flip_bit(&damaged.file("blob"), at, (number % 8) as u8);
        let Ok(reader) = damaged.blobs.reader(ASSET, BLOB, &damaged.key).await else {
            assert!(at < 64 || at >= file_length - 600, "the records are not read to open a Blob");
            continue;
        };
        let read: Result<Vec<Bytes>, BlobError> = reader.stream(0..reader.length()).try_collect().await;
        let record = ((at - 64) / stride).min(2) as u64;
        assert_eq!(read.unwrap_err(), BlobError::Corrupt { record }, "byte {at}");
        let other = if record == 0 { RECORD as u64 } else { 0 };
        assert_eq!(
            reader.read(other, 100).await.unwrap(),
            content(length)[other as usize..][..100],
            "the rest is fine"
        );
    }
}

#[tokio::test]
async fn a_cut_sealed_blob_is_refused_wherever_it_is_cut() {
    let bench = Bench::new();
    drop(bench.sealed(RECORD + 300).await);
    let whole = bench.disk.contents(&bench.file("blob")).unwrap();
    for length in (0..whole.len()).step_by(911).chain(whole.len() - 100..whole.len()) {
        let damaged = bench.restarted();
        damaged.disk.replace(&damaged.file("blob"), whole[..length].to_vec());
        let opened = damaged.blobs.reader(ASSET, BLOB, &damaged.key).await;
        assert!(matches!(opened, Err(BlobError::Damaged(_))), "cut to {length}: {opened:?}");
    }
}

#[tokio::test]
async fn exchanged_and_foreign_records_are_refused() {
    let stride = RECORD + 16;
    let record = |whole: &[u8], number: usize| whole[64 + number * stride..][..stride].to_vec();
    let bench = Bench::new();
    drop(bench.sealed(3 * RECORD).await);
    let whole = bench.disk.contents(&bench.file("blob")).unwrap();
    // The same plaintext under the same key, but another Blob.
    let other = Bench::on(SimulatedDisk::new(ROOMY), bench.key.clone());
    let writer =
        other.blobs.create(ASSET, BlobId([9; 16]), BlobKind::Rendition, 1, &other.key).await.unwrap();
    writer.write(content(3 * RECORD)).await.unwrap();
    writer.seal().await.unwrap();
    let foreign = other.disk.contents(&other.file("blob")).unwrap();

    let reordered =
        [&whole[..64], &record(&whole, 1), &record(&whole, 0), &whole[64 + 2 * stride..]].concat();
    let repeated = [&whole[..64], &record(&whole, 0), &record(&whole, 0), &whole[64 + 2 * stride..]].concat();
    let spliced = [&whole[..64], &record(&foreign, 0), &whole[64 + stride..]].concat();
    for (case, bytes, record) in
        [("reordered", reordered, 0), ("repeated", repeated, 1), ("spliced", spliced, 0)]
    {
        let damaged = bench.restarted();
        damaged.disk.replace(&damaged.file("blob"), bytes);
        let read = damaged.reader().await.read(0, MAX_READ).await;
        assert_eq!(read.unwrap_err(), BlobError::Corrupt { record }, "{case}");
    }
    let damaged = bench.restarted();
    damaged.disk.replace(&damaged.file("blob"), foreign);
    let opened = damaged.blobs.reader(ASSET, BLOB, &damaged.key).await;
    assert!(matches!(opened, Err(BlobError::Damaged(_))), "a whole foreign Blob under this name: {opened:?}");
}

/// An open Blob: acknowledged records or frames that are gone or changed are an error, not a shorter Blob.
#[tokio::test]
async fn a_damaged_open_blob_is_not_quietly_shortened() {
    let bench = Bench::new();
    let writer = bench.create(BlobKind::Rendition).await;
    writer.append_marked(content(2 * RECORD + 10), b"mark").await.unwrap();
    drop(writer);
    let data = bench.disk.contents(&bench.file("data")).unwrap();
    let damaged = bench.restarted();
    damaged.disk.replace(&damaged.file("data"), data[..64 + RECORD].to_vec());
    let taken = damaged.blobs.take_over(ASSET, BLOB, 2, &damaged.key).await;
    assert_eq!(taken.unwrap_err(), BlobError::Corrupt { record: 0 });

    let open = bench.disk.contents(&bench.file("open")).unwrap();
    let damaged = bench.restarted();
    damaged.disk.replace(&damaged.file("open"), open[..open.len() - 1].to_vec());
    let taken = damaged.blobs.take_over(ASSET, BLOB, 2, &damaged.key).await;
    assert!(matches!(taken, Err(BlobError::Damaged(_))), "{taken:?}");

    let damaged = bench.restarted();
    damaged.disk.flip_bit(&damaged.file("data"), 64 + RECORD + 20, 3);
    let reader = damaged.reader().await;
    assert_eq!(reader.read(0, MAX_READ).await.unwrap_err(), BlobError::Corrupt { record: 1 });
    assert_eq!(reader.read(0, 100).await.unwrap(), content(100));
}

#[tokio::test]
async fn another_key_opens_nothing() {
    let bench = Bench::new();
    drop(bench.sealed(1000).await);
    let stranger = DataKey::random().unwrap();
    let opened = bench.blobs.reader(ASSET, BLOB, &stranger).await;
    assert!(matches!(opened, Err(BlobError::Damaged(_))), "{opened:?}");
    let held = bench.reader().await;
    let opened = bench.blobs.reader(ASSET, BLOB, &stranger).await;
    assert!(matches!(opened, Err(BlobError::Damaged(_))), "while {held:?} is in use: {opened:?}");
}

#[tokio::test]
async fn a_reader_waits_for_a_blob_to_grow_and_to_be_sealed() {
    let bench = Bench::new();
    let writer = bench.create(BlobKind::Original).await;
    let reader = bench.reader().await;
    let follower = tokio::spawn(async move {
        let mut growth = reader.watch_growth();
        let mut got = Vec::new();
        loop {
            let progress = growth.beyond(got.len() as u64).await.unwrap();
            while (got.len() as u64) < progress.length {
                got.extend_from_slice(&reader.read(got.len() as u64, MAX_READ).await.unwrap());
            }
            if progress.sealed {
                return got;
            }
        }
    });
    for piece in content(500_000).chunks(77_777) {
        writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.seal().await.unwrap();
    assert!(follower.await.unwrap() == content(500_000));
}

/// The one thread that writes is busy until all have handed in their bytes.
#[test]
fn appends_that_wait_together_share_barriers() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new();
        let writer = bench.create(BlobKind::Rendition).await;
        let before = bench.disk.operations();
        writer.append(content(100)).await.unwrap();
        let one_alone = bench.disk.operations() - before;
        let before = bench.disk.operations();
        let (release, busy) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || busy.recv());
        let mut appends = Box::pin(join_all((0..100).map(|_| writer.append(content(100)))));
        assert!(futures_util::poll!(appends.as_mut()).is_pending());
        release.send(()).unwrap();
        assert!(appends.await.into_iter().all(|length| length.is_ok()));
        busy.await.unwrap().unwrap();
        assert_eq!(writer.durable_length(), 101 * 100);
        let together = bench.disk.operations() - before;
        assert!(
            together <= 2 * one_alone,
            "100 appends at once took {together} operations, one takes {one_alone}"
        );
    });
}

/// A caller that goes away in the middle of an append does not tear what others append.
#[tokio::test]
async fn abandoned_appends_leave_the_order_intact() {
    let bench = Bench::new();
    let writer = bench.create(BlobKind::Rendition).await;
    let mut expected = Vec::new();
    for round in 0..60_u8 {
        let piece = Bytes::from(vec![round; 10_000]);
        expected.extend_from_slice(&piece);
        let mut append = Box::pin(writer.append(piece));
        if round % 2 == 0 {
            // Polled once, so that it is under way, and then dropped.
            let _ = futures_util::poll!(append.as_mut());
        } else {
            append.await.unwrap();
        }
    }
    writer.sync().await.unwrap();
    let reader = bench.reader().await;
    let pieces: Vec<Bytes> = reader.stream(0..reader.length()).try_collect().await.unwrap();
    assert!(pieces.concat() == expected);
}

#[tokio::test]
async fn a_full_disk_says_so_and_the_blob_goes_on_when_there_is_room() {
    let disk = SimulatedDisk::new(ROOMY);
    let watermarks = Watermarks { no_new_uploads: 0, no_writes: 0, enough: 0 };
    let key = DataKey::random().unwrap();
    let blobs = Blobs::open(Arc::new(disk.clone()), StopFlag::new(), BlobsConfig { watermarks }).unwrap();
    let writer = blobs.create(ASSET, BLOB, BlobKind::Original, 1, &key).await.unwrap();
    writer.append(content(100_000)).await.unwrap();
    disk.resize(disk.used() + 100_000);
    assert_eq!(writer.append(content(500_000)).await.unwrap_err(), BlobError::Full);
    assert_eq!(
        writer.append(content(1)).await.unwrap_err(),
        BlobError::WriterOver,
        "after an error a writer is over"
    );
    assert!(!blobs.stop_flag().is_raised(), "a full disk is no reason to stop");
    let reader = blobs.reader(ASSET, BLOB, &key).await.unwrap();
    assert_eq!(reader.length(), 100_000, "nothing half written is visible");

    disk.resize(ROOMY);
    let writer = blobs.take_over(ASSET, BLOB, 2, &key).await.unwrap();
    let kept = writer.length();
    assert!(kept >= 100_000);
    writer.append(content(200_000)).await.unwrap();
    writer.seal().await.unwrap();
    assert_eq!(reader.length(), kept + 200_000);
    assert_eq!(reader.read(0, 100_000).await.unwrap(), content(100_000));
    assert_eq!(reader.read(kept, 200_000).await.unwrap(), content(200_000));
}

#[tokio::test]
async fn watermarks_stop_uploads_first_and_then_all_writes() {
    let disk = SimulatedDisk::new(100 << 20);
    let bench = Bench::on(disk, DataKey::random().unwrap());
    let level = || bench.blobs.space().unwrap().level;
    let create = |number: u8, kind| bench.blobs.create(ASSET, BlobId([number; 16]), kind, 1, &bench.key);
    assert_eq!(level(), Level::Fine);
    let running = create(1, BlobKind::Original).await.unwrap();
    running.append(content(20 << 20)).await.unwrap();

    bench.disk.resize(bench.disk.used() * 100 / 88);
    assert_eq!(level(), Level::NoNewUploads);
    assert_eq!(create(2, BlobKind::Original).await.unwrap_err(), BlobError::Full);
    create(3, BlobKind::Poster).await.unwrap();
    running.append(content(10)).await.unwrap();

    bench.disk.resize(bench.disk.used() * 100 / 95);
    assert_eq!(level(), Level::NoWrites);
    assert_eq!(create(4, BlobKind::Poster).await.unwrap_err(), BlobError::Full);
    assert_eq!(running.append(content(10)).await.unwrap_err(), BlobError::Full);
    bench.blobs.remove(ASSET).await.unwrap();
    assert_eq!(level(), Level::Fine, "deleting always works, and makes room");
}

#[tokio::test]
async fn a_failed_sync_stops_everything_for_good() {
    for operation in 0..4 {
        let bench = Bench::new();
        let writer = bench.create(BlobKind::Rendition).await;
        let other =
            bench.blobs.create(ASSET, BlobId([7; 16]), BlobKind::Rendition, 1, &bench.key).await.unwrap();
        writer.append(content(100)).await.unwrap();
        bench.disk.fail_sync_at(bench.disk.operations() + operation);
        let failed = writer.append_marked(content(100_000), b"mark").await;
        assert!(
            matches!(failed, Err(BlobError::Failed(_))),
            "sync failing after {operation} operations: {failed:?}"
        );
        assert!(bench.blobs.stop_flag().is_raised());
        assert_eq!(bench.reader().await.length(), 100, "what was not made durable is not shown");
        for refused in [writer.append(content(1)).await, other.append(content(1)).await] {
            assert!(
                matches!(refused, Err(BlobError::Failed(_))),
                "nothing is acknowledged any more: {refused:?}"
            );
        }
        let taken = bench.blobs.take_over(ASSET, BLOB, 2, &bench.key).await;
        assert!(matches!(taken, Err(BlobError::Failed(_))));
    }
}

#[tokio::test]
async fn a_failing_write_ends_the_writer_but_not_the_node() {
    let bench = Bench::new();
    let writer = bench.create(BlobKind::Rendition).await;
    writer.append(content(100)).await.unwrap();
    bench.disk.fail_write_at(bench.disk.operations());
    assert!(matches!(writer.append(content(100_000)).await, Err(BlobError::Io(_))));
    assert_eq!(writer.append(content(1)).await.unwrap_err(), BlobError::WriterOver);
    assert!(!bench.blobs.stop_flag().is_raised());
    let writer = bench.blobs.take_over(ASSET, BLOB, 2, &bench.key).await.unwrap();
    assert_eq!(writer.append(content(5)).await.unwrap(), writer.length());
}

#[tokio::test]
async fn marks_are_bounded_and_too_long_a_one_harms_nothing() {
    let bench = Bench::new();
    let writer = bench.create(BlobKind::Rendition).await;
    writer.append_marked(content(10), &[7; MAX_MARK]).await.unwrap();
    let refused = writer.append_marked(content(10), &[7; MAX_MARK + 1]).await;
    assert_eq!(refused.unwrap_err(), BlobError::TooManyMarks);
    assert_eq!(
        (writer.length(), writer.mark_count()),
        (10, 1),
        "the bytes of the refused call are not there"
    );
    writer.mark(b"").await.unwrap();
    writer.seal().await.unwrap();
    let marks = bench.restarted().reader().await.marks(0);
    assert_eq!(marks, [(10, Bytes::from(vec![7; MAX_MARK])), (10, Bytes::new())]);
}

#[tokio::test]
async fn removing_ends_readers_and_writers_and_leaves_no_file() {
    let bench = Bench::new();
    let writer = bench.create(BlobKind::Original).await;
    writer.append(content(1000)).await.unwrap();
    let keep = bench.blobs.create(AssetId([5; 16]), BLOB, BlobKind::Poster, 1, &bench.key).await.unwrap();
    let reader = bench.reader().await;
    let mut growth = reader.watch_growth();
    bench.blobs.remove(ASSET).await.unwrap();
    assert_eq!(growth.beyond(1000).await.unwrap_err(), BlobError::NotFound);
    assert_eq!(reader.read(0, 10).await.unwrap_err(), BlobError::NotFound);
    assert_eq!(writer.append(content(1)).await.unwrap_err(), BlobError::NotFound);
    assert_eq!(bench.blobs.reader(ASSET, BLOB, &bench.key).await.unwrap_err(), BlobError::NotFound);
    bench.blobs.remove(ASSET).await.unwrap();

    let files = bench.restarted().disk.files();
    assert!(files.iter().all(|path| path.starts_with(format!("blobs/{}", AssetId([5; 16])))), "{files:?}");
    let stored = bench.blobs.list().await.unwrap();
    assert_eq!(
        stored.iter().map(|blob| (blob.asset, blob.state)).collect::<Vec<_>>(),
        [(AssetId([5; 16]), StoredState::Open)]
    );
    keep.seal().await.unwrap();
    assert_eq!(bench.blobs.list().await.unwrap()[0].state, StoredState::Sealed);
}

#[tokio::test]
async fn a_blob_is_created_once() {
    let bench = Bench::new();
    let created =
        join_all((0..8).map(|_| bench.blobs.create(ASSET, BLOB, BlobKind::Poster, 1, &bench.key))).await;
    assert_eq!(created.iter().filter(|one| one.is_ok()).count(), 1, "{created:?}");
    assert!(created.iter().all(|one| !matches!(one, Err(error) if *error != BlobError::Exists)));
    let never = bench.blobs.take_over(ASSET, BlobId([9; 16]), 2, &bench.key).await;
    assert_eq!(never.unwrap_err(), BlobError::NotFound);
}

/// On the machine's own disk: many Blobs at once, large pieces, and no plaintext in any file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_blobs_at_once_on_a_real_disk_hold_no_plaintext() {
    const CANARY: &[u8] = b"canary: these words must not be found on the disk";
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open(folder.path()).unwrap());
    let blobs = Blobs::open(
        disk,
        StopFlag::new(),
        BlobsConfig { watermarks: Watermarks { no_new_uploads: 0, no_writes: 0, enough: 0 } },
    )
    .unwrap();
    let key = DataKey::random().unwrap();
    let piece = Bytes::from(CANARY.repeat(5_000));
    join_all((0..6_u8).map(|number| {
        let (blobs, key, piece) = (blobs.clone(), key.clone(), piece.clone());
        async move {
            let writer =
                blobs.create(ASSET, BlobId([number; 16]), BlobKind::Original, 1, &key).await.unwrap();
            for _ in 0..4 {
                writer.append_marked(piece.clone(), CANARY).await.unwrap();
            }
            writer.write(Bytes::from_static(CANARY)).await.unwrap();
            writer.sync().await.unwrap();
            if number % 2 == 0 {
                assert_eq!(writer.seal().await.unwrap().length, (CANARY.len() * 20_001) as u64);
            }
        }
    }))
    .await;
    let mut files = 0;
    for file in std::fs::read_dir(folder.path().join(format!("blobs/{ASSET}"))).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(16).any(|window| window == &CANARY[..16]), "plaintext on the disk");
        files += 1;
    }
    assert_eq!(files, 3 + 3 * 2, "one file for a sealed Blob, two for an open one");
}
