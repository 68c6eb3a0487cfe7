//! The one thread that writes the log.

use std::sync::Arc;
use std::time::Instant;

use openraft::storage::LogFlushed;
use tokio::sync::{mpsc, oneshot, watch};

use super::LogError;
use super::content::Change;
use super::database::{Database, Databases, VOTERS_THAT_HEAL};
use super::journal::{Head, Journal};
use super::store::Shared;
use super::watermark::{Watermark, WatermarkFile};
use crate::disk::Disk;
use crate::raft::types::{LogId, TypeConfig};

/// Bytes the database may be behind the journal: what a start after a crash makes up for. Far less than what stays in
/// memory of the newest records.
const BEHIND: usize = 256 * 1024;
/// Batches of records that may be acknowledged and not yet in the watermark, while more of them wait.
const UNMARKED: u32 = 16;
/// Requests that may wait at once. openraft has at most a handful under way.
const QUEUE: usize = 256;

/// Whom to tell once a request is durable.
pub(super) enum Done {
    /// openraft's own callback.
    Flushed(LogFlushed<TypeConfig>),
    /// A caller that waits.
    Reply(oneshot::Sender<Result<(), LogError>>),
    /// Nobody: whoever asked follows how far the log is durable.
    Nobody,
}

/// What to do.
pub(super) enum Task {
    /// Make this change durable.
    Change(Change),
    /// As a change, with the record that is then the last one.
    Truncate { from: u64, last: Option<LogId> },
    /// Move the log to a fresh database, so that what was cut is gone from disk.
    Compact,
    /// The number of voters has changed.
    Voters(u32),
    /// Close the files. Nothing is written after this.
    Close,
}

pub(super) struct Request {
    pub(super) task: Task,
    pub(super) done: Done,
}

/// Everything the thread owns.
pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) databases: Arc<dyn Databases>,
    pub(super) generation: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    /// What the database does not have yet, and how many bytes that is.
    pub(super) behind: Vec<Change>,
    pub(super) behind_bytes: usize,
    pub(super) watermark: WatermarkFile,
    /// What the watermark is to say, and how many batches of records it does not speak of yet.
    pub(super) mark: Watermark,
    pub(super) unmarked: u32,
    /// The newest record that is durable.
    pub(super) durable: watch::Sender<Option<LogId>>,
    /// What is written down as agreed.
    pub(super) committed: Option<LogId>,
    pub(super) failed: Option<String>,
}

