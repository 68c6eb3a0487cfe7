//! Numbers for Prometheus at `/metrics`. Labels come from fixed sets, so their number cannot grow with the input.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
}

type OfTargets = Family<TargetLabels, Gauge<i64, AtomicI64>>;

/// How a place for backups does. Times are seconds since 1970, 0 for never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFigures {
    /// Its id.
    pub target: String,
    /// When the newest whole backup was taken.
    pub last_whole_seconds: i64,
    /// When the newest drill ended.
    pub last_drill_seconds: i64,
    /// Whether everything was well in it.
    pub last_drill_ok: bool,
}

/// The node's counters; other modules add their own through [`Metrics::register`].
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter<u64, AtomicU64>>,
    seconds: Histogram,
    last_whole: OfTargets,
    last_drill: OfTargets,
    drill_ok: OfTargets,
    /// Open connections.
    pub connections: Gauge<i64, AtomicI64>,
    /// Requests refused because one address asked too much.
    pub throttled: Counter<u64, AtomicU64>,
    /// Refused log-ins.
    pub refused_logins: Counter<u64, AtomicU64>,
    /// What is weaker than it should be, as the node last saw itself from outside.
    pub self_check_findings: Gauge<i64, AtomicI64>,
    /// When that was: seconds since 1970, 0 for never.
    pub self_check_last: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mediakeep");
        let requests = Family::default();
        let seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let (connections, throttled, refused_logins) =
            (Gauge::default(), Counter::default(), Counter::default());
        let (last_whole, last_drill, drill_ok) =
            (OfTargets::default(), OfTargets::default(), OfTargets::default());
        let figures = [
            ("backup_last_whole_seconds", "When the newest whole backup was taken", &last_whole),
            ("backup_last_drill_seconds", "When the newest backup drill ended", &last_drill),
            ("backup_last_drill_ok", "Whether all was well in the newest backup drill", &drill_ok),
        ];
        for (name, help, family) in figures {
            registry.register(name, help, family.clone());
        }
        registry.register("http_requests", "Answered requests", requests.clone());
        registry.register("http_request_seconds", "Time to the head of the answer", seconds.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("throttled", "Requests refused by a rate limit", throttled.clone());
        registry.register("refused_logins", "Log-ins refused", refused_logins.clone());
        let (self_check_findings, self_check_last) = (Gauge::default(), Gauge::default());
        let figures = [
            (
                "self_check_findings",
                "What is weak when the node looks at itself from outside",
                &self_check_findings,
            ),
            ("self_check_last_seconds", "When the node last looked at itself from outside", &self_check_last),
        ];
        for (name, help, gauge) in figures {
            registry.register(name, help, gauge.clone());
        }
        Self {
            registry: Mutex::new(registry),
            requests,
            seconds,
            last_whole,
            last_drill,
            drill_ok,
            connections,
            throttled,
            refused_logins,
            self_check_findings,
            self_check_last,
        }
    }
}

impl Metrics {
    /// Counts one answer. `route` is the pattern, never the path; methods outside HTTP's own count as `OTHER`.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = if known.contains(&method) { method } else { "OTHER" };
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// How the places for backups do now. Their number is bounded by State.
    pub fn backups(&self, figures: &[BackupFigures]) {
        for family in [&self.last_whole, &self.last_drill, &self.drill_ok] {
            family.clear();
        }
        for one in figures {
            let labels = TargetLabels { target: one.target.clone() };
            self.last_whole.get_or_create(&labels).set(one.last_whole_seconds);
            self.last_drill.get_or_create(&labels).set(one.last_drill_seconds);
            self.drill_ok.get_or_create(&labels).set(i64::from(one.last_drill_ok));
        }
    }

    /// Lets another module add its metrics.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        if let Ok(mut registry) = self.registry.lock() {
            add(&mut registry);
        }
    }

    /// The exposition text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Ok(registry) = self.registry.lock() {
            let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        }
        text
    }
}
