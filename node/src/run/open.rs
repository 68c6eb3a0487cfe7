//! Opening this node's part of the cluster: as it was, joined by a token, or founded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster::seal::{KeyFileSeal, PassphraseSeal, Seal, SealError};
use cluster::{Cluster, ClusterConfig, EdgeConfig, JoinToken, OpenError, TlsTransport, Transport};
use tokio::runtime::Handle;

use super::RunOptions;
use crate::backup::Targets;
use crate::config::Config;
use crate::tls;

/// Opens it. `address` is where people reach this node; bytes go to and from other nodes on `bulk`.
pub(super) async fn open(
    config: &Config,
    options: &RunOptions,
    address: SocketAddr,
    bulk: &Handle,
) -> anyhow::Result<Cluster> {
    let seal: Arc<dyn Seal> = match &options.passphrase {
        Some(passphrase) => {
            Arc::new(PassphraseSeal::new(config.dir.join("node-key.sealed"), passphrase.clone())?)
        }
        None => Arc::new(KeyFileSeal::new(config.key_file(), &config.dir)?),
    };
    let mut settings = ClusterConfig::new(&config.dir, &config.name, &config.site);
    settings.certificate_life = Duration::from_secs(u64::from(config.cluster_certificate_minutes) * 60);
    settings.voter_silent_for = Duration::from_secs(u64::from(config.cluster_voter_silent_seconds));
    settings.distance = config.cluster_distance;
    settings.bulk = Some(bulk.clone());
    settings.targets = Arc::new(Targets::new(config));
    anyhow::ensure!(
        !EdgeConfig::is_edge(&config.dir),
        "there is an edge in {}; start it with `mediakeep edge run`",
        config.dir.display()
    );
    let there = ClusterConfig::is_initialised(&config.dir);
    if let Some(listen) = config.cluster_listen {
        settings.transport = Transport::Tls(TlsTransport {
            listen,
            advertise: config.cluster_advertise.clone(),
            public_address: public_address(config, address),
            authority: if there {
                tls::authority_before(&config.dir, &*seal).map_err(advised)?
            } else {
                None
            },
        });
    }
    anyhow::ensure!(
        !(there && options.must_be_new),
        "there is a node in {} already; start it with `mediakeep run`",
        config.dir.display()
    );
    if there {
        match Cluster::open(settings.clone(), seal.clone()).await {
            // A first start that was cut off before the cluster's first Entry is completed.
            Err(OpenError::Absent(_)) => {}
            Err(OpenError::Seal(error)) => return Err(advised(error.into())),
            other => return Ok(other?),
        }
    }
    if let Some(text) = &options.join {
        let token = JoinToken::parse(text)?;
        tracing::info!(token = token.fingerprint(), "joining a cluster");
        return Cluster::join(settings, seal, &token).await.context("this node could not join");
    }
    // The recovery key is made when the node is claimed, for somebody who can write it down.
    let (cluster, _secrets) = Cluster::create(settings, seal).await?;
    Ok(cluster)
}

/// Adds what to do when the key of a node that was there before cannot be had.
fn advised(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<SealError>() {
        Some(SealError::Absent(_) | SealError::Damaged { .. }) => error.context(
            "this node's key cannot be had; put it back from a copy, or have `mediakeep recover` make it again by the recovery \
             key (a damaged one is moved away first). Nothing was changed",
        ),
        _ => error,
    }
}

/// What people type to reach this node: its first configured name, or the address it listens on.
pub(crate) fn public_address(config: &Config, address: SocketAddr) -> String {
    let host = match config.hostnames.first() {
        Some(name) => name.clone(),
        None if address.ip().is_unspecified() => {
            rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase()
        }
        None => return address.to_string(),
    };
    if host.contains(':') {
        format!("[{host}]:{}", address.port())
    } else {
        format!("{host}:{}", address.port())
    }
}
