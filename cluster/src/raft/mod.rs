//! Consensus, behind one module: openraft, its log on disk, and the machine that applies agreed entries to State.
//!
//! Nothing outside this module names openraft, so that its next release is a change here only.

pub mod log;
pub mod machine;
pub mod metrics;
pub mod network;
pub mod runtime;
pub mod serve;
pub mod snapshot;
pub mod time;
pub mod types;
