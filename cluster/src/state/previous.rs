//! State as version 1 wrote it: one node, without addresses, and no join tokens.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::State;
use super::asset_record::Asset;
use super::records::{
    ApiKey, Application, ClusterInfo, Collection, Invite, Job, Member, Node, NodeState, Reset, SealedEpoch,
    Session, Tombstone, User,
};
use super::store::Records;
use crate::audit_record::ChainHead;
use crate::command::{Incarnation, KeyEpoch, SecretHash};
use crate::id::{ApiKeyId, ApplicationId, AssetId, CollectionId, InviteId, JobId, NodeId, SessionId, UserId};

/// State as the version before wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviousState {
    time_ms: u64,
    last_applied: u64,
    chain: ChainHead,
    cluster: Option<PreviousClusterInfo>,
    sealed_keys: OrdMap<KeyEpoch, SealedEpoch>,
    nodes: OrdMap<NodeId, PreviousNode>,
    users: OrdMap<UserId, Arc<User>>,
    sessions: OrdMap<SessionId, Arc<Session>>,
    resets: OrdMap<SecretHash, Arc<Reset>>,
    api_keys: OrdMap<ApiKeyId, Arc<ApiKey>>,
    invites: OrdMap<InviteId, Arc<Invite>>,
    applications: OrdMap<ApplicationId, Arc<Application>>,
    members: OrdMap<(ApplicationId, UserId), Arc<Member>>,
    collections: OrdMap<CollectionId, Arc<Collection>>,
    assets: OrdMap<AssetId, Arc<Asset>>,
    jobs: OrdMap<JobId, Arc<Job>>,
    tombstones: OrdMap<AssetId, Tombstone>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PreviousNode {
    id: NodeId,
    name: String,
    site: String,
    public_key: [u8; 32],
    added_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PreviousClusterInfo {
    id: [u8; 16],
    created_ms: u64,
    claimed_ms: Option<u64>,
    key_epoch: KeyEpoch,
    recovery_public_key: [u8; 32],
    recovery_confirmed: bool,
    time_held: bool,
}

impl From<PreviousNode> for Node {
    fn from(before: PreviousNode) -> Self {
        Self {
            id: before.id,
            name: before.name,
            site: before.site,
            public_key: before.public_key,
            added_ms: before.added_ms,
            weight: Self::WEIGHT,
            state: NodeState::Active,
            certificate_key: None,
            certificate: None,
            cluster_address: String::new(),
            public_address: String::new(),
            incarnation: Incarnation::default(),
        }
    }
}

impl From<PreviousClusterInfo> for ClusterInfo {
    fn from(before: PreviousClusterInfo) -> Self {
        Self {
            id: before.id,
            created_ms: before.created_ms,
            claimed_ms: before.claimed_ms,
            key_epoch: before.key_epoch,
            recovery_public_key: before.recovery_public_key,
            recovery_confirmed: before.recovery_confirmed,
            time_held: before.time_held,
            authority: None,
        }
    }
}

impl From<PreviousState> for State {
    fn from(before: PreviousState) -> Self {
        let records = Records {
            time_ms: before.time_ms,
            last_applied: before.last_applied,
            chain: before.chain,
            cluster: before.cluster.map(ClusterInfo::from),
            sealed_keys: before.sealed_keys,
            nodes: before.nodes.into_iter().map(|(id, node)| (id, Arc::new(Node::from(node)))).collect(),
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
            join_tokens: OrdMap::new(),
            holders: OrdMap::new(),
        };
        Self::from(records)
    }
}
