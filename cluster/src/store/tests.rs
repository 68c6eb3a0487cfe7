//! The store on a simulated and on a real disk.

use std::sync::Arc;

use bytes::Bytes;

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
