//! Rules for alerts. The same kind and subject are one alert, however often it is seen; what is not seen any more is over.
//!
//! One that keeps coming back is told a few times and then only shown, until it has stayed for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::State;
use super::apply::Change;
use super::limits::Limits;
use super::validate;
use crate::actor::ActorKind;
use crate::command::{AlertChange, AlertChannels, AlertCommand, AlertFact, AlertScope, ChannelKind};
use crate::event::Event;
use crate::outcome::Outcome;
use crate::refusal::{Noun, Problem, Refusal};

type Ruled = Result<Outcome, Refusal>;

/// An alert that is over and comes again within this time is the same one.
const SAME_WITHIN_MS: u64 = 10 * 60 * 1000;
/// One that keeps coming back is told so many times.
const TOLD_TIMES: u32 = 3;
/// What could not be told for this long is not told any more.
const GIVE_UP_AFTER_MS: u64 = 6 * 60 * 60 * 1000;
/// What is over is kept for this long.
const KEPT_MS: u64 = 30 * Limits::DAY_MS;

/// What an alert is about: its kind, and with what.
pub type AlertKey = (String, String);

/// Something that is or was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number. Comes up once.
    pub id: u64,
    /// Who watches it.
    pub scope: AlertScope,
    /// What, with what, how bad, and facts: as it was seen last.
    pub fact: AlertFact,
    /// When it was seen first.
    pub first_seen_ms: u64,
    /// When it was seen last.
    pub last_seen_ms: u64,
    /// When it came the last time: later than `first_seen_ms` for one that went and came back.
    pub since_ms: u64,
    /// How often it came, within a short time.
    pub times: u32,
    /// When it was over; none while it is there.
    pub resolved_ms: Option<u64>,
    /// Who takes care of it, and since when.
    pub acknowledged: Option<(ActorKind, u64)>,
    /// What was told by which way, and whether the other side took it.
    pub told: BTreeMap<(ChannelKind, AlertChange), bool>,
}

impl Alert {
    /// It is there now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.resolved_ms.is_none()
    }

    /// It is there, and nobody takes care of it.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        self.is_open() && self.acknowledged.is_none()
    }
}

/// All alerts, and where they are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Alerts {
    /// The number of the newest.
    newest: u64,
    #[serde(with = "super::map")]
    by_key: OrdMap<AlertKey, Arc<Alert>>,
    channels: AlertChannels,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToTell {
    /// The alert.
    pub alert: Arc<Alert>,
    /// What of it.
    pub change: AlertChange,
    /// It is too old to be told: note that it was given up.
    pub too_late: bool,
}

