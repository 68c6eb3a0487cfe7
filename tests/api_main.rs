//! The API of a real node, as stories.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api_access;
mod api_audit;
mod api_canary;
mod api_certificate;
mod api_document;
mod api_flood;
mod api_library;
mod api_matrix;
mod api_oracle;
mod api_people;
mod api_refusals;
mod api_web;
mod support;
