//! The inventory of cryptography, for whoever has to account for it.

use actix_web::{HttpResponse, web};
use cluster::permission::{Action, Target};

use super::body::ok;
use crate::access::Caller;
use crate::app::App;
use crate::cryptography::{Inventory, inventory};
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// Every use of cryptography: algorithm, key, where it lies, how it is exchanged, how it stands now. No key and nothing made of
/// one is in it. For cluster admins.
#[utoipa::path(get, path = "/system/cryptography", tag = "system",
    responses((status = 200, body = Inventory), (status = 403, body = ProblemBody)))]
pub async fn cryptography_view(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::SeeCryptography, Target::Cluster)?;
    ok(&inventory(&app).await?)
}

/// Adds the operation.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_cryptography_view, cryptography_view);
}
