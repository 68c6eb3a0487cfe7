//! Every condition that raises an alert. To add one, write a function and a line in [`ALL`]; a text of its own in
//! the console's languages is `alerts.kind.KIND` there, and without one the texts here are shown.

use std::time::Duration;

use cluster::authority::ends_at_ms;
use cluster::command::Severity;
use cluster::state::{JobState, Limits};
use cluster::store::Level;
use cluster::worker::Activity;

use super::facts::{Facts, Found};
use crate::self_check;

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Whoever leads, for all.
    Leader,
    /// Each node, for itself.
    EachNode,
}

/// Something that should not be.
#[derive(Debug, Clone, Copy)]
pub struct Condition {
    /// Its stable name.
    pub kind: &'static str,
    /// What is said of it.
    pub title: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// The page of the console where it is seen.
    pub link: &'static str,
    /// Who looks.
    pub watch: Watch,
    /// It must hold for so long before anybody is told.
    pub after: Duration,
    /// Finds out whether it holds, and for what.
    pub check: fn(&Facts<'_>, &mut Found<'_>),
}

/// Long enough for what passes by itself.
const AT_ONCE: Duration = Duration::from_secs(10);
const SHORTLY: Duration = Duration::from_secs(30);

/// All of them.
pub const ALL: &[Condition] = &[
    Condition {
        kind: "few_nodes",
        title: "Everything is kept on fewer than three nodes",
        advice: "Add nodes until there are three, at three sites; copies are then made by themselves.",
        link: "/cluster",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: few_nodes,
    },
    Condition {
        kind: "copies_missing",
        title: "Some assets have fewer copies than they should",
        advice: "Missing copies are made by themselves while enough nodes answer. See which node is silent.",
        link: "/cluster",
        watch: Watch::Leader,
        after: SHORTLY,
        check: copies_missing,
    },
    Condition {
        kind: "node_silent",
        title: "A node does not answer",
        advice: "Look at the machine and its network. If it is gone for good, remove it, and its copies are made elsewhere.",
        link: "/cluster",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: node_silent,
    },
    Condition {
        kind: "edge_silent",
        title: "An edge does not answer",
        advice: "Its viewers are served by the nodes meanwhile. Look at the machine and its network, or remove the edge.",
        link: "/cluster",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: edge_silent,
    },
    Condition {
        kind: "time_held",
        title: "Nothing expires until the time is confirmed",
        advice: "A clock has jumped. Set it right, then confirm the time.",
        link: "/system",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: time_held,
    },
    Condition {
        kind: "recovery_key_unconfirmed",
        title: "The recovery key is not confirmed",
        advice: "Without it, nothing can be read again once all nodes are lost. Make a new one, write it down and confirm it.",
        link: "/system",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: recovery_key_unconfirmed,
    },
    Condition {
        kind: "jobs_failed",
        title: "Some assets could not be processed",
        advice: "See the reason of each, and try again or remove the asset.",
        link: "/activity?state=failed",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: jobs_failed,
    },
    Condition {
        kind: "backup_old",
        title: "The newest backup is too old",
        advice: "See why the last run came to nothing, and back up now.",
        link: "/backups",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: backup_old,
    },
    Condition {
        kind: "backup_drill_failed",
        title: "A backup could not be opened again",
        advice: "See what the drill found, back up now, and try again. Until it is well, do not count on this place.",
        link: "/backups",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: backup_drill_failed,
    },
    Condition {
        kind: "disk_nearly_full",
        title: "A disk is nearly full",
        advice: "Free room: empty the trash, or add a node or a larger disk.",
        link: "/cluster",
        watch: Watch::EachNode,
        after: AT_ONCE,
        check: disk_nearly_full,
    },
    Condition {
        kind: "clock_apart",
        title: "A node's clock is wrong",
        advice: "Check the time service of the machine.",
        link: "/cluster",
        watch: Watch::EachNode,
        after: AT_ONCE,
        check: clock_apart,
    },
    Condition {
        kind: "certificate_ends",
        title: "A certificate ends soon",
        advice: "Install a new one, or go back to the node's own, which renews itself.",
        link: "/system",
        watch: Watch::EachNode,
        after: AT_ONCE,
        check: certificate_ends,
    },
    Condition {
        kind: "tls_weakened",
        title: "The node is less well protected than it should be",
        advice: "A browser that comes to this node finds what is listed; docs/operating.md says what each means. See what stands in front of the node, and which certificate is installed.",
        link: "/system",
        watch: Watch::EachNode,
        after: SHORTLY,
        check: tls_weakened,
    },
    Condition {
        kind: "authority_ends",
        title: "The cluster's certificate authority ends soon",
        advice: "Exchange it for another one in time: `mediakeep cluster rotate-ca`. When it has ended, nodes no longer reach one another.",
        link: "/cluster",
        watch: Watch::Leader,
        after: AT_ONCE,
        check: authority_ends,
    },
    Condition {
        kind: "damage_found",
        title: "Damaged copies were found",
        advice: "They are replaced from another node where there is one. If it happens again, replace the disk.",
        link: "/cluster",
        watch: Watch::EachNode,
        after: Duration::ZERO,
        check: damage_found,
    },
    Condition {
        kind: "work_failing",
        title: "Work in the background fails again and again",
        advice: "The node goes on trying. See its log for the whole story.",
        link: "/system",
        watch: Watch::EachNode,
        after: SHORTLY,
        check: work_failing,
    },
];

