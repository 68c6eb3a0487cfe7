//! Looking whether a backup is what it was: everything is there, and what is read again has its hash.

use std::sync::Arc;

use futures_util::TryStreamExt;
use rand::RngExt;

use super::listing::{self, Line, ListReader};
use super::manifest;
use super::name_in_run;
use super::progress::{Phase, ProgressCell};
use super::run::{BackupError, note_flaw, scratch};
use super::target::{Target, TargetError, read_whole};
use crate::cluster::Cluster;
use crate::command::BackupResult;
use crate::id::BackupRunId;
use crate::state::State;

/// Of a sample, about so many objects are read; of a small backup all.
const SAMPLE: f64 = 50.0;
/// And at least this part of all.
const SAMPLE_PART: f64 = 0.02;

/// Looks at the run `of`: the list whole, every object's length, and every byte or a sample.
pub(crate) async fn verify(
    cluster: &Cluster,
    of: BackupRunId,
    full: bool,
    target: Arc<dyn Target>,
    progress: &ProgressCell,
) -> Result<BackupResult, BackupError> {
    let state = cluster.linearizable().await?;
    let kept = state.backup_run(of).and_then(|run| run.whole()).ok_or(BackupError::Lost)?.clone();
    let mut result = BackupResult {
        index: kept.index,
        manifest: kept.manifest,
        list: kept.list,
        ..BackupResult::default()
    };
    progress.note(|progress| (progress.phase, progress.objects_total) = (Phase::Blobs, kept.objects));
    parts(&*target, of, &kept, &mut result).await?;
    let scratch = scratch(cluster).await?;
    let name = name_in_run(of, "objects");
    let list = match listing::fetch(&*target, &name, "", None, scratch.join("verified")).await {
        Ok(list) if list.hash == kept.list => list,
        Ok(_) => return flawed(result, &name, "it is damaged"),
        Err(TargetError::Absent(_)) => return flawed(result, &name, "it is gone"),
        Err(error) => return Err(error.into()),
    };
    #[expect(clippy::cast_precision_loss, reason = "a share of a sample need not be exact")]
    let share = if full { 1.0 } else { (SAMPLE / kept.objects.max(1) as f64).max(SAMPLE_PART) };
    let mut lines = ListReader::open(&list.path)?;
    while let Some(line) = lines.take()? {
        let read = rand::rng().random_bool(share.min(1.0));
        object(&*target, &line, read, &mut result).await?;
        progress.note(|progress| {
            progress.objects = result.objects;
            progress.bytes = result.moved_bytes;
        });
        still_kept(&cluster.state(), of)?;
    }
    Ok(result)
}

fn flawed(mut result: BackupResult, name: &str, what: &str) -> Result<BackupResult, BackupError> {
    note_flaw(&mut result, format!("{name}: {what}"));
    Ok(result)
}

fn still_kept(state: &State, of: BackupRunId) -> Result<(), BackupError> {
    state.backup_run(of).and_then(|run| run.whole()).map(drop).ok_or(BackupError::Lost)
}

/// The manifest, and State and the newest audit records beside it.
async fn parts(
    target: &dyn Target,
    of: BackupRunId,
    kept: &BackupResult,
    result: &mut BackupResult,
) -> Result<(), BackupError> {
    let name = name_in_run(of, "manifest");
    match read_whole(target, &name, "", manifest::LONGEST).await {
        Ok(bytes) if super::hash(&bytes) == kept.manifest => {}
        Ok(_) => note_flaw(result, format!("{name}: it is damaged")),
        Err(TargetError::Absent(_)) => note_flaw(result, format!("{name}: it is gone")),
        Err(error) => return Err(error.into()),
    }
    let name = name_in_run(of, "state");
    if target.find(&name).await?.is_none() {
        note_flaw(result, format!("{name}: it is gone"));
    }
    Ok(())
}

/// One object: there, of its length, and with its hash when it is to be read.
async fn object(
    target: &dyn Target,
    line: &Line,
    read: bool,
    result: &mut BackupResult,
) -> Result<(), BackupError> {
    result.objects += 1;
    result.bytes += line.length;
    let Some(found) = target.find(&line.name).await? else {
        note_flaw(result, format!("{}: it is gone", line.name));
        return Ok(());
    };
    if found.length != line.length {
        note_flaw(result, format!("{}: it is cut off or damaged", line.name));
        return Ok(());
    }
    if !read {
        return Ok(());
    }
    let mut bytes = match target.get(&line.name, &line.version).await {
        Ok(bytes) => bytes,
        Err(TargetError::Absent(_)) => {
            note_flaw(result, format!("{}: it is gone", line.name));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut hasher = blake3::Hasher::new();
    while let Some(piece) = bytes.try_next().await? {
        hasher.update(&piece);
    }
    result.moved_objects += 1;
    result.moved_bytes += line.length;
    if Some(*hasher.finalize().as_bytes()) != line.hash() {
        note_flaw(result, format!("{}: it is damaged", line.name));
    }
    Ok(())
}
