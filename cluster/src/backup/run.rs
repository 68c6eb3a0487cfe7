//! Taking a backup: State at one log index, every Blob it names, the audit log up to it; the manifest last.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use futures_util::{StreamExt, TryStreamExt};

use super::listing::{self, Line, ListReader, ListWriter, LocalFile};
use super::manifest::{self, AuditPart, Body, Header, ManifestError, Opener, Part, RunKey};
use super::objects::{self, Found};
use super::progress::{Phase, ProgressCell};
use super::sealed_file::Sealing;
use super::target::{Target, TargetError, put_small, read_whole};
use super::{audit, name_in_run};
use crate::audit::AuditError;
use crate::blocking::blocking;
use crate::cluster::{Cluster, ProposeError};
use crate::command::{BackupKind, BackupResult};
use crate::keyring::{KeyError, PublicKey};
use crate::persist::Persist;
use crate::state::{Asset, BackupRun, Limits, RunState, State};

/// Assets looked at between two looks at State.
const ASSETS_TOGETHER: usize = 256;

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The place did not do what it was asked to.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The cluster could not be asked.
    #[error("the cluster cannot be asked: {0}")]
    Propose(#[from] ProposeError),
    /// Another node goes on with the run, or it has ended.
    #[error("the run has ended, or another node goes on with it")]
    Lost,
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An object is not what was stored.
    #[error("`{0}` is not what was stored")]
    Damaged(String),
    /// This node's own disk, or a fault in the program.
    #[error("this node could not prepare the backup: {0}")]
    Local(String),
}

impl BackupError {
    /// The stable code: in State, the API and alerts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Target(error) => error.code(),
            Self::Propose(_) => "cluster_unavailable",
            Self::Lost => "backup_over",
            Self::Manifest(_) => "manifest_unreadable",
            Self::Audit(_) => "audit_unreadable",
            Self::Key(_) => "key_unavailable",
            Self::Damaged(_) => "backup_damaged",
            Self::Local(_) => "node_failed",
        }
    }
}

impl From<std::io::Error> for BackupError {
    fn from(error: std::io::Error) -> Self {
        Self::Local(error.to_string())
    }
}

/// Notes what was found wrong; the first few by name.
pub(super) fn note_flaw(result: &mut BackupResult, flaw: impl Into<String>) {
    result.flaw_count += 1;
    if result.flaws.len() < Limits::BACKUP_FLAWS {
        let flaw: String = flaw.into().chars().take(Limits::NAME as usize).collect();
        result.flaws.push(flaw);
    }
}

/// The folder in which a run keeps what it needs on this node, empty.
pub(super) async fn scratch(cluster: &Cluster) -> Result<PathBuf, BackupError> {
    let folder = cluster.config().dir.join("backup");
    let made = folder.clone();
    let cleared = blocking(move || {
        match std::fs::remove_dir_all(&made) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        crate::raft::log::files::create_dir(&made)
    });
    cleared.await.map_err(|error| BackupError::Local(error.to_string()))??;
    Ok(folder)
}

/// Takes the backup `run`.
pub(crate) async fn carry_out(
    cluster: &Cluster,
    run: &BackupRun,
    target: Arc<dyn Target>,
    progress: &ProgressCell,
) -> Result<BackupResult, BackupError> {
    let state = cluster.linearizable().await?;
    let current = state.backup_run(run.id).ok_or(BackupError::Lost)?;
    if current.state != RunState::Running || current.epoch != run.epoch {
        return Err(BackupError::Lost);
    }
    let scratch = scratch(cluster).await?;
    let known = Known::of(cluster, &state, run, &*target, &scratch).await?;
    let days = state.kept_days(run.target, run.kind);
    // A day more than it is kept: a run that takes long is locked for all of its time.
    let lock_ms = cluster.now_ms() + (u64::from(days) + 1) * Limits::DAY_MS;
    let list = ListWriter::create(scratch.join("objects"))?;
    let mut result = BackupResult { index: state.last_applied(), ..BackupResult::default() };
    let records = state.chain_head().sequence;
    if known.audit_head > records {
        note_flaw(
            &mut result,
            format!(
                "audit: the backup before holds {} records and this cluster {records}: it was rolled back",
                known.audit_head
            ),
        );
    }
    let copying = Copying {
        cluster,
        run,
        lock_until_ms: target.locks().then_some(lock_ms),
        target,
        progress,
        scratch,
        known,
        list,
        result,
        state,
    };
    copying.carry_out().await
}

