//! Stories of alerts: the same thing is one alert, what is not seen is over, and everybody is told once.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::actor::Actor;
use cluster::command::{
    AlertChange, AlertChannels, AlertCommand, AlertFact, AlertScope, ChannelKind, ChannelSecret, Severity,
    WebhookChannel,
};
use cluster::outcome::Outcome;
use cluster::refusal::{Needs, Noun, Problem, Refusal};
use cluster::state::Alert;

use crate::world::*;

const MINUTE: u64 = 60 * 1000;

fn fact(kind: &str, severity: Severity) -> AlertFact {
    AlertFact { kind: kind.into(), subject: "cluster".into(), severity, details: BTreeMap::new() }
}

fn observe(scope: AlertScope, open: &[AlertFact]) -> AlertCommand {
    AlertCommand::Observe { scope, open: open.to_vec() }
}

fn warn(world: &mut World, kinds: &[&str]) {
    let open: Vec<AlertFact> = kinds.iter().map(|kind| fact(kind, Severity::Warning)).collect();
    world.ok(&node(), observe(AlertScope::Cluster, &open));
}

fn alert(world: &World, kind: &str) -> Arc<Alert> {
    world.state.alert_about(kind, "cluster").expect("the alert").clone()
}

fn webhook() -> AlertCommand {
    let webhook = WebhookChannel {
        url: "https://hooks.example/".into(),
        secret: ChannelSecret("whsec_AA".into()),
        authority: None,
    };
    let channels = AlertChannels { webhook: Some(webhook), ..AlertChannels::default() };
    AlertCommand::SetChannels { channels: Box::new(channels) }
}

/// What is to be told by the webhook.
fn to_tell(world: &World) -> Vec<(u64, AlertChange, bool)> {
    let all = world.state.alerts_to_tell(ChannelKind::Webhook, world.now_ms);
    all.into_iter().map(|one| (one.alert.id, one.change, one.too_late)).collect()
}

/// Tells all there is to tell, and gives how much it was.
fn tell(world: &mut World) -> usize {
    let all = to_tell(world);
    for (alert, change, _) in &all {
        let (alert, change) = (*alert, *change);
        let channel = ChannelKind::Webhook;
        world.ok(&node(), AlertCommand::NoteDelivery { alert, channel, change, delivered: true });
    }
    all.len()
}

#[test]
fn the_same_thing_is_one_alert_and_what_is_not_seen_is_over() {
    let mut world = World::claimed();
    let begin = world.now_ms;
    warn(&mut world, &["time_held", "jobs_failed"]);
    world.later(MINUTE);
    warn(&mut world, &["time_held"]);
    assert_eq!(world.state.alerts().count(), 2);
    let held = alert(&world, "time_held");
    assert_eq!((held.first_seen_ms, held.last_seen_ms), (begin, begin + MINUTE));
    assert!(held.is_unseen());
    assert_eq!(alert(&world, "jobs_failed").resolved_ms, Some(begin + MINUTE));

    // Each node looks for itself: what one sees says nothing of what the leader sees.
    world.ok(&node(), observe(AlertScope::Node(NODE), &[fact("disk_nearly_full", Severity::Critical)]));
    assert!(alert(&world, "time_held").is_open());
    warn(&mut world, &[]);
    assert!(!alert(&world, "time_held").is_open());
    assert!(alert(&world, "disk_nearly_full").is_open());
}

#[test]
fn somebody_takes_care_of_an_alert_until_it_gets_worse() {
    let mut world = World::claimed();
    warn(&mut world, &["time_held"]);
    let id = alert(&world, "time_held").id;
    let by_node = world.refused(&node(), AlertCommand::Acknowledge { alert: id });
    assert_eq!(by_node, Refusal::Forbidden { needs: Needs::ClusterAdmin });
    world.ok(&owner(), AlertCommand::Acknowledge { alert: id });
    let record = world.records.last().unwrap();
    assert_eq!((record.action.as_str(), record.target.as_str()), ("alert.acknowledge", "alert:1"));
    assert_eq!(record.details["kind"], "time_held");
    let seen = alert(&world, "time_held");
    assert_eq!(seen.acknowledged, Some((owner().kind, world.now_ms)));
    world.later(MINUTE);
    world.ok(&owner(), AlertCommand::Acknowledge { alert: id });
    assert_eq!(alert(&world, "time_held").acknowledged, seen.acknowledged, "once is enough");

    world.ok(&node(), observe(AlertScope::Cluster, &[fact("time_held", Severity::Critical)]));
    assert!(alert(&world, "time_held").is_unseen());
    let nobody = world.refused(&owner(), AlertCommand::Acknowledge { alert: 99 });
    assert_eq!(nobody, Refusal::NotFound(Noun::Alert));
}

