//! The resources of the API, one module each.

pub mod system;

use crate::openapi;
use crate::routes::Routes;

/// Every operation this node answers, except the console's files.
pub fn configure_all(routes: &mut Routes) {
    configure(routes);
    openapi::configure(routes);
}

/// The resources below `/api/v1`, and the health addresses.
pub fn configure(routes: &mut Routes) {
    system::configure(routes);
}
