//! The node: HTTP API, access, playback, ingest, console and command line on top of `cluster` and `pipeline`.
//!
//! A request passes [`answer::around`] (id, headers, errors), finds its handler in the table of [`routes`], learns who
//! asks from [`access`], proposes a Command or reads State, and answers JSON or a [`problem`].
#![forbid(unsafe_code)]

pub mod access;
pub mod alerts;
pub mod answer;
pub mod api;
pub mod app;
pub mod asset_store;
pub mod auth;
pub mod backup;
mod clean_stack;
pub mod cli;
pub mod config;
pub mod console;
pub mod cryptography;
pub mod dev;
pub mod download;
pub mod edge;
pub mod headers;
pub mod ingest;
pub mod jobs;
pub mod limits;
mod linger;
pub mod live;
pub mod logs;
pub mod manifest;
pub mod media;
pub mod metrics;
pub mod no_core;
pub mod open_files;
pub mod openapi;
pub mod outbound;
pub mod play;
pub mod problem;
pub mod routes;
pub mod run;
pub mod self_check;
pub mod shelf;
pub mod shutdown;
pub mod sidecars;
pub mod tls;
pub mod token;
