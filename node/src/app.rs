//! What every handler shares.

use std::sync::Arc;
use std::time::Instant;

use actix_web::web;
use cluster::Cluster;

use crate::alerts::Alerts;
use crate::auth::claim::ClaimCode;
use crate::auth::hashing::Passphrases;
use crate::auth::throttle::Throttle;
use crate::config::Config;
use crate::limits::Limiter;
use crate::live::Live;
use crate::media::Media;
use crate::metrics::Metrics;
use crate::self_check::Newest;
use crate::shutdown::Shutdown;
use crate::tls::Tls;

/// The running node, as handlers see it: `web::Data<App>`.
#[derive(Debug)]
pub struct App {
    /// State, proposals, Blobs, keys and audit.
    pub cluster: Cluster,
    /// What the operator set.
    pub config: Arc<Config>,
    /// Certificates.
    pub tls: Tls,
    /// Argon2id with the cluster's pepper, on a bounded pool.
    pub passphrases: Passphrases,
    /// Failed log-ins, claims and tokens.
    pub throttle: Throttle,
    /// The claim code of an unclaimed node.
    pub claim: ClaimCode,
    /// Requests and connections of each network.
    pub limiter: Arc<Limiter>,
    /// Counters for `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Uploads, jobs, playback and downloads.
    pub media: web::Data<Media>,
    /// Progress of what this node works on.
    pub live: Arc<Live>,
    /// What looks for alerts and tells them.
    pub alerts: Alerts,
    /// What the node found when it last looked at itself from outside.
    pub self_check: Newest,
    /// When the process began to serve.
    pub started: Instant,
    /// Stopping in order.
    pub shutdown: Shutdown,
}
