//! Consensus on one node: its log on disk, its snapshots, its audit log, and the handle over them.

#[path = "raft_cluster.rs"]
mod cluster;
#[path = "raft_damage.rs"]
mod damage;
#[path = "raft_log.rs"]
mod log;
#[path = "raft_suite.rs"]
mod suite;
#[path = "raft_support.rs"]
mod support;
