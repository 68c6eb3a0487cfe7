//! The first node of a cluster that begins with the State of a backup: what a start finds on its disk is put there.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::CommittedLeaderId;

use super::identity::Identity;
use super::{ClusterConfig, OpenError};
use crate::authority::{Authority, Lifetime, NodeName};
use crate::command::KeyEpoch;
use crate::disk::RealDisk;
use crate::id::{AssetId, NodeId};
use crate::keyring::{Keyring, NodeSecrets, PublicKey, StorageKey, fill_random};
use crate::raft::log::files;
use crate::raft::snapshot::SnapshotFolder;
use crate::raft::types::{LogId, StoredMembership};
use crate::state::{NewHome, Node, State};

/// The log of a restored cluster begins after this record, which the snapshot stands for.
const FIRST_RECORD: u64 = 1;

/// Writes down what a start needs: identity, recovery file and a snapshot of `state` in its new home. The folder is that
/// of a node only once the last of it is there. Gives the node's number and the assets that were not complete. Blocks.
pub(crate) fn found(
    config: &ClusterConfig,
    secrets: &NodeSecrets,
    keyring: &Keyring,
    state: State,
) -> Result<(NodeId, Vec<AssetId>), OpenError> {
    let storage_key = secrets.storage_key()?;
    let recovery = state.cluster_info().map(|info| PublicKey::from_bytes(info.recovery_public_key));
    let recovery = recovery.ok_or_else(|| OpenError::Absent(config.dir.clone()))?;
    let entries = state.last_applied();
    // The number of the next Entry: no node of the old cluster can have had it.
    let node = NodeId(entries + 1);
    let (home, identity) = home(config, secrets, keyring, node, state.time_ms())?;
    let (state, incomplete) = state.restored(&home);
    write_snapshot(config, &storage_key, &state, node, entries)?;
    files::write_atomically(&config.recovery_file(), &secrets.seal_for_recovery(&recovery)?)?;
    identity.write(config, &storage_key)?;
    files::create_dir(&config.log_dir())?;
    Ok((node, incomplete))
}

fn home(
    config: &ClusterConfig,
    secrets: &NodeSecrets,
    keyring: &Keyring,
    node: NodeId,
    now_ms: u64,
) -> Result<(NewHome, Identity), OpenError> {
    let certificates = |error: crate::authority::AuthorityError| OpenError::Consensus(error.to_string());
    let mut cluster_id = [0; 16];
    fill_random(&mut cluster_id)?;
    let authority = Authority::generate().map_err(certificates)?;
    let life = Lifetime { now_ms, life: config.certificate_life };
    let identity =
        Identity::founder(NodeName::node(cluster_id, node), &authority, life).map_err(certificates)?;
    let public_key = secrets.public_key();
    let sealed = keyring.seal_all_to(&public_key)?;
    let sealed: Vec<(KeyEpoch, Vec<u8>)> = sealed.into_iter().map(|one| (one.epoch, one.sealed)).collect();
    let (name, site) = (config.node_name.clone(), config.site.clone());
    let record = Node::founder(node, name, site, *public_key.as_bytes(), now_ms);
    let authority = authority.seal(keyring).map_err(certificates)?;
    Ok((NewHome { cluster_id, node: record, authority, sealed }, identity))
}

fn write_snapshot(
    config: &ClusterConfig,
    key: &StorageKey,
    state: &State,
    node: NodeId,
    entries: u64,
) -> Result<(), OpenError> {
    let last = LogId::new(CommittedLeaderId::new(0, node.0), FIRST_RECORD);
    let members = openraft::Membership::new(vec![BTreeSet::from([node.0])], None);
    let membership = StoredMembership::new(Some(last), members);
    let disk = Arc::new(RealDisk::open(config.snapshot_dir())?);
    let folder = SnapshotFolder::open(disk, Arc::new(key.purpose("snapshot")?))?;
    folder.write(state, (Some(last), membership, entries))?;
    Ok(())
}
