//! Alerts: what is wrong, who takes care of it, and where it is told. For cluster admins.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use cluster::actor::ActorKind;
use cluster::command::{
    AlertChannels, AlertCommand, AuditCommand, ChannelKind, ChannelSecret, EmailChannel, MailSecurity,
    Severity, SyslogChannel, SyslogTransport, WebhookChannel,
};
use cluster::permission::{Action, Target};
use cluster::state::{Alert, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{Body, done, ok, sentence};
use super::forms;
use super::paging::{Page, PageQuery, page};
use crate::access::Caller;
use crate::alerts::{self, Message, conditions};
use crate::app::App;
use crate::auth::token::SecretText;
use crate::outbound::Guard;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeverityName {
    /// Good to know.
    Info,
    /// Somebody should look within a day.
    Warning,
    /// Something is lost or stands still, or soon will.
    Critical,
}

impl From<Severity> for SeverityName {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

impl From<SeverityName> for Severity {
    fn from(severity: SeverityName) -> Self {
        match severity {
            SeverityName::Info => Self::Info,
            SeverityName::Warning => Self::Warning,
            SeverityName::Critical => Self::Critical,
        }
    }
}

/// Something that is or was wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AlertView {
    /// Its number.
    pub id: u64,
    /// What, such as `disk_nearly_full`.
    pub kind: String,
    /// With what: `cluster`, or `node:` and a number.
    pub subject: String,
    /// How much it matters.
    pub severity: SeverityName,
    /// What is said of it, in English.
    pub title: String,
    /// What to do about it, in English.
    pub advice: String,
    /// A few facts.
    pub details: BTreeMap<String, String>,
    /// The page of the console where it is seen.
    pub link: String,
    /// When it was seen first.
    pub first_seen_ms: u64,
    /// When it was seen last.
    pub last_seen_ms: u64,
    /// How often it came within a short time.
    pub times: u32,
    /// When it was over; none while it is there.
    pub resolved_ms: Option<u64>,
    /// Since when somebody takes care of it.
    pub acknowledged_ms: Option<u64>,
    /// Who.
    pub acknowledged_by: Option<String>,
}

impl AlertView {
    fn of(state: &State, alert: &Alert) -> Self {
        let condition = conditions::of(&alert.fact.kind);
        let by = alert.acknowledged.map(|(by, _)| by);
        Self {
            id: alert.id,
            kind: alert.fact.kind.clone(),
            subject: alert.fact.subject.clone(),
            severity: alert.fact.severity.into(),
            title: condition.map_or_else(|| alert.fact.kind.replace('_', " "), |it| it.title.to_owned()),
            advice: condition.map(|it| it.advice.to_owned()).unwrap_or_default(),
            details: alert.fact.details.clone(),
            link: condition.map_or("/alerts", |it| it.link).to_owned(),
            first_seen_ms: alert.first_seen_ms,
            last_seen_ms: alert.last_seen_ms,
            times: alert.times,
            resolved_ms: alert.resolved_ms,
            acknowledged_ms: alert.acknowledged.map(|(_, at_ms)| at_ms),
            acknowledged_by: by.map(|by| match by {
                ActorKind::User { user, .. } => {
                    state.user(user).map_or_else(|| user.to_string(), |user| user.username.clone())
                }
                other => format!("{other:?}"),
            }),
        }
    }
}

/// Which alerts.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AlertFilter {
    /// Only those that are there (`true`) or over (`false`).
    pub open: Option<bool>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items: 1 to 500, usually 50.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// Alerts: those that are there first, the worst of them first, then what is over, the newest first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(AlertFilter),
    responses((status = 200, body = Page<AlertView>), (status = 403, body = ProblemBody)))]
pub async fn alert_list(caller: Caller, filter: web::Query<AlertFilter>) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeAlerts, Target::Cluster)?;
    let filter = filter.into_inner();
    let wanted = |alert: &&std::sync::Arc<Alert>| filter.open.is_none_or(|open| alert.is_open() == open);
    let mut all: Vec<_> = state.alerts().filter(wanted).collect();
    all.sort_by_cached_key(place);
    let query = PageQuery { cursor: filter.cursor, limit: filter.limit };
    ok(&page(all.into_iter(), &query, place, |alert| AlertView::of(&state, alert))?)
}

fn place(alert: &&std::sync::Arc<Alert>) -> String {
    let (group, time_ms) = match alert.resolved_ms {
        None => (u8::MAX - alert.fact.severity as u8, alert.since_ms),
        Some(over_ms) => (u8::MAX, over_ms),
    };
    format!("{group:03}{:020}{:020}", u64::MAX - time_ms, alert.id)
}

/// Say that somebody takes care of an alert. It stays until it is over.
#[utoipa::path(post, path = "/alerts/{id}/acknowledge", tag = "alerts", params(("id" = forms::AlertNumber, Path, description = "Alert")),
    responses((status = 204, description = "Noted"), (status = 404, body = ProblemBody)))]
pub async fn alert_acknowledge(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let alert = id.parse().map_err(|_| Problem::not_found())?;
    caller.propose(AlertCommand::Acknowledge { alert }).await?;
    Ok(done())
}

