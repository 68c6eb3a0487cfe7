//! The machine that carries out agreed Entries.
//!
//! State lives in memory behind an `ArcSwap`: readers take it without a lock. It starts from the newest snapshot, and the
//! log from there on is applied again. Audit records are handed to the audit log before the State that made them shows.

use std::sync::Arc;

use arc_swap::ArcSwap;
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder, StorageIOError};
use tokio::sync::{broadcast, watch};

use super::log::Durable;
use super::snapshot::{Manifest, Snapshot, SnapshotError, SnapshotFolder, SnapshotImage, SnapshotMeta};
use super::time::ClusterTime;
use super::types::{Answers, LogEntry, LogId, StorageError, StoredMembership, TypeConfig};
use crate::audit::AuditLog;
use crate::audit_record::AuditRecord;
use crate::event::Event;
use crate::persist::Persist;
use crate::state::{PreviousState, State};

/// Events a slow reader may fall behind by before it is told that it missed some.
const EVENTS: usize = 4096;

impl Persist for State {
    const VERSION: u8 = 3;
    type Previous = PreviousState;
    fn migrate(previous: PreviousState) -> Option<Self> {
        Some(previous.into())
    }
}

/// What everybody may see of the machine.
#[derive(Debug)]
pub struct Shown {
    /// The State after the newest applied Entry.
    pub state: ArcSwap<State>,
    /// What changes, as it changes.
    pub events: broadcast::Sender<Event>,
    /// The same without [`Event::AssetChanged`], which comes with every change of a description: whoever has no use for
    /// that one is not woken for it.
    pub job_events: broadcast::Sender<Event>,
    /// The same without [`Event::JobChanged`] as well.
    pub rarer_events: broadcast::Sender<Event>,
    /// The newest record applied and how many Entries that makes.
    pub applied: watch::Sender<Applied>,
    /// Cluster time, which takes note of every stamp applied.
    pub time: ClusterTime,
}

/// How far the machine has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The newest record applied.
    pub last: Option<LogId>,
    /// Members in force.
    pub membership: StoredMembership,
    /// Entries applied, ever. The number of an Entry is its place in this count: it is what State calls its index.
    pub entries: u64,
}

/// openraft's view of the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    shown: Arc<Shown>,
    folder: SnapshotFolder,
    audit: AuditLog,
    durable: Durable,
}

/// What a start from disk gave.
#[derive(Debug)]
pub struct Restored {
    /// The State of the newest snapshot, or an empty one.
    pub state: State,
    /// How far that is.
    pub applied: Applied,
}

impl Restored {
    /// Reads the newest snapshot, and mends it where one of its two copies is damaged.
    ///
    /// # Errors
    /// [`SnapshotError`] when there is one and it cannot be read.
    pub fn read(folder: &SnapshotFolder) -> Result<Self, SnapshotError> {
        let mended = folder.mend()?;
        if mended > 0 {
            tracing::warn!(files = mended, "the snapshot was damaged and is mended from its second copy");
        }
        let Some(manifest) = folder.newest()? else {
            return Ok(Self { state: State::default(), applied: Applied::default() });
        };
        let state = SnapshotFolder::read(&manifest, folder)?;
        Ok(Self { state, applied: Applied::of(&manifest) })
    }

    /// How many voters there were.
    #[must_use]
    pub fn voters(&self) -> usize {
        self.applied.membership.membership().voter_ids().count()
    }

    /// Carries out a record that is known to be agreed, without anybody looking on. For a node that opens read-only.
    pub fn apply(&mut self, entry: &LogEntry) {
        carry_out(&mut self.state, &mut self.applied, entry);
    }
}

impl Applied {
    fn of(manifest: &Manifest) -> Self {
        Self { last: manifest.last, membership: manifest.membership.clone(), entries: manifest.entries }
    }
}

impl Shown {
    /// Shows what was restored.
    #[must_use]
    pub fn new(restored: Restored, time: ClusterTime) -> Arc<Self> {
        time.observe(restored.state.time_ms());
        Arc::new(Self {
            state: ArcSwap::from_pointee(restored.state),
            events: broadcast::Sender::new(EVENTS),
            job_events: broadcast::Sender::new(EVENTS),
            rarer_events: broadcast::Sender::new(EVENTS),
            applied: watch::Sender::new(restored.applied),
            time,
        })
    }
}

/// What one record of the log gave.
struct Effects {
    answers: Answers,
    events: Vec<Event>,
    records: Vec<AuditRecord>,
}

fn carry_out(state: &mut State, applied: &mut Applied, entry: &LogEntry) -> Effects {
    let mut effects = Effects { answers: Answers::default(), events: Vec::new(), records: Vec::new() };
    applied.last = Some(entry.log_id);
    match &entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Membership(membership) => {
            applied.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
        }
        EntryPayload::Normal(batch) => {
            for one in batch.0.iter() {
                applied.entries += 1;
                let done = state.apply(applied.entries, one);
                // One Entry leaves out numbers: those that nodes may have used which are lost for good.
                applied.entries = state.last_applied();
                effects.answers.0.push(done.outcome);
                effects.events.extend(done.events);
                effects.records.extend(done.audit);
            }
        }
    }
    effects
}

