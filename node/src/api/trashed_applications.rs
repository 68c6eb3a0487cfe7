//! Applications in the trash: nobody gets at anything in them. For cluster admins, who restore them or delete them for good.

use actix_web::{HttpResponse, web};
use cluster::command::AccessCommand;
use cluster::id::ApplicationId;
use cluster::permission::{Action, Target};
use cluster::state::{Application, Shelf, State, TrashedApplication, folded};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{done, ok};
use super::paging::{Page, PageQuery, page};
use crate::access::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// An application in the trash.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrashedApplicationView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many assets are in it.
    pub asset_count: u64,
    /// In the trash since then.
    pub trashed_ms: u64,
    /// Deleted for good after that.
    pub purge_after_ms: u64,
    /// Is being deleted: nothing brings it back.
    pub being_purged: bool,
}

impl TrashedApplicationView {
    fn of(state: &State, application: &Application, trashed: TrashedApplication) -> Self {
        let count = |shelf: Shelf| state.count(&shelf);
        Self {
            id: application.id.to_string(),
            name: application.name.clone(),
            asset_count: count(Shelf::Live(application.id)) + count(Shelf::Trash(application.id)),
            trashed_ms: trashed.at_ms,
            purge_after_ms: trashed.until_ms,
            being_purged: trashed.being_purged,
        }
    }
}

/// The applications in the trash, by name. For cluster admins.
#[utoipa::path(get, path = "/trashed-applications", tag = "applications", params(PageQuery),
    responses((status = 200, body = Page<TrashedApplicationView>)))]
pub async fn trashed_application_list(
    caller: Caller,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ListTrashedApplications, Target::Cluster)?;
    let view = |(found, trashed)| TrashedApplicationView::of(&state, found, trashed);
    ok(&page(state.trashed_applications(), &query, |(found, _)| folded(&found.name), view)?)
}

/// Restore an application from the trash, with everything in it. For cluster admins.
#[utoipa::path(post, path = "/trashed-applications/{id}/restore", tag = "applications", params(("id" = String, Path, description = "Application")),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody, description = "It is being deleted already")))]
pub async fn trashed_application_restore(
    caller: Caller,
    id: web::Path<ApplicationId>,
) -> Result<HttpResponse, Problem> {
    caller.propose(AccessCommand::RestoreApplication { application: *id }).await?;
    Ok(done())
}

/// Delete an application in the trash for good, with everything in it. It begins within a minute, and is done when the
/// application is not in the list any more. For cluster admins.
#[utoipa::path(delete, path = "/trashed-applications/{id}", tag = "applications", params(("id" = String, Path, description = "Application")),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn trashed_application_purge(
    caller: Caller,
    id: web::Path<ApplicationId>,
) -> Result<HttpResponse, Problem> {
    caller.propose(AccessCommand::PurgeApplication { application: *id }).await?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_trashed_application_list, trashed_application_list);
    routes.api(__path_trashed_application_restore, trashed_application_restore);
    routes.api(__path_trashed_application_purge, trashed_application_purge);
}
