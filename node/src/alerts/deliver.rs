//! Tells what is to be told, by one channel, while this node leads.
//!
//! State says what is still to be told, and is told what was: whoever leads next goes on from there. A try that failed is
//! tried again with the workers' own back-off, for hours and not for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::web;
use async_trait::async_trait;
use cluster::command::{AlertChange, AlertCommand, ChannelKind};
use cluster::event::Event;
use cluster::state::{State, ToTell};
use cluster::worker::{WorkError, Worked, Worker};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::evaluate::propose;
use super::message::Message;
use crate::app::App;
use crate::outbound::Guard;

/// How often it looks without being told.
const EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct Deliver {
    app: web::Data<App>,
    channel: ChannelKind,
    events: Receiver<Event>,
    /// Told, and not yet agreed on: never told again by this node.
    sent: BTreeSet<(u64, u32, AlertChange)>,
    told: u64,
}

/// The worker of `channel`.
#[must_use]
pub fn worker_name(channel: ChannelKind) -> &'static str {
    match channel {
        ChannelKind::Webhook => "alert_webhook",
        ChannelKind::Syslog => "alert_syslog",
        ChannelKind::Email => "alert_email",
    }
}

impl Deliver {
    /// For this node.
    #[must_use]
    pub fn new(app: web::Data<App>, channel: ChannelKind) -> Self {
        let events = app.cluster.rarer_events();
        Self { app, channel, events, sent: BTreeSet::new(), told: 0 }
    }

    fn next(&self, state: &State) -> Option<ToTell> {
        state.alerts_to_tell(self.channel, self.app.cluster.now_ms()).into_iter().next()
    }

    async fn tell(&self, state: &State, one: &ToTell) -> Result<(), WorkError> {
        let cluster = &self.app.cluster;
        let message = Message::about(state, &one.alert, one.change, cluster.now_ms());
        let guard = Guard::new(&self.app.config.outbound_networks, state);
        let sent = super::send(self.channel, state.alert_channels(), &guard, &message).await;
        sent.map_err(|error| WorkError::new(&error))
    }
}

#[async_trait]
impl Worker for Deliver {
    fn name(&self) -> &'static str {
        worker_name(self.channel)
    }

    fn status(&self) -> String {
        format!("{} messages since start", self.told)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let cluster = self.app.cluster.clone();
        if !cluster.leads() || self.next(&cluster.state()).is_none() {
            return Ok(Worked::Idle);
        }
        // Whoever only believes to lead gets no answer here.
        let state = cluster.linearizable().await.map_err(|error| WorkError::new(&error))?;
        let Some(one) = self.next(&state).filter(|_| cluster.leads()) else { return Ok(Worked::Idle) };
        let key = (one.alert.id, one.alert.times, one.change);
        if !one.too_late && !self.sent.contains(&key) {
            self.tell(&state, &one).await?;
            self.sent.insert(key);
            self.told += 1;
        }
        let note = AlertCommand::NoteDelivery {
            alert: one.alert.id,
            channel: self.channel,
            change: one.change,
            delivered: !one.too_late,
        };
        propose(&cluster, note).await?;
        self.sent.remove(&key);
        Ok(Worked::Busy)
    }

    async fn wait(&mut self) {
        let events = &mut self.events;
        let heard = async {
            loop {
                match events.recv().await {
                    Ok(Event::AlertsChanged | Event::StateReplaced) | Err(RecvError::Lagged(_)) => return,
                    Ok(_) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // Only the end of the wait matters.
        drop(tokio::time::timeout(EVERY, heard).await);
    }
}
