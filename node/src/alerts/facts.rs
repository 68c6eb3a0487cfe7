//! What conditions look at, and what they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::ClusterStatus;
use cluster::command::{AlertFact, Severity};
use cluster::id::NodeId;
use cluster::state::State;

use crate::app::App;

/// Everything a condition may look at, as it is at one moment.
#[derive(Debug)]
pub struct Facts<'a> {
    /// State.
    pub state: &'a State,
    /// How this node does.
    pub status: &'a ClusterStatus,
    /// The running node.
    pub app: &'a App,
    /// Cluster time.
    pub now_ms: u64,
}

impl Facts<'_> {
    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.app.cluster.node_id()
    }

    /// The subject of what concerns this node alone.
    #[must_use]
    pub fn this_node(&self) -> String {
        format!("node:{}", self.me())
    }

    /// A node's name and site, as details.
    #[must_use]
    pub fn naming(&self, node: NodeId) -> Vec<(&'static str, String)> {
        let found: Option<&Arc<_>> = self.state.node(node);
        found.map_or_else(Vec::new, |node| vec![("node", node.name.clone()), ("site", node.site.clone())])
    }
}

/// What a condition found.
#[derive(Debug)]
pub struct Found<'a> {
    kind: &'a str,
    facts: Vec<AlertFact>,
}

impl<'a> Found<'a> {
    /// Nothing yet, for the condition `kind`.
    #[must_use]
    pub fn new(kind: &'a str) -> Self {
        Self { kind, facts: Vec::new() }
    }

    /// It holds for `subject`. Details should change seldom: each change is put on record.
    pub fn add<T: ToString>(
        &mut self,
        subject: impl Into<String>,
        severity: Severity,
        details: impl IntoIterator<Item = (&'static str, T)>,
    ) {
        let details: BTreeMap<String, String> =
            details.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        let kind = self.kind.to_owned();
        self.facts.push(AlertFact { kind, subject: subject.into(), severity, details });
    }

    /// All of it.
    #[must_use]
    pub fn into_facts(self) -> Vec<AlertFact> {
        self.facts
    }
}
