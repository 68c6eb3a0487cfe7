//! Who belongs to the cluster, for the door between nodes.

use std::sync::Arc;

use crate::command::Incarnation;
use crate::id::NodeId;
use crate::net::tls::Membership;
use crate::raft::machine::Shown;

/// What a removed node is told at every door.
pub(super) const REMOVED: &str = "this node was removed from the cluster";

/// What a node is told whose start is not the newest that is known of it.
pub(super) const COPY: &str = "a newer start of this node is known: this is a copy, or an old disk";

/// State's view, and where others were before State was here.
pub(super) struct Members {
    pub(super) me: NodeId,
    pub(super) shown: Arc<Shown>,
    pub(super) seeds: Vec<(NodeId, String)>,
}

impl Membership for Members {
    /// A node that State does not know yet, but whose certificate is genuine, was admitted by an Entry that has not come
    /// here: refusing it could keep that Entry from ever coming.
    fn admits(&self, node: NodeId, incarnation: &Incarnation) -> Result<(), String> {
        let state = self.shown.state.load();
        if node == self.me {
            return Err("this is the node itself, or a copy of it".to_owned());
        }
        match state.node(node) {
            Some(known) if incarnation.follows(&known.incarnation) => Ok(()),
            Some(_) => Err(COPY.to_owned()),
            None if state.is_removed(node) => Err(REMOVED.to_owned()),
            None => Ok(()),
        }
    }

    fn admits_edge(&self, edge: NodeId, incarnation: &Incarnation) -> Result<(), String> {
        let state = self.shown.state.load();
        match state.edge(edge) {
            Some(known) if incarnation.follows(&known.incarnation) => Ok(()),
            Some(_) => Err(COPY.to_owned()),
            None if state.is_removed_edge(edge) => Err(REMOVED.to_owned()),
            // Admitted by an Entry that has not come here: it may ask, and is told what this node knows.
            None => Ok(()),
        }
    }

    fn address(&self, node: NodeId) -> Option<String> {
        let state = self.shown.state.load();
        match state.node(node) {
            // A node that State knows and that has not said yet where it is may be known from joining.
            Some(known) if !known.cluster_address.is_empty() => Some(known.cluster_address.clone()),
            None if state.is_removed(node) => None,
            _ => self.seeds.iter().find(|(seed, _)| *seed == node).map(|(_, address)| address.clone()),
        }
    }
}
