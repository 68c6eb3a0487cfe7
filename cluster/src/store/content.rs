//! One Blob in use: what readers and its writer share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aws_lc_rs::digest;
use tokio::sync::watch;

use super::mirror::Mirror;
use super::progress::Published;
use super::{BlobError, Inner, Paths, Sealed};
use crate::blob::cipher::{BlobKeys, RecordCipher};
use crate::blob::{BlobKind, BlobName, Epochs, Mark};
use crate::disk::DiskFile;
use crate::keyring::DataKey;

/// A Blob in use.
pub(super) struct Content {
    pub(super) store: Arc<Inner>,
    pub(super) paths: Paths,
    pub(super) kind: BlobKind,
    pub(super) data_key: DataKey,
    pub(super) keys: BlobKeys,
    pub(super) data: Arc<dyn DiskFile>,
    /// `None` for a sealed Blob.
    pub(super) open: Option<Arc<dyn DiskFile>>,
    pub(super) published: watch::Sender<Published>,
    /// Marks in order; those beyond `published` are not durable yet.
    marks: RwLock<Vec<Mark>>,
    /// Held across a barrier, a takeover and a sealing: one at a time. Counts barriers.
    pub(super) barrier: Arc<tokio::sync::Mutex<BarrierCount>>,
    /// The writer's state, if there is a writer.
    writing: Mutex<Option<Writing>>,
    /// The lowest epoch that may still make something durable; held while it does. Taken before `writing`.
    gate: Mutex<u64>,
    /// The same, to be looked at without waiting.
    fenced: AtomicU64,
    /// The files of this Blob are on other nodes only.
    pub(super) elsewhere: bool,
    /// What was sealed here, from when the file has its final name: before readers are told, while others seal it, too.
    pub(super) end: OnceLock<End>,
    /// Bytes that were read past the disk's cache.
    read_once: AtomicU64,
}

/// What a writer here has sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) sealed: Sealed,
    pub(super) records: u64,
}

/// The sequence number of the last barrier.
#[derive(Debug, Default)]
pub(super) struct BarrierCount(pub(super) u64);

/// The state of the one writer of a Blob.
pub(super) struct Writing {
    pub(super) cipher: Arc<RecordCipher>,
    pub(super) epochs: Arc<Epochs>,
    /// Full records written.
    pub(super) records: u64,
    /// Bytes past them.
    pub(super) tail: Vec<u8>,
    pub(super) frames_length: u64,
    pub(super) frames: u64,
    /// Whether frames were written since the last barrier.
    pub(super) frames_dirty: bool,
    /// Pieces of the queue taken so far.
    pub(super) tickets: u64,
    /// Running hashes, as long as they cover everything from the first byte.
    pub(super) hashes: Option<Hashes>,
    /// Room for records that are sealed but not yet written, made when it is first needed.
    pub(super) buffer: Vec<u8>,
    /// Set when something failed: this writer is over.
    pub(super) over: bool,
    /// Where all that is written here goes, too.
    pub(super) mirror: Option<Arc<dyn Mirror>>,
}

/// Hashes over the whole Blob, fed as it grows.
#[derive(Clone)]
pub(super) struct Hashes {
    /// BLAKE3 over the records as they are on disk.
    pub(super) sealed: blake3::Hasher,
    /// SHA-256 over the plaintext, the bytes past the last record included, for originals.
    pub(super) plaintext: Option<digest::Context>,
}

impl Hashes {
    /// Hashes that have seen a header.
    pub(super) fn new(kind: BlobKind, header: &[u8]) -> Self {
        let mut sealed = blake3::Hasher::new();
        sealed.update(header);
        let plaintext = (kind == BlobKind::Original).then(|| digest::Context::new(&digest::SHA256));
        Self { sealed, plaintext }
    }

    pub(super) fn add_plaintext(&mut self, bytes: &[u8]) {
        if let Some(plaintext) = &mut self.plaintext {
            plaintext.update(bytes);
        }
    }
}