/// An HTTPS address.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookView {
    /// The address.
    #[schema(pattern = "^https://", max_length = 1000)]
    pub url: String,
    /// The authority to trust instead of the public ones (PEM).
    #[serde(default)]
    pub authority: Option<String>,
}

/// How a syslog server is reached.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyslogTransportName {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// A syslog server.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SyslogView {
    /// Name or address.
    #[schema(value_type = forms::Name)]
    pub host: String,
    /// Port.
    #[schema(value_type = forms::Port)]
    pub port: u16,
    /// How.
    pub transport: SyslogTransportName,
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurityName {
    /// TLS from the first byte.
    Tls,
    /// TLS before anything is said.
    StartTls,
}

/// A mail server and who is written to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailView {
    /// Name or address of the server.
    #[schema(value_type = forms::Name)]
    pub host: String,
    /// Port.
    #[schema(value_type = forms::Port)]
    pub port: u16,
    /// How it is protected.
    pub security: MailSecurityName,
    /// Whom to sign in as.
    #[serde(default)]
    #[schema(value_type = Option<forms::Name>)]
    pub username: Option<String>,
    /// Who writes.
    #[schema(value_type = forms::Name)]
    pub from: String,
    /// Who is written to.
    #[schema(value_type = Vec<forms::Name>, min_items = 1, max_items = 20)]
    pub to: Vec<String>,
    /// The authority to trust instead of the public ones (PEM).
    #[serde(default)]
    pub authority: Option<String>,
}

/// Where alerts are told.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AlertChannelsView {
    /// What matters less is only shown in the console.
    pub least: SeverityName,
    /// An HTTPS address.
    pub webhook: Option<WebhookView>,
    /// A syslog server.
    pub syslog: Option<SyslogView>,
    /// Mail.
    pub email: Option<EmailView>,
    /// There is a password for the mail server.
    pub email_password_set: bool,
    /// What cannot be told at present and why, by channel, as far as this node tells alerts.
    pub troubles: BTreeMap<String, String>,
    /// The secret that signs what is sent to the webhook: shown once, when it was made.
    #[schema(value_type = Option<String>)]
    pub webhook_secret: Option<SecretText>,
}

/// Where alerts are to be told. What is left out is not told there.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertChannelsChange {
    /// What matters less is only shown in the console.
    pub least: SeverityName,
    /// An HTTPS address.
    #[serde(default)]
    pub webhook: Option<WebhookView>,
    /// A syslog server.
    #[serde(default)]
    pub syslog: Option<SyslogView>,
    /// Mail.
    #[serde(default)]
    pub email: Option<EmailView>,
    /// The password for the mail server; the one there is stays when this is left out, unless another server or name is
    /// given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub email_password: Option<SecretText>,
    /// Make a new secret for the webhook.
    #[serde(default)]
    pub new_webhook_secret: bool,
}

/// Where alerts are told.
#[utoipa::path(get, path = "/alerts/channels", tag = "alerts",
    responses((status = 200, body = AlertChannelsView), (status = 403, body = ProblemBody)))]
pub async fn alert_channels_view(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeAlerts, Target::Cluster)?;
    ok(&shown(&app, state.alert_channels(), None))
}