/// What is at the target already, by the newest whole run.
struct Known {
    list: Option<ListReader>,
    audit: Vec<AuditPart>,
    /// The newest record of the audit log that it holds.
    audit_head: u64,
    /// Objects that a check found wrong since.
    suspects: BTreeSet<String>,
    /// More was found wrong than was named: everything is looked for again.
    doubtful: bool,
}

impl Known {
    async fn of(
        cluster: &Cluster,
        state: &State,
        run: &BackupRun,
        target: &dyn Target,
        scratch: &Path,
    ) -> Result<Self, BackupError> {
        let mut known =
            Self { list: None, audit: Vec::new(), audit_head: 0, suspects: BTreeSet::new(), doubtful: false };
        let Some(newest) = state.newest_whole(run.target) else { return Ok(known) };
        let result = newest.whole().cloned().unwrap_or_default();
        let name = name_in_run(newest.id, "objects");
        match listing::fetch(target, &name, "", None, scratch.join("known")).await {
            Ok(list) if list.hash == result.list => known.list = Some(ListReader::open(&list.path)?),
            Ok(_) => {
                tracing::warn!(run = %newest.id, "the list of the newest backup is damaged: all is looked for")
            }
            Err(TargetError::Absent(_)) => {
                tracing::warn!(run = %newest.id, "the list of the newest backup is gone: all is looked for");
            }
            Err(error) => return Err(error.into()),
        }
        let manifest = read_whole(target, &name_in_run(newest.id, "manifest"), "", manifest::LONGEST).await;
        let opened = manifest.ok().and_then(|bytes| {
            let whole = manifest::decode(&bytes).ok()?;
            whole.open(&Opener::Node(cluster.secrets())).ok()
        });
        // A node that joined since cannot open it, and sends the audit log anew.
        if let Some((_, body)) = opened {
            (known.audit, known.audit_head) = (body.audit, body.chain.sequence);
        }
        let checks = state.backup_runs().into_iter().filter(|check| check.target == run.target);
        let newest_check = checks.into_iter().find_map(|check| match (&check.kind, &check.state) {
            (BackupKind::Verify { .. }, RunState::Done { result, .. })
                if check.began_ms >= newest.began_ms =>
            {
                Some(result)
            }
            _ => None,
        });
        if let Some(check) = newest_check {
            known.doubtful = check.flaw_count > check.flaws.len() as u64;
            let named = check.flaws.iter().filter_map(|flaw| flaw.split_once(": "));
            known.suspects = named.map(|(name, _)| name.to_owned()).collect();
        }
        Ok(known)
    }
}

/// A backup that is being taken.
struct Copying<'a> {
    cluster: &'a Cluster,
    run: &'a BackupRun,
    state: Arc<State>,
    target: Arc<dyn Target>,
    progress: &'a ProgressCell,
    scratch: PathBuf,
    lock_until_ms: Option<u64>,
    known: Known,
    list: ListWriter,
    result: BackupResult,
}