/// The 32 bytes of a finished hash.
pub(super) fn finish(context: digest::Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl Writing {
    /// Plaintext bytes written, durable or not.
    pub(super) fn length(&self) -> u64 {
        self.records * crate::blob::RECORD as u64 + self.tail.len() as u64
    }
}

/// The parts a [`Content`] is made of.
pub(super) struct Parts {
    pub(super) kind: BlobKind,
    pub(super) data_key: DataKey,
    pub(super) data: Arc<dyn DiskFile>,
    pub(super) open: Option<Arc<dyn DiskFile>>,
    pub(super) published: Published,
    pub(super) marks: Vec<Mark>,
    pub(super) sequence: u64,
    pub(super) elsewhere: bool,
}

impl Content {
    pub(super) fn new(store: Arc<Inner>, name: BlobName, parts: Parts) -> Self {
        Self {
            store,
            paths: Paths::of(name),
            kind: parts.kind,
            keys: BlobKeys::new(parts.data_key.clone(), name),
            data_key: parts.data_key,
            data: parts.data,
            open: parts.open,
            published: watch::Sender::new(parts.published),
            marks: RwLock::new(parts.marks),
            barrier: Arc::new(tokio::sync::Mutex::new(BarrierCount(parts.sequence))),
            writing: Mutex::new(None),
            gate: Mutex::new(0),
            fenced: AtomicU64::new(0),
            elsewhere: parts.elsewhere,
            end: OnceLock::new(),
            read_once: AtomicU64::new(0),
        }
    }

    /// Notes that no writer of a lower epoch may go on.
    pub(super) fn fence(&self, epoch: u64) {
        self.fenced.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Refuses a writer of a lower epoch than was promised to another.
    pub(super) fn not_fenced(&self, epoch: u64) -> Result<(), BlobError> {
        let have = self.fenced.load(Ordering::Acquire);
        if have > epoch { Err(BlobError::Fenced { have, got: epoch }) } else { Ok(()) }
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, u64> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody on this node writes to it.
    pub(super) fn is_written_here(&self) -> bool {
        self.writing().as_ref().is_some_and(|state| !state.over)
    }

    /// Whether a read of `read` bytes is one that nobody repeats soon. An upload is read through by whoever makes something
    /// of it, or takes it away; what is read of it beyond its `length`, by several at the same time, is kept for the next.
    pub(super) fn is_read_once(&self, read: u64, length: u64) -> bool {
        self.kind == BlobKind::Original && self.read_once.fetch_add(read, Ordering::Relaxed) < length
    }

    pub(super) fn name(&self) -> BlobName {
        self.keys.name()
    }

    /// Refuses a key that is not the one this Blob was opened with.
    pub(super) fn for_key(&self, key: &DataKey) -> Result<(), BlobError> {
        if *key == self.data_key {
            Ok(())
        } else {
            Err(crate::blob::FormatError::Key(crate::keyring::KeyError::Unsealable).into())
        }
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, Option<Writing>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn marks(&self) -> RwLockReadGuard<'_, Vec<Mark>> {
        self.marks.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn marks_mut(&self) -> RwLockWriteGuard<'_, Vec<Mark>> {
        self.marks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's state, if the writer of `epoch` is still the one.
    pub(super) fn current<'a>(
        &self,
        writing: &'a mut Option<Writing>,
        epoch: u64,
    ) -> Result<&'a mut Writing, BlobError> {
        let published = self.published.borrow();
        self.not_fenced(epoch)?;
        if published.removed {
            return Err(BlobError::NotFound);
        }
        let have = published.epochs.newest();
        if published.progress.sealed {
            return Err(BlobError::WriterOver);
        }
        drop(published);
        let over = if have > epoch { BlobError::Fenced { have, got: epoch } } else { BlobError::WriterOver };
        writing.as_mut().filter(|state| state.cipher.epoch() == epoch && !state.over).ok_or(over)
    }

    /// Ends the writer of `epoch` after a failure.
    pub(super) fn end_writer(&self, epoch: u64) {
        if let Some(state) = self.writing().as_mut().filter(|state| state.cipher.epoch() == epoch) {
            state.over = true;
        }
    }

    /// The file of tails and frames; a sealed Blob has none.
    pub(super) fn open_file(&self) -> Result<&Arc<dyn DiskFile>, BlobError> {
        self.open.as_ref().ok_or(BlobError::WriterOver)
    }

    /// Tells readers what is durable now.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Published)) {
        self.published.send_modify(change);
    }

    /// What a sealed Blob is, for State.
    pub(super) fn sealed(&self) -> Result<Sealed, BlobError> {
        super::sealing::describe(self)
    }
}
