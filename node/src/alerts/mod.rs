//! Alerts: what is wrong, as long as it is wrong, and who is told.
//!
//! [`conditions`] lists everything that is looked for. [`Evaluate`] looks every few seconds, each node for itself and the
//! leader for the cluster, and tells State what it found; State makes alerts of it, the same on every node. While a
//! node leads, one [`Deliver`] for each channel tells what State says is to be told. All of them are Workers, so a
//! channel that fails is tried again like any other work.

pub mod conditions;
mod deliver;
mod email;
mod evaluate;
mod facts;
mod heads;
mod message;
mod syslog;
mod webhook;

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::web;
use cluster::command::{AlertChannels, ChannelKind};
use cluster::worker::{Activity, Worker, WorkerReport, Workers};
use tokio_util::sync::CancellationToken;

pub use conditions::Condition;
pub use deliver::Deliver;
pub use evaluate::Evaluate;
pub use facts::{Facts, Found};
pub use message::Message;
pub use webhook::{SECRET_LENGTH as WEBHOOK_SECRET_LENGTH, new_secret};

use crate::app::App;
use crate::outbound::{Guard, OutboundError};
use crate::self_check::SelfCheck;

/// How long the workers may take to end.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Why an alert could not be told.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The channel is not set up.
    #[error("this channel is not set up")]
    NotSetUp,
    /// The address cannot be connected to.
    #[error("{0}")]
    Outbound(#[from] OutboundError),
    /// Nobody answered, or not in time, or the certificate is not trusted.
    #[error("the other side cannot be reached: {0}")]
    Unreachable(String),
    /// It answered, and did not take it.
    #[error("the other side did not take it: {0}")]
    Refused(String),
    /// An address or a secret is not of its form.
    #[error("{0} is not of the right form")]
    Malformed(&'static str),
}

/// The running workers.
#[derive(Debug, Default)]
pub struct Alerts {
    workers: OnceLock<Workers>,
}

impl Alerts {
    /// Starts them, and what looks at the node from outside. Needs a running tokio runtime.
    pub fn start(app: &web::Data<App>, self_check: SelfCheck) {
        let mut workers: Vec<Box<dyn Worker>> = vec![Box::new(Evaluate::new(app.clone()))];
        workers.push(Box::new(self_check));
        workers.push(Box::new(heads::TellHeads::new(app.clone())));
        for channel in ChannelKind::ALL {
            workers.push(Box::new(Deliver::new(app.clone(), channel)));
        }
        // They hold the App, so they end by `stop` alone.
        let started = Workers::start(workers, &CancellationToken::new());
        drop(app.alerts.workers.set(started));
    }

    /// Ends them.
    pub async fn stop(&self) {
        if let Some(workers) = self.workers.get() {
            for late in workers.stop(END_WITHIN).await {
                tracing::warn!(worker = late, "a worker did not end in time");
            }
        }
    }

    /// How each of them does.
    #[must_use]
    pub fn reports(&self) -> Vec<WorkerReport> {
        self.workers.get().map(Workers::reports).unwrap_or_default()
    }

    /// Why `channel` fails at present, when this node tells alerts and it does.
    #[must_use]
    pub fn trouble_of(&self, channel: ChannelKind) -> Option<String> {
        let reports = self.reports();
        let report = reports.into_iter().find(|report| report.name == deliver::worker_name(channel))?;
        match report.activity {
            Activity::BackingOff { error } => Some(error),
            _ => None,
        }
    }
}

/// Tells `message` by `channel`, once.
///
/// # Errors
/// [`DeliveryError`] says why nobody was told.
pub async fn send(
    channel: ChannelKind,
    channels: &AlertChannels,
    guard: &Guard,
    message: &Message,
) -> Result<(), DeliveryError> {
    let not_set_up = DeliveryError::NotSetUp;
    match channel {
        ChannelKind::Webhook => {
            webhook::send(channels.webhook.as_ref().ok_or(not_set_up)?, guard, message).await
        }
        ChannelKind::Syslog => {
            syslog::send(channels.syslog.as_ref().ok_or(not_set_up)?, guard, message).await
        }
        ChannelKind::Email => email::send(channels.email.as_ref().ok_or(not_set_up)?, guard, message).await,
    }
}

/// Whether `channels` could be sent to at all: forms are right, and addresses do not lead inside. A name that nobody
/// knows now is let pass: it may be known later.
///
/// # Errors
/// [`DeliveryError`] says what is wrong.
pub async fn check(channels: &AlertChannels, guard: &Guard) -> Result<(), DeliveryError> {
    let later = |checked: Result<(), OutboundError>| match checked {
        Err(OutboundError::UnknownName(_)) => Ok(()),
        checked => checked,
    };
    if let Some(webhook) = &channels.webhook {
        let url = url::Url::parse(&webhook.url).map_err(|_| DeliveryError::Malformed("the address"))?;
        later(guard.client(&url, webhook.authority.as_deref()).await.map(drop))?;
    }
    if let Some(syslog) = &channels.syslog {
        later(guard.look_up(&syslog.host, syslog.port).await.map(drop))?;
    }
    if let Some(email) = &channels.email {
        email.to.iter().chain([&email.from]).try_for_each(|one| email::mailbox(one).map(drop))?;
        email::check_authority(email)?;
        later(guard.look_up(&email.host, email.port).await.map(drop))?;
    }
    Ok(())
}
