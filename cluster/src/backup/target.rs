//! A place for backups as a run sees it: objects with names, put whole or not at all.

use std::fmt;
use std::future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::command::TargetSettings;
use crate::id::BackupTargetId;

/// Why a place for backups did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It cannot be reached, or did not answer.
    #[error("the place for backups cannot be reached: {0}")]
    Unreachable(String),
    /// It does not let us in.
    #[error("the place for backups refuses the credentials: {0}")]
    Denied(String),
    /// There is no room.
    #[error("the place for backups is full")]
    Full,
    /// The address is not one that may be used.
    #[error("this address may not be used for backups: {0}")]
    Forbidden(String),
    /// It is there, but it is not the place that was set up: another disk, or another cluster's.
    #[error("{0}")]
    NotOurs(String),
    /// There is no such object.
    #[error("there is no `{0}` at the place for backups")]
    Absent(String),
    /// What was to be sent could not be read, or is not what it should be.
    #[error("what was to be sent could not be read: {0}")]
    Source(String),
    /// A lock was not kept as it was asked for.
    #[error("the store does not keep the lock on `{name}`: asked until {asked_ms}, kept until {kept_ms:?}")]
    NotLocked {
        /// The object.
        name: String,
        /// Until when it was to be locked.
        asked_ms: u64,
        /// Until when it is.
        kept_ms: Option<u64>,
    },
    /// The object is locked and cannot be removed yet.
    #[error("`{0}` is locked")]
    Locked(String),
    /// Anything else.
    #[error("the place for backups failed: {0}")]
    Failed(String),
}

impl TargetError {
    /// The stable code: in State, the API and alerts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "target_unreachable",
            Self::Denied(_) => "target_denied",
            Self::Full => "target_full",
            Self::Forbidden(_) => "target_forbidden",
            Self::NotOurs(_) => "target_not_ours",
            Self::Absent(_) => "target_object_missing",
            Self::Source(_) => "source_unreadable",
            Self::NotLocked { .. } => "target_not_locked",
            Self::Locked(_) => "target_locked",
            Self::Failed(_) => "target_failed",
        }
    }
}

/// Bytes in pieces of at most a few MiB.
pub type ByteStream = BoxStream<'static, Result<Bytes, TargetError>>;

/// An object as it was stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The version, where the place keeps versions; empty elsewhere.
    pub version: String,
    /// Until when it is locked, as read back.
    pub locked_until_ms: Option<u64>,
}

/// An object as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    /// Its version, where the place keeps versions; empty elsewhere.
    pub version: String,
}

/// A place for backups.
#[async_trait]
pub trait Target: fmt::Debug + Send + Sync {
    /// Stores an object of exactly `length` bytes: durable when this returns, and not there at all when it fails or the
    /// bytes end in an error. With `lock_until_ms`, a place that locks keeps it until then, and has said so.
    ///
    /// # Errors
    /// [`TargetError`].
    async fn put(
        &self,
        name: &str,
        length: u64,
        bytes: ByteStream,
        lock_until_ms: Option<u64>,
    ) -> Result<Stored, TargetError>;

    /// The object there is under a name, if there is one.
    ///
    /// # Errors
    /// [`TargetError`].
    async fn find(&self, name: &str) -> Result<Option<Entry>, TargetError>;

    /// Reads an object; of a version, when one is given.
    ///
    /// # Errors
    /// [`TargetError::Absent`] and others.
    async fn get(&self, name: &str, version: &str) -> Result<ByteStream, TargetError>;

    /// Every object whose name begins with `prefix`, in the order of their names.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Entry, TargetError>>;

    /// Removes an object, or one version of it. Nothing there is fine.
    ///
    /// # Errors
    /// [`TargetError::Locked`] and others.
    async fn remove(&self, name: &str, version: &str) -> Result<(), TargetError>;

    /// Whether objects are locked here.
    fn locks(&self) -> bool {
        false
    }

    /// Locks a version at least until then, and reads back until when it is.
    ///
    /// # Errors
    /// [`TargetError::NotLocked`] when the place does not keep to it.
    async fn lock(&self, name: &str, _version: &str, until_ms: u64) -> Result<u64, TargetError> {
        Err(TargetError::NotLocked { name: name.to_owned(), asked_ms: until_ms, kept_ms: None })
    }
}

/// What opens a target: a password or private key, or the secret of an access key. Empty for a folder.
pub type TargetLogin = Zeroizing<String>;

