//! The node looks at itself from outside, as a browser would, and says what is weaker than it should be.
//!
//! [`look()`] does it once; [`SelfCheck`] does it for the node that it runs in, now and then and whenever another certificate is
//! served. What it finds is an alert (`tls_weakened` in `alerts/conditions.rs`) and a figure in `/metrics`. The node's own
//! settings cannot be at fault alone: something may stand in front of it, and an update may change what is served.

mod finding;
mod hello;
mod look;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use cluster::worker::{WorkError, Worked, Worker};
use tokio::sync::watch;
use tokio::time::Instant;

pub use finding::{Finding, listed};
pub use look::{Face, look};

use crate::app::App;
use crate::run::public_address;

/// The node has much to do when it starts.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// While nothing is found.
const EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// What is found for the first time is looked at again before anybody is told: the machine may have been busy.
const CONFIRM_AFTER: Duration = Duration::from_secs(10);
/// While something is found, so that it is over soon after it was mended.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What was found the last time.
#[derive(Debug, Default)]
pub struct Newest(ArcSwap<BTreeSet<Finding>>);

impl Newest {
    /// All of it; nothing when all is well or nobody has looked yet.
    #[must_use]
    pub fn findings(&self) -> Arc<BTreeSet<Finding>> {
        self.0.load_full()
    }
}

/// Looks at this node. See the module.
#[derive(Debug)]
pub struct SelfCheck {
    app: web::Data<App>,
    /// Where it listens.
    address: SocketAddr,
    /// Where it redirects from plain HTTP.
    plain: Option<SocketAddr>,
    certificates: watch::Receiver<()>,
    due: Instant,
}

impl SelfCheck {
    /// For a node that listens on `address`, and for plain HTTP on `plain`.
    #[must_use]
    pub fn new(app: web::Data<App>, address: SocketAddr, plain: Option<SocketAddr>) -> Self {
        let certificates = app.tls.changes();
        let plain = plain.map(reachable);
        Self { app, address, plain, certificates, due: Instant::now() + FIRST_AFTER }
    }

    /// What is to be looked at; none while the name of the place cannot be looked up.
    async fn face(&self) -> Option<Face> {
        let (name, address) = match self.app.config.self_check_place() {
            Some((host, port)) => {
                let found = tokio::net::lookup_host((host.as_str(), port)).await.ok()?.next()?;
                (host, found)
            }
            None => (own_name(&public_address(&self.app.config, self.address)), reachable(self.address)),
        };
        let (chain, now_ms) = (self.app.tls.chain(), self.app.cluster.now_ms());
        Some(Face { address, name, chain, plain: self.plain, now_ms })
    }

    fn keep(&mut self, found: BTreeSet<Finding>) {
        let before = self.app.self_check.findings();
        if *before != found {
            let findings = listed(&found);
            if found.is_empty() {
                tracing::info!("seen from outside, this node is as well protected as it should be again");
            } else {
                tracing::warn!(
                    findings,
                    "seen from outside, this node is less well protected than it should be"
                );
            }
        }
        self.due = Instant::now()
            + match (before.is_empty(), found.is_empty()) {
                (_, true) => EVERY,
                (true, false) => CONFIRM_AFTER,
                (false, false) => AGAIN_AFTER,
            };
        let metrics = &self.app.metrics;
        metrics.self_check_findings.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
        metrics.self_check_last.set(i64::try_from(self.app.cluster.now_ms() / 1000).unwrap_or(i64::MAX));
        self.app.self_check.0.store(Arc::new(found));
    }
}

/// The name that is left of `name:port` or `[address]:port`.
fn own_name(address: &str) -> String {
    let name = address.rsplit_once(':').map_or(address, |(name, _)| name);
    name.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Where the node itself gets to what listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    address
}

#[async_trait]
impl Worker for SelfCheck {
    fn name(&self) -> &'static str {
        "self_check"
    }

    fn status(&self) -> String {
        format!("{} findings at the last look", self.app.self_check.findings().len())
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        if Instant::now() < self.due {
            return Ok(Worked::Idle);
        }
        self.certificates.borrow_and_update();
        let found = match self.face().await {
            Some(face) => look(&face).await,
            None => BTreeSet::from([Finding::NoAnswer]),
        };
        // What was seen may have been of the certificate before.
        if self.certificates.has_changed().unwrap_or(false) {
            return Ok(Worked::Busy);
        }
        self.keep(found);
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = tokio::time::sleep_until(self.due) => {}
            // The node has its certificates for as long as it runs this.
            Ok(()) = self.certificates.changed() => self.due = Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_looked_at_where_it_can_be_reached_and_by_the_name_that_people_type() {
        let reached = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reached("[::]:443"), "127.0.0.1:443");
        assert_eq!(reached("192.0.2.7:443"), "192.0.2.7:443");
        assert_eq!(own_name("media.example:443"), "media.example");
        assert_eq!(own_name("[2001:db8::1]:443"), "2001:db8::1");
    }
}
