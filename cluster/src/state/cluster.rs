//! Rules for the cluster itself: its first entry, its keys, its time.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::State;
use super::apply::Change;
use super::limits::Limits;
use super::records::Tombstone;
use super::validate;
use super::{Asset, ClusterAuthority, ClusterInfo, Node};
use crate::command::{ClusterCommand, KeyEpoch, KeyHolder, SealedClusterKey, WrappedKey};
use crate::event::Event;
use crate::id::{AssetId, NodeId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn cluster(&mut self, command: &ClusterCommand) -> Ruled {
        use ClusterCommand as C;
        match command {
            C::Initialise {
                cluster_id,
                node,
                node_name,
                site,
                node_public_key,
                recovery_public_key,
                sealed,
            } => {
                let name = validate::name("node_name", node_name)?;
                let site = validate::name("site", site)?;
                let node = Node::founder(*node, name, site, *node_public_key, self.now_ms);
                self.initialise(*cluster_id, node, *recovery_public_key, sealed)
            }
            C::RotateClusterKey { epoch, sealed } => self.rotate_cluster_key(*epoch, sealed),
            C::RewrapAssetKey { asset, wrapped_key, key_epoch } => {
                self.rewrap_asset_key(*asset, wrapped_key, *key_epoch)
            }
            C::ConfirmRecoveryKey => self.change_cluster(|cluster| cluster.recovery_confirmed = true),
            C::ReplaceRecoveryKey { recovery_public_key, sealed } => {
                self.replace_recovery_key(*recovery_public_key, sealed)
            }
            C::ReplaceNodeKey { node, public_key, sealed } => {
                self.replace_node_key(*node, *public_key, sealed)
            }
            C::SetTimeHold { held } => self.change_cluster(|cluster| cluster.time_held = *held),
            C::SetAuthority { certificate, sealed_key, key_epoch } => {
                self.set_authority(certificate, sealed_key, *key_epoch)
            }
            C::CreateJoinToken { secret_hash, expires_ms } => {
                self.create_join_token(*secret_hash, *expires_ms)
            }
            C::AdmitNode { secret_hash, node, sealed } => self.admit_node(secret_hash, node, sealed),
            C::ReportNode { node, certificate, cluster_address, public_address, incarnation } => {
                let addresses = (cluster_address.as_str(), public_address.as_str());
                self.report_node(*node, *certificate, addresses, *incarnation)
            }
            C::ActivateNode { node } => self.activate_node(*node),
            C::DrainNode { node, draining } => self.drain_node(*node, *draining),
            C::RemoveNode { node } => self.remove_node(*node),
            C::InstallCertificate { node, names, expires_ms, .. } => {
                validate::expiry(self.now_ms, *expires_ms, u64::MAX)?;
                if names.len() > Limits::CERTIFICATE_NAMES {
                    return Err(Refusal::invalid("names", Problem::TooMany(100)));
                }
                names.iter().try_for_each(|name| validate::line("names", name, Limits::REASON))?;
                self.known_node(*node)
            }
            C::RemoveCertificate { node } | C::AcceptLoss { node, .. } => self.known_node(*node),
            C::SetSiteMap { networks } => self.set_site_map(networks),
            C::ReportRelease { node, release } => self.report_release(*node, release),
            C::ReplaceAuthority { certificate, sealed_key, key_epoch, crossed, replaces } => {
                let next = ClusterAuthority {
                    certificate: certificate.clone(),
                    sealed_key: sealed_key.clone(),
                    key_epoch: *key_epoch,
                };
                self.replace_authority(next, crossed, *replaces)
            }
            C::ReportAuthority { node, authority } => self.report_authority(*node, *authority),
            C::DropAuthority { authority } => self.drop_authority(*authority),
            C::AbandonAuthority { authority, crossed } => self.abandon_authority(*authority, crossed),
            C::RecoverQuorum { survivor, lost, reason, operator, .. } => {
                self.recover_quorum(*survivor, lost, (reason, operator))
            }
            C::SetPepper { sealed, key_epoch } => self.set_pepper(sealed, *key_epoch),
        }
    }

    /// What concerns one node and changes nothing that is agreed on: the record is all there is to it.
    fn known_node(&self, node: NodeId) -> Ruled {
        self.state.node(node).map(|_| Outcome::Done).ok_or(Refusal::NotFound(Noun::Node))
    }

    pub(super) fn change_cluster(&mut self, change: impl FnOnce(&mut ClusterInfo)) -> Ruled {
        change(self.state.records.cluster.as_mut().ok_or(Refusal::NotInitialised)?);
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }

    fn initialise(
        &mut self,
        id: [u8; 16],
        node: Node,
        recovery_public_key: [u8; 32],
        sealed: &[SealedClusterKey],
    ) -> Ruled {
        if self.state.records.cluster.is_some() {
            return Err(Refusal::AlreadyInitialised);
        }
        self.state.records.nodes.insert(node.id, Arc::new(node));
        self.sealed_to_all(sealed)?;
        self.state.records.sealed_keys.insert(1, Arc::new(sealed.to_vec()));
        self.state.records.cluster = Some(ClusterInfo {
            id,
            created_ms: self.now_ms,
            claimed_ms: None,
            key_epoch: 1,
            recovery_public_key,
            recovery_confirmed: false,
            time_held: false,
            authority: None,
        });
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }

    /// A cluster key is sealed to every node and to the recovery key, to each once, and to nobody else.
    fn sealed_to_all(&self, sealed: &[SealedClusterKey]) -> Result<(), Refusal> {
        sealed.iter().try_for_each(validate::sealed_cluster_key)?;
        let named: BTreeSet<KeyHolder> = sealed.iter().map(|key| key.holder).collect();
        let nodes = self.state.records.nodes.keys().map(|id| KeyHolder::Node(*id));
        let needed: BTreeSet<KeyHolder> = nodes.chain([KeyHolder::Recovery]).collect();
        if named == needed && named.len() == sealed.len() {
            Ok(())
        } else {
            Err(Refusal::invalid("sealed", Problem::Malformed))
        }
    }

    fn rotate_cluster_key(&mut self, epoch: KeyEpoch, sealed: &[SealedClusterKey]) -> Ruled {
        let current = self.state.cluster_info().ok_or(Refusal::NotInitialised)?.key_epoch;
        if current.checked_add(1) != Some(epoch) {
            return Err(Refusal::StaleKeyEpoch { current });
        }
        self.sealed_to_all(sealed)?;
        self.state.records.sealed_keys.insert(epoch, Arc::new(sealed.to_vec()));
        self.change_cluster(|cluster| cluster.key_epoch = epoch)?;
        self.forget_unused_keys();
        self.event(Event::ClusterKeyRotated { epoch });
        Ok(Outcome::Done)
    }

    /// Refuses a key wrapped under any but the current cluster key.
    pub(super) fn current_key_epoch(&self, epoch: KeyEpoch) -> Result<(), Refusal> {
        let current = self.state.cluster_info().ok_or(Refusal::NotInitialised)?.key_epoch;
        if epoch == current { Ok(()) } else { Err(Refusal::StaleKeyEpoch { current }) }
    }

    fn rewrap_asset_key(&mut self, id: AssetId, wrapped_key: &WrappedKey, epoch: KeyEpoch) -> Ruled {
        validate::wrapped_key(wrapped_key)?;
        self.current_key_epoch(epoch)?;
        let found = self.asset_copy(id)?;
        let asset = Asset { wrapped_key: wrapped_key.clone(), key_epoch: epoch, ..found };
        self.state.put_asset(id, asset);
        self.forget_unused_keys();
        Ok(Outcome::Done)
    }

    /// Forgets every cluster key older than the oldest one an asset's key, the authority's, a target's secret or the pepper
    /// is wrapped by.
    pub(super) fn forget_unused_keys(&mut self) {
        let Some(cluster) = self.state.cluster_info() else { return };
        let authority = cluster.authority.as_ref().map(|authority| authority.key_epoch);
        let others = authority.into_iter().chain(self.former_key_epoch());
        let others = others.chain(self.state.oldest_backup_epoch());
        let others = others.chain(self.state.pepper().map(|pepper| pepper.key_epoch));
        let current = others.fold(cluster.key_epoch, KeyEpoch::min);
        let oldest = self.state.indexes.key_epochs.get_min().map_or(current, |(epoch, _)| *epoch);
        let unused: Vec<KeyEpoch> =
            self.state.records.sealed_keys.range(..oldest.min(current)).map(|(epoch, _)| *epoch).collect();
        for epoch in unused {
            self.state.records.sealed_keys.remove(&epoch);
        }
    }

    /// Seals every kept cluster key to `holder` anew.
    fn reseal(&mut self, holder: KeyHolder, sealed: &[(KeyEpoch, SealedClusterKey)]) -> Result<(), Refusal> {
        let malformed = || Refusal::invalid("sealed", Problem::Malformed);
        let kept: Vec<KeyEpoch> = self.state.records.sealed_keys.keys().copied().collect();
        let given: BTreeSet<KeyEpoch> = sealed.iter().map(|(epoch, _)| *epoch).collect();
        if given.len() != sealed.len() || !given.into_iter().eq(kept) {
            return Err(malformed());
        }
        for (epoch, key) in sealed {
            validate::sealed_cluster_key(key)?;
            if key.holder != holder {
                return Err(malformed());
            }
            let before = self.state.records.sealed_keys.get(epoch).ok_or_else(malformed)?;
            let mut keys: Vec<SealedClusterKey> =
                before.iter().filter(|key| key.holder != holder).cloned().collect();
            keys.push(key.clone());
            self.state.records.sealed_keys.insert(*epoch, Arc::new(keys));
        }
        Ok(())
    }

    fn replace_recovery_key(
        &mut self,
        recovery_public_key: [u8; 32],
        sealed: &[(KeyEpoch, SealedClusterKey)],
    ) -> Ruled {
        self.reseal(KeyHolder::Recovery, sealed)?;
        self.event(Event::ClusterChanged);
        self.change_cluster(|cluster| {
            cluster.recovery_public_key = recovery_public_key;
            cluster.recovery_confirmed = false;
        })
    }

    fn replace_node_key(
        &mut self,
        id: NodeId,
        public_key: [u8; 32],
        sealed: &[(KeyEpoch, SealedClusterKey)],
    ) -> Ruled {
        let found = self.state.node(id).ok_or(Refusal::NotFound(Noun::Node))?;
        let node = Node { public_key, ..Node::clone(found) };
        self.reseal(KeyHolder::Node(id), sealed)?;
        self.state.records.nodes.insert(id, Arc::new(node));
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }
}

impl State {
    /// Notes a purged asset, and forgets the oldest such notes.
    pub(super) fn bury(&mut self, tombstone: Tombstone) {
        self.indexes.tombstone(None, Some(&tombstone));
        self.records.tombstones.insert(tombstone.asset, tombstone);
        while self.records.tombstones.len() > Limits::TOMBSTONES {
            let Some((_, oldest)) = self.indexes.oldest_tombstones.get_min().copied() else { return };
            let gone = self.records.tombstones.remove(&oldest);
            self.indexes.tombstone(gone.as_ref(), None);
        }
    }
}
