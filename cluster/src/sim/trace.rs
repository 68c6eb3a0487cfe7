//! What happened, in order: hashed whole, its end kept to be read.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The record of one run. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    hash: blake3::Hasher,
    events: u64,
    kept: VecDeque<String>,
    keep: usize,
    violations: Vec<String>,
}

impl Trace {
    /// Nothing has happened yet. The newest `keep` events can be read later.
    pub(super) fn new(keep: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            started: Instant::now(),
            hash: blake3::Hasher::new(),
            events: 0,
            kept: VecDeque::new(),
            keep,
            violations: Vec::new(),
        })))
    }

    /// Something happened.
    pub(super) fn note(&self, event: fmt::Arguments<'_>) {
        let mut inner = self.inner();
        let at = inner.started.elapsed();
        let line = format!("{:>9.3} {event}", at.as_secs_f64() * 1000.0);
        inner.hash.update(line.as_bytes());
        inner.hash.update(b"\n");
        inner.events += 1;
        if inner.keep > 0 {
            if inner.kept.len() >= inner.keep {
                inner.kept.pop_front();
            }
            inner.kept.push_back(line);
        }
    }

    /// Something happened that must never happen.
    pub(super) fn violation(&self, what: fmt::Arguments<'_>) {
        self.note(format_args!("VIOLATION {what}"));
        self.inner().violations.push(what.to_string());
    }

    /// Whether anything happened that must not.
    pub(super) fn is_violated(&self) -> bool {
        !self.inner().violations.is_empty()
    }

    /// Hash over all events, how many there were, the newest ones, and what must not have happened.
    pub(super) fn finish(&self) -> (String, u64, Vec<String>, Vec<String>) {
        let inner = self.inner();
        let hash = inner.hash.finalize().to_hex().to_string();
        (hash, inner.events, inner.kept.iter().cloned().collect(), inner.violations.clone())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
