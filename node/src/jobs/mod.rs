//! Jobs: from an uploaded original to something to watch, resumed after any crash.
//!
//! [`manager`] leases and supervises, [`work`] is one try, [`sink`] stores what a transcode makes.

pub mod collect;
pub mod early;
mod manager;
pub mod manifest_of;
mod sink;
mod source;
mod stored_track;
mod streamable;
mod work;

pub use manager::Jobs;
pub use stored_track::StoredTrack;