impl Change<'_> {
    pub(super) fn alert(&mut self, command: &AlertCommand) -> Ruled {
        match command {
            AlertCommand::Observe { scope, open } => self.observe(*scope, open),
            AlertCommand::Acknowledge { alert } => self.acknowledge(*alert),
            AlertCommand::SetChannels { channels } => {
                check_channels(channels)?;
                self.state.records.alerts.channels = AlertChannels::clone(channels);
                self.event(Event::AlertsChanged);
                Ok(Outcome::Done)
            }
            AlertCommand::NoteDelivery { alert, channel, change, delivered } => {
                let (key, found) = self.alert_record(*alert)?;
                let mut told = found.told.clone();
                told.insert((*channel, *change), *delivered);
                self.put_alert(key, Alert { told, ..Alert::clone(&found) });
                Ok(Outcome::Done)
            }
        }
    }

    fn observe(&mut self, scope: AlertScope, open: &[AlertFact]) -> Ruled {
        if open.len() > Limits::OPEN_ALERTS {
            return Err(Refusal::invalid("open", Problem::TooMany(200)));
        }
        open.iter().try_for_each(check_fact)?;
        let seen: BTreeSet<AlertKey> = open.iter().map(key_of).collect();
        if seen.len() != open.len() {
            return Err(Refusal::invalid("open", Problem::Repeated));
        }
        if let AlertScope::Node(node) = scope {
            self.state.node(node).ok_or(Refusal::NotFound(Noun::Node))?;
        }
        for fact in open {
            self.seen(scope, fact);
        }
        self.resolve_others(scope, &seen);
        self.forget_old_alerts();
        self.event(Event::AlertsChanged);
        Ok(Outcome::Count(u32::try_from(open.len()).unwrap_or(u32::MAX)))
    }

    fn seen(&mut self, scope: AlertScope, fact: &AlertFact) {
        let key = key_of(fact);
        let now_ms = self.now_ms;
        let before = self.state.records.alerts.by_key.get(&key).cloned();
        let again = before.filter(|alert| {
            alert.resolved_ms.is_none_or(|over| now_ms < over.saturating_add(SAME_WITHIN_MS))
        });
        let Some(before) = again else {
            self.state.records.alerts.newest += 1;
            let alert = Alert {
                id: self.state.records.alerts.newest,
                scope,
                fact: fact.clone(),
                first_seen_ms: now_ms,
                last_seen_ms: now_ms,
                since_ms: now_ms,
                times: 1,
                resolved_ms: None,
                acknowledged: None,
                told: BTreeMap::new(),
            };
            self.put_alert(key, alert);
            return;
        };
        let mut alert = Alert { scope, fact: fact.clone(), last_seen_ms: now_ms, ..Alert::clone(&before) };
        if before.resolved_ms.is_some() {
            alert.resolved_ms = None;
            alert.since_ms = now_ms;
            alert.times = before.times.saturating_add(1);
            if alert.times <= TOLD_TIMES {
                alert.told.clear();
            }
        } else if before.times > TOLD_TIMES && now_ms >= before.since_ms.saturating_add(SAME_WITHIN_MS) {
            // It has stayed after all.
            alert.times = 1;
            alert.told.clear();
        }
        if fact.severity > before.fact.severity {
            alert.acknowledged = None;
            alert.told.clear();
        }
        self.put_alert(key, alert);
    }

    /// What is not seen any more is over; so is what a node saw that is none any more.
    fn resolve_others(&mut self, scope: AlertScope, seen: &BTreeSet<AlertKey>) {
        let gone = |alert: &Alert| match alert.scope {
            AlertScope::Node(node) => scope == AlertScope::Cluster && self.state.node(node).is_none(),
            AlertScope::Cluster => false,
        };
        let over: Vec<(AlertKey, Arc<Alert>)> = self
            .state
            .alerts()
            .filter(|alert| alert.is_open())
            .map(|alert| (key_of(&alert.fact), alert.clone()))
            .filter(|(key, alert)| (alert.scope == scope && !seen.contains(key)) || gone(alert))
            .collect();
        for (key, alert) in over {
            self.put_alert(key, Alert { resolved_ms: Some(self.now_ms), ..Alert::clone(&alert) });
        }
    }

    /// Drops what has been over for long, and the longest over where there are too many.
    fn forget_old_alerts(&mut self) {
        let mut over: Vec<(u64, AlertKey)> =
            self.state.alerts().filter_map(|alert| Some((alert.resolved_ms?, key_of(&alert.fact)))).collect();
        over.sort_unstable();
        let too_many = self.state.records.alerts.by_key.len().saturating_sub(Limits::ALERTS);
        for (number, (resolved_ms, key)) in over.into_iter().enumerate() {
            if number < too_many || resolved_ms.saturating_add(KEPT_MS) <= self.now_ms {
                self.state.records.alerts.by_key.remove(&key);
            }
        }
    }

    fn acknowledge(&mut self, id: u64) -> Ruled {
        let (key, found) = self.alert_record(id)?;
        if found.acknowledged.is_none() {
            let acknowledged = Some((self.actor.kind, self.now_ms));
            self.put_alert(key, Alert { acknowledged, ..Alert::clone(&found) });
            self.event(Event::AlertsChanged);
        }
        Ok(Outcome::Done)
    }

    fn alert_record(&self, id: u64) -> Result<(AlertKey, Arc<Alert>), Refusal> {
        let found = self.state.alert(id).ok_or(Refusal::NotFound(Noun::Alert))?;
        Ok((key_of(&found.fact), found.clone()))
    }

    fn put_alert(&mut self, key: AlertKey, alert: Alert) {
        self.state.records.alerts.by_key.insert(key, Arc::new(alert));
    }
}

fn key_of(fact: &AlertFact) -> AlertKey {
    (fact.kind.clone(), fact.subject.clone())
}

