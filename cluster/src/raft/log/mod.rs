//! The Raft log on this node's disk.
//!
//! ```text
//! LogStore (openraft's traits) --queue--> writer thread --barrier--> journal   (every record, first)
//!                                                                    sled      (generation folder named by `current`; later where
//!                                                                               there are three voters or more)
//!                                                                    watermark (what may have been acknowledged)
//!                                                                    callbacks, in order
//! ```
//! One thread owns every write, so no later write is durable before an earlier one. What is drained from the queue at
//! once shares one barrier. A failed sync is final: nothing is retried, and the node stops.

pub mod content;
pub mod database;
mod durable;
pub mod files;
pub mod generation;
pub mod journal;
mod loss;
pub mod record;
pub mod recovery;
pub mod store;
pub mod tree;
pub mod watermark;
mod writer;

use std::fmt;
use std::io;

pub use durable::Durable;
pub use loss::forget as forget_loss;
pub use recovery::{LogOptions, LogPlace, Looked, MissingRange, Opened, look, open, open_changed};
pub use store::LogStore;

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused.
    #[error("the log's disk failed: {0}")]
    Io(#[from] io::Error),
    /// sled refused.
    #[error("the log's database failed: {0}")]
    Sled(#[from] sled::Error),
    /// Stored bytes are not what was written.
    #[error("the log is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// A record beyond what the log takes.
    #[error("a log record of {length} bytes is larger than {} bytes", record::RECORD_LIMIT)]
    TooLarge {
        /// Its size.
        length: usize,
    },
    /// A value could not be encoded or sealed: a fault in the program or no randomness.
    #[error("a log record could not be written down: {0}")]
    Unencodable(String),
    /// An earlier write failed, or the log is closed.
    #[error("the log has stopped: {0}")]
    Stopped(String),
}

impl fmt::Display for MissingRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) => write!(formatter, "{} to {last}", self.first),
            None => write!(formatter, "{} and after", self.first),
        }
    }
}
