//! Opening the log: what is there is held against what was acknowledged, and the better copy is taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::LogError;
use super::content::Content;
use super::journal::{self, Journal};
use super::loss;
use super::store::{LogStore, Shared};
use super::tree::LogTree;
use super::watermark::{self, Found, Watermark, WatermarkFile};
use super::writer::{VOTERS_WITHOUT_JOURNAL, Writer};
use crate::disk::StopFlag;
use crate::keyring::AeadKey;
use crate::raft::types::LogId;

/// How to open the log.
#[derive(Debug)]
pub struct LogOptions {
    /// Its folder.
    pub dir: PathBuf,
    /// The key records are sealed with.
    pub key: Arc<AeadKey>,
    /// How long sled may take to open.
    pub open_deadline: Duration,
    /// What the newest snapshot covers: the log need not.
    pub snapshot: Option<LogId>,
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

/// Opens the log in `options.dir`, making a new one where there is none.
///
/// # Errors
/// When the disk fails, or the loss named is not the loss found. Damage is not an error: see [`Opened::Short`].
pub fn open(options: LogOptions) -> Result<Opened, LogError> {
    super::files::create_dir(&options.dir)?;
    let survey = Survey::take(&options)?;
    let missing = survey.missing();
    if missing.is_none() || (missing == options.accept_loss && options.accept_loss.is_some()) {
        if let Some(missing) = missing {
            loss::remember(&options.dir, missing)?;
        }
        return survey.start(options, missing);
    }
    let missing = missing.unwrap_or(MissingRange { first: 0, last: None });
    let (voters, reasons) = (survey.mark.voters, survey.reasons);
    Ok(Opened::Short { content: survey.best, missing, voters, reasons })
}

/// What was found on disk, and the best of it.
struct Survey {
    mark: Watermark,
    mark_is_known: bool,
    /// There is no log yet.
    is_new: bool,
    best: Content,
    /// The database `best` came from, if it did.
    tree: Option<LogTree>,
    generation: u64,
    /// The journal holds exactly `best`.
    journal_agrees: bool,
    snapshot: Option<LogId>,
    reasons: Vec<String>,
}

impl Survey {
    fn take(options: &LogOptions) -> Result<Self, LogError> {
        let dir = &options.dir;
        let mut reasons = Vec::new();
        let journal = journal::replay(&journal_path(dir))?;
        let current = generation::current(dir)?;
        let is_new = journal.is_none() && current.is_none();
        let (mark, mark_is_known) = match watermark::read(&watermark_path(dir))? {
            Found::Good(mark) => (mark, true),
            // Without a log nothing was acknowledged: an earlier start was cut off here.
            Found::Absent | Found::Damaged if is_new => (Watermark::default(), true),
            Found::Absent | Found::Damaged => (Watermark::default(), false),
        };
        if !mark_is_known {
            reasons.push("the watermark is damaged".to_owned());
        }
        let opened =
            current.map(|number| LogTree::open(&generation::folder(dir, number), options.open_deadline));
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
            generation: generation::newest(dir)?,
            journal_agrees: false,
            snapshot: options.snapshot,
            reasons,
        };
        survey.choose(database, journal);
        Ok(survey)
    }

