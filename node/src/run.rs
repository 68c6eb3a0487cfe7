//! Starting a node and serving until it is asked to stop.
//!
//! Agreement runs on a thread of its own: what goes from one of its tasks to another wakes nobody, and no byte of a video is
//! in its way. Bytes between nodes and workers have threads of their own, too, and the web server's are apart from both, so
//! that busy serving cannot keep the cluster from its work.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use anyhow::Context;
use cluster::Cluster;
use zeroize::Zeroizing;

use crate::alerts::Alerts;
use crate::api::body;
use crate::app::App;
use crate::auth::claim::ClaimCode;
use crate::auth::hashing::Passphrases;
use crate::auth::throttle::Throttle;
use crate::config::Config;
use crate::edge::Desk;
use crate::limits::Limiter;
use crate::live::Live;
use crate::media::Media;
use crate::metrics::Metrics;
use crate::routes::Routes;
use crate::self_check::{Newest, SelfCheck};
use crate::shutdown::{self, Shutdown};
use crate::tls::Tls;
use crate::{answer, api, clean_stack, console, limits};

/// Seconds of quiet after which a connection is closed.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Of 19, the most that a thread can stand back.
const SERVING_NICENESS: i32 = 5;
/// Bytes a client may send ahead in one HTTP/2 request, and on one connection: what a fast upload from afar has under way.
/// The connection takes more than one request, so that an upload the disk is behind with does not hold up the others.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 6 * 1024 * 1024;
/// The last answer's last bytes are with the connection when its request counts as answered: time to hand them on.
const LAST_BYTES: Duration = Duration::from_millis(100);
/// Threads that move bytes between nodes, and for workers.
pub(crate) const CLUSTER_THREADS: usize = 2;

mod authority;
mod open;

pub(crate) use open::public_address;

/// What only the command line says.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Unlocks the node's key, when it is sealed by a passphrase rather than a key file.
    pub passphrase: Option<Zeroizing<String>>,
    /// A token to join a cluster by, when there is no node in the folder yet.
    pub join: Option<Zeroizing<String>>,
    /// There must be no node in the folder yet.
    pub must_be_new: bool,
    /// Stop when standard input ends.
    pub watch_input: bool,
    /// Write one JSON line to standard output when ready.
    pub announce: bool,
}

/// Runs a node until it is asked to stop.
pub fn run(config: Config, options: RunOptions) -> anyhow::Result<()> {
    let (listener, address) = ground(&config)?;
    let (agreement, bulk) = (runtime("agreement", 1)?, runtime("cluster", CLUSTER_THREADS)?);
    let cluster = agreement.block_on(open::open(&config, &options, address, bulk.handle()))?;
    let served = actix_web::rt::System::new().block_on(serve(config, options, cluster.clone(), listener));
    // Whoever leads lets another go on before it stops. A cluster of one has nobody, and that is no failure.
    agreement.block_on(cluster.hand_over());
    agreement.block_on(cluster.shutdown());
    bulk.shutdown_timeout(Duration::from_secs(5));
    agreement.shutdown_timeout(Duration::from_secs(5));
    served
}

/// A runtime for what goes between nodes.
pub(crate) fn runtime(name: &str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .on_thread_start(clean_stack::wipe_at_end)
        .enable_all()
        .build()
}