/// The condition of that name; none for one of another version.
#[must_use]
pub fn of(kind: &str) -> Option<&'static Condition> {
    ALL.iter().find(|condition| condition.kind == kind)
}

const NOTHING: [(&str, String); 0] = [];

fn few_nodes(facts: &Facts<'_>, found: &mut Found<'_>) {
    let nodes = facts.state.nodes().count();
    if nodes < 3 {
        found.add("cluster", Severity::Info, [("nodes", nodes)]);
    }
}

fn copies_missing(facts: &Facts<'_>, found: &mut Found<'_>) {
    let protection = &facts.status.protection;
    let [none, one, two, _] = protection.assets_by_copies;
    let wanted = protection.copies_wanted;
    let fewer: u64 = protection.assets_by_copies.iter().take(wanted).sum();
    if fewer == 0 {
        return;
    }
    let severity = if none > 0 || (one > 0 && wanted > 1) { Severity::Critical } else { Severity::Warning };
    found.add("cluster", severity, [("assets", fewer), ("none", none), ("one", one), ("two", two)]);
}

fn node_silent(facts: &Facts<'_>, found: &mut Found<'_>) {
    let me = facts.me();
    for node in facts.state.nodes().filter(|node| node.id != me) {
        if !facts.app.cluster.peers().is_alive(node.id) {
            found.add(format!("node:{}", node.id), Severity::Warning, facts.naming(node.id));
        }
    }
}

fn edge_silent(facts: &Facts<'_>, found: &mut Found<'_>) {
    for edge in facts.state.edges() {
        let contact = facts.app.media.edges.of(edge.id);
        if !contact.is_some_and(|contact| contact.is_alive()) {
            let details = [("edge", edge.name.clone()), ("site", edge.site.clone())];
            found.add(format!("edge:{}", edge.id), Severity::Warning, details);
        }
    }
}

fn time_held(facts: &Facts<'_>, found: &mut Found<'_>) {
    if facts.state.cluster_info().is_some_and(|cluster| cluster.time_held) {
        found.add("cluster", Severity::Warning, NOTHING);
    }
}

fn recovery_key_unconfirmed(facts: &Facts<'_>, found: &mut Found<'_>) {
    let confirmed = facts.state.cluster_info().is_none_or(|cluster| cluster.recovery_confirmed);
    if facts.state.is_claimed() && !confirmed {
        found.add("cluster", Severity::Warning, NOTHING);
    }
}