    /// sled where it holds everything acknowledged, the journal where that does, else the longer one.
    fn choose(&mut self, database: Option<(LogTree, Content)>, journal: Option<Content>) {
        let reaches = |content: &Content| content.last.max(self.snapshot) >= self.mark.last;
        let database_is_better = match (&database, &journal) {
            (Some((_, held)), Some(journal)) => {
                reaches(held) || (!reaches(journal) && held.last >= journal.last)
            }
            (held, _) => held.is_some(),
        };
        if database_is_better {
            if let Some((tree, content)) = database {
                self.journal_agrees = journal.as_ref() == Some(&content);
                self.generation = self.generation.max(1);
                self.tree = Some(tree);
                self.best = content;
            }
        } else if let Some(content) = journal {
            if let Some((_, held)) = database {
                self.reasons.push(format!("the database ends before record {}", held.next_index()));
            }
            self.best = content;
        }
        // The watermark remembers the vote even where both copies do not.
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

    /// Puts the log in order and starts its writer.
    fn start(mut self, options: LogOptions, accepted: Option<MissingRange>) -> Result<Opened, LogError> {
        let dir = options.dir;
        let mut rebuilt = false;
        if self.is_new {
            // Before the log itself: from then on a missing watermark means a loss.
            WatermarkFile::create(&watermark_path(&dir), self.mark)?;
        }
        if self.best.last < self.snapshot {
            // The snapshot is ahead: what is left of the log is behind it and of no use.
            self.best.records.clear();
            self.best.purged = self.snapshot;
            self.best.last = self.snapshot;
            self.tree = None;
        }
        let tree = match self.tree.take() {
            Some(tree) => tree,
            None => {
                rebuilt = self.generation > 0;
                self.generation += 1;
                let tree = LogTree::create(&generation::folder(&dir, self.generation), &self.best)?;
                generation::point_to(&dir, self.generation)?;
                tree
            }
        };
        generation::remove_others(&dir, self.generation)?;
        let keeps_journal = self.mark.voters < VOTERS_WITHOUT_JOURNAL;
        let journal =
            if keeps_journal { Some(Journal::rewrite(&journal_path(&dir), &self.best)?) } else { None };
        if !keeps_journal {
            journal::remove(&journal_path(&dir))?;
        }
        let mark =
            Watermark { vote: self.best.vote, last: self.best.last, purged: self.best.purged, ..self.mark };
        let watermark = WatermarkFile::create(&watermark_path(&dir), mark)?;
        let mut repairs = self.reasons;
        if rebuilt {
            repairs.push("the database was built anew".to_owned());
        }
        repairs.extend(accepted.map(|missing| format!("went on without the records {missing}")));
        let shared = Shared::new(tree, &self.best, options.key, self.mark.voters, options.stop);
        let writer = Writer {
            dir,
            generation: self.generation,
            shared: shared.clone(),
            journal,
            watermark,
            committed: None,
            failed: None,
        };
        let accepted_loss = loss::remembered(&writer.dir)?;
        Ok(Opened::Whole { store: LogStore::new(shared, writer.spawn()?), repairs, accepted_loss })
    }
}

/// Where the journal lies.
#[must_use]
pub fn journal_path(dir: &Path) -> PathBuf {
    dir.join("journal")
}

/// Where the watermark lies.
#[must_use]
pub fn watermark_path(dir: &Path) -> PathBuf {
    dir.join("watermark")
}

/// The folders sled lives in. A new one is made whole beside the old one, and `current` then names it.
pub mod generation {
    use std::fs;
    use std::io;
    use std::path::{Path, PathBuf};

    use crate::raft::log::files;

    const CURRENT: &str = "current";
    const PREFIX: &str = "sled-";

    /// The folder of one generation.
    #[must_use]
    pub fn folder(dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("{PREFIX}{number}"))
    }

    /// The generation in use. A damaged name is as good as none: no such folder opens.
    pub(crate) fn current(dir: &Path) -> io::Result<Option<u64>> {
        let content = files::read_if_present(&dir.join(CURRENT))?;
        Ok(content.map(|bytes| String::from_utf8_lossy(&bytes).trim().parse().unwrap_or(u64::MAX)))
    }

    pub(crate) fn point_to(dir: &Path, number: u64) -> io::Result<()> {
        files::write_atomically(&dir.join(CURRENT), format!("{number}\n").as_bytes())
    }

    /// The highest number there is a folder of, 0 for none.
    pub(crate) fn newest(dir: &Path) -> io::Result<u64> {
        Ok(numbers(dir)?.into_iter().max().unwrap_or(0))
    }

    pub(crate) fn remove(dir: &Path, number: u64) -> io::Result<()> {
        fs::remove_dir_all(folder(dir, number))?;
        files::sync_dir(dir)
    }

    pub(crate) fn remove_others(dir: &Path, keep: u64) -> io::Result<()> {
        numbers(dir)?.into_iter().filter(|number| *number != keep).try_for_each(|number| remove(dir, number))
    }

    fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for found in fs::read_dir(dir)? {
            let name = found?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        Ok(numbers)
    }
}