/// Tell alerts elsewhere from now on. A webhook gets a secret of its own, which this answer shows once.
#[utoipa::path(put, path = "/alerts/channels", tag = "alerts", request_body = AlertChannelsChange,
    responses((status = 200, body = AlertChannelsView), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub async fn alert_channels_set(
    app: web::Data<App>,
    caller: Caller,
    body: Body<AlertChannelsChange>,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    let state = app.cluster.linearizable().await?;
    let known = state.alert_channels();
    let kept = known.webhook.as_ref().filter(|_| !wanted.new_webhook_secret);
    let fresh = (wanted.webhook.is_some() && kept.is_none()).then(alerts::new_secret);
    let secret = fresh.as_ref().map_or_else(
        || kept.map(|webhook| webhook.secret.clone()),
        |fresh| Some(ChannelSecret(fresh.expose().to_owned())),
    );
    let channels = channels(wanted, known, secret)?;
    let guard = Guard::new(&app.config.outbound_networks, &state);
    check(&channels, &guard).await?;
    caller.propose(AlertCommand::SetChannels { channels: Box::new(channels.clone()) }).await?;
    ok(&shown(&app, &channels, fresh))
}

fn channels(
    wanted: AlertChannelsChange,
    known: &AlertChannels,
    secret: Option<ChannelSecret>,
) -> Result<AlertChannels, Problem> {
    let is_given = wanted.email_password.is_some();
    let given = wanted.email_password.map(|text| ChannelSecret(text.expose().to_owned()));
    let kept = known.email.as_ref().and_then(|email| email.password.clone());
    let webhook = wanted.webhook.zip(secret).map(|(webhook, secret)| WebhookChannel {
        url: webhook.url,
        secret,
        authority: webhook.authority,
    });
    let email = wanted.email.map(|email| EmailChannel {
        host: email.host,
        port: email.port,
        security: match email.security {
            MailSecurityName::Tls => MailSecurity::Tls,
            MailSecurityName::StartTls => MailSecurity::StartTls,
        },
        password: given.or(kept).filter(|_| email.username.is_some()),
        username: email.username,
        from: email.from,
        to: email.to,
        authority: email.authority,
    });
    let syslog = wanted.syslog.map(|syslog| SyslogChannel {
        host: syslog.host,
        port: syslog.port,
        transport: match syslog.transport {
            SyslogTransportName::Udp => SyslogTransport::Udp,
            SyslogTransportName::Tcp => SyslogTransport::Tcp,
        },
    });
    let channels = AlertChannels { least: wanted.least.into(), webhook, syslog, email };
    if is_given || !is_shown_elsewhere(known, &channels) {
        return Ok(channels);
    }
    let detail = "This is another mail server or name now. Give the password too: the one that is kept is for the one before.";
    Err(Problem::invalid("password_needed", detail))
}

/// Whether the password that is kept would be shown to somebody who has not seen it yet.
fn is_shown_elsewhere(known: &AlertChannels, wanted: &AlertChannels) -> bool {
    let (Some(known), Some(wanted)) = (&known.email, &wanted.email) else { return false };
    let door = |email: &EmailChannel| {
        (email.host.clone(), email.port, email.security, email.username.clone(), email.authority.clone())
    };
    wanted.password.is_some() && door(known) != door(wanted)
}

/// Refuses what could never be sent to, before it is agreed on. A name that is not known now may be later.
async fn check(channels: &AlertChannels, guard: &Guard) -> Result<(), Problem> {
    alerts::check(channels, guard)
        .await
        .map_err(|error| Problem::invalid("alert_channel_unusable", sentence(&error.to_string())))
}

fn shown(app: &App, channels: &AlertChannels, webhook_secret: Option<SecretText>) -> AlertChannelsView {
    let troubles = ChannelKind::ALL
        .into_iter()
        .filter_map(|channel| Some((channel.name().to_owned(), app.alerts.trouble_of(channel)?)));
    AlertChannelsView {
        least: channels.least.into(),
        webhook: channels
            .webhook
            .as_ref()
            .map(|webhook| WebhookView { url: webhook.url.clone(), authority: webhook.authority.clone() }),
        syslog: channels.syslog.as_ref().map(|syslog| SyslogView {
            host: syslog.host.clone(),
            port: syslog.port,
            transport: match syslog.transport {
                SyslogTransport::Udp => SyslogTransportName::Udp,
                SyslogTransport::Tcp => SyslogTransportName::Tcp,
            },
        }),
        email: channels.email.as_ref().map(|email| EmailView {
            host: email.host.clone(),
            port: email.port,
            security: match email.security {
                MailSecurity::Tls => MailSecurityName::Tls,
                MailSecurity::StartTls => MailSecurityName::StartTls,
            },
            username: email.username.clone(),
            from: email.from.clone(),
            to: email.to.clone(),
            authority: email.authority.clone(),
        }),
        email_password_set: channels.email.as_ref().is_some_and(|email| email.password.is_some()),
        troubles: troubles.collect(),
        webhook_secret,
    }
}

/// Send a test by one channel now, from the node that is asked.
#[utoipa::path(post, path = "/alerts/channels/{channel}/test", tag = "alerts",
    params(("channel" = String, Path, description = "`webhook`, `syslog` or `email`")),
    responses((status = 204, description = "The other side took it"), (status = 404, body = ProblemBody),
        (status = 424, body = ProblemBody, description = "The other side did not take it")))]
pub async fn alert_channel_test(
    app: web::Data<App>,
    caller: Caller,
    channel: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SetAlertChannels, Target::Cluster)?;
    let channel = ChannelKind::ALL.into_iter().find(|one| one.name() == channel.as_str());
    let channel = channel.ok_or_else(Problem::not_found)?;
    let message = Message::test(&state, app.cluster.now_ms());
    let guard = Guard::new(&app.config.outbound_networks, &state);
    let sent = alerts::send(channel, state.alert_channels(), &guard, &message).await;
    let record = AuditCommand::Record {
        action: "alert.test".to_owned(),
        target: "cluster".to_owned(),
        application: None,
        result: if sent.is_ok() { "ok" } else { "alert_not_delivered" }.to_owned(),
        details: BTreeMap::from([("channel".to_owned(), channel.name().to_owned())]),
    };
    caller.propose(record).await?;
    sent.map_err(|error| match error {
        alerts::DeliveryError::NotSetUp => Problem::not_found(),
        error => {
            Problem::new(StatusCode::FAILED_DEPENDENCY, "alert_not_delivered", sentence(&error.to_string()))
        }
    })?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_alert_list, alert_list);
    routes.api(__path_alert_channels_view, alert_channels_view);
    routes.api(__path_alert_channels_set, alert_channels_set);
    routes.api(__path_alert_channel_test, alert_channel_test);
    routes.api(__path_alert_acknowledge, alert_acknowledge);
}
