//! The API of a real node, as stories.

mod api_access;
mod api_document;
mod api_library;
mod api_people;
mod api_refusals;
mod support;
