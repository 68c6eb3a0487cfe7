//! Starting an edge, and serving until it is asked to stop or is removed.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use anyhow::Context;
use cluster::authority::{CertificateKey, renew_at_ms};
use cluster::seal::{KeyFileSeal, PassphraseSeal, Seal};
use cluster::{ClusterConfig, EdgeConfig, EdgeNode, JoinToken};
use prometheus_client::metrics::gauge::Gauge;
use zeroize::Zeroizing;

use super::ask::{Introduction, Question, Reply};
use super::cache::Cache;
use super::tls::Served;
use super::{AskError, Edge, follow, serve, warm};
use crate::config::Config;
use crate::limits::{self, Limiter};
use crate::run::{CLUSTER_THREADS, KEEP_ALIVE, ground, public_address, runtime};
use crate::{answer, clean_stack, shutdown};

/// Certificates, and the authorities they may be by, are looked at this often.
const LOOK_AT_CERTIFICATES: Duration = Duration::from_secs(2);
/// A node that fails is not asked again for so long.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Seconds that running answers have to end in when the edge stops.
const DRAIN_SECONDS: u64 = 3;

/// What only the command line says.
#[derive(Debug, Clone, Default)]
pub struct EdgeOptions {
    /// Unlocks the edge's key, when it is sealed by a passphrase rather than a key file.
    pub passphrase: Option<Zeroizing<String>>,
    /// A token to join by; the folder must be empty then.
    pub join: Option<Zeroizing<String>>,
    /// Stop when standard input ends.
    pub watch_input: bool,
    /// Write one JSON line to standard output when ready.
    pub announce: bool,
}

/// Runs an edge until it is asked to stop.
pub fn run(config: Config, options: &EdgeOptions) -> anyhow::Result<()> {
    let (listener, address) = ground(&config)?;
    let runtime = runtime("cluster", CLUSTER_THREADS)?;
    let edge = runtime.block_on(open(&config, options, address))?;
    let served = Arc::new(Served::default());
    let (stopped, why) = tokio::sync::oneshot::channel();
    let (following, serving) = (edge.clone(), served.clone());
    let (ready, introduced) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        let (reporting, warming, certifying) = (following.clone(), following.clone(), following.clone());
        let reason = tokio::select! {
            reason = follow::follow(following) => reason,
            () = follow::report(reporting) => String::new(),
            () = warm::keep_warm(warming) => String::new(),
            reason = certify(certifying, serving, ready) => reason,
        };
        // Nobody waits for it once the edge stops by itself.
        drop(stopped.send(reason));
    });
    let ended = actix_web::rt::System::new().block_on(serve_viewers(
        edge.clone(),
        served,
        listener,
        options,
        (introduced, why),
    ));
    connections_ended();
    // The keys are wiped; what a key went through was when it was freed.
    edge.forget(false);
    edge.node.stop();
    runtime.shutdown_timeout(Duration::from_secs(DRAIN_SECONDS));
    clean_stack::wipe();
    ended
}

/// Waits for the server's threads: each ends its connections, whose buffers may be what a key went out by last.
fn connections_ended() {
    let serves = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.starts_with("actix-")
    };
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(DRAIN_SECONDS) {
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return };
        if !tasks.flatten().any(serves) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    tracing::warn!("some connections did not end in time");
}