/// Makes the folder and takes the port.
pub(crate) fn ground(config: &Config) -> anyhow::Result<(TcpListener, SocketAddr)> {
    std::fs::create_dir_all(&config.dir).with_context(|| format!("cannot make {}", config.dir.display()))?;
    let listener = bind(config.listen)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve(
    config: Config,
    options: RunOptions,
    cluster: Cluster,
    listener: TcpListener,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let app = web::Data::new(app(config, cluster)?);
    let server = https(app.clone(), listener)?;
    let handle = server.handle();
    let plain = app.config.redirect_listen.map(bind).transpose()?;
    let self_check =
        SelfCheck::new(app.clone(), address, plain.as_ref().map(TcpListener::local_addr).transpose()?);
    let redirect = plain.map(|listener| redirect(listener, address.port())).transpose()?;
    let redirecting = redirect.as_ref().map(actix_web::dev::Server::handle);
    if let Some(redirect) = redirect {
        actix_web::rt::spawn(redirect);
    }
    Alerts::start(&app, self_check);
    actix_web::rt::spawn(authority::follow(app.clone()));
    let stopping = actix_web::rt::spawn(stop_when_asked(app.clone(), options.watch_input, handle));
    announce(&app, address, options.announce);
    server.await.context("the web server failed")?;
    if let Some(redirecting) = redirecting {
        redirecting.stop(false).await;
    }
    app.media.stop();
    app.shutdown.begin();
    app.alerts.stop().await;
    stopping.abort();
    let drained =
        tokio::time::timeout(Duration::from_secs(app.config.limits.drain_seconds), app.shutdown.drained());
    if drained.await.is_err() {
        tracing::warn!("some work did not end in time");
    }
    app.cluster
        .stop_flag()
        .reason()
        .map_or(Ok(()), |reason| Err(anyhow::anyhow!("this node had to stop: {reason}")))
}

/// Puts the parts together.
fn app(config: Config, cluster: Cluster) -> anyhow::Result<App> {
    let cores = std::thread::available_parallelism()?.get();
    let tls = Tls::open(
        &config.dir,
        &config.certificate_names(),
        cluster.storage_key(),
        authority::of_cluster(&cluster)?,
    )?;
    let metrics = Arc::new(Metrics::default());
    let limiter = Limiter::new(config.limits.clone(), metrics.connections.clone());
    let claim = ClaimCode::open(&config.dir, cluster.state().is_claimed())?;
    let live = Arc::new(Live::default());
    let media = Media::start(cluster.clone(), live.clone(), config.limits.hot_cache_bytes())?;
    Desk::open(media.clone());
    let keeper = cluster.clone();
    let passphrases = Passphrases::new(cores, move || keeper.pepper())?;
    Ok(App {
        media: web::Data::new(media),
        cluster,
        config: Arc::new(config),
        tls,
        passphrases,
        throttle: Throttle::default(),
        claim,
        limiter,
        metrics,
        live,
        alerts: Alerts::default(),
        self_check: Newest::default(),
        started: Instant::now(),
        shutdown: Shutdown::default(),
    })
}

/// Stops accepting, lets running requests end, and gives up on the rest after the drain time. The web server itself would wait
/// for connections instead of requests, and a browser keeps an idle HTTP/2 connection open for ever.
async fn stop_when_asked(app: web::Data<App>, watch_input: bool, server: actix_web::dev::ServerHandle) {
    let failed = app.cluster.stop_flag().clone();
    tokio::select! {
        asked = shutdown::asked(watch_input) => {
            if let Err(error) = asked {
                tracing::error!(%error, "cannot listen for signals");
            }
            tracing::info!("stopping");
        }
        reason = failed.raised() => tracing::error!(reason, "stopping rather than lying"),
    }
    app.shutdown.begin();
    server.pause().await;
    let drain = Duration::from_secs(app.config.limits.drain_seconds);
    if tokio::time::timeout(drain, app.shutdown.answered()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    tokio::time::sleep(LAST_BYTES).await;
    server.stop(false).await;
}

/// Tells the operator where the node is and how to claim it.
fn announce(app: &App, address: SocketAddr, json_line: bool) {
    let url = Config::local_url(address.port());
    tracing::info!(%url, fingerprint = app.tls.fingerprint(), "this node is ready");
    if json_line {
        let code = app.claim.shown();
        let line = serde_json::json!({ "url": url, "claim_code": code });
        print_line(&line.to_string());
    } else if let Some(code) = app.claim.shown() {
        print_line(&format!(
            "Address:      {url}\nFingerprint:  {}\nClaim code:   {}",
            app.tls.fingerprint(),
            code.expose()
        ));
    }
}

/// The claim code is for whoever stands at the machine: it goes to standard output, never to the log.
fn print_line(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    if let Err(error) = written {
        tracing::warn!(%error, "standard output is closed");
    }
}

/// Registers everything the node serves.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut routes = Routes::default();
    api::configure_all(&mut routes);
    routes.register(config);
    config.app_data(body::query_config());
    config.default_service(web::route().to(console::serve));
}

/// Builds the HTTPS server on `listener`.
pub fn https(app: web::Data<App>, listener: TcpListener) -> anyhow::Result<actix_web::dev::Server> {
    let settings = app.config.limits.clone();
    let tls = app.tls.server_config()?;
    let limiter = Arc::clone(&app.limiter);
    let server = HttpServer::new(move || {
        stand_back();
        actix_web::App::new()
            .app_data(app.clone())
            .app_data(app.media.clone())
            .wrap(from_fn(answer::around))
            .configure(configure)
    });
    let server = server
        .workers(workers(settings.workers)?)
        .max_connections(settings.connections)
        .keep_alive(KEEP_ALIVE)
        // An answer may go out in several writes: none of them waits until the one before is acknowledged.
        .tcp_nodelay(true)
        .client_request_timeout(Duration::from_secs(settings.header_seconds))
        .client_disconnect_timeout(Duration::from_secs(5))
        .tls_handshake_timeout(Duration::from_secs(settings.header_seconds))
        .h2_initial_window_size(STREAM_WINDOW)
        .h2_initial_connection_window_size(CONNECTION_WINDOW)
        .shutdown_timeout(settings.drain_seconds)
        .disable_signals()
        .on_connect(move |connection, extensions| limits::on_connect(&limiter, connection, extensions));
    Ok(server.listen_rustls_0_23(listener, tls)?.run())
}

/// Serving stands back behind agreement: however busy it is, a leader's heartbeats go out in time. Called once on every
/// serving thread.
fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, SERVING_NICENESS) {
        tracing::warn!(%error, "serving could not be put behind agreement");
    }
}

fn workers(asked: usize) -> std::io::Result<usize> {
    if asked == 0 { Ok(std::thread::available_parallelism()?.get()) } else { Ok(asked) }
}

/// Plain HTTP is answered by a redirect to HTTPS, whatever is asked; nothing else is served there.
fn redirect(listener: TcpListener, https_port: u16) -> anyhow::Result<actix_web::dev::Server> {
    let server = HttpServer::new(move || {
        let answer =
            move |request: actix_web::HttpRequest| async move { answer::to_https(&request, https_port) };
        actix_web::App::new().default_service(web::route().to(answer))
    });
    Ok(server
        .workers(1)
        .client_request_timeout(Duration::from_secs(5))
        .keep_alive(actix_web::http::KeepAlive::Disabled)
        .disable_signals()
        .listen(listener)?
        .run())
}

/// Binds, and says which address cannot be had.
pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}