impl Copying<'_> {
    async fn carry_out(mut self) -> Result<BackupResult, BackupError> {
        let audit = self.audit().await?;
        let total = self.state.assets_by_id(None).count() as u64;
        self.progress.note(|progress| (progress.phase, progress.objects_total) = (Phase::Blobs, total));
        let mut after = None;
        loop {
            let assets = self.state.assets_after(after, ASSETS_TOGETHER);
            let Some(last) = assets.last() else { break };
            after = Some(*last);
            for id in assets {
                if let Some(asset) = self.state.asset(id).cloned() {
                    self.asset(&asset).await?;
                }
                self.progress.note(|progress| progress.objects += 1);
            }
            self.still_ours()?;
        }
        self.finish(audit).await
    }

    /// The run may have been taken over while this node did not answer.
    fn still_ours(&self) -> Result<(), BackupError> {
        let state = self.cluster.state();
        let current = state.backup_run(self.run.id).ok_or(BackupError::Lost)?;
        let ours = current.state == RunState::Running && current.epoch == self.run.epoch;
        if ours { Ok(()) } else { Err(BackupError::Lost) }
    }

    /// The audit log up to the run's index; what later runs share comes first in the list.
    async fn audit(&mut self) -> Result<Vec<AuditPart>, BackupError> {
        self.progress.note(|progress| progress.phase = Phase::Audit);
        let upto = self.state.chain_head().sequence;
        let run_file = name_in_run(self.run.id, "audit");
        let place = (run_file.as_str(), self.lock_until_ms);
        let parts = audit::send(self.cluster.audit(), upto, &self.known.audit, &*self.target, place).await?;
        for part in parts.iter().filter(|part| part.object.name.starts_with(super::AUDIT)) {
            let Part { name, version, length, hash } = part.object.clone();
            let hash = HEXLOWER.encode(&hash);
            self.list.add(&Line { name, length, hash, version, locked_until_ms: self.lock_until_ms })?;
            self.result.objects += 1;
            self.result.bytes += length;
        }
        Ok(parts)
    }

    async fn asset(&mut self, asset: &Asset) -> Result<(), BackupError> {
        let inventory = objects::inventory(self.cluster.bytes(), &self.state, asset).await;
        for missing in inventory.missing {
            note_flaw(&mut self.result, missing);
        }
        let mut found = inventory.found;
        found.sort_unstable_by_key(Found::object);
        for blob in found {
            match self.object(&blob).await? {
                Some(line) => {
                    self.result.objects += 1;
                    self.result.bytes += line.length;
                    self.list.add(&line)?;
                }
                None => note_flaw(&mut self.result, format!("{}: every copy is damaged", blob.object())),
            }
        }
        Ok(())
    }

    /// Sees to it that one Blob is at the target; none when no node has a sound copy.
    async fn object(&mut self, found: &Found) -> Result<Option<Line>, BackupError> {
        let name = found.object();
        let listed = match &mut self.known.list {
            Some(list) => list.find(&name)?,
            None => None,
        };
        let suspect = self.known.suspects.contains(&name);
        if let Some(line) = listed.clone().filter(|_| !suspect && !self.known.doubtful) {
            return self.keep(line).await.map(Some);
        }
        if !suspect
            && let Some(there) = self.target.find(&name).await?
            && there.length == found.length
            && let Some(hash) = self.hash_here(found).await
        {
            let (hash, version) = (HEXLOWER.encode(&hash), there.version);
            let line = Line { name, length: found.length, hash, version, locked_until_ms: None };
            return self.keep(line).await.map(Some);
        }
        self.send(found, name).await
    }

    /// An object that is there stays locked for as long as this run is kept.
    async fn keep(&self, mut line: Line) -> Result<Line, BackupError> {
        let is_locked = |until_ms: &u64| line.locked_until_ms.is_some_and(|kept_ms| kept_ms >= *until_ms);
        if let Some(until_ms) = self.lock_until_ms.filter(|until_ms| !is_locked(until_ms)) {
            let kept = self.target.lock(&line.name, &line.version, until_ms).await?;
            line.locked_until_ms = Some(kept);
        }
        Ok(line)
    }

    /// The hash of a whole file, by a sound copy of it. For an object that a run which came to nothing has sent.
    async fn hash_here(&self, found: &Found) -> Option<[u8; 32]> {
        for holder in &found.holders {
            let (mut bytes, whole) = objects::stream_of(self.cluster.bytes(), *holder, found);
            while let Ok(Some(_)) = bytes.try_next().await {}
            if let Some(hash) = whole.get() {
                return Some(hash);
            }
        }
        None
    }

    async fn send(&mut self, found: &Found, name: String) -> Result<Option<Line>, BackupError> {
        for holder in &found.holders {
            let (bytes, whole) = objects::stream_of(self.cluster.bytes(), *holder, found);
            let progress = self.progress.clone();
            let counted = bytes.inspect_ok(move |piece| {
                progress.note(|progress| progress.bytes += piece.len() as u64);
            });
            match self.target.put(&name, found.length, counted.boxed(), self.lock_until_ms).await {
                Ok(stored) => {
                    let hash = whole.get().ok_or_else(|| BackupError::Damaged(name.clone()))?;
                    self.result.moved_objects += 1;
                    self.result.moved_bytes += found.length;
                    return Ok(Some(Line {
                        name,
                        length: found.length,
                        hash: HEXLOWER.encode(&hash),
                        version: stored.version,
                        locked_until_ms: stored.locked_until_ms,
                    }));
                }
                Err(TargetError::Source(reason)) => {
                    tracing::warn!(%name, %holder, reason, "a copy could not be read for the backup");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    async fn finish(self, audit: Vec<AuditPart>) -> Result<BackupResult, BackupError> {
        let Self { run, state, target, progress, scratch, lock_until_ms, list, mut result, .. } = self;
        let target = &*target;
        let chain = state.chain_head();
        progress.note(|progress| progress.phase = Phase::State);
        let key = RunKey::generate()?;
        let sealed = seal_state(&state, &key, scratch.join("state")).await?;
        let sealed = put_file(target, name_in_run(run.id, "state"), &sealed, lock_until_ms).await?;
        let list = list.finish().await?;
        result.list = list.hash;
        let objects = put_file(target, name_in_run(run.id, "objects"), &list, lock_until_ms).await?;
        let recipients = key.seal_to(run.id, &recipients(&state)?)?;
        let info = state.cluster_info().ok_or(BackupError::Lost)?;
        let header = Header {
            cluster: info.id,
            run: run.id,
            index: state.last_applied(),
            time_ms: state.time_ms(),
            recipients,
        };
        let body = Body { run: run.id, state: sealed, objects, count: result.objects, audit, chain };
        let bytes = manifest::encode(&header, &body, &key)?;
        result.manifest = super::hash(&bytes);
        put_small(target, &name_in_run(run.id, "manifest"), bytes, lock_until_ms).await?;
        // What is left behind is cleared by the next run.
        drop(std::fs::remove_dir_all(&scratch));
        Ok(result)
    }
}

/// The recovery key and every node: whoever is given the cluster keys is given the run's.
fn recipients(state: &State) -> Result<Vec<PublicKey>, BackupError> {
    let info = state.cluster_info().ok_or(BackupError::Lost)?;
    let nodes = state.nodes().map(|node| PublicKey::from_bytes(node.public_key));
    Ok(std::iter::once(PublicKey::from_bytes(info.recovery_public_key)).chain(nodes).collect())
}

/// Writes State down, sealed, without holding its bytes in memory.
async fn seal_state(state: &Arc<State>, key: &RunKey, path: PathBuf) -> Result<LocalFile, BackupError> {
    let (state, key, file) = (state.clone(), key.purpose("state")?, path.clone());
    let sealed = blocking(move || -> std::io::Result<()> {
        let out = BufWriter::new(std::fs::File::create(file)?);
        let mut sealing = Sealing::new(key, "state", out)?;
        sealing.write_all(&[State::VERSION])?;
        let sealing = postcard::to_io(&*state, sealing).map_err(std::io::Error::other)?;
        sealing.finish().map(drop)
    });
    sealed.await.map_err(|error| BackupError::Local(error.to_string()))??;
    Ok(LocalFile::of(path).await?)
}

async fn put_file(
    target: &dyn Target,
    name: String,
    file: &LocalFile,
    lock_until_ms: Option<u64>,
) -> Result<Part, BackupError> {
    let stored = target.put(&name, file.length, file.stream().await?, lock_until_ms).await?;
    Ok(Part { name, version: stored.version, length: file.length, hash: file.hash })
}