fn check_fact(fact: &AlertFact) -> Result<(), Refusal> {
    validate::code("kind", &fact.kind)?;
    validate::name("subject", &fact.subject)?;
    let (most, length) = Limits::AUDIT_DETAILS;
    if fact.details.len() > most {
        return Err(Refusal::invalid("details", Problem::TooMany(16)));
    }
    fact.details.iter().try_for_each(|(name, value)| {
        validate::code("details", name).and_then(|()| validate::line("details", value, length))
    })
}

fn check_channels(channels: &AlertChannels) -> Result<(), Refusal> {
    let host = |field: &str, host: &str, port: u16| {
        validate::name(field, host)?;
        if port == 0 { Err(Refusal::invalid(field, Problem::OutOfRange)) } else { Ok(()) }
    };
    let authority = |pem: &Option<String>| match pem {
        Some(pem) if pem.len() > Limits::AUTHORITY_PEM => {
            Err(Refusal::invalid("authority", Problem::OutOfRange))
        }
        _ => Ok(()),
    };
    if let Some(webhook) = &channels.webhook {
        if !webhook.url.starts_with("https://") {
            return Err(Refusal::invalid("webhook.url", Problem::Malformed));
        }
        validate::line("webhook.url", &webhook.url, Limits::REASON)?;
        validate::line("webhook.secret", &webhook.secret.0, Limits::SHORT)?;
        authority(&webhook.authority)?;
    }
    if let Some(syslog) = &channels.syslog {
        host("syslog.host", &syslog.host, syslog.port)?;
    }
    if let Some(email) = &channels.email {
        host("email.host", &email.host, email.port)?;
        authority(&email.authority)?;
        if email.to.is_empty() {
            return Err(Refusal::invalid("email.to", Problem::Empty));
        }
        if email.to.len() > Limits::ALERT_ADDRESSES {
            return Err(Refusal::invalid("email.to", Problem::TooMany(20)));
        }
        let addresses = email.to.iter().map(|to| ("email.to", to)).chain([("email.from", &email.from)]);
        for (field, address) in addresses.chain(email.username.iter().map(|name| ("email.username", name))) {
            validate::name(field, address)?;
        }
        if let Some(password) = &email.password {
            validate::line("email.password", &password.0, Limits::REASON)?;
        }
    }
    Ok(())
}

impl State {
    /// All alerts, by kind and subject.
    pub fn alerts(&self) -> impl Iterator<Item = &Arc<Alert>> {
        self.records.alerts.by_key.values()
    }

    /// The alert of that number.
    #[must_use]
    pub fn alert(&self, id: u64) -> Option<&Arc<Alert>> {
        self.alerts().find(|alert| alert.id == id)
    }

    /// The alert about this, there or over.
    #[must_use]
    pub fn alert_about(&self, kind: &str, subject: &str) -> Option<&Arc<Alert>> {
        self.records.alerts.by_key.get(&(kind.to_owned(), subject.to_owned()))
    }

    /// Where alerts are told.
    #[must_use]
    pub fn alert_channels(&self) -> &AlertChannels {
        &self.records.alerts.channels
    }

    /// What is to be told by `channel` at `now_ms`, the oldest first.
    #[must_use]
    pub fn alerts_to_tell(&self, channel: ChannelKind, now_ms: u64) -> Vec<ToTell> {
        let channels = self.alert_channels();
        if !channels.has(channel) {
            return Vec::new();
        }
        let mut all: Vec<ToTell> = self
            .alerts()
            .filter(|alert| alert.fact.severity >= channels.least)
            .filter_map(|alert| {
                let change = due(alert, channel)?;
                let from_ms = match change {
                    AlertChange::Raised => alert.since_ms,
                    AlertChange::Resolved => alert.resolved_ms.unwrap_or(alert.since_ms),
                };
                let too_late = now_ms >= from_ms.saturating_add(GIVE_UP_AFTER_MS);
                Some(ToTell { alert: alert.clone(), change, too_late })
            })
            .collect();
        all.sort_by_key(|one| one.alert.id);
        all
    }
}

/// That it is over is told only to whoever heard that it was there.
fn due(alert: &Alert, channel: ChannelKind) -> Option<AlertChange> {
    let told = |change| alert.told.get(&(channel, change));
    match (told(AlertChange::Raised), alert.is_open()) {
        (None, true) => Some(AlertChange::Raised),
        (Some(true), false) if told(AlertChange::Resolved).is_none() => Some(AlertChange::Resolved),
        _ => None,
    }
}
