//! State as it begins again on another node: what was agreed stays, what hung on the old nodes goes.

use std::sync::Arc;

use imbl::OrdMap;

use super::asset_record::Asset;
use super::authorities::Authorities;
use super::edge::Edges;
use super::holders::Holders;
use super::records::{Backups, ClusterAuthority, Job, JobState, Node};
use super::store::Records;
use super::{AssetState, State};
use crate::command::{KeyEpoch, KeyHolder, SealedClusterKey};
use crate::id::AssetId;

/// What a restored cluster begins with.
#[derive(Debug, Clone)]
pub struct NewHome {
    /// Random: it is another cluster.
    pub cluster_id: [u8; 16],
    /// Its one node, with a number that no node had.
    pub node: Node,
    /// A new certificate authority.
    pub authority: ClusterAuthority,
    /// Every kept cluster key epoch, sealed to that node.
    pub sealed: Vec<(KeyEpoch, Vec<u8>)>,
}

impl State {
    /// This State in a new cluster of one node, and the assets that were not complete: an upload under way cannot go on,
    /// as its bytes are in no backup. Work on assets begins again; sign-ins, links to new passphrases and join tokens are
    /// over; places for backups are set anew.
    #[must_use]
    pub fn restored(self, home: &NewHome) -> (Self, Vec<AssetId>) {
        let mut records = Records::from(self);
        let (assets, incomplete) = assets(&records);
        let node = home.node.id;
        if let Some(cluster) = &mut records.cluster {
            cluster.id = home.cluster_id;
            cluster.authority = Some(home.authority.clone());
            cluster.time_held = false;
        }
        records.sealed_keys = records
            .sealed_keys
            .iter()
            .map(|(epoch, sealed)| (*epoch, Arc::new(resealed(*epoch, sealed, home))))
            .collect();
        records.nodes = OrdMap::unit(node, Arc::new(home.node.clone()));
        let held = Holders::of(&[node]).unwrap_or_default();
        records.holders = assets.keys().map(|asset| (*asset, held)).collect();
        records.jobs = records
            .jobs
            .iter()
            .filter(|(_, job)| assets.contains_key(&job.asset))
            .map(|(id, job)| (*id, begun_again(job)))
            .collect();
        records.assets = assets;
        records.sessions = OrdMap::new();
        records.resets = OrdMap::new();
        records.join_tokens = OrdMap::new();
        // It says what it runs when it starts.
        records.releases = OrdMap::new();
        records.answered = OrdMap::new();
        records.backups = Backups::default();
        records.backup_paces = OrdMap::new();
        // They have certificates of the former cluster; what they kept warm is said anew.
        records.edges = Edges::default();
        records.authorities = Authorities::default();
        // The pepper stays: this cluster holds the keys it lies under, and the hashes made with it.
        // Nobody is signed in any more; the limits stay.
        records.views.running = OrdMap::new();
        (Self::from(records), incomplete)
    }
}

fn resealed(epoch: KeyEpoch, sealed: &[SealedClusterKey], home: &NewHome) -> Vec<SealedClusterKey> {
    let kept = sealed.iter().filter(|key| key.holder == KeyHolder::Recovery).cloned();
    let own = home
        .sealed
        .iter()
        .filter(|(number, _)| *number == epoch)
        .map(|(_, bytes)| SealedClusterKey { holder: KeyHolder::Node(home.node.id), sealed: bytes.clone() });
    own.chain(kept).collect()
}

/// The assets whose original is complete, and the ids of the others.
fn assets(records: &Records) -> (OrdMap<AssetId, Arc<Asset>>, Vec<AssetId>) {
    let mut kept = OrdMap::new();
    let mut incomplete = Vec::new();
    for (id, asset) in &records.assets {
        if asset.length.is_none() {
            incomplete.push(*id);
            continue;
        }
        let open = asset.blobs.iter().any(|blob| blob.sealed.is_none());
        if !open {
            kept.insert(*id, asset.clone());
            continue;
        }
        let mut asset = Asset::clone(asset);
        asset.blobs.retain(|blob| blob.sealed.is_some());
        if asset.state == AssetState::Processing {
            // What was being made is made anew from the original.
            let original = asset.original;
            asset.blobs.retain(|blob| blob.id == original);
            asset.watchable = false;
        }
        kept.insert(*id, Arc::new(asset));
    }
    (kept, incomplete)
}

fn begun_again(job: &Arc<Job>) -> Arc<Job> {
    match job.state {
        JobState::Leased { .. } => Arc::new(Job { state: JobState::Queued, ..Job::clone(job) }),
        _ => job.clone(),
    }
}
