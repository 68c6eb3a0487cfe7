//! Rules for the nodes of the cluster: who may join, what a node may say of itself, how one leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::apply::Change;
use super::limits::Limits;
use super::validate;
use super::{ClusterAuthority, JoinToken, Node, NodeState, State};
use crate::actor::ActorKind;
use crate::command::{Incarnation, KeyEpoch, KeyHolder, NewNode, SealedClusterKey, SecretHash};
use crate::event::Event;
use crate::id::NodeId;
use crate::outcome::Outcome;
use crate::refusal::{Needs, Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

impl Change<'_> {
    pub(super) fn set_authority(&mut self, certificate: &[u8], sealed_key: &[u8], epoch: KeyEpoch) -> Ruled {
        self.current_key_epoch(epoch)?;
        if certificate.is_empty() || certificate.len() > Limits::CERTIFICATE {
            return Err(Refusal::invalid("certificate", Problem::OutOfRange));
        }
        if sealed_key.is_empty() || sealed_key.len() > Limits::SEALED_KEY {
            return Err(Refusal::invalid("sealed_key", Problem::OutOfRange));
        }
        let authority = ClusterAuthority {
            certificate: certificate.to_vec(),
            sealed_key: sealed_key.to_vec(),
            key_epoch: epoch,
        };
        let known = self.state.authority();
        let done = if known.is_none_or(|known| known.certificate == certificate) {
            self.change_cluster(|cluster| cluster.authority = Some(authority))?
        } else if self.reseal_former_authority(&authority) {
            Outcome::Done
        } else {
            return Err(Refusal::AlreadyInitialised);
        };
        self.forget_unused_keys();
        Ok(done)
    }

    pub(super) fn create_join_token(&mut self, secret_hash: SecretHash, expires_ms: u64) -> Ruled {
        if expires_ms <= self.now_ms || expires_ms > self.now_ms + Limits::JOIN_TOKEN_MS {
            return Err(Refusal::invalid("expires_ms", Problem::OutOfRange));
        }
        self.forget_old_tokens();
        if self.state.records.join_tokens.len() >= Limits::JOIN_TOKENS {
            return Err(Refusal::TooMany { what: Noun::JoinToken, limit: limit(Limits::JOIN_TOKENS) });
        }
        let token = JoinToken { expires_ms, created_by: self.actor.kind, used_by: None };
        if self.state.records.join_tokens.insert(secret_hash, token).is_some() {
            return Err(Refusal::DuplicateId(Noun::JoinToken));
        }
        Ok(Outcome::Done)
    }

    /// Tokens are kept for an hour after their end, so that whoever tries one is told why it is not taken.
    fn forget_old_tokens(&mut self) {
        let now_ms = self.now_ms;
        let tokens = &self.state.records.join_tokens;
        let over: Vec<SecretHash> = tokens
            .iter()
            .filter(|(_, token)| token.expires_ms + Limits::JOIN_TOKEN_MS < now_ms)
            .map(|(hash, _)| *hash)
            .collect();
        for hash in over {
            self.state.records.join_tokens.remove(&hash);
        }
    }

    pub(super) fn admit_node(
        &mut self,
        secret_hash: &SecretHash,
        new: &NewNode,
        sealed: &[(KeyEpoch, Vec<u8>)],
    ) -> Ruled {
        let token =
            self.state.records.join_tokens.get(secret_hash).cloned().ok_or(Refusal::JoinTokenUnknown)?;
        if let Some(used_by) = token.used_by {
            // The same node asks again: the answer to its first try was lost on the way.
            let same = self.state.node(used_by).is_some_and(|node| {
                node.public_key == new.public_key && node.certificate_key == Some(new.certificate_key)
            });
            return if same { Ok(Outcome::Node(used_by)) } else { Err(Refusal::JoinTokenUsed) };
        }
        if self.now_ms >= token.expires_ms {
            return Err(Refusal::JoinTokenExpired);
        }
        if self.state.records.nodes.len() >= Limits::NODES {
            return Err(Refusal::TooMany { what: Noun::Node, limit: limit(Limits::NODES) });
        }
        let id = self.new_id(Noun::Node)?;
        let node = self.new_node(id, new)?;
        self.seal_to_new(id, sealed)?;
        self.state.records.nodes.insert(id, Arc::new(node));
        let token = JoinToken { used_by: Some(id), ..token };
        self.state.records.join_tokens.insert(*secret_hash, token);
        self.event(Event::ClusterChanged);
        Ok(Outcome::Node(id))
    }

    /// The number of this record of the log. It is never used twice, as long as nothing else in the record takes it, too.
    pub(super) fn new_id(&self, noun: Noun) -> Result<NodeId, Refusal> {
        let id = NodeId(self.state.last_applied());
        let taken = self.state.node(id).is_some() || self.state.edge(id).is_some();
        if taken { Err(Refusal::DuplicateId(noun)) } else { Ok(id) }
    }

    fn new_node(&self, id: NodeId, new: &NewNode) -> Result<Node, Refusal> {
        let name = validate::name("name", &new.name)?;
        if self.state.nodes().any(|node| node.name == name) {
            return Err(Refusal::NameTaken(Noun::Node));
        }
        validate::name("cluster_address", &new.cluster_address)?;
        validate::line("public_address", &new.public_address, Limits::NAME)?;
        Ok(Node {
            id,
            name,
            site: validate::name("site", &new.site)?,
            public_key: new.public_key,
            added_ms: self.now_ms,
            weight: Node::WEIGHT,
            state: NodeState::Joining,
            certificate_key: Some(new.certificate_key),
            certificate: None,
            cluster_address: new.cluster_address.clone(),
            public_address: new.public_address.clone(),
            incarnation: Incarnation::default(),
        })
    }

    /// Every kept cluster key epoch must be there, or the node could not open what is wrapped under the missing one.
    fn seal_to_new(&mut self, id: NodeId, sealed: &[(KeyEpoch, Vec<u8>)]) -> Result<(), Refusal> {
        let current = self.state.cluster_info().ok_or(Refusal::NotInitialised)?.key_epoch;
        let kept: Vec<KeyEpoch> = self.state.records.sealed_keys.keys().copied().collect();
        let given: BTreeSet<KeyEpoch> = sealed.iter().map(|(epoch, _)| *epoch).collect();
        if given.len() != sealed.len() || !kept.iter().all(|epoch| given.contains(epoch)) {
            return Err(Refusal::StaleKeyEpoch { current });
        }
        for (epoch, bytes) in sealed.iter().filter(|(epoch, _)| kept.contains(epoch)) {
            let key = SealedClusterKey { holder: KeyHolder::Node(id), sealed: bytes.clone() };
            validate::sealed_cluster_key(&key)?;
            let before =
                self.state.records.sealed_keys.get(epoch).ok_or(Refusal::StaleKeyEpoch { current })?;
            let mut keys = before.to_vec();
            keys.push(key);
            self.state.records.sealed_keys.insert(*epoch, Arc::new(keys));
        }
        Ok(())
    }

    pub(super) fn report_node(
        &mut self,
        id: NodeId,
        certificate: [u8; 32],
        (cluster_address, public_address): (&str, &str),
        incarnation: Incarnation,
    ) -> Ruled {
        if self.actor.kind != ActorKind::System(id) {
            return Err(Refusal::Forbidden { needs: Needs::Node });
        }
        let found = Node::clone(self.node_record(id)?);
        if !incarnation.follows(&found.incarnation) {
            return Err(Refusal::StaleIncarnation);
        }
        validate::line("cluster_address", cluster_address, Limits::NAME)?;
        validate::line("public_address", public_address, Limits::NAME)?;
        self.put_node(Node {
            certificate: Some(certificate),
            cluster_address: cluster_address.to_owned(),
            public_address: public_address.to_owned(),
            incarnation,
            ..found
        })
    }

    pub(super) fn activate_node(&mut self, id: NodeId) -> Ruled {
        let found = Node::clone(self.node_record(id)?);
        match found.state {
            NodeState::Joining => self.put_node(Node { state: NodeState::Active, ..found }),
            NodeState::Active | NodeState::Draining => Ok(Outcome::Done),
        }
    }

    pub(super) fn drain_node(&mut self, id: NodeId, draining: bool) -> Ruled {
        let found = Node::clone(self.node_record(id)?);
        if draining {
            self.others_take_part(id)?;
        }
        let state = if draining { NodeState::Draining } else { NodeState::Active };
        self.put_node(Node { state, ..found })
    }

    pub(super) fn remove_node(&mut self, id: NodeId) -> Ruled {
        self.node_record(id)?;
        self.others_take_part(id)?;
        self.forget_node(id);
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }

    /// Whatever State has of a node that is none any more.
    pub(super) fn forget_node(&mut self, id: NodeId) {
        self.state.records.nodes.remove(&id);
        self.state.records.releases.remove(&id);
        self.forget_shown_authority(id);
        self.state.records.answered.remove(&id);
        let epochs: Vec<KeyEpoch> = self.state.records.sealed_keys.keys().copied().collect();
        for epoch in epochs {
            let Some(keys) = self.state.records.sealed_keys.get(&epoch) else { continue };
            let left = keys.iter().filter(|key| key.holder != KeyHolder::Node(id)).cloned().collect();
            self.state.records.sealed_keys.insert(epoch, Arc::new(left));
        }
    }

    /// Somebody must be left to hold the cluster.
    fn others_take_part(&self, id: NodeId) -> Result<(), Refusal> {
        let left = self.state.nodes().any(|node| node.id != id && node.state == NodeState::Active);
        if left { Ok(()) } else { Err(Refusal::LastNode) }
    }

    fn node_record(&self, id: NodeId) -> Result<&Arc<Node>, Refusal> {
        self.state.node(id).ok_or(Refusal::NotFound(Noun::Node))
    }

    fn put_node(&mut self, node: Node) -> Ruled {
        self.state.records.nodes.insert(node.id, Arc::new(node));
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }
}

fn limit(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl State {
    /// Whether `id` was a node once and is none any more. An id this State has not come to yet is not removed.
    #[must_use]
    pub fn is_removed(&self, id: NodeId) -> bool {
        id.0 <= self.last_applied() && self.node(id).is_none()
    }

    /// The certificate authority of the cluster.
    #[must_use]
    pub fn authority(&self) -> Option<&ClusterAuthority> {
        self.cluster_info().and_then(|cluster| cluster.authority.as_ref())
    }

    /// The token whose secret has this hash.
    #[must_use]
    pub fn join_token(&self, secret_hash: &SecretHash) -> Option<&JoinToken> {
        self.records.join_tokens.get(secret_hash)
    }
}
