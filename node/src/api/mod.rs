//! The resources of the API, one module each.

pub mod alerts;
pub mod api_keys;
pub mod applications;
pub mod assets;
pub mod audit;
pub mod authority;
pub mod backup_targets;
pub mod backups;
pub mod body;
pub mod certificate;
pub mod claim;
pub mod cluster;
pub mod collections;
pub mod cryptography;
pub mod edges;
pub mod events;
pub mod forms;
pub mod jobs;
pub mod members;
pub mod paging;
pub mod role_names;
pub mod roles;
pub mod sessions;
pub mod system;
pub mod trashed_applications;
pub mod users;

use crate::routes::Routes;
use crate::{download, ingest, openapi, play, sidecars};

/// Every operation this node answers, except the console's files.
pub fn configure_all(routes: &mut Routes) {
    configure(routes);
    ingest::configure(routes);
    play::configure(routes);
    download::configure(routes);
    sidecars::configure(routes);
    openapi::configure(routes);
}

/// The resources below `/api/v1`, and the health addresses.
pub fn configure(routes: &mut Routes) {
    system::configure(routes);
    certificate::configure(routes);
    cryptography::configure(routes);
    claim::configure(routes);
    sessions::configure(routes);
    users::configure(routes);
    applications::configure(routes);
    trashed_applications::configure(routes);
    members::configure(routes);
    roles::configure(routes);
    api_keys::configure(routes);
    collections::configure(routes);
    assets::configure(routes);
    jobs::configure(routes);
    audit::configure(routes);
    events::configure(routes);
    cluster::configure(routes);
    authority::configure(routes);
    edges::configure(routes);
    backups::configure(routes);
    backup_targets::configure(routes);
    alerts::configure(routes);
}
