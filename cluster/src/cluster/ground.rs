//! What a node is opened from: its folder, looked at and held against itself before anything is started.

use std::fs::File;
use std::sync::Arc;

use super::identity::Identity;
use super::start::How;
use super::{ClusterConfig, OpenError, format};
use crate::audit::AuditLog;
use crate::disk::{RealDisk, StopFlag};
use crate::keyring::{NodeSecrets, StorageKey};
use crate::raft::log::content::Content;
use crate::raft::log::{self, LogOptions, LogPlace, Opened, files};
use crate::raft::machine::Restored;
use crate::raft::snapshot::{SnapshotError, SnapshotFolder};
use crate::raft::types::LogId;
use crate::seal::{Seal, SealMode};
use crate::store::Blobs;

/// Makes the folder and the secrets of a node that is about to join.
pub(super) fn prepare(
    config: &ClusterConfig,
    seal: &dyn Seal,
) -> Result<(NodeSecrets, StorageKey), OpenError> {
    files::create_dir(&config.dir)?;
    let _alone = lock(config)?;
    let secrets = seal.unlock_or_create()?;
    let storage_key = secrets.storage_key()?;
    Ok((secrets, storage_key))
}

/// What is on disk, opened.
pub(super) struct Ground {
    pub(super) identity: Option<Identity>,
    pub(super) lock: File,
    pub(super) secrets: NodeSecrets,
    pub(super) storage_key: StorageKey,
    pub(super) seal_mode: SealMode,
    pub(super) folder: SnapshotFolder,
    pub(super) restored: Restored,
    pub(super) audit: AuditLog,
    pub(super) blobs: Blobs,
    pub(super) stop: StopFlag,
    pub(super) opened: Opened,
}

impl Ground {
    pub(super) fn open(config: &ClusterConfig, seal: &dyn Seal, how: How) -> Result<Self, OpenError> {
        files::create_dir(&config.dir)?;
        let lock = lock(config)?;
        format::check(config)?;
        let secrets = if how == How::Create { seal.unlock_or_create()? } else { seal.unlock()? };
        let storage_key = secrets.storage_key()?;
        let identity = Identity::read(config, &storage_key)?;
        let stop = StopFlag::new();
        let disk = |dir| RealDisk::open(dir).map(Arc::new);
        let folder =
            SnapshotFolder::open(disk(config.snapshot_dir())?, Arc::new(storage_key.purpose("snapshot")?))?;
        let restored = Restored::read(&folder).map_err(|error| match error {
            SnapshotError::Damaged(what) => OpenError::SnapshotDamaged { dir: config.snapshot_dir(), what },
            other => other.into(),
        })?;
        let audit =
            AuditLog::open(disk(config.audit_dir())?, Arc::new(storage_key.purpose("audit")?), stop.clone())?;
        audit.resume_after(restored.state.chain_head().sequence);
        let settled = identity.as_ref().is_some_and(|identity| identity.settled);
        let knew_something = settled || audit.last() > 0;
        // A restore from a backup leaves an empty folder for the log. One that is not there was taken away.
        let is_gone = !config.log_dir().exists();
        let opened = log::open(LogOptions {
            place: LogPlace::in_folder(&config.log_dir())?,
            key: Arc::new(storage_key.purpose("raft log")?),
            open_deadline: config.open_deadline,
            snapshot: restored.applied.last,
            was_there: is_gone && (knew_something || restored.applied.last.is_some()),
            stop: stop.clone(),
            accept_loss: config.accept_loss,
        })?;
        match &opened {
            Opened::Short { content, .. } => {
                if is_gone {
                    // So that the next start sees the same; there is nothing in it.
                    std::fs::remove_dir(config.log_dir())?;
                }
                check_loss(config, content, restored.applied.last)?;
            }
            Opened::Whole { store, .. } => {
                if knew_something && store.range().is_none() && restored.applied.last.is_none() {
                    return Err(OpenError::Wiped(config.log_dir()));
                }
            }
        }
        let blobs = Blobs::open(disk(config.blob_dir())?, stop.clone(), config.blobs.clone())?;
        let seal_mode = seal.mode();
        Ok(Self {
            identity,
            lock,
            secrets,
            storage_key,
            seal_mode,
            folder,
            restored,
            audit,
            blobs,
            stop,
            opened,
        })
    }
}

/// Refuses to go on where what is left gives no State at all.
fn check_loss(config: &ClusterConfig, left: &Content, snapshot: Option<LogId>) -> Result<(), OpenError> {
    if left.last.is_none() && snapshot.is_none() {
        return Err(OpenError::Wiped(config.log_dir()));
    }
    match left.purged {
        Some(purged) if left.purged > snapshot => {
            Err(OpenError::SnapshotGone { dir: config.snapshot_dir(), upto: purged.index })
        }
        _ => Ok(()),
    }
}

pub(super) fn lock(config: &ClusterConfig) -> Result<File, OpenError> {
    let file = File::options().create(true).truncate(false).write(true).open(config.lock_file())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(config.dir.clone())),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}
