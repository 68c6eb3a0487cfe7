//! A small Blob in one go: sealed in memory and put down as the file that it is, here and by other nodes. It is never open:
//! one message and one file where a writer needs several of both. Called by the transfer.

use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};

use super::content::finish;
use super::held::{Report, io, locked};
use super::{BlobError, Blobs, Inner, Paths, Sealed, blocking};
use crate::blob::cipher::BlobKeys;
use crate::blob::{
    BlobKind, BlobName, Epochs, Footer, FormatError, HEADER_LENGTH, Header, HeaderKind, RECORD,
    TRAILER_LENGTH, Trailer, read_trailer, seal_footer,
};
use crate::keyring::{DataKey, TAG_LENGTH};
use crate::net::MAX_BODY;

/// The most plaintext a Blob written in one go may have: sealed, it fits one message between nodes.
pub const LARGEST_WHOLE: usize = 24 * RECORD;

/// The epoch of a Blob's first writer.
pub const FIRST_EPOCH: u64 = 1;
/// Bytes of an index without marks, at most.
const INDEX: usize = 1024;
/// Where a large file begins in memory: the disk takes it from there without a copy.
const PAGE: usize = 4096;

const _: () = assert!(LARGEST_WHOLE + 25 * TAG_LENGTH + HEADER_LENGTH + INDEX + TRAILER_LENGTH <= MAX_BODY);

/// A Blob sealed in memory.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) name: BlobName,
    kind: BlobKind,
    /// Its file.
    pub(crate) file: Bytes,
    pub(crate) sealed: Sealed,
}

impl Whole {
    fn seal(name: BlobName, kind: BlobKind, key: &DataKey, plaintext: &[u8]) -> Result<Self, BlobError> {
        if plaintext.len() > LARGEST_WHOLE {
            return Err(BlobError::Full);
        }
        let keys = BlobKeys::new(key.clone(), name);
        let cipher = keys.records(FIRST_EPOCH)?;
        let mut epochs = Epochs::default();
        if !epochs.push(FIRST_EPOCH, 0) {
            return Err(BlobError::Fenced { have: 0, got: FIRST_EPOCH });
        }
        let footer = Footer { length: plaintext.len() as u64, epochs, marks: Vec::new() };
        let index = seal_footer(&keys, FIRST_EPOCH, &footer)?;

        let mut file = room(plaintext.len());
        file.extend_from_slice(&Header { name, kind }.encode(HeaderKind::Records));
        let records = plaintext.chunks_exact(RECORD);
        let last = records.remainder();
        let full = footer.full_records();
        let numbered = (0..).zip(records).map(|(number, record)| (number, false, record));
        for (number, is_last, record) in numbered.chain([(full, true, last)]) {
            let at = file.len();
            file.resize(at + record.len() + TAG_LENGTH, 0);
            cipher.seal(number, is_last, record, &mut file[at..]).map_err(FormatError::from)?;
        }
        file.extend_from_slice(&index);
        let hash = *blake3::hash(&file).as_bytes();
        let trailer = Trailer { epoch: FIRST_EPOCH, footer_length: index.len() as u64, hash };
        file.extend_from_slice(&trailer.encode());

        let plaintext_sha256 = (kind == BlobKind::Original).then(|| {
            let mut context = digest::Context::new(&digest::SHA256);
            context.update(plaintext);
            finish(context)
        });
        let sealed = Sealed { length: footer.length, hash, plaintext_sha256 };
        Ok(Self { name, kind, file: file.freeze(), sealed })
    }
}

/// Room for the file of so many bytes, at the beginning of a page.
fn room(plaintext: usize) -> BytesMut {
    let records = plaintext / RECORD + 1;
    let mut room = BytesMut::with_capacity(PAGE + HEADER_LENGTH + plaintext + records * TAG_LENGTH + INDEX);
    let before = room.as_ptr().align_offset(PAGE);
    room.resize(before, 0);
    room.split_off(before)
}

impl Blobs {
    /// Seals a new Blob. Once for each name: the same nonces are used each time.
    ///
    /// # Errors
    /// [`BlobError::Full`] for more than [`LARGEST_WHOLE`].
    pub(crate) async fn seal_whole(
        &self,
        name: BlobName,
        kind: BlobKind,
        key: &DataKey,
        plaintext: Bytes,
    ) -> Result<Whole, BlobError> {
        let key = key.clone();
        blocking(move || Whole::seal(name, kind, &key, &plaintext)).await
    }

    /// Puts a new Blob down here. Durable when this returns.
    ///
    /// # Errors
    /// As [`Blobs::create`].
    pub(crate) async fn put_whole(&self, whole: Whole) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            inner.running()?;
            inner.room_for_new(whole.kind)?;
            inner.put_down(whole.name, FIRST_EPOCH, &whole.file, whole.sealed.hash)
        })
        .await
    }

    /// Puts down the file of a Blob that another node has sealed by `epoch`, and which has this hash. Durable when this
    /// returns; told again, it is done.
    ///
    /// # Errors
    /// [`BlobError::Fenced`], [`BlobError::Full`], [`BlobError::Failed`]; [`BlobError::Damaged`] when it is not that file;
    /// [`BlobError::Exists`] when there is another.
    pub async fn held_whole(
        &self,
        name: BlobName,
        epoch: u64,
        hash: [u8; 32],
        file: Bytes,
    ) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            inner.running()?;
            inner.room_to_write()?;
            check(name, epoch, hash, &file)?;
            inner.put_down(name, epoch, &file, hash)
        })
        .await
    }
}

