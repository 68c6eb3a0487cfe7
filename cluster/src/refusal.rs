//! Why a Command or a read is refused: typed, each with a stable code that the API shows.

use serde::{Deserialize, Serialize};

use crate::command::{Ability, KeyEpoch, Role};

/// What a refusal or a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noun {
    /// An application.
    Application,
    /// An API key.
    ApiKey,
    /// An asset.
    Asset,
    /// A Blob.
    Blob,
    /// A collection.
    Collection,
    /// An invitation.
    Invite,
    /// A Job.
    Job,
    /// A member of an application.
    Member,
    /// A node.
    Node,
    /// A sign-in.
    Session,
    /// A person.
    User,
    /// A token to join by.
    JoinToken,
    /// A place for backups.
    BackupTarget,
    /// A backup.
    BackupRun,
    /// An alert.
    Alert,
    /// An edge node.
    Edge,
    /// What an edge keeps warm.
    Warm,
    /// A View that is counted.
    View,
    /// A role of an application's own making.
    Role,
}

impl Noun {
    /// The word as used in codes: `api_key`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::ApiKey => "api_key",
            Self::Asset => "asset",
            Self::Blob => "blob",
            Self::Collection => "collection",
            Self::Invite => "invite",
            Self::Job => "job",
            Self::Member => "member",
            Self::Node => "node",
            Self::Session => "session",
            Self::User => "user",
            Self::JoinToken => "join_token",
            Self::BackupTarget => "backup_target",
            Self::BackupRun => "backup",
            Self::Alert => "alert",
            Self::Edge => "edge",
            Self::Warm => "warm",
            Self::View => "view",
            Self::Role => "role",
        }
    }
}

/// What would have been needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// At least this role in the application.
    Role(Role),
    /// A cluster admin.
    ClusterAdmin,
    /// A signed-in person: not an API key.
    Person,
    /// A node of the cluster.
    Node,
    /// The asset's access rule does not name this viewer.
    AccessRule,
    /// The application's policy does not allow it to viewers.
    Policy,
    /// A role that allows this: theirs, of the application's own making, does not.
    Ability(Ability),
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed.
    #[error("must have at most {0} characters")]
    TooLong(u32),
    /// A character below space, or another control character.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A character that is not allowed here.
    #[error("may only contain letters, digits and . _ - + @")]
    Character,
    /// More items than allowed.
    #[error("must have at most {0} items")]
    TooMany(u32),
    /// The same item twice.
    #[error("must not name the same thing twice")]
    Repeated,
    /// Outside the range allowed.
    #[error("is out of range")]
    OutOfRange,
    /// Not of the form it must have.
    #[error("has the wrong form")]
    Malformed,
    /// A character that turns the direction of the text after it.
    #[error("must not contain characters that override the direction of text")]
    TurnsText,
    /// Something that is settled once, and is to be another now.
    #[error("cannot become another; remove it, and join anew")]
    Settled,
}

