//! An edge's counters.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Edge;
use super::ask::Question;
use super::cache::Found;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct From {
    from: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct About {
    about: &'static str,
}

/// What is counted as it happens.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    files: Family<From, Counter<u64, AtomicU64>>,
    questions: Family<About, Counter<u64, AtomicU64>>,
    fetched_bytes: Counter<u64, AtomicU64>,
}

impl Figures {
    /// A viewer was given a file.
    pub(super) fn given(&self, found: Found) {
        let from = match found {
            Found::Memory => "memory",
            Found::Disk => "disk",
            Found::Fetched => "cluster",
        };
        self.files.get_or_create(&From { from }).inc();
    }

    /// Bytes came from the cluster.
    pub(super) fn fetched(&self, bytes: usize) {
        self.fetched_bytes.inc_by(bytes as u64);
    }

    pub(super) fn asked(&self, question: &Question) {
        let about = match question {
            Question::Introduce(_) => "introduce",
            Question::Report(_) => "report",
            Question::Follow { .. } => "follow",
            Question::Reconcile { .. } => "reconcile",
            Question::Authorise(_) => "authorise",
            Question::Key { .. } => "key",
            Question::File { .. } => "file",
            Question::WarmList | Question::WarmFiles { .. } => "warm",
            Question::Authorities { .. } => "authorities",
        };
        self.questions.get_or_create(&About { about }).inc();
    }
}

/// The exposition text.
pub(super) fn text(edge: &Edge) -> String {
    let mut registry = Registry::with_prefix("mediakeep_edge");
    let figures = &edge.figures;
    registry.register("files", "Headers and segments given to viewers", figures.files.clone());
    registry.register("questions", "Questions to the cluster", figures.questions.clone());
    registry.register("fetched_bytes", "Bytes fetched from the cluster", figures.fetched_bytes.clone());
    let gauge = |value: u64| {
        let gauge = Gauge::<i64, AtomicI64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    registry.register("held_bytes", "Bytes on the disk", gauge(edge.cache.bytes()));
    registry.register("views", "Views that are known", gauge(edge.rights.count() as u64));
    let silence = edge.silence().map_or(u64::MAX, |silence| silence.as_secs());
    registry.register("silent_seconds", "Since the cluster was heard", gauge(silence));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => text,
        // Writing to a string does not fail.
        Err(std::fmt::Error) => String::new(),
    }
}
