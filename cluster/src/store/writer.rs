//! The writer of a Blob: takes bytes and marks in order, seals full records as they fill, and acknowledges in batches.
//!
//! What is handed in waits in a short queue; whoever drains it does so in order, under the writer's lock, so that a
//! caller that goes away in the middle of a call changes nothing in what the others wrote.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::Context;
use bytes::Bytes;

use super::barrier::Barrier;
use super::content::{Content, Writing};
use super::mirror::{FileWrite, Mirror};
use super::{BlobError, Sealed, barrier, blocking, sealing};
use crate::blob::{
    BlobName, FRAMES_AT, Frame, FrameBody, MAX_MARK, MAX_MARKS_TOTAL, Mark, RECORD, SEALED_RECORD, record_at,
    seal_frame,
};

/// Queued bytes beyond which [`BlobWriter::write`] hands them to the disk.
const DRAIN_AT: usize = 1024 * 1024;
/// Bytes after which a barrier is begun in the background, so that the last one has little left to do.
const BARRIER_EVERY: u64 = 64 * 1024 * 1024;
/// Records sealed before they go to the disk in one write.
const RECORDS_PER_WRITE: usize = 16;
/// Their bytes.
const BYTES_PER_WRITE: usize = RECORDS_PER_WRITE * SEALED_RECORD;
/// So many bytes of an upload are hashed on a thread of their own.
const HASHED_BESIDE: usize = 512 * 1024;
/// Sealed records lie in memory as they will in the pages of the file: a disk takes them like that without a copy.
const PAGE: usize = 4096;

/// The one writer of a Blob in one epoch. Clones are the same writer.
///
/// After an error a writer is over: what was acknowledged is safe, the rest may or may not be there, and the Blob goes
/// on only with a new epoch ([`Blobs::take_over`](super::Blobs::take_over)).
#[derive(Clone)]
pub struct BlobWriter {
    shared: Arc<Shared>,
}

struct Shared {
    content: Arc<Content>,
    epoch: u64,
    queue: Mutex<Queue>,
    in_background: AtomicBool,
}

struct Queue {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The Blob's length with all that was handed in.
    length: u64,
    /// Pieces handed in.
    tickets: u64,
    marks: usize,
    marks_total: usize,
    last_barrier: u64,
}

enum Piece {
    Bytes(Bytes),
    Mark(Bytes),
}

impl BlobWriter {
    pub(super) fn new(content: Arc<Content>, epoch: u64) -> Self {
        let (length, marks) = {
            let published = content.published.borrow();
            (published.progress.length, published.progress.marks)
        };
        let marks_total = content.marks().iter().map(|mark| mark.bytes.len()).sum();
        let queue = Queue {
            pieces: VecDeque::new(),
            bytes: 0,
            length,
            tickets: 0,
            marks,
            marks_total,
            last_barrier: length,
        };
        let queue = Mutex::new(queue);
        Self { shared: Arc::new(Shared { content, epoch, queue, in_background: AtomicBool::new(false) }) }
    }

    /// Which Blob.
    #[must_use]
    pub fn name(&self) -> BlobName {
        self.shared.content.name()
    }

