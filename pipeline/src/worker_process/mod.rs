//! The worker process: the only place where untrusted media meets C code.
//!
//! The node starts `mediakeep worker` with one end of a Unix socket pair as its standard input, a cleared environment and
//! nothing else. That process loads the plugins, locks itself in (see [`crate::sandbox`]) and is the nursery: for each
//! worker it is sent the end of another socket pair, forks, and answers with a handle to the new process. The worker gives up
//! what the nursery may do beyond, and only then reads a byte of media, which it asks the node for by offset and length.

mod child;
mod connection;
mod conversation;
mod handover;
mod nursery;
mod process;
mod program;
mod trial;

pub use child::worker_main;
pub(crate) use connection::Connection;
pub(crate) use conversation::{Conversation, WorkerEnd};
pub use program::WorkerProgram;
pub use trial::try_sandbox;
