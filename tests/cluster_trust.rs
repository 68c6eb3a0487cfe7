//! Whom nodes trust, and how people see to it: the verbs of the command line, the exchange of the certificate authority, and
//! what the nodes keep of one another's audit logs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
mod net;
#[path = "support/mod.rs"]
mod support;

#[path = "cluster_audit.rs"]
mod audit;
#[path = "cluster_authority.rs"]
mod authority;
#[path = "cluster_verbs.rs"]
mod verbs;
