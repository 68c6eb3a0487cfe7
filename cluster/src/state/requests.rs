//! Requests that were carried out: a change that is sent again is answered again and not made again.
//!
//! A node says with each request below which number nothing is waited for any more. So only answers that somebody may
//! still ask for are kept, and a request that comes after its time is refused rather than carried out a second time.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::State;
use super::limits::Limits;
use crate::command::Incarnation;
use crate::entry::Request;
use crate::outcome::Outcome;
use crate::refusal::Refusal;

/// What came of the newest requests of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answered {
    life: Incarnation,
    /// Requests below this number are over.
    floor: u64,
    #[serde(with = "super::map")]
    outcomes: OrdMap<u64, Result<Outcome, Refusal>>,
}

impl Answered {
    fn of(&self, request: &Request) -> Option<Result<Outcome, Refusal>> {
        if self.life != request.life {
            // An earlier life waits for nothing any more.
            return (request.life.count < self.life.count).then_some(Err(Refusal::RequestOver));
        }
        if request.number < self.floor {
            return Some(Err(Refusal::RequestOver));
        }
        self.outcomes.get(&request.number).cloned()
    }

    fn keep(&mut self, request: &Request, outcome: Result<Outcome, Refusal>) {
        if self.life != request.life {
            *self = Self { life: request.life, ..Self::default() };
        }
        self.outcomes.insert(request.number, outcome);
        self.floor = self.floor.max(request.settled.min(request.number));
        while let Some((oldest, _)) = self.outcomes.get_min().cloned() {
            if oldest >= self.floor && self.outcomes.len() <= Limits::ANSWERS_PER_NODE {
                break;
            }
            self.outcomes.remove(&oldest);
            self.floor = self.floor.max(oldest + 1);
        }
    }
}

impl State {
    /// What came of `request`, when it is known or over.
    pub(super) fn answered(&self, request: &Request) -> Option<Result<Outcome, Refusal>> {
        self.records.answered.get(&request.node)?.of(request)
    }

    /// Keeps what came of `request` for as long as it may be sent again. A node that is none is answered by nobody.
    pub(super) fn keep_answer(&mut self, request: &Request, outcome: &Result<Outcome, Refusal>) {
        if self.node(request.node).is_none() {
            self.records.answered.remove(&request.node);
            return;
        }
        let mut answered =
            self.records.answered.get(&request.node).map(|known| Answered::clone(known)).unwrap_or_default();
        answered.keep(request, outcome.clone());
        self.records.answered.insert(request.node, Arc::new(answered));
    }

    /// How many answers are kept. For tests and metrics.
    #[must_use]
    pub fn answers_kept(&self) -> usize {
        self.records.answered.values().map(|answered| answered.outcomes.len()).sum()
    }
}
