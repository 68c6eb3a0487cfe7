//! Media: what a source holds, how it is transcoded, packaged and encrypted.
//!
//! Two halves. The pure one (`ladder`, `playlist`, `mp4`, `encrypt`, ...) computes. The other one runs GStreamer, and only in
//! worker processes: `probe` and `transcode` are what the node calls; `worker_process`, `protocol` and `sandbox` keep media
//! apart from the node; `graph` and `source_element` are what runs inside.
#![forbid(unsafe_code)]

pub mod encrypt;
mod failure;
mod graph;
pub mod hls_check;
pub mod ladder;
pub mod mp4;
pub mod outline;
pub mod playlist;
pub mod probe;
mod protocol;
mod sandbox;
mod sink;
mod source;
mod source_element;
mod streamable;
pub mod tracks;
pub mod transcode;
pub mod vtt;
mod worker_process;

pub use failure::{Failure, FailureCode, ProbeFailure};
pub use sink::{Progress, Sidecar, Sink, SinkError, Stage};
pub use source::Source;
pub use streamable::{Streamable, streamable};
pub use worker_process::{WorkerProgram, try_sandbox, worker_main};
