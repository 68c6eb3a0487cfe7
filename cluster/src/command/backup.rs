//! Commands about backups: where they go, and what is copied, checked and given up when.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::values::KeyEpoch;
use crate::id::{BackupRunId, BackupTargetId, NodeId};

/// A change about backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupCommand {
    /// A place for backups, new or changed.
    SetTarget {
        /// Its id.
        target: BackupTargetId,
        /// Where it is and how it is used.
        settings: TargetSettings,
        /// What opens it. `None` leaves the one there is.
        secret: Option<SealedSecret>,
    },
    /// The place is used no more. What lies there stays there.
    RemoveTarget {
        /// Which.
        target: BackupTargetId,
    },
    /// Begins a run. Only one runs at a time in the whole cluster.
    Begin {
        /// Random.
        run: BackupRunId,
        /// Where.
        target: BackupTargetId,
        /// The node that carries it out.
        node: NodeId,
        /// What it does.
        kind: BackupKind,
    },
    /// Another node, or the same one after a restart, goes on with a run.
    TakeOver {
        /// Which run.
        run: BackupRunId,
        /// Who goes on.
        node: NodeId,
    },
    /// The node still works on it: what it names stays pinned.
    Renew {
        /// Which run.
        run: BackupRunId,
        /// The epoch its node was given.
        epoch: u64,
    },
    /// A run has come to its end.
    Finish {
        /// Which run.
        run: BackupRunId,
        /// The epoch its node was given.
        epoch: u64,
        /// What came of it.
        result: BackupResult,
    },
    /// A run could not be brought to its end.
    Fail {
        /// Which run.
        run: BackupRunId,
        /// The epoch its node was given.
        epoch: u64,
        /// Stable code, such as `target_full`.
        code: String,
        /// For people.
        reason: String,
    },
    /// A whole run has been kept for long enough: noted first, and given up when it is still so an hour later.
    Expire {
        /// Which run.
        run: BackupRunId,
    },
    /// Nothing of a run is at its target any more.
    Forget {
        /// Which run.
        run: BackupRunId,
    },
    /// This cluster was made from a backup.
    Restored {
        /// The node it began with.
        node: NodeId,
        /// The cluster the backup was of.
        from_cluster: [u8; 16],
        /// The run.
        run: BackupRunId,
        /// The log index that the run is of.
        index: u64,
        /// Blobs that could not be had.
        missing: u64,
    },
    /// A place for backups, new or changed, with a backup every few minutes between those of its schedule.
    SetPacedTarget {
        /// Its id.
        target: BackupTargetId,
        /// Where it is and how it is used. It must have a time of the day.
        settings: TargetSettings,
        /// What opens it. `None` leaves the one there is.
        secret: Option<SealedSecret>,
        /// A run begins at the latest so many minutes after a change; none: by the schedule only.
        every_minutes: Option<u16>,
    },
}

/// Where a target is and how it is used. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSettings {
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub place: TargetPlace,
    /// A whole run is kept for so many days.
    pub keep_days: u16,
    /// The minute of the day (UTC) at which a run begins; none for runs on demand only.
    pub daily_at_minute: Option<u16>,
    /// The one node that reaches it; whoever leads when there is none.
    pub node: Option<NodeId>,
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetPlace {
    /// A folder of the machine: a disk or network share that is mounted there.
    Folder {
        /// Absolute.
        path: String,
    },
    /// A folder reached by SFTP.
    Sftp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// The folder.
        path: String,
        /// Who logs in.
        username: String,
        /// The server's key, as `SHA256:...`.
        host_key: String,
    },
    /// An S3-compatible store.
    S3 {
        /// Its address, such as `https://s3.example.org`.
        endpoint: String,
        /// Its region.
        region: String,
        /// The bucket.
        bucket: String,
        /// What every name begins with.
        prefix: String,
        /// The name of the access key.
        access_key: String,
        /// The authority that vouches for the store (PEM), when it is not a public one.
        authority: Option<String>,
        /// Objects are locked (Object Lock, COMPLIANCE) for as long as a run that names them is kept.
        object_lock: bool,
    },
}

impl TargetPlace {
    /// Whether a secret kept for `other` may be shown here: the same server, known by the same key or authority, and the
    /// same name to log in by. A folder is shown none.
    #[must_use]
    pub fn may_be_shown_the_secret_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder { .. }, _) => true,
            (
                Self::Sftp { host, port, username, host_key, .. },
                Self::Sftp { host: host2, port: port2, username: username2, host_key: host_key2, .. },
            ) => (host, port, username, host_key) == (host2, port2, username2, host_key2),
            (
                Self::S3 { endpoint, access_key, authority, .. },
                Self::S3 { endpoint: endpoint2, access_key: access_key2, authority: authority2, .. },
            ) => (endpoint, access_key, authority) == (endpoint2, access_key2, authority2),
            _ => false,
        }
    }
}

/// What opens a target, or the pepper, sealed under the cluster key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The cluster key.
    pub key_epoch: KeyEpoch,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealedSecret(epoch {}, {} bytes)", self.key_epoch, self.sealed.len())
    }
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupKind {
    /// Takes a backup.
    Copy,
    /// Looks whether everything a run names is there and as it was.
    Verify {
        /// The run.
        of: BackupRunId,
        /// Every byte, or the list and a sample.
        full: bool,
    },
    /// Opens a run as a restore would, and reads some of it.
    Drill {
        /// The run.
        of: BackupRunId,
    },
    /// Takes a backup between two of the schedule: as whole as they are, and kept for a day.
    Interim,
}

impl BackupKind {
    /// As audit records and the API write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Verify { .. } => "verify",
            Self::Drill { .. } => "drill",
            Self::Interim => "interim",
        }
    }

    /// Whether it takes a backup; otherwise it looks at one.
    #[must_use]
    pub fn takes_one(self) -> bool {
        matches!(self, Self::Copy | Self::Interim)
    }

    /// The run that is looked at.
    #[must_use]
    pub fn of(self) -> Option<BackupRunId> {
        match self {
            Self::Copy | Self::Interim => None,
            Self::Verify { of, .. } | Self::Drill { of } => Some(of),
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupResult {
    /// The log index it is of.
    pub index: u64,
    /// Objects it names, or that were looked at.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were sent, or read whole.
    pub moved_objects: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// BLAKE3 of its manifest.
    pub manifest: [u8; 32],
    /// BLAKE3 of its list of objects.
    pub list: [u8; 32],
    /// How many things were found wrong.
    pub flaw_count: u64,
    /// The first of them.
    pub flaws: Vec<String>,
}
