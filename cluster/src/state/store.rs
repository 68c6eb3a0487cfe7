//! The maps State is made of, and the indexes derived from them.
//!
//! `Records` is what is written to snapshots; `Indexes` follows from it alone (`Indexes::of`), and a test holds that.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use super::alert::Alerts;
use super::asset_record::{Asset, Life};
use super::authorities::Authorities;
use super::edge::Edges;
use super::holders::Holders;
use super::part::Split;
use super::records::{
    ApiKey, Application, Backups, ClusterInfo, Collection, Invite, Job, JoinToken, Member, Node, Reset,
    SealedEpoch, Session, Tombstone, User,
};
use super::requests::Answered;
use super::retention::Retention;
use super::roles::Roles;
use super::shelf::{Shelves, folded};
use super::views::Views;
use crate::audit_record::ChainHead;
use crate::command::{KeyEpoch, Release, SealedSecret, SecretHash, SiteNetwork};
use crate::id::{
    ApiKeyId, ApplicationId, AssetId, BackupTargetId, CollectionId, InviteId, JobId, NodeId, SessionId,
    UserId,
};

/// Everything State knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Records {
    pub(super) time_ms: u64,
    pub(super) last_applied: u64,
    pub(super) chain: ChainHead,
    pub(super) cluster: Option<ClusterInfo>,
    #[serde(with = "super::map")]
    pub(super) sealed_keys: OrdMap<KeyEpoch, SealedEpoch>,
    #[serde(with = "super::map")]
    pub(super) nodes: OrdMap<NodeId, Arc<Node>>,
    #[serde(with = "super::map")]
    pub(super) users: OrdMap<UserId, Arc<User>>,
    #[serde(with = "super::map")]
    pub(super) sessions: OrdMap<SessionId, Arc<Session>>,
    #[serde(with = "super::map")]
    pub(super) resets: OrdMap<SecretHash, Arc<Reset>>,
    #[serde(with = "super::map")]
    pub(super) api_keys: OrdMap<ApiKeyId, Arc<ApiKey>>,
    #[serde(with = "super::map")]
    pub(super) invites: OrdMap<InviteId, Arc<Invite>>,
    #[serde(with = "super::map")]
    pub(super) applications: OrdMap<ApplicationId, Arc<Application>>,
    #[serde(with = "super::map")]
    pub(super) members: OrdMap<(ApplicationId, UserId), Arc<Member>>,
    #[serde(with = "super::map")]
    pub(super) collections: OrdMap<CollectionId, Arc<Collection>>,
    #[serde(with = "super::map")]
    pub(super) assets: OrdMap<AssetId, Arc<Asset>>,
    #[serde(with = "super::map")]
    pub(super) jobs: OrdMap<JobId, Arc<Job>>,
    #[serde(with = "super::map")]
    pub(super) tombstones: OrdMap<AssetId, Tombstone>,
    #[serde(with = "super::map")]
    pub(super) join_tokens: OrdMap<SecretHash, JoinToken>,
    #[serde(with = "super::map")]
    pub(super) holders: OrdMap<AssetId, Holders>,
    pub(super) site_map: Arc<Vec<SiteNetwork>>,
    #[serde(with = "super::map")]
    pub(super) releases: OrdMap<NodeId, Release>,
    #[serde(with = "super::map")]
    pub(super) answered: OrdMap<NodeId, Arc<Answered>>,
    pub(super) backups: Backups,
    pub(super) alerts: Alerts,
    #[serde(with = "super::map")]
    pub(super) splits: OrdMap<JobId, Arc<Split>>,
    pub(super) edges: Edges,
    pub(super) authorities: Authorities,
    pub(super) views: Views,
    pub(super) retention: Retention,
    /// Minutes between the backups of a place that does not wait for its time of the day.
    #[serde(with = "super::map")]
    pub(super) backup_paces: OrdMap<BackupTargetId, u16>,
    pub(super) roles: Roles,
    pub(super) pepper: Option<SealedSecret>,
}

/// What follows from the records, kept so that nothing is searched for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Indexes {
    pub(super) usernames: OrdMap<String, UserId>,
    pub(super) admins: OrdSet<UserId>,
    pub(super) session_secrets: OrdMap<SecretHash, SessionId>,
    pub(super) user_sessions: OrdSet<(UserId, u64, SessionId)>,
    pub(super) api_key_secrets: OrdMap<SecretHash, ApiKeyId>,
    pub(super) application_keys: OrdSet<(ApplicationId, ApiKeyId)>,
    pub(super) invite_secrets: OrdMap<SecretHash, InviteId>,
    pub(super) application_invites: OrdSet<(ApplicationId, InviteId)>,
    pub(super) application_names: OrdMap<String, ApplicationId>,
    pub(super) user_applications: OrdSet<(UserId, ApplicationId)>,
    pub(super) collection_names: OrdMap<(ApplicationId, String), CollectionId>,
    pub(super) shelves: Shelves,
    pub(super) key_epochs: OrdSet<(KeyEpoch, AssetId)>,
    pub(super) due: OrdSet<(u64, AssetId)>,
    pub(super) held: OrdSet<(ApplicationId, AssetId)>,
    pub(super) active_jobs: OrdSet<(u64, JobId)>,
    pub(super) ended_jobs: OrdSet<(u64, JobId)>,
    pub(super) application_jobs: OrdSet<(ApplicationId, u64, JobId)>,
    pub(super) asset_jobs: OrdSet<(AssetId, JobId)>,
    pub(super) oldest_tombstones: OrdSet<(u64, AssetId)>,
}

