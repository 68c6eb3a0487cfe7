//! Media through a real node, as stories: upload, process, watch, download, with real clips and ffmpeg as the player.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod media_abuse;
mod media_download;
mod media_jobs;
mod media_outage;
mod media_roles;
mod media_support;
mod media_upload;
mod media_view;
mod support;