impl Machine {
    /// The machine over what is shown, its snapshots and its audit log. It carries out what is durable in this node's log.
    #[must_use]
    pub fn new(shown: Arc<Shown>, folder: SnapshotFolder, audit: AuditLog, durable: Durable) -> Self {
        Self { shown, folder, audit, durable }
    }

    fn applied(&self) -> Applied {
        self.shown.applied.borrow().clone()
    }

    /// Audit first, then State, then news: nobody sees a change that is not accounted for.
    fn show(&self, state: State, applied: Applied, events: Vec<Event>) {
        self.shown.time.observe(state.time_ms());
        self.shown.state.store(Arc::new(state));
        self.shown.applied.send_replace(applied);
        for event in events {
            // Nobody may be listening.
            if !matches!(event, Event::AssetChanged { .. }) {
                if !matches!(event, Event::JobChanged { .. }) {
                    drop(self.shown.rarer_events.send(event.clone()));
                }
                drop(self.shown.job_events.send(event.clone()));
            }
            drop(self.shown.events.send(event));
        }
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = SnapshotTask;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let applied = self.applied();
        Ok((applied.last, applied.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answers>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().collect();
        let last = entries.last().map(|entry| entry.log_id);
        self.durable.reaches(last).await.map_err(|error| {
            StorageError::from(StorageIOError::write_logs(anyerror::AnyError::error(error)))
        })?;
        let mut state = State::clone(&self.shown.state.load());
        let mut applied = self.applied();
        let mut answers = Vec::new();
        let mut events = Vec::new();
        let mut records = Vec::new();
        for entry in entries {
            let effects = carry_out(&mut state, &mut applied, &entry);
            answers.push(effects.answers);
            events.extend(effects.events);
            records.extend(effects.records);
        }
        self.audit.append(&records).map_err(|error| {
            StorageError::from(StorageIOError::write_state_machine(anyerror::AnyError::error(error)))
        })?;
        self.show(state, applied, events);
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotTask {
        // Taken here, between two calls of `apply`; the writing itself goes on beside later ones.
        SnapshotTask {
            state: self.shown.state.load_full(),
            applied: self.applied(),
            folder: self.folder.clone(),
            audit: self.audit.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotImage>, StorageError> {
        Ok(Box::new(SnapshotImage { manifest: None, source: Arc::new(self.folder.clone()) }))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<SnapshotImage>,
    ) -> Result<(), StorageError> {
        let folder = self.folder.clone();
        let signature = meta.signature();
        let (state, applied) = blocking(move || {
            let manifest =
                snapshot.manifest.ok_or_else(|| SnapshotError::Damaged("nothing was received".to_owned()))?;
            // Read first: the snapshot that is here is let go only for one that this node can use.
            let state = SnapshotFolder::read(&manifest, &*snapshot.source)?;
            let (ours, _) = folder.take_over(&manifest, &*snapshot.source)?;
            Ok((state, Applied::of(&ours)))
        })
        .await
        .map_err(|error| {
            // Consensus ends with this error, and whoever waits for the snapshot must not wait for ever.
            self.audit.stop_flag().raise(format!("a snapshot could not be installed: {error}"));
            failed(ErrorSubject::Snapshot(Some(signature)), ErrorVerb::Write, &error)
        })?;
        self.audit.resume_after(State::chain_head(&state).sequence);
        // What changed in between is not known one by one: whoever follows anything looks at all of it.
        self.show(state, applied, vec![Event::StateReplaced]);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let folder = self.folder.clone();
        let newest = blocking(move || folder.newest()).await;
        let newest = newest.map_err(|error| failed(ErrorSubject::Snapshot(None), ErrorVerb::Read, &error))?;
        Ok(newest.map(|manifest| image(manifest, &self.folder)))
    }
}

/// One snapshot to be written.
#[derive(Debug)]
pub struct SnapshotTask {
    state: Arc<State>,
    applied: Applied,
    folder: SnapshotFolder,
    audit: AuditLog,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotTask {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        // A start from this snapshot does not apply the Entries before it again, so their audit records must be durable.
        self.audit.sync().await.map_err(|error| {
            StorageError::from(StorageIOError::write_snapshot(None, anyerror::AnyError::error(error)))
        })?;
        let (state, applied, folder) = (self.state.clone(), self.applied.clone(), self.folder.clone());
        let (manifest, written) =
            blocking(move || folder.write(&*state, (applied.last, applied.membership, applied.entries)))
                .await
                .map_err(|error| failed(ErrorSubject::Snapshot(None), ErrorVerb::Write, &error))?;
        tracing::info!(fresh = written.fresh, reused = written.reused, "snapshot written");
        Ok(image(manifest, &self.folder))
    }
}

fn image(manifest: Manifest, folder: &SnapshotFolder) -> Snapshot {
    let meta = manifest.meta();
    let image = SnapshotImage { manifest: Some(manifest), source: Arc::new(folder.clone()) };
    Snapshot { meta, snapshot: Box::new(image) }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, SnapshotError> {
    crate::blocking::blocking(work).await.map_err(std::io::Error::other)?
}

fn failed(subject: ErrorSubject<u64>, verb: ErrorVerb, error: &SnapshotError) -> StorageError {
    StorageIOError::new(subject, verb, anyerror::AnyError::error(error)).into()
}