impl Writer {
    /// Starts the thread. It ends when every sender is gone.
    pub(super) fn spawn(self) -> Result<mpsc::Sender<Request>, LogError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || self.run(receiver))?;
        Ok(sender)
    }

    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let began = Instant::now();
            if let Some(end) = self.turn(first, &mut requests) {
                return self.end(end);
            }
            self.shared.took(began.elapsed());
        }
    }

    /// Starts it as a task that waits for a while before each barrier: how long a sync takes.
    #[cfg(feature = "sim")]
    pub(super) fn spawn_paced(mut self, pace: super::recovery::Pace) -> mpsc::Sender<Request> {
        let (sender, mut requests) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while let Some(first) = requests.recv().await {
                let taken = pace();
                tokio::time::sleep(taken).await;
                if let Some(end) = self.turn(first, &mut requests) {
                    return self.end(end);
                }
                self.shared.took(taken);
            }
        });
        sender
    }

    /// Carries out what waits already. Gives the request to close, when it came.
    fn turn(&mut self, first: Request, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let mut drained = vec![first];
        while drained.len() <= QUEUE
            && let Ok(next) = requests.try_recv()
        {
            drained.push(next);
        }
        let closing = drained.iter().position(|request| matches!(request.task, Task::Close));
        // Whatever comes after the end finds nobody to answer it, which says that the log is closed.
        let ending = closing.and_then(|at| drained.drain(at..).next());
        self.carry_out(drained);
        if self.unmarked > 0 && (self.unmarked >= UNMARKED || requests.is_empty()) {
            // Nobody waits for this; a failure raises the flag.
            drop(self.attempt(|writer| writer.write_mark(writer.mark)));
        }
        ending
    }

    fn end(mut self, closing: Request) {
        // What fails here is in the journal, and the flag is up.
        drop(self.attempt(|writer| {
            if writer.unmarked > 0 {
                writer.write_mark(writer.mark)?;
            }
            writer.catch_up()?;
            Ok(writer.journal.trim()?)
        }));
        drop(self.shared.replace_tree(None));
        drop(self);
        if let Done::Reply(reply) = closing.done {
            // A caller that has gone away needs no answer.
            drop(reply.send(Ok(())));
        }
    }

    /// Runs of plain changes share a barrier; everything else stands alone, in order.
    fn carry_out(&mut self, requests: Vec<Request>) {
        let mut changes = Vec::new();
        let mut waiting = Vec::new();
        for request in requests {
            match request.task {
                Task::Change(change @ (Change::Vote(_) | Change::Append(_))) => {
                    changes.push(change);
                    waiting.push(request.done);
                }
                other => {
                    self.finish(std::mem::take(&mut changes), std::mem::take(&mut waiting));
                    let result = self.attempt(|writer| writer.alone(other));
                    self.answer(vec![request.done], &result);
                }
            }
        }
        self.finish(changes, waiting);
    }

    fn finish(&mut self, changes: Vec<Change>, waiting: Vec<Done>) {
        if changes.is_empty() {
            return;
        }
        let result = self.attempt(|writer| writer.barrier(changes));
        self.answer(waiting, &result);
        if result.is_ok() && self.behind_bytes > BEHIND {
            // Nobody waits for this; a failure raises the flag.
            drop(self.attempt(Self::catch_up));
        }
    }

    /// Runs `step` unless an earlier one failed. A failure is final.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<(), LogError>) -> Result<(), String> {
        if let Some(reason) = &self.failed {
            return Err(reason.clone());
        }
        let result = step(self).map_err(|error| {
            let reason = error.to_string();
            self.failed = Some(reason.clone());
            self.shared.report_failure(&reason);
            reason
        });
        if result.is_ok() {
            let last = self.mark.last;
            self.durable.send_if_modified(|known| std::mem::replace(known, last) != last);
        }
        result
    }

    fn answer(&self, waiting: Vec<Done>, result: &Result<(), String>) {
        for done in waiting {
            match done {
                Done::Nobody => {}
                Done::Flushed(callback) => {
                    callback.log_io_completed(result.clone().map_err(std::io::Error::other))
                }
                // A caller that has gone away needs no answer.
                Done::Reply(reply) => drop(reply.send(result.clone().map_err(LogError::Stopped))),
            }
        }
    }

    /// The journal, sled where the two are to be alike, the watermark: each durable before the next. With voters enough to
    /// heal this log, records are acknowledged before the watermark speaks of them: it is then written when there is nothing
    /// else to write. See `docs/decisions/2026-11-28-the-watermark-follows.md`.
    fn barrier(&mut self, mut changes: Vec<Change>) -> Result<(), LogError> {
        let next = changes.iter().fold(self.mark, after);
        let plain = changes.iter().all(|change| matches!(change, Change::Append(_)));
        let follows = plain && self.mark.voters >= VOTERS_THAT_HEAL;
        let agreed = self.shared.committed().filter(|agreed| Some(*agreed) <= next.last);
        self.committed = agreed.or(self.committed);
        let cuts = changes.iter().any(Change::cuts);
        if cuts {
            self.catch_up()?;
        }
        changes.extend(self.committed.map(Change::Committed));
        self.journal.append(&changes)?;
        self.behind_bytes += changes.iter().map(Change::bytes).sum::<usize>();
        self.behind.append(&mut changes);
        if cuts || !self.may_lag() {
            self.catch_up()?;
        }
        if follows {
            self.mark = next;
            self.unmarked += 1;
            return Ok(());
        }
        self.write_mark(next)
    }

    /// Gives the database what only the journal has.
    fn catch_up(&mut self) -> Result<(), LogError> {
        let mut changes = std::mem::take(&mut self.behind);
        self.behind_bytes = 0;
        if changes.is_empty() {
            return Ok(());
        }
        // Each barrier noted what was agreed by then, and only the newest counts.
        changes.retain(|change| !matches!(change, Change::Committed(_)));
        changes.extend(self.committed.map(Change::Committed));
        self.tree()?.write(&changes)?;
        if let Some(last) = changes.iter().filter_map(Change::last).next_back() {
            self.shared.settle(last.index);
        }
        Ok(())
    }

    fn alone(&mut self, task: Task) -> Result<(), LogError> {
        match task {
            Task::Truncate { from, last } => self.truncate(from, last),
            Task::Change(Change::Purge(upto)) => self.purge(upto),
            Task::Change(change) => self.barrier(vec![change]),
            Task::Compact => self.compact(),
            Task::Voters(voters) => self.set_voters(voters),
            // Taken out of the queue before it comes here.
            Task::Close => Ok(()),
        }
    }

    /// The watermark comes down first: from then on nobody counts on what is about to go.
    fn truncate(&mut self, from: u64, last: Option<LogId>) -> Result<(), LogError> {
        self.write_mark(Watermark { last, ..self.mark })?;
        self.barrier(vec![Change::Truncate(from)])
    }

    fn purge(&mut self, upto: LogId) -> Result<(), LogError> {
        self.barrier(vec![Change::Purge(upto)])?;
        self.journal.cut(&self.disk, Head { purged: self.mark.purged, vote: self.mark.vote })?;
        Ok(())
    }

    fn compact(&mut self) -> Result<(), LogError> {
        self.catch_up()?;
        let content = self.tree()?.read_all()?;
        let next = self.generation + 1;
        let tree = self.databases.create(next, &content)?;
        drop(self.shared.replace_tree(Some(tree)));
        self.shared.forget_cut();
        self.databases.remove(self.generation)?;
        self.generation = next;
        self.journal = Journal::rewrite(&self.disk, &content)?;
        Ok(())
    }

    fn set_voters(&mut self, voters: u32) -> Result<(), LogError> {
        self.write_mark(Watermark { voters, ..self.mark })?;
        if self.may_lag() { Ok(()) } else { self.catch_up() }
    }

    fn write_mark(&mut self, mark: Watermark) -> Result<(), LogError> {
        self.watermark.write(mark)?;
        self.mark = mark;
        self.unmarked = 0;
        Ok(())
    }

    /// The database need not have what the journal has.
    fn may_lag(&self) -> bool {
        self.databases.may_lag(self.mark.voters)
    }

    fn tree(&self) -> Result<Arc<dyn Database>, LogError> {
        self.shared.tree()
    }
}

/// The watermark once `change` is durable.
fn after(mark: Watermark, change: &Change) -> Watermark {
    match change {
        Change::Vote(vote) => Watermark { vote: Some(*vote), ..mark },
        Change::Append(records) => {
            Watermark { last: records.last().map(|(log_id, _)| *log_id).or(mark.last), ..mark }
        }
        Change::Purge(upto) => {
            let upto = Some(*upto);
            Watermark { purged: mark.purged.max(upto), last: mark.last.max(upto), ..mark }
        }
        Change::Truncate(_) | Change::Committed(_) => mark,
    }
}