#[test]
fn everything_is_told_once_and_its_end_only_to_whoever_heard_of_it() {
    let mut world = World::claimed();
    warn(&mut world, &["time_held"]);
    assert_eq!(to_tell(&world), [], "nobody is to be told");
    world.ok(&owner(), webhook());
    assert_eq!(to_tell(&world), [(1, AlertChange::Raised, false)]);
    assert_eq!(tell(&mut world), 1);
    world.later(MINUTE);
    warn(&mut world, &["time_held"]);
    assert_eq!(to_tell(&world), [], "told already");
    warn(&mut world, &[]);
    assert_eq!(to_tell(&world), [(1, AlertChange::Resolved, false)]);
    assert_eq!(tell(&mut world), 1);
    assert_eq!(to_tell(&world), []);

    // What was over before anybody could be told is not worth a message; nor is what matters too little.
    world.later(HOUR);
    warn(&mut world, &["jobs_failed"]);
    warn(&mut world, &[]);
    world.ok(&node(), observe(AlertScope::Cluster, &[fact("few_nodes", Severity::Info)]));
    assert_eq!(to_tell(&world), []);
}

#[test]
fn what_keeps_coming_back_is_told_three_times_and_again_once_it_stays() {
    let mut world = World::claimed();
    world.ok(&owner(), webhook());
    let mut told = 0;
    for _ in 0..20 {
        warn(&mut world, &["node_silent"]);
        told += tell(&mut world);
        world.later(MINUTE);
        warn(&mut world, &[]);
        told += tell(&mut world);
        world.later(MINUTE);
    }
    assert_eq!(told, 6, "three times there and three times over");
    assert_eq!(alert(&world, "node_silent").times, 20);
    warn(&mut world, &["node_silent"]);
    assert_eq!(tell(&mut world), 0);
    world.later(11 * MINUTE);
    warn(&mut world, &["node_silent"]);
    assert_eq!(tell(&mut world), 1, "it has stayed");
}

#[test]
fn what_nobody_takes_is_given_up_after_hours_and_a_later_one_is_a_new_alert() {
    let mut world = World::claimed();
    world.ok(&owner(), webhook());
    warn(&mut world, &["time_held"]);
    world.later(6 * HOUR);
    assert_eq!(to_tell(&world), [(1, AlertChange::Raised, true)]);
    world.ok(
        &node(),
        AlertCommand::NoteDelivery {
            alert: 1,
            channel: ChannelKind::Webhook,
            change: AlertChange::Raised,
            delivered: false,
        },
    );
    assert_eq!(to_tell(&world), []);
    warn(&mut world, &[]);
    assert_eq!(to_tell(&world), [], "who did not hear of it need not hear that it is over");
    world.later(HOUR);
    warn(&mut world, &["time_held"]);
    assert_eq!(alert(&world, "time_held").id, 2);
    assert_eq!(to_tell(&world), [(2, AlertChange::Raised, false)]);
}

#[test]
fn what_a_removed_node_saw_is_over_and_old_alerts_are_forgotten() {
    let mut world = World::claimed();
    world.ok(&owner(), join_token(7));
    let Outcome::Node(second) = world.ok(&node(), admit(7, "second", "s2")) else { panic!("no id") };
    let full = [fact("disk_nearly_full", Severity::Warning)];
    world.ok(&Actor::system(second), observe(AlertScope::Node(second), &full));
    world.ok(&owner(), cluster::command::ClusterCommand::RemoveNode { node: second });
    assert_eq!(
        world.refused(&node(), observe(AlertScope::Node(second), &full)),
        Refusal::NotFound(Noun::Node)
    );
    warn(&mut world, &[]);
    assert!(!alert(&world, "disk_nearly_full").is_open());
    world.later(31 * DAY);
    warn(&mut world, &[]);
    assert_eq!(world.state.alerts().count(), 0);
}

#[test]
fn too_much_too_odd_and_unprotected_is_refused() {
    let mut world = World::claimed();
    let many: Vec<AlertFact> = (0..201).map(|n| fact(&format!("kind_{n}"), Severity::Info)).collect();
    let twice = [fact("time_held", Severity::Info), fact("time_held", Severity::Warning)];
    let refused =
        |world: &mut World, open: &[AlertFact]| world.refused(&node(), observe(AlertScope::Cluster, open));
    assert_eq!(refused(&mut world, &many), Refusal::invalid("open", Problem::TooMany(200)));
    assert_eq!(refused(&mut world, &twice), Refusal::invalid("open", Problem::Repeated));
    let odd = [fact("Time Held", Severity::Info)];
    assert_eq!(refused(&mut world, &odd), Refusal::invalid("kind", Problem::Malformed));
    let AlertCommand::SetChannels { mut channels } = webhook() else { unreachable!() };
    if let Some(webhook) = &mut channels.webhook {
        webhook.url = "http://hooks.example/".into();
    }
    let plain = world.refused(&owner(), AlertCommand::SetChannels { channels });
    assert_eq!(plain, Refusal::invalid("webhook.url", Problem::Malformed));
}
