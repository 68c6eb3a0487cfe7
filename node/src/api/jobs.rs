//! Jobs: what is being made from assets, for the activity page.

use actix_web::{HttpResponse, web};
use cluster::command::JobCommand;
use cluster::id::{ApplicationId, JobId};
use cluster::permission::{Action, Target};
use cluster::state::{Job, JobState, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{done, ok};
use super::forms;
use super::paging::{Page, PageQuery, page};
use crate::access::Caller;
use crate::app::App;
use crate::live::Progress;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStateName {
    /// It waits.
    Queued,
    /// A node works on it.
    Running,
    /// It is done.
    Finished,
    /// It failed; see `reason`.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl From<&JobState> for JobStateName {
    fn from(state: &JobState) -> Self {
        match state {
            JobState::Queued => Self::Queued,
            JobState::Leased { .. } => Self::Running,
            JobState::Finished => Self::Finished,
            JobState::Failed { .. } => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

/// A job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: String,
    /// What it works on.
    pub asset: String,
    /// That asset's title, while it exists.
    pub asset_title: Option<String>,
    /// Where.
    pub application: String,
    /// `transcode`.
    pub kind: String,
    /// Where it stands.
    pub state: JobStateName,
    /// The node that works on it.
    pub node: Option<u64>,
    /// How far it is, when this node works on it.
    pub progress: Option<Progress>,
    /// For `failed`: a stable code.
    pub reason_code: Option<String>,
    /// For `failed`: for people.
    pub reason: Option<String>,
    /// When it was queued.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
}

impl JobView {
    /// As people see it.
    #[must_use]
    pub fn of(state: &State, job: &Job, progress: Option<Progress>) -> Self {
        let failure = match &job.state {
            JobState::Failed { code, reason } => Some((code.clone(), reason.clone())),
            _ => None,
        };
        let (reason_code, reason) = failure.unzip();
        Self {
            id: job.id.to_string(),
            asset: job.asset.to_string(),
            asset_title: state.asset(job.asset).map(|asset| asset.title.clone()),
            application: job.application.to_string(),
            kind: "transcode".to_owned(),
            state: (&job.state).into(),
            node: match job.state {
                JobState::Leased { node, .. } => Some(node.0),
                _ => None,
            },
            progress: progress.filter(|_| job.state.is_active()),
            reason_code,
            reason,
            created_ms: job.created_ms,
            updated_ms: job.updated_ms,
        }
    }
}

/// Which jobs.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct JobFilter {
    /// Where it stands.
    #[param(inline)]
    pub state: Option<JobStateName>,
    /// Of one application; of all one may see when absent.
    #[param(value_type = Option<forms::Id>)]
    pub application: Option<ApplicationId>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items: 1 to 500, usually 50.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// Jobs: those that run or wait first, then what has ended, newest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(JobFilter), responses((status = 200, body = Page<JobView>)))]
pub async fn job_list(
    app: web::Data<App>,
    caller: Caller,
    filter: web::Query<JobFilter>,
) -> Result<HttpResponse, Problem> {
    caller.signed_in()?;
    let filter = filter.into_inner();
    let state = caller.state();
    if let Some(application) = filter.application {
        caller.may(&state, Action::ListJobs, Target::Application(application))?;
    }
    let seen: Vec<ApplicationId> = caller
        .applications(&state)
        .into_iter()
        .filter(|id| filter.application.is_none_or(|wanted| wanted == *id))
        .filter(|id| caller.may(&state, Action::ListJobs, Target::Application(*id)).is_ok())
        .collect();
    let wanted = |job: &&std::sync::Arc<Job>| {
        seen.contains(&job.application) && filter.state.is_none_or(|wanted| wanted == (&job.state).into())
    };
    let all = state.active_jobs().chain(state.ended_jobs()).filter(wanted);
    let query = PageQuery { cursor: filter.cursor, limit: filter.limit };
    ok(&page(all, &query, place, |job| JobView::of(&state, job, app.live.progress(job.asset)))?)
}

/// Where a job stands in the list: active ones oldest first, ended ones newest first.
fn place(job: &&std::sync::Arc<Job>) -> String {
    if job.state.is_active() {
        format!("0{:020}{}", job.created_ms, job.id)
    } else {
        format!("1{:020}{}", u64::MAX - job.updated_ms, job.id)
    }
}

/// Stop a job.
#[utoipa::path(post, path = "/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path, description = "Job")),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn job_cancel(caller: Caller, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    caller.propose(JobCommand::Cancel { job: *id }).await?;
    Ok(done())
}

/// Queue a failed or cancelled job again.
#[utoipa::path(post, path = "/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path, description = "Job")),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn job_retry(caller: Caller, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    caller.propose(JobCommand::Retry { job: *id }).await?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_job_list, job_list);
    routes.api(__path_job_cancel, job_cancel);
    routes.api(__path_job_retry, job_retry);
}