/// The class of a refusal: how the API answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalClass {
    /// 401: sign in first.
    NotSignedIn,
    /// 403: visible, but not allowed.
    Forbidden,
    /// 404: does not exist, or may not be seen.
    NotFound,
    /// 409: not in this state.
    Conflict,
    /// 422: the request itself is wrong.
    Invalid,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Nobody is signed in.
    #[error("sign in first")]
    NotSignedIn,
    /// The sign-in or API key is over.
    #[error("the sign-in has ended; sign in again")]
    SessionEnded,
    /// The person is suspended.
    #[error("this account is suspended")]
    Suspended,
    /// Does not exist, or may not be seen.
    #[error("there is no such {}", .0.name().replace('_', " "))]
    NotFound(Noun),
    /// Visible, but not allowed.
    #[error("not allowed: needs {needs:?}")]
    Forbidden {
        /// What would be needed.
        needs: Needs,
    },
    /// A value is wrong.
    #[error("{field} {problem}")]
    Invalid {
        /// Which.
        field: String,
        /// How.
        problem: Problem,
    },
    /// The id is taken.
    #[error("the id of this {} is already in use", .0.name())]
    DuplicateId(Noun),
    /// The name is taken.
    #[error("this {} name is already taken", .0.name())]
    NameTaken(Noun),
    /// There are as many as there may be.
    #[error("there may be at most {limit} of {}", .what.name())]
    TooMany {
        /// Of what.
        what: Noun,
        /// How many.
        limit: u32,
    },
    /// The secret of an invitation or reset is unknown, used or over.
    #[error("this link is not valid any more")]
    LinkNotValid,
    /// Somebody has claimed this cluster.
    #[error("this cluster is already claimed")]
    AlreadyClaimed,
    /// Nobody has claimed this cluster.
    #[error("this cluster is not claimed yet")]
    NotClaimed,
    /// The cluster has its first entry.
    #[error("this cluster is already initialised")]
    AlreadyInitialised,
    /// The cluster has no first entry.
    #[error("this cluster is not initialised")]
    NotInitialised,
    /// The last cluster admin cannot be suspended, removed or made ordinary.
    #[error("the last cluster admin must stay")]
    LastClusterAdmin,
    /// The application still holds assets.
    #[error("the application still holds assets")]
    ApplicationNotEmpty,
    /// The cluster key has moved on: wrap again with the current epoch.
    #[error("the cluster key has moved on to epoch {current}")]
    StaleKeyEpoch {
        /// The current epoch.
        current: KeyEpoch,
    },
    /// Another writer has taken over the Blob.
    #[error("another writer has taken over, at epoch {current}")]
    StaleBlobEpoch {
        /// The Blob's epoch.
        current: u64,
    },
    /// Another worker has the Job.
    #[error("another worker has taken over, at epoch {current}")]
    StaleJobEpoch {
        /// The Job's epoch.
        current: u64,
    },
    /// The Job is not in a state for this.
    #[error("the job is not in a state for this")]
    JobState,
    /// The asset is not in a state for this.
    #[error("the asset is not in a state for this")]
    AssetState,
    /// The asset is in the trash.
    #[error("the asset is in the trash")]
    Trashed,
    /// The asset is not in the trash.
    #[error("the asset is not in the trash")]
    NotTrashed,
    /// Nothing can be watched yet.
    #[error("nothing can be watched yet")]
    NotWatchable,
    /// A legal hold keeps the asset.
    #[error("a legal hold keeps this asset")]
    LegalHold,
    /// The Blob is sealed and never changes again.
    #[error("the blob is sealed")]
    BlobSealed,
    /// The Blob is still open.
    #[error("the blob is still open")]
    BlobOpen,
    /// Not what was sealed.
    #[error("length or hash is not what was sealed")]
    BlobMismatch,
    /// Somebody else replaced the manifest in between.
    #[error("the asset's tracks were changed by somebody else in between")]
    ManifestChanged,
    /// Nothing is due.
    #[error("its time is not over")]
    NotDue,
    /// The operator must confirm the time first.
    #[error("the clock has jumped; confirm the time first")]
    TimeHeld,
    /// The View was ended.
    #[error("this view has ended")]
    ViewEnded,
    /// No such join token was made here, or it was changed.
    #[error("this join token is not known here")]
    JoinTokenUnknown,
    /// Another node has joined by it.
    #[error("this join token was used already")]
    JoinTokenUsed,
    /// Its time is over.
    #[error("this join token has expired")]
    JoinTokenExpired,
    /// Another start of the same node is known that this one does not follow: a copy, or an old disk.
    #[error("a newer start of this node is known: this is a copy of it, or an old disk")]
    StaleIncarnation,
    /// The last node that takes part cannot go.
    #[error("the last node must stay")]
    LastNode,
    /// Somebody else changed who holds the asset in between.
    #[error("the asset's holders were changed by somebody else in between")]
    HoldersChanged,
    /// There would be fewer copies than there are to be.
    #[error("there would be fewer copies than there are to be")]
    TooFewCopies,
    /// The node does not take part, or is being emptied.
    #[error("the node takes no new copies")]
    NodeNotActive,
    /// A node of the cluster does not understand this yet.
    #[error(
        "a node of the cluster is too old for this (level {runs}, needed {needs}): update all nodes first"
    )]
    NodesTooOld {
        /// The level needed.
        needs: u32,
        /// The level of the oldest node.
        runs: u32,
    },
    /// A request that nobody waits for any more: it is not carried out after its time.
    #[error("this request is over")]
    RequestOver,
    /// One backup or check runs at a time.
    #[error("a backup, or a check of one, is running already")]
    BackupRunning,
    /// The run has ended, or another node has taken it over.
    #[error("this run has ended, or another node goes on with it")]
    BackupOver,
    /// The run is not one that can be read.
    #[error("this backup is not whole, or is kept no more")]
    BackupNotWhole,
    /// One exchange of the certificate authority is under way at a time.
    #[error(
        "the former certificate authority is still trusted: some node or edge has no certificate by the new one yet"
    )]
    AuthorityChanging,
    /// There is no exchange to give up.
    #[error("the certificate authority is not being exchanged")]
    AuthoritySettled,
    /// They watch as much at once as they may.
    #[error(
        "as many videos are being watched already as may be at once ({limit}): end one, or watch this in its place"
    )]
    TooManyViews {
        /// How many they may.
        limit: u32,
    },
    /// Assets would be older than their collections keep them.
    #[error(
        "{assets} videos are older than they would be kept then, and would be deleted for good within two hours"
    )]
    WouldEnd {
        /// How many; no more than ten thousand are counted.
        assets: u32,
    },
    /// It is being purged: nothing brings it back.
    #[error("this is being deleted for good already")]
    BeingPurged,
    /// Somebody has the role.
    #[error("{holders} members, API keys or open invitations have this role: give them another one first")]
    RoleInUse {
        /// How many.
        holders: u32,
    },
}

