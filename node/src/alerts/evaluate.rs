//! Looks at every condition and tells State what it found, when that has changed.
//!
//! What flickers is held: it must be there for a while before it counts, and away for a while before it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix_web::web;
use async_trait::async_trait;
use cluster::actor::Actor;
use cluster::command::{AlertCommand, AlertFact, AlertScope, Command};
use cluster::state::{Alert, AlertKey, State};
use cluster::worker::{WorkError, Worked, Worker};
use cluster::{Cluster, ProposeError};
use tokio::time::Instant;

use super::conditions::{self, Watch};
use super::facts::{Facts, Found};
use crate::app::App;

/// How often it looks. Every condition must be told within a minute.
const EVERY: Duration = Duration::from_secs(5);
/// What was there is over once it has been away for so long.
const OVER_AFTER: Duration = Duration::from_secs(12);
/// A change of details alone is told so often at most.
const DETAILS_EVERY_MS: u64 = 60 * 1000;
/// That something is still there is told so often.
const STILL_EVERY_MS: u64 = 15 * 60 * 1000;

/// See the module.
#[derive(Debug)]
pub struct Evaluate {
    app: web::Data<App>,
    holding: BTreeMap<AlertScope, Holding>,
    open: usize,
}

/// Since when what was found is there, and what is there by State is not.
#[derive(Debug, Default)]
struct Holding {
    there: BTreeMap<AlertKey, Instant>,
    away: BTreeMap<AlertKey, Instant>,
}

impl Evaluate {
    /// For this node.
    #[must_use]
    pub fn new(app: web::Data<App>) -> Self {
        Self { app, holding: BTreeMap::new(), open: 0 }
    }

    /// Looks at one scope. Gives whether State was told anything.
    async fn look(&mut self, scope: AlertScope) -> Result<(), WorkError> {
        let cluster = self.app.cluster.clone();
        let state = cluster.state();
        let found = found(&self.app, &state, scope);
        let known: BTreeMap<AlertKey, &Alert> = state
            .alerts()
            .filter(|alert| alert.is_open() && alert.scope == scope)
            .map(|alert| (key_of(&alert.fact), &**alert))
            .collect();
        let open = self.holding.entry(scope).or_default().settle(found, &known, Instant::now());
        self.open = open.len();
        if !differs(&open, &known, cluster.now_ms()) && !has_strays(&state, scope) {
            return Ok(());
        }
        propose(&cluster, AlertCommand::Observe { scope, open }).await
    }
}

pub(super) async fn propose(cluster: &Cluster, command: AlertCommand) -> Result<(), WorkError> {
    match cluster.propose(Actor::system(cluster.node_id()), Command::Alert(command)).await {
        Ok(_) => Ok(()),
        // A node that was removed meanwhile, or one that must not write: there is nobody to tell.
        Err(ProposeError::Refused(_) | ProposeError::ReadOnly(_)) => Ok(()),
        Err(error) => Err(WorkError::new(&error)),
    }
}

fn key_of(fact: &AlertFact) -> AlertKey {
    (fact.kind.clone(), fact.subject.clone())
}

/// Everything that holds now, with how long it must.
fn found(app: &App, state: &State, scope: AlertScope) -> Vec<(AlertFact, Duration)> {
    let watch = match scope {
        AlertScope::Cluster => Watch::Leader,
        AlertScope::Node(_) => Watch::EachNode,
    };
    let status = app.cluster.status();
    let facts = Facts { state, status: &status, app, now_ms: app.cluster.now_ms() };
    let mut all = Vec::new();
    for condition in conditions::ALL.iter().filter(|condition| condition.watch == watch) {
        let mut found = Found::new(condition.kind);
        (condition.check)(&facts, &mut found);
        all.extend(found.into_facts().into_iter().map(|fact| (fact, condition.after)));
    }
    all
}

impl Holding {
    /// What counts as there: what has been there for long enough, and what has not been away for long enough.
    fn settle(
        &mut self,
        found: Vec<(AlertFact, Duration)>,
        known: &BTreeMap<AlertKey, &Alert>,
        now: Instant,
    ) -> Vec<AlertFact> {
        let keys: BTreeSet<AlertKey> = found.iter().map(|(fact, _)| key_of(fact)).collect();
        self.there.retain(|key, _| keys.contains(key));
        self.away.retain(|key, _| known.contains_key(key) && !keys.contains(key));
        let mut open = Vec::new();
        for (fact, after) in found {
            let key = key_of(&fact);
            let since = *self.there.entry(key.clone()).or_insert(now);
            if known.contains_key(&key) || now.duration_since(since) >= after {
                open.push(fact);
            }
        }
        for (key, alert) in known.iter().filter(|(key, _)| !keys.contains(*key)) {
            let since = *self.away.entry(key.clone()).or_insert(now);
            if now.duration_since(since) < OVER_AFTER {
                open.push(alert.fact.clone());
            }
        }
        open
    }
}

