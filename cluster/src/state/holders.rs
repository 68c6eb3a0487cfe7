//! Who holds an asset's copies: a short list of nodes with the number of times it was changed.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::apply::Change;
use super::{Asset, State};
use crate::event::Event;
use crate::id::{AssetId, NodeId};
use crate::outcome::Outcome;
use crate::placement::{self, COPIES, Candidate};
use crate::refusal::{Noun, Problem, Refusal};
use crate::store::Level;

type Ruled = Result<Outcome, Refusal>;

/// The node every cluster began with: it holds whatever was made before there were others.
pub const FOUNDER: NodeId = NodeId(1);
/// The most holders an asset has at a time: its copies, and those that come before others go.
pub const MOST_HOLDERS: usize = 5;

/// The nodes that hold an asset, in the order of placement. Takes no memory but its own.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Holders {
    nodes: [NodeId; MOST_HOLDERS],
    length: u8,
    generation: u32,
}

impl Holders {
    /// Exactly these nodes. `None` when they are too many or one is named twice.
    #[must_use]
    pub fn of(nodes: &[NodeId]) -> Option<Self> {
        let mut holders = Self::default();
        nodes.iter().all(|node| holders.push(*node)).then_some(holders)
    }

    /// Adds a node at the end. `false`, and nothing changed, when it is there or there is no room.
    pub fn push(&mut self, node: NodeId) -> bool {
        let at = usize::from(self.length);
        if at >= MOST_HOLDERS || self.contains(node) {
            return false;
        }
        self.nodes[at] = node;
        self.length += 1;
        true
    }

    /// The nodes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = NodeId> + use<> {
        let nodes = self.nodes;
        (0..usize::from(self.length)).map(move |at| nodes[at])
    }

    /// Whether `node` is one of them.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.iter().any(|held| held == node)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.into()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How often the list was changed: what a change is based on.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The list after a change.
    pub(super) fn changed(&self, nodes: impl IntoIterator<Item = NodeId>) -> Result<Self, Refusal> {
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        let changed = Self::of(&nodes).ok_or_else(|| Refusal::invalid("holders", Problem::Malformed))?;
        Ok(Self { generation: self.generation.saturating_add(1), ..changed })
    }
}

impl fmt::Debug for Holders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter().map(|node| node.0)).finish()?;
        write!(formatter, "#{}", self.generation)
    }
}

impl Serialize for Holders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nodes: Vec<NodeId> = self.iter().collect();
        (nodes, self.generation).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Holders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (nodes, generation) = <(Vec<NodeId>, u32)>::deserialize(deserializer)?;
        let holders = Self::of(&nodes).ok_or_else(|| D::Error::custom("not a list of holders"))?;
        Ok(Self { generation, ..holders })
    }
}

impl State {
    /// The nodes that hold an asset. What was made before there were other nodes is held by the first.
    #[must_use]
    pub fn holders(&self, asset: AssetId) -> Holders {
        let founder = || Holders::of(&[FOUNDER]).unwrap_or_default();
        self.records.holders.get(&asset).copied().unwrap_or_else(founder)
    }

    /// At most `most` assets in the order of their ids, from the first after `after` on.
    #[must_use]
    pub fn assets_after(&self, after: Option<AssetId>, most: usize) -> Vec<AssetId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.records.assets.range((from, Unbounded)).take(most).map(|(id, _)| *id).collect()
    }

    /// How many copies of everything there are to be: three, or one on each node that takes part.
    #[must_use]
    pub fn copies_wanted(&self) -> usize {
        self.candidates().iter().filter(|candidate| candidate.active).count().clamp(1, COPIES)
    }

    /// The nodes as placement sees them, as far as State knows: all of them alive and with room.
    #[must_use]
    pub fn candidates(&self) -> Vec<Candidate> {
        let nodes = self.nodes();
        nodes
            .map(|node| Candidate {
                node: node.id,
                site: node.site.clone(),
                weight: node.weight,
                active: node.may_hold_more(),
                level: Level::Fine,
                alive: true,
            })
            .collect()
    }

    /// Whether an asset has fewer holders, or in fewer sites, than the cluster could give it now.
    #[must_use]
    pub fn is_under_protected(&self, asset: AssetId) -> bool {
        let (holders, candidates) = (self.holders(asset), self.candidates());
        let (copies, sites) = protection(&holders, &candidates);
        let wanted = self.copies_wanted();
        copies < wanted || sites < active_sites(&candidates).min(wanted)
    }
}

/// In how many sites there are nodes that take part: one whose nodes are all being emptied is none.
fn active_sites(candidates: &[Candidate]) -> usize {
    let active = candidates.iter().filter(|candidate| candidate.active);
    active.map(|candidate| candidate.site.as_str()).collect::<BTreeSet<&str>>().len()
}

