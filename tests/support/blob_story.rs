//! The life of a Blob as a story that can be cut anywhere, and what must be true afterwards: what was acknowledged is
//! there, what is there is right, and the Blob can go on.

use std::sync::Arc;

use bytes::Bytes;
use cluster::blob::BlobKind;
use cluster::disk::{Disk, StopFlag};
use cluster::id::{AssetId, BlobId};
use cluster::keyring::DataKey;
use cluster::store::{BlobError, BlobReader, BlobWriter, Blobs, BlobsConfig};
use futures_util::TryStreamExt;

pub const ASSET: AssetId = AssetId([1; 16]);
pub const BLOB: BlobId = BlobId([2; 16]);

pub fn store_on(disk: &Arc<dyn Disk>) -> Result<Blobs, BlobError> {
    Blobs::open(Arc::clone(disk), StopFlag::new(), BlobsConfig::default())
}

/// What was handed in so far, and how much of it was acknowledged.
#[derive(Default)]
pub struct Story {
    pub written: Vec<u8>,
    pub marks: Vec<(u64, Bytes)>,
    created: bool,
    acknowledged: u64,
    acknowledged_marks: usize,
    sealed: bool,
    pub epoch: u64,
}

impl Story {
    fn piece(&mut self, length: usize) -> Bytes {
        let seed = self.written.len();
        let piece: Vec<u8> = (0..length).map(|at| ((seed + at) * 131 % 253) as u8).collect();
        self.written.extend_from_slice(&piece);
        piece.into()
    }

    pub async fn append_marked(&mut self, writer: &BlobWriter, length: usize) -> Result<(), BlobError> {
        let piece = self.piece(length);
        let mark = Bytes::from(format!("mark {}", self.marks.len()));
        self.marks.push((self.written.len() as u64, mark.clone()));
        self.acknowledged = writer.append_marked(piece, &mark).await?;
        self.acknowledged_marks = self.marks.len();
        Ok(())
    }

    async fn append(&mut self, writer: &BlobWriter, length: usize) -> Result<(), BlobError> {
        let piece = self.piece(length);
        self.acknowledged = writer.append(piece).await?;
        self.acknowledged_marks = self.marks.len();
        Ok(())
    }

    /// A whole life: small and large appends, exact record ends, a lost writer, a takeover, sealing.
    pub async fn live(&mut self, disk: &Arc<dyn Disk>, key: &DataKey) -> Result<(), BlobError> {
        let blobs = store_on(disk)?;
        self.epoch = 1;
        let writer = blobs.create(ASSET, BLOB, BlobKind::Original, 1, key).await?;
        self.created = true;
        self.append_marked(&writer, 1000).await?;
        self.append(&writer, 64_536).await?;
        self.append_marked(&writer, 70_000).await?;
        let never_synced = self.piece(66_000);
        writer.write(never_synced).await?;
        self.append(&writer, 1).await?;
        drop(writer);
        self.epoch = 2;
        let writer = blobs.take_over(ASSET, BLOB, 2, key).await?;
        self.append_marked(&writer, 60_000).await?;
        self.append(&writer, 140_000).await?;
        writer.seal().await?;
        self.sealed = true;
        self.acknowledged = self.written.len() as u64;
        Ok(())
    }

    /// Holds what came back against what was handed in and acknowledged.
    async fn check(&self, reader: &BlobReader, case: &str) {
        let length = reader.length();
        assert!(length >= self.acknowledged, "{case}: {length} of {} acknowledged bytes", self.acknowledged);
        assert!(length <= self.written.len() as u64, "{case}: more than was ever written");
        let pieces: Vec<Bytes> = reader.stream(0..length).try_collect().await.expect(case);
        assert!(pieces.concat() == self.written[..length as usize], "{case}: other bytes came back");
        let marks = reader.marks(0);
        assert!(marks.len() >= self.acknowledged_marks, "{case}: {} marks", marks.len());
        assert_eq!(marks[..], self.marks[..marks.len()], "{case}");
        assert!(marks.last().is_none_or(|(at, _)| *at <= length), "{case}: a mark without its bytes");
    }
}

/// After the cut: open the store again, check, go on, seal, check again.
pub async fn recover(disk: &Arc<dyn Disk>, key: &DataKey, mut story: Story, case: &str) {
    let blobs = store_on(disk).expect(case);
    if !story.created && blobs.reader(ASSET, BLOB, key).await.is_err() {
        let writer = blobs.create(ASSET, BLOB, BlobKind::Original, 1, key).await.expect(case);
        story.append(&writer, 100).await.expect(case);
        let sealed = writer.seal().await.expect(case);
        assert_eq!(sealed.length, 100, "{case}");
        return;
    }
    let reader = blobs.reader(ASSET, BLOB, key).await.expect(case);
    story.check(&reader, case).await;
    match blobs.take_over(ASSET, BLOB, story.epoch + 1, key).await {
        Ok(writer) => {
            assert!(!story.sealed, "{case}: a sealed Blob is open again");
            story.check(&reader, case).await;
            story.written.truncate(writer.length() as usize);
            story.marks.truncate(writer.mark_count());
            story.append_marked(&writer, 70_000).await.expect(case);
            writer.seal().await.expect(case);
        }
        Err(BlobError::Sealed(sealed)) => assert_eq!(sealed.length, story.written.len() as u64, "{case}"),
        Err(error) => panic!("{case}: {error}"),
    }
    drop(reader);
    let reader = store_on(disk).expect(case).reader(ASSET, BLOB, key).await.expect(case);
    assert!(reader.is_sealed(), "{case}");
    assert_eq!(reader.length(), story.written.len() as u64, "{case}");
    story.acknowledged = reader.length();
    story.check(&reader, case).await;
}
