//! Rules for exchanging the certificate authority of the cluster.
//!
//! The new one is in force at once, so one entry is all there is to a crash in between. The one before stays trusted until
//! every node and every edge has said that its certificate is by the new one; giving the exchange up is the same exchange
//! backwards.

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::State;
use super::apply::Change;
use super::limits::Limits;
use super::records::ClusterAuthority;
use crate::actor::ActorKind;
use crate::authority::{Trusted, fingerprint};
use crate::command::KeyEpoch;
use crate::event::Event;
use crate::id::NodeId;
use crate::outcome::Outcome;
use crate::refusal::{Needs, Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// What there is beside the authority in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Authorities {
    /// The authority before, as long as it is trusted.
    pub former: Option<FormerAuthority>,
    /// The authority in force, certified by the one before (DER): whoever knows only that one trusts the new one by it.
    /// Kept when the one before is dropped, for browsers that were told of no other yet.
    pub crossed: Option<Vec<u8>>,
    /// The authority (SHA-256 of its certificate) that the certificate of each node and edge is by, as it said since the
    /// exchange.
    #[serde(with = "super::map")]
    pub shown: OrdMap<NodeId, [u8; 32]>,
}

/// An authority that was replaced and is still trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerAuthority {
    /// The authority, with its key: it comes back into force when the exchange is given up.
    pub authority: ClusterAuthority,
    /// When it was replaced.
    pub replaced_ms: u64,
}

impl Change<'_> {
    pub(super) fn replace_authority(
        &mut self,
        next: ClusterAuthority,
        crossed: &[u8],
        replaces: [u8; 32],
    ) -> Ruled {
        self.current_key_epoch(next.key_epoch)?;
        let known = self.state.authority().cloned().ok_or(Refusal::NotInitialised)?;
        if self.state.former_authority().is_some() {
            return Err(Refusal::AuthorityChanging);
        }
        for (field, bytes, most) in [
            ("certificate", next.certificate.as_slice(), Limits::CERTIFICATE),
            ("crossed", crossed, Limits::CERTIFICATE),
            ("sealed_key", &next.sealed_key, Limits::SEALED_KEY),
        ] {
            if bytes.is_empty() || bytes.len() > most {
                return Err(Refusal::invalid(field, Problem::OutOfRange));
            }
        }
        if next.certificate == known.certificate || fingerprint(&known.certificate) != replaces {
            return Err(Refusal::invalid("replaces", Problem::Malformed));
        }
        self.put_in_force(next, known, crossed)
    }

    /// The authority before comes back, and the one that replaced it is the former one.
    pub(super) fn abandon_authority(&mut self, authority: [u8; 32], crossed: &[u8]) -> Ruled {
        let former = self.state.former_authority().cloned().ok_or(Refusal::AuthoritySettled)?;
        let known = self.state.authority().cloned().ok_or(Refusal::NotInitialised)?;
        if fingerprint(&known.certificate) != authority {
            return Err(Refusal::invalid("authority", Problem::Malformed));
        }
        if crossed.is_empty() || crossed.len() > Limits::CERTIFICATE {
            return Err(Refusal::invalid("crossed", Problem::OutOfRange));
        }
        self.put_in_force(former.authority, known, crossed)
    }

    fn put_in_force(&mut self, next: ClusterAuthority, known: ClusterAuthority, crossed: &[u8]) -> Ruled {
        self.state.records.authorities = Authorities {
            former: Some(FormerAuthority { authority: known, replaced_ms: self.now_ms }),
            crossed: Some(crossed.to_vec()),
            shown: OrdMap::new(),
        };
        let done = self.change_cluster(|cluster| cluster.authority = Some(next))?;
        self.forget_unused_keys();
        Ok(done)
    }

    pub(super) fn report_authority(&mut self, node: NodeId, authority: [u8; 32]) -> Ruled {
        if self.actor.kind != ActorKind::System(node) {
            return Err(Refusal::Forbidden { needs: Needs::Node });
        }
        self.state.node(node).ok_or(Refusal::NotFound(Noun::Node))?;
        self.note_authority(node, authority)
    }

    /// By the word of an edge, which a node passes on.
    pub(super) fn report_edge_authority(&mut self, edge: NodeId, authority: [u8; 32]) -> Ruled {
        self.state.edge(edge).ok_or(Refusal::NotFound(Noun::Edge))?;
        self.note_authority(edge, authority)
    }

    fn note_authority(&mut self, id: NodeId, authority: [u8; 32]) -> Ruled {
        // Said late: there is nobody left who waits for it.
        if self.state.former_authority().is_none() {
            return Ok(Outcome::Done);
        }
        self.state.records.authorities.shown.insert(id, authority);
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }

    /// Who is gone for good is waited for no longer.
    pub(super) fn forget_shown_authority(&mut self, id: NodeId) {
        self.state.records.authorities.shown.remove(&id);
    }

    /// Whatever was said of the former authority before may be said twice: there is nothing left to do then.
    pub(super) fn drop_authority(&mut self, authority: [u8; 32]) -> Ruled {
        let Some(former) = self.state.former_authority() else { return Ok(Outcome::Done) };
        if fingerprint(&former.authority.certificate) != authority {
            return Ok(Outcome::Done);
        }
        if self.state.waits_for_authority().next().is_some() {
            return Err(Refusal::AuthorityChanging);
        }
        let authorities = &mut self.state.records.authorities;
        (authorities.former, authorities.shown) = (None, OrdMap::new());
        // Its key lay under a cluster key that nothing else may need.
        self.forget_unused_keys();
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }

    /// The key of the former authority, under the current cluster key. Gives `false` when it is not that certificate.
    pub(super) fn reseal_former_authority(&mut self, stored: &ClusterAuthority) -> bool {
        let former = self.state.records.authorities.former.as_mut();
        let known = former.filter(|known| known.authority.certificate == stored.certificate);
        known.map(|known| known.authority.clone_from(stored)).is_some()
    }

    pub(super) fn former_key_epoch(&self) -> Option<KeyEpoch> {
        self.state.former_authority().map(|former| former.authority.key_epoch)
    }
}

impl State {
    /// The authority before, as long as it is trusted.
    #[must_use]
    pub fn former_authority(&self) -> Option<&FormerAuthority> {
        self.records.authorities.former.as_ref()
    }

    /// By whom certificates may be; none for a cluster of one that has never listened for others.
    #[must_use]
    pub fn trusted(&self) -> Option<Trusted> {
        let former = self.former_authority().map(|former| former.authority.certificate.clone());
        let crossed = self.records.authorities.crossed.clone();
        let in_force = self.authority()?.certificate.clone();
        Some(Trusted { in_force, former, crossed })
    }

    /// Whether a node or an edge has said that its certificate is by the authority in force.
    #[must_use]
    pub fn shows_authority(&self, id: NodeId) -> bool {
        let current = self.authority().map(|authority| fingerprint(&authority.certificate));
        current.is_some() && self.records.authorities.shown.get(&id).copied() == current
    }

    /// The nodes and the edges that the former authority is still trusted for.
    pub fn waits_for_authority(&self) -> impl Iterator<Item = NodeId> + '_ {
        let known = self.nodes().map(|node| node.id).chain(self.edges().map(|edge| edge.id));
        known.filter(|id| !self.shows_authority(*id))
    }
}
