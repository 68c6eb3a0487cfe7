//! What tests of several real nodes are made of: their network, the nodes, and clients that write down what they hear.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures are for whoever reads the run")]

pub mod cable;
pub mod clients;
pub mod disk;
pub mod lab;
pub mod switch;

use std::time::Duration;

/// A short time in the gate, the whole one in `./just test-long`.
pub fn short_or(long: Duration, short: Duration) -> Duration {
    if std::env::var_os("MEDIAKEEP_LONG").is_some() { long } else { short }
}
