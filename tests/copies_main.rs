//! Copies of Blobs on several nodes: written, read, taken over and repaired over a network that loses, delays and cuts.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test may panic

mod copies_faults;
mod copies_read;
mod copies_support;
mod copies_take_over;
mod copies_whole;
mod copies_workers;
mod copies_write;
#[allow(dead_code, reason = "the stories of State use more of it")]
#[path = "state/world.rs"]
mod state_world;