impl Indexes {
    /// The indexes of `records`, from nothing.
    pub(super) fn of(records: &Records) -> Self {
        let mut indexes = Self::default();
        records.users.values().for_each(|user| indexes.user(None, Some(user)));
        records.sessions.values().for_each(|session| indexes.session(None, Some(session)));
        records.api_keys.values().for_each(|key| indexes.api_key(None, Some(key)));
        records.invites.values().for_each(|invite| indexes.invite(None, Some(invite)));
        records.applications.values().for_each(|application| indexes.application(None, Some(application)));
        records.members.values().for_each(|member| indexes.member(None, Some(member)));
        records.collections.values().for_each(|collection| indexes.collection(None, Some(collection)));
        records.assets.values().for_each(|asset| indexes.asset(None, Some(asset)));
        records.jobs.values().for_each(|job| indexes.job(None, Some(job)));
        records.tombstones.values().for_each(|tombstone| indexes.tombstone(None, Some(tombstone)));
        indexes
    }

    pub(super) fn user(&mut self, before: Option<&User>, after: Option<&User>) {
        if let Some(user) = before {
            self.usernames.remove(&user.username);
            self.admins.remove(&user.id);
        }
        if let Some(user) = after {
            self.usernames.insert(user.username.clone(), user.id);
            if user.cluster_admin && !user.suspended {
                self.admins.insert(user.id);
            }
        }
    }

    pub(super) fn session(&mut self, before: Option<&Session>, after: Option<&Session>) {
        if let Some(session) = before {
            self.session_secrets.remove(&session.secret_hash);
            self.user_sessions.remove(&(session.user, session.created_ms, session.id));
        }
        if let Some(session) = after {
            self.session_secrets.insert(session.secret_hash, session.id);
            self.user_sessions.insert((session.user, session.created_ms, session.id));
        }
    }

    pub(super) fn api_key(&mut self, before: Option<&ApiKey>, after: Option<&ApiKey>) {
        if let Some(key) = before {
            self.api_key_secrets.remove(&key.secret_hash);
            self.application_keys.remove(&(key.application, key.id));
        }
        if let Some(key) = after {
            self.api_key_secrets.insert(key.secret_hash, key.id);
            self.application_keys.insert((key.application, key.id));
        }
    }

    pub(super) fn invite(&mut self, before: Option<&Invite>, after: Option<&Invite>) {
        if let Some(invite) = before {
            self.invite_secrets.remove(&invite.secret_hash);
            self.application_invites.remove(&(invite.application, invite.id));
        }
        if let Some(invite) = after {
            self.invite_secrets.insert(invite.secret_hash, invite.id);
            self.application_invites.insert((invite.application, invite.id));
        }
    }

    pub(super) fn application(&mut self, before: Option<&Application>, after: Option<&Application>) {
        if let Some(application) = before {
            self.application_names.remove(&folded(&application.name));
        }
        if let Some(application) = after {
            self.application_names.insert(folded(&application.name), application.id);
        }
    }

    pub(super) fn member(&mut self, before: Option<&Member>, after: Option<&Member>) {
        if let Some(member) = before {
            self.user_applications.remove(&(member.user, member.application));
        }
        if let Some(member) = after {
            self.user_applications.insert((member.user, member.application));
        }
    }

    pub(super) fn collection(&mut self, before: Option<&Collection>, after: Option<&Collection>) {
        if let Some(collection) = before {
            self.collection_names.remove(&(collection.application, folded(&collection.name)));
        }
        if let Some(collection) = after {
            self.collection_names.insert((collection.application, folded(&collection.name)), collection.id);
        }
    }

    pub(super) fn asset(&mut self, before: Option<&Asset>, after: Option<&Asset>) {
        self.shelves.replace(before, after);
        if let Some(asset) = before {
            self.key_epochs.remove(&(asset.key_epoch, asset.id));
            if let Life::Trashed { until_ms, .. } = asset.life {
                self.due.remove(&(until_ms, asset.id));
            }
            if asset.legal_hold.is_some() {
                self.held.remove(&(asset.application, asset.id));
            }
        }
        if let Some(asset) = after {
            self.key_epochs.insert((asset.key_epoch, asset.id));
            if let Life::Trashed { until_ms, .. } = asset.life {
                self.due.insert((until_ms, asset.id));
            }
            if asset.legal_hold.is_some() {
                self.held.insert((asset.application, asset.id));
            }
        }
    }

    pub(super) fn job(&mut self, before: Option<&Job>, after: Option<&Job>) {
        if let Some(job) = before {
            self.active_jobs.remove(&(job.created_ms, job.id));
            self.ended_jobs.remove(&(job.updated_ms, job.id));
            self.application_jobs.remove(&(job.application, u64::MAX - job.created_ms, job.id));
            self.asset_jobs.remove(&(job.asset, job.id));
        }
        if let Some(job) = after {
            if job.state.is_active() {
                self.active_jobs.insert((job.created_ms, job.id));
            } else {
                self.ended_jobs.insert((job.updated_ms, job.id));
            }
            self.application_jobs.insert((job.application, u64::MAX - job.created_ms, job.id));
            self.asset_jobs.insert((job.asset, job.id));
        }
    }

    pub(super) fn tombstone(&mut self, before: Option<&Tombstone>, after: Option<&Tombstone>) {
        if let Some(tombstone) = before {
            self.oldest_tombstones.remove(&(tombstone.purged_ms, tombstone.asset));
        }
        if let Some(tombstone) = after {
            self.oldest_tombstones.insert((tombstone.purged_ms, tombstone.asset));
        }
    }
}
