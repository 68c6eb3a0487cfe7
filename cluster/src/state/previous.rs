//! State as version 2 wrote it: without a site map, what each node runs, answers to requests, backups, alerts, edges, what ends by itself
//! and the pepper.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::State;
use super::alert::Alerts;
use super::asset_record::Asset;
use super::authorities::Authorities;
use super::edge::Edges;
use super::holders::Holders;
use super::records::{
    ApiKey, Application, Backups, ClusterInfo, Collection, Invite, Job, JoinToken, Member, Node, Reset,
    SealedEpoch, Session, Tombstone, User,
};
use super::retention::Retention;
use super::roles::Roles;
use super::store::Records;
use super::views::Views;
use crate::audit_record::ChainHead;
use crate::command::{KeyEpoch, SecretHash};
use crate::id::{ApiKeyId, ApplicationId, AssetId, CollectionId, InviteId, JobId, NodeId, SessionId, UserId};

/// State as the version before wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviousState {
    time_ms: u64,
    last_applied: u64,
    chain: ChainHead,
    cluster: Option<ClusterInfo>,
    #[serde(with = "super::map")]
    sealed_keys: OrdMap<KeyEpoch, SealedEpoch>,
    #[serde(with = "super::map")]
    nodes: OrdMap<NodeId, Arc<Node>>,
    #[serde(with = "super::map")]
    users: OrdMap<UserId, Arc<User>>,
    #[serde(with = "super::map")]
    sessions: OrdMap<SessionId, Arc<Session>>,
    #[serde(with = "super::map")]
    resets: OrdMap<SecretHash, Arc<Reset>>,
    #[serde(with = "super::map")]
    api_keys: OrdMap<ApiKeyId, Arc<ApiKey>>,
    #[serde(with = "super::map")]
    invites: OrdMap<InviteId, Arc<Invite>>,
    #[serde(with = "super::map")]
    applications: OrdMap<ApplicationId, Arc<Application>>,
    #[serde(with = "super::map")]
    members: OrdMap<(ApplicationId, UserId), Arc<Member>>,
    #[serde(with = "super::map")]
    collections: OrdMap<CollectionId, Arc<Collection>>,
    #[serde(with = "super::map")]
    assets: OrdMap<AssetId, Arc<Asset>>,
    #[serde(with = "super::map")]
    jobs: OrdMap<JobId, Arc<Job>>,
    #[serde(with = "super::map")]
    tombstones: OrdMap<AssetId, Tombstone>,
    #[serde(with = "super::map")]
    join_tokens: OrdMap<SecretHash, JoinToken>,
    #[serde(with = "super::map")]
    holders: OrdMap<AssetId, Holders>,
}

impl From<PreviousState> for State {
    fn from(before: PreviousState) -> Self {
        let records = Records {
            time_ms: before.time_ms,
            last_applied: before.last_applied,
            chain: before.chain,
            cluster: before.cluster,
            sealed_keys: before.sealed_keys,
            nodes: before.nodes,
            users: before.users,
            sessions: before.sessions,
            resets: before.resets,
            api_keys: before.api_keys,
            invites: before.invites,
            applications: before.applications,
            members: before.members,
            collections: before.collections,
            assets: before.assets,
            jobs: before.jobs,
            tombstones: before.tombstones,
            join_tokens: before.join_tokens,
            holders: before.holders,
            site_map: Arc::default(),
            releases: OrdMap::new(),
            answered: OrdMap::new(),
            backups: Backups::default(),
            alerts: Alerts::default(),
            splits: OrdMap::new(),
            edges: Edges::default(),
            authorities: Authorities::default(),
            views: Views::default(),
            retention: Retention::default(),
            backup_paces: OrdMap::new(),
            roles: Roles::default(),
            pepper: None,
        };
        Self::from(records)
    }
}