/// Assets whose last job failed, among the newest jobs.
fn jobs_failed(facts: &Facts<'_>, found: &mut Found<'_>) {
    let state = facts.state;
    let failed = state.ended_jobs().take(Limits::ENDED_JOBS).filter(|job| {
        let of_asset = state.asset(job.asset).filter(|asset| asset.is_live());
        matches!(job.state, JobState::Failed { .. })
            && of_asset.is_some_and(|asset| asset.job == Some(job.id))
    });
    let failed = failed.count();
    if failed > 0 {
        found.add("cluster", Severity::Warning, [("assets", failed)]);
    }
}

/// Where a backup is taken every few minutes, and at least every hour, it is late after so long.
const PACED_LATE_MS: u64 = 3 * HOUR_MS;

/// How bad it is that there has been no whole backup for so long; nothing while that is how it should be.
fn lateness(age_ms: u64) -> Option<Severity> {
    match age_ms / DAY_MS {
        0..2 => None,
        2..7 => Some(Severity::Warning),
        _ => Some(Severity::Critical),
    }
}

/// A place that is used daily, and has had no whole backup for too long.
fn backup_old(facts: &Facts<'_>, found: &mut Found<'_>) {
    for target in facts.state.backup_targets() {
        let Some(age_ms) = facts.state.backup_age_ms(target, facts.now_ms) else { continue };
        let pace = facts.state.backup_pace(target.id);
        let is_behind = pace.is_some() && age_ms >= PACED_LATE_MS;
        let Some(severity) = lateness(age_ms).or(is_behind.then_some(Severity::Warning)) else { continue };
        let age = match age_ms / DAY_MS {
            0 => ("age_hours", (age_ms / HOUR_MS).to_string()),
            days => ("age_days", days.to_string()),
        };
        let details = [("target", target.settings.name.clone()), age];
        found.add(format!("target:{}", target.id), severity, details);
    }
}

fn backup_drill_failed(facts: &Facts<'_>, found: &mut Found<'_>) {
    for target in facts.state.backup_targets() {
        if facts.state.newest_drill(target.id).is_some_and(|(_, well)| !well) {
            let details = [("target", target.settings.name.clone())];
            found.add(format!("target:{}", target.id), Severity::Critical, details);
        }
    }
}

fn disk_nearly_full(facts: &Facts<'_>, found: &mut Found<'_>) {
    let Ok(space) = facts.app.cluster.blobs().space() else { return };
    let severity = match space.level {
        Level::Fine => return,
        Level::NoNewUploads => Severity::Warning,
        Level::NoWrites => Severity::Critical,
    };
    let percent = space.free.saturating_mul(100) / space.total.max(1);
    let mut details = facts.naming(facts.me());
    details.push(("free_percent", percent.to_string()));
    found.add(facts.this_node(), severity, details);
}

/// A node whose clock is further from most voters' may not lead.
const CLOCKS_APART_MS: u64 = 5_000;

fn clock_apart(facts: &Facts<'_>, found: &mut Found<'_>) {
    // Its own clock has leapt, or it goes apart from most of the others.
    let jumped = facts.status.clock_jump.map(|jump| jump.ahead_ms);
    let far = facts.status.clock_ahead_ms.filter(|ahead_ms| ahead_ms.unsigned_abs() > CLOCKS_APART_MS);
    let Some(ahead_ms) = jumped.or(far) else { return };
    let mut details = facts.naming(facts.me());
    details.push(("ahead_seconds", (ahead_ms / 1000).to_string()));
    found.add(facts.this_node(), Severity::Warning, details);
}

const DAY_MS: u64 = Limits::DAY_MS;
const HOUR_MS: u64 = DAY_MS / 24;