    /// The writer's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// The Blob's length with all that was handed in so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.shared.queue().length
    }

    /// The bytes that are durable.
    #[must_use]
    pub fn durable_length(&self) -> u64 {
        self.shared.content.published.borrow().progress.length
    }

    /// The marks handed in so far, durable or not, with the length each is tied to.
    #[must_use]
    pub fn mark_count(&self) -> usize {
        self.shared.queue().marks
    }

    /// The durable marks from number `from` on.
    #[must_use]
    pub fn marks(&self, from: usize) -> Vec<(u64, Bytes)> {
        super::reader::marks_of(&self.shared.content, from)
    }

    /// Hands bytes in without waiting for them to be durable, but waiting when too many are on the way. Gives the length
    /// with them. [`BlobWriter::sync`] makes them durable.
    ///
    /// # Errors
    /// [`BlobError`]; the writer is over then.
    pub async fn write(&self, bytes: Bytes) -> Result<u64, BlobError> {
        let (length, waiting) = self.shared.push(bytes, None)?;
        if waiting >= DRAIN_AT {
            let shared = Arc::clone(&self.shared);
            let mirror = blocking(move || shared.drain()).await?;
            if let Some(mirror) = mirror {
                mirror.room().await.inspect_err(|_| self.shared.content.end_writer(self.shared.epoch))?;
            }
            self.begin_barrier(length);
        }
        Ok(length)
    }

    /// Appends bytes and waits until they are durable. Gives the durable length. Several appends that wait at the same
    /// time share one barrier.
    ///
    /// # Errors
    /// [`BlobError`]; the writer is over then.
    pub async fn append(&self, bytes: Bytes) -> Result<u64, BlobError> {
        self.shared.push(bytes, None)?;
        self.sync().await
    }

    /// Makes a mark at the current length and waits until it is durable.
    ///
    /// # Errors
    /// [`BlobError::TooManyMarks`]; others end the writer.
    pub async fn mark(&self, mark: &[u8]) -> Result<u64, BlobError> {
        self.shared.push(Bytes::new(), Some(Bytes::copy_from_slice(mark)))?;
        self.sync().await
    }

    /// Appends bytes and makes a mark after them, in one barrier: the mark is never there without the bytes.
    ///
    /// # Errors
    /// As [`BlobWriter::mark`].
    pub async fn append_marked(&self, bytes: Bytes, mark: &[u8]) -> Result<u64, BlobError> {
        self.shared.push(bytes, Some(Bytes::copy_from_slice(mark)))?;
        self.sync().await
    }

    /// Waits until everything handed in so far is durable. Gives the durable length.
    ///
    /// # Errors
    /// [`BlobError`]; the writer is over then.
    pub async fn sync(&self) -> Result<u64, BlobError> {
        let wanted = self.shared.queue().tickets;
        let content = &self.shared.content;
        let guard = Arc::clone(&content.barrier).lock_owned().await;
        {
            let published = content.published.borrow();
            let ours = published.epochs.newest() == self.shared.epoch && !published.removed;
            if ours && published.tickets >= wanted && !published.progress.sealed {
                return Ok(published.progress.length);
            }
        }
        let shared = Arc::clone(&self.shared);
        let mut guard = guard;
        let (guard, barrier) = blocking(move || {
            shared.drain()?;
            let barrier = barrier::run(&shared.content, &mut guard, shared.epoch)?;
            Ok((guard, barrier))
        })
        .await?;
        let written = match barrier {
            Barrier::Nothing(length) | Barrier::Done(length) => return Ok(length),
            Barrier::Waits(written) => written,
        };
        if let Some((mirror, number)) = &written.waits {
            let settled = mirror.settled(*number).await;
            settled.inspect_err(|_| content.end_writer(self.shared.epoch))?;
        }
        let length = barrier::publish(content, written);
        drop(guard);
        Ok(length)
    }

    /// Seals the Blob with all that was handed in: length, index and hash are final. State is told afterwards by the
    /// Command that seals it there.
    ///
    /// # Errors
    /// [`BlobError`]; the writer is over then.
    pub async fn seal(self) -> Result<Sealed, BlobError> {
        let guard = Arc::clone(&self.shared.content.barrier).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        let (guard, here) = blocking(move || {
            shared.drain()?;
            let here = sealing::seal(&shared.content, shared.epoch)?;
            if here.waits.is_none() {
                sealing::publish(&shared.content, &here.end);
            }
            Ok((guard, here))
        })
        .await?;
        if let Some((mirror, number)) = &here.waits {
            mirror.settled(*number).await?;
            sealing::publish(&self.shared.content, &here.end);
        }
        drop(guard);
        Ok(here.end.sealed)
    }

    /// Sends everything from now on to `mirror`, too.
    pub(crate) fn attach(&self, mirror: Arc<dyn Mirror>) {
        let mut writing = self.shared.content.writing();
        if let Some(state) = writing.as_mut().filter(|state| state.cipher.epoch() == self.shared.epoch) {
            state.mirror = Some(mirror);
        }
    }

    /// What stands here, for whoever brings other nodes to it.
    pub(super) fn content(&self) -> &Arc<Content> {
        &self.shared.content
    }

    /// Begins a barrier in the background when the last one is long ago.
    fn begin_barrier(&self, length: u64) {
        {
            let mut queue = self.shared.queue();
            if length.saturating_sub(queue.last_barrier) < BARRIER_EVERY {
                return;
            }
            queue.last_barrier = length;
        }
        if !self.shared.in_background.swap(true, Ordering::AcqRel) {
            let writer = self.clone();
            tokio::spawn(async move {
                // An error here ends the writer, and its owner hears of it at the next call.
                let _ = writer.sync().await;
                writer.shared.in_background.store(false, Ordering::Release);
            });
        }
    }
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BlobWriter({:?}, epoch {})", self.name(), self.epoch())
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues bytes and a mark after them. Gives the length with them and how many bytes wait.
    fn push(&self, bytes: Bytes, mark: Option<Bytes>) -> Result<(u64, usize), BlobError> {
        let mut queue = self.queue();
        if let Some(mark) = &mark {
            let total = queue.marks_total + mark.len();
            if mark.len() > MAX_MARK || total > MAX_MARKS_TOTAL {
                return Err(BlobError::TooManyMarks);
            }
            queue.marks_total = total;
            queue.marks += 1;
        }
        queue.bytes += bytes.len();
        queue.length += bytes.len() as u64;
        let pieces = [Some(bytes).filter(|bytes| !bytes.is_empty()).map(Piece::Bytes), mark.map(Piece::Mark)];
        for piece in pieces.into_iter().flatten() {
            queue.pieces.push_back(piece);
            queue.tickets += 1;
        }
        Ok((queue.length, queue.bytes))
    }

    /// Seals and writes all that is queued. Blocks.
    fn drain(&self) -> Result<Option<Arc<dyn Mirror>>, BlobError> {
        let content = &self.content;
        content.store.running()?;
        let mut writing = content.writing();
        let state = content.current(&mut writing, self.epoch)?;
        let pieces = {
            let mut queue = self.queue();
            queue.bytes = 0;
            std::mem::take(&mut queue.pieces)
        };
        let mirror = state.mirror.clone();
        if pieces.is_empty() {
            return Ok(mirror);
        }
        let mut plaintext = state.hashes.as_mut().and_then(|hashes| hashes.plaintext.take());
        let outcome = content.store.room_to_write().and_then(|()| {
            hashing(plaintext.as_mut(), &pieces, || {
                let mut batch = Batch { content, state, begins: 0, sealed: 0 };
                pieces.iter().try_for_each(|piece| batch.take(piece))?;
                batch.flush()
            })
        });
        if let Some(hashes) = &mut state.hashes {
            hashes.plaintext = plaintext;
        }
        if outcome.is_err() {
            state.over = true;
        }
        outcome.map(|()| mirror)
    }
}