async fn open(config: &Config, options: &EdgeOptions, address: SocketAddr) -> anyhow::Result<Arc<Edge>> {
    let seal: Box<dyn Seal> = match &options.passphrase {
        Some(passphrase) => {
            Box::new(PassphraseSeal::new(config.dir.join("node-key.sealed"), passphrase.clone())?)
        }
        None => Box::new(KeyFileSeal::new(config.key_file(), &config.dir)?),
    };
    anyhow::ensure!(
        !ClusterConfig::is_initialised(&config.dir),
        "there is a node of a cluster in {}, and no edge; start it with `mediakeep run`",
        config.dir.display()
    );
    let settings = EdgeConfig {
        dir: config.dir.clone(),
        name: config.name.clone(),
        site: config.site.clone(),
        public_address: public_address(config, address),
    };
    if let Some(text) = &options.join {
        let token = JoinToken::parse_edge(text)?;
        tracing::info!(token = token.fingerprint(), "an edge joins a cluster");
        EdgeNode::join(&settings, &*seal, &token).await.context("this edge could not join")?;
    }
    let node = EdgeNode::open(settings, &*seal)?;
    let (dir, key) = (config.dir.clone(), node.storage_key().clone());
    let (most, shelf) = (config.edge.cache_bytes(), config.limits.hot_cache_bytes());
    let cache = tokio::task::spawn_blocking(move || Cache::open(&dir, &key, most, shelf)).await??;
    Ok(Arc::new(Edge::new(node, config.clone(), cache)?))
}

type Signals = (tokio::sync::oneshot::Receiver<()>, tokio::sync::oneshot::Receiver<String>);

async fn serve_viewers(
    edge: Arc<Edge>,
    served: Arc<Served>,
    listener: TcpListener,
    options: &EdgeOptions,
    (introduced, mut why): Signals,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let asked = shutdown::asked(options.watch_input);
    tokio::pin!(asked);
    // Without a certificate there is nothing to serve by: it comes with the first node that answers.
    tokio::select! {
        known = introduced => known.context("this edge stopped before it was known")?,
        asked = &mut asked => return Ok(asked?),
        reason = &mut why => anyhow::bail!("this edge had to stop: {}", reason.unwrap_or_default()),
    }
    let server = https(edge.clone(), &served, listener)?;
    let handle = server.handle();
    announce(&edge, address, options.announce);
    let server = actix_web::rt::spawn(server);
    let outcome = tokio::select! {
        asked = &mut asked => {
            tracing::info!("stopping");
            asked.map_err(Into::into)
        }
        reason = &mut why => {
            let reason = reason.unwrap_or_default();
            tracing::error!(reason, "this edge is cut off for good: all it holds is removed");
            edge.forget(true);
            Err(anyhow::anyhow!("this edge had to stop: {reason}"))
        }
    };
    handle.stop(true).await;
    server.await?.context("the web server failed")?;
    outcome
}

fn https(
    edge: Arc<Edge>,
    served: &Arc<Served>,
    listener: TcpListener,
) -> anyhow::Result<actix_web::dev::Server> {
    let settings = edge.config.limits.clone();
    let limiter = Limiter::new(settings.clone(), Gauge::default());
    let edge = web::Data::from(edge);
    let server = HttpServer::new(move || {
        clean_stack::wipe_at_end();
        actix_web::App::new().app_data(edge.clone()).wrap(from_fn(answer::around)).configure(serve::configure)
    });
    let workers =
        if settings.workers == 0 { std::thread::available_parallelism()?.get() } else { settings.workers };
    let server = server
        .workers(workers)
        .max_connections(settings.connections)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .client_request_timeout(Duration::from_secs(settings.header_seconds))
        .client_disconnect_timeout(Duration::from_secs(5))
        .tls_handshake_timeout(Duration::from_secs(settings.header_seconds))
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .on_connect(move |connection, extensions| limits::on_connect(&limiter, connection, extensions));
    Ok(server.listen_rustls_0_23(listener, served.server_config()?)?.run())
}

/// Tells the operator where the edge is.
fn announce(edge: &Edge, address: SocketAddr, json_line: bool) {
    use std::io::Write;
    let url = Config::local_url(address.port());
    tracing::info!(%url, id = %edge.node.id(), "this edge is ready");
    let line = if json_line {
        serde_json::json!({ "url": url, "edge": edge.node.id().to_string() }).to_string()
    } else {
        format!("Address:      {url}")
    };
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::warn!(%error, "standard output is closed");
    }
}