fn certificate_ends(facts: &Facts<'_>, found: &mut Found<'_>) {
    let Ok(certificate) = facts.app.tls.facts() else { return };
    let left_ms = certificate.not_after_ms.saturating_sub(facts.now_ms);
    let life_ms = certificate.not_after_ms.saturating_sub(certificate.not_before_ms);
    // A short-lived one is renewed late in its life, by whoever made it.
    if left_ms >= (21 * DAY_MS).min(life_ms / 5) {
        return;
    }
    let severity = if left_ms < 3 * DAY_MS { Severity::Critical } else { Severity::Warning };
    let mut details = facts.naming(facts.me());
    details.push(("days", (left_ms / DAY_MS).to_string()));
    found.add(facts.this_node(), severity, details);
}

fn tls_weakened(facts: &Facts<'_>, found: &mut Found<'_>) {
    let findings = facts.app.self_check.findings();
    let Some(severity) = findings.iter().map(|finding| finding.severity()).max() else { return };
    let mut details = facts.naming(facts.me());
    details.push(("findings", self_check::listed(&findings)));
    found.add(facts.this_node(), severity, details);
}

/// How bad it is that the authority lasts so much longer only: it is exchanged by hand, and given to whoever trusts it.
fn nearness_of_end(left_ms: u64) -> Option<Severity> {
    match left_ms / DAY_MS {
        0..30 => Some(Severity::Critical),
        30..180 => Some(Severity::Warning),
        _ => None,
    }
}

fn authority_ends(facts: &Facts<'_>, found: &mut Found<'_>) {
    let ends_at_ms = facts.state.authority().and_then(|authority| ends_at_ms(&authority.certificate));
    let Some(left_ms) = ends_at_ms.map(|ends_at_ms| ends_at_ms.saturating_sub(facts.now_ms)) else { return };
    if let Some(severity) = nearness_of_end(left_ms) {
        found.add("cluster", severity, [("days", left_ms / DAY_MS)]);
    }
}

fn damage_found(facts: &Facts<'_>, found: &mut Found<'_>) {
    let damage = facts.app.cluster.bytes().repairs().damage();
    if !damage.is_recent {
        return;
    }
    let severity = if damage.beyond_repair > 0 { Severity::Critical } else { Severity::Warning };
    let mut details = facts.naming(facts.me());
    details.push(("copies", damage.found.to_string()));
    details.push(("beyond_repair", damage.beyond_repair.to_string()));
    found.add(facts.this_node(), severity, details);
}

fn work_failing(facts: &Facts<'_>, found: &mut Found<'_>) {
    let reports = facts.app.cluster.workers().into_iter().chain(facts.app.alerts.reports());
    let failing = reports.filter(|report| matches!(report.activity, Activity::BackingOff { .. }));
    for report in failing {
        let mut details = facts.naming(facts.me());
        details.push(("work", report.name.to_owned()));
        found.add(format!("{}:{}", facts.this_node(), report.name), Severity::Warning, details);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_spoken_of_half_a_year_before_its_end_and_louder_in_the_last_month() {
        assert_eq!(nearness_of_end(180 * DAY_MS), None);
        assert_eq!(nearness_of_end(180 * DAY_MS - 1), Some(Severity::Warning));
        assert_eq!(nearness_of_end(30 * DAY_MS - 1), Some(Severity::Critical));
        assert_eq!(nearness_of_end(0), Some(Severity::Critical));
    }

    #[test]
    fn a_backup_is_late_after_two_days_and_badly_after_seven() {
        assert_eq!(lateness(0), None);
        assert_eq!(lateness(2 * DAY_MS - 1), None);
        assert_eq!(lateness(2 * DAY_MS), Some(Severity::Warning));
        assert_eq!(lateness(7 * DAY_MS - 1), Some(Severity::Warning));
        assert_eq!(lateness(7 * DAY_MS), Some(Severity::Critical));
    }
}
