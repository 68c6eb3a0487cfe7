//! Edge nodes: which there are, what they keep warm, and what they must have forgotten.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::apply::Change;
use super::limits::Limits;
use super::validate;
use super::{Asset, JoinToken, State};
use crate::actor::ActorKind;
use crate::command::{EdgeCommand, Incarnation, NewEdge, SecretHash, Selection};
use crate::event::Event;
use crate::id::{NodeId, WarmId};
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// Edge nodes and what concerns them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Edges {
    /// The edges.
    #[serde(with = "super::map")]
    pub nodes: OrdMap<NodeId, Arc<Edge>>,
    /// Tokens to join by.
    #[serde(with = "super::map")]
    pub tokens: OrdMap<SecretHash, JoinToken>,
    /// What is kept warm.
    #[serde(with = "super::map")]
    pub warm: OrdMap<WarmId, Arc<Warm>>,
    /// The newest purges, oldest first.
    pub purges: Arc<VecDeque<EdgePurge>>,
    /// Purges up to this Entry are not kept any more: what an edge fetched before it counts as purged.
    pub forgotten_to: u64,
}

/// A node that holds ciphertext for viewers near it, and nothing else of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Id: the number of the Entry that admitted it, from the same numbers as nodes'.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// When it was added.
    pub added_ms: u64,
    /// SHA-256 of the public key its first certificate carries.
    pub certificate_key: [u8; 32],
    /// Where people reach it: `host:port`. The port may change, the host may not.
    pub public_address: String,
    /// The version it runs; empty until it has said so.
    pub version: String,
    /// Its newest start.
    pub incarnation: Incarnation,
}

/// What an edge holds before anybody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warm {
    /// Id.
    pub id: WarmId,
    /// Where.
    pub edge: NodeId,
    /// What.
    pub selection: Selection,
    /// Since when.
    pub created_ms: u64,
    /// Who asked for it.
    pub created_by: ActorKind,
}

/// What every edge must have forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgePurge {
    /// The number of the Entry: what was fetched before it is to go.
    pub index: u64,
    /// What.
    pub selection: Selection,
}

impl Selection {
    /// Whether `asset` is meant.
    #[must_use]
    pub fn takes(&self, asset: &Asset) -> bool {
        match self {
            Self::Asset(id) => asset.id == *id,
            Self::Collection(collection) => asset.collections.contains(collection),
            Self::Tag { application, tag } => asset.application == *application && asset.tags.contains(tag),
        }
    }
}

