//! What one client may take: open connections and requests a second, counted by network.

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use prometheus_client::metrics::gauge::Gauge;

use crate::auth::throttle::Network;
use crate::config::Limits;

/// Remembered networks; full ones are forgotten first, for they say nothing.
const REMEMBERED: usize = 50_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Counts requests and connections over all workers.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    buckets: Mutex<HashMap<Network, Bucket>>,
    open: Mutex<HashMap<Network, u32>>,
    gauge: Gauge,
}

impl Limiter {
    /// A limiter for one node.
    #[must_use]
    pub fn new(limits: Limits, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { limits, buckets: Mutex::default(), open: Mutex::default(), gauge })
    }

    /// Takes one request from the network's bucket; when it is empty gives how long to wait.
    pub fn request(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let (rate, burst) =
            (f64::from(self.limits.requests_per_second.max(1)), f64::from(self.limits.request_burst.max(1)));
        let Ok(mut buckets) = self.buckets.lock() else { return Ok(()) };
        if buckets.len() >= REMEMBERED {
            buckets.retain(|_, bucket| {
                bucket.tokens + now.duration_since(bucket.at).as_secs_f64() * rate < burst
            });
        }
        let bucket = buckets.entry(address.into()).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = (bucket.tokens + now.duration_since(bucket.at).as_secs_f64() * rate).min(burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / rate));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Counts a connection in; it is counted out when the returned guard goes.
    pub fn connected(self: &Arc<Self>, address: IpAddr) -> Connection {
        let network = Network::from(address);
        let count = self.open.lock().map_or(0, |mut open| {
            let count = open.entry(network).or_insert(0);
            *count += 1;
            *count
        });
        self.gauge.inc();
        Connection { limiter: self.clone(), network, crowded: count > self.limits.connections_per_address }
    }
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    limiter: Arc<Limiter>,
    network: Network,
    /// Its network already had all it may have; its requests are refused.
    pub crowded: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.limiter.gauge.dec();
        if let Ok(mut open) = self.limiter.open.lock()
            && let Some(count) = open.get_mut(&self.network)
        {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// For `HttpServer::on_connect`: ties the count to the life of the connection.
pub fn on_connect(limiter: &Arc<Limiter>, connection: &dyn Any, extensions: &mut Extensions) {
    type Secure = actix_tls::accept::rustls_0_23::TlsStream<actix_web::rt::net::TcpStream>;
    if let Some(stream) = connection.downcast_ref::<Secure>()
        && let Ok(peer) = stream.get_ref().0.peer_addr()
    {
        extensions.insert(Arc::new(limiter.connected(peer.ip())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Arc<Limiter> {
        let limits = Limits {
            requests_per_second: 10,
            request_burst: 3,
            connections_per_address: 2,
            ..Limits::default()
        };
        Limiter::new(limits, Gauge::default())
    }

    #[test]
    fn a_burst_is_allowed_and_then_only_the_rate() {
        let (limiter, address, now) = (limiter(), IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 0..3 {
            assert!(limiter.request(address, now).is_ok());
        }
        assert!(limiter.request(address, now).is_err());
        assert!(limiter.request(IpAddr::from([192, 0, 2, 2]), now).is_ok());
        assert!(limiter.request(address, now + Duration::from_millis(101)).is_ok());
    }

    #[test]
    fn connections_are_counted_out_when_they_end() {
        let (limiter, address) = (limiter(), IpAddr::from([192, 0, 2, 1]));
        let (first, second) = (limiter.connected(address), limiter.connected(address));
        assert!(!first.crowded && !second.crowded);
        assert!(limiter.connected(address).crowded);
        drop(first);
        assert!(!limiter.connected(address).crowded);
        drop(second);
        assert!(limiter.open.lock().unwrap().is_empty());
        assert_eq!(limiter.gauge.get(), 0);
    }
}
