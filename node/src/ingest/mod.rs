//! Ingest: how a file gets in, by tus or by a plain PUT, in constant memory and without a half-visible state.
//!
//! Body -> [`body`] in pieces of 1 MiB -> the original's Blob -> [`finish`]: sealed, State told, a job queued. A small file in
//! one request -> [`small`]: all of it in memory, then the sealed Blob in one go.

mod answer;
mod body;
mod finish;
mod put_api;
mod small;
mod tender;
pub mod tus;
mod tus_api;
pub mod uploads;

pub use body::CheckedRoom;
pub use finish::queue;
pub use small::SmallRoom;
pub use tender::tend;

use crate::routes::Routes;

/// Adds the operations of uploading.
pub fn configure(routes: &mut Routes) {
    routes.api(tus_api::__path_upload_options, tus_api::upload_options);
    routes.api(tus_api::__path_upload_create, tus_api::upload_create);
    routes.api(tus_api::__path_upload_head, tus_api::upload_head);
    routes.api(tus_api::__path_upload_patch, tus_api::upload_patch);
    routes.api(tus_api::__path_upload_delete, tus_api::upload_delete);
    routes.api(put_api::__path_upload_file, put_api::upload_file);
}
