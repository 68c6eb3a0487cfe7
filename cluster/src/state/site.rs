//! Rules for what guides viewers and updates: which site is near to whom, and what each node runs.

use std::sync::Arc;

use super::State;
use super::apply::Change;
use super::limits::Limits;
use super::validate;
use crate::actor::ActorKind;
use crate::command::{Release, SiteNetwork};
use crate::event::Event;
use crate::id::NodeId;
use crate::outcome::Outcome;
use crate::refusal::{Needs, Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    /// Replaces the site map. A site may be named before its first node is there.
    pub(super) fn set_site_map(&mut self, networks: &[SiteNetwork]) -> Ruled {
        let places: Vec<_> = networks.iter().map(|entry| (entry.network.trunc(), &entry.site)).collect();
        validate::distinct("networks", &places, Limits::SITE_NETWORKS)?;
        let mut map = Vec::with_capacity(networks.len());
        for entry in networks {
            if entry.network != entry.network.trunc() {
                // 10.1.2.3/8 may mean the one address or the network: whoever wrote it must say.
                return Err(Refusal::invalid("network", Problem::Malformed));
            }
            map.push(SiteNetwork { site: validate::name("site", &entry.site)?, ..entry.clone() });
        }
        map.sort_unstable();
        self.state.records.site_map = Arc::new(map);
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }

    pub(super) fn report_release(&mut self, node: NodeId, release: &Release) -> Ruled {
        if self.actor.kind != ActorKind::System(node) {
            return Err(Refusal::Forbidden { needs: Needs::Node });
        }
        self.state.node(node).ok_or(Refusal::NotFound(Noun::Node))?;
        validate::line("version", &release.version, Limits::SHORT)?;
        self.state.records.releases.insert(node, release.clone());
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }
}

impl State {
    /// Which site is near to whom, in order of network.
    #[must_use]
    pub fn site_map(&self) -> &Arc<Vec<SiteNetwork>> {
        &self.records.site_map
    }

    /// The build a node runs, once it has said so.
    #[must_use]
    pub fn release(&self, node: NodeId) -> Option<&Release> {
        self.records.releases.get(&node)
    }

    /// The newest Commands that every node understands. A node that has not said what it runs understands those of the
    /// first release only.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.nodes().map(|node| self.level_of(node.id)).min().unwrap_or(0)
    }

    /// The same as node `me` sees it, which knows that it understands `own` before it has said so.
    #[must_use]
    pub fn level_with(&self, me: NodeId, own: u32) -> u32 {
        let level = |node: NodeId| if node == me { own } else { self.level_of(node) };
        self.nodes().map(|node| level(node.id)).min().unwrap_or(own)
    }

    /// Whether every node but `me` has said what it runs.
    #[must_use]
    pub fn all_have_said(&self, me: NodeId) -> bool {
        self.nodes().all(|node| node.id == me || self.release(node.id).is_some())
    }

    fn level_of(&self, node: NodeId) -> u32 {
        self.release(node).map_or(0, |release| release.level)
    }
}
