//! Opening the log: what is there is held against what was acknowledged, and the better copy is taken.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::LogError;
use super::content::{Change, Content};
use super::database::{Database, Databases, Held};
use super::generation::SledFolders;
use super::journal::{self, Journal};
use super::loss;
use super::store::{LogStore, Shared};
use super::watermark::{self, Found, Watermark, WatermarkFile};
use super::writer::{Request, Writer};
use crate::disk::{Disk, RealDisk, StopFlag};
use crate::keyring::AeadKey;
use crate::raft::types::{LogId, Vote};

/// Where a log lies.
#[derive(Clone)]
pub struct LogPlace {
    /// Journal and watermark.
    pub disk: Arc<dyn Disk>,
    /// The records.
    pub databases: Arc<dyn Databases>,
    /// In a simulated world: the log is written by a task, which waits this long before each barrier.
    #[cfg(feature = "sim")]
    pub pace: Option<Pace>,
}

/// How long the next barrier takes.
#[cfg(feature = "sim")]
pub type Pace = Arc<dyn Fn() -> Duration + Send + Sync>;

impl std::fmt::Debug for LogPlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LogPlace({:?}, {:?})", self.disk, self.databases)
    }
}

impl LogPlace {
    /// In a folder of this machine, which is made if missing: sled beside journal and watermark.
    ///
    /// # Errors
    /// When the folder cannot be made or synced.
    pub fn in_folder(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            disk: Arc::new(RealDisk::open(dir)?),
            databases: Arc::new(SledFolders::new(dir)),
            #[cfg(feature = "sim")]
            pace: None,
        })
    }
}

/// How to open the log.
#[derive(Debug)]
pub struct LogOptions {
    /// Where it lies.
    pub place: LogPlace,
    /// The key records are sealed with.
    pub key: Arc<AeadKey>,
    /// How long the database may take to open.
    pub open_deadline: Duration,
    /// What the newest snapshot covers: the log need not.
    pub snapshot: Option<LogId>,
    /// Something beside the log shows that there was one: if it is absent, it is lost and not new.
    pub was_there: bool,
    /// Raised when a write fails.
    pub stop: StopFlag,
    /// Goes on without the records a former start named as missing. Must name them exactly.
    pub accept_loss: Option<MissingRange>,
}

/// Records that were acknowledged and are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MissingRange {
    /// The first.
    pub first: u64,
    /// The last, when the watermark could be read.
    pub last: Option<u64>,
}

/// What came of opening.
#[derive(Debug)]
pub enum Opened {
    /// Everything acknowledged is there.
    Whole {
        /// The log.
        store: LogStore,
        /// What had to be repaired, one sentence each.
        repairs: Vec<String>,
        /// A loss the operator accepted that is not on record yet: see [`super::forget_loss`].
        accepted_loss: Option<MissingRange>,
    },
    /// Something acknowledged is missing. Nothing was changed on disk.
    Short {
        /// What is there.
        content: Content,
        /// What is not.
        missing: MissingRange,
        /// Voters there were.
        voters: u32,
        /// Why each copy was of no use.
        reasons: Vec<String>,
    },
}

/// Opens the log in `options.place`, making a new one where there is none.
///
/// # Errors
/// When the disk fails, or the loss named is not the loss found. Damage is not an error: see [`Opened::Short`].
pub fn open(options: LogOptions) -> Result<Opened, LogError> {
    let survey = Survey::take(&options)?;
    let missing = survey.missing();
    // Nothing makes up for the snapshot that the log was cut behind: there is no State to go on from.
    let may_be_accepted = survey.best.purged <= options.snapshot;
    if missing.is_none() || (missing == options.accept_loss && may_be_accepted) {
        if let Some(missing) = missing {
            loss::remember(&*options.place.disk, missing)?;
        }
        return survey.start(options, missing);
    }
    let missing = missing.unwrap_or(MissingRange { first: 0, last: None });
    let (voters, reasons) = (survey.mark.voters, survey.reasons);
    Ok(Opened::Short { content: survey.best, missing, voters, reasons })
}

/// What an open would find.
#[derive(Debug)]
pub struct Looked {
    /// The log, as it would be opened.
    pub content: Content,
    /// Acknowledged records that are not there.
    pub missing: Option<MissingRange>,
    /// Why a copy is of no use, one sentence each.
    pub reasons: Vec<String>,
}

