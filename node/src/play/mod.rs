//! Playback: Views, playlists, keys and ciphertext segments.
//!
//! [`views_api`] starts a View, [`view`] checks it at every request, [`serve`] answers, [`files`] and [`presentation`] say
//! with what, from the [`library`]. [`steering`] says from which node.

pub(crate) mod files;
pub mod journal;
mod keys;
mod library;
pub mod outage;
mod pieces;
pub(crate) mod presentation;
pub mod range;
pub(crate) mod serve;
pub(crate) mod steering;
pub mod view;
mod views_api;

pub use journal::{Journal, JournalError};
pub use keys::TokenKeys;
pub use library::{Library, TrackIndex};
pub use outage::Outage;
pub use presentation::blob_of;

use crate::routes::Routes;

/// Adds the operations of watching.
pub fn configure(routes: &mut Routes) {
    routes.api(views_api::__path_view_start, views_api::view_start);
    routes.api(views_api::__path_view_renew, views_api::view_renew);
    routes.api(views_api::__path_view_list, views_api::view_list);
    routes.api(views_api::__path_view_end, views_api::view_end);
    routes.root_at("/play/{view}/{file:.*}", serve::__path_play_file, serve::play_file);
    routes.root_at("/play/{view}/{file:.*}", serve::__path_play_options, serve::play_options);
}
