//! The drill: the newest backup is opened as a restore would open it, a node is founded on it in a folder of its own, and
//! some Blobs are fetched, checked and deciphered there. What it does not use is the recovery key, which is not here: the
//! node's own key opens the same manifest.

use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use rand::RngExt;

use super::audit;
use super::listing::{self, Line, ListReader};
use super::manifest::Opener;
use super::objects::{self, Checked};
use super::progress::{Phase, ProgressCell};
use super::restore::{RestoreError, open_run, open_state};
use super::run::{BackupError, note_flaw, scratch};
use super::target::{Target, TargetError};
use crate::blocking::blocking;
use crate::cluster::{Cluster, ClusterConfig, restored};
use crate::command::{BackupResult, KeyHolder};
use crate::disk::{RealDisk, StopFlag};
use crate::id::BackupRunId;
use crate::keyring::{Keyring, NodeSecrets, SealedClusterKey};
use crate::state::State;
use crate::store::{Blobs, BlobsConfig};

/// Objects that are fetched.
const SAMPLE: usize = 20;
/// No object larger than this is fetched for a drill.
const LARGEST: u64 = 512 << 20;

/// Carries out a drill on the run `of`.
pub(crate) async fn drill(
    cluster: &Cluster,
    of: BackupRunId,
    target: Arc<dyn Target>,
    progress: &ProgressCell,
) -> Result<BackupResult, BackupError> {
    let scratch = scratch(cluster).await?;
    progress.note(|progress| progress.phase = Phase::State);
    let target = &*target;
    let (header, key, body) = open_run(target, of, &Opener::Node(cluster.secrets())).await.map_err(plain)?;
    let state = open_state(target, &body, &key, scratch.join("state")).await.map_err(plain)?;
    let mut result = BackupResult { index: header.index, ..BackupResult::default() };
    if let Some(part) = body.audit.last() {
        progress.note(|progress| progress.phase = Phase::Audit);
        let records = audit::read(target, part).await?;
        let end = records.last().map(|record| (record.sequence, record.hash));
        if end != Some((body.chain.sequence, body.chain.hash)) {
            note_flaw(&mut result, format!("{}: it does not end where State says", part.object.name));
        }
    }
    let keyring = keys_of(cluster, &state)?;
    let objects = &body.objects;
    let expected = Some((objects.length, objects.hash));
    let list =
        listing::fetch(target, &objects.name, &objects.version, expected, scratch.join("list")).await?;
    let sample = sample(&list.path, &mut result)?;
    progress.note(|progress| (progress.phase, progress.objects_total) = (Phase::Blobs, sample.len() as u64));
    let disk = Arc::new(RealDisk::open(scratch.join("blobs"))?);
    let blobs = blocking(move || Blobs::open(disk, StopFlag::new(), BlobsConfig::default())).await;
    let blobs = blobs.map_err(|error| BackupError::Local(error.to_string()))?;
    let blobs = blobs.map_err(|error| BackupError::Local(error.to_string()))?;
    for line in &sample {
        if let Err(flaw) = try_object(target, &blobs, &state, &keyring, line).await? {
            note_flaw(&mut result, format!("{}: {flaw}", line.name));
        }
        result.moved_objects += 1;
        result.moved_bytes += line.length;
        progress.note(|progress| progress.objects += 1);
    }
    found(cluster, &scratch.join("node"), keyring, state).await?;
    drop(std::fs::remove_dir_all(&scratch));
    Ok(result)
}

fn plain(error: RestoreError) -> BackupError {
    match error {
        RestoreError::Target(error) => error.into(),
        RestoreError::Backup(error) => error,
        RestoreError::Manifest(error) => error.into(),
        other => BackupError::Local(other.to_string()),
    }
}

/// The cluster keys as they lie in the backup, opened by this node's key.
fn keys_of(cluster: &Cluster, state: &State) -> Result<Keyring, BackupError> {
    let (me, secrets) = (cluster.node_id(), cluster.secrets());
    let keyring = Keyring::empty();
    for (epoch, keys) in state.sealed_keys() {
        for key in keys.iter().filter(|key| key.holder == KeyHolder::Node(me)) {
            let recipient = secrets.public_key();
            keyring.learn(secrets, &SealedClusterKey { epoch, recipient, sealed: key.sealed.clone() })?;
        }
    }
    keyring.current_epoch()?;
    Ok(keyring)
}

/// A few objects, each as likely as any other.
fn sample(list: &Path, result: &mut BackupResult) -> Result<Vec<Line>, BackupError> {
    let mut lines = ListReader::open(list)?;
    let mut chosen: Vec<Line> = Vec::new();
    let mut seen = 0;
    while let Some(line) = lines.take()? {
        result.objects += 1;
        result.bytes += line.length;
        if objects::parse_object(&line.name).is_none() || line.length > LARGEST {
            continue;
        }
        seen += 1;
        if chosen.len() < SAMPLE {
            chosen.push(line);
        } else {
            let at = rand::rng().random_range(0..seen);
            if let Some(place) = chosen.get_mut(at) {
                *place = line;
            }
        }
    }
    Ok(chosen)
}

/// Fetches one Blob, checks it, and deciphers its beginning; the inner error says what is wrong.
async fn try_object(
    target: &dyn Target,
    blobs: &Blobs,
    state: &State,
    keyring: &Keyring,
    line: &Line,
) -> Result<Result<(), String>, BackupError> {
    let Some((name, hash)) = objects::parse_object(&line.name) else { return Ok(Ok(())) };
    let local = |error: &dyn std::fmt::Display| BackupError::Local(error.to_string());
    let mut bytes = match target.get(&line.name, &line.version).await {
        Ok(bytes) => bytes,
        Err(TargetError::Absent(_)) => return Ok(Err("it is gone".to_owned())),
        Err(error) => return Err(error.into()),
    };
    let mut checked = Checked::new(line.length);
    let mut part = blobs.part_begin(name, line.length).await.map_err(|error| local(&error))?;
    while let Some(piece) = bytes.try_next().await? {
        checked.add(&piece);
        part = part.add(piece).await.map_err(|error| local(&error))?;
    }
    let sound = checked.end().is_some_and(|(found, whole)| found == hash && Some(whole) == line.hash());
    if !sound || part.finish(hash).await.is_err() {
        return Ok(Err("it is damaged".to_owned()));
    }
    let Some(asset) = state.asset(name.asset) else { return Ok(Ok(())) };
    let Ok(key) = keyring.open_data_key(&asset.wrapped_key, asset.id, asset.key_epoch) else {
        return Ok(Err("the asset's key does not open".to_owned()));
    };
    let read =
        async { blobs.reader(name.asset, name.blob, &key).await?.read(0, crate::store::MAX_READ).await };
    let read = read.await.map(drop).map_err(|error| format!("it does not open: {error}"));
    blobs.remove(name.asset).await.map_err(|error| local(&error))?;
    Ok(read)
}

/// Founds a node on the State that was fetched, as a restore does at its end.
async fn found(cluster: &Cluster, dir: &Path, keyring: Keyring, state: State) -> Result<(), BackupError> {
    let config = ClusterConfig::new(dir, cluster.config().node_name.clone(), cluster.config().site.clone());
    crate::raft::log::files::create_dir(dir)?;
    let founded = blocking(move || {
        let secrets = NodeSecrets::generate()?;
        restored::found(&config, &secrets, &keyring, state)
    });
    let founded = founded.await.map_err(|error| BackupError::Local(error.to_string()))?;
    founded.map(drop).map_err(|error| BackupError::Local(error.to_string()))
}