/// Looks at the log in `options.place` and leaves it as it is.
///
/// # Errors
/// When the disk fails.
pub fn look(options: &LogOptions) -> Result<Looked, LogError> {
    let mut survey = Survey::take(options)?;
    let missing = survey.missing();
    survey.settle();
    Ok(Looked { content: survey.best, missing, reasons: survey.reasons })
}

/// Opens the log in `options.place` with `changes` made to it, by a node that is not running: all of them or, after a crash,
/// none. `voters` are those in force then.
///
/// # Errors
/// When the disk fails, a change does not fit, or something acknowledged is missing.
pub fn open_changed(options: LogOptions, changes: Vec<Change>, voters: u32) -> Result<LogStore, LogError> {
    let mut survey = Survey::take(&options)?;
    if let Some(missing) = survey.missing() {
        return Err(LogError::Damaged { what: format!("the records {missing} are missing") });
    }
    survey.settle();
    changes.into_iter().try_for_each(|change| survey.best.apply(change))?;
    survey.mark.voters = voters;
    // The database is made anew beside the one there is, and takes its place by one rename.
    survey.tree = None;
    match survey.start(options, None)? {
        Opened::Whole { store, .. } => Ok(store),
        Opened::Short { missing, .. } => {
            Err(LogError::Damaged { what: format!("the records {missing} are missing") })
        }
    }
}

/// What was found on disk, and the best of it.
struct Survey {
    mark: Watermark,
    mark_is_known: bool,
    /// There is no log yet.
    is_new: bool,
    best: Content,
    /// The database that holds `best`, once it has `lacking`.
    tree: Option<Arc<dyn Database>>,
    lacking: Vec<Change>,
    /// Its number.
    generation: u64,
    /// The highest number of any: one that was not finished has no use but its number.
    newest: u64,
    /// The journal holds exactly `best`.
    journal_agrees: bool,
    snapshot: Option<LogId>,
    reasons: Vec<String>,
}

impl Survey {
    fn take(options: &LogOptions) -> Result<Self, LogError> {
        let LogPlace { disk, databases, .. } = &options.place;
        let mut reasons = Vec::new();
        let journal = journal::replay(&**disk)?;
        let current = databases.current()?;
        let is_new = journal.is_none() && current.is_none() && !options.was_there;
        let (mark, mark_is_known) = match watermark::read(&**disk)? {
            Found::Good(mark) => (mark, true),
            // Without a log nothing was acknowledged: an earlier start was cut off here.
            Found::Absent | Found::Damaged if is_new => (Watermark::default(), true),
            Found::Absent | Found::Damaged => (Watermark::default(), false),
        };
        if !mark_is_known {
            reasons.push("the watermark is damaged".to_owned());
        }
        let opened = current.map(|number| databases.open(number, options.open_deadline));
        let database = match opened {
            Some(Ok(found)) => Some(found),
            Some(Err(error)) => {
                reasons.push(format!("the database was of no use: {error}"));
                None
            }
            None => None,
        };
        if let Some(stopped) = journal.as_ref().and_then(|replayed| replayed.stopped.as_ref()) {
            reasons.push(format!("the journal is whole only {stopped}"));
        }
        let journal = journal.map(|replayed| replayed.content);
        let mut survey = Self {
            mark,
            mark_is_known,
            is_new,
            best: Content::default(),
            tree: None,
            lacking: Vec::new(),
            generation: current.unwrap_or(0),
            newest: databases.newest()?,
            journal_agrees: false,
            snapshot: options.snapshot,
            reasons,
        };
        survey.choose(database, journal, databases.may_lag(mark.voters));
        Ok(survey)
    }

    /// The journal where sled may lag behind it and does, while it holds everything acknowledged: sled then gets the rest;
    /// else sled where that holds everything, the journal where that does, or the longer one.
    fn choose(&mut self, database: Option<Held>, journal: Option<Content>, may_lag: bool) {
        let reaches = |content: &Content| content.last.max(self.snapshot) >= self.mark.last;
        if may_lag
            && let (Some((tree, held)), Some(journal)) = (&database, &journal)
            && reaches(journal)
            && let Some(lacking) = journal.since(held)
        {
            self.journal_agrees = journal == held;
            self.lacking = if self.journal_agrees { Vec::new() } else { lacking };
            self.tree = Some(tree.clone());
            self.best = journal.clone();
            return self.keep_vote();
        }
        let database_is_better = match (&database, &journal) {
            (Some((_, held)), Some(journal)) => {
                reaches(held) || (!reaches(journal) && held.last >= journal.last)
            }
            (held, _) => held.is_some(),
        };
        if database_is_better {
            if let Some((tree, content)) = database {
                self.journal_agrees = journal.as_ref() == Some(&content);
                self.tree = Some(tree);
                self.best = content;
            }
        } else if let Some(content) = journal {
            if let Some((_, held)) = database {
                self.reasons.push(format!("the database ends before record {}", held.next_index()));
            }
            self.best = content;
        }
        self.keep_vote();
    }

