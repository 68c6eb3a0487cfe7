//! openraft's view of the log.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{ErrorSubject, ErrorVerb, OptionalSend, RaftLogReader, StorageIOError};
use tokio::sync::{mpsc, oneshot, watch};

use super::LogError;
use super::content::{Change, Content};
use super::database::Database;
use super::durable::Durable;
use super::record;
use super::writer::{Done, Request, Task};
use crate::disk::StopFlag;
use crate::keyring::AeadKey;
use crate::raft::machine::Applied;
use crate::raft::types::{LogEntry, LogId, StorageError, TypeConfig, Vote};

/// Bytes of newest records kept decoded, so that applying and replicating them reads nothing back.
const RECENT: usize = 4 * 1024 * 1024;
/// How long a purge waits for the snapshot that covers it.
const COVERED_WITHIN: Duration = Duration::from_secs(60);
/// A disk that took longer for its last barrier is waited for: a leader that it holds up is soon one no more.
const FAST_ENOUGH: Duration = Duration::from_millis(100);

/// The log. Clones share it; the writer thread ends with the last one.
#[derive(Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
    writer: mpsc::Sender<Request>,
}

/// What readers and the writer thread share.
pub(super) struct Shared {
    index: RwLock<Index>,
    /// `None` once the log is closed.
    tree: RwLock<Option<Arc<dyn Database>>>,
    key: Arc<AeadKey>,
    stop: StopFlag,
    /// How far the machine has come, durably where it came by a snapshot.
    applied: OnceLock<watch::Receiver<Applied>>,
    /// The newest record that is durable.
    durable: watch::Receiver<Option<LogId>>,
    /// Appends are answered before they are durable: whoever speaks of a record waits for it. See [`Durable`].
    ahead: AtomicBool,
    /// The last barrier took too long for that.
    slow: AtomicBool,
}

/// What is in the log, without the records.
#[derive(Default)]
struct Index {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// Bytes of each record.
    sizes: BTreeMap<u64, usize>,
    bytes: u64,
    /// Of records that were cut and are in the database still.
    cut_bytes: u64,
    /// Records that the database does not have yet, and the newest that it has.
    recent: BTreeMap<u64, LogEntry>,
    recent_bytes: usize,
    voters: u32,
}

impl Shared {
    pub(super) fn new(
        tree: Arc<dyn Database>,
        content: &Content,
        key: Arc<AeadKey>,
        voters: u32,
        stop: StopFlag,
        durable: watch::Receiver<Option<LogId>>,
    ) -> Arc<Self> {
        let sizes: BTreeMap<u64, usize> =
            content.records.iter().map(|(index, record)| (*index, record.len())).collect();
        let bytes = sizes.values().map(|size| *size as u64).sum();
        let index = Index {
            vote: content.vote,
            committed: content.committed,
            purged: content.purged,
            last: content.last,
            sizes,
            bytes,
            cut_bytes: 0,
            recent: BTreeMap::new(),
            recent_bytes: 0,
            voters,
        };
        Arc::new(Self {
            index: RwLock::new(index),
            tree: RwLock::new(Some(tree)),
            key,
            stop,
            applied: OnceLock::new(),
            durable,
            ahead: AtomicBool::new(false),
            slow: AtomicBool::new(false),
        })
    }

    pub(super) fn tree(&self) -> Result<Arc<dyn Database>, LogError> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }

    pub(super) fn replace_tree(&self, tree: Option<Arc<dyn Database>>) -> Option<Arc<dyn Database>> {
        std::mem::replace(&mut *self.tree.write().unwrap_or_else(PoisonError::into_inner), tree)
    }

    /// The database is a fresh one, without what was cut.
    pub(super) fn forget_cut(&self) {
        self.write_index().cut_bytes = 0;
    }

    /// The database has the records up to this one: what was kept only because it had not may go.
    pub(super) fn settle(&self, held: u64) {
        self.write_index().forget_old(held);
    }

    /// What is known to be agreed.
    pub(super) fn committed(&self) -> Option<LogId> {
        self.index().committed
    }

    /// How long the last barrier took.
    pub(super) fn took(&self, time: Duration) {
        self.slow.store(time > FAST_ENOUGH, Ordering::Relaxed);
    }

    /// Whether the next append is answered at once: not when one before it is on its way to the disk still.
    fn answers_ahead(&self) -> bool {
        self.ahead.load(Ordering::Relaxed)
            && !self.slow.load(Ordering::Relaxed)
            && self.index().last <= *self.durable.borrow()
    }

    /// A write failed: nobody knows what is on disk, and the node must stop.
    pub(super) fn report_failure(&self, reason: &str) {
        self.stop.raise(format!("the Raft log cannot be written and synced: {reason}"));
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_index(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, index: u64) -> Result<Option<LogEntry>, LogError> {
        {
            let held = self.index();
            if let Some(entry) = held.recent.get(&index) {
                return Ok(Some(entry.clone()));
            }
            if !held.sizes.contains_key(&index) {
                return Ok(None);
            }
        }
        match self.tree()?.record(index)? {
            Some(record) => record::decode(&record, &self.key).map(Some),
            // Cut since we looked.
            None if !self.index().sizes.contains_key(&index) => Ok(None),
            None => Err(LogError::Damaged { what: format!("log record {index} has gone") }),
        }
    }
}

