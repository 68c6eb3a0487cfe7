//! The event stream: what changed and how far work is, as server-sent events, each filtered by what its reader may see.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use cluster::event::Event;
use cluster::id::{ApplicationId, AssetId};
use cluster::permission::{Action, Target};
use cluster::state::State;
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::app::App;
use crate::live::Report;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

const QUIET: Duration = Duration::from_secs(20);

/// One event: `event:` is its name (`asset`, `job`, `progress`, `access`, `collection`, `cluster`, `backup`, `alert`,
/// `lagged`), and this
/// its `data:`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct EventView {
    /// What happened, such as `asset_changed`.
    pub kind: String,
    /// To which asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// To which job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// For `progress`: 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// For `progress`: time left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// For `progress`: the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

/// One event as it stands in the stream. A first one without data says after how long to come back when it broke off.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the document looks at it")]
struct StreamedEvent {
    /// Its name.
    event: Option<String>,
    /// An [`EventView`], as JSON.
    #[schema(content_media_type = "application/json")]
    data: Option<String>,
    /// Milliseconds to wait before one comes back.
    retry: Option<u64>,
}

struct Reader {
    app: web::Data<App>,
    caller: Caller,
    events: broadcast::Receiver<Event>,
    live: broadcast::Receiver<Report>,
}

/// Follow what changes, as it changes. After a `lagged` event, or a reconnect, read again what is shown.
#[utoipa::path(get, path = "/events", tag = "events",
    responses((status = 200, body = StreamedEvent, content_type = "text/event-stream"), (status = 401, body = ProblemBody)))]
pub async fn event_stream(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::FollowEvents, Target::Cluster)?;
    let reader = Reader { events: app.cluster.events(), live: app.live.subscribe(), app, caller };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(follow(reader)))
}

fn follow(reader: Reader) -> impl Stream<Item = Result<Bytes, Problem>> {
    let hello = stream::iter([Ok(Bytes::from_static(b": connected\nretry: 2000\n\n"))]);
    let rest = stream::unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((Ok(Bytes::from(text)), reader))
    });
    futures_util::StreamExt::chain(hello, rest)
}

impl Reader {
    /// The next piece of the stream; none when the sign-in has ended or the node stops.
    async fn next(&mut self) -> Option<String> {
        let shutdown = self.app.shutdown.clone();
        loop {
            let line = tokio::select! {
                () = shutdown.wait() => return None,
                () = tokio::time::sleep(QUIET) => Some(": still here\n\n".to_owned()),
                event = self.events.recv() => self.of_event(event)?,
                report = self.live.recv() => self.of_report(report)?,
            };
            let state = self.caller.state();
            self.caller.may(&state, Action::FollowEvents, Target::Cluster).ok()?;
            if let Some(line) = line {
                return Some(line);
            }
        }
    }

    /// Outer none: the stream ends. Inner none: nothing for this reader.
    fn of_event(&self, event: Result<Event, RecvError>) -> Option<Option<String>> {
        match event {
            Ok(Event::StateReplaced) | Err(RecvError::Lagged(_)) => Some(Some(lagged())),
            Ok(event) => Some(self.told(&event)),
            Err(RecvError::Closed) => None,
        }
    }

    fn of_report(&self, report: Result<Report, RecvError>) -> Option<Option<String>> {
        match report {
            Ok(report) => Some(self.progress(report)),
            Err(RecvError::Lagged(_)) => Some(None),
            Err(RecvError::Closed) => None,
        }
    }

    fn progress(&self, report: Report) -> Option<String> {
        self.sees_asset(&self.caller.state(), report.asset).then_some(())?;
        let view = EventView {
            kind: "progress".to_owned(),
            asset: Some(report.asset.to_string()),
            application: Some(report.application.to_string()),
            job: report.job.map(|job| job.to_string()),
            percent: Some(report.progress.percent),
            eta_ms: report.progress.eta_ms,
            stage: report.progress.stage,
        };
        Some(line("progress", &view))
    }

    fn told(&self, event: &Event) -> Option<String> {
        let state = self.caller.state();
        let (name, view) = match event {
            Event::AssetChanged { asset, application } => self
                .sees_asset(&state, *asset)
                .then_some(("asset", of_asset("asset_changed", *asset, *application))),
            Event::AssetPurged { asset, application } => {
                let seen = self.sees(&state, Action::ListTrash, *application);
                seen.then_some(("asset", of_asset("asset_purged", *asset, *application)))
            }
            Event::JobChanged { job, asset, application } => {
                let view =
                    EventView { job: Some(job.to_string()), ..of_asset("job_changed", *asset, *application) };
                self.sees(&state, Action::ListJobs, *application).then_some(("job", view))
            }
            Event::CollectionChanged { application, .. } => {
                let seen = self.sees(&state, Action::ListCollections, *application);
                seen.then_some(("collection", in_application("collection_changed", *application)))
            }
            Event::ApiKeyChanged { application, .. } => {
                let seen = self.sees(&state, Action::ListApiKeys, *application);
                seen.then_some(("access", in_application("api_key_changed", *application)))
            }
            Event::MembersChanged { application } | Event::ApplicationChanged { application } => {
                let seen = self.sees(&state, Action::SeeApplication, *application);
                seen.then_some(("access", in_application("application_changed", *application)))
            }
            Event::ApplicationRemoved { application } => {
                let seen = self.caller.may(&state, Action::ListTrashedApplications, Target::Cluster).is_ok();
                seen.then(|| ("access", in_application("application_changed", *application)))
            }
            Event::UserChanged { .. } | Event::UserRemoved { .. } => {
                let seen = self.caller.may(&state, Action::ListUsers, Target::Cluster).is_ok();
                seen.then(|| {
                    ("access", EventView { kind: "user_changed".to_owned(), ..EventView::default() })
                })
            }
            Event::AlertsChanged => {
                let seen = self.caller.may(&state, Action::SeeAlerts, Target::Cluster).is_ok();
                let view = EventView { kind: "alerts_changed".to_owned(), ..EventView::default() };
                seen.then_some(("alert", view))
            }
            Event::ClusterChanged | Event::EdgesChanged => {
                Some(("cluster", EventView { kind: "cluster_changed".to_owned(), ..EventView::default() }))
            }
            Event::BackupsChanged => {
                let seen = self.caller.may(&state, Action::SeeBackups, Target::Cluster).is_ok();
                seen.then(|| {
                    ("backup", EventView { kind: "backups_changed".to_owned(), ..EventView::default() })
                })
            }
            _ => None,
        }?;
        Some(line(name, &view))
    }

    fn sees_asset(&self, state: &State, asset: AssetId) -> bool {
        self.caller.may(state, Action::SeeAsset, Target::Asset(asset)).is_ok()
    }

    fn sees(&self, state: &State, action: Action, application: ApplicationId) -> bool {
        self.caller.may(state, action, Target::Application(application)).is_ok()
    }
}

fn of_asset(kind: &str, asset: AssetId, application: ApplicationId) -> EventView {
    EventView { asset: Some(asset.to_string()), ..in_application(kind, application) }
}

fn in_application(kind: &str, application: ApplicationId) -> EventView {
    EventView { kind: kind.to_owned(), application: Some(application.to_string()), ..EventView::default() }
}

fn line(name: &str, view: &EventView) -> String {
    let data = serde_json::to_string(view).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

fn lagged() -> String {
    line("lagged", &EventView { kind: "lagged".to_owned(), ..EventView::default() })
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_event_stream, event_stream);
}
