//! When each edge was heard last by this node, and what it said of itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::id::NodeId;
use cluster::net::ALIVE_WITHIN;

use super::ask::EdgeReport;

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Contacts {
    heard: Arc<Mutex<HashMap<NodeId, (Instant, EdgeReport)>>>,
}

/// One edge, as heard here.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// How long nothing was heard of it.
    pub silent_for: Duration,
    /// What it said last.
    pub report: EdgeReport,
}

impl Contact {
    /// Heard lately, and ready for viewers.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.is_alive() && self.report.serving
    }

    /// Heard lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.silent_for <= ALIVE_WITHIN
    }
}

impl Contacts {
    /// `edge` has said how it does; `is_edge` says who still is one.
    pub fn note(&self, edge: NodeId, report: EdgeReport, is_edge: impl Fn(NodeId) -> bool) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|known, _| is_edge(*known));
        heard.insert(edge, (Instant::now(), report));
    }

    /// What is known of `edge`; none when this node never heard of it.
    #[must_use]
    pub fn of(&self, edge: NodeId) -> Option<Contact> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(&edge).map(|(at, report)| Contact { silent_for: at.elapsed(), report: report.clone() })
    }
}