impl Index {
    fn add(&mut self, entry: LogEntry, size: usize) {
        let log_id = entry.log_id;
        self.last = Some(log_id);
        self.bytes += size as u64;
        self.recent_bytes += size;
        self.sizes.insert(log_id.index, size);
        self.recent.insert(log_id.index, entry);
    }

    fn truncate(&mut self, from: u64) {
        let gone = self.sizes.split_off(&from);
        self.recent.split_off(&from);
        self.bytes -= gone.values().map(|size| *size as u64).sum::<u64>();
        self.count_recent();
    }

    fn purge(&mut self, upto: LogId) {
        let kept = self.sizes.split_off(&(upto.index + 1));
        let gone = std::mem::replace(&mut self.sizes, kept);
        self.recent = self.recent.split_off(&(upto.index + 1));
        let gone = gone.values().map(|size| *size as u64).sum::<u64>();
        self.bytes -= gone;
        self.cut_bytes += gone;
        self.count_recent();
        self.purged = self.purged.max(Some(upto));
        self.last = self.last.max(Some(upto));
    }

    /// Keeps the newest records up to a size, and every one that the database does not have.
    fn forget_old(&mut self, held: u64) {
        while self.recent_bytes > RECENT {
            let Some(oldest) = self.recent.first_entry().filter(|oldest| *oldest.key() <= held) else {
                return;
            };
            let index = *oldest.key();
            oldest.remove();
            self.recent_bytes -= self.sizes.get(&index).copied().unwrap_or(0);
        }
    }

    fn count_recent(&mut self) {
        self.recent_bytes = self.recent.keys().filter_map(|index| self.sizes.get(index)).sum();
    }
}

impl LogStore {
    pub(super) fn new(shared: Arc<Shared>, writer: mpsc::Sender<Request>) -> Self {
        Self { shared, writer }
    }

    /// Lets a node that led when it ended start as a follower. openraft would let it lead on at once in its old term,
    /// without a record of that start: its reads would then be as of what it had noted as agreed, which may be before
    /// what it had acknowledged.
    pub fn start_as_follower(&self) {
        if let Some(vote) = &mut self.shared.write_index().vote {
            vote.committed = false;
        }
    }

    /// Sealed bytes in the log's database: of the records it holds, and of those cut since it last moved to a fresh one.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let index = self.shared.index();
        index.bytes + index.cut_bytes
    }

    /// The first and the last record held, when there is one.
    #[must_use]
    pub fn range(&self) -> Option<(u64, u64)> {
        let index = self.shared.index();
        Some((*index.sizes.first_key_value()?.0, *index.sizes.last_key_value()?.0))
    }

    /// The highest record that may be cut while at least `keep` bytes of the newest stay, and nothing after `upto` goes.
    #[must_use]
    pub fn cut_point(&self, upto: u64, keep: u64) -> Option<u64> {
        let index = self.shared.index();
        let mut spare = index.bytes.saturating_sub(keep);
        let mut cut = None;
        for (number, size) in index.sizes.range(..=upto) {
            let size = *size as u64;
            if size > spare {
                break;
            }
            spare -= size;
            cut = Some(*number);
        }
        cut
    }

    /// Moves the log to a fresh database: what was cut is then gone from disk.
    ///
    /// # Errors
    /// When the log has stopped or stops over this.
    pub async fn compact(&self) -> Result<(), LogError> {
        self.ask(Task::Compact).await
    }

    /// Tells how many voters there are: below three, neither the database nor the
    /// watermark falls behind the journal.
    ///
    /// # Errors
    /// When the log has stopped or stops over this.
    pub async fn set_voters(&self, voters: u32) -> Result<(), LogError> {
        if std::mem::replace(&mut self.shared.write_index().voters, voters) == voters {
            return Ok(());
        }
        self.ask(Task::Voters(voters)).await
    }

    /// From now on consensus need not wait for this disk, as long as it is fast: whoever speaks of a record to others, or
    /// carries it out, waits for what this gives.
    #[must_use]
    pub fn answer_ahead(&self) -> Durable {
        self.shared.ahead.store(true, Ordering::Relaxed);
        Durable::new(self.shared.durable.clone(), self.shared.stop.clone())
    }

    /// Ends the writer and closes the files, so that the folder can be opened again.
    ///
    /// # Errors
    /// When the log has stopped already.
    pub async fn close(&self) -> Result<(), LogError> {
        self.ask(Task::Close).await
    }

    async fn ask(&self, task: Task) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.send(task, Done::Reply(reply)).await?;
        answer.await.map_err(|_| closed())?
    }

    /// The queue is bounded far above what openraft has under way, so that a full one means a stuck disk: waiting for
    /// it is the only thing that loses nothing.
    async fn send(&self, task: Task, done: Done) -> Result<(), LogError> {
        self.writer.send(Request { task, done }).await.map_err(|_| closed())
    }

    fn read_range(&self, range: impl RangeBounds<u64>) -> Result<Vec<LogEntry>, LogError> {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let indices: Vec<u64> = {
            let index = self.shared.index();
            index
                .sizes
                .range(first..)
                .map(|(index, _)| *index)
                .take_while(|index| range.contains(index))
                .collect()
        };
        indices.into_iter().filter_map(|index| self.shared.read(index).transpose()).collect()
    }
}

