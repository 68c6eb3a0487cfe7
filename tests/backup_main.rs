//! Backups of a real node, as stories: taken, checked, damaged, cut off, and restored into a new cluster whose clip plays.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "backup_support.rs"]
mod backup_support;
#[path = "backup_damage.rs"]
mod damage;
#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
#[path = "backup_kills.rs"]
mod kills;
#[path = "support/lab.rs"]
mod lab;
#[allow(dead_code, reason = "each test binary uses its part")]
mod media_support;
mod net;
#[path = "backup_restore.rs"]
mod restore;
#[path = "backup_sites.rs"]
mod sites;
mod support;