/// Whether the bytes are a sealed Blob of this name, writer and hash, as far as that can be told without a key.
fn check(name: BlobName, epoch: u64, wanted: [u8; 32], file: &[u8]) -> Result<(), FormatError> {
    let damaged = || FormatError::Damaged("copy");
    let (content, trailer) = file.split_last_chunk::<TRAILER_LENGTH>().ok_or_else(damaged)?;
    let trailer = read_trailer(trailer)?;
    trailer.footer_at(file.len() as u64)?;
    Header::decode(content.get(..HEADER_LENGTH).ok_or_else(damaged)?, HeaderKind::Records, name)?;
    let is_it = trailer.epoch == epoch && trailer.hash == wanted && blake3::hash(content) == wanted;
    if is_it { Ok(()) } else { Err(damaged()) }
}

impl Inner {
    fn put_down(&self, name: BlobName, epoch: u64, file: &[u8], hash: [u8; 32]) -> Result<(), BlobError> {
        let lane = self.lanes.of(name);
        let mut lane = locked(&lane);
        let have = self.fence(name, &mut lane)?;
        if epoch < have {
            return Err(BlobError::Fenced { have, got: epoch });
        }
        match self.held_report(name)? {
            Report::Absent => {}
            Report::Sealed { hash: there, .. } if there == hash => return Ok(()),
            Report::Open { .. } | Report::Sealed { .. } => return Err(BlobError::Exists),
        }
        let paths = Paths::of(name);
        let written = self.write_sealed(&paths, file);
        if written.is_err() {
            // Best effort: what is left, the next start removes.
            let _ = self.disk.remove_file(&paths.data);
            return written;
        }
        lane.fence = Some(epoch);
        lane.writing = None;
        self.forget(name);
        self.unless_dropped(name)
    }

    /// The file gets its name when all of it is durable: it is whole, or it is not there.
    fn write_sealed(&self, paths: &Paths, file: &[u8]) -> Result<(), BlobError> {
        self.make_folder(paths)?;
        let _ = self.disk.remove_file(&paths.data);
        let data = self.disk.create(&paths.data).map_err(io)?;
        data.write_at(0, file).map_err(io)?;
        self.synced("a sealed Blob", data.sync_data())?;
        self.disk.rename(&paths.data, &paths.blob).map_err(io)?;
        self.synced("an asset's folder", self.disk.sync_dir(&paths.folder))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::record_at;
    use crate::id::{AssetId, BlobId};

    const NAME: BlobName = BlobName { asset: AssetId([1; 16]), blob: BlobId([2; 16]) };

    #[test]
    fn a_file_of_any_length_ends_where_its_index_says_and_begins_a_page() {
        let key = DataKey::random().unwrap();
        for length in [0, 1, RECORD - 1, RECORD, RECORD + 1, LARGEST_WHOLE] {
            let whole = Whole::seal(NAME, BlobKind::Original, &key, &vec![7; length]).unwrap();
            assert!(whole.file.len() <= MAX_BODY);
            assert_eq!(whole.file.as_ptr().addr() % PAGE, 0, "{length} bytes");
            check(NAME, FIRST_EPOCH, whole.sealed.hash, &whole.file).unwrap();
            let trailer = read_trailer(&whole.file[whole.file.len() - TRAILER_LENGTH..]).unwrap();
            let at = trailer.footer_at(whole.file.len() as u64).unwrap();
            let last = length % RECORD + TAG_LENGTH;
            assert_eq!(at, record_at((length / RECORD) as u64) + last as u64);
        }
        let more = Whole::seal(NAME, BlobKind::Original, &key, &vec![7; LARGEST_WHOLE + 1]);
        assert_eq!(more.unwrap_err(), BlobError::Full);
    }

    #[test]
    fn a_file_that_is_not_what_it_must_be_is_refused() {
        let key = DataKey::random().unwrap();
        let whole = Whole::seal(NAME, BlobKind::Poster, &key, b"a picture").unwrap();
        let hash = whole.sealed.hash;
        let other = BlobName { blob: BlobId([3; 16]), ..NAME };
        assert!(check(other, FIRST_EPOCH, hash, &whole.file).is_err(), "of another name");
        assert!(check(NAME, FIRST_EPOCH + 1, hash, &whole.file).is_err(), "of another writer");
        assert!(check(NAME, FIRST_EPOCH, [0; 32], &whole.file).is_err(), "of another hash");
        for at in 0..whole.file.len() - 4 {
            let mut changed = whole.file.to_vec();
            changed[at] ^= 1;
            assert!(check(NAME, FIRST_EPOCH, hash, &changed).is_err(), "changed at {at}");
            assert!(check(NAME, FIRST_EPOCH, hash, &whole.file[..at]).is_err(), "cut at {at}");
        }
    }
}
