//! Jobs: from an uploaded original to something to watch, resumed after any crash.
//!
//! [`manager`] leases and supervises, [`work`] is one try, [`sink`] stores what a transcode makes. Of a long video the
//! pictures are made in parts on several nodes: [`divided`] is what whoever has the job does then, [`part`] what a node does
//! that has taken a part.

pub mod collect;
mod divided;
pub mod early;
mod gather;
mod manager;
pub mod manifest_of;
mod offer;
mod part;
mod part_sink;
mod sink;
mod source;
mod stored_track;
mod streamable;
mod work;

pub use manager::Jobs;
pub use stored_track::StoredTrack;
