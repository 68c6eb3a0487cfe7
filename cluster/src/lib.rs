//! Agreement and bytes: the Raft log, State, keys and Blobs of a mediakeep cluster.
//!
//! A change is a [`Command`](command) proposed on a `Cluster` handle; once agreed it is applied to State by a pure
//! function on every node. Media bytes never go through the log: they live in Blobs, sealed on this node's disk.
#![forbid(unsafe_code)]

// --- What can be said and what it changes: ids, commands, State and the rules inside it. -----------------------------
pub mod actor;
pub mod audit_record;
pub mod command;
pub mod entry;
pub mod event;
pub mod id;
pub mod outcome;
pub mod permission;
pub mod placement;
pub mod refusal;
pub mod state;

// --- Bytes at rest: keys, disks, the sealed Blob format and this node's store of Blobs. ------------------------------
pub mod blob;
pub mod disk;
pub mod keyring;
pub mod recovery;
pub mod seal;
mod shamir;
pub mod store;

// --- Agreement: time, versioned on-disk types, the Raft log and machine, the audit log and background workers. -------
pub mod audit;
pub mod authority;
pub mod backup;
mod blocking;
pub mod clock;
pub mod cluster;
pub mod fips;
pub mod net;
pub mod persist;
pub mod raft;
pub mod transfer;
pub mod worker;
pub mod workers;

#[cfg(feature = "sim")]
pub mod sim;

pub use cluster::{
    AuditReport, Cluster, ClusterConfig, ClusterStatus, Distance, EDGE_PUBLIC_LIFE, EdgeConfig, EdgeNode,
    JoinError, JoinToken, JoinTokenError, NewClusterSecrets, NodeReport, OpenError, ProposeError, SHORTENED,
    TlsTransport, Transport, Whereabouts,
};