impl Debug for LogStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LogStore({:?}, {} bytes)", self.range(), self.bytes())
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        self.read_range(range).map_err(|error| failed(ErrorSubject::Logs, ErrorVerb::Read, &error))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let index = self.shared.index();
        Ok(LogState { last_purged_log_id: index.purged, last_log_id: index.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.ask(Task::Change(Change::Vote(*vote)))
            .await
            .map_err(|error| failed(ErrorSubject::Vote, ErrorVerb::Write, &error))?;
        self.shared.write_index().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.shared.index().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        // A hint, written down with whatever comes next: nobody is woken for it.
        let mut index = self.shared.write_index();
        index.committed = index.committed.max(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.shared.index().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut records = Vec::new();
        let mut added = Vec::new();
        for entry in entries {
            let bytes = record::encode(&entry, &self.shared.key)
                .map_err(|error| failed(ErrorSubject::Log(entry.log_id), ErrorVerb::Write, &error))?;
            added.push((entry.clone(), bytes.len()));
            records.push((entry.log_id, bytes));
        }
        let ahead = self.shared.answers_ahead();
        {
            let mut index = self.shared.write_index();
            added.into_iter().for_each(|(entry, size)| index.add(entry, size));
        }
        let (done, answered) =
            if ahead { (Done::Nobody, Some(callback)) } else { (Done::Flushed(callback), None) };
        self.send(Task::Change(Change::Append(records)), done)
            .await
            .map_err(|error| failed(ErrorSubject::Logs, ErrorVerb::Write, &error))?;
        if let Some(callback) = answered {
            callback.log_io_completed(Ok(()));
        }
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let wrap = |error: LogError| failed(ErrorSubject::Log(log_id), ErrorVerb::Delete, &error);
        let before = log_id
            .index
            .checked_sub(1)
            .map(|index| self.shared.read(index))
            .transpose()
            .map_err(wrap)?
            .flatten();
        let last = {
            let mut index = self.shared.write_index();
            index.truncate(log_id.index);
            index.last = before.map(|entry| entry.log_id).or(index.purged);
            index.last
        };
        self.ask(Task::Truncate { from: log_id.index, last }).await.map_err(wrap)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.covered(log_id)
            .await
            .map_err(|error| failed(ErrorSubject::Log(log_id), ErrorVerb::Delete, &error))?;
        self.shared.write_index().purge(log_id);
        self.ask(Task::Change(Change::Purge(log_id)))
            .await
            .map_err(|error| failed(ErrorSubject::Log(log_id), ErrorVerb::Delete, &error))
    }
}

impl LogStore {
    /// Lets records go only behind what `applied` has come to. openraft 0.9 asks for both at once, to install a snapshot and
    /// to purge what it covers: were the records gone before the snapshot is durable, a power cut in between would leave
    /// neither.
    pub fn purge_behind(&self, applied: watch::Receiver<Applied>) {
        // Said once, before consensus starts; a second time changes nothing.
        let _ = self.shared.applied.set(applied);
    }

    async fn covered(&self, log_id: LogId) -> Result<(), LogError> {
        let Some(mut applied) = self.shared.applied.get().cloned() else { return Ok(()) };
        let come = applied.wait_for(|applied| applied.last.is_some_and(|last| last.index >= log_id.index));
        let come = async { come.await.is_ok() };
        let covered = tokio::select! {
            covered = tokio::time::timeout(COVERED_WITHIN, come) => covered.unwrap_or(false),
            // The snapshot could not be written.
            _ = self.shared.stop.raised() => false,
        };
        let missing = || LogError::Stopped(format!("no snapshot covers the records to {}", log_id.index));
        if covered { Ok(()) } else { Err(missing()) }
    }
}

fn closed() -> LogError {
    LogError::Stopped("it is closed".to_owned())
}

fn failed(subject: ErrorSubject<u64>, verb: ErrorVerb, error: &LogError) -> StorageError {
    StorageIOError::new(subject, verb, anyerror::AnyError::error(error)).into()
}
