//! Downloads: the upload as it came, or any rendition as one MP4 joined on the fly, by a link for one client.

mod api;
mod body;
mod claims;
pub mod name;

pub use claims::{Downloads, LINK_LIFETIME_MS};

use crate::routes::Routes;

/// Adds the operations of downloading.
pub fn configure(routes: &mut Routes) {
    routes.api(api::__path_download_create, api::download_create);
    routes.root(api::__path_download_file, api::download_file);
}
