//! The records State is made of. All fields are read by anybody; only apply makes them.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::asset_record::Asset;
use crate::actor::ActorKind;
use crate::command::{
    BackupKind, BackupResult, Incarnation, JobKind, KeyEpoch, PasswordHash, Policy, Role, SealedClusterKey,
    SealedSecret, SecretHash, TargetSettings,
};
use crate::id::{
    ApiKeyId, ApplicationId, AssetId, BackupRunId, BackupTargetId, CollectionId, InviteId, JobId, NodeId,
    SessionId, UserId,
};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Normalised: lower case, unique.
    pub username: String,
    /// Argon2id.
    pub password_hash: PasswordHash,
    /// Sees and does everything.
    pub cluster_admin: bool,
    /// May not sign in.
    pub suspended: bool,
    /// When added.
    pub created_ms: u64,
    /// When the passphrase was last set.
    pub password_set_ms: u64,
}

/// One sign-in of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Hash of the cookie's or token's secret.
    pub secret_hash: SecretHash,
    /// When made.
    pub created_ms: u64,
    /// When it ends.
    pub expires_ms: u64,
    /// What the client called itself.
    pub user_agent: String,
}

/// A key of another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Id.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// Hash of its secret.
    pub secret_hash: SecretHash,
    /// The one application it is for.
    pub application: ApplicationId,
    /// As what.
    pub role: Role,
    /// When made.
    pub created_ms: u64,
    /// When it ends, if ever.
    pub expires_ms: Option<u64>,
    /// Who made it.
    pub created_by: ActorKind,
}

/// An invitation to join an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Id.
    pub id: InviteId,
    /// What one joins.
    pub application: ApplicationId,
    /// As what.
    pub role: Role,
    /// Hash of the secret in the link.
    pub secret_hash: SecretHash,
    /// When made.
    pub created_ms: u64,
    /// When it ends.
    pub expires_ms: u64,
    /// Who made it.
    pub created_by: ActorKind,
}

/// A one-use link to a new passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Whose.
    pub user: UserId,
    /// When it ends.
    pub expires_ms: u64,
}

/// A space with its own assets, members and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Id.
    pub id: ApplicationId,
    /// Unique but for upper and lower case.
    pub name: String,
    /// Settings.
    pub policy: Policy,
    /// When made.
    pub created_ms: u64,
}

/// A person's place in an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where.
    pub application: ApplicationId,
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
    /// Since when.
    pub joined_ms: u64,
}

/// A named group of assets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Id.
    pub id: CollectionId,
    /// Where.
    pub application: ApplicationId,
    /// Unique in the application but for upper and lower case.
    pub name: String,
    /// When made.
    pub created_ms: u64,
}

/// Where a Job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a node.
    Queued,
    /// A node works on it.
    Leased {
        /// Which.
        node: NodeId,
        /// Since when.
        since_ms: u64,
    },
    /// Done.
    Finished,
    /// Cannot be done.
    Failed {
        /// Stable code.
        code: String,
        /// For people.
        reason: String,
    },
    /// Stopped by a person.
    Cancelled,
}

impl JobState {
    /// Waits or is worked on.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Queued | Self::Leased { .. })
    }
}

/// Work on an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Id.
    pub id: JobId,
    /// On what.
    pub asset: AssetId,
    /// Where.
    pub application: ApplicationId,
    /// What to do.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// Leases given so far: the epoch of the newest.
    pub epoch: u64,
    /// When queued.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Id.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// Its public key.
    pub public_key: [u8; 32],
    /// When added.
    pub added_ms: u64,
    /// Its share of the copies, against the others of its site.
    pub weight: u32,
    /// Whether it takes part.
    pub state: NodeState,
    /// SHA-256 of the public key its first certificate carries; none for the node the cluster began with.
    pub certificate_key: Option<[u8; 32]>,
    /// SHA-256 of the certificate it shows now.
    pub certificate: Option<[u8; 32]>,
    /// Where the others reach it: `host:port`. Empty for a node that has never been reached by others.
    pub cluster_address: String,
    /// Where people reach it: `host:port`.
    pub public_address: String,
    /// Its newest start.
    pub incarnation: Incarnation,
}

impl Node {
    /// The usual share of the copies.
    pub const WEIGHT: u32 = 100;

    /// The one node a cluster begins with; where it is reached it says when it starts.
    #[must_use]
    pub fn founder(id: NodeId, name: String, site: String, public_key: [u8; 32], added_ms: u64) -> Self {
        Self {
            id,
            name,
            site,
            public_key,
            added_ms,
            weight: Self::WEIGHT,
            state: NodeState::Active,
            certificate_key: None,
            certificate: None,
            cluster_address: String::new(),
            public_address: String::new(),
            incarnation: Incarnation::default(),
        }
    }