/// Does `work` with the pieces, and adds them to the hash of the plaintext meanwhile: that takes as long as sealing and writing.
fn hashing<T>(plaintext: Option<&mut Context>, pieces: &VecDeque<Piece>, work: impl FnOnce() -> T) -> T {
    let Some(context) = plaintext else { return work() };
    let bytes = || {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::Mark(_) => None,
        })
    };
    if bytes().map(Bytes::len).sum::<usize>() < HASHED_BESIDE {
        bytes().for_each(|bytes| context.update(bytes));
        return work();
    }
    let (beside, done) = std::thread::scope(|scope| {
        let add = || bytes().for_each(|bytes| context.update(bytes));
        let beside = std::thread::Builder::new().name("plaintext".to_owned()).spawn_scoped(scope, add);
        (beside.is_ok(), work())
    });
    // The system gave no thread.
    if !beside {
        bytes().for_each(|bytes| context.update(bytes));
    }
    done
}

/// Records sealed but not yet written.
struct Batch<'a> {
    content: &'a Content,
    state: &'a mut Writing,
    /// Where in the writer's buffer sealed records begin, and their bytes.
    begins: usize,
    sealed: usize,
}

impl Batch<'_> {
    fn take(&mut self, piece: &Piece) -> Result<(), BlobError> {
        match piece {
            Piece::Bytes(bytes) => self.take_bytes(bytes)?,
            Piece::Mark(bytes) => self.take_mark(bytes.clone())?,
        }
        self.state.tickets += 1;
        Ok(())
    }

    fn take_bytes(&mut self, mut bytes: &[u8]) -> Result<(), BlobError> {
        while !bytes.is_empty() {
            if self.state.tail.is_empty() && bytes.len() >= RECORD {
                let (record, rest) = bytes.split_at(RECORD);
                self.seal(record)?;
                bytes = rest;
                continue;
            }
            let room = RECORD - self.state.tail.len();
            let (taken, rest) = bytes.split_at(room.min(bytes.len()));
            self.state.tail.extend_from_slice(taken);
            bytes = rest;
            if self.state.tail.len() == RECORD {
                let full = std::mem::take(&mut self.state.tail);
                self.seal(&full)?;
                self.state.tail = full;
                self.state.tail.clear();
            }
        }
        Ok(())
    }

    /// Seals one full record. Once per number in this epoch: `records` only ever goes up.
    fn seal(&mut self, plaintext: &[u8]) -> Result<(), BlobError> {
        let number = self.state.records;
        if number >= u64::from(u32::MAX) {
            return Err(BlobError::Full);
        }
        self.state.records += 1;
        if self.sealed == 0 {
            self.begin(number);
        }
        let at = self.begins + self.sealed;
        let sealed = &mut self.state.buffer[at..at + SEALED_RECORD];
        self.state.cipher.seal(number, false, plaintext, sealed).map_err(crate::blob::FormatError::from)?;
        self.sealed += SEALED_RECORD;
        if self.sealed == BYTES_PER_WRITE { self.flush() } else { Ok(()) }
    }

    /// Makes room for the next records, from number `first` on.
    fn begin(&mut self, first: u64) {
        if self.state.buffer.is_empty() {
            self.state.buffer = vec![0; PAGE + BYTES_PER_WRITE];
        }
        let wanted = usize::try_from(record_at(first) % PAGE as u64).unwrap_or(0);
        let at = self.state.buffer.as_ptr().addr() % PAGE;
        self.begins = (wanted + PAGE - at) % PAGE;
    }

    /// Writes the sealed records.
    fn flush(&mut self) -> Result<(), BlobError> {
        if self.sealed == 0 {
            return Ok(());
        }
        let count = (self.sealed / SEALED_RECORD) as u64;
        let first = self.state.records - count;
        let within = self.begins..self.begins + self.sealed;
        let sealed = &self.state.buffer[within.clone()];
        self.content.data.write_at(record_at(first), sealed).map_err(|error| BlobError::from_io(&error))?;
        if let Some(hashes) = &mut self.state.hashes {
            hashes.sealed.update(sealed);
        }
        if let Some(mirror) = &self.state.mirror {
            // The buffer itself goes to the other nodes; the next records get another.
            let bytes = Bytes::from(std::mem::take(&mut self.state.buffer)).slice(within);
            mirror.push(FileWrite::Data { offset: record_at(first), bytes });
        }
        self.sealed = 0;
        Ok(())
    }

    /// Writes a mark at the current length, after the records it is tied to.
    fn take_mark(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.flush()?;
        let mark = Mark { length: self.state.length(), bytes };
        let body = FrameBody::Mark(mark.clone());
        let frame = Frame { epoch: self.state.cipher.epoch(), number: self.state.frames, body };
        let frame = seal_frame(&self.content.keys, &frame)?;
        let file = self.content.open_file()?;
        let written = file.write_at(FRAMES_AT + self.state.frames_length, &frame);
        written.map_err(|error| BlobError::from_io(&error))?;
        if let Some(mirror) = &self.state.mirror {
            let bytes = Bytes::copy_from_slice(&frame);
            mirror.push(FileWrite::Frames { offset: self.state.frames_length, bytes });
        }
        self.state.frames += 1;
        self.state.frames_length += frame.len() as u64;
        self.state.frames_dirty = true;
        self.content.marks_mut().push(mark);
        Ok(())
    }
}
