//! Consensus on one node: its log on disk, its snapshots, its audit log, and the handle over them.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer")]

#[path = "raft_ahead.rs"]
mod ahead;
#[path = "raft_audit.rs"]
mod audit;
#[path = "raft_cluster.rs"]
mod cluster;
#[path = "raft_damage.rs"]
mod damage;
#[path = "raft_log.rs"]
mod log;
#[path = "parsers/mutation.rs"]
mod mutation;
#[path = "parsers/cluster.rs"]
mod parsers;
#[path = "raft_parsers.rs"]
mod parsers_damaged;
#[path = "raft_power_cut.rs"]
mod power_cut;
#[path = "raft_suite.rs"]
mod suite;
#[path = "raft_support.rs"]
mod support;
