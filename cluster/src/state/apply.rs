//! Carrying out one entry of the log: permission, the change itself, and its audit record.

use super::State;
use crate::actor::Actor;
use crate::audit_record::AuditRecord;
use crate::command::Command;
use crate::entry::Entry;
use crate::event::Event;
use crate::outcome::Outcome;
use crate::permission;
use crate::refusal::Refusal;

/// What one entry did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What the proposer hears.
    pub outcome: Result<Outcome, Refusal>,
    /// What changed; empty when refused.
    pub events: Vec<Event>,
    /// The audit record; none for a request that was carried out before, or is over.
    pub audit: Option<AuditRecord>,
}

/// One change under way: State, who asks, when, and what it gives rise to.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) state: &'a mut State,
    pub(super) actor: &'a Actor,
    pub(super) now_ms: u64,
    pub(super) events: Vec<Event>,
}

impl State {
    /// Carries out one entry. Pure: the same State and entry give the same result on every node. A refused entry
    /// changes nothing but time and the audit chain; a request that was carried out before is answered as it was then,
    /// and changes nothing at all.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        self.records.last_applied = index;
        if let Some(outcome) = entry.request.as_ref().and_then(|request| self.answered(request)) {
            return Applied { outcome, events: Vec::new(), audit: None };
        }
        self.records.time_ms = self.records.time_ms.max(entry.time_ms);
        let now_ms = self.records.time_ms;
        // Read before the change, which may remove what the record is about.
        let mut record = entry.command.audit_record(self, &entry.actor, now_ms);

        let before = self.clone();
        let mut change = Change { state: self, actor: &entry.actor, now_ms, events: Vec::new() };
        let outcome = change.carry_out(&entry.command);
        let events = change.events;
        let (outcome, events) = match outcome {
            Ok(outcome) => (Ok(outcome), events),
            Err(refusal) => {
                *self = before;
                record.set_result(refusal.code());
                (Err(refusal), Vec::new())
            }
        };
        if let Some(request) = &entry.request {
            self.keep_answer(request, &outcome);
        }
        let audit = Some(self.records.chain.advance(record));
        Applied { outcome, events, audit }
    }
}

impl Change<'_> {
    fn carry_out(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        let (action, target) = permission::required(command);
        permission::check(self.state, self.actor, action, target, self.now_ms)?;
        match command {
            Command::Access(command) => self.access(command),
            Command::Asset(command) => self.asset(command),
            Command::Job(command) => self.job(command),
            Command::Cluster(command) => self.cluster(command),
            Command::Alert(command) => self.alert(command),
            // Checked below like any other text; the record itself is all there is to it.
            Command::Audit(command) => command.validate().map(|()| Outcome::Done),
            Command::Backup(command) => self.backup(command),
            Command::Edge(command) => self.edge(command),
            Command::View(command) => self.view(command),
            Command::Role(command) => self.role(command),
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}