    /// May be given copies to hold.
    #[must_use]
    pub fn may_hold_more(&self) -> bool {
        self.state == NodeState::Active
    }
}

/// Whether a node takes part. A node that was removed is in State no longer; its id never comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Admitted, and not caught up yet.
    Joining,
    /// Takes part.
    Active,
    /// Gives up its part: takes nothing new, does not lead, and what it holds is copied elsewhere.
    Draining,
}

/// The cluster's certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAuthority {
    /// Its certificate (DER).
    pub certificate: Vec<u8>,
    /// Its private key, sealed under the cluster key.
    pub sealed_key: Vec<u8>,
    /// Which cluster key.
    pub key_epoch: KeyEpoch,
}

/// A token to join by, as State keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// When it ends.
    pub expires_ms: u64,
    /// Who made it.
    pub created_by: ActorKind,
    /// The node that joined by it.
    pub used_by: Option<NodeId>,
}

/// The cluster itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// Random, set by Initialise.
    pub id: [u8; 16],
    /// When initialised.
    pub created_ms: u64,
    /// When claimed, if it is.
    pub claimed_ms: Option<u64>,
    /// The current cluster key epoch.
    pub key_epoch: KeyEpoch,
    /// The recovery key's public half.
    pub recovery_public_key: [u8; 32],
    /// The operator has re-typed the recovery key.
    pub recovery_confirmed: bool,
    /// Nothing expires until the operator has confirmed the time.
    pub time_held: bool,
    /// Issues every certificate of the cluster. None until a node of this version has led.
    pub authority: Option<ClusterAuthority>,
}

/// One cluster key epoch, for each that holds it.
pub type SealedEpoch = Arc<Vec<SealedClusterKey>>;

/// What is left of a purged asset, until many later ones are purged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The asset.
    pub asset: AssetId,
    /// Where it was.
    pub application: ApplicationId,
    /// When it was purged.
    pub purged_ms: u64,
}

impl Tombstone {
    pub(super) fn of(asset: &Asset, purged_ms: u64) -> Self {
        Self { asset: asset.id, application: asset.application, purged_ms }
    }
}

/// Places for backups, and runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Backups {
    /// The places.
    #[serde(with = "super::map")]
    pub targets: OrdMap<BackupTargetId, Arc<BackupTarget>>,
    /// The runs.
    #[serde(with = "super::map")]
    pub runs: OrdMap<BackupRunId, Arc<BackupRun>>,
}

/// A place for backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTarget {
    /// Id.
    pub id: BackupTargetId,
    /// Where it is and how it is used.
    pub settings: TargetSettings,
    /// What opens it.
    pub secret: Option<SealedSecret>,
    /// When it was set first.
    pub created_ms: u64,
}

/// One backup, or one check of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRun {
    /// Id.
    pub id: BackupRunId,
    /// Where.
    pub target: BackupTargetId,
    /// What it does.
    pub kind: BackupKind,
    /// The node that carries it out.
    pub node: NodeId,
    /// How often a node has begun or gone on with it.
    pub epoch: u64,
    /// When it began.
    pub began_ms: u64,
    /// What it names is removed nowhere until then.
    pub pinned_until_ms: u64,
    /// Where it stands.
    pub state: RunState,
}

impl BackupRun {
    /// What a whole backup holds; none for one that is not, and for a check.
    #[must_use]
    pub fn whole(&self) -> Option<&BackupResult> {
        match &self.state {
            RunState::Done { result, .. } if self.kind.takes_one() => Some(result),
            _ => None,
        }
    }

    /// A check that has ended, or a backup that came to nothing: nothing at the target hangs on it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self.state {
            RunState::Running | RunState::Expiring => false,
            RunState::Failed { .. } => true,
            RunState::Done { .. } => !self.kind.takes_one(),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It is carried out.
    Running,
    /// It came to its end.
    Done {
        /// When.
        ended_ms: u64,
        /// When it was first seen that it has been kept for long enough.
        noted_due_ms: Option<u64>,
        /// What came of it.
        result: BackupResult,
    },
    /// It came to nothing.
    Failed {
        /// When.
        ended_ms: u64,
        /// Stable code.
        code: String,
        /// For people.
        reason: String,
    },
    /// It has been kept for long enough, and what only it names is being removed.
    Expiring,
}
