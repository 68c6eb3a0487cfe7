//! Ingest: how a file gets in, by tus or by a plain PUT, in constant memory and without a half-visible state.

pub mod tus;
