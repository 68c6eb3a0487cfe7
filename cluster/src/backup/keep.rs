//! Giving up: what no kept run names is removed. Nothing is removed when a kept run's list cannot be read.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;

use super::listing::{self, ListReader};
use super::run::{BackupError, scratch};
use super::target::{Target, TargetError};
use super::{AUDIT, BLOBS, RUNS, name_in_run};
use crate::cluster::Cluster;
use crate::id::{BackupRunId, BackupTargetId};
use crate::state::{RunState, State};

/// Removes what only given-up runs name, and what runs that came to nothing left. No run may be carried out meanwhile.
/// Gives the runs of which something is still locked.
pub(crate) async fn sweep(
    cluster: &Cluster,
    state: &State,
    target_id: BackupTargetId,
    target: &dyn Target,
) -> Result<BTreeSet<BackupRunId>, BackupError> {
    let scratch = scratch(cluster).await?;
    // Every kept list is here, whole, before anything is removed.
    let mut kept = Vec::new();
    for run in state.whole_backups(target_id) {
        let result = run.whole().cloned().unwrap_or_default();
        let path = scratch.join(format!("kept-{}", run.id));
        let list = listing::fetch(target, &name_in_run(run.id, "objects"), "", None, path).await?;
        if list.hash != result.list {
            return Err(BackupError::Damaged(name_in_run(run.id, "objects")));
        }
        kept.push(ListReader::open(&list.path)?);
    }
    let locked = runs(cluster, state, target_id, target).await?;
    for prefix in [AUDIT, BLOBS] {
        shared(cluster, target, prefix, &mut kept).await?;
    }
    drop(std::fs::remove_dir_all(&scratch));
    Ok(locked)
}

/// Removes the files of runs that are not kept: the manifest first, so that none looks whole with parts of it gone.
async fn runs(
    cluster: &Cluster,
    state: &State,
    target_id: BackupTargetId,
    target: &dyn Target,
) -> Result<BTreeSet<BackupRunId>, BackupError> {
    let of_target = state.backup_runs().into_iter().filter(|run| run.target == target_id);
    let kept: BTreeSet<BackupRunId> = of_target
        .filter(|run| run.whole().is_some() || run.state == RunState::Running)
        .map(|run| run.id)
        .collect();
    let mut gone = Vec::new();
    let mut listed = target.list(RUNS);
    while let Some(entry) = listed.try_next().await? {
        let run = entry.name.strip_prefix(RUNS).and_then(|rest| rest.split_once('/')?.0.parse().ok());
        if let Some(run) = run.filter(|run| !kept.contains(run)) {
            gone.push((run, entry));
        }
    }
    gone.sort_by_key(|(run, entry)| (*run, !entry.name.ends_with("/manifest")));
    let mut locked = BTreeSet::new();
    for (run, entry) in gone {
        still_idle(cluster).await?;
        match target.remove(&entry.name, &entry.version).await {
            Ok(()) => {}
            Err(TargetError::Locked(_)) => _ = locked.insert(run),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(locked)
}

/// Removes the objects that no kept list names. Lists and listing are in the same order, and walked side by side.
async fn shared(
    cluster: &Cluster,
    target: &dyn Target,
    prefix: &str,
    kept: &mut [ListReader],
) -> Result<(), BackupError> {
    let mut listed = target.list(prefix);
    while let Some(entry) = listed.try_next().await? {
        let mut named = false;
        for list in kept.iter_mut() {
            while list.peek().is_some_and(|line| line.name < entry.name) {
                list.take()?;
            }
            let same = list.peek().filter(|line| line.name == entry.name);
            // Of a place that lists versions, the one that is named stays.
            named |= same.is_some_and(|line| entry.version.is_empty() || line.version == entry.version);
        }
        if named {
            continue;
        }
        still_idle(cluster).await?;
        match target.remove(&entry.name, &entry.version).await {
            // It goes when its lock ends.
            Ok(()) | Err(TargetError::Locked(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A run that another node has begun since may count on what is there. Nothing is removed on a stale State.
async fn still_idle(cluster: &Cluster) -> Result<(), BackupError> {
    let state = cluster.linearizable().await?;
    if state.running_backup().is_some() { Err(BackupError::Lost) } else { Ok(()) }
}