/// Opens places for backups. What needs a network is known to the node, not to this crate.
#[async_trait]
pub trait OpenTargets: fmt::Debug + Send + Sync {
    /// Opens a place.
    ///
    /// # Errors
    /// [`TargetError`] when it may not be used or cannot be reached.
    async fn open(
        &self,
        settings: &TargetSettings,
        login: &TargetLogin,
    ) -> Result<Arc<dyn Target>, TargetError>;
}

/// Reads an object of at most `most` bytes whole.
///
/// # Errors
/// Those of [`Target::get`]; [`TargetError::Failed`] when it is longer.
pub async fn read_whole(
    target: &dyn Target,
    name: &str,
    version: &str,
    most: usize,
) -> Result<Vec<u8>, TargetError> {
    let mut bytes = target.get(name, version).await?;
    let mut whole = Vec::new();
    while let Some(piece) = bytes.try_next().await? {
        if whole.len() + piece.len() > most {
            return Err(TargetError::Failed(format!("`{name}` is longer than it can be")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// Stores a small object.
pub(super) async fn put_small(
    target: &dyn Target,
    name: &str,
    bytes: Vec<u8>,
    lock_until_ms: Option<u64>,
) -> Result<Stored, TargetError> {
    let length = bytes.len() as u64;
    let bytes = futures_util::stream::iter([Ok(Bytes::from(bytes))]).boxed();
    target.put(name, length, bytes, lock_until_ms).await
}

/// What lies at the root of a place, so that another disk at the same path, or another cluster's place, is not taken
/// for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The version of the layout.
    pub format: u32,
    /// Whose.
    pub cluster: String,
    /// Which target of it.
    pub target: String,
}

/// Whether nothing but a marker is there.
async fn lies_alone(target: &dyn Target) -> Result<bool, TargetError> {
    let mut others = target.list("").try_filter(|entry| future::ready(entry.name != super::MARKER)).boxed();
    Ok(others.try_next().await?.is_none())
}

impl Marker {
    /// The marker of one cluster's target.
    #[must_use]
    pub fn of(cluster: [u8; 16], target: BackupTargetId) -> Self {
        Self { format: 1, cluster: data_encoding::HEXLOWER.encode(&cluster), target: target.to_string() }
    }

    /// Reads the marker at a place.
    ///
    /// # Errors
    /// [`TargetError::NotOurs`] when something else lies there under its name.
    pub async fn read(target: &dyn Target) -> Result<Option<Self>, TargetError> {
        let bytes = match read_whole(target, super::MARKER, "", 4096).await {
            Ok(bytes) => bytes,
            Err(TargetError::Absent(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let marker = serde_json::from_slice(&bytes);
        marker.map(Some).map_err(|_| TargetError::NotOurs("what lies there is not of mediakeep".to_owned()))
    }

    /// Takes a place: writes the marker where there is none, or where one lies alone whose target `is_known` denies. That is
    /// left by a try that came to nothing, and must not keep the place from whoever tries again.
    ///
    /// # Errors
    /// [`TargetError::NotOurs`] for another's place, and why nothing can be written there.
    pub async fn claim(
        &self,
        target: &dyn Target,
        is_known: impl Fn(&str) -> bool + Send,
    ) -> Result<(), TargetError> {
        let free = match Self::read(target).await? {
            None => true,
            Some(found) if found == *self || found.cluster != self.cluster => false,
            Some(found) => !is_known(&found.target) && lies_alone(target).await?,
        };
        if free {
            let bytes = serde_json::to_vec(self).map_err(|error| TargetError::Failed(error.to_string()))?;
            put_small(target, super::MARKER, bytes, None).await?;
        }
        self.expect(target).await
    }

    /// Looks that this place is the one.
    ///
    /// # Errors
    /// [`TargetError::NotOurs`] when it is not.
    pub async fn expect(&self, target: &dyn Target) -> Result<(), TargetError> {
        match Self::read(target).await? {
            Some(found) if found == *self => Ok(()),
            Some(found) if found.cluster != self.cluster => {
                Err(TargetError::NotOurs("backups of another cluster lie there".to_owned()))
            }
            Some(_) => Err(TargetError::NotOurs(
                "backups of another place of this cluster lie there; each place needs its own".to_owned(),
            )),
            None => Err(TargetError::NotOurs(
                "the place is there, but nothing of these backups is: is the right disk mounted?".to_owned(),
            )),
        }
    }
}