/// Keeps both certificates good until the edge must stop; gives why. The first one for browsers makes the edge ready.
async fn certify(edge: Arc<Edge>, served: Arc<Served>, ready: tokio::sync::oneshot::Sender<()>) -> String {
    let mut ready = Some(ready);
    let mut shown: Option<Shown> = None;
    let mut said = String::new();
    loop {
        if let Err(error) = follow_authorities(&edge, shown.as_ref()).await {
            tracing::debug!(%error, "by whom certificates may be could not be heard");
        }
        let node_due = edge.node.renewal().ok().flatten();
        if node_due.is_some() || shown.as_ref().is_none_or(|shown| shown.is_due(&edge)) {
            match introduce(&edge, &served, node_due.as_ref()).await {
                Ok(certificate) => {
                    shown = Some(certificate);
                    said.clear();
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    // It is tried again until it works: said once for each reason.
                    if error != said {
                        tracing::warn!(error, "no certificate could be had yet from the cluster's nodes");
                        said = error;
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                    continue;
                }
            }
            if ready.take().is_some_and(|ready| ready.send(()).is_err()) {
                return "nobody waits for it any more".to_owned();
            }
            // The cluster may wait for just this.
            continue;
        }
        tokio::time::sleep(LOOK_AT_CERTIFICATES).await;
    }
}

/// The certificate that browsers are shown.
struct Shown {
    certificate: Vec<u8>,
    due_ms: u64,
}

impl Shown {
    fn is_due(&self, edge: &Edge) -> bool {
        edge.node.now_ms() >= self.due_ms || !edge.node.is_by_authority_in_force(&self.certificate)
    }
}

/// Asks by whom certificates may be now, and says by whom this edge's own are.
async fn follow_authorities(edge: &Edge, shown: Option<&Shown>) -> Result<(), AskError> {
    let is_settled = shown.is_some_and(|shown| edge.node.is_by_authority_in_force(&shown.certificate));
    let question = Question::Authorities { shown: is_settled.then(|| edge.node.issuer()) };
    let mut last = AskError::NoNode;
    for node in edge.node.nodes() {
        match edge.ask_node(node, &question).await {
            Ok((Reply::Authorities(trusted), _)) => {
                return edge
                    .node
                    .follow_authorities(trusted)
                    .map_err(|error| AskError::Failed(error.to_string()));
            }
            Ok(_) => last = AskError::Nonsense("to a question by whom certificates may be".to_owned()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Says that this edge is here and has new certificates made. Gives the one that browsers are shown from now on.
async fn introduce(edge: &Edge, served: &Served, node_key: Option<&CertificateKey>) -> anyhow::Result<Shown> {
    let key = CertificateKey::generate()?;
    let question = Question::Introduce(Introduction {
        incarnation: edge.node.incarnation(),
        public_address: edge.node.config().public_address.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_request: key.request.clone(),
        node_request: node_key.map(|key| key.request.clone()),
    });
    let mut last = AskError::NoNode;
    for node in edge.node.nodes() {
        let (certificate, own) = match edge.ask_node(node, &question).await {
            Ok((Reply::Introduced { public_certificate, node_certificate }, _)) => {
                (public_certificate, node_certificate)
            }
            Ok(_) => continue,
            Err(error) => {
                last = error;
                continue;
            }
        };
        // A node that is behind knows another authority yet.
        if !edge.node.is_by_authority_in_force(&certificate) {
            last = AskError::Failed("it certifies by another authority".to_owned());
            continue;
        }
        let due_ms = renew_at_ms(&certificate).context("a certificate that is none")?;
        if let Some(key) = node_key {
            edge.node.renewed(key, own.context("no certificate for nodes")?)?;
        }
        served.show(edge.node.public_chain(certificate.clone()), &key)?;
        return Ok(Shown { certificate, due_ms });
    }
    Err(last.into())
}
