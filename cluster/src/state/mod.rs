//! State: everything the cluster has agreed on, and the one pure function that changes it.
//!
//! Records are `Arc`s in persistent maps: cloning State is O(1), a reader keeps a snapshot without a lock, and a
//! refused Command leaves nothing behind.

mod access;
mod alert;
mod application;
mod apply;
mod asset;
mod asset_record;
mod authorities;
mod backup;
mod blob;
mod cluster;
mod collection;
mod edge;
mod holders;
mod job;
mod limits;
mod map;
mod node;
mod page;
mod part;
mod pepper;
mod previous;
mod read;
mod records;
mod recover;
mod requests;
mod restored;
mod retention;
mod roles;
mod session;
mod shelf;
mod site;
mod store;
mod validate;
mod views;

pub use alert::{Alert, AlertKey, ToTell};
pub use apply::Applied;
pub use asset_record::{
    Asset, AssetState, AssetStateKind, BlobRecord, Life, ManifestRef, PublishWindow, SealedBlob,
};
pub use authorities::{Authorities, FormerAuthority};
pub(crate) use edge::host_of;
pub use edge::{Edge, EdgePurge, Edges, Warm};
pub use holders::{FOUNDER, Holders, MOST_HOLDERS};
pub use limits::Limits;
pub use page::{AssetPage, AssetQuery, Cursor, CursorError};
pub use part::{Part, PartState, Split};
pub use records::{
    ApiKey, Application, BackupRun, BackupTarget, Backups, ClusterAuthority, ClusterInfo, Collection, Invite,
    Job, JobState, JoinToken, Member, Node, NodeState, Reset, RunState, SealedEpoch, Session, Tombstone,
    User,
};
pub use recover::ENTRIES_UNHEARD;
pub use restored::NewHome;
pub use retention::TrashedApplication;
pub use roles::CustomRole;
pub use shelf::{Position, Shelf, Sort, SortBy, folded};
pub use validate::{normalised_username, title as checked_title};
pub use views::{RunningView, Views, Watcher};

pub use previous::PreviousState;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use store::{Indexes, Records};

/// Everything the cluster has agreed on. Cloning is O(1).
///
/// Serialised as its records only; the indexes are made again when it is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Records", from = "Records")]
pub struct State {
    records: Records,
    indexes: Indexes,
}

impl From<State> for Records {
    fn from(state: State) -> Self {
        state.records
    }
}

impl From<Records> for State {
    fn from(records: Records) -> Self {
        let indexes = Indexes::of(&records);
        Self { records, indexes }
    }
}

impl State {
    /// Whether every index says what the records say, and what is said twice of roles is the same. For tests and the doctor; O(n).
    #[must_use]
    pub fn indexes_agree(&self) -> bool {
        self.indexes == Indexes::of(&self.records) && self.records.roles.agree(&self.records)
    }
}

impl State {
    /// SHA-256 of everything in it: the same on all nodes that have carried out the same Entries. O(n).
    ///
    /// # Errors
    /// Only when State cannot be written down, which is a fault in the program.
    pub fn hash(&self) -> Result<[u8; 32], postcard::Error> {
        let mut hashing = Hashing(digest::Context::new(&digest::SHA256));
        postcard::to_io(&self.records, &mut hashing)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(hashing.0.finish().as_ref());
        Ok(hash)
    }

    /// Whether both hold the same records, whatever their time, log index and audit chain. For tests.
    #[must_use]
    pub fn same_records(&self, other: &Self) -> bool {
        let mut records = other.records.clone();
        records.time_ms = self.records.time_ms;
        records.last_applied = self.records.last_applied;
        records.chain = self.records.chain;
        self.records == records
    }
}

/// Bytes that are hashed instead of being kept.
struct Hashing(digest::Context);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Defines how one kind of record is put and removed, so that no map changes without its indexes.
macro_rules! record_maps {
    ($($put:ident $remove:ident $map:ident $index:ident $key:ty => $record:ty;)*) => {
        impl State {$(
            #[allow(dead_code, reason = "not every kind of record is both put and removed")]
            fn $put(&mut self, key: $key, record: $record) {
                let before = self.records.$map.insert(key, std::sync::Arc::new(record));
                let after = self.records.$map.get(&key);
                self.indexes.$index(before.as_deref(), after.map(|record| &**record));
            }

            #[allow(dead_code, reason = "not every kind of record is both put and removed")]
            fn $remove(&mut self, key: $key) -> Option<std::sync::Arc<$record>> {
                let before = self.records.$map.remove(&key);
                self.indexes.$index(before.as_deref(), None);
                before
            }
        )*}
    };
}

use crate::id::{ApiKeyId, ApplicationId, AssetId, CollectionId, InviteId, JobId, SessionId, UserId};

record_maps! {
    put_user remove_user users user UserId => User;
    put_session remove_session sessions session SessionId => Session;
    put_api_key remove_api_key api_keys api_key ApiKeyId => ApiKey;
    put_invite remove_invite invites invite InviteId => Invite;
    put_application remove_application applications application ApplicationId => Application;
    put_member remove_member members member (ApplicationId, UserId) => Member;
    put_collection remove_collection collections collection CollectionId => Collection;
    put_asset remove_asset assets asset AssetId => Asset;
    put_job remove_job jobs job JobId => Job;
}
