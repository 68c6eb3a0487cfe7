//! Real nodes on damaged, old and tampered folders.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "damaged_audit.rs"]
mod audit;
#[path = "damaged_support.rs"]
mod damaged;
#[path = "damaged_old.rs"]
mod old;
#[path = "damaged_start.rs"]
mod start;
#[path = "support/mod.rs"]
mod support;
