//! Numbers for this node's requests, and which of them somebody still waits for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::command::Incarnation;
use crate::entry::Request;
use crate::id::NodeId;
use crate::keyring::{KeyError, fill_random};

/// The requests of one life of a node. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    node: NodeId,
    life: Incarnation,
    waited_for: Arc<Mutex<WaitedFor>>,
}

#[derive(Debug, Default)]
struct WaitedFor {
    newest: u64,
    numbers: BTreeSet<u64>,
}

/// A request that somebody waits for, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    request: Request,
    waited_for: Arc<Mutex<WaitedFor>>,
}

impl Requests {
    /// None yet, in this `life` of `node`.
    pub(crate) fn new(node: NodeId, life: Incarnation) -> Self {
        Self { node, life, waited_for: Arc::default() }
    }

    /// None yet, in the life that begins now, after `starts` starts.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(crate) fn of_new_life(node: NodeId, starts: u64) -> Result<Self, KeyError> {
        let mut instance = [0; 16];
        fill_random(&mut instance)?;
        Ok(Self::new(node, Incarnation { count: starts, instance }))
    }

    /// One more, that is waited for from now on.
    pub(crate) fn begin(&self) -> Waiting {
        let mut waited_for = lock(&self.waited_for);
        waited_for.newest += 1;
        let number = waited_for.newest;
        waited_for.numbers.insert(number);
        let settled = waited_for.numbers.first().copied().unwrap_or(number);
        let request = Request { node: self.node, life: self.life, number, settled };
        Waiting { request, waited_for: self.waited_for.clone() }
    }
}

impl Waiting {
    /// What goes into the Entry, in every try.
    pub(crate) fn request(&self) -> Request {
        self.request
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.waited_for).numbers.remove(&self.request.number);
    }
}

fn lock(waited_for: &Mutex<WaitedFor>) -> MutexGuard<'_, WaitedFor> {
    waited_for.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_everything_below_the_oldest_that_is_waited_for() {
        let requests = Requests::new(NodeId(4), Incarnation::default());
        let (first, second) = (requests.begin(), requests.begin());
        assert_eq!((first.request().number, second.request().number), (1, 2));
        assert_eq!(requests.begin().request().settled, 1);
        drop(first);
        assert_eq!(requests.begin().request().settled, 2);
        drop(second);
        let next = requests.begin().request();
        assert_eq!((next.number, next.settled), (5, 5));
    }
}