/// Whether State must be told: something came, went or got worse; or details or times are old.
fn differs(open: &[AlertFact], known: &BTreeMap<AlertKey, &Alert>, now_ms: u64) -> bool {
    open.len() != known.len()
        || open.iter().any(|fact| {
            known.get(&key_of(fact)).is_none_or(|alert| {
                let age_ms = now_ms.saturating_sub(alert.last_seen_ms);
                fact.severity != alert.fact.severity
                    || (fact.details != alert.fact.details && age_ms >= DETAILS_EVERY_MS)
                    || age_ms >= STILL_EVERY_MS
            })
        })
}

/// Whether a node that is none any more left alerts behind, which the leader ends.
fn has_strays(state: &State, scope: AlertScope) -> bool {
    let stray = |alert: &Alert| match alert.scope {
        AlertScope::Node(node) => alert.is_open() && state.node(node).is_none(),
        AlertScope::Cluster => false,
    };
    scope == AlertScope::Cluster && state.alerts().any(|alert| stray(alert))
}

#[async_trait]
impl Worker for Evaluate {
    fn name(&self) -> &'static str {
        "alerts"
    }

    fn status(&self) -> String {
        format!("{} alerts at the last look", self.open)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let me = AlertScope::Node(self.app.cluster.node_id());
        self.look(me).await?;
        if self.app.cluster.leads() {
            self.look(AlertScope::Cluster).await?;
        } else {
            self.holding.remove(&AlertScope::Cluster);
        }
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use cluster::command::Severity;

    use super::*;

    fn fact(kind: &str) -> AlertFact {
        let severity = Severity::Warning;
        AlertFact { kind: kind.into(), subject: "cluster".into(), severity, details: BTreeMap::new() }
    }

    fn known(fact: &AlertFact, seen_ms: u64) -> Alert {
        Alert {
            id: 1,
            scope: AlertScope::Cluster,
            fact: fact.clone(),
            first_seen_ms: seen_ms,
            last_seen_ms: seen_ms,
            since_ms: seen_ms,
            times: 1,
            resolved_ms: None,
            acknowledged: None,
            told: BTreeMap::new(),
        }
    }

    #[test]
    fn what_flickers_is_held_both_ways() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let after = Duration::from_secs(30);
        let silent = fact("node_silent");
        let mut holding = Holding::default();
        let none = BTreeMap::new();
        assert_eq!(holding.settle(vec![(silent.clone(), after)], &none, at(0)), []);
        assert_eq!(holding.settle(vec![], &none, at(20)), [], "it was gone for a moment");
        assert_eq!(holding.settle(vec![(silent.clone(), after)], &none, at(31)), []);
        let open = holding.settle(vec![(silent.clone(), after)], &none, at(61));
        let only = std::slice::from_ref(&silent);
        assert_eq!(open, only);

        let alert = known(&silent, 0);
        let there = BTreeMap::from([(key_of(&silent), &alert)]);
        assert_eq!(holding.settle(vec![], &there, at(65)), only, "away for a moment");
        assert_eq!(holding.settle(vec![(silent.clone(), after)], &there, at(70)), only);
        assert_eq!(holding.settle(vec![], &there, at(75)), only);
        assert_eq!(holding.settle(vec![], &there, at(88)), []);
    }

    #[test]
    fn state_is_told_of_what_changed_and_seldom_that_nothing_did() {
        let silent = fact("node_silent");
        let alert = known(&silent, 1_000);
        let there = BTreeMap::from([(key_of(&silent), &alert)]);
        let open = [silent.clone()];
        assert!(differs(&open, &BTreeMap::new(), 1_000));
        assert!(differs(&[], &there, 1_000));
        assert!(!differs(&open, &there, 1_000 + STILL_EVERY_MS - 1));
        assert!(differs(&open, &there, 1_000 + STILL_EVERY_MS));
        let worse = AlertFact { severity: Severity::Critical, ..silent.clone() };
        assert!(differs(&[worse], &there, 1_001));
        let other = AlertFact { details: BTreeMap::from([("node".into(), "n2".into())]), ..silent };
        assert!(!differs(std::slice::from_ref(&other), &there, 2_000));
        assert!(differs(&[other], &there, 1_000 + DETAILS_EVERY_MS));
    }
}
