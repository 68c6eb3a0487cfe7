//! Reading State: lookups by id, by secret, and the ordered lists that are not assets.

use std::ops::Bound;
use std::sync::Arc;

use super::limits::Limits;
use super::shelf::{Shelf, folded};
use super::{
    ApiKey, Application, Asset, ClusterInfo, Collection, Invite, Job, Member, Node, Reset, SealedEpoch,
    Session, Split, State, Tombstone, User,
};
use crate::audit_record::ChainHead;
use crate::command::{KeyEpoch, Role, SecretHash};
use crate::id::{ApiKeyId, ApplicationId, AssetId, CollectionId, InviteId, JobId, NodeId, SessionId, UserId};

impl State {
    /// Cluster time of the newest entry applied.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.records.time_ms
    }

    /// Log index of the newest entry applied.
    #[must_use]
    pub fn last_applied(&self) -> u64 {
        self.records.last_applied
    }

    /// The newest audit record's number and hash.
    #[must_use]
    pub fn chain_head(&self) -> ChainHead {
        self.records.chain
    }

    /// The cluster, once initialised.
    #[must_use]
    pub fn cluster_info(&self) -> Option<&ClusterInfo> {
        self.records.cluster.as_ref()
    }

    /// Whether somebody has claimed the cluster.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        self.records.cluster.as_ref().is_some_and(|cluster| cluster.claimed_ms.is_some())
    }

    /// Every kept cluster key epoch with the key sealed to each holder.
    pub fn sealed_keys(&self) -> impl DoubleEndedIterator<Item = (KeyEpoch, &SealedEpoch)> {
        self.records.sealed_keys.iter().map(|(epoch, sealed)| (*epoch, sealed))
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.records.nodes.get(&id)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.records.nodes.values()
    }

    /// A person.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<&Arc<User>> {
        self.records.users.get(&id)
    }

    /// The person of this name, however it is written.
    #[must_use]
    pub fn user_by_name(&self, username: &str) -> Option<&Arc<User>> {
        self.user(*self.indexes.usernames.get(&folded(username.trim()))?)
    }

    /// People by name, after `after`.
    pub fn users_by_name(&self, after: Option<&str>) -> impl DoubleEndedIterator<Item = &Arc<User>> {
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.to_owned()));
        self.indexes.usernames.range((start, Bound::Unbounded)).filter_map(|(_, id)| self.user(*id))
    }

    /// How many people there are.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.records.users.len()
    }

    /// A sign-in, also when its time is over: compare `expires_ms`, or let `permission::check` do it.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Arc<Session>> {
        self.records.sessions.get(&id)
    }

    /// The sign-in with this secret.
    #[must_use]
    pub fn session_by_secret(&self, secret: &SecretHash) -> Option<&Arc<Session>> {
        self.session(*self.indexes.session_secrets.get(secret)?)
    }

    /// A person's sign-ins, oldest first.
    pub fn sessions_of(&self, user: UserId) -> impl DoubleEndedIterator<Item = &Arc<Session>> {
        let range = (user, 0, SessionId::ZERO)..=(user, u64::MAX, SessionId([0xff; 16]));
        self.indexes.user_sessions.range(range).filter_map(|(_, _, id)| self.session(*id))
    }

    /// An API key, also when its time is over.
    #[must_use]
    pub fn api_key(&self, id: ApiKeyId) -> Option<&Arc<ApiKey>> {
        self.records.api_keys.get(&id)
    }

    /// The API key with this secret.
    #[must_use]
    pub fn api_key_by_secret(&self, secret: &SecretHash) -> Option<&Arc<ApiKey>> {
        self.api_key(*self.indexes.api_key_secrets.get(secret)?)
    }

    /// An application's API keys.
    pub fn api_keys_of(&self, application: ApplicationId) -> impl Iterator<Item = &Arc<ApiKey>> {
        let range = (application, ApiKeyId::ZERO)..=(application, ApiKeyId([0xff; 16]));
        self.indexes.application_keys.range(range).filter_map(|(_, id)| self.api_key(*id))
    }

    /// An invitation.
    #[must_use]
    pub fn invite(&self, id: InviteId) -> Option<&Arc<Invite>> {
        self.records.invites.get(&id)
    }

    /// The invitation with this secret.
    #[must_use]
    pub fn invite_by_secret(&self, secret: &SecretHash) -> Option<&Arc<Invite>> {
        self.invite(*self.indexes.invite_secrets.get(secret)?)
    }

    /// An application's open invitations.
    pub fn invites_of(&self, application: ApplicationId) -> impl Iterator<Item = &Arc<Invite>> {
        let range = (application, InviteId::ZERO)..=(application, InviteId([0xff; 16]));
        self.indexes.application_invites.range(range).filter_map(|(_, id)| self.invite(*id))
    }

    /// The reset link with this secret.
    #[must_use]
    pub fn reset_by_secret(&self, secret: &SecretHash) -> Option<&Arc<Reset>> {
        self.records.resets.get(secret)
    }

    /// Invitations and reset links that ended an hour or more before `now_ms`.
    pub(crate) fn ended_links(&self, now_ms: u64) -> (Vec<InviteId>, Vec<SecretHash>) {
        let long_over = |expires_ms: u64| expires_ms.saturating_add(Limits::DUE_AGAIN_MS) <= now_ms;
        let invites = self.records.invites.iter().filter(|(_, invite)| long_over(invite.expires_ms));
        let resets = self.records.resets.iter().filter(|(_, reset)| long_over(reset.expires_ms));
        (invites.map(|(id, _)| *id).collect(), resets.map(|(secret, _)| *secret).collect())
    }

    /// An application.
    #[must_use]
    pub fn application(&self, id: ApplicationId) -> Option<&Arc<Application>> {
        self.records.applications.get(&id)
    }

    /// Applications by name.
    pub fn applications_by_name(&self) -> impl Iterator<Item = &Arc<Application>> {
        self.indexes.application_names.values().filter_map(|id| self.application(*id))
    }

    /// A person's place in an application.
    #[must_use]
    pub fn member(&self, application: ApplicationId, user: UserId) -> Option<&Arc<Member>> {
        self.records.members.get(&(application, user))
    }

    /// An application's members.
    pub fn members_of(&self, application: ApplicationId) -> impl Iterator<Item = &Arc<Member>> {
        let range = (application, UserId::ZERO)..=(application, UserId([0xff; 16]));
        self.records.members.range(range).map(|(_, member)| member)
    }

    /// The applications a person belongs to.
    pub fn memberships_of(&self, user: UserId) -> impl Iterator<Item = &Arc<Member>> {
        let range = (user, ApplicationId::ZERO)..=(user, ApplicationId([0xff; 16]));
        self.indexes
            .user_applications
            .range(range)
            .filter_map(|(user, application)| self.member(*application, *user))
    }

    /// The role of a person in an application: a cluster admin is admin everywhere. Nobody has one in an application in the
    /// trash.
    #[must_use]
    pub fn role_of(&self, user: UserId, application: ApplicationId) -> Option<Role> {
        // All of it is looked up whatever comes of it: the time taken tells nothing of what there is.
        let member = self.member(application, user);
        let is_trashed = self.trashed_application(application).is_some();
        let (application, user) = (self.application(application), self.user(user));
        let user = application.and(user).filter(|_| !is_trashed)?;
        if user.cluster_admin { Some(Role::Admin) } else { member.map(|member| member.role) }
    }

    /// A collection.
    #[must_use]
    pub fn collection(&self, id: CollectionId) -> Option<&Arc<Collection>> {
        self.records.collections.get(&id)
    }

    /// An application's collections by name.
    pub fn collections_of(&self, application: ApplicationId) -> impl Iterator<Item = &Arc<Collection>> {
        self.indexes
            .collection_names
            .range((application, String::new())..)
            .take_while(move |((owner, _), _)| *owner == application)
            .filter_map(|(_, id)| self.collection(*id))
    }

    /// An asset, live or in the trash.
    #[must_use]
    pub fn asset(&self, id: AssetId) -> Option<&Arc<Asset>> {
        self.records.assets.get(&id)
    }

    /// Every asset by id, after `after`: for workers that go over all of them.
    pub fn assets_by_id(&self, after: Option<AssetId>) -> impl Iterator<Item = &Arc<Asset>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.records.assets.range((start, Bound::Unbounded)).map(|(_, asset)| asset)
    }

    /// How many assets there are, in the trash or not.
    #[must_use]
    pub fn asset_count(&self) -> usize {
        self.records.assets.len()
    }

    /// What is left of a purged asset.
    #[must_use]
    pub fn tombstone(&self, id: AssetId) -> Option<&Tombstone> {
        self.records.tombstones.get(&id)
    }

    /// How many assets are on a shelf.
    #[must_use]
    pub fn count(&self, shelf: &Shelf) -> u64 {
        self.indexes.shelves.count(shelf)
    }

    /// Assets whose data key is wrapped by an older cluster key than the current one.
    pub fn assets_to_rewrap(&self) -> impl Iterator<Item = &Arc<Asset>> {
        let current = self.cluster_info().map_or(0, |cluster| cluster.key_epoch);
        self.indexes.key_epochs.range(..(current, AssetId::ZERO)).filter_map(|(_, id)| self.asset(*id))
    }

    /// Whether a legal hold keeps something in an application.
    pub(crate) fn has_held_assets(&self, application: ApplicationId) -> bool {
        let all = (application, AssetId::ZERO)..=(application, AssetId([0xff; 16]));
        self.indexes.held.range(all).next().is_some()
    }

    /// Trashed assets whose time is over at `now_ms`.
    pub fn assets_due(&self, now_ms: u64) -> impl Iterator<Item = &Arc<Asset>> {
        self.indexes.due.range(..=(now_ms, AssetId([0xff; 16]))).filter_map(|(_, id)| self.asset(*id))
    }

    /// A Job.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.records.jobs.get(&id)
    }

    /// Jobs that wait or are worked on, oldest first.
    pub fn active_jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.indexes.active_jobs.iter().filter_map(|(_, id)| self.job(*id))
    }

    /// How a Job is divided; `None` while it is one piece of work.
    #[must_use]
    pub fn split(&self, job: JobId) -> Option<&Arc<Split>> {
        self.records.splits.get(&job)
    }

    /// The Jobs that are divided.
    pub fn splits(&self) -> impl Iterator<Item = (JobId, &Arc<Split>)> {
        self.records.splits.iter().map(|(job, split)| (*job, split))
    }

    /// Jobs that have ended, newest first.
    pub fn ended_jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.indexes.ended_jobs.iter().rev().filter_map(|(_, id)| self.job(*id))
    }

    /// An application's Jobs, newest first.
    pub fn jobs_of(&self, application: ApplicationId) -> impl Iterator<Item = &Arc<Job>> {
        let range = (application, 0, JobId::ZERO)..=(application, u64::MAX, JobId([0xff; 16]));
        self.indexes.application_jobs.range(range).filter_map(|(_, _, id)| self.job(*id))
    }

    /// The Job of an asset that waits or is worked on.
    #[must_use]
    pub fn active_job_of(&self, asset: AssetId) -> Option<&Arc<Job>> {
        self.job(self.asset(asset)?.job?).filter(|job| job.state.is_active())
    }
}