impl Refusal {
    /// A wrong value in `field`.
    #[must_use]
    pub fn invalid(field: &str, problem: Problem) -> Self {
        Self::Invalid { field: field.to_owned(), problem }
    }

    /// The stable code: part of the API, in audit records and in problem documents.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::SessionEnded => "session_ended",
            Self::Suspended => "suspended",
            Self::NotFound(noun) => not_found_code(*noun),
            Self::Forbidden { .. } => "forbidden",
            Self::Invalid { .. } => "invalid",
            Self::DuplicateId(_) => "duplicate_id",
            Self::NameTaken(_) => "name_taken",
            Self::TooMany { .. } => "too_many",
            Self::LinkNotValid => "link_not_valid",
            Self::AlreadyClaimed => "already_claimed",
            Self::NotClaimed => "not_claimed",
            Self::AlreadyInitialised => "already_initialised",
            Self::NotInitialised => "not_initialised",
            Self::LastClusterAdmin => "last_cluster_admin",
            Self::ApplicationNotEmpty => "application_not_empty",
            Self::StaleKeyEpoch { .. } => "stale_key_epoch",
            Self::StaleBlobEpoch { .. } => "stale_blob_epoch",
            Self::StaleJobEpoch { .. } => "stale_job_epoch",
            Self::JobState => "job_state",
            Self::AssetState => "asset_state",
            Self::Trashed => "asset_trashed",
            Self::NotTrashed => "asset_not_trashed",
            Self::NotWatchable => "not_watchable",
            Self::LegalHold => "legal_hold",
            Self::BlobSealed => "blob_sealed",
            Self::BlobOpen => "blob_open",
            Self::BlobMismatch => "blob_mismatch",
            Self::ManifestChanged => "manifest_changed",
            Self::NotDue => "not_due",
            Self::TimeHeld => "time_held",
            Self::ViewEnded => "view_ended",
            Self::JoinTokenUnknown => "join_token_unknown",
            Self::JoinTokenUsed => "join_token_used",
            Self::JoinTokenExpired => "join_token_expired",
            Self::StaleIncarnation => "stale_incarnation",
            Self::LastNode => "last_node",
            Self::HoldersChanged => "holders_changed",
            Self::TooFewCopies => "too_few_copies",
            Self::NodeNotActive => "node_not_active",
            Self::NodesTooOld { .. } => "nodes_too_old",
            Self::RequestOver => "request_over",
            Self::BackupRunning => "backup_running",
            Self::BackupOver => "backup_over",
            Self::BackupNotWhole => "backup_not_whole",
            Self::AuthorityChanging => "authority_changing",
            Self::AuthoritySettled => "authority_settled",
            Self::TooManyViews { .. } => "too_many_views",
            Self::WouldEnd { .. } => "would_end",
            Self::BeingPurged => "being_purged",
            Self::RoleInUse { .. } => "role_in_use",
        }
    }

    /// How the API answers.
    #[must_use]
    pub fn class(&self) -> RefusalClass {
        match self {
            Self::NotSignedIn | Self::SessionEnded => RefusalClass::NotSignedIn,
            Self::Suspended | Self::Forbidden { .. } | Self::ViewEnded => RefusalClass::Forbidden,
            Self::JoinTokenUnknown | Self::JoinTokenUsed | Self::JoinTokenExpired => RefusalClass::Forbidden,
            Self::NotFound(_) => RefusalClass::NotFound,
            Self::Invalid { .. } | Self::LinkNotValid => RefusalClass::Invalid,
            _ => RefusalClass::Conflict,
        }
    }
}

fn not_found_code(noun: Noun) -> &'static str {
    match noun {
        Noun::Application => "application_not_found",
        Noun::ApiKey => "api_key_not_found",
        Noun::Asset => "asset_not_found",
        Noun::Blob => "blob_not_found",
        Noun::Collection => "collection_not_found",
        Noun::Invite => "invite_not_found",
        Noun::Job => "job_not_found",
        Noun::Member => "member_not_found",
        Noun::Node => "node_not_found",
        Noun::Session => "session_not_found",
        Noun::User => "user_not_found",
        Noun::JoinToken => "join_token_not_found",
        Noun::BackupTarget => "backup_target_not_found",
        Noun::BackupRun => "backup_not_found",
        Noun::Alert => "alert_not_found",
        Noun::Edge => "edge_not_found",
        Noun::Warm => "warm_not_found",
        Noun::View => "view_not_found",
        Noun::Role => "role_not_found",
    }
}
