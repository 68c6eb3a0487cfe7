//! Writing the audit log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::AuditError;
use super::query::{AuditFilter, AuditPage};
use super::segment::{self, FULL, Frame, Frames};
use super::verify::Verdict;
use crate::audit_record::{AuditRecord, ChainHead};
use crate::blocking::{blocking, in_place};
use crate::disk::{Disk, DiskFile, StopFlag, files};
use crate::keyring::AeadKey;

/// This node's audit log. Clones share it.
#[derive(Clone)]
pub struct AuditLog {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    key: Arc<AeadKey>,
    stop: StopFlag,
    writing: Mutex<Writing>,
    /// The newest record that was held when it was opened.
    opened_last: u64,
}

struct Writing {
    /// The segment that takes records.
    open: Option<(Arc<dyn DiskFile>, u64)>,
    /// The newest record written.
    last: u64,
    /// The newest record that is durable.
    durable: u64,
    /// Why nothing is accepted any more.
    failed: Option<AuditError>,
}

impl AuditLog {
    /// Opens the log on `disk`. Blocks.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(disk: Arc<dyn Disk>, key: Arc<AeadKey>, stop: StopFlag) -> Result<Self, AuditError> {
        let writing = resume(&*disk)?;
        let opened_last = writing.last;
        let writing = Mutex::new(writing);
        Ok(Self { inner: Arc::new(Inner { disk, key, stop, writing, opened_last }) })
    }

    /// The flag that goes up when a record could not be written.
    pub(crate) fn stop_flag(&self) -> &StopFlag {
        &self.inner.stop
    }

    /// Where the segments are, and what they are sealed under.
    pub(super) fn place(&self) -> (Arc<dyn Disk>, Arc<AeadKey>) {
        (self.inner.disk.clone(), self.inner.key.clone())
    }

    /// The number of the newest record held.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.writing().last
    }

    /// The number of the newest record that was held when the log was opened, before the Raft log was carried out again.
    #[must_use]
    pub fn opened_last(&self) -> u64 {
        self.inner.opened_last
    }

    /// Adds records that follow the last one. Those held already are passed over, so that applying the Raft log again
    /// changes nothing.
    ///
    /// # Errors
    /// [`AuditError`]; after a failed write the log takes nothing more.
    pub fn append(&self, records: &[AuditRecord]) -> Result<(), AuditError> {
        let mut writing = self.writing();
        if let Some(error) = &writing.failed {
            return Err(error.clone());
        }
        let result = self.append_new(&mut writing, records);
        if let Err(error) = &result {
            self.fail(&mut writing, error);
        }
        result
    }

    fn append_new(&self, writing: &mut Writing, records: &[AuditRecord]) -> Result<(), AuditError> {
        let mut bytes = Vec::new();
        let mut last = writing.last;
        for record in records.iter().filter(|record| record.sequence > writing.last) {
            if record.sequence != last + 1 {
                return Err(AuditError::Gap { last, found: record.sequence });
            }
            last = record.sequence;
            segment::push(&mut bytes, record, &self.inner.key)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let first = writing.last + 1;
        let (file, length) = self.segment(writing, first)?;
        file.write_at(*length, &bytes)?;
        *length += bytes.len() as u64;
        writing.last = last;
        Ok(())
    }

    /// The open segment, or a new one when that is full.
    fn segment<'a>(
        &self,
        writing: &'a mut Writing,
        first: u64,
    ) -> Result<&'a mut (Arc<dyn DiskFile>, u64), AuditError> {
        if writing.open.as_ref().is_none_or(|(_, length)| *length >= FULL) {
            // In this order: a start looks at the newest segment alone.
            let full = writing.open.take();
            writing.open = Some(in_place(|| self.begin_segment(full, first))?);
        }
        writing.open.as_mut().ok_or_else(|| AuditError::Io("no segment is open".to_owned()))
    }

    /// Makes the full segment durable and a new one for the records from `first` on. Blocks.
    fn begin_segment(
        &self,
        full: Option<(Arc<dyn DiskFile>, u64)>,
        first: u64,
    ) -> Result<(Arc<dyn DiskFile>, u64), AuditError> {
        if let Some((full, _)) = full {
            full.sync_data()?;
        }
        let file = self.inner.disk.create(&segment::path(first))?;
        let start = segment::start();
        file.write_at(0, &start)?;
        self.inner.disk.sync_dir(Path::new(""))?;
        Ok((file, start.len() as u64))
    }

    /// Makes everything added so far durable, and gives the number of its last record.
    ///
    /// # Errors
    /// When the sync fails: the log then takes nothing more.
    pub async fn sync(&self) -> Result<u64, AuditError> {
        let this = self.clone();
        let synced = blocking(move || this.sync_now()).await;
        synced.map_err(|error| AuditError::Io(error.to_string()))?
    }

    fn sync_now(&self) -> Result<u64, AuditError> {
        // The sync itself runs outside the lock: records may be added meanwhile.
        let (file, last) = {
            let writing = self.writing();
            if let Some(error) = &writing.failed {
                return Err(error.clone());
            }
            let file = writing.open.as_ref().map(|(file, _)| file.clone());
            (file, writing.last)
        };
        let result = file.map_or(Ok(()), |file| file.sync_data());
        let mut writing = self.writing();
        match result {
            Ok(()) => {
                writing.durable = writing.durable.max(last);
                Ok(writing.durable)
            }
            Err(error) => {
                let error = AuditError::from(error);
                self.fail(&mut writing, &error);
                Err(error)
            }
        }
    }

    /// Makes everything durable and closes the file. Nothing is taken after this.
    ///
    /// # Errors
    /// When the last sync fails.
    pub async fn close(&self) -> Result<(), AuditError> {
        let synced = self.sync().await;
        let mut writing = self.writing();
        writing.open = None;
        writing.failed.get_or_insert_with(|| AuditError::Io("the audit log is closed".to_owned()));
        synced.map(drop)
    }

    /// Goes on after record `sequence`, though the ones before it are not held: they were lost, or came in a snapshot
    /// from elsewhere. [`AuditLog::verify`] names them.
    pub fn resume_after(&self, sequence: u64) {
        let mut writing = self.writing();
        if sequence > writing.last {
            tracing::warn!(first = writing.last + 1, last = sequence, "audit records are not held here");
            writing.last = sequence;
            writing.open = None;
        }
    }

    /// The chain goes on after record `sequence`, though this log holds later ones: the Raft log that made them is lost,
    /// and the operator went on without it. They are kept beside the log as evidence, and are no part of it any more; were
    /// they left, what is done from now on would be passed over as if it were on record already. Gives how many.
    ///
    /// # Errors
    /// When the disk fails: the log then takes nothing more.
    pub fn set_aside_after(&self, sequence: u64) -> Result<u64, AuditError> {
        let mut writing = self.writing();
        if writing.last <= sequence {
            return Ok(0);
        }
        let result = self.cut_after(sequence).and_then(|()| resume(&*self.inner.disk));
        match result {
            Ok(resumed) => {
                let orphans = writing.last - sequence;
                tracing::warn!(first = sequence + 1, last = writing.last, "audit records are set aside");
                *writing = resumed;
                Ok(orphans)
            }
            Err(error) => {
                self.fail(&mut writing, &error);
                Err(error)
            }
        }
    }

    fn cut_after(&self, sequence: u64) -> Result<(), AuditError> {
        let disk = &*self.inner.disk;
        for first in segment::list(disk)?.into_iter().rev() {
            if first > sequence {
                segment::set_aside(disk, first, "orphaned")?;
                continue;
            }
            let path = segment::path(first);
            let bytes = files::read_whole(&*disk.open(&path)?)?;
            let kept = segment::length_up_to(&bytes, sequence);
            if kept < bytes.len() {
                segment::keep_whole(disk, first, "orphaned", &bytes)?;
                files::write_atomically(disk, &path, bytes.get(..kept).unwrap_or_default())?;
            }
            break;
        }
        Ok(disk.sync_dir(Path::new(""))?)
    }

    /// Records that `filter` lets through, newest first, from before `cursor` on. Records that cannot be read are passed
    /// over: [`AuditLog::verify`] names them.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn query(
        &self,
        filter: AuditFilter,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<AuditPage, AuditError> {
        let inner = self.inner.clone();
        let found =
            blocking(move || super::query::run(&*inner.disk, &inner.key, &filter, cursor, limit)).await;
        found.map_err(|error| AuditError::Io(error.to_string()))?
    }

    /// The number of the first record of each segment that is held, in order. The last one may still grow.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn segments(&self) -> Result<Vec<u64>, AuditError> {
        let inner = self.inner.clone();
        let listed = blocking(move || Ok(segment::list(&*inner.disk)?)).await;
        listed.map_err(|error| AuditError::Io(error.to_string()))?
    }

    /// The records of the segment that begins with `first`, in order; those that cannot be read are passed over.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn segment_records(&self, first: u64) -> Result<Vec<AuditRecord>, AuditError> {
        let inner = self.inner.clone();
        let read = blocking(move || {
            let bytes = files::read_whole(&*inner.disk.open(&segment::path(first))?)?;
            Ok(Frames::of(&bytes).whole().filter_map(|stored| stored.open(&inner.key).ok()).collect())
        });
        read.await.map_err(|error| AuditError::Io(error.to_string()))?
    }

    /// Walks the whole chain and holds its end against `head`, the one in State.
    ///
    /// # Errors
    /// When the disk fails. A flaw is no error: it is in the [`Verdict`].
    pub async fn verify(&self, head: ChainHead) -> Result<Verdict, AuditError> {
        self.verify_signed(head, BTreeMap::new()).await
    }

    /// The same, held against the hashes that nodes have signed, too.
    ///
    /// # Errors
    /// As [`AuditLog::verify`].
    pub async fn verify_signed(
        &self,
        head: ChainHead,
        signed: BTreeMap<u64, [u8; 32]>,
    ) -> Result<Verdict, AuditError> {
        let inner = self.inner.clone();
        let verdict = blocking(move || super::verify::run(&*inner.disk, &inner.key, head, &signed)).await;
        verdict.map_err(|error| AuditError::Io(error.to_string()))?
    }

    /// No audit write, no change: the node must stop.
    fn fail(&self, writing: &mut Writing, error: &AuditError) {
        writing.failed = Some(error.clone());
        self.inner.stop.raise(error.to_string());
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.inner.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AuditLog(last {})", self.last())
    }
}

/// Finds the end of what is there and opens it for more.
///
/// Nothing is ever cut off: a segment that does not read to its end is left as it is, and a new one goes on from its last
/// whole record. What a torn write held comes again from the Raft log.
fn resume(disk: &dyn Disk) -> Result<Writing, AuditError> {
    let mut writing = Writing { open: None, last: 0, durable: 0, failed: None };
    let Some(first) = segment::list(disk)?.pop() else { return Ok(writing) };
    let file = disk.open(&segment::path(first))?;
    let bytes = files::read_whole(&*file)?;
    let newest = Frames::of(&bytes).whole().map(|stored| stored.sequence).max();
    writing.last = newest.unwrap_or(first.saturating_sub(1));
    writing.durable = writing.last;
    if newest.is_none() {
        segment::set_aside(disk, first, "damaged")?;
        disk.sync_dir(Path::new(""))?;
        return Ok(writing);
    }
    if Frames::of(&bytes).all(|frame| matches!(frame, Frame::Whole(_))) {
        file.sync_data()?;
        writing.open = Some((file, bytes.len() as u64));
    } else {
        tracing::warn!(segment = first, "an audit segment is torn or damaged; a new one is begun");
    }
    Ok(writing)
}
