//! Backups: everything a cluster has agreed on and every Blob, at one log index, at a place outside the cluster.
//!
//! ```text
//! mediakeep-backup                       whose place this is: refused when it is another cluster's, or not mounted
//! blobs/<asset>/<blob>-<hash>            a sealed Blob as it lies on the nodes: sent once, named by what it holds
//! audit/<first>-<last>-<random>          a full segment of the audit log, sealed anew: sent once
//! runs/<run>/state                       State at the run's index, sealed
//! runs/<run>/audit                       the newest audit records, sealed
//! runs/<run>/objects                     every object the run names, with length and hash: one JSON line each, in order
//! runs/<run>/manifest                    sent last: what makes the run whole. Sealed to the recovery key and the nodes
//! ```
//! No key that opens anything is at the place in clear: a restore needs the recovery key, or enough of its shares. The
//! list of objects says no more than the names there say anyway; it lets every node verify, keep and give up runs.

mod audit;
mod drill;
mod folder;
mod keep;
mod listing;
mod manifest;
mod objects;
mod progress;
mod restore;
mod run;
mod sealed_file;
mod secret;
mod target;
mod verify;

pub(crate) use drill::drill;
pub use folder::{FolderTarget, Folders};
pub(crate) use keep::sweep;
pub use manifest::{Header, ManifestError};
pub use progress::{Phase, Progress, ProgressCell};
pub use restore::{Restore, RestoreError, RestoreReport, RunAtTarget, runs_at};
pub use run::BackupError;
pub(crate) use run::carry_out;
pub use sealed_file::PIECE;
pub use secret::{open_secret, seal_secret};
pub use target::{
    ByteStream, Entry, Marker, OpenTargets, Stored, Target, TargetError, TargetLogin, read_whole,
};

pub(crate) use verify::verify;

use crate::id::BackupRunId;

/// What lies at the root of a place for backups.
pub const MARKER: &str = "mediakeep-backup";
/// What the names of all Blobs begin with.
const BLOBS: &str = "blobs/";
/// What the names of all full segments of the audit log begin with.
const AUDIT: &str = "audit/";
/// What the names of all that belongs to one run begin with.
const RUNS: &str = "runs/";

fn name_in_run(run: BackupRunId, file: &str) -> String {
    format!("{RUNS}{run}/{file}")
}

/// BLAKE3.
fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