impl Change<'_> {
    pub(super) fn edge(&mut self, command: &EdgeCommand) -> Ruled {
        match command {
            EdgeCommand::CreateToken { secret_hash, expires_ms } => {
                self.create_edge_token(*secret_hash, *expires_ms)
            }
            EdgeCommand::Admit { secret_hash, edge } => self.admit_edge(secret_hash, edge),
            EdgeCommand::Report { edge, public_address, version, incarnation } => {
                self.report_edge(*edge, public_address, version, *incarnation)
            }
            EdgeCommand::Remove { edge } => self.remove_edge(*edge),
            EdgeCommand::Warm { warm, edge, selection } => self.warm(*warm, *edge, selection),
            EdgeCommand::EndWarm { warm } => {
                self.edges().warm.remove(warm).ok_or(Refusal::NotFound(Noun::Warm))?;
                self.edges_changed()
            }
            EdgeCommand::Purge { selection } => self.purge_edges(selection),
            EdgeCommand::ReportAuthority { edge, authority } => self.report_edge_authority(*edge, *authority),
        }
    }

    fn edges(&mut self) -> &mut Edges {
        &mut self.state.records.edges
    }

    fn edges_changed(&mut self) -> Ruled {
        self.event(Event::EdgesChanged);
        Ok(Outcome::Done)
    }

    fn create_edge_token(&mut self, secret_hash: SecretHash, expires_ms: u64) -> Ruled {
        let now_ms = self.now_ms;
        if expires_ms <= now_ms || expires_ms > now_ms + Limits::JOIN_TOKEN_MS {
            return Err(Refusal::invalid("expires_ms", Problem::OutOfRange));
        }
        let created_by = self.actor.kind;
        let edges = self.edges();
        // Kept for an hour after their end, so that whoever tries one is told why it is not taken.
        let over: Vec<SecretHash> = edges
            .tokens
            .iter()
            .filter(|(_, token)| token.expires_ms + Limits::JOIN_TOKEN_MS < now_ms)
            .map(|(hash, _)| *hash)
            .collect();
        for hash in over {
            edges.tokens.remove(&hash);
        }
        if edges.tokens.len() >= Limits::JOIN_TOKENS {
            return Err(too_many(Noun::JoinToken, Limits::JOIN_TOKENS));
        }
        let token = JoinToken { expires_ms, created_by, used_by: None };
        if edges.tokens.insert(secret_hash, token).is_some() {
            return Err(Refusal::DuplicateId(Noun::JoinToken));
        }
        Ok(Outcome::Done)
    }

    fn admit_edge(&mut self, secret_hash: &SecretHash, new: &NewEdge) -> Ruled {
        let token = self.edges().tokens.get(secret_hash).cloned().ok_or(Refusal::JoinTokenUnknown)?;
        if let Some(used_by) = token.used_by {
            // The same edge asks again: the answer to its first try was lost on the way.
            let same =
                self.state.edge(used_by).is_some_and(|edge| edge.certificate_key == new.certificate_key);
            return if same { Ok(Outcome::Node(used_by)) } else { Err(Refusal::JoinTokenUsed) };
        }
        if self.now_ms >= token.expires_ms {
            return Err(Refusal::JoinTokenExpired);
        }
        if self.state.edges().count() >= Limits::EDGES {
            return Err(too_many(Noun::Edge, Limits::EDGES));
        }
        let name = validate::name("name", &new.name)?;
        let taken = self.state.edges().any(|edge| edge.name == name)
            || self.state.nodes().any(|node| node.name == name);
        if taken {
            return Err(Refusal::NameTaken(Noun::Edge));
        }
        validate::line("public_address", &new.public_address, Limits::NAME)?;
        let id = self.new_id(Noun::Edge)?;
        let edge = Edge {
            id,
            name,
            site: validate::name("site", &new.site)?,
            added_ms: self.now_ms,
            certificate_key: new.certificate_key,
            public_address: new.public_address.clone(),
            version: String::new(),
            incarnation: Incarnation::default(),
        };
        self.edges().nodes.insert(id, Arc::new(edge));
        self.edges().tokens.insert(*secret_hash, JoinToken { used_by: Some(id), ..token });
        self.edges_changed()?;
        Ok(Outcome::Node(id))
    }

    fn report_edge(
        &mut self,
        id: NodeId,
        public_address: &str,
        version: &str,
        incarnation: Incarnation,
    ) -> Ruled {
        let found = self.state.edge(id).ok_or(Refusal::NotFound(Noun::Edge))?;
        if !incarnation.follows(&found.incarnation) {
            return Err(Refusal::StaleIncarnation);
        }
        validate::line("public_address", public_address, Limits::NAME)?;
        validate::line("version", version, Limits::SHORT)?;
        // Viewers are sent there, and the authority vouches for it: whoever takes an edge over must not choose it.
        if host_of(public_address) != found.host() {
            return Err(Refusal::invalid("public_address", Problem::Settled));
        }
        let edge = Edge {
            public_address: public_address.to_owned(),
            version: version.to_owned(),
            incarnation,
            ..Edge::clone(found)
        };
        self.edges().nodes.insert(id, Arc::new(edge));
        self.edges_changed()
    }

    fn remove_edge(&mut self, id: NodeId) -> Ruled {
        self.edges().nodes.remove(&id).ok_or(Refusal::NotFound(Noun::Edge))?;
        let over: Vec<WarmId> =
            self.edges().warm.iter().filter(|(_, warm)| warm.edge == id).map(|(warm, _)| *warm).collect();
        for warm in over {
            self.edges().warm.remove(&warm);
        }
        self.forget_shown_authority(id);
        // Its connections end at once, as those of a removed node.
        self.event(Event::ClusterChanged);
        self.edges_changed()
    }

    fn warm(&mut self, id: WarmId, edge: NodeId, selection: &Selection) -> Ruled {
        self.state.edge(edge).ok_or(Refusal::NotFound(Noun::Edge))?;
        self.check_selection(selection)?;
        let (created_ms, created_by) = (self.now_ms, self.actor.kind);
        let edges = self.edges();
        if edges.warm.values().filter(|warm| warm.edge == edge).count() >= Limits::WARM_PER_EDGE {
            return Err(too_many(Noun::Warm, Limits::WARM_PER_EDGE));
        }
        let warm = Warm { id, edge, selection: selection.clone(), created_ms, created_by };
        if edges.warm.insert(id, Arc::new(warm)).is_some() {
            return Err(Refusal::DuplicateId(Noun::Warm));
        }
        self.edges_changed()
    }

    fn purge_edges(&mut self, selection: &Selection) -> Ruled {
        match selection {
            // Also of what is purged or trashed already: an edge may not have heard of it.
            Selection::Asset(_) => {}
            other => self.check_selection(other)?,
        }
        let index = self.state.last_applied();
        let edges = self.edges();
        let purges = Arc::make_mut(&mut edges.purges);
        purges.retain(|purge| purge.selection != *selection);
        purges.push_back(EdgePurge { index, selection: selection.clone() });
        while purges.len() > Limits::EDGE_PURGES {
            let Some(oldest) = purges.pop_front() else { break };
            edges.forgotten_to = edges.forgotten_to.max(oldest.index);
        }
        self.edges_changed()
    }

    fn check_selection(&self, selection: &Selection) -> Result<(), Refusal> {
        match selection {
            Selection::Asset(asset) => {
                self.state.asset(*asset).map(drop).ok_or(Refusal::NotFound(Noun::Asset))
            }
            Selection::Collection(collection) => {
                self.state.collection(*collection).map(drop).ok_or(Refusal::NotFound(Noun::Collection))
            }
            Selection::Tag { application, tag } => {
                self.state.application(*application).ok_or(Refusal::NotFound(Noun::Application))?;
                validate::name("tag", tag)?;
                validate::line("tag", tag, Limits::TAGS.1)
            }
        }
    }
}

