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

/// The node's counters; other modules add their own through [`Metrics::register`].
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter<u64, AtomicU64>>,
    seconds: Histogram,
    /// Open connections.
    pub connections: Gauge<i64, AtomicI64>,
    /// Requests refused because one address asked too much.
    pub throttled: Counter<u64, AtomicU64>,
    /// Refused log-ins.
    pub refused_logins: Counter<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mediakeep");
        let requests = Family::default();
        let seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let (connections, throttled, refused_logins) =
            (Gauge::default(), Counter::default(), Counter::default());
        registry.register("http_requests", "Answered requests", requests.clone());
        registry.register("http_request_seconds", "Time to the head of the answer", seconds.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("throttled", "Requests refused by a rate limit", throttled.clone());
        registry.register("refused_logins", "Log-ins refused", refused_logins.clone());
        Self { registry: Mutex::new(registry), requests, seconds, connections, throttled, refused_logins }
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
