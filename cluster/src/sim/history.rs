//! What clients did and saw, and whether one order of it all explains it: linearizability, key by key, by the search of
//! Wing and Gong with Lowe's memory of what was tried.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps of the search for one key before it gives up: far above what a history needs that is in order.
const STEPS: u64 = 3_000_000;

/// An asset, as far as the clients' changes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Model {
    /// Never made.
    Absent,
    /// There, with title number so and so.
    Live(u64),
    /// In the trash.
    Trashed(u64),
    /// Purged.
    Gone,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create(u64),
    Rename(u64),
    Trash,
    Restore,
    Purge,
    Read,
}

/// What it heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Done,
    Refused(&'static str),
    Saw(Model),
    /// Nothing: it may be done now, later or never.
    Nothing,
}

/// One call from its beginning to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) key: u8,
    pub(super) call: Call,
    pub(super) began: u64,
    /// Set when something was heard.
    pub(super) ended: Option<u64>,
    pub(super) heard: Heard,
}

/// All calls of all clients. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    moment: u64,
    operations: Vec<Operation>,
}

/// The history of one key has no explanation.
#[derive(Debug)]
pub(super) struct Inexplicable {
    key: u8,
    gave_up: bool,
    operations: Vec<Operation>,
}

impl History {
    /// A call begins. Gives its number.
    pub(super) fn begin(&self, key: u8, call: Call) -> usize {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.moment += 1;
        let began = inner.moment;
        inner.operations.push(Operation { key, call, began, ended: None, heard: Heard::Nothing });
        inner.operations.len() - 1
    }

    /// Something was heard.
    pub(super) fn end(&self, number: usize, heard: Heard) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.moment += 1;
        let moment = inner.moment;
        if let Some(operation) = inner.operations.get_mut(number) {
            operation.ended = Some(moment);
            operation.heard = heard;
        }
    }

    /// The call was certainly not carried out.
    pub(super) fn withdraw(&self, number: usize) {
        self.end(number, Heard::Nothing);
    }

    /// How many calls were answered.
    pub(super) fn answered(&self) -> usize {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.operations.iter().filter(|operation| operation.heard != Heard::Nothing).count()
    }

    /// Looks for an explanation.
    pub(super) fn explain(&self) -> Result<(), Inexplicable> {
        let operations = self.0.lock().unwrap_or_else(PoisonError::into_inner).operations.clone();
        let mut keys: Vec<u8> = operations.iter().map(|operation| operation.key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let of_key = |operation: &&Operation| operation.key == key && !is_withdrawn(operation);
            let operations: Vec<Operation> = operations.iter().filter(of_key).copied().collect();
            let mut search = Search::new(&operations);
            if !search.from(Model::Absent) {
                return Err(Inexplicable { key, gave_up: search.steps >= STEPS, operations });
            }
        }
        Ok(())
    }
}

fn is_withdrawn(operation: &Operation) -> bool {
    operation.ended.is_some() && operation.heard == Heard::Nothing
}

impl Model {
    /// What a call does and what is heard of it.
    fn step(self, call: Call) -> (Self, Heard) {
        let not_found = Heard::Refused("asset_not_found");
        match (call, self) {
            (Call::Read, _) => (self, Heard::Saw(self)),
            (Call::Create(title), Self::Absent) => (Self::Live(title), Heard::Done),
            (Call::Create(_), _) => (self, Heard::Refused("duplicate_id")),
            (_, Self::Absent | Self::Gone) => (self, not_found),
            (Call::Rename(title), Self::Live(_)) => (Self::Live(title), Heard::Done),
            (Call::Trash, Self::Live(title)) => (Self::Trashed(title), Heard::Done),
            (Call::Rename(_) | Call::Trash, Self::Trashed(_)) => (self, Heard::Refused("asset_trashed")),
            (Call::Restore, Self::Trashed(title)) => (Self::Live(title), Heard::Done),
            (Call::Purge, Self::Trashed(_)) => (Self::Gone, Heard::Done),
            (Call::Restore | Call::Purge, Self::Live(_)) => (self, Heard::Refused("asset_not_trashed")),
        }
    }
}

