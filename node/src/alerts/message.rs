//! What is told of an alert, in words for people and as fields for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use actix_web::cookie::time::OffsetDateTime;
use actix_web::cookie::time::format_description::well_known::Rfc3339;
use cluster::audit::SignedHead;
use cluster::command::{AlertChange, Severity};
use cluster::state::{Alert, State};
use serde::Serialize;

use super::conditions;

/// One message.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// The same for every try: whoever gets it twice may drop one.
    pub id: String,
    /// `raised`, `resolved` or `test`.
    pub change: &'static str,
    /// The alert's number; none for a test.
    pub alert: Option<u64>,
    /// What, such as `disk_nearly_full`.
    pub kind: String,
    /// With what, such as `node:3`.
    pub subject: String,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// For people.
    pub title: String,
    /// What to do.
    pub advice: String,
    /// A few facts.
    pub details: BTreeMap<String, String>,
    /// When it was seen first, ms since 1970.
    pub first_seen_ms: u64,
    /// When it was seen last.
    pub last_seen_ms: u64,
    /// When it was over.
    pub resolved_ms: Option<u64>,
    /// The cluster, to tell several apart.
    pub cluster: String,
    /// The page of the console where it is seen, without the host.
    pub link: String,
    /// When this was said, ms since 1970.
    pub sent_ms: u64,
}

/// A severity as written in the API.
#[must_use]
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// The cluster's id as people see it.
fn cluster_id(state: &State) -> String {
    state.cluster_info().map(|cluster| data_encoding::HEXLOWER.encode(&cluster.id)).unwrap_or_default()
}

impl Message {
    /// About `alert`.
    #[must_use]
    pub fn about(state: &State, alert: &Alert, change: AlertChange, now_ms: u64) -> Self {
        let condition = conditions::of(&alert.fact.kind);
        let title = condition.map_or_else(|| alert.fact.kind.replace('_', " "), |it| it.title.to_owned());
        let cluster = cluster_id(state);
        Self {
            id: format!("{cluster}-{}-{}-{}", alert.id, alert.times, change.name()),
            change: change.name(),
            alert: Some(alert.id),
            kind: alert.fact.kind.clone(),
            subject: alert.fact.subject.clone(),
            severity: severity_name(alert.fact.severity),
            title,
            advice: condition.map(|it| it.advice.to_owned()).unwrap_or_default(),
            details: alert.fact.details.clone(),
            first_seen_ms: alert.first_seen_ms,
            last_seen_ms: alert.last_seen_ms,
            resolved_ms: alert.resolved_ms,
            cluster,
            link: "/alerts".to_owned(),
            sent_ms: now_ms,
        }
    }

    /// How far the audit log goes, in the word of the node that leads.
    #[must_use]
    pub fn audit_head(state: &State, signed: &SignedHead, now_ms: u64) -> Self {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let record = signed.head.sequence;
        Self {
            id: format!("{}-audit-{record}", cluster_id(state)),
            change: "signed",
            kind: "audit_head".to_owned(),
            subject: format!("node:{}", signed.node),
            title: "The head of the audit log".to_owned(),
            advice: String::new(),
            details: BTreeMap::from([
                ("record".to_owned(), record.to_string()),
                ("hash".to_owned(), hex(&signed.head.hash)),
                ("signed_at_ms".to_owned(), signed.time_ms.to_string()),
                ("key".to_owned(), hex(&signed.key)),
                ("signature".to_owned(), hex(&signed.signature)),
            ]),
            link: "/audit".to_owned(),
            ..Self::test(state, now_ms)
        }
    }

    /// To see whether a channel works.
    #[must_use]
    pub fn test(state: &State, now_ms: u64) -> Self {
        let cluster = cluster_id(state);
        Self {
            id: format!("{cluster}-test-{now_ms}"),
            change: "test",
            alert: None,
            kind: "test".to_owned(),
            subject: "cluster".to_owned(),
            severity: "info",
            title: "This is a test".to_owned(),
            advice: "Nothing is wrong: somebody asked whether alerts arrive here. They do.".to_owned(),
            details: BTreeMap::new(),
            first_seen_ms: now_ms,
            last_seen_ms: now_ms,
            resolved_ms: None,
            cluster,
            link: "/alerts".to_owned(),
            sent_ms: now_ms,
        }
    }

    /// One line: a subject, or a line of a log.
    #[must_use]
    pub fn line(&self) -> String {
        let over = if self.change == "resolved" { "over: " } else { "" };
        let mut line = format!("[{}] {over}{}", self.severity, self.title);
        for (name, value) in &self.details {
            // Writing to a string cannot fail.
            let _ = write!(line, ", {} {value}", name.replace('_', " "));
        }
        line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }

    /// The body of a mail.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.line(), self.advice);
        let times = [
            ("First seen", Some(self.first_seen_ms)),
            ("Last seen", Some(self.last_seen_ms)),
            ("Over since", self.resolved_ms),
        ];
        text.push('\n');
        for (name, time_ms) in times {
            if let Some(time_ms) = time_ms {
                let _ = writeln!(text, "{name}: {}", rfc3339(time_ms));
            }
        }
        let _ = write!(text, "Cluster: {}\nConsole page: {}\n", self.cluster, self.link);
        text
    }
}

/// A time as people and syslog write it, in UTC; `-` for one that is none.
#[must_use]
pub fn rfc3339(time_ms: u64) -> String {
    let nanoseconds = i128::from(time_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
pub(super) fn sample() -> Message {
    Message {
        id: "c0ffee-7-1-raised".into(),
        change: "raised",
        alert: Some(7),
        kind: "disk_nearly_full".into(),
        subject: "node:3".into(),
        severity: "warning",
        title: "A disk is nearly full".into(),
        advice: "Free room.".into(),
        details: BTreeMap::from([("free_percent".into(), "14".into()), ("node".into(), "n]3\n".into())]),
        first_seen_ms: 1_800_000_000_000,
        last_seen_ms: 1_800_000_001_500,
        resolved_ms: None,
        cluster: "c0ffee".into(),
        link: "/alerts".into(),
        sent_ms: 1_800_000_002_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_times_are_in_utc() {
        let message = sample();
        assert_eq!(message.line(), "[warning] A disk is nearly full, free percent 14, node n]3 ");
        assert!(message.text().contains("First seen: 2027-01-15T08:00:00Z"), "{}", message.text());
    }
}
