//! Restoring: a new cluster of one node from a place for backups and the recovery key, nothing else.
//!
//! Every byte is checked against the hash its run names before it counts. What was fetched stays when a restore is cut
//! off, and the next try goes on from there: the folder is that of a node only at the very end.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::listing::{self, Line, ListReader};
use super::manifest::{self, Body, Header, ManifestError, Opener, RunKey};
use super::objects::{self, Checked};
use super::progress::{Phase, Progress};
use super::run::BackupError;
use super::sealed_file::Opening;
use super::target::{Target, TargetError, read_whole};
use super::{AUDIT, RUNS, audit, name_in_run};
use crate::actor::Actor;
use crate::audit::AuditLog;
use crate::blocking::blocking;
use crate::cluster::{Cluster, ClusterConfig, OpenError, ProposeError, restored};
use crate::command::{BackupCommand, Command, KeyHolder};
use crate::disk::{RealDisk, StopFlag};
use crate::id::{AssetId, BackupRunId, NodeId};
use crate::keyring::{Keyring, NodeSecrets, PublicKey, SealedClusterKey};
use crate::persist;
use crate::recovery::RecoveryKey;
use crate::seal::{Seal, SealError};
use crate::state::State;
use crate::store::{BlobError, Blobs, Report};

/// How often one object is asked for when the place does not answer.
const TRIES: u32 = 5;
/// Things that are named one by one in a report.
const NAMED: usize = 1000;

/// Why nothing could be restored. What was fetched so far stays for the next try.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a node already.
    #[error("{} holds a node already; restore into a new folder", .0.display())]
    Exists(PathBuf),
    /// Nothing at the place can be restored.
    #[error("there is no whole backup at this place{0}")]
    NoWholeRun(String),
    /// The place.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The backup itself.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The recovery key.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The new node's key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The new node's disk.
    #[error("this machine's disk: {0}")]
    Store(#[from] BlobError),
    /// The new node.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The restore could not be put on record.
    #[error("the restore could not be put on record: {0}")]
    NotRecorded(#[from] ProposeError),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl From<std::io::Error> for RestoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A run as it lies at a place.
#[derive(Debug, Clone)]
pub struct RunAtTarget {
    /// Which.
    pub run: BackupRunId,
    /// What its manifest says to anybody, or why it is not whole.
    pub header: Result<Header, String>,
}

/// The runs at a place, the newest first; those without a whole manifest last.
///
/// # Errors
/// [`TargetError`] when the place cannot be listed.
pub async fn runs_at(target: &dyn Target) -> Result<Vec<RunAtTarget>, TargetError> {
    let mut listed = target.list(RUNS);
    let mut ids: Vec<BackupRunId> = Vec::new();
    while let Some(entry) = listed.try_next().await? {
        let id = entry.name.strip_prefix(RUNS).and_then(|rest| rest.split_once('/')?.0.parse().ok());
        ids.extend(id.filter(|id| ids.last() != Some(id)));
    }
    let mut runs = Vec::new();
    for run in ids {
        let read = read_whole(target, &name_in_run(run, "manifest"), "", manifest::LONGEST).await;
        let header = match read {
            Ok(bytes) => {
                manifest::decode(&bytes).map(|whole| whole.header).map_err(|error| error.to_string())
            }
            Err(TargetError::Absent(_)) => Err("it was cut off: it has no manifest".to_owned()),
            Err(error) => return Err(error),
        };
        runs.push(RunAtTarget { run, header });
    }
    runs.sort_by_key(|one| std::cmp::Reverse(one.header.as_ref().map_or(0, |header| header.time_ms)));
    Ok(runs)
}

/// What a restore gave.
#[derive(Debug, Clone)]
pub struct RestoreReport {
    /// The run it is of.
    pub header: Header,
    /// Runs that were passed over, and why.
    pub passed_over: Vec<(BackupRunId, String)>,
    /// The new node.
    pub node: NodeId,
    /// Blobs that are here, and their bytes.
    pub blobs: (u64, u64),
    /// How many things could not be had.
    pub missing_count: u64,
    /// The first of them.
    pub missing: Vec<String>,
    /// Assets whose upload was not complete when the backup was taken.
    pub incomplete: Vec<AssetId>,
}

/// A restore.
pub struct Restore {
    /// From where.
    pub target: Arc<dyn Target>,
    /// Opens the backup.
    pub recovery: RecoveryKey,
    /// One run; the newest whole one when there is none.
    pub run: Option<BackupRunId>,
    /// The new node: its folder, name and site.
    pub config: ClusterConfig,
    /// Keeps the new node's key.
    pub seal: Arc<dyn Seal>,
}

impl fmt::Debug for Restore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Restore({:?} into {})", self.target, self.config.dir.display())
    }
}