struct Search<'a> {
    operations: &'a [Operation],
    done: Vec<bool>,
    /// Answered calls that are not explained yet.
    left: usize,
    tried: HashSet<(Vec<u64>, Model)>,
    steps: u64,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let left = operations.iter().filter(|operation| operation.ended.is_some()).count();
        Self { operations, done: vec![false; operations.len()], left, tried: HashSet::new(), steps: 0 }
    }

    /// Whether the calls not done yet can follow on `model`.
    fn from(&mut self, model: Model) -> bool {
        if self.left == 0 {
            return true;
        }
        self.steps += 1;
        if self.steps >= STEPS || !self.tried.insert((self.bits(), model)) {
            return false;
        }
        // Whatever began after some undone call had ended cannot come before it.
        let undone = || self.operations.iter().zip(&self.done).filter(|(_, done)| !**done);
        let horizon = undone().filter_map(|(operation, _)| operation.ended).min().unwrap_or(u64::MAX);
        let next: Vec<usize> = (0..self.operations.len())
            .filter(|at| !self.done[*at] && self.operations[*at].began < horizon)
            .collect();
        for at in next {
            let operation = self.operations[at];
            let (after, heard) = model.step(operation.call);
            let is_open = operation.ended.is_none();
            // What nobody heard of and changes nothing explains nothing.
            if if is_open { after == model } else { heard != operation.heard } {
                continue;
            }
            self.done[at] = true;
            self.left -= usize::from(!is_open);
            if self.from(after) {
                return true;
            }
            self.done[at] = false;
            self.left += usize::from(!is_open);
        }
        false
    }

    fn bits(&self) -> Vec<u64> {
        let word = |dones: &[bool]| dones.iter().fold(0, |bits, done| bits << 1 | u64::from(*done));
        self.done.chunks(64).map(word).collect()
    }
}

impl fmt::Display for Inexplicable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.gave_up { "was not explained in time" } else { "cannot be explained" };
        write!(formatter, "the history of asset {} {why}:", self.key)?;
        for operation in &self.operations {
            let Operation { call, began, ended, heard, .. } = operation;
            match ended {
                Some(ended) => write!(formatter, "\n  {began:>5} to {ended:>5}  {call:?} heard {heard:?}")?,
                None => write!(formatter, "\n  {began:>5} on          {call:?} heard nothing")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls as (began, ended, call, heard), with 0 for no end.
    fn history(calls: &[(u64, u64, Call, Heard)]) -> History {
        let operations = calls
            .iter()
            .map(|&(began, ended, call, heard)| Operation {
                key: 1,
                call,
                began,
                ended: (ended > 0).then_some(ended),
                heard,
            })
            .collect();
        History(Arc::new(Mutex::new(Inner { moment: 100, operations })))
    }

    #[test]
    fn calls_that_overlap_may_come_in_either_order() {
        let calls = [
            (1, 2, Call::Create(1), Heard::Done),
            (3, 8, Call::Rename(2), Heard::Done),
            (4, 5, Call::Read, Heard::Saw(Model::Live(2))),
            (6, 7, Call::Read, Heard::Saw(Model::Live(2))),
        ];
        assert!(history(&calls).explain().is_ok());
    }

    #[test]
    fn a_read_may_not_go_back() {
        let calls = [
            (1, 2, Call::Create(1), Heard::Done),
            (3, 8, Call::Rename(2), Heard::Done),
            (4, 5, Call::Read, Heard::Saw(Model::Live(2))),
            (6, 7, Call::Read, Heard::Saw(Model::Live(1))),
        ];
        assert!(history(&calls).explain().is_err());
    }

    #[test]
    fn an_acknowledged_write_may_not_be_lost_and_an_open_one_may() {
        let lost = [
            (1, 2, Call::Create(1), Heard::Done),
            (3, 4, Call::Rename(2), Heard::Done),
            (5, 6, Call::Read, Heard::Saw(Model::Live(1))),
        ];
        assert!(history(&lost).explain().is_err());
        let open = [
            (1, 2, Call::Create(1), Heard::Done),
            (3, 0, Call::Rename(2), Heard::Nothing),
            (5, 6, Call::Read, Heard::Saw(Model::Live(1))),
            (7, 8, Call::Read, Heard::Saw(Model::Live(2))),
        ];
        assert!(history(&open).explain().is_ok());
    }

    #[test]
    fn what_was_withdrawn_must_not_show() {
        let calls = [
            (1, 2, Call::Create(1), Heard::Done),
            (3, 4, Call::Rename(2), Heard::Nothing),
            (5, 6, Call::Read, Heard::Saw(Model::Live(2))),
        ];
        assert!(history(&calls).explain().is_err());
    }
}
