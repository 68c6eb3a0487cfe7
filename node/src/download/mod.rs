//! Downloads: one link for one client.

pub mod name;