/// A run, opened.
struct Chosen {
    header: Header,
    body: Body,
    state: State,
    list: PathBuf,
}

/// What could not be had.
#[derive(Default)]
struct Missing {
    count: u64,
    named: Vec<String>,
}

impl Missing {
    fn note(&mut self, what: String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(what);
        }
    }
}

impl Restore {
    /// Carries it out. `told` hears how far it is.
    ///
    /// # Errors
    /// [`RestoreError`]. What is damaged or gone at the place is no error: the report names it.
    pub async fn carry_out(self, told: &(dyn Fn(Progress) + Sync)) -> Result<RestoreReport, RestoreError> {
        if ClusterConfig::is_initialised(&self.config.dir) {
            return Err(RestoreError::Exists(self.config.dir.clone()));
        }
        crate::raft::log::files::create_dir(&self.config.dir)?;
        let scratch = self.config.dir.join("restore");
        crate::raft::log::files::create_dir(&scratch)?;
        let (chosen, passed_over) = self.choose(&scratch).await?;
        let keyring = keyring(&self.recovery, &chosen.state)?;
        let secrets = self.seal.unlock_or_create()?;
        let mut missing = Missing::default();
        let blobs = self.blobs(&chosen, &mut missing, told).await?;
        self.audit(&chosen.body, &secrets, &mut missing, told).await?;
        let Chosen { header, state, .. } = chosen;
        let config = self.config.clone();
        let founded = blocking(move || restored::found(&config, &secrets, &keyring, state)).await;
        let (node, incomplete) = founded.map_err(|error| RestoreError::Failed(error.to_string()))??;
        let report = RestoreReport {
            header,
            passed_over,
            node,
            blobs,
            missing_count: missing.count,
            missing: missing.named,
            incomplete,
        };
        self.record(&report).await?;
        drop(std::fs::remove_dir_all(&scratch));
        Ok(report)
    }

    /// The newest run that can be read, and those that cannot.
    async fn choose(&self, scratch: &Path) -> Result<(Chosen, Vec<(BackupRunId, String)>), RestoreError> {
        let wanted = |one: &RunAtTarget| self.run.is_none_or(|wanted| wanted == one.run);
        let runs: Vec<RunAtTarget> = runs_at(&*self.target).await?.into_iter().filter(wanted).collect();
        // One that was cut off says not when it was taken: it may well be the newest, so it is always named.
        let broken = runs.iter().filter_map(|one| Some((one.run, one.header.as_ref().err()?.clone())));
        let mut passed_over: Vec<_> = broken.collect();
        let mut wrong_key = 0;
        for found in runs.iter().filter(|one| one.header.is_ok()) {
            match self.open(found.run, scratch).await {
                Ok(chosen) => return Ok((chosen, passed_over)),
                Err(RestoreError::Target(error @ TargetError::Unreachable(_))) => return Err(error.into()),
                Err(error) => {
                    wrong_key +=
                        usize::from(matches!(error, RestoreError::Manifest(ManifestError::OtherKey)));
                    passed_over.push((found.run, error.to_string()));
                }
            }
        }
        if wrong_key > 0 && wrong_key == passed_over.len() {
            return Err(ManifestError::OtherKey.into());
        }
        let reasons: Vec<String> =
            passed_over.iter().map(|(run, reason)| format!("; {run}: {reason}")).collect();
        Err(RestoreError::NoWholeRun(reasons.concat()))
    }