/// In how many nodes that belong to the cluster, and in how many sites, something is held.
fn protection(holders: &Holders, candidates: &[Candidate]) -> (usize, usize) {
    let known: Vec<_> = candidates.iter().filter(|candidate| holders.contains(candidate.node)).collect();
    let sites: BTreeSet<&str> = known.iter().map(|candidate| candidate.site.as_str()).collect();
    (known.len(), sites.len())
}

impl Change<'_> {
    /// Gives a new asset its holders, as far as State alone can tell. The first node alone needs no record; one that a
    /// cluster was restored on is no first node.
    pub(super) fn place_new(&mut self, asset: AssetId) {
        let candidates = self.state.candidates();
        let holders = placement::holders_of(asset, &candidates);
        let founder_alone = candidates.len() == 1 && candidates[0].node == FOUNDER;
        if !founder_alone && !holders.is_empty() {
            self.state.records.holders.insert(asset, holders);
        }
    }

    /// The proposer knows better than State who is alive and has room, as long as nothing of the asset is complete.
    pub(super) fn place(&mut self, id: AssetId, nodes: &[NodeId]) -> Ruled {
        let asset = self.live_asset_copy(id)?;
        let begun = asset.manifest.is_some() || asset.blobs.iter().any(|blob| blob.sealed.is_some());
        if begun || nodes.is_empty() || nodes.len() > COPIES {
            return Err(Refusal::AssetState);
        }
        nodes.iter().try_for_each(|node| self.may_hold(*node))?;
        let holders = self.state.holders(id).changed(nodes.iter().copied())?;
        self.set_holders(&asset, holders)
    }

    pub(super) fn add_holder(&mut self, id: AssetId, node: NodeId, generation: u32) -> Ruled {
        let (asset, before) = self.asset_to_move(id, generation)?;
        if before.contains(node) {
            return Ok(Outcome::Done);
        }
        self.may_hold(node)?;
        let holders = before.changed(before.iter().chain([node]))?;
        self.set_holders(&asset, holders)
    }

    pub(super) fn drop_holder(&mut self, id: AssetId, node: NodeId, generation: u32) -> Ruled {
        let (asset, before) = self.asset_to_move(id, generation)?;
        if !before.contains(node) {
            return Ok(Outcome::Done);
        }
        let holders = before.changed(before.iter().filter(|held| *held != node))?;
        self.refuse_fewer(&before, &holders)?;
        self.set_holders(&asset, holders)
    }

    /// One node comes for another, in one step: there is never one copy fewer.
    pub(super) fn replace_holder(&mut self, id: AssetId, old: NodeId, new: NodeId, generation: u32) -> Ruled {
        let (asset, before) = self.asset_to_move(id, generation)?;
        if before.contains(new) || !before.contains(old) {
            return Err(Refusal::HoldersChanged);
        }
        self.may_hold(new)?;
        let holders = before.changed(before.iter().map(|held| if held == old { new } else { held }))?;
        self.refuse_fewer(&before, &holders)?;
        self.set_holders(&asset, holders)
    }

    /// An asset whose holders may change: nobody is writing to it, and the list is the one that was looked at.
    fn asset_to_move(&self, id: AssetId, generation: u32) -> Result<(Asset, Holders), Refusal> {
        let asset = self.asset_copy(id)?;
        let before = self.state.holders(id);
        if before.generation() != generation {
            return Err(Refusal::HoldersChanged);
        }
        if asset.blobs.iter().any(|blob| blob.sealed.is_none()) {
            return Err(Refusal::BlobOpen);
        }
        Ok((asset, before))
    }

    fn may_hold(&self, node: NodeId) -> Result<(), Refusal> {
        let found = self.state.node(node).ok_or(Refusal::NotFound(Noun::Node))?;
        if found.may_hold_more() { Ok(()) } else { Err(Refusal::NodeNotActive) }
    }

    /// Refuses a list with fewer copies, or in fewer sites, than there are now and are to be. The last node of a site can be
    /// emptied all the same: its site is to be none.
    fn refuse_fewer(&self, before: &Holders, after: &Holders) -> Result<(), Refusal> {
        let candidates = self.state.candidates();
        let wanted = self.state.copies_wanted();
        let (copies_before, sites_before) = protection(before, &candidates);
        let (copies, sites) = protection(after, &candidates);
        let sites_wanted = wanted.min(active_sites(&candidates));
        let too_few =
            copies < wanted.min(copies_before) || sites < sites_before.min(copies).min(sites_wanted);
        if after.is_empty() || too_few { Err(Refusal::TooFewCopies) } else { Ok(()) }
    }

    fn set_holders(&mut self, asset: &Asset, holders: Holders) -> Ruled {
        self.state.records.holders.insert(asset.id, holders);
        self.event(Event::HoldersChanged { asset: asset.id });
        self.event(Event::AssetChanged { asset: asset.id, application: asset.application });
        Ok(Outcome::Done)
    }
}
