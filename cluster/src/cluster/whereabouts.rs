//! Where the cluster's nodes are reached. [`super::join`] tells it to whoever joins, and the node's desk to edges.

use super::Cluster;
use crate::id::NodeId;

/// Where one node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// Which node.
    pub node: NodeId,
    /// By other nodes and by edges: `host:port`; never empty.
    pub cluster_address: String,
    /// By people: `host:port`.
    pub public_address: String,
}

impl Cluster {
    /// Where each node is reached, as far as this one knows. One that has not said so yet is left out.
    #[must_use]
    pub fn whereabouts(&self) -> Vec<Whereabouts> {
        let own = self.inner.presence.get().map(|presence| Whereabouts {
            node: self.inner.node,
            cluster_address: presence.cluster_address.clone(),
            public_address: presence.public_address.clone(),
        });
        let state = self.state();
        let said = state.nodes().map(|node| Whereabouts {
            node: node.id,
            cluster_address: node.cluster_address.clone(),
            public_address: node.public_address.clone(),
        });
        known(said, own.as_ref())
    }
}

/// A node knows where itself is before State does: whoever joins in a cluster's first moments must not be told nothing.
fn known(said: impl Iterator<Item = Whereabouts>, own: Option<&Whereabouts>) -> Vec<Whereabouts> {
    let own_or = |said: Whereabouts| own.filter(|own| own.node == said.node).cloned().unwrap_or(said);
    said.map(own_or).filter(|one| !one.cluster_address.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(node: u64, cluster_address: &str) -> Whereabouts {
        let (cluster_address, public_address) = (cluster_address.to_owned(), String::new());
        Whereabouts { node: NodeId(node), cluster_address, public_address }
    }

    #[test]
    fn a_node_knows_its_own_place_before_state_does_and_leaves_out_who_has_none() {
        let own = at(1, "192.0.2.1:7443");
        let others = [at(2, "192.0.2.2:7443"), at(3, "")];
        for said in ["", "192.0.2.99:7443", "192.0.2.1:7443"] {
            let said = std::iter::once(at(1, said)).chain(others.clone());
            assert_eq!(known(said, Some(&own)), [own.clone(), others[0].clone()]);
        }
        assert_eq!(known(others.clone().into_iter(), Some(&own)), others[..1]);
        assert_eq!(known(others.clone().into_iter(), None), others[..1]);
    }
}