    async fn open(&self, run: BackupRunId, scratch: &Path) -> Result<Chosen, RestoreError> {
        let target = &*self.target;
        let opener = Opener::Recovery(&self.recovery);
        let (header, key, body) = open_run(target, run, &opener).await?;
        let state = open_state(target, &body, &key, scratch.join("state")).await?;
        let objects = &body.objects;
        let expected = Some((objects.length, objects.hash));
        let list = scratch.join("objects");
        listing::fetch(target, &objects.name, &objects.version, expected, list.clone()).await?;
        Ok(Chosen { header, body, state, list })
    }

    /// Fetches every Blob that is not here yet.
    async fn blobs(
        &self,
        chosen: &Chosen,
        missing: &mut Missing,
        told: &(dyn Fn(Progress) + Sync),
    ) -> Result<(u64, u64), RestoreError> {
        let disk = Arc::new(RealDisk::open(self.config.blob_dir())?);
        let settings = self.config.blobs.clone();
        let opened = blocking(move || Blobs::open(disk, StopFlag::new(), settings)).await;
        let blobs = opened.map_err(|error| RestoreError::Failed(error.to_string()))??;
        let mut list = ListReader::open(&chosen.list)?;
        let mut here = (0, 0);
        let mut progress =
            Progress { phase: Phase::Blobs, objects_total: chosen.body.count, ..Progress::default() };
        while let Some(line) = list.take()? {
            if line.name.starts_with(AUDIT) {
                progress.objects += 1;
                continue;
            }
            match self.blob(&blobs, &line).await? {
                Ok(()) => here = (here.0 + 1, here.1 + line.length),
                Err(reason) => missing.note(named(&chosen.state, &line, &reason)),
            }
            progress.objects += 1;
            progress.bytes += line.length;
            told(progress);
        }
        Ok(here)
    }