impl Edge {
    /// The name or address people reach it by: the one it joined with, for good.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.public_address)
    }
}

/// The host of `host:port`, in one form for all that mean the same: names in small letters and without the dot of the root,
/// addresses as they are usually written and without brackets.
pub(crate) fn host_of(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

fn too_many(what: Noun, limit: usize) -> Refusal {
    Refusal::TooMany { what, limit: u32::try_from(limit).unwrap_or(u32::MAX) }
}

impl State {
    /// An edge.
    #[must_use]
    pub fn edge(&self, id: NodeId) -> Option<&Arc<Edge>> {
        self.records.edges.nodes.get(&id)
    }

    /// All edges, by id.
    pub fn edges(&self) -> impl Iterator<Item = &Arc<Edge>> {
        self.records.edges.nodes.values()
    }

    /// Whether `id` was an edge once and is none any more. An id this State has not come to yet is not removed.
    #[must_use]
    pub fn is_removed_edge(&self, id: NodeId) -> bool {
        id.0 <= self.last_applied() && self.edge(id).is_none()
    }

    /// The token for an edge whose secret has this hash.
    #[must_use]
    pub fn edge_token(&self, secret_hash: &SecretHash) -> Option<&JoinToken> {
        self.records.edges.tokens.get(secret_hash)
    }

    /// What an edge keeps warm, by id.
    pub fn warm_of(&self, edge: NodeId) -> impl Iterator<Item = &Arc<Warm>> {
        self.records.edges.warm.values().filter(move |warm| warm.edge == edge)
    }

    /// One thing that is kept warm.
    #[must_use]
    pub fn warm(&self, id: WarmId) -> Option<&Arc<Warm>> {
        self.records.edges.warm.get(&id)
    }

    /// Whether an edge is to hold `asset` before anybody asks for it.
    #[must_use]
    pub fn is_warm_at(&self, edge: NodeId, asset: &Asset) -> bool {
        self.is_within_reach(asset)
            && asset.watchable
            && self.warm_of(edge).any(|warm| warm.selection.takes(asset))
    }

    /// The assets that one entry of what is kept warm means now.
    pub fn warm_assets(&self, warm: &Warm) -> impl Iterator<Item = &Arc<Asset>> {
        let one = match &warm.selection {
            Selection::Asset(id) => Some(self.asset(*id)),
            _ => None,
        };
        let all = one.is_none().then(|| self.assets_by_id(None)).into_iter().flatten();
        let meant = one.flatten().into_iter().chain(all);
        meant.filter(|asset| self.is_within_reach(asset) && asset.watchable && warm.selection.takes(asset))
    }

    /// Whether an edge may keep what it fetched of an asset at Entry `fetched`: the asset is there, not in the trash, and
    /// was not purged from the edges since.
    #[must_use]
    pub fn may_keep_at_edge(&self, asset: crate::id::AssetId, fetched: u64) -> bool {
        let edges = &self.records.edges;
        let Some(asset) = self.asset(asset).filter(|asset| self.is_within_reach(asset)) else { return false };
        let newer = |purge: &&EdgePurge| purge.index > fetched;
        fetched >= edges.forgotten_to
            && !edges.purges.iter().filter(newer).any(|purge| purge.selection.takes(asset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_host_is_the_same() {
        for (address, host) in [
            ("Media.Example:443", "media.example"),
            ("media.example.:443", "media.example"),
            ("media.example", "media.example"),
            ("192.0.2.7:443", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:443", "192.0.2.7"),
            ("[2001:DB8:0:0::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(host_of(address), host, "{address}");
        }
    }
}
