//! What this node has to do about an asset's copies, by State alone: keep one, come for another, or nothing.

use crate::command::AssetCommand;
use crate::id::{AssetId, NodeId};
use crate::placement;
use crate::state::State;

/// What a node has to do about an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is a holder: every sealed Blob is to be here.
    Keep,
    /// It becomes a holder once it has everything: there are too few.
    Come,
    /// It becomes a holder in the place of one that is gone, is being emptied, or holds it against the placement.
    ComeFor(NodeId),
}

/// The part of node `me`. With `rebalance`, also where nothing is missing and placement says otherwise by now.
pub(super) fn part_of(state: &State, asset: AssetId, me: NodeId, rebalance: bool) -> Option<Part> {
    let holders = state.holders(asset);
    if holders.contains(me) {
        return Some(Part::Keep);
    }
    let desired = placement::holders_of(asset, &state.candidates());
    if !desired.contains(me) || is_written(state, asset) {
        return None;
    }
    let stays = |node: NodeId| state.node(node).is_some_and(|node| node.may_hold_more());
    if let Some(leaving) = holders.iter().find(|node| !stays(*node)) {
        return Some(Part::ComeFor(leaving));
    }
    if holders.len() < state.copies_wanted() {
        return Some(Part::Come);
    }
    // Three copies in two sites while there is a third: that is under-protected, too.
    let misplaced = holders.iter().find(|node| !desired.contains(*node));
    misplaced.filter(|_| rebalance || state.is_under_protected(asset)).map(Part::ComeFor)
}

fn is_written(state: &State, asset: AssetId) -> bool {
    state.asset(asset).is_none_or(|asset| asset.blobs.iter().any(|blob| blob.sealed.is_none()))
}

impl Part {
    /// What State is told when everything is here. Nothing for whoever keeps what it has.
    pub(super) fn command(self, asset: AssetId, me: NodeId, generation: u32) -> Option<AssetCommand> {
        match self {
            Self::Keep => None,
            Self::Come => Some(AssetCommand::AddHolder { asset, node: me, generation }),
            Self::ComeFor(old) => Some(AssetCommand::ReplaceHolder { asset, old, new: me, generation }),
        }
    }
}