    /// Fetches one Blob; the inner error says what is wrong with it at the place.
    async fn blob(&self, blobs: &Blobs, line: &Line) -> Result<Result<(), String>, RestoreError> {
        let Some((name, hash)) = objects::parse_object(&line.name) else {
            return Ok(Err("it is not the name of a Blob".to_owned()));
        };
        if let Ok(Report::Sealed { file_length, hash: here, .. }) = blobs.held_report(name).await
            && (file_length, here) == (line.length, hash)
        {
            // Fetched, and checked, by an earlier try.
            return Ok(Ok(()));
        }
        let mut tried = 0;
        loop {
            tried += 1;
            match self.fetch(blobs, line, name, hash).await {
                Ok(()) => return Ok(Ok(())),
                Err(RestoreError::Target(TargetError::Unreachable(_))) if tried < TRIES => {
                    tokio::time::sleep(Duration::from_millis(500) * tried).await;
                }
                Err(RestoreError::Target(TargetError::Absent(_))) => return Ok(Err("it is gone".to_owned())),
                Err(
                    RestoreError::Backup(BackupError::Damaged(_))
                    | RestoreError::Store(BlobError::Damaged(_)),
                ) => {
                    return Ok(Err("it is damaged".to_owned()));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn fetch(
        &self,
        blobs: &Blobs,
        line: &Line,
        name: crate::blob::BlobName,
        hash: [u8; 32],
    ) -> Result<(), RestoreError> {
        let damaged = || RestoreError::from(BackupError::Damaged(line.name.clone()));
        let mut bytes = self.target.get(&line.name, &line.version).await?;
        let mut checked = Checked::new(line.length);
        let mut part = blobs.part_begin(name, line.length).await?;
        while let Some(piece) = bytes.try_next().await? {
            if part.length() + piece.len() as u64 > line.length {
                return Err(damaged());
            }
            checked.add(&piece);
            part = part.add(piece).await?;
        }
        let sound = checked.end().is_some_and(|(found, whole)| found == hash && Some(whole) == line.hash());
        if part.length() != line.length || !sound {
            return Err(damaged());
        }
        Ok(part.finish(hash).await?)
    }

    async fn audit(
        &self,
        body: &Body,
        secrets: &NodeSecrets,
        missing: &mut Missing,
        told: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), RestoreError> {
        let failed = |error: &dyn fmt::Display| RestoreError::Failed(error.to_string());
        let key =
            secrets.storage_key().and_then(|key| key.purpose("audit")).map_err(|error| failed(&error))?;
        let disk = Arc::new(RealDisk::open(self.config.audit_dir())?);
        let log = AuditLog::open(disk, Arc::new(key), StopFlag::new()).map_err(|error| failed(&error))?;
        let mut progress =
            Progress { phase: Phase::Audit, objects_total: body.audit.len() as u64, ..Progress::default() };
        for part in body.audit.iter().filter(|part| part.last > log.last()) {
            match audit::read(&*self.target, part).await {
                Ok(records) => {
                    log.resume_after(part.first.saturating_sub(1));
                    log.append(&records).map_err(|error| failed(&error))?;
                }
                Err(BackupError::Target(error @ TargetError::Unreachable(_))) => return Err(error.into()),
                Err(error) => missing.note(format!("audit records {} to {}: {error}", part.first, part.last)),
            }
            progress.objects += 1;
            told(progress);
        }
        log.resume_after(body.chain.sequence);
        log.close().await.map_err(|error| failed(&error))
    }

    /// The new cluster's first change is the record of where it comes from.
    async fn record(&self, report: &RestoreReport) -> Result<(), RestoreError> {
        let cluster = Cluster::open(self.config.clone(), self.seal.clone()).await?;
        let command = BackupCommand::Restored {
            node: report.node,
            from_cluster: report.header.cluster,
            run: report.header.run,
            index: report.header.index,
            missing: report.missing_count,
        };
        let recorded = cluster.propose(Actor::system(report.node), Command::Backup(command)).await;
        cluster.shutdown().await;
        recorded?;
        Ok(())
    }
}

/// Opens the manifest of a run.
pub(super) async fn open_run(
    target: &dyn Target,
    run: BackupRunId,
    opener: &Opener<'_>,
) -> Result<(Header, RunKey, Body), RestoreError> {
    let bytes = read_whole(target, &name_in_run(run, "manifest"), "", manifest::LONGEST).await?;
    let whole = manifest::decode(&bytes)?;
    let (key, body) = whole.open(opener)?;
    Ok((whole.header, key, body))
}

/// Reads State as a run holds it.
pub(super) async fn open_state(
    target: &dyn Target,
    body: &Body,
    key: &RunKey,
    path: PathBuf,
) -> Result<State, RestoreError> {
    let part = &body.state;
    let fetched =
        listing::fetch(target, &part.name, &part.version, Some((part.length, part.hash)), path).await?;
    let key = key.purpose("state").map_err(BackupError::from)?;
    let read = blocking(move || -> Result<State, BackupError> {
        let file = std::io::BufReader::new(std::fs::File::open(&fetched.path)?);
        let mut plain = zeroize::Zeroizing::new(Vec::new());
        Opening::new(key, "state", file)?.read_to_end(&mut plain)?;
        persist::decode(&plain).map_err(|error| BackupError::Local(error.to_string()))
    });
    Ok(read.await.map_err(|error| RestoreError::Failed(error.to_string()))??)
}

/// The cluster keys, by the recovery key.
fn keyring(recovery: &RecoveryKey, state: &State) -> Result<Keyring, RestoreError> {
    let recipient: PublicKey = recovery.public_key();
    let sealed: Vec<SealedClusterKey> = state
        .sealed_keys()
        .flat_map(|(epoch, keys)| {
            let own = keys.iter().filter(|key| key.holder == KeyHolder::Recovery);
            own.map(move |key| SealedClusterKey { epoch, recipient, sealed: key.sealed.clone() })
        })
        .collect();
    Keyring::recover(recovery, &sealed).map_err(|error| BackupError::from(error).into())
}

/// What is missing, with the title people know it by.
fn named(state: &State, line: &Line, reason: &str) -> String {
    let asset = objects::parse_object(&line.name).and_then(|(name, _)| state.asset(name.asset));
    match asset {
        Some(asset) => format!("{}: {reason} (of \"{}\")", line.name, asset.title),
        None => format!("{}: {reason}", line.name),
    }
}