    /// The watermark remembers the vote even where both copies do not.
    fn keep_vote(&mut self) {
        if self.best.vote < self.mark.vote {
            self.best.vote = self.mark.vote;
            self.tree = None;
        }
    }

    /// Acknowledged records that neither the log nor the snapshot has.
    fn missing(&self) -> Option<MissingRange> {
        let covered = self.snapshot.map_or(0, |snapshot| snapshot.index + 1);
        if let Some(purged) = self.best.purged
            && purged.index >= covered
        {
            return Some(MissingRange { first: covered, last: Some(purged.index) });
        }
        let held = self.best.last.max(self.snapshot);
        if !self.mark_is_known {
            // Two copies that agree vouch for each other; one alone may have lost its end unnoticed.
            let vouched = self.tree.is_some() && self.journal_agrees;
            return (!vouched)
                .then(|| MissingRange { first: held.map_or(0, |held| held.index + 1), last: None });
        }
        let last = self.mark.last.filter(|last| held < Some(*last))?;
        Some(MissingRange { first: held.map_or(0, |held| held.index + 1), last: Some(last.index) })
    }

    /// What consensus is to start from: nothing that a snapshot stands for, and no vote that was surely given is missing.
    fn settle(&mut self) {
        if self.best.last < self.snapshot {
            // The snapshot is ahead: what is left of the log is behind it and of no use.
            self.best.records.clear();
            self.best.purged = self.snapshot;
            self.best.last = self.snapshot;
            self.tree = None;
        }
        // Whoever agreed to a record had voted for its leader, though the vote itself is lost with log and watermark.
        let least = self.best.last.map(|last| Vote::new(last.leader_id.term, last.leader_id.node_id));
        if self.best.vote < least {
            self.best.vote = least;
            self.tree = None;
        }
    }

    /// Puts the log in order and starts its writer.
    fn start(mut self, options: LogOptions, accepted: Option<MissingRange>) -> Result<Opened, LogError> {
        let LogPlace { disk, databases, .. } = options.place.clone();
        let mut rebuilt = false;
        if self.is_new {
            // Before the log itself: from then on a missing watermark means a loss.
            WatermarkFile::create(&*disk, self.mark)?;
        }
        self.settle();
        let tree = match self.tree.take() {
            Some(tree) => {
                if !self.lacking.is_empty() {
                    tree.write(&self.lacking)?;
                }
                tree
            }
            None => {
                rebuilt = self.newest > 0 || !self.is_new;
                self.generation = self.newest + 1;
                databases.create(self.generation, &self.best)?
            }
        };
        databases.remove_others(self.generation)?;
        let journal = Journal::rewrite(&disk, &self.best)?;
        let mark =
            Watermark { vote: self.best.vote, last: self.best.last, purged: self.best.purged, ..self.mark };
        let watermark = WatermarkFile::create(&*disk, mark)?;
        let mut repairs = self.reasons;
        if rebuilt {
            repairs.push("the database was built anew".to_owned());
        }
        repairs.extend(accepted.map(|missing| format!("went on without the records {missing}")));
        let (durable, is_durable) = watch::channel(mark.last);
        let shared = Shared::new(tree, &self.best, options.key, self.mark.voters, options.stop, is_durable);
        let writer = Writer {
            disk,
            databases,
            generation: self.generation,
            shared: shared.clone(),
            journal,
            watermark,
            mark,
            unmarked: 0,
            durable,
            behind: Vec::new(),
            behind_bytes: 0,
            committed: self.best.committed,
            failed: None,
        };
        let accepted_loss = loss::remembered(&*writer.disk)?;
        let store = LogStore::new(shared, spawn(writer, &options.place)?);
        Ok(Opened::Whole { store, repairs, accepted_loss })
    }
}

/// Starts the writer where it belongs: on a thread of its own.
fn spawn(writer: Writer, _place: &LogPlace) -> Result<mpsc::Sender<Request>, LogError> {
    #[cfg(feature = "sim")]
    if let Some(pace) = &_place.pace {
        return Ok(writer.spawn_paced(pace.clone()));
    }
    writer.spawn()
}
