//! Starting a node and serving until it is asked to stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};

use crate::app::App;
use crate::routes::Routes;
use crate::{answer, api, console, limits};

/// Seconds of quiet after which a connection is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Registers everything the node serves.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut routes = Routes::default();
    api::configure_all(&mut routes);
    routes.register(config);
    config.default_service(web::route().to(console::serve));
}

/// Builds the HTTPS server on `listener`.
pub fn https(app: web::Data<App>, listener: TcpListener) -> anyhow::Result<actix_web::dev::Server> {
    let settings = app.config.limits.clone();
    let tls = app.tls.server_config()?;
    let limiter = Arc::clone(&app.limiter);
    let server = HttpServer::new(move || {
        actix_web::App::new().app_data(app.clone()).wrap(from_fn(answer::around)).configure(configure)
    });
    let server = server
        .workers(if settings.workers == 0 {
            std::thread::available_parallelism()?.get()
        } else {
            settings.workers
        })
        .max_connections(settings.connections)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(Duration::from_secs(settings.header_seconds))
        .client_disconnect_timeout(Duration::from_secs(5))
        .tls_handshake_timeout(Duration::from_secs(settings.header_seconds))
        .shutdown_timeout(settings.drain_seconds)
        .disable_signals()
        .on_connect(move |connection, extensions| limits::on_connect(&limiter, connection, extensions));
    Ok(server.listen_rustls_0_23(listener, tls)?.run())
}

/// Binds, and says which address cannot be had.
pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))
}
