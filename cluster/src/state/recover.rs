//! Going on without most of the voters: what a State forgets of nodes that are lost for good, and what it leaves room for.
//!
//! The nodes that are lost may have agreed on more than the one that goes on has heard of. Whatever is counted goes on well
//! above what they can have counted to: nothing they gave out, a number of a node or an epoch of a Blob, is given out again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::apply::Change;
use super::limits::Limits;
use super::validate;
use super::{Asset, Holders, Node, NodeState};
use crate::event::Event;
use crate::id::{AssetId, NodeId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// Entries that the lost nodes may have agreed on without the one that goes on. Numbers of nodes are those of Entries.
pub const ENTRIES_UNHEARD: u64 = 1_000_000;
/// Epochs of a Blob that they may have granted.
const EPOCHS_UNHEARD: u64 = 1_000_000;

impl Change<'_> {
    pub(super) fn recover_quorum(
        &mut self,
        survivor: NodeId,
        lost: &[NodeId],
        (reason, operator): (&str, &str),
    ) -> Ruled {
        validate::line("reason", reason, Limits::AUDIT_DETAILS.1)?;
        validate::line("operator", operator, Limits::NAME)?;
        let node = Node::clone(self.state.node(survivor).ok_or(Refusal::NotFound(Noun::Node))?);
        let gone: BTreeSet<NodeId> = lost.iter().copied().collect();
        if gone.is_empty() || gone.len() != lost.len() || gone.contains(&survivor) {
            return Err(Refusal::invalid("lost", Problem::Malformed));
        }
        if gone.iter().any(|id| self.state.node(*id).is_none()) {
            return Err(Refusal::NotFound(Noun::Node));
        }
        gone.iter().for_each(|id| self.forget_node(*id));
        // Whoever was being emptied, or had just come, is who there is now.
        let node = Node { state: NodeState::Active, ..node };
        self.state.records.nodes.insert(survivor, Arc::new(node));
        self.forget_copies(&gone);
        self.fence_writers();
        self.state.records.last_applied += ENTRIES_UNHEARD;
        self.event(Event::ClusterChanged);
        self.event(Event::StateReplaced);
        Ok(Outcome::Done)
    }

    /// A list of holders that names the lost would have every writer wait for them for ever. Where nothing else is left, the
    /// list stays: it says where the copies were.
    fn forget_copies(&mut self, gone: &BTreeSet<NodeId>) {
        let left = |held: &Holders| {
            let stay = held.iter().filter(|node| !gone.contains(node));
            held.changed(stay).ok().filter(|left| !left.is_empty() && left.len() < held.len())
        };
        let shorter: Vec<(AssetId, Holders)> =
            self.state.records.holders.iter().filter_map(|(id, held)| Some((*id, left(held)?))).collect();
        for (id, holders) in shorter {
            self.state.records.holders.insert(id, holders);
        }
    }

    /// No epoch that one of the lost may have been granted, and written by, is granted again.
    fn fence_writers(&mut self) {
        let written = |asset: &Asset| asset.blobs.iter().any(|blob| blob.sealed.is_none());
        let assets = self.state.records.assets.values();
        let open: Vec<Asset> =
            assets.filter(|asset| written(asset)).map(|asset| Asset::clone(asset)).collect();
        for mut asset in open {
            for blob in asset.blobs.iter_mut().filter(|blob| blob.sealed.is_none()) {
                blob.epoch += EPOCHS_UNHEARD;
            }
            self.state.put_asset(asset.id, asset);
        }
    }
}
