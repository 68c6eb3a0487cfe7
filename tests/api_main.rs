//! The API of a real node, as stories.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api_access;
mod api_alerts;
mod api_audit;
mod api_canary;
mod api_certificate;
mod api_confirm;
mod api_cryptography;
mod api_document;
mod api_flood;
mod api_library;
mod api_matrix;
mod api_oracle;
mod api_parsers;
mod api_people;
mod api_pepper;
mod api_refusals;
mod api_self_check;
mod api_web;
#[path = "support/canary.rs"]
mod canary;
#[path = "parsers/mutation.rs"]
mod mutation;
#[path = "parsers/node.rs"]
mod parsers;
mod support;
